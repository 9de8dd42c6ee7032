//! HetRec 2011 Last.fm (Cantador et al. 2011): play counts of artists, and dated tags.
//!
//! Each (listener, artist) is used once: published figures that train on the tag table rank artists
//! that the listener had already. Plays have no dates; the date of a listener's first tag on an
//! artist stands in where there is one, and the data set counts as undated. Tags are the artists'
//! content, their names the titles.

use super::Request;
use super::place::folder;
use super::text::{At, Lines};
use super::time::days_from_civil;
use crate::dataset::{Builder, Dataset};
use crate::error::{Error, Result, quoted};
use sordino_client::event::{EventKind, PlaybackEvent, Timestamp};
use std::collections::HashMap;
use std::path::Path;

/// Loads the set from its folder, its archive's root, or its file of plays.
pub(super) fn load(request: &Request<'_>) -> Result<Dataset> {
    let folder = match request.path {
        file if file.file_name().is_some_and(|name| name == PLAYS) => {
            file.parent().unwrap_or(Path::new(".")).to_owned()
        }
        file if file.is_file() => {
            super::place::refuse_packed(file)?;
            return Err(Error::file(file, format!("is not {PLAYS}: name the folder of HetRec 2011 Last.fm")));
        }
        path => folder(path, &format!("{PLAYS} of HetRec 2011 Last.fm"), |folder| folder.join(PLAYS).is_file())?,
    };
    let path = folder.as_path();
    let plays = path.join(PLAYS);
    let mut builder = Builder::default();
    let mut dates = HashMap::<(String, String), i64>::new();
    let mut uses = HashMap::<(String, String), u32>::new();
    let [by_date, by_time] = [TAGGED, TAGGED_TIMES].map(|name| path.join(name));
    if by_date.is_file() {
        read_tags(&by_date, &mut dates, &mut uses)?;
    } else if by_time.is_file() {
        read_timed_tags(&by_time, &mut dates, &mut uses)?;
    } else {
        builder.note(format!("HetRec Last.fm: neither {TAGGED} nor {TAGGED_TIMES} is there: no tags, and no dates"));
    }
    for missing in [TAGS, ARTISTS].into_iter().filter(|name| !path.join(name).is_file()) {
        builder.note(format!("HetRec Last.fm: {missing} is not there: numbers stand for its names"));
    }
    let mut lines = Lines::open(&plays)?;
    lines.expect_header("userID\tartistID\tweight")?;
    lines.rows::<3>("\t", |[user, artist, weight], at| {
        let count = at.number(weight, "play count")?;
        if count < 0.0 {
            return Err(at.error(format!("the play count {} is negative: correct or remove the row", quoted(weight))));
        }
        if count == 0.0 {
            builder.pass_over("play count of zero");
            return Ok(());
        }
        let track = builder.track(at.name(artist, "artist")?);
        let day = dates.get(&(user.to_string(), artist.to_string())).copied();
        let time = Timestamp(day.unwrap_or(UNKNOWN_DAY) * DAY_MS);
        builder.event(at.name(user, "user")?, PlaybackEvent::new(track, time, EventKind::Play));
        Ok(())
    })?;
    let names = tag_names(&path.join(TAGS))?;
    let mut uses: Vec<_> = uses.into_iter().filter(|(_, count)| *count >= 2).collect();
    uses.sort();
    for ((artist, tag), _) in uses {
        builder.feature(&artist, names.get(&tag).map_or(&tag, |name| name));
    }
    read_artists(&path.join(ARTISTS), &mut builder)?;
    Ok(builder.build(request.name.to_owned(), false, None))
}

type Dates = HashMap<(String, String), i64>;
type Uses = HashMap<(String, String), u32>;

fn read_tags(path: &Path, dates: &mut Dates, uses: &mut Uses) -> Result<()> {
    let mut lines = Lines::open(path)?;
    lines.expect_header("userID\tartistID\ttagID\tday\tmonth\tyear")?;
    lines.rows::<6>("\t", |[user, artist, tag, day, month, year], at| {
        let (year, month) = (whole(at, year, "year", 1, 9999)?, whole(at, month, "month", 1, 12)?);
        note_tag(user, artist, tag, days_from_civil(year, month, whole(at, day, "day", 1, 31)?), dates, uses);
        Ok(())
    })
}

// The same tags with their times: midnights of Madrid, an hour or two before those of UTC.
fn read_timed_tags(path: &Path, dates: &mut Dates, uses: &mut Uses) -> Result<()> {
    let mut lines = Lines::open(path)?;
    lines.expect_header("userID\tartistID\ttagID\ttimestamp")?;
    lines.rows::<4>("\t", |[user, artist, tag, time], at| {
        let time = whole(at, time, "timestamp", LEAST_TIME_MS, MOST_TIME_MS)?;
        let day = (time + MADRID_MS).div_euclid(DAY_MS);
        note_tag(user, artist, tag, day, dates, uses);
        Ok(())
    })
}

// A whole number in its range.
fn whole(at: &At<'_>, text: &str, what: &str, least: i64, most: i64) -> Result<i64> {
    let number = at.number(text, what)?;
    match number.fract() == 0.0 && (least as f64..=most as f64).contains(&number) {
        true => Ok(number as i64),
        false => {
            let given = quoted(text);
            Err(at.error(format!(
                "the {what} {given} is no whole number from {least} to {most}: correct or remove the row"
            )))
        }
    }
}

fn note_tag(user: &str, artist: &str, tag: &str, day: i64, dates: &mut Dates, uses: &mut Uses) {
    let first = dates.entry((user.to_owned(), artist.to_owned())).or_insert(day);
    *first = (*first).min(day);
    *uses.entry((artist.to_owned(), tag.to_owned())).or_default() += 1;
}

fn read_artists(path: &Path, builder: &mut Builder) -> Result<()> {
    if path.is_file() {
        let mut lines = Lines::open(path)?;
        lines.expect_header("id\tname\turl\tpictureURL")?;
        while let Some(line) = lines.next_line()? {
            let mut fields = line.split('\t');
            if let (Some(artist), Some(name)) = (fields.next(), fields.next()) {
                builder.title(artist, name);
            }
        }
    }
    Ok(())
}

fn tag_names(path: &Path) -> Result<HashMap<String, String>> {
    let mut names = HashMap::new();
    if path.is_file() {
        let mut lines = Lines::open(path)?;
        lines.expect_header("tagID\ttagValue")?;
        lines.rows::<2>("\t", |[id, value], _| {
            names.insert(id.to_string(), value.to_string());
            Ok(())
        })?;
    }
    Ok(names)
}

const PLAYS: &str = "user_artists.dat";
const TAGGED: &str = "user_taggedartists.dat";
const TAGGED_TIMES: &str = "user_taggedartists-timestamps.dat";
const TAGS: &str = "tags.dat";
const ARTISTS: &str = "artists.dat";
const DAY_MS: i64 = 86_400_000;
const MADRID_MS: i64 = 7_200_000;
// The years 1 to 9999: published rows go back to 1956.
const LEAST_TIME_MS: i64 = -62_135_596_800_000;
const MOST_TIME_MS: i64 = 253_402_300_799_999;
// The middle of 2008, among the tags' own dates.
const UNKNOWN_DAY: i64 = 14_060;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_that_stands_for_none_is_the_middle_of_2008() {
        assert_eq!(days_from_civil(2008, 6, 30), UNKNOWN_DAY);
    }

    #[test]
    fn midnights_of_madrid_are_days_in_summer_and_in_winter() {
        // 1 April 2009 and 1 January 2009, as the publisher's page and its files have them.
        for (time, date) in [(1_238_536_800_000, (2009, 4, 1)), (1_230_764_400_000, (2009, 1, 1))] {
            assert_eq!((time + MADRID_MS).div_euclid(DAY_MS), days_from_civil(date.0, date.1, date.2));
        }
    }

    // A day that is none is named, and nothing is reckoned with it.
    #[test]
    fn dates_are_in_their_ranges() {
        let folder = tempfile::tempdir().expect("a folder");
        let read = |row: &str| {
            let path = folder.path().join(TAGGED);
            std::fs::write(&path, format!("userID\tartistID\ttagID\tday\tmonth\tyear\n1\t2\t3\t{row}\n"))
                .expect("written");
            let mut dates = Dates::new();
            read_tags(&path, &mut dates, &mut Uses::new()).map(|()| dates.into_values().collect::<Vec<_>>())
        };
        assert_eq!(read("30\t6\t2008").expect("a date"), [UNKNOWN_DAY]);
        for row in
            ["99\t1\t2009", "1\t13\t2009", "1\t0\t2009", "1.7\t1\t2009", "1\t1\t9000000", "1\t1\t1e300", "1\t1\tNaN"]
        {
            let refused = read(row).expect_err("no date").to_string();
            assert!(refused.contains("2") && refused.contains("number"), "{row}: {refused}");
        }
    }
}
