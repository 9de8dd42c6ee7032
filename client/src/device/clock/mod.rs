//! The device's time, as far as the registry goes: a clock that is put back makes nothing fresh again, and one that jumps ahead by mistake
//! locks the device out of nothing for good.
//!
//! Two times are remembered, durably, and stay when the listener erases what was recorded:
//!
//! - *When it last looked* and all was in date. Neither looks nor choices are ever made at an earlier time. A clock that is far ahead finds
//!   everything expired, so it sets no such time: it always lies before the first date of what was signed then, a day or so ahead at most.
//! - *When what it believes was last found out of date.* That holds for these words alone, whatever the clock says later, until newer ones
//!   have passed every check. So a clock that jumps ahead makes the device stale until it is right again and the server has signed anew,
//!   which it does every six hours.
//!
//! What this does not stop: who puts the clock back *and* keeps the server's newer words from the device can show it words that were signed
//! after its last look and have expired since. Nothing older than that look, and nothing that it has found expired.

use super::{Device, Error, Host};
use serde::{Deserialize, Serialize};
use sordino_shared::registry::{FROZEN_AFTER_MS, Freshness, Trusted};

/// What is remembered, in milliseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Times {
    // When the device was made: from then on it waits for its first word.
    made: i64,
    // When it last looked at the registry and all was in date; 0 before the first time.
    looked: i64,
    // When what it believes was last found out of date, if it was.
    late: Option<i64>,
}

impl Times {
    /// Of a device that is made now.
    pub(super) fn new(clock: i64) -> Self {
        Self { made: clock, ..Self::default() }
    }

    /// The device's time, where the clock says this.
    pub(super) fn at(&self, clock: i64) -> i64 {
        clock.max(self.looked)
    }

    /// Whether what the device believes is in date.
    pub(super) fn freshness(&self, registry: &Trusted, clock: i64) -> Freshness {
        let now = self.at(clock).max(self.late.unwrap_or(i64::MIN));
        // Who keeps the registry from a device from its first day on is found out as late as with any other.
        if !registry.has_looked() && now.saturating_sub(self.made) >= FROZEN_AFTER_MS {
            return Freshness::Frozen;
        }
        registry.freshness(now)
    }

    /// The same with what is to be remembered of it, if anything is.
    pub(super) fn found(&self, registry: &Trusted, clock: i64) -> (Freshness, Option<Self>) {
        let freshness = self.freshness(registry, clock);
        let is_later = self.late.is_none_or(|late| clock > late);
        let found =
            (freshness != Freshness::Fresh && is_later).then(|| Self { late: Some(self.at(clock)), ..self.clone() });
        (freshness, found)
    }

    /// Once the registry has passed every check by [`Self::at`], in the place of what was believed before.
    pub(super) fn looked(&self, before: &Trusted, registry: &Trusted, clock: i64) -> Self {
        // All was in date: whatever the caller's clock says, it is earlier than the first of its dates.
        let looked = self.at(clock).min(registry.expires().1).max(self.looked);
        let late = self.late.filter(|_| !registry.is_newer_than(before));
        Self { looked, late, ..self.clone() }
    }

    /// Reads what was stored.
    pub(super) fn read(stored: Option<&[u8]>) -> Result<Self, Error> {
        let times = stored.map(serde_json::from_slice).transpose();
        Ok(times.map_err(|error| Error::Kept(error.to_string()))?.unwrap_or_default())
    }

    /// What is to be stored.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers")
    }
}

impl<H: Host> Device<H> {
    /// The time at which the registry is looked at, and what it says is done: the host's clock, but never before the last look that found
    /// all in date. In milliseconds since 1970.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn registry_time(&self) -> Result<i64, Error> {
        Ok(self.times()?.at(self.host.now()))
    }

    /// Whether the registry's word is in date: by the dates of all that was signed, and by a time that does not go back. Where some of it
    /// has been out of date for a week, or none has come for a week, the device goes on serving and takes part in nothing: tell the
    /// operator.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn freshness(&mut self) -> Result<Freshness, Error> {
        let (registry, clock) = (self.registry()?, self.host.now());
        let mut freshness = Freshness::Frozen;
        self.store.update(TIMES, |stored| -> Result<_, Error> {
            let found;
            (freshness, found) = Times::read(stored)?.found(&registry, clock);
            Ok(found.map(|times| times.to_bytes()))
        })?;
        Ok(freshness)
    }

    pub(super) fn times(&self) -> Result<Times, Error> {
        Times::read(self.store.get(TIMES)?.as_ref().map(|stored| stored.as_slice()))
    }
}

pub(super) const TIMES: &str = "times";

#[cfg(test)]
mod tests;
