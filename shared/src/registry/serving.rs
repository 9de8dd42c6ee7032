//! What serves whom now, and what a device makes of it.
//!
//! The document is signed by the server's own key. A device holds it against what the operator's people have signed elsewhere: a candidate
//! must be the one of its rollout, at one of its stages.

use super::error::Error;
use super::trusted::Trusted;
use super::version::RolloutTerms;
use crate::rollout::{Arm, Bucket, Share};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What serves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Serving {
    /// For those whom nothing below names otherwise.
    pub mode: Mode,
    /// Release counter of the version that was last good for all.
    pub good: Option<u64>,
    /// The one that was good before it, which devices keep.
    pub before: Option<u64>,
    /// A version under trial.
    pub candidate: Option<Candidate>,
    /// Devices that are kept back, to compare with once all others have a version.
    pub holdback: Option<Holdback>,
    /// Groups that stay with a version.
    #[serde(default)]
    pub pins: Vec<Pin>,
}

/// Which of the kept versions serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The good one.
    #[default]
    Good,
    /// The one before it: the good one was taken back in a hurry.
    Before,
    /// None: what the application has built in. The switch for emergencies.
    Baseline,
}

/// A version under trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    /// Its rollout, whose terms are signed.
    pub rollout: String,
    /// Its release counter.
    pub counter: u64,
    /// The stage, from 0.
    pub stage: usize,
}

/// Devices that are kept back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holdback {
    /// Its name, part of its buckets; every one has another.
    pub name: String,
    /// Their version.
    pub counter: u64,
    /// Their share.
    pub share: Share,
    /// Until when, in milliseconds since 1970.
    pub until: i64,
}

/// A group that stays with a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// The group's name, which the application gives to its device.
    pub group: String,
    /// Their version.
    pub counter: u64,
    /// Until when, in milliseconds since 1970; a device believes 30 days at most.
    pub until: i64,
}

/// A device's place in a rollout. It must not leave the device, nor be printed there.
#[derive(Clone, PartialEq, Eq)]
pub struct Place {
    /// The rollout.
    pub rollout: String,
    /// The stage, from 0.
    pub stage: usize,
    /// The candidate's release counter.
    pub candidate: u64,
    /// Whether the stage serves nobody.
    pub is_shadow: bool,
    /// Hours that a report covers.
    pub report_hours: u32,
    /// From which share of skips on, in percent, a listener counts among those who are served worst.
    pub worst_percent: u32,
    /// The device's arm; `None` where it is in neither.
    pub arm: Option<Arm>,
}

/// What a device does.
#[derive(Clone, PartialEq, Eq)]
pub struct Choice {
    /// The version that serves; `None` for what the application has built in.
    pub serve: Option<u64>,
    /// The version that is good for all: no lower one ever serves again.
    pub good: Option<u64>,
    /// Versions to have on the device, the same for every device: what one loads tells nobody its arm.
    pub keep: Vec<u64>,
    /// The version that was good before, which stays where it is.
    pub spare: Option<u64>,
    /// Its place in the rollout, if there is one.
    pub place: Option<Place>,
}

impl fmt::Debug for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Choice").field("good", &self.good).field("keep", &self.keep).finish_non_exhaustive()
    }
}

impl Choice {
    /// Of a device with this secret, in this group, at a time.
    ///
    /// # Errors
    /// [`Error::Unsigned`], [`Error::Beyond`]: the server says more than was signed, and nothing of it is done.
    pub fn new(trusted: &Trusted, secret: &[u8; 32], group: Option<&str>, now: i64) -> Result<Self, Error> {
        let serving = trusted.serving();
        let place = serving.candidate.as_ref().map(|candidate| place(trusted, candidate, secret)).transpose()?;
        let holdback = serving.holdback.as_ref().filter(|of| of.until > now);
        let held_back = holdback.filter(|of| of.holds(secret));
        let pinned =
            serving.pins.iter().find(|pin| group == Some(&pin.group) && (now..now + MOST_PIN_MS).contains(&pin.until));
        let by_mode = match serving.mode {
            Mode::Good => serving.good,
            Mode::Before => serving.before,
            Mode::Baseline => None,
        };
        let apart = pinned.map(|pin| pin.counter).or(held_back.map(|of| of.counter));
        // Whoever is apart from the others is in no arm, and neither is anybody while something was taken back in a hurry.
        let place = place
            .map(|place| Place { arm: place.arm.filter(|_| apart.is_none() && serving.mode == Mode::Good), ..place });
        let tried = place.as_ref().filter(|p| p.arm == Some(Arm::Treatment) && !p.is_shadow).map(|p| p.candidate);
        let serve = match serving.mode {
            Mode::Baseline => None,
            _ => apart.or(tried).or(by_mode),
        };
        // What those who are kept back have, all have: else they would be known by what they load. A group is the application's own, and known.
        let candidate = place.as_ref().map(|place| place.candidate);
        let mut keep: Vec<u64> =
            [serving.good, candidate, holdback.map(|of| of.counter), pinned.map(|pin| pin.counter)]
                .into_iter()
                .chain([serving.before.filter(|_| serving.mode == Mode::Before)])
                .flatten()
                .collect();
        keep.sort_unstable();
        keep.dedup();
        match keep.iter().chain(&serve).find(|&&counter| trusted.version(counter).is_none()) {
            Some(counter) => Err(Error::Unsigned(format!("version {counter}"))),
            None => Ok(Self { serve, good: serving.good, keep, spare: serving.before, place }),
        }
    }
}

fn place(trusted: &Trusted, candidate: &Candidate, secret: &[u8; 32]) -> Result<Place, Error> {
    let Candidate { rollout, counter, stage } = candidate;
    let terms = trusted.rollout_terms(rollout).ok_or_else(|| Error::Unsigned(format!("the rollout '{rollout}'")))?;
    if terms.candidate != *counter || trusted.serving().good.is_some_and(|good| *counter <= good) {
        return Err(Error::Beyond(format!("version {counter} is not the candidate of the rollout '{rollout}'")));
    }
    let beyond = || Error::Beyond(format!("the rollout '{rollout}' has no stage {}", stage + 1));
    let of = terms.stages.get(*stage).ok_or_else(beyond)?;
    let salt = terms.salt().ok_or_else(|| Error::Format(format!("the salt of the rollout '{rollout}'")))?;
    // Whom a shadow stage asks says nothing of who gets the candidate later.
    let name = if of.shadow { format!("{rollout} shadow") } else { rollout.clone() };
    let arm = Bucket::new(secret, &name, &salt).arm(of.share);
    let (rollout, stage, candidate) = (rollout.clone(), *stage, *counter);
    let RolloutTerms { report_hours, worst_percent, .. } = terms;
    Ok(Place { rollout, stage, candidate, is_shadow: of.shadow, report_hours, worst_percent, arm })
}

impl Holdback {
    fn holds(&self, secret: &[u8; 32]) -> bool {
        Bucket::new(secret, &format!("holdback {}", self.name), &[0; 16]).arm(self.share) == Some(Arm::Treatment)
    }
}

/// The longest that a pin holds, with a day for clocks that differ.
const MOST_PIN_MS: i64 = 31 * 86_400_000;
