//! Events from a file: each is kept once, and a bad line costs no other, unless all or nothing is
//! asked for.

use super::At;
use crate::words::{count, note, print};
use anyhow::Context;
use sordino_client::device::{Desk, Device};
use sordino_client::event::{Lines, PlaybackEvent};
use sordino_client::store::Recorded;
use std::io::{BufRead, IsTerminal};
use std::path::Path;
use std::process::ExitCode;

pub(super) fn record(at: &At, file: Option<&Path>, strict: bool) -> anyhow::Result<ExitCode> {
    let mut device = at.open_beside()?;
    let name = file.map_or_else(|| "standard input".to_owned(), |file| file.display().to_string());
    let input: Box<dyn BufRead> = match file {
        None => {
            if std::io::stdin().is_terminal() {
                note("reads events from the terminal, one JSON object a line, to the end of the input (Ctrl-D)");
            }
            Box::new(std::io::stdin().lock())
        }
        Some(file) => Box::new(std::io::BufReader::new(std::fs::File::open(file).with_context(|| name.clone())?)),
    };
    let mut told = Told { name, strict, ..Told::default() };
    let result = told.take(&mut device, Lines::new(input));
    // What was kept is said whatever happened.
    told.say();
    result?;
    anyhow::ensure!(!strict || told.refused == 0, "nothing was kept: `--strict` keeps all events or none");
    Ok(if told.refused == 0 { ExitCode::SUCCESS } else { ExitCode::from(SOME_REFUSED) })
}

/// What became of the lines.
#[derive(Default)]
struct Told {
    name: String,
    strict: bool,
    kept: usize,
    known: usize,
    let_go: usize,
    refused: usize,
    // The first few, by line.
    first: Vec<(usize, String)>,
}

impl Told {
    fn take(&mut self, device: &mut Device<Desk>, lines: Lines<Box<dyn BufRead>>) -> anyhow::Result<()> {
        let (mut events, mut numbers) = (Vec::new(), Vec::new());
        for line in lines {
            let (number, event) = line.with_context(|| self.name.clone())?;
            match event {
                Ok(event) => {
                    events.push(event);
                    numbers.push(number);
                }
                Err(why) => self.refuse(number, &why),
            }
            if events.len() == PIECE && !self.strict {
                self.keep(device, &events, &numbers)?;
                events.clear();
                numbers.clear();
            }
        }
        if self.strict && self.refused > 0 {
            // Nothing is kept, and all that is wrong is said at once.
            let refused = device.refusals(&events)?;
            refused.into_iter().for_each(|(place, why)| self.refuse(numbers[place], &why));
            return Ok(());
        }
        self.keep(device, &events, &numbers)
    }

    fn keep(&mut self, device: &mut Device<Desk>, events: &[PlaybackEvent], lines: &[usize]) -> anyhow::Result<()> {
        let recorded = if self.strict { device.record_all_or_none(events) } else { device.record(events) };
        let Recorded { kept, known, refused, let_go } =
            recorded.context("the rest was not kept; each event is kept once, so run the same command again")?;
        self.kept += kept;
        self.known += known;
        self.let_go += let_go;
        refused.into_iter().for_each(|(place, why)| self.refuse(lines[place], &why));
        Ok(())
    }

    fn refuse(&mut self, line: usize, why: &dyn std::fmt::Display) {
        self.refused += 1;
        self.first.push((line, why.to_string()));
        // Lines that could not be read come before those of a piece that the store refused.
        self.first.sort_by_key(|(line, _)| *line);
        self.first.truncate(MOST_SHOWN);
    }

    fn say(&self) {
        for (line, why) in &self.first {
            note(&format!("{}, line {line}: {why}", self.name));
        }
        if self.refused > self.first.len() {
            note(&format!("and {} more", count(self.refused - self.first.len(), "refused line")));
        }
        let mut words =
            format!("{} kept, {} known already, {} refused", count(self.kept, "event"), self.known, self.refused);
        if self.let_go > 0 {
            words.push_str(&format!("; {} let go, which were too old or too many", count(self.let_go, "older event")));
        }
        print(&(words + "\n"));
    }
}

const PIECE: usize = 10_000;
const MOST_SHOWN: usize = 5;
const SOME_REFUSED: u8 = 3;
