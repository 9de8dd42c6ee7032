//! Messages of a round's steps, and what devices are told of them: by the round under way, or by the store where it is over.

use super::hub::{Hub, busy};
use super::now;
use super::served::Running;
use crate::round::{Heard, Live, Outcome};
use crate::store::{Entry, Phase};
use sordino_shared::control::{Code, Receipt, Reject, Step, Wait, context_of};
use sordino_shared::secagg::Hash;
use sordino_shared::secagg::messages::upload_digest;
use sordino_shared::wire::{self, Kind};
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

impl Hub {
    /// A step's message: checked, taken, and answered with its receipt or with the step's outcome.
    pub(super) async fn message(
        &self,
        device: &Hash,
        mut frame: Vec<u8>,
        room: Option<OwnedSemaphorePermit>,
    ) -> Result<Vec<u8>, Reject> {
        let malformed = || Reject::new(Code::Malformed, "the frame's header cannot be read");
        let kind = wire::kind_of(&frame).map_err(|_| malformed())?;
        let context = context_of(&frame).ok_or_else(malformed)?;
        let Some(round) = self.round(&context) else { return self.after_the_end(&context, kind, &frame).await };
        // Hashes and signatures are checked on a thread that may be busy for a while.
        let (at, own) = (round.clone(), *device);
        let turn = self.checks.acquire().await.expect("never closed");
        let checked = tokio::task::spawn_blocking(move || {
            let heard = at.live().check(&own, &mut frame, now());
            (heard, frame)
        });
        let (heard, frame) = checked.await.expect("a check does not panic");
        drop(turn);
        match heard? {
            Heard::Upload(checked) => round.upload(checked, room.ok_or_else(malformed)?).await,
            Heard::Earlier if kind == Kind::Upload => self.after_the_end(&context, kind, &frame).await,
            heard => {
                round.live_mut().record(heard)?;
                round.nudge.now();
                let step = Step::of(kind).ok_or_else(malformed)?;
                Ok(self.outcome(&round, device, step).await)
            }
        }
    }

    /// A device asks for a step's outcome.
    pub(super) async fn ask(&self, device: &Hash, context: &Hash, step: Step) -> Result<Vec<u8>, Reject> {
        match self.round(context) {
            Some(round) => Ok(self.outcome(&round, device, step).await),
            None => self.ended(context, step).await,
        }
    }

    /// Waits for a step's outcome, for as long as a request may be held.
    async fn outcome(&self, round: &Running, device: &Hash, step: Step) -> Vec<u8> {
        let mut changed = round.changed.subscribe();
        let told = async {
            loop {
                match round.live().outcome(device, step) {
                    Outcome::Frame(frame) => return frame,
                    Outcome::Reject(reject) => return self.refused(&reject),
                    Outcome::Wait => {}
                }
                if changed.changed().await.is_err() {
                    return Wait { after_ms: AGAIN_MS }.to_frame();
                }
            }
        };
        let hold = Duration::from_secs(self.config.limits.hold_seconds);
        timeout(hold, told).await.unwrap_or_else(|_| Wait { after_ms: 0 }.to_frame())
    }

    /// What is told of a round that this process does not hold: from its row and its receipts.
    async fn after_the_end(&self, context: &Hash, kind: Kind, frame: &[u8]) -> Result<Vec<u8>, Reject> {
        if kind != Kind::Upload {
            let step = Step::of(kind).ok_or_else(|| Reject::new(Code::Malformed, "this is no step's message"))?;
            return self.ended(context, step).await;
        }
        let digest = upload_digest(frame).map_err(|error| Reject::new(Code::Malformed, error))?;
        let round = *context;
        let receipts = self.storage.call(move |store| store.receipts(&round)).await.map_err(|error| busy(&error))?;
        // Whoever knows the vector's hash may hear that it was counted.
        let counted = |entry: &Entry| entry.digest == digest;
        if receipts.iter().any(counted) {
            return Ok(Receipt { context: *context, digest }.to_frame());
        }
        Err(Reject::new(Code::TooLate, "the round has gone on without this device"))
    }

    async fn ended(&self, context: &Hash, step: Step) -> Result<Vec<u8>, Reject> {
        let wanted = *context;
        let row = self.storage.call(move |store| store.round(&wanted)).await.map_err(|error| busy(&error))?;
        match row {
            Some(row) if row.phase == Phase::Done => match Live::after_the_end(step, *context) {
                Outcome::Frame(frame) => Ok(frame),
                Outcome::Reject(reject) => Err(reject),
                Outcome::Wait => unreachable!("nothing is waited for after the end"),
            },
            Some(row) if row.phase == Phase::Abandoned => {
                Err(Reject::new(Code::Abandoned, format!("the round was given up: {}", row.note)))
            }
            // It is stored, and its driver is about to take it up.
            Some(_) => Ok(Wait { after_ms: AGAIN_MS }.to_frame()),
            None => Err(Reject::new(Code::UnknownRound, "there is no such round here")),
        }
    }
}

const AGAIN_MS: u64 = 200;
