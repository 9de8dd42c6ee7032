//! What a device sees of itself for a rollout: whether its listener skips, comes back, finds the list good, and whether the model works. It stays
//! here, but for one cell of one private sum a stage ([`sordino_shared::rollout::Cells`]).

#[cfg(test)]
mod tests;

use super::versions::VERSIONS;
use super::{Device, Error, Host};
use crate::event::{EventKind, PlaybackEvent, Timestamp};
use crate::example::examples;
use crate::label::label;
use crate::part;
use crate::quality::{Checks, check};
use crate::retrieval::Recommender;
use crate::version::Kept;
use serde::{Deserialize, Serialize};
use sordino_shared::evaluate::{Gain, Judged, Ties};
use sordino_shared::ids::TrackId;
use sordino_shared::registry::Place;
use sordino_shared::rollout::{Arm, Cells, DayReport, MetricsRound, paid_as, task_of};
use sordino_shared::workload::Broadcast;
use std::collections::BTreeSet;

/// The device's stage of a rollout, and what it has noted there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Day {
    rollout: String,
    stage: usize,
    joined: i64,
    // Whether its one contribution to the stage was made, or is being made. It goes with the stage; what was paid for stays in the ledger.
    contributed: bool,
    report_hours: u32,
    // Lists that were reckoned, and those of them that took too long.
    inferences: u32,
    slow: u32,
    crashed: bool,
    pub(super) not_loaded: bool,
    // The last list that was served.
    served: Vec<u32>,
}

impl<H: Host> Device<H> {
    /// Takes note of the stage that it is in now, from the moment on that all that belongs to it is here: for both arms the same.
    pub(super) fn join_stage(&mut self, place: Option<&Place>) -> Result<(), Error> {
        let Some(place) = place else { return Ok(self.store.change(&[], &[DAY])?) };
        let versions = self.versions()?;
        if !versions.has(place.candidate) && !versions.has_refused(place.candidate) {
            return Ok(());
        }
        let now = self.host.now();
        let same = |day: &Day| day.rollout == place.rollout && day.stage == place.stage;
        if let Some(day) = self.day()?.filter(same) {
            // It joined by a clock that was ahead, and would wait until the right one has come as far.
            return if day.joined > now { self.note_day(|day| day.joined = now) } else { Ok(()) };
        }
        let day = Day {
            rollout: place.rollout.clone(),
            stage: place.stage,
            joined: now,
            contributed: false,
            report_hours: place.report_hours,
            inferences: 0,
            slow: 0,
            crashed: false,
            not_loaded: false,
            served: Vec::new(),
        };
        self.put_day(&day)
    }

    /// Tasks that it takes no part in now: it has had its say in the stage, or has not been in it for long enough.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn declines(&self) -> Result<Vec<String>, Error> {
        let is_early = |day: &Day| self.host.now().saturating_sub(day.joined) < i64::from(day.report_hours) * HOUR_MS;
        let day = self.day()?.filter(|day| day.contributed || is_early(day) || self.has_paid(day));
        Ok(day.map(|day| task_of(&day.rollout)).into_iter().collect())
    }

    // Whether the ledger has its say in the stage. A stage may end and begin again, and the listener may erase what is kept of it: what was paid
    // for stays, under the stage's own number.
    fn has_paid(&self, day: &Day) -> bool {
        self.purse.history().has_paid(&task_of(&day.rollout), paid_as(day.stage))
    }

    /// Whether there is anything to say in a round that loads this, so that a device does not leave one that it has joined. Of any but a
    /// rollout's there is.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn has_its_say(&self, broadcast: &[u8]) -> Result<bool, Error> {
        let Ok(Broadcast::Rollout(round)) = Broadcast::from_bytes(broadcast) else { return Ok(true) };
        let is_there = self.day()?.is_some_and(|day| day.rollout == round.rollout && day.stage == round.stage);
        Ok(is_there && !self.declines()?.contains(&task_of(&round.rollout)))
    }

    /// The host says that the application went down, whatever the cause.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn crashed(&mut self) -> Result<(), Error> {
        self.note_day(|day| day.crashed = true)
    }

    /// Notes a list that was served, and how long it took.
    pub(super) fn served(&mut self, list: &[(TrackId, f32)], took_ms: i64) -> Result<(), Error> {
        self.note_day(|day| {
            day.inferences = day.inferences.saturating_add(1);
            day.slow = day.slow.saturating_add(u32::from(took_ms > SLOW_MS));
            day.served = list.iter().take(LIST).map(|(track, _)| track.0).collect();
        })
    }

    pub(super) fn note_day(&mut self, note: impl FnOnce(&mut Day)) -> Result<(), Error> {
        // Another process may note something beside this one, and neither may lose that the device
        // has had its say.
        self.store.update(DAY, |stored| {
            let Some(mut day) = read(stored)? else { return Ok(None) };
            note(&mut day);
            Ok(Some(serde_json::to_vec(&day).expect("numbers and words")))
        })
    }

    fn day(&self) -> Result<Option<Day>, Error> {
        read(self.store.get(DAY)?.as_ref().map(|stored| stored.as_slice()))
    }

    fn put_day(&mut self, day: &Day) -> Result<(), Error> {
        Ok(self.store.put(DAY, &serde_json::to_vec(day).expect("numbers and words"))?)
    }

    /// What the device has to say in a round of metrics, and says once a stage. Whoever is in no arm sends zeros: that it takes part tells nobody
    /// where it is.
    ///
    /// # Errors
    /// [`part::Error::Interrupted`] where it has nothing to say yet, or has said it.
    pub(super) fn cells(&mut self, round: &MetricsRound) -> Result<Cells, part::Error> {
        let store = |error: Error| part::Error::Store(error.to_string());
        let choice = self.choice().map_err(store)?;
        let of_round = |place: &Place| place.rollout == round.rollout && place.stage == round.stage;
        let place =
            choice.place.filter(of_round).ok_or(part::Error::Interrupted("the registry knows no such stage"))?;
        let of_round = |day: &Day| day.rollout == round.rollout && day.stage == round.stage;
        let day = self.day().map_err(store)?.filter(of_round);
        let day = day.ok_or(part::Error::Interrupted("it is not in that stage yet"))?;
        if self.declines().map_err(store)?.contains(&task_of(&round.rollout)) {
            return Err(part::Error::Interrupted("it has had its say, or has not been in the stage for long enough"));
        }
        let mut versions = self.versions().map_err(store)?;
        let has_fallen_back = versions.take_fallback();
        let skipped_before = self.skipped_before(&day).map_err(store)?;
        let report = self.report(&day, &place, skipped_before, has_fallen_back).map_err(store)?;
        let is_served_worst = skipped_before * 100.0 > place.worst_percent as f32;
        // Whatever becomes of the round, a second one is not joined: durable before anything is paid or sent. Once it is paid for, the ledger
        // refuses a second one by itself.
        let contributed = |stored: Option<&[u8]>| -> Result<_, Error> {
            let day = Day { contributed: true, ..read(stored)?.unwrap_or(day) };
            Ok(Some(serde_json::to_vec(&day).expect("numbers and words")))
        };
        self.store.update(DAY, contributed).map_err(store)?;
        self.store.put(VERSIONS, &versions.to_bytes()).map_err(|error| store(error.into()))?;
        Ok(Cells::new(place.arm, is_served_worst, report))
    }

    fn report(&self, day: &Day, place: &Place, skipped_before: f32, has_fallen_back: bool) -> Result<DayReport, Error> {
        let now = self.host.now();
        let start = day.joined.max(now.saturating_sub(i64::from(day.report_hours.max(1)) * HOUR_MS));
        let (before, during): (Vec<PlaybackEvent>, Vec<PlaybackEvent>) =
            self.store.events()?.into_iter().partition(|event| event.time.0 < start);
        let played: BTreeSet<u32> =
            during.iter().filter(|e| e.kind.is_listening() && e.kind != EventKind::Skip).map(|e| e.track.0).collect();
        let mut report = DayReport {
            // Who did not listen has skipped nothing and liked nothing: what was usual stands for it, which moves neither arm.
            skip_rate: skip_rate(&during).unwrap_or(skipped_before),
            ndcg: ndcg(&day.served, &played),
            returned: f32::from(u8::from(during.iter().any(|event| event.kind.is_listening()))),
            crashed: f32::from(u8::from(day.crashed)),
            slow: if day.inferences > 0 { day.slow as f32 / day.inferences as f32 } else { 0.0 },
            not_loaded: f32::from(u8::from(day.not_loaded || has_fallen_back)),
        };
        if place.is_shadow && place.arm.is_some() {
            let tried = match place.arm {
                Some(Arm::Treatment) => Some(place.candidate),
                _ => self.versions()?.current().map(|kept| kept.counter),
            };
            let versions = self.versions()?;
            let kept = versions.kept().iter().find(|kept| Some(kept.counter) == tried);
            (report.ndcg, report.slow, report.not_loaded) = match kept {
                Some(kept) => self.tried(kept, before, &played)?,
                None => (0.0, 0.0, 1.0),
            };
        }
        Ok(report)
    }

    // What a version would have served before the plays of the report: how good that was, whether it was slow, and that it did load.
    fn tried(&self, kept: &Kept, before: Vec<PlaybackEvent>, played: &BTreeSet<u32>) -> Result<(f32, f32, f32), Error> {
        let Ok(model) = self.load_version(kept) else { return Ok((0.0, 0.0, 1.0)) };
        let heard: BTreeSet<TrackId> = before.iter().map(|event| event.track).collect();
        let checks = Checks { tracks: model.tracks(), now: Timestamp(self.host.now()), dated: true };
        let (valid, _) = check(before, &checks);
        let labels = &self.settings.labels;
        let history: Vec<_> =
            examples(&label(&valid, labels), labels).iter().map(|labelled| labelled.example).collect();
        let start = self.host.now();
        let list = Recommender::new(model, &history).top(LIST, |track| !heard.contains(&track));
        let took_ms = self.host.now().saturating_sub(start);
        let list: Vec<u32> = list.iter().map(|(track, _)| track.0).collect();
        let fresh = played.iter().copied().filter(|track| !heard.contains(&TrackId(*track))).collect();
        Ok((ndcg(&list, &fresh), f32::from(u8::from(took_ms > SLOW_MS)), 0.0))
    }

    // How the listener was served before the stage began, which no arm has changed.
    fn skipped_before(&self, day: &Day) -> Result<f32, Error> {
        let from = day.joined.saturating_sub(BEFORE_MS);
        let events = self.store.events()?.into_iter().filter(|event| (from..day.joined).contains(&event.time.0));
        Ok(skip_rate(&events.collect::<Vec<_>>()).unwrap_or(0.0))
    }
}

fn read(stored: Option<&[u8]>) -> Result<Option<Day>, Error> {
    stored.map(serde_json::from_slice).transpose().map_err(|error| Error::Kept(error.to_string()))
}

fn skip_rate(events: &[PlaybackEvent]) -> Option<f32> {
    let listening = events.iter().filter(|event| event.kind.is_listening()).count();
    let skips = events.iter().filter(|event| event.kind == EventKind::Skip).count();
    (listening > 0).then(|| skips as f32 / listening as f32)
}

// NDCG@10 of what was played in the list that was served.
fn ndcg(list: &[u32], played: &BTreeSet<u32>) -> f32 {
    let scored = |(place, track): (usize, &u32)| (*track, -(place as f64), u32::from(played.contains(track)));
    let listed: Vec<(u32, f64, u32)> = list.iter().enumerate().map(scored).collect();
    let missed: Vec<u32> = played.iter().filter(|track| !list.contains(track)).map(|_| 1).collect();
    Judged::new(&listed, &missed, Ties::Against).ndcg(Some(LIST), Gain::Binary) as f32
}

const DAY: &str = "day";
const LIST: usize = 10;
const SLOW_MS: i64 = 50;
const HOUR_MS: i64 = 3_600_000;
const BEFORE_MS: i64 = 28 * 24 * HOUR_MS;
