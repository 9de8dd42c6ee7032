//! The files of He et al. 2017 (Neural Collaborative Filtering): `*.train.rating`, `*.test.rating`, `*.test.negative`.
//! Their test items and negatives are used as they stand.

use super::text::Lines;
use crate::dataset::{Builder, Dataset, FixedTest};
use crate::error::{Error, Result};
use sordino_client::event::{EventKind, PlaybackEvent, Timestamp};
use std::path::{Path, PathBuf};

/// Loads the set from its folder.
pub(super) fn load(path: &Path, name: &str) -> Result<Dataset> {
    let mut builder = Builder::default();
    let train = find(path, ".train.rating")?;
    Lines::open(&train)?.rows::<4>("\t", |[user, item, _, time], at| {
        let time = Timestamp::from_seconds(at.seconds(time)? as i64);
        let track = builder.track(at.name(item, "item")?);
        builder.event(at.name(user, "user")?, PlaybackEvent::new(track, time, EventKind::Play));
        Ok(())
    })?;
    let mut tests: Vec<(usize, FixedTest)> = Vec::new();
    Lines::open(&find(path, ".test.rating")?)?.rows::<4>("\t", |[user, item, _, _], at| {
        let test = Some(builder.track(at.name(item, "item")?));
        tests.push((builder.user(at.name(user, "user")?), FixedTest { test, negatives: Vec::new() }));
        Ok(())
    })?;
    read_negatives(&find(path, ".test.negative")?, &mut builder, &mut tests)?;
    Ok(builder.build(name.to_owned(), true, Some(tests)))
}

// Each line: `(user,item)`, then the negatives, in the order of the test file.
fn read_negatives(path: &Path, builder: &mut Builder, tests: &mut [(usize, FixedTest)]) -> Result<()> {
    let mut lines = Lines::open(path)?;
    let mut next = 0;
    while let Some(line) = lines.next_line()? {
        let mut fields = line.split('\t').map(str::trim);
        let pair = fields.next().unwrap_or_default().trim_matches(['(', ')']).to_owned();
        let negatives: Vec<String> = fields.map(str::to_owned).collect();
        let matching = pair.split_once(',').is_some_and(|(user, item)| {
            tests
                .get(next)
                .is_some_and(|(known, test)| builder.user(user) == *known && builder.known_track(item) == test.test)
        });
        if !matching {
            return Err(lines
                .error(format!("'({pair})' is not row {} of the test file: use the two files of one set", next + 1)));
        }
        if negatives.is_empty() {
            return Err(lines.error("no negatives: is the file complete?"));
        }
        tests[next].1.negatives = negatives.iter().map(|n| builder.track(n)).collect();
        next += 1;
    }
    if next < tests.len() {
        return Err(Error::file(path, format!("has {next} rows for {} tests: is the file complete?", tests.len())));
    }
    Ok(())
}

fn find(folder: &Path, ending: &str) -> Result<PathBuf> {
    let entries = std::fs::read_dir(folder)
        .map_err(|e| Error::file(folder, format!("cannot be read as a folder: {e}; name the folder of the set")))?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|e| e.path()))
        .filter(|p| p.to_string_lossy().ends_with(ending))
        .collect();
    found.sort();
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(Error::file(folder, format!("holds no file ending in {ending}: name the folder of the set"))),
        _ => Err(Error::file(folder, format!("holds several files ending in {ending}: keep one set in a folder"))),
    }
}
