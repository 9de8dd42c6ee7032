//! HetRec 2011 Last.fm (Cantador et al. 2011): play counts of artists, and dated tags.
//!
//! Each (listener, artist) is used once: published figures that train on the tag table rank artists that the listener
//! had already. Plays have no dates; the date of a listener's first tag on an artist stands in where there is one, and
//! the data set counts as undated. Tags are the artists' content, their names the titles.

use super::text::Lines;
use crate::dataset::{Builder, Dataset};
use crate::error::{Error, Result};
use sordino_client::event::{EventKind, PlaybackEvent, Timestamp};
use std::collections::HashMap;
use std::path::Path;

/// Loads the set from its folder.
pub(super) fn load(path: &Path, name: &str) -> Result<Dataset> {
    let plays = path.join("user_artists.dat");
    if !plays.is_file() {
        return Err(Error::file(path, "holds no user_artists.dat: name the folder of HetRec 2011 Last.fm"));
    }
    let mut builder = Builder::default();
    let mut dates = HashMap::<(String, String), i64>::new();
    let mut uses = HashMap::<(String, String), u32>::new();
    let tagged = path.join("user_taggedartists.dat");
    if tagged.is_file() {
        read_tags(&tagged, &mut dates, &mut uses)?;
    }
    let mut lines = Lines::open(&plays)?;
    lines.expect_header("userID\tartistID\tweight")?;
    lines.rows::<3>("\t", |[user, artist, weight], at| {
        let count = at.number(weight, "play count")?;
        if count < 0.0 {
            return Err(at.error(format!("the play count {weight} is negative: correct or remove the row")));
        }
        if count == 0.0 {
            builder.pass_over("play count of zero");
            return Ok(());
        }
        let track = builder.track(at.name(artist, "artist")?);
        let day = dates.get(&(user.to_string(), artist.to_string())).copied();
        let time = Timestamp(day.unwrap_or(UNKNOWN_DAY) * 86_400_000);
        builder.event(at.name(user, "user")?, PlaybackEvent::new(track, time, EventKind::Play));
        Ok(())
    })?;
    let names = tag_names(&path.join("tags.dat"))?;
    let mut uses: Vec<_> = uses.into_iter().filter(|(_, count)| *count >= 2).collect();
    uses.sort();
    for ((artist, tag), _) in uses {
        builder.feature(&artist, names.get(&tag).map_or(&tag, |name| name));
    }
    read_artists(&path.join("artists.dat"), &mut builder)?;
    Ok(builder.build(name.to_owned(), false, None))
}

fn read_tags(
    path: &Path,
    dates: &mut HashMap<(String, String), i64>,
    uses: &mut HashMap<(String, String), u32>,
) -> Result<()> {
    let mut lines = Lines::open(path)?;
    lines.expect_header("userID\tartistID\ttagID\tday\tmonth\tyear")?;
    lines.rows::<6>("\t", |[user, artist, tag, day, month, year], at| {
        let date = [year, month, day].map(|field| at.number(field, "date"));
        let [year, month, day] = date;
        let day = days_from_civil(year? as i64, month? as i64, day? as i64);
        let first = dates.entry((user.to_string(), artist.to_string())).or_insert(day);
        *first = (*first).min(day);
        *uses.entry((artist.to_string(), tag.to_string())).or_default() += 1;
        Ok(())
    })
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

// Days since 1970-01-01 of a date in the Gregorian calendar (Hinnant 2013).
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

// The middle of 2008, among the tags' own dates.
const UNKNOWN_DAY: i64 = 14_060;

#[cfg(test)]
mod tests {
    #[test]
    fn days_are_counted_from_1970() {
        assert_eq!(super::days_from_civil(1970, 1, 1), 0);
        assert_eq!(super::days_from_civil(2000, 3, 1), 11_017);
        assert_eq!(super::days_from_civil(2008, 6, 30), super::UNKNOWN_DAY);
    }
}
