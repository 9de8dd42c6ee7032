//! One look at the registry: what to load next, and what to make of it. Nothing is believed before the last check has passed.

use super::error::{Error, Role};
use super::trusted::{Trusted, listed};
use crate::control::{Announced, Download};

/// A look at the registry under way.
#[derive(Clone, Debug)]
pub struct Refresh {
    trusted: Trusted,
    // Roots from the one after the device's on.
    roots: std::vec::IntoIter<Download>,
    timestamp: Download,
    next: Next,
}

#[derive(Clone, Debug)]
enum Next {
    Root(Download),
    Timestamp,
    Snapshot(Download),
    Targets(Download),
    Rollout(Download),
    Serving(Download),
    // Everything is there.
    Nothing,
    // Something was refused: nothing of the look is believed.
    Refused,
}

impl Refresh {
    /// Of what a server announces. What it announces is believed only as far as it is signed.
    pub fn new(trusted: Trusted, announced: &Announced) -> Self {
        let known = usize::try_from(trusted.root()).unwrap_or(usize::MAX);
        let mut roots: Vec<Download> = announced.roots.clone();
        // The first announced is root 1.
        roots.drain(..known.min(roots.len()));
        let mut roots = roots.into_iter();
        let next = roots.next().map_or(Next::Timestamp, Next::Root);
        Self { trusted, roots, timestamp: announced.timestamp, next }
    }

    /// What is to be loaded next; `None` when everything is there.
    pub fn wanted(&self) -> Option<Download> {
        let wanted = match &self.next {
            Next::Timestamp => self.timestamp,
            Next::Root(of) | Next::Snapshot(of) | Next::Targets(of) | Next::Rollout(of) | Next::Serving(of) => *of,
            Next::Nothing | Next::Refused => return None,
        };
        Some(wanted)
    }

    /// Takes what was loaded. `now` is the device's time in milliseconds since 1970; what is not loaded again must be in date by it as well.
    ///
    /// # Errors
    /// [`enum@Error`]; then the look has failed, and what was believed before stays so.
    pub fn take(&mut self, bytes: &[u8], now: i64) -> Result<(), Error> {
        let trusted = &mut self.trusted;
        self.next = match std::mem::replace(&mut self.next, Next::Refused) {
            Next::Root(_) => {
                trusted.take_root(bytes)?;
                self.roots.next().map_or(Next::Timestamp, Next::Root)
            }
            Next::Timestamp => {
                let is_new = trusted.take_timestamp(bytes, now)?;
                let has_targets = trusted.targets.is_some();
                let known = trusted.snapshot.as_ref().map(|snapshot| snapshot.version).filter(|_| has_targets);
                let named = listed(trusted.timestamp.as_ref().expect("just taken"), Role::Snapshot)?;
                match (is_new || !has_targets) && known != Some(named.version) {
                    true => Next::Snapshot(named.wanted()?),
                    false => complete(trusted, now)?,
                }
            }
            Next::Snapshot(_) => {
                trusted.take_snapshot(bytes, now)?;
                Next::Targets(trusted.in_snapshot(Role::Targets)?.wanted()?)
            }
            Next::Targets(_) => {
                trusted.take_targets(bytes, now)?;
                Next::Rollout(trusted.in_snapshot(Role::Rollout)?.wanted()?)
            }
            Next::Rollout(_) => {
                trusted.take_rollout(bytes, now)?;
                Next::Serving(trusted.serving_target()?.wanted()?)
            }
            Next::Serving(_) => {
                trusted.take_serving(bytes)?;
                complete(trusted, now)?
            }
            over @ (Next::Nothing | Next::Refused) => over,
        };
        Ok(())
    }

    /// What is believed now, once everything is there.
    pub fn done(self) -> Option<Trusted> {
        matches!(self.next, Next::Nothing).then_some(self.trusted)
    }
}

// Everything is there: all of it is in date, also what had not changed and was not loaded.
fn complete(trusted: &Trusted, now: i64) -> Result<Next, Error> {
    trusted.check_dates(now).map(|()| Next::Nothing)
}
