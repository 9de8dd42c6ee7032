//! Numbers in rows of little-endian bytes, written and read back under checks: for models and what is sent with a round.

use thiserror::Error;

/// Why bytes are not what they should be.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// They do not begin as they should, or name a kind that is not known.
    #[error("these bytes are of another kind or version: update this program")]
    Kind,
    /// Bytes are missing or left over.
    #[error("the bytes end too early or too late: load them again")]
    Length,
    /// A number that cannot be.
    #[error("the bytes hold a number that is not finite or out of range")]
    Number,
}

pub(crate) fn put_f32s<'a>(bytes: &mut Vec<u8>, values: impl IntoIterator<Item = &'a f32>) {
    values.into_iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
}

pub(crate) fn put_f64s(bytes: &mut Vec<u8>, values: &[f64]) {
    values.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
}

/// Takes numbers off the front.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Of bytes that begin with a name.
    pub(crate) fn new(bytes: &'a [u8], name: &[u8; 8]) -> Result<Self, Error> {
        bytes.strip_prefix(name).map(Self).ok_or(Error::Kind)
    }

    pub(crate) fn number(&mut self) -> Result<usize, Error> {
        let (number, rest) = self.0.split_first_chunk().ok_or(Error::Length)?;
        self.0 = rest;
        usize::try_from(u64::from_le_bytes(*number)).map_err(|_| Error::Number)
    }

    /// Finite numbers, as many; nothing is allocated that is not there.
    pub(crate) fn f32s(&mut self, count: usize) -> Result<Vec<f32>, Error> {
        let values: Vec<f32> = self.chunks(count)?.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect();
        if values.iter().all(|value| value.is_finite()) { Ok(values) } else { Err(Error::Number) }
    }

    /// As [`Self::f32s`].
    pub(crate) fn f64s(&mut self, count: usize) -> Result<Vec<f64>, Error> {
        let values: Vec<f64> = self.chunks(count)?.iter().map(|chunk| f64::from_le_bytes(*chunk)).collect();
        if values.iter().all(|value| value.is_finite()) { Ok(values) } else { Err(Error::Number) }
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// So many bytes.
    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Error::Length)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn end(&self) -> Result<(), Error> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::Length) }
    }

    fn chunks<const N: usize>(&mut self, count: usize) -> Result<&'a [[u8; N]], Error> {
        let bytes = self.take(count.checked_mul(N).ok_or(Error::Length)?)?;
        Ok(bytes.as_chunks().0)
    }
}
