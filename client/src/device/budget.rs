//! What a device may spend. The ledger decides: settings that ask for less lower it by themselves,
//! and settings that ask for more change nothing until the application raises it by
//! [`Device::rebase`], with a reason that the listener can read.

use super::{Device, Error, Host, Settings};
use sordino_shared::plain;
use sordino_shared::privacy::ledger::{self, Budget, History, Ledger, Place, Policy};
use std::collections::BTreeMap;
use std::path::Path;

/// How the application's settings and the ledger stand to each other.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Standing {
    /// The ledger allows what the settings say.
    AsSet,
    /// The settings say less than the ledger allowed: from this opening on the less is in force,
    /// and the ledger says so.
    Lowered {
        /// What was allowed before.
        before: Policy,
    },
    /// The device was opened beside its process, and the settings say less than the ledger allows:
    /// that is in force from the next opening with them on that has the device for itself.
    Due {
        /// What will be allowed then.
        next: Policy,
    },
    /// The settings say more than the ledger allows. The device goes on with what the ledger
    /// allows; [`Device::rebase`] changes that.
    Held {
        /// What the settings say.
        asked: Policy,
        /// [`Standing::Lowered`] or [`Standing::Due`], where they say less in another number.
        also: Option<Box<Standing>>,
    },
    /// The settings say what cannot be kept. The device takes part in nothing, and does all else.
    Paused {
        /// Why, in words.
        why: String,
    },
}

/// The ledger of a device: open, or to look at beside the process that has it open.
pub(super) enum Purse {
    Open(Ledger),
    Beside(History),
}

impl Purse {
    /// Opens the device's ledger, whatever its policy, and lowers it to what is asked; or begins
    /// it, where there is none.
    pub(super) fn open(
        place: Place,
        settings: impl FnOnce(Option<&Policy>) -> Settings,
        now: i64,
    ) -> Result<(Self, Standing, Settings), Error> {
        if !place.has_ledger()? {
            let settings = settings(None);
            // One that cannot be kept is no first policy: the ledger begins with nothing allowed, and the
            // first that can be kept follows.
            let (first, reason, standing) = match possible(settings.ledger.check())? {
                Ok(()) => (settings.ledger.clone(), "first policy", Standing::AsSet),
                Err(why) => (nothing(), "the application asks for what cannot be kept", Standing::Paused { why }),
            };
            return Ok((Self::Open(place.create(first, reason, now)?), standing, settings));
        }
        let mut ledger = place.open()?;
        let settings = settings(kept(ledger.history()));
        let before = ledger.policy().clone();
        let (mut standing, next) = stand(ledger.history(), &settings.ledger)?;
        if let Some(next) = next {
            let reason = if ledger.history().is_unset() {
                "first policy".to_owned()
            } else {
                reason(&before, "the application allows less than before")
            };
            ledger.rebase(next, &reason, now)?;
            standing.become_lowered(before);
        }
        Ok((Self::Open(ledger), standing, settings))
    }

    /// Reads it beside the process that has it open.
    pub(super) fn beside(
        path: &Path,
        settings: impl FnOnce(Option<&Policy>) -> Settings,
    ) -> Result<(Self, Standing, Settings), Error> {
        let history = History::read(path)?;
        let settings = settings(kept(&history));
        let (standing, _) = stand(&history, &settings.ledger)?;
        Ok((Self::Beside(history), standing, settings))
    }

    pub(super) fn history(&self) -> &History {
        match self {
            Self::Open(ledger) => ledger.history(),
            Self::Beside(history) => history,
        }
    }

    pub(super) fn open_ledger(&mut self) -> Result<&mut Ledger, Error> {
        match self {
            Self::Open(ledger) => Ok(ledger),
            Self::Beside(_) => Err(Error::Beside),
        }
    }
}

impl<H: Host> Device<H> {
    /// What may be spent: what the ledger allows, whatever the settings say.
    pub fn budget(&self) -> &Policy {
        self.purse.history().policy()
    }

    /// How the settings and the ledger stand to each other.
    ///
    /// ```
    /// use sordino_client::device::Standing;
    /// # use sordino_client::device::{Pretend, pretend_federation};
    /// # use sordino_client::prelude::*;
    /// # let (folder, phone) = (tempfile::tempdir().unwrap(), Pretend::default());
    /// # let mut device = Device::open(folder.path(), pretend_federation(), Settings::default(), phone)?;
    /// match device.standing() {
    ///     // The new settings ask for more than the listener's phone has in its ledger. Ask, and then:
    ///     Standing::Held { asked, .. } => {
    ///         let asked = asked.clone();
    ///         device.rebase(asked, "the listener agreed to a larger budget")?;
    ///     }
    ///     Standing::Paused { why } => eprintln!("takes part in nothing: {why}"),
    ///     _ => {}
    /// }
    /// # Ok::<(), sordino_client::device::Error>(())
    /// ```
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Changes what may be spent, up or down, by the application's decision and for a reason; the
    /// ledger has both, for the listener to read. What was spent stays spent. Change
    /// [`super::Settings::ledger`] with it: the next opening lowers the budget to that.
    ///
    /// # Errors
    /// [`Error::NoReason`], [`Error::Beside`], [`Error::Ledger`]; then what was allowed before
    /// still is. Where the disk failed the new may be in force: [`Self::budget`] says what is.
    pub fn rebase(&mut self, policy: Policy, why: &str) -> Result<(), Error> {
        // One line of the ledger is one record: a reason cannot look like another one.
        let why = plain::reason(why).ok_or(Error::NoReason)?;
        let now = self.host.now();
        let ledger = self.purse.open_ledger()?;
        let reason = reason(ledger.policy(), &format!("changed by the application: {why}"));
        let rebased = ledger.rebase(policy.clone(), &reason, now);
        if ledger.policy().is_like(&policy) {
            self.settings.ledger = policy;
            self.standing = Standing::AsSet;
        }
        Ok(rebased?)
    }
}

impl Standing {
    // What was due is in force.
    fn become_lowered(&mut self, before: Policy) {
        match self {
            Self::Held { also: Some(also), .. } => also.become_lowered(before),
            Self::Due { .. } => *self = Self::Lowered { before },
            _ => {}
        }
    }
}

// What both policies allow.
fn both(ledger: &Policy, asked: &Policy) -> Policy {
    let lower = |a: &Budget, b: &Budget| Budget { epsilon: a.epsilon.min(b.epsilon), delta: a.delta.min(b.delta) };
    let mut tasks = ledger.tasks.clone();
    for (task, budget) in &asked.tasks {
        tasks.entry(task.clone()).and_modify(|known| *known = lower(known, budget)).or_insert(*budget);
    }
    let modes = ledger.modes.iter().copied().filter(|mode| asked.modes.contains(mode)).collect();
    Policy { budget: lower(&ledger.budget, &asked.budget), tasks, modes }
}

// How settings stand to a ledger, and what they change it to.
fn stand(history: &History, asked: &Policy) -> Result<(Standing, Option<Policy>), Error> {
    let before = history.policy();
    if asked.is_like(before) {
        return Ok((Standing::AsSet, None));
    }
    if history.is_unset() {
        // Whatever is asked for first is no more than was allowed before: nothing was.
        return Ok(match possible(asked.check())? {
            Ok(()) => (Standing::Due { next: asked.clone() }, Some(asked.clone())),
            Err(why) => (Standing::Paused { why }, None),
        });
    }
    let next = both(before, asked);
    if let Err(why) = possible(asked.check().and_then(|()| history.check_policy(&next)))? {
        return Ok((Standing::Paused { why }, None));
    }
    let is_held = !both(asked, before).is_like(asked);
    let next = Some(next).filter(|next| !next.is_like(before));
    let due = next.clone().map(|next| Standing::Due { next });
    let standing = match due {
        due if is_held => Standing::Held { asked: asked.clone(), also: due.map(Box::new) },
        due => due.unwrap_or(Standing::AsSet),
    };
    Ok((standing, next))
}

// What a ledger allows, once it has allowed anything.
fn kept(history: &History) -> Option<&Policy> {
    Some(history.policy()).filter(|_| !history.is_unset())
}

// Parts what cannot be kept, in words, from what went wrong.
fn possible(checked: Result<(), ledger::Error>) -> Result<Result<(), String>, Error> {
    match checked {
        Ok(()) => Ok(Ok(())),
        Err(error @ (ledger::Error::Policy(_) | ledger::Error::Inexact { .. })) => Ok(Err(error.to_string())),
        Err(error) => Err(error.into()),
    }
}

fn nothing() -> Policy {
    Policy { modes: Vec::new(), tasks: BTreeMap::new(), ..Settings::default().ledger }
}

fn reason(before: &Policy, why: &str) -> String {
    format!("{why}; before that {before}")
}
