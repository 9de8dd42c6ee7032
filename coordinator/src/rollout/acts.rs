//! What people do to rollouts and to what serves: the same from a command and from the operator's page.

use super::book::{self, Course, Courses, Error, Order};
use super::controller::{Actor, Input, Refused};
use super::policy::Policy;
use crate::store::Store;
use serde::Deserialize;
use sordino_shared::registry::{Mode, Pin, Serving, Targets};

/// What somebody does.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", tag = "act", deny_unknown_fields)]
pub enum Act {
    /// Starts a signed rollout.
    Start {
        /// Its name.
        rollout: String,
        /// Devices of the fleet.
        devices: usize,
    },
    /// Stays where one is.
    Hold {
        /// Why.
        why: String,
    },
    /// Goes on.
    Resume,
    /// Goes on to the next stage, which waits for somebody.
    Promote {
        /// The share that the next stage should have, in percent, for whoever wants to be sure.
        to: Option<f64>,
        /// Why, if somebody says so.
        #[serde(default)]
        why: Option<String>,
    },
    /// Goes on past a gate that has not passed; two persons.
    SkipGate {
        /// Why.
        why: String,
    },
    /// Takes the candidate back.
    Abort {
        /// Why.
        why: String,
    },
    /// Lets a version serve all at once. The first of all needs one person, any other two, since no gate is asked.
    Serve {
        /// Its release counter.
        version: u64,
        /// Why.
        why: String,
    },
    /// Goes back to the version before, which devices have kept; or to old weights that were signed anew.
    Rollback {
        /// Their new release counter.
        to: Option<u64>,
        /// Why.
        why: String,
    },
    /// Switches learnt models off, or on again.
    Baseline {
        /// Whether off.
        on: bool,
        /// Why.
        why: String,
    },
    /// Lets a group stay with a version for some days.
    Pin {
        /// The group.
        group: String,
        /// The version's release counter.
        version: u64,
        /// For how many days, 30 at most.
        days: u32,
    },
    /// Ends that.
    Unpin {
        /// The group.
        group: String,
    },
    /// Lets those who are kept back have what all have.
    EndHoldback,
}

impl Act {
    // Why it is done, where that must be said.
    fn why(&self) -> Option<&str> {
        match self {
            Self::Hold { why }
            | Self::SkipGate { why }
            | Self::Abort { why }
            | Self::Serve { why, .. }
            | Self::Rollback { why, .. }
            | Self::Baseline { why, .. } => Some(why),
            Self::Start { .. }
            | Self::Resume
            | Self::Promote { .. }
            | Self::Pin { .. }
            | Self::Unpin { .. }
            | Self::EndHoldback => None,
        }
    }
}

/// Who does it, and who stands beside where two are needed.
pub struct Who<'a> {
    /// The one.
    pub first: &'a Actor,
    /// The other.
    pub second: Option<&'a Actor>,
}

impl Who<'_> {
    fn may(&self, right: bool) -> Result<&str, Error> {
        if right { Ok(&self.first.name) } else { Err(Refused::Right(self.first.name.clone()).into()) }
    }

    // Both have the right to go past gates, and are two.
    fn two(&self) -> Result<(Actor, Actor), Error> {
        let second =
            self.second.ok_or_else(|| Error::Unfit("this takes two persons: give the other's token too".into()))?;
        for who in [self.first, second] {
            if !who.may_skip {
                return Err(Refused::Right(who.name.clone()).into());
            }
        }
        if self.first.name == second.name {
            return Err(Refused::SamePerson(second.name.clone()).into());
        }
        Ok((self.first.clone(), second.clone()))
    }
}

/// What is signed, as far as acts need it.
pub struct Signed<'a> {
    /// Versions and rollouts.
    pub targets: &'a Targets,
    /// A rollout's policy, as its file says.
    pub policy: &'a dyn Fn(&str) -> Result<Policy, String>,
}

/// Does it, and says what was done.
///
/// # Errors
/// [`enum@Error`]: nothing was done.
pub fn perform(
    store: &mut dyn Store,
    signed: &Signed<'_>,
    act: &Act,
    who: &Who<'_>,
    now: i64,
) -> Result<String, Error> {
    let first = who.first;
    if act.why().is_some_and(|why| why.trim().is_empty()) {
        return Err(Error::Unfit("say why: it is written into the audit log".into()));
    }
    match act {
        Act::Start { rollout, devices } => {
            who.may(first.may_promote)?;
            let (_, terms) = signed.targets.rollout(rollout).ok_or_else(|| {
                Error::Unfit(format!("no rollout '{rollout}' is signed: {}", known(&signed.targets.rollouts())))
            })?;
            let policy = (signed.policy)(rollout).map_err(Error::Unfit)?;
            let order = Order::new(policy, terms.candidate, *devices)?;
            book::start(store, &order, Input::Start(first.clone()), now)?;
            Ok(format!("rollout {rollout} of version {} is under way", terms.candidate))
        }
        Act::Hold { why } => rollout(store, Input::Hold(first.clone(), why.clone()), now),
        Act::Resume => rollout(store, Input::Resume(first.clone()), now),
        Act::Promote { to, why } => {
            if let Some(percent) = to {
                check_next(store, *percent)?;
            }
            rollout(store, Input::Promote(first.clone(), why.clone()), now)
        }
        Act::SkipGate { why } => {
            let (one, other) = who.two()?;
            rollout(store, Input::Skip(one, other, why.clone()), now)
        }
        Act::Abort { why } => rollout(store, Input::Abort(first.clone(), why.clone()), now),
        Act::Serve { version, why } => {
            let is_first = book::serving(store)?.1.good.is_none();
            let by = match is_first {
                true => who.may(first.may_promote)?.to_owned(),
                false => who.two().map(|(one, other)| format!("{} and {}", one.name, other.name))?,
            };
            is_signed(signed, *version)?;
            let words = format!("version {version} serves all at once, by {by}: {why}");
            book::serve_all(store, *version, &words, now).map(|()| words)
        }
        Act::Rollback { to, why } => {
            let name = who.may(first.may_abort)?;
            match to {
                Some(version) => {
                    is_old(signed, *version)?;
                    let words = format!("version {version} brings old weights back to all, by {name}: {why}");
                    book::serve_all(store, *version, &words, now).map(|()| words)
                }
                None => {
                    let words = format!("back to the version before, by {name}: {why}");
                    nothing_under_way(store)?;
                    changed(store, words, now, |serving| match serving.before {
                        Some(_) if serving.mode == Mode::Before => {
                            Err("all devices are back on the version before already".into())
                        }
                        Some(_) => {
                            serving.mode = Mode::Before;
                            Ok(())
                        }
                        None => Err("there is no version before".into()),
                    })
                }
            }
        }
        Act::Baseline { on, why } => {
            let name = who.may(first.may_abort)?;
            let words = format!("learnt models are switched {}, by {name}: {why}", if *on { "off" } else { "on" });
            changed(store, words, now, |serving| match (*on, serving.mode) {
                (true, Mode::Baseline) => Err("learnt models are switched off already".into()),
                (false, Mode::Good) => Err("learnt models are switched on already".into()),
                (off, _) => {
                    serving.mode = if off { Mode::Baseline } else { Mode::Good };
                    Ok(())
                }
            })
        }
        Act::Pin { group, version, days } => {
            let name = who.may(first.may_promote)?;
            is_signed(signed, *version)?;
            if group.is_empty() || group.len() > 64 || !(1..=30).contains(days) {
                return Err(Error::Unfit("a pin is of a group of 1 to 64 bytes, for 1 to 30 days".into()));
            }
            let pin = Pin { group: group.clone(), counter: *version, until: now + i64::from(*days) * DAY_MS };
            let words = format!("the group '{group}' stays with version {version} for {days} days, by {name}");
            changed(store, words, now, |serving| {
                serving.pins.retain(|of| of.group != *group && of.until > now);
                serving.pins.push(pin.clone());
                Ok(())
            })
        }
        Act::Unpin { group } => {
            let name = who.may(first.may_promote)?;
            let words = format!("the group '{group}' goes with all others, by {name}");
            changed(store, words, now, |serving| {
                let before = serving.pins.len();
                serving.pins.retain(|of| of.group != *group);
                if serving.pins.len() < before { Ok(()) } else { Err(format!("no group '{group}' is pinned")) }
            })
        }
        Act::EndHoldback => {
            let name = who.may(first.may_promote)?;
            changed(store, format!("nobody is kept back any more, by {name}"), now, |serving| {
                serving.holdback.take().map(|_| ()).ok_or_else(|| "nobody is kept back".into())
            })
        }
    }
}

fn rollout(store: &mut dyn Store, input: Input, now: i64) -> Result<String, Error> {
    let course = under_way(store)?;
    book::act(store, &course.order.name, &input, now)?;
    let course = Course::load(store, &course.order.name)?;
    Ok(format!("rollout {}: {}", course.order.name, super::explain::standing(&course.controller)))
}

/// The rollout under way.
///
/// # Errors
/// [`Error::Unfit`] where there is none.
pub fn under_way(store: &dyn Store) -> Result<Course, Error> {
    let Courses { courses, unreadable } = Courses::read(store)?;
    courses.into_iter().find(Course::is_under_way).ok_or_else(|| match unreadable.iter().find(|of| of.is_under_way) {
        Some(of) => Error::Unfit(format!("no rollout is under way that can be read; {of}")),
        None => Error::Unfit("no rollout is under way".into()),
    })
}

fn nothing_under_way(store: &dyn Store) -> Result<(), Error> {
    match under_way(store) {
        Ok(course) => Err(Error::Unfit(format!("the rollout '{}' is under way: abort it instead", course.order.name))),
        Err(_) => Ok(()),
    }
}

fn check_next(store: &dyn Store, percent: f64) -> Result<(), Error> {
    let course = under_way(store)?;
    let stage = course.controller.stage().map_or(0, |stage| stage + 1);
    let next = course.order.policy.stages.get(stage).map_or(100.0, |stage| f64::from(u32::from(stage.share)) / 1e4);
    if (next - percent).abs() > 1e-9 {
        return Err(Error::Unfit(format!("the next stage has {next} % of the devices, not {percent} %")));
    }
    Ok(())
}

fn changed(
    store: &mut dyn Store,
    words: String,
    now: i64,
    change: impl Fn(&mut Serving) -> Result<(), String>,
) -> Result<String, Error> {
    book::change_serving(store, &words, now, change).map(|()| words)
}

fn is_signed(signed: &Signed<'_>, version: u64) -> Result<(), Error> {
    match signed.targets.version_of(version) {
        Some(_) => Ok(()),
        None => Err(Error::Unfit(format!("no version {version} is signed: `rollout sign version` does that"))),
    }
}

// Its weights were signed before under a lower counter: nothing new comes in without a gate.
fn is_old(signed: &Signed<'_>, version: u64) -> Result<(), Error> {
    is_signed(signed, version)?;
    let weights = |counter| signed.targets.version_of(counter).map(|(file, _)| file);
    let earlier = signed.targets.versions().into_iter().filter(|counter| *counter < version);
    if earlier.map(weights).any(|file| file == weights(version)) {
        return Ok(());
    }
    Err(Error::Unfit(format!("version {version} has weights that were never signed before: a rollout brings it in")))
}

fn known(names: &[String]) -> String {
    if names.is_empty() { "there is none yet".into() } else { format!("there are {}", names.join(", ")) }
}

const DAY_MS: i64 = 86_400_000;
