//! A cut of KuaiRand as Parquet: `events.parquet`, and beside it, where they are,
//! `user_sequences.parquet` (each user's earlier plays) and `item_features.parquet` (content).
//!
//! Of the earlier plays it is known whether they were watched long: those are plays, the others
//! skips, neither with a length. Their order is known and their times are not, so they are laid out
//! an hour apart before the last.

use super::super::place::file_name;
use super::{NOTHING_KNOWN, PLAY_COLUMNS, Play, feature};
use crate::dataset::{Builder, Dataset};
use crate::error::{Error, Result, quoted};
use crate::progress;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use sordino_client::event::{EventKind, PlaybackEvent, Timestamp};
use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

/// Loads the set from its folder.
pub(super) fn load(path: &Path, name: &str) -> Result<Dataset> {
    let events = path.join(EVENTS);
    let mut builder = Builder::default();
    let (place, needed) = PLAY_COLUMNS.split_last().expect("columns");
    read(&events, needed, Some(place), |row, at| add_event(&mut builder, row, at))?;
    let sequences = path.join("user_sequences.parquet");
    if sequences.is_file() {
        read(&sequences, &["user_id", "last_time_ms", "like_seq", "long_watch_seq"], Some("watch_seq"), |row, at| {
            add_history(&mut builder, row, at)
        })?;
    }
    let features = path.join("item_features.parquet");
    if features.is_file() {
        read(&features, &["video_id", "author_id", "upload_type", "music_type", "tag"], None, |row, _| {
            add_features(&mut builder, row);
            Ok(())
        })?;
    }
    Ok(builder.build(name.to_owned(), true, None))
}

/// The file of events.
pub(super) const EVENTS: &str = "events.parquet";
fn add_event(builder: &mut Builder, row: &[Field], at: &At<'_>) -> Result<()> {
    match Play::of(whole_numbers(row, at)?).map_err(|problem| at.error(problem))? {
        Some(play) => play.add(builder),
        None => builder.pass_over(NOTHING_KNOWN),
    }
    Ok(())
}

fn add_history(builder: &mut Builder, row: &[Field], at: &At<'_>) -> Result<()> {
    let [user, last] = whole_numbers(&row[..2], at)?;
    let (Some(user), Some(last)) = (user, last) else {
        builder.pass_over("history without user or time");
        return Ok(());
    };
    let user = user.to_string();
    let [liked, long, watched] = [2, 3, 4].map(|column| match row.get(column) {
        Some(Field::ListInternal(list)) => list.elements().iter().filter_map(whole).collect::<Vec<i64>>(),
        _ => Vec::new(),
    });
    let (were_long, known): (BTreeSet<i64>, BTreeSet<i64>) =
        (long.iter().copied().collect(), watched.iter().copied().collect());
    // Both lists have an end: what was watched long reaches further back.
    let older = long.into_iter().filter(|video| !known.contains(video));
    let all: Vec<i64> = older.chain(watched).collect();
    let kind = |video| if were_long.contains(video) { EventKind::Play } else { EventKind::Skip };
    let kinds: Vec<EventKind> = all.iter().map(kind).collect();
    let likes = vec![EventKind::Like; liked.len()];
    for (videos, kinds) in [(all, kinds), (liked, likes)] {
        let count = videos.len() as i64;
        for (place, (video, kind)) in videos.into_iter().zip(kinds).enumerate() {
            let track = builder.track(&video.to_string());
            let time = Timestamp((last - (count - place as i64) * HOUR_MS).max(0));
            builder.event(&user, PlaybackEvent::new(track, time, kind));
        }
    }
    Ok(())
}

fn add_features(builder: &mut Builder, row: &[Field]) {
    let Some(video) = whole(&row[0]).map(|v| v.to_string()) else { return };
    for (field, name) in row[1..].iter().zip(["author", "upload", "music", "tag"]) {
        match field {
            Field::Str(value) => value.split(',').for_each(|v| builder.feature(&video, &feature(name, v))),
            Field::Null => {}
            other => builder.feature(&video, &feature(name, &other.to_string())),
        }
    }
}

const HOUR_MS: i64 = 3_600_000;

// Calls `each` with the named columns of every row, in the order named, and then the optional one
// where the file has it.
fn read(
    path: &Path,
    columns: &[&str],
    optional: Option<&str>,
    mut each: impl FnMut(&[Field], &At<'_>) -> Result<()>,
) -> Result<()> {
    let broken = |e: &dyn std::fmt::Display| Error::file(path, format!("is not a whole Parquet file: {e}"));
    let file = File::open(path).map_err(|e| Error::file(path, format!("cannot be opened: {e}")))?;
    let reader = SerializedFileReader::new(file).map_err(|e| broken(&e))?;
    let schema = reader.metadata().file_metadata().schema();
    let has = |column: &str| schema.get_fields().iter().any(|field| field.name() == column);
    let missing: Vec<&str> = columns.iter().copied().filter(|column| !has(column)).collect();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        return Err(Error::file(path, format!("has no column {missing}: check that this is a file of KuaiRand")));
    }
    let rows = reader.metadata().file_metadata().num_rows().max(0) as u64;
    let bar = progress::steps(rows, &file_name(path));
    let mut place: Option<Vec<usize>> = None;
    for (number, row) in reader.get_row_iter(None).map_err(|e| broken(&e))?.enumerate() {
        let row: Row = row.map_err(|e| broken(&e))?;
        let fields = row.into_columns();
        let order = place.get_or_insert_with(|| {
            columns
                .iter()
                .copied()
                .chain(optional)
                .filter_map(|c| fields.iter().position(|(name, _)| name == c))
                .collect()
        });
        let chosen: Vec<Field> = order.iter().map(|&i| fields[i].1.clone()).collect();
        each(&chosen, &At { path, row: number as u64 + 1 })?;
        if number.is_multiple_of(4096) {
            bar.set_position(number as u64);
        }
    }
    bar.finish_and_clear();
    Ok(())
}

struct At<'a> {
    path: &'a Path,
    row: u64,
}

impl At<'_> {
    fn error(&self, problem: impl Into<String>) -> Error {
        Error::line(self.path, self.row, problem)
    }
}

fn whole_numbers<const N: usize>(row: &[Field], at: &At<'_>) -> Result<[Option<i64>; N]> {
    let mut out = [None; N];
    for (value, field) in out.iter_mut().zip(row) {
        *value = whole(field);
        if value.is_none() && *field != Field::Null {
            let field = quoted(&field.to_string());
            return Err(at.error(format!("{field} is not a whole number: check that this is a file of KuaiRand")));
        }
    }
    Ok(out)
}

fn whole(field: &Field) -> Option<i64> {
    match field {
        Field::Bool(v) => Some(i64::from(*v)),
        Field::Byte(v) => Some(i64::from(*v)),
        Field::Short(v) => Some(i64::from(*v)),
        Field::Int(v) => Some(i64::from(*v)),
        Field::Long(v) => Some(*v),
        Field::UInt(v) => Some(i64::from(*v)),
        Field::ULong(v) => i64::try_from(*v).ok(),
        Field::Float(v) if v.fract() == 0.0 => Some(*v as i64),
        Field::Double(v) if v.fract() == 0.0 => Some(*v as i64),
        _ => None,
    }
}
