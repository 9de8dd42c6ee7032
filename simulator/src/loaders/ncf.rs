//! The files of He et al. 2017 (Neural Collaborative Filtering): `*.train.rating`, `*.test.rating`,
//! `*.test.negative`. Their test items and negatives are used as they stand. Rows have a time only
//! "if have", as the authors put it: where they have none, the set is undated.

use super::Request;
use super::place::{entries, file_name, folder, refuse_packed};
use super::text::Lines;
use crate::dataset::{Builder, Dataset, FixedTest};
use crate::error::{Error, Result, quoted};
use sordino_client::event::{EventKind, PlaybackEvent, Timestamp};
use std::path::{Path, PathBuf};

/// Whether `DIR/ml-1m` stands for files of that name in a folder.
pub(super) fn is_prefix(path: &Path) -> bool {
    with_ending(path, TRAIN).is_file()
}

/// Loads the set from its folder, from one of its files, or by what its files' names have in
/// common.
pub(super) fn load(request: &Request<'_>) -> Result<Dataset> {
    let set = find(request.path)?;
    let mut builder = Builder::default();
    let mut dated = None;
    read_rows(&with_ending(&set, TRAIN), |user, item, time, lines| {
        if *dated.get_or_insert(time.is_some()) != time.is_some() {
            return Err(lines.error("a time is needed in every row or in none: is the file complete?"));
        }
        let time = Timestamp::from_seconds(time.unwrap_or_default() as i64);
        let track = builder.track(item);
        builder.event(user, PlaybackEvent::new(track, time, EventKind::Play));
        Ok(())
    })?;
    let mut tests: Vec<(usize, FixedTest)> = Vec::new();
    read_rows(&with_ending(&set, TEST), |user, item, _, _| {
        let test = Some(builder.track(item));
        tests.push((builder.user(user), FixedTest { test, negatives: Vec::new() }));
        Ok(())
    })?;
    read_negatives(&with_ending(&set, NEGATIVE), &mut builder, &mut tests)?;
    let dated = dated.unwrap_or(false);
    if !dated {
        builder.note(format!("{} has no times: the plays have no dates", file_name(&with_ending(&set, TRAIN))));
    }
    Ok(builder.build(request.name.to_owned(), dated, Some(tests)))
}

// Rows of user, item, rating, and a time where there is one.
fn read_rows(path: &Path, mut each: impl FnMut(&str, &str, Option<f64>, &Lines) -> Result<()>) -> Result<()> {
    let mut lines = Lines::open(path)?;
    while lines.next_line()?.is_some() {
        let at = lines.at();
        let fields: Vec<&str> = lines.line().split('\t').map(str::trim).collect();
        let (user, item, time) = match fields[..] {
            [user, item, _] => (user, item, None),
            [user, item, _, ""] => (user, item, None),
            [user, item, _, time] => (user, item, Some(at.seconds(time)?)),
            _ => {
                let line = quoted(lines.line());
                return Err(at.error(format!("{line} is not user, item, rating and time: is the file complete?")));
            }
        };
        each(at.name(user, "user")?, at.name(item, "item")?, time, &lines)?;
    }
    Ok(())
}

// Each line: `(user,item)`, then the negatives, in the order of the test file.
fn read_negatives(path: &Path, builder: &mut Builder, tests: &mut [(usize, FixedTest)]) -> Result<()> {
    let mut lines = Lines::open(path)?;
    let mut next = 0;
    while let Some(line) = lines.next_line()? {
        let mut fields = line.split('\t').map(str::trim);
        let pair = fields.next().unwrap_or_default().trim_matches(['(', ')']).to_owned();
        let negatives: Vec<String> = fields.filter(|field| !field.is_empty()).map(str::to_owned).collect();
        let matching = pair.split_once(',').is_some_and(|(user, item)| {
            tests.get(next).is_some_and(|(known, test)| {
                builder.user(user.trim()) == *known && builder.known_track(item.trim()) == test.test
            })
        });
        if !matching {
            let pair = quoted(&format!("({pair})"));
            return Err(lines.error(format!("{pair} is not row {} of the test file: use files of one set", next + 1)));
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

// What the names of a set's three files have in common, with their folder.
fn find(path: &Path) -> Result<PathBuf> {
    if is_prefix(path) {
        return check(path.to_owned());
    }
    if path.is_file() {
        refuse_packed(path)?;
        let name = file_name(path);
        let start = ENDINGS.iter().find_map(|ending| name.strip_suffix(ending));
        return match start {
            Some(start) => check(path.with_file_name(start)),
            None => Err(Error::file(path, format!("is none of *{}: name the folder of the set", ENDINGS.join(", *")))),
        };
    }
    let sets = |folder: &Path| -> Vec<PathBuf> {
        let names = entries(folder).into_iter().map(|file| (file_name(&file), file));
        names.filter_map(|(name, file)| Some(file.with_file_name(name.strip_suffix(TRAIN)?))).collect()
    };
    let folder = folder(path, &format!("file ending in {TRAIN}"), |folder| !sets(folder).is_empty())?;
    let mut found = sets(&folder);
    if found.len() > 1 {
        let names: Vec<String> = found.iter().map(|set| format!("ncf:{}", set.display())).collect();
        return Err(Error::file(&folder, format!("holds several sets: choose one of {}", names.join(", "))));
    }
    check(found.remove(0))
}

fn check(set: PathBuf) -> Result<PathBuf> {
    let missing = ENDINGS.iter().map(|ending| with_ending(&set, ending)).find(|file| !file.is_file());
    match missing {
        None => Ok(set),
        Some(file) => Err(Error::file(&file, "is not there: a set has three files, see docs/data.md")),
    }
}

fn with_ending(set: &Path, ending: &str) -> PathBuf {
    set.with_file_name(format!("{}{ending}", file_name(set)))
}

const TRAIN: &str = ".train.rating";
const TEST: &str = ".test.rating";
const NEGATIVE: &str = ".test.negative";
const ENDINGS: [&str; 3] = [TRAIN, TEST, NEGATIVE];
