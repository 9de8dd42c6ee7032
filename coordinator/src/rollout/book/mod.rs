//! Rollouts as they are stored: what was ordered, what has happened since, and what serves therefore.
//!
//! Whoever acts (the server's driver, a command, the operator's page) reads, decides by the [`Controller`], and writes events, what serves
//! and the audit log's rows as one [`Change`] upon what was read. Two who act at once cannot both be right: the slower one is told, reads
//! again and decides again.

mod audit;
mod courses;
#[cfg(test)]
mod tests;

pub use audit::{Audit, audit};
pub use courses::{Courses, Unreadable};

use crate::rollout::controller::{Controller, Event, Input, Phase, Refused, Release};
use crate::rollout::explain::sentence;
use crate::rollout::policy::{self, Policy};
use crate::store::{self, Aggregate, Change, Finished, NewEvents, Store, TaskRow, TaskState};
use crate::task::Kind;
use serde::{Deserialize, Serialize};
use sordino_shared::control::hexadecimal;
use sordino_shared::registry::{Candidate, Holdback, Mode, Serving};
use sordino_shared::rollout::{Cells, task_of};
use sordino_shared::secagg::{Hash, digest};
use thiserror::Error;

/// What was started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    workload: String,
    /// The rollout's name, under which its policy is signed.
    pub name: String,
    /// Devices of the fleet that it was planned for.
    pub devices: usize,
    /// The candidate's release counter.
    pub candidate: u64,
    /// Its policy, as it was signed.
    pub policy: Policy,
}

/// A rollout as it stands.
#[derive(Clone, Debug)]
pub struct Course {
    /// What was started.
    pub order: Order,
    /// What has happened.
    pub events: Vec<Event>,
    /// What follows.
    pub controller: Controller,
}

/// Why nothing was done.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The controller refuses.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The policy does not do.
    #[error(transparent)]
    Policy(#[from] policy::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Something that is stored cannot be read.
    #[error("the stored rollout '{name}' cannot be read: {reason}")]
    Damaged {
        /// Which.
        name: String,
        /// Why.
        reason: String,
    },
    /// It cannot be done as things are.
    #[error("{0}")]
    Unfit(String),
}

impl Order {
    /// To start a rollout of this policy.
    ///
    /// # Errors
    /// [`policy::Error`] where the fleet cannot be judged by it, [`Error::Unfit`] where its rounds cannot be.
    pub fn new(policy: Policy, candidate: u64, devices: usize) -> Result<Self, Error> {
        policy.plan(devices)?;
        for stage in 0..policy.stages.len() {
            let cohort = policy.cohort_devices(stage, devices);
            if f64::from(cohort) < policy.least_devices {
                return Err(Error::Unfit(format!(
                    "a round of stage {} has {cohort} devices, and no sum of fewer than {} is opened: take fewer looks",
                    stage + 1,
                    policy.least_devices
                )));
            }
            let degree = policy.cohort.assumptions().degree(cohort);
            degree.map_err(|error| Error::Unfit(format!("stage {}, {cohort} devices a round: {error}", stage + 1)))?;
        }
        if !policy.schedule.has_time() {
            return Err(Error::Unfit("each step of the schedule needs at least a second".into()));
        }
        Ok(Self { workload: ORDER.into(), name: policy.name.clone(), devices, candidate, policy })
    }

    /// Reads a stored one.
    ///
    /// # Errors
    /// Where and what.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// The name of its task.
    pub fn task(&self) -> String {
        task_of(&self.name)
    }
}

impl Course {
    /// Reads a rollout and what has happened.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn load(store: &dyn Store, name: &str) -> Result<Self, Error> {
        let row = store.tasks()?.into_iter().find(|row| row.name == task_of(name));
        match row.as_ref().map(Kind::of) {
            Some(Ok(Kind::Rollout(order))) => Self::read(store, *order),
            None | Some(Ok(Kind::Training(_))) => Err(Error::Unfit(format!("there is no rollout '{name}'"))),
            Some(Err(error)) => Err(Error::Damaged { name: task_of(name), reason: error.to_string() }),
        }
    }

    fn read(store: &dyn Store, order: Order) -> Result<Self, Error> {
        let damaged = |error: serde_json::Error| Error::Damaged { name: order.task(), reason: error.to_string() };
        let mut controller = Controller::new(order.policy.clone(), order.devices);
        let mut events = Vec::new();
        for text in store.events(&order.name)? {
            let event: Event = serde_json::from_str(&text).map_err(damaged)?;
            controller.apply(&event);
            events.push(event);
        }
        Ok(Self { order, events, controller })
    }

    /// Whether it may still change what serves.
    pub fn is_under_way(&self) -> bool {
        !matches!(self.controller.phase(), Phase::Full | Phase::Aborted)
    }

    /// What an input comes to, upon what was read; `None` where it comes to nothing.
    fn change(&self, now: i64, input: Input, serving: &(u64, Serving)) -> Result<Option<Change>, Error> {
        let events = self.controller.decide(now, input)?;
        if events.is_empty() {
            return Ok(None);
        }
        let mut controller = self.controller.clone();
        events.iter().for_each(|event| controller.apply(event));
        let (seen, before) = serving;
        let after = self.serving(&controller, before, now);
        let state = match controller.phase() {
            Phase::Full => Some((self.order.task(), TaskState::Finished)),
            Phase::Aborted => Some((self.order.task(), TaskState::Cancelled)),
            _ => None,
        };
        let written = |event: &Event| serde_json::to_string(event).expect("events have a form in JSON");
        Ok(Some(Change {
            task: None,
            words: events.iter().map(|event| words(&self.order.name, event, &written(event))).collect(),
            events: Some(NewEvents {
                rollout: self.order.name.clone(),
                after: self.events.len() as u64,
                events: events.iter().map(written).collect(),
            }),
            serving: (after != *before).then(|| (*seen, document(&after))),
            state,
        }))
    }

    // What serves once the controller stands there.
    fn serving(&self, controller: &Controller, before: &Serving, now: i64) -> Serving {
        let candidate = |stage| Candidate { rollout: self.order.name.clone(), counter: self.order.candidate, stage };
        let mut serving = before.clone();
        match (controller.phase(), controller.stage()) {
            (Phase::Full, _) => {
                serving = all(&serving, self.order.candidate);
                let holdback = &self.order.policy.holdback;
                let in_force = before.holdback.as_ref().is_some_and(|of| of.until > now);
                if let (Some(counter), false, true) = (before.good, in_force, u32::from(holdback.share) > 0) {
                    let (name, share) = (self.order.name.clone(), holdback.share);
                    let until = now + i64::from(holdback.days) * 24 * HOUR_MS;
                    serving.holdback = Some(Holdback { name, counter, share, until });
                }
            }
            (_, Some(stage)) => serving.candidate = Some(candidate(stage)),
            (_, None) => serving.candidate = None,
        }
        serving
    }
}

// What the audit log says of an event: a sentence, and the hash of what is stored, so that the log's chain holds that too.
fn words(rollout: &str, event: &Event, written: &str) -> String {
    format!("rollout {rollout}: {} [{}]", sentence(event), hexadecimal(&digest(written.as_bytes())))
}

// And of what was ordered.
fn ordered(order: &Order, written: &str) -> String {
    let Order { name, devices, candidate, .. } = order;
    format!("rollout {name}: version {candidate} for {devices} devices [{}]", hexadecimal(&digest(written.as_bytes())))
}

/// What serves once everybody has this version.
fn all(before: &Serving, counter: u64) -> Serving {
    Serving {
        mode: Mode::Good,
        good: Some(counter),
        before: before.good.or(before.before),
        candidate: None,
        ..before.clone()
    }
}

fn document(serving: &Serving) -> String {
    serde_json::to_string(serving).expect("words and whole numbers")
}

/// What serves, and how often that was changed.
///
/// # Errors
/// [`enum@Error`].
pub fn serving(store: &dyn Store) -> Result<(u64, Serving), Error> {
    let (changes, text) = store.serving()?;
    let damaged = |error: serde_json::Error| Error::Damaged { name: "what serves".into(), reason: error.to_string() };
    Ok((changes, text.map(|text| serde_json::from_str(&text)).transpose().map_err(damaged)?.unwrap_or_default()))
}

/// Starts a rollout, if none is under way.
///
/// # Errors
/// [`enum@Error`].
pub fn start(store: &mut dyn Store, order: &Order, input: Input, now: i64) -> Result<(), Error> {
    Courses::read(store)?.check_none_under_way("end")?;
    let serving = serving(store)?;
    if serving.1.mode != Mode::Good {
        let reason = "devices were taken back, or models are switched off: let a version serve all first".to_owned();
        return Err(Error::Unfit(reason));
    }
    match serving.1.good {
        None => {
            let reason = "there is no version to compare with yet: let the first one serve at once".to_owned();
            return Err(Error::Unfit(reason));
        }
        Some(good) if good >= order.candidate => {
            return Err(Error::Unfit(format!(
                "version {} is not newer than version {good}, which serves",
                order.candidate
            )));
        }
        Some(_) => {}
    }
    let controller = Controller::new(order.policy.clone(), order.devices);
    let course = Course { order: order.clone(), events: Vec::new(), controller };
    let text = toml::to_string(order).expect("a policy has a form in TOML");
    let task = TaskRow { name: order.task(), text, seed: 0, state: TaskState::Running, why: None };
    let mut change = course.change(now, input, &serving)?.unwrap_or_default();
    change.words.insert(0, ordered(order, &task.text));
    Ok(store.change(&Change { task: Some(task), ..change }, now)?)
}

/// Does something to a rollout; says whether anything came of it.
///
/// # Errors
/// [`enum@Error`].
pub fn act(store: &mut dyn Store, name: &str, input: &Input, now: i64) -> Result<bool, Error> {
    loop {
        let course = Course::load(store, name)?;
        let serving = serving(store)?;
        let Some(change) = course.change(now, input.clone(), &serving)? else { return Ok(false) };
        match store.change(&change, now) {
            Err(store::Error::Overtaken) => {}
            result => return Ok(result.map(|()| true)?),
        }
    }
}

/// Ends a round of metrics with its look, in one transaction; `false` where the round is in another phase. What comes too late for its stage is
/// kept and not judged.
///
/// # Errors
/// [`enum@Error`].
pub fn look(
    store: &mut dyn Store,
    name: &str,
    (context, stage): (&Hash, usize),
    aggregate: &Aggregate,
    note: &str,
    now: i64,
) -> Result<bool, Error> {
    let cells = aggregate.sum.first().map(|sum| Cells::read(sum));
    let deviation = aggregate.deviations.first().copied();
    let (Some(sums), Some(deviation)) = (cells, deviation) else {
        return Err(Error::Damaged { name: name.into(), reason: "a sum of metrics has one block".into() });
    };
    loop {
        let course = Course::load(store, name)?;
        let release = Box::new(Release { sums, noise_variance: deviation * deviation });
        let change = match course.controller.stage() == Some(stage) {
            true => course.change(now, Input::Release(release), &serving(store)?),
            false => Ok(None),
        };
        let finished = match &change {
            Ok(Some(change)) => store.finish(context, aggregate, Finished::Look(change), note, now),
            Ok(None) | Err(Error::Refused(_)) => {
                let note = format!("{note}, not judged: the rollout had gone on");
                store.finish(context, aggregate, Finished::Nothing, &note, now)
            }
            Err(_) => return change.map(|_| false),
        };
        match finished {
            Err(store::Error::Overtaken) => {}
            result => return Ok(result?),
        }
    }
}

/// Changes what serves apart from any rollout, and says so in the audit log.
///
/// # Errors
/// [`enum@Error`].
pub fn change_serving(
    store: &mut dyn Store,
    words: &str,
    now: i64,
    change: impl Fn(&mut Serving) -> Result<(), String>,
) -> Result<(), Error> {
    loop {
        let (seen, mut serving) = serving(store)?;
        change(&mut serving).map_err(Error::Unfit)?;
        let words = vec![format!("what serves: {words}")];
        let change = Change { serving: Some((seen, document(&serving))), words, ..Change::default() };
        match store.change(&change, now) {
            Err(store::Error::Overtaken) => {}
            result => return Ok(result?),
        }
    }
}

/// Lets a version serve all at once, without a rollout.
///
/// # Errors
/// [`enum@Error`].
pub fn serve_all(store: &mut dyn Store, counter: u64, words: &str, now: i64) -> Result<(), Error> {
    Courses::read(store)?.check_none_under_way("abort")?;
    change_serving(store, words, now, |serving| match serving.good {
        Some(good) if good >= counter => Err(format!(
            "version {counter} is not newer than version {good}, which serves: devices take none that is older. Sign the old weights anew, \
             under a new counter"
        )),
        _ => {
            *serving = all(serving, counter);
            Ok(())
        }
    })
}

/// What `workload` says in a rollout's order.
pub const ORDER: &str = "rollout";
const HOUR_MS: i64 = 3_600_000;
