//! The publisher's files: `log_standard_4_08_to_4_21_VERSION.csv`,
//! `log_standard_4_22_to_5_08_VERSION.csv`, `log_random_4_22_to_5_08_VERSION.csv` and
//! `video_features_basic_VERSION.csv`, VERSION being pure, 1k or 27k, of which the last has its
//! standard logs in two parts.
//!
//! The random log is videos that took the place of what would have been recommended. It is left out
//! unless it is asked for: in KuaiRand-Pure it is 45 of 100 rows and would make a popularity of its
//! own, and its use is to be a test that no recommender chose.

use super::super::place::{entries, file_name};
use super::super::table::{Table, whole_number};
use super::{NOTHING_KNOWN, PLAY_COLUMNS, Play, Random, feature};
use crate::dataset::{Builder, Dataset};
use crate::error::{Error, Result, quoted};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Whether a folder has logs.
pub(super) fn is_here(folder: &Path) -> bool {
    entries(folder).iter().any(|path| is_log(&file_name(path)))
}

/// Whether a file's name is a log's.
pub(super) fn is_log(name: &str) -> bool {
    version(name).is_some()
}

/// Loads a folder.
pub(super) fn load(folder: &Path, name: &str, random: Random) -> Result<Dataset> {
    let all: Vec<PathBuf> = entries(folder).into_iter().filter(|path| is_log(&file_name(path))).collect();
    let names: BTreeSet<String> = all.iter().map(|path| file_name(path)).collect();
    let versions: BTreeSet<&str> = names.iter().filter_map(|name| version(name)).collect();
    let version = *versions.first().expect("a folder with logs was asked for");
    if versions.len() > 1 {
        let all: Vec<&str> = versions.into_iter().collect();
        return Err(Error::file(folder, format!("holds KuaiRand as {}: keep one in a folder", all.join(" and as "))));
    }
    let is_wanted = |path: &PathBuf| match random {
        Random::LeftOut => !is_random(&file_name(path)),
        Random::With => true,
        Random::Only => is_random(&file_name(path)),
    };
    // In the order of their names, which is that of time.
    let logs: Vec<PathBuf> = all.into_iter().filter(is_wanted).collect();
    if logs.is_empty() {
        let needed = if random == Random::Only { RANDOM } else { STANDARD };
        return Err(Error::file(folder, format!("holds no {needed}*.csv: load the set again, or choose by ?random=")));
    }
    let mut builder = Builder::default();
    read_logs(&mut builder, &logs)?;
    for missing in expected(version).into_iter().filter(|name| !names.contains(name)) {
        if random != Random::Only && !is_random(&missing) {
            builder.note(format!("{missing} is not there: its plays are missing"));
        }
    }
    for name in names.iter().filter(|name| is_random(name) && random == Random::LeftOut) {
        builder.note(format!(
            "{name} (videos shown at random) is left out: ?random=with behind the path reads it too, ?random=only it alone"
        ));
    }
    read_features(folder, version, &mut builder)?;
    builder.sort_by_time();
    Ok(builder.build(name.to_owned(), true, None))
}

/// Loads one log.
pub(super) fn load_log(path: &Path, name: &str) -> Result<Dataset> {
    let mut builder = Builder::default();
    read_logs(&mut builder, &[path.to_owned()])?;
    let version = version(&file_name(path)).unwrap_or_default().to_owned();
    read_features(path.parent().unwrap_or(path), &version, &mut builder)?;
    builder.sort_by_time();
    Ok(builder.build(name.to_owned(), true, None))
}

fn read_logs(builder: &mut Builder, logs: &[PathBuf]) -> Result<()> {
    let mut parts = Vec::new();
    for log in logs {
        parts.push(format!("{} ({} plays)", file_name(log), read_log(log, builder)?));
    }
    builder.note(format!("KuaiRand, read: {}", parts.join(", ")));
    Ok(())
}

fn read_log(path: &Path, builder: &mut Builder) -> Result<u64> {
    let mut table = Table::open(path, b',')?;
    let places = table.header(PLAY_COLUMNS, PLAY_COLUMNS.len() - 1)?;
    let width = table.width();
    let mut plays = 0;
    while table.advance()? {
        let record = table.record();
        let mut numbers = [None; PLAY_COLUMNS.len()];
        let mut bad = None;
        for (number, place) in numbers.iter_mut().zip(places) {
            let field = place.and_then(|place| record.get(place)).unwrap_or_default();
            match whole_number(field) {
                Ok(value) => *number = value,
                Err(()) => bad = Some(String::from_utf8_lossy(field).into_owned()),
            }
        }
        table.expect_fields(width)?;
        if let Some(field) = bad {
            let field = quoted(&field);
            return Err(table.error(format!("{field} is not a whole number: check that this is a file of KuaiRand")));
        }
        match Play::of(numbers).map_err(|problem| table.error(problem))? {
            Some(play) => play.add(builder),
            None => {
                builder.pass_over(NOTHING_KNOWN);
                continue;
            }
        }
        plays += 1;
    }
    Ok(plays)
}

fn read_features(folder: &Path, version: &str, builder: &mut Builder) -> Result<()> {
    let path = folder.join(format!("{FEATURES}{version}.csv"));
    if !path.is_file() {
        builder.note(format!("{FEATURES}{version}.csv is not there: nothing is public of the videos"));
        return Ok(());
    }
    let mut table = Table::open(&path, b',')?;
    let places = table.header(FEATURE_COLUMNS, FEATURE_COLUMNS.len())?.map(|place| place.expect("all are needed"));
    let width = table.width();
    while table.advance()? {
        table.expect_fields(width)?;
        let record = table.record();
        let fields = places.map(|place| std::str::from_utf8(&record[place]).map(str::trim));
        let [Ok(video), ..] = fields else { return Err(table.error(NO_TEXT)) };
        for (field, name) in fields[1..].iter().zip(["author", "upload", "music", "tag"]) {
            let Ok(field) = field else { return Err(table.error(NO_TEXT)) };
            for value in field.split(',').map(str::trim).filter(|value| !value.is_empty()) {
                builder.feature(video, &feature(name, value));
            }
        }
    }
    Ok(())
}

// `pure` of `log_standard_4_08_to_4_21_pure.csv`, `27k` of
// `log_standard_4_08_to_4_21_27k_part1.csv`.
fn version(name: &str) -> Option<&str> {
    let rest = name.strip_prefix(STANDARD).or_else(|| name.strip_prefix(RANDOM))?.strip_suffix(".csv")?;
    let rest = PERIODS.iter().find_map(|period| rest.strip_prefix(period))?;
    let version = rest.split_once("_part").map_or(rest, |(version, _)| version);
    (!version.is_empty()).then_some(version)
}

fn is_random(name: &str) -> bool {
    name.starts_with(RANDOM)
}

// The logs that the publisher lists.
fn expected(version: &str) -> Vec<String> {
    let parts: &[&str] = if version == "27k" { &["_part1", "_part2"] } else { &[""] };
    let standard = PERIODS
        .iter()
        .flat_map(|period| parts.iter().map(move |part| format!("{STANDARD}{period}{version}{part}.csv")));
    standard.collect()
}

const NO_TEXT: &str = "is not UTF-8: check that this is a file of KuaiRand";
const STANDARD: &str = "log_standard_";
const RANDOM: &str = "log_random_";
const FEATURES: &str = "video_features_basic_";
const PERIODS: [&str; 2] = ["4_08_to_4_21_", "4_22_to_5_08_"];
const FEATURE_COLUMNS: [&str; 5] = ["video_id", "author_id", "upload_type", "music_type", "tag"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_publishers_names_are_known() {
        for known in ["pure", "1k", "27k"] {
            for name in expected(known) {
                assert_eq!(version(&name), Some(known), "{name}");
            }
        }
        assert_eq!(version("log_random_4_22_to_5_08_1k.csv"), Some("1k"));
        assert_eq!(expected("27k").len(), 4);
        for other in ["log_standard.csv", "video_features_basic_pure.csv", "log_standard_4_08_to_4_21_pure.csv.gz"] {
            assert_eq!(version(other), None, "{other}");
        }
    }
}
