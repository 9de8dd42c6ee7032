//! Which day it is, for what has grown too old: a clock that is far ahead by mistake deletes nothing at once.
//!
//! A day that is more than [`JUMP`] days after the last one is believed when the clock still says so, or later, [`WAIT`] days on.
//! Until then the last day counts. A clock that goes back is believed: it deletes less.

use super::Error;
use super::seal::{Seals, randomness};
use rusqlite::{OptionalExtension, Transaction, params};

/// The last day that was believed, and since when the clock has been saying something else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Days {
    last: i64,
    ahead_since: Option<i64>,
}

impl Days {
    fn next(self, clock: i64) -> Self {
        if clock <= self.last.saturating_add(JUMP) {
            return Self { last: clock, ahead_since: None };
        }
        // A clock that has come nearer since says something else again.
        let since = self.ahead_since.unwrap_or(clock).min(clock);
        match clock - since >= WAIT {
            true => Self { last: clock, ahead_since: None },
            false => Self { ahead_since: Some(since), ..self },
        }
    }
}

/// The day that counts, where the clock says this one.
pub(super) fn today(transaction: &Transaction<'_>, seals: &Seals, clock: i64) -> Result<i64, Error> {
    let sealed: Option<Vec<u8>> = transaction.prepare_cached(SELECT)?.query_row([], |row| row.get(0)).optional()?;
    let known = sealed.map(|sealed| seals.open(NAME, &sealed)).transpose()?;
    let known: Option<Days> = known.map(|bytes| from_bytes(&bytes).ok_or(Error::Sealed)).transpose()?;
    let next = known.map_or(Days { last: clock, ahead_since: None }, |known| known.next(clock));
    if known != Some(next) {
        let sealed = seals.seal(&mut randomness()?, NAME, &to_bytes(next))?;
        transaction.prepare_cached(PUT)?.execute(params![sealed])?;
    }
    Ok(next.last)
}

// Of one length.
fn to_bytes(days: Days) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&days.last.to_le_bytes());
    bytes[8..].copy_from_slice(&days.ahead_since.unwrap_or(i64::MIN).to_le_bytes());
    bytes
}

fn from_bytes(bytes: &[u8]) -> Option<Days> {
    let (last, since) = bytes.split_first_chunk::<8>()?;
    let since = i64::from_le_bytes(since.try_into().ok()?);
    Some(Days { last: i64::from_le_bytes(*last), ahead_since: (since != i64::MIN).then_some(since) })
}

/// Days that a device may have been away without a doubt about its clock.
const JUMP: i64 = 14;
/// Days for which a clock has to say the same.
const WAIT: i64 = 3;
const NAME: &[u8] = b"\0the last day";
const SELECT: &str = "SELECT sealed FROM state WHERE place = 2";
const PUT: &str = "INSERT INTO state (place, sealed) VALUES (2, ?1) ON CONFLICT DO UPDATE SET sealed = excluded.sealed";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_believed_when_it_stays() {
        let mut days = Days { last: 100, ahead_since: None };
        let mut told = |clock: i64| {
            days = days.next(clock);
            days.last
        };
        assert_eq!([101, 115, 114].map(&mut told), [101, 115, 114], "a little ahead, and back");
        assert_eq!([600, 600, 602].map(&mut told), [114; 3], "far ahead");
        assert_eq!([116].map(&mut told), [116], "right again");
        assert_eq!([600, 601, 602].map(&mut told), [116; 3]);
        assert_eq!([603, 604].map(&mut told), [603, 604], "it has stayed: the device was away");
        assert_eq!([900, 700, 702].map(&mut told), [604; 3], "another one, and not yet for long");
        assert_eq!([703, i64::MAX, 5].map(&mut told), [703, 703, 5]);
        for days in [Days::default(), Days { last: -5, ahead_since: Some(7) }] {
            assert_eq!(from_bytes(&to_bytes(days)), Some(days));
        }
    }
}
