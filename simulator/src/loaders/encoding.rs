//! Which bytes stand for which letters: UTF-8, or the Windows-1252 that older published files have.

use crate::error::{Error, Result};
use std::borrow::Cow;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// How a file's bytes are read as text. Neither ever makes one name of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// UTF-8, with some damaged places.
    Utf8 { damaged: u64 },
    /// Windows-1252, of which Latin-1's letters are a part.
    Windows1252,
}

impl Encoding {
    /// Looks at a whole file.
    pub(super) fn of(path: &Path) -> Result<Self> {
        let broken = |e: std::io::Error| Error::file(path, format!("cannot be read: {e}"));
        let mut file = File::open(path).map_err(|e| Error::file(path, format!("cannot be opened: {e}")))?;
        let mut counts = Counts::default();
        let (mut chunk, mut kept, mut is_first) = (vec![0; CHUNK], 0, true);
        loop {
            let read = file.read(&mut chunk[kept..]).map_err(broken)?;
            let bytes = &chunk[..kept + read];
            if is_first && (bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff")) {
                return Err(Error::file(path, "is UTF-16: save it as UTF-8"));
            }
            if bytes.contains(&0) {
                return Err(Error::file(path, "has a zero byte, so it is no text: check that it is the right file"));
            }
            is_first = false;
            let rest = counts.add(bytes, read == 0);
            let start = bytes.len() - rest;
            if read == 0 {
                return counts.verdict(path);
            }
            chunk.copy_within(start..start + rest, 0);
            kept = rest;
        }
    }

    /// A line or a field as text. A damaged place becomes U+FFFD.
    pub(super) fn text(self, bytes: &[u8]) -> Cow<'_, str> {
        match self {
            Self::Utf8 { .. } => String::from_utf8_lossy(bytes),
            Self::Windows1252 => match std::str::from_utf8(bytes) {
                Ok(text) if bytes.is_ascii() => Cow::Borrowed(text),
                _ => Cow::Owned(bytes.iter().map(|&byte| letter(byte)).collect()),
            },
        }
    }

    /// A line or a field as text; `None` at a damaged place.
    pub(super) fn whole_text(self, bytes: &[u8]) -> Option<Cow<'_, str>> {
        match self {
            Self::Utf8 { .. } => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
            Self::Windows1252 => Some(self.text(bytes)),
        }
    }

    /// Its name for people.
    pub(super) fn name(self) -> String {
        match self {
            Self::Utf8 { damaged: 0 } => "UTF-8".to_owned(),
            Self::Utf8 { damaged } => format!("UTF-8 with {damaged} damaged places"),
            Self::Windows1252 => "Windows-1252 (it is not UTF-8)".to_owned(),
        }
    }
}

#[derive(Default)]
struct Counts {
    // Letters of several bytes, and bytes that are none.
    wide: u64,
    invalid: u64,
    // Bytes that Windows-1252 gives no letter.
    undefined: u64,
}

impl Counts {
    // Counts, and gives the number of bytes at the end that may go on in the next chunk.
    fn add(&mut self, bytes: &[u8], is_last: bool) -> usize {
        if bytes.is_ascii() {
            return 0;
        }
        self.undefined += bytes.iter().filter(|byte| UNDEFINED.contains(byte)).count() as u64;
        let mut rest = bytes;
        loop {
            let (valid, error) = match std::str::from_utf8(rest) {
                Ok(_) => (rest.len(), None),
                Err(e) => (e.valid_up_to(), Some(e.error_len())),
            };
            if !rest[..valid].is_ascii() {
                self.wide += rest[..valid].iter().filter(|&&byte| byte >= 0xc0).count() as u64;
            }
            rest = &rest[valid..];
            match error {
                None => return 0,
                Some(None) if !is_last => {
                    let undefined = rest.iter().filter(|byte| UNDEFINED.contains(byte)).count();
                    self.undefined -= undefined as u64;
                    return rest.len();
                }
                Some(length) => {
                    self.invalid += 1;
                    rest = &rest[length.unwrap_or(rest.len())..];
                }
            }
        }
    }

    // A file with as many letters of UTF-8 as faults is UTF-8 that was damaged: in other encodings
    // hardly any letters look like those.
    fn verdict(&self, path: &Path) -> Result<Encoding> {
        if self.invalid == 0 || (self.wide > 0 && self.wide >= self.invalid) {
            return Ok(Encoding::Utf8 { damaged: self.invalid });
        }
        if self.undefined > 0 {
            return Err(Error::file(
                path,
                "is neither UTF-8 nor Windows-1252: save it as UTF-8 (iconv -f ITS-ENCODING -t UTF-8)",
            ));
        }
        Ok(Encoding::Windows1252)
    }
}

fn letter(byte: u8) -> char {
    match byte {
        0x80..=0x9f => UPPER[usize::from(byte - 0x80)],
        other => char::from(other),
    }
}

const CHUNK: usize = 1 << 18;
const UNDEFINED: [u8; 5] = [0x81, 0x8d, 0x8f, 0x90, 0x9d];
// Where Windows-1252 is not Latin-1; the five undefined ones stand for themselves.
const UPPER: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’',
    '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8]) -> Result<Encoding> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), bytes).expect("a file");
        Encoding::of(file.path())
    }

    #[test]
    fn encodings_are_found_and_no_two_names_fall_together() {
        assert_eq!(of("Björk 坂本".as_bytes()).expect("text"), Encoding::Utf8 { damaged: 0 });
        assert_eq!(of(b"Bj\xf6rk, Jos\xe9\n").expect("text"), Encoding::Windows1252);
        assert_eq!(of("Björk, José, \u{fd}\n".as_bytes()).expect("text"), Encoding::Utf8 { damaged: 0 });
        let damaged = ["Björk, José\n".as_bytes(), b"Mo\xff\n"].concat();
        assert_eq!(of(&damaged).expect("text"), Encoding::Utf8 { damaged: 1 });
        assert!(Encoding::Utf8 { damaged: 1 }.whole_text(b"Mo\xff").is_none());
        assert_eq!(Encoding::Windows1252.text(b"\x93Caf\xe9\x94 \x80"), "“Café” €");
        assert!(of(b"\x8d\x90\xe9").expect_err("neither").to_string().contains("iconv"));
        assert!(of(b"\xff\xfeu\x00s\x00").expect_err("wide").to_string().contains("UTF-16"));
        assert!(of(b"PAR1\x00\x01").expect_err("binary").to_string().contains("no text"));
        let all: std::collections::BTreeSet<String> =
            (1..=255).map(|byte| Encoding::Windows1252.text(&[byte]).into_owned()).collect();
        assert_eq!(all.len(), 255);
    }

    #[test]
    fn letters_that_lie_across_chunks_are_letters() {
        for shift in 0..4 {
            let mut bytes = vec![b'x'; CHUNK - shift];
            bytes.extend("坂本ö".as_bytes());
            assert_eq!(of(&bytes).expect("text"), Encoding::Utf8 { damaged: 0 }, "{shift}");
        }
        assert_eq!(of("ö坂".as_bytes().split_last().expect("bytes").1).expect("text"), Encoding::Utf8 { damaged: 1 });
    }
}
