//! What a device may spend. The ledger decides: settings that ask for less lower it by themselves,
//! and settings that ask for more change nothing until the application raises it by
//! [`Device::rebase`], with a reason that the listener can read.

use super::{Device, Error, Host};
use sordino_shared::privacy::ledger::{self, Budget, History, Ledger, Policy};
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
    /// The settings say more than the ledger allows. The device goes on with what the ledger
    /// allows; [`Device::rebase`] changes that.
    Held {
        /// What the settings say.
        asked: Policy,
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
    /// it, where there never was one.
    pub(super) fn open(path: &Path, asked: &Policy, is_known: bool, now: i64) -> Result<(Self, Standing), Error> {
        // One that is there goes on, also where a crash came before the store knew of it.
        if !is_known && !path.exists() {
            return Ok((Self::Open(Ledger::create(path, asked.clone(), now)?), Standing::AsSet));
        }
        let mut ledger = Ledger::inspect(path)?;
        let before = ledger.policy().clone();
        if asked.is_like(&before) {
            return Ok((Self::Open(ledger), Standing::AsSet));
        }
        let both = both(&before, asked);
        let lowered = match asked.check() {
            Ok(()) if both.is_like(&before) => Ok(()),
            Ok(()) => ledger.rebase(both, &reason(&before, "the application allows less than before"), now),
            Err(error) => Err(error),
        };
        let standing = match lowered {
            Ok(()) => standing(&before, ledger.policy(), asked),
            Err(error @ (ledger::Error::Policy(_) | ledger::Error::Inexact { .. })) => {
                Standing::Paused { why: error.to_string() }
            }
            Err(error) => return Err(error.into()),
        };
        Ok((Self::Open(ledger), standing))
    }

    /// Reads it beside the process that has it open.
    pub(super) fn beside(path: &Path, asked: &Policy) -> Result<(Self, Standing), Error> {
        let history = History::read(path)?;
        let before = history.policy();
        let standing = standing(before, before, asked);
        Ok((Self::Beside(history), standing))
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
    ///     Standing::Held { asked } => {
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
    /// still is.
    pub fn rebase(&mut self, policy: Policy, why: &str) -> Result<(), Error> {
        // One line of the ledger is one record: a reason cannot look like another one.
        let why = why.split(|c: char| c.is_control() || c.is_whitespace()).filter(|word| !word.is_empty());
        let why: String = why.collect::<Vec<_>>().join(" ").chars().take(MOST_REASON).collect();
        if why.is_empty() {
            return Err(Error::NoReason);
        }
        let now = self.host.now();
        let ledger = self.purse.open_ledger()?;
        let reason = reason(ledger.policy(), &format!("changed by the application: {why}"));
        ledger.rebase(policy.clone(), &reason, now)?;
        self.settings.ledger = policy;
        self.standing = Standing::AsSet;
        Ok(())
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

fn standing(before: &Policy, allowed: &Policy, asked: &Policy) -> Standing {
    if !both(asked, allowed).is_like(asked) {
        Standing::Held { asked: asked.clone() }
    } else if !before.is_like(allowed) {
        Standing::Lowered { before: before.clone() }
    } else {
        Standing::AsSet
    }
}

fn reason(before: &Policy, why: &str) -> String {
    format!("{why}; before that {before}")
}

const MOST_REASON: usize = 500;
