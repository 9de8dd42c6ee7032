//! How far what a device believes can be the registry's last word: by the expiry of every role, whenever it is used.
//!
//! A look at the registry checks what it loads. What it does not load again, because nothing of it has changed, goes on expiring all the same:
//! whoever holds the server's key signs timestamps for ever, and the people's targets are not theirs to prolong.

use super::error::{Error, Role};
use super::metadata::{Metadata, check_fresh, time_of};
use super::trusted::Trusted;

/// How far the word of the registry can be trusted to be its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// All of it is in date.
    Fresh,
    /// Some of it is out of date, or none has come yet; what serves goes on.
    Stale,
    /// Some of it has been out of date for a week: somebody keeps the news from this device, so it goes on serving and trains no more.
    Frozen,
}

impl Trusted {
    /// Whose metadata expires first of all that is believed, and when, in milliseconds since 1970.
    pub fn expires(&self) -> (Role, i64) {
        // A date that cannot be read is one that has passed.
        let date = |of: &dyn Dated| time_of(of.date()).unwrap_or(i64::MIN);
        let dates = self.held().into_iter().map(|(role, of)| (role, date(of)));
        dates.min_by_key(|(_, date)| *date).expect("there is a root at least")
    }

    /// Whether a look at the registry has ever been made: before the first there is the application's root alone.
    pub fn has_looked(&self) -> bool {
        self.held().len() == Role::ALL.len()
    }

    /// Whether what is known is in date at this time, in milliseconds since 1970; see [`crate::registry`] for what a device takes for the time.
    pub fn freshness(&self, now: i64) -> Freshness {
        match now.saturating_sub(self.expires().1) {
            late if late >= FROZEN_AFTER_MS => Freshness::Frozen,
            late if late >= 0 || !self.has_looked() => Freshness::Stale,
            _ => Freshness::Fresh,
        }
    }

    /// Whether this is a later word than another: by a newer root, or a newer timestamp under the same.
    pub fn is_newer_than(&self, other: &Self) -> bool {
        let number = |of: &Self| (of.root.version, of.timestamp.as_ref().map(|timestamp| timestamp.version));
        number(self) > number(other)
    }

    /// Refuses what is out of date, whether it was loaded just now or long ago.
    pub(super) fn check_dates(&self, now: i64) -> Result<(), Error> {
        self.held().into_iter().try_for_each(|(role, of)| of.check(role, now))
    }

    fn held(&self) -> Vec<(Role, &dyn Dated)> {
        let Self { root, timestamp, snapshot, targets, rollout, serving: _ } = self;
        let later: [(Role, Option<&dyn Dated>); 4] = [
            (Role::Timestamp, timestamp.as_ref().map(|of| of as _)),
            (Role::Snapshot, snapshot.as_ref().map(|of| of as _)),
            (Role::Targets, targets.as_ref().map(|of| of as _)),
            (Role::Rollout, rollout.as_ref().map(|of| of as _)),
        ];
        let later = later.into_iter().filter_map(|(role, of)| Some((role, of?)));
        std::iter::once((Role::Root, root as &dyn Dated)).chain(later).collect()
    }
}

/// Metadata of any role, as far as its date goes.
trait Dated {
    fn date(&self) -> &str;
    fn check(&self, role: Role, now: i64) -> Result<(), Error>;
}

impl<T: Metadata> Dated for T {
    fn date(&self) -> &str {
        self.expires()
    }

    fn check(&self, role: Role, now: i64) -> Result<(), Error> {
        check_fresh(self, role, now)
    }
}

/// How long a device goes on taking part with words that are out of date: a week.
pub const FROZEN_AFTER_MS: i64 = 7 * 86_400_000;
