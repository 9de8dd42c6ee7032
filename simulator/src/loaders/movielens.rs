//! MovieLens (GroupLens, Harper and Konstan 2015): `ratings.csv` of the latest sets, `u.data` of the 100K set, and
//! `ratings.dat` with `::` or commas of the 1M and 10M sets. A rating counts as a play. Genres and years come from
//! `movies.csv`, `movies.dat` or `u.item` beside it, where there is one.

use super::text::{At, Lines, choose};
use crate::dataset::{Builder, Dataset};
use crate::error::{Error, Result};
use sordino_client::event::{EventKind, PlaybackEvent, Timestamp};
use std::path::Path;

/// Loads one set from its folder or its file of ratings.
pub(super) fn load(path: &Path, name: &str) -> Result<Dataset> {
    let ratings = choose(path, &["ratings.csv", "u.data", "ratings.dat"])?;
    let mut builder = Builder::default();
    read_ratings(&ratings, &mut builder)?;
    let folder = ratings.parent().unwrap_or(Path::new("."));
    for (file, read) in [
        ("movies.csv", read_movies_csv as fn(&Path, &mut Builder) -> Result<()>),
        ("movies.dat", read_movies_dat),
        ("u.item", read_items),
    ] {
        let file = folder.join(file);
        if file.is_file() {
            read(&file, &mut builder)?;
            break;
        }
    }
    Ok(builder.build(name.to_owned(), true, None))
}

fn read_ratings(path: &Path, builder: &mut Builder) -> Result<()> {
    let mut lines = Lines::open(path)?;
    let separator = match path.extension().and_then(|e| e.to_str()) {
        Some("csv") => {
            lines.expect_header("userId,movieId,rating,timestamp")?;
            ","
        }
        Some("data") => "\t",
        Some("dat") => {
            let first = Lines::open(path)?.next_line()?.unwrap_or_default().to_owned();
            if first.contains("::") { "::" } else { "," }
        }
        _ => return Err(Error::file(path, "is not ratings.csv, u.data or ratings.dat: rename it to its own name")),
    };
    lines.rows::<4>(separator, |[user, item, rating, time], at| rating_row(builder, user, item, rating, time, at))
}

fn rating_row(builder: &mut Builder, user: &str, item: &str, rating: &str, time: &str, at: &At<'_>) -> Result<()> {
    at.number(rating, "rating")?;
    let time = Timestamp::from_seconds(at.seconds(time)? as i64);
    let track = builder.track(at.name(item, "movie")?);
    builder.event(at.name(user, "user")?, PlaybackEvent::new(track, time, EventKind::Play));
    Ok(())
}

fn read_movies_csv(path: &Path, builder: &mut Builder) -> Result<()> {
    let mut lines = Lines::open(path)?;
    lines.expect_header("movieId,title,genres")?;
    while let Some(line) = lines.next_line()? {
        // Titles with commas are quoted; the identifier before and the genres behind never hold one.
        let (Some((id, rest)), Some((_, genres))) = (line.split_once(','), line.rsplit_once(',')) else {
            return Err(lines.error("three fields are needed: is the file complete?"));
        };
        describe(builder, id, rest, genres);
    }
    Ok(())
}

fn read_movies_dat(path: &Path, builder: &mut Builder) -> Result<()> {
    Lines::open(path)?.rows::<3>("::", |[id, title, genres], _| {
        describe(builder, id, title, genres);
        Ok(())
    })
}

fn read_items(path: &Path, builder: &mut Builder) -> Result<()> {
    let mut lines = Lines::open(path)?;
    while let Some(line) = lines.next_line()? {
        let fields: Vec<&str> = line.split('|').collect();
        if fields.len() < 6 {
            return Err(lines.error("24 fields are needed: is the file complete?"));
        }
        for (genre, _) in fields[5..].iter().enumerate().filter(|(_, flag)| **flag == "1") {
            builder.feature(fields[0], &format!("genre {genre}"));
        }
        describe(builder, fields[0], fields[1], "");
    }
    Ok(())
}

fn describe(builder: &mut Builder, id: &str, title: &str, genres: &str) {
    builder.title(id, title.trim_matches('"'));
    for genre in genres.split('|').filter(|g| !g.is_empty() && !g.starts_with('(')) {
        builder.feature(id, genre);
    }
    let year = title.rfind('(').and_then(|start| title.get(start + 1..start + 5)).and_then(|y| y.parse::<u32>().ok());
    if let Some(year) = year {
        builder.feature(id, &format!("{}s", year / 5 * 5));
    }
}
