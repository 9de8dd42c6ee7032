//! Events from JSON Lines: a byte order mark, CRLF and empty lines are let pass, a bad line costs
//! no other.

use super::{NoEvent, PlaybackEvent};
use std::io::{self, BufRead};

/// Reads events, one a line, and gives each with its line's number, from 1.
///
/// ```
/// use sordino_client::event::Lines;
/// let text = "\u{feff}{\"track\": 3, \"time\": 1795000000000, \"kind\": \"like\"}\r\n\r\nhum\r\n";
/// let lines: Vec<_> = Lines::new(text.as_bytes()).collect::<Result<_, _>>()?;
/// assert!(lines[0].1.is_ok());
/// assert!(lines[1].0 == 3 && lines[1].1.is_err(), "the third line is no event");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Lines<R> {
    input: R,
    number: usize,
    line: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// Over this input.
    pub fn new(input: R) -> Self {
        Self { input, number: 0, line: Vec::new() }
    }

    // The next line without its end; of one that is too long no more than that it is. `None` at the
    // end.
    fn next_line(&mut self) -> io::Result<Option<bool>> {
        self.line.clear();
        let (mut any, mut whole) = (false, true);
        loop {
            let bytes = self.input.fill_buf()?;
            if bytes.is_empty() {
                return Ok(any.then_some(whole));
            }
            any = true;
            let end = bytes.iter().position(|&byte| byte == b'\n');
            let part = &bytes[..end.unwrap_or(bytes.len())];
            whole &= self.line.len() + part.len() <= MOST_LINE;
            if whole {
                self.line.extend_from_slice(part);
            }
            let used = part.len() + usize::from(end.is_some());
            self.input.consume(used);
            if end.is_some() {
                return Ok(Some(whole));
            }
        }
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = io::Result<(usize, Result<PlaybackEvent, NoEvent>)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let whole = match self.next_line() {
                Ok(line) => line?,
                Err(error) => return Some(Err(error)),
            };
            self.number += 1;
            if !whole {
                return Some(Ok((self.number, Err(NoEvent::TooLong))));
            }
            let mark: &[u8] = if self.number == 1 { BYTE_ORDER_MARK } else { b"" };
            let line = self.line.strip_prefix(mark).unwrap_or(&self.line);
            match std::str::from_utf8(line) {
                Ok(text) if text.trim().is_empty() => {}
                Ok(text) => return Some(Ok((self.number, PlaybackEvent::from_json(text.trim())))),
                Err(_) => return Some(Ok((self.number, Err(NoEvent::Encoding)))),
            }
        }
    }
}

/// The most bytes of a line that are read; an event has a few hundred.
pub const MOST_LINE: usize = 1 << 16;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"track": 1, "time": 2, "kind": "play"}"#;

    fn read(bytes: &[u8]) -> Vec<(usize, Result<PlaybackEvent, NoEvent>)> {
        // Pieces of seven bytes, so that no line comes whole.
        Lines::new(io::BufReader::with_capacity(7, bytes)).collect::<Result<_, _>>().expect("memory does not fail")
    }

    #[test]
    fn files_of_other_systems_are_read() {
        for text in [
            format!("{GOOD}\n{GOOD}\n"),
            format!("{GOOD}\n{GOOD}"),
            format!("\u{feff}{GOOD}\r\n{GOOD}\r\n"),
            format!("\u{feff}\r\n  {GOOD}\n\n\n\t{GOOD} \n\n"),
        ] {
            let lines = read(text.as_bytes());
            assert!(lines.len() == 2 && lines.iter().all(|(_, line)| line.is_ok()), "{text}: {lines:?}");
        }
        assert!(read(b"").is_empty() && read(b"\xef\xbb\xbf\r\n").is_empty());
    }

    #[test]
    fn a_bad_line_costs_no_other() {
        let long = "x".repeat(MOST_LINE + 1);
        let bytes = [GOOD.as_bytes(), b"\n\xff\xfe{\n", long.as_bytes(), b"\n", GOOD.as_bytes()].concat();
        let lines = read(&bytes);
        let numbers: Vec<usize> = lines.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [1, 2, 3, 4]);
        assert!(lines[0].1.is_ok() && lines[3].1.is_ok());
        assert_eq!((&lines[1].1, &lines[2].1), (&Err(NoEvent::Encoding), &Err(NoEvent::TooLong)));
    }
}
