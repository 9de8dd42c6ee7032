//! The audit log: each row holds the hash of the one before it, so that none can be changed, left out or put in between.
//! (Whoever can write the whole log anew can write another one: keep the last hash elsewhere.)

use serde::Serialize;
use sordino_shared::secagg::{Hash, digest};
use thiserror::Error;

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditRow {
    /// Its number, from 1.
    pub number: u64,
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// What changed.
    pub what: String,
    /// Hash of the row before it and of this one.
    #[serde(serialize_with = "as_digits")]
    pub hash: Hash,
}

/// The log is not as it was written.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the audit log is broken at row {0}: it was changed, or rows are missing before it")]
pub struct BrokenChain(pub u64);

impl AuditRow {
    /// The row after `before`, or the first.
    pub(super) fn after(before: Option<&(u64, Hash)>, at: i64, what: &str) -> Self {
        let (last, previous) = before.copied().unwrap_or((0, [0; 32]));
        let number = last + 1;
        Self { number, at, what: what.to_owned(), hash: chained(&previous, number, at, what) }
    }
}

/// Checks a log from its start.
///
/// # Errors
/// [`BrokenChain`] at the first row that does not fit.
pub fn verify(rows: &[AuditRow]) -> Result<(), BrokenChain> {
    let mut before = None;
    for row in rows {
        if AuditRow::after(before.as_ref(), row.at, &row.what) != *row {
            return Err(BrokenChain(row.number));
        }
        before = Some((row.number, row.hash));
    }
    Ok(())
}

fn chained(previous: &Hash, number: u64, at: i64, what: &str) -> Hash {
    let mut bytes = b"sordino audit v1".to_vec();
    bytes.extend_from_slice(previous);
    bytes.extend_from_slice(&number.to_le_bytes());
    bytes.extend_from_slice(&at.to_le_bytes());
    bytes.extend_from_slice(what.as_bytes());
    digest(&bytes)
}

fn as_digits<S: serde::Serializer>(hash: &Hash, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&sordino_shared::control::hexadecimal(hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_show() {
        let mut rows: Vec<AuditRow> = Vec::new();
        for at in 0..5 {
            let before = rows.last().map(|row: &AuditRow| (row.number, row.hash));
            rows.push(AuditRow::after(before.as_ref(), at, &format!("change {at}")));
        }
        assert_eq!(verify(&rows), Ok(()));
        let mut changed = rows.clone();
        changed[2].what.push('!');
        assert_eq!(verify(&changed), Err(BrokenChain(3)));
        let mut cut = rows.clone();
        cut.remove(1);
        assert_eq!(verify(&cut), Err(BrokenChain(3)));
        let mut later = rows;
        later[4].at += 1;
        assert_eq!(verify(&later), Err(BrokenChain(5)));
    }
}
