//! MovieLens (GroupLens, Harper and Konstan 2015): `ratings.csv` of latest, 20M, 25M and 32M,
//! `u.data` of 100K, and `ratings.dat` with `::` of 1M and 10M. A rating counts as a play. Titles,
//! genres and years come from `movies.csv`, `movies.dat` or `u.item` beside it, where there is one.

use super::Request;
use super::place::{file_name, folder, refuse_packed};
use super::table::Table;
use super::text::Lines;
use crate::dataset::{Builder, Dataset};
use crate::error::{Error, Result, quoted};
use sordino_client::event::{EventKind, PlaybackEvent, Timestamp};
use std::path::Path;

/// Loads one set from its folder, its archive's root, or its file of ratings.
pub(super) fn load(request: &Request<'_>) -> Result<Dataset> {
    let path = request.path;
    let ratings = if path.is_file() {
        refuse_packed(path)?;
        path.to_owned()
    } else {
        let here = |folder: &Path| RATINGS.iter().map(|name| folder.join(name)).find(|file| file.is_file());
        let folder = folder(path, &RATINGS.join(", "), |folder| here(folder).is_some())?;
        here(&folder).expect("a folder with ratings was asked for")
    };
    let mut builder = Builder::default();
    read_ratings(&ratings, &mut builder)?;
    let folder = ratings.parent().unwrap_or(Path::new("."));
    let readers = [read_movies_csv as fn(&Path, &mut Builder) -> Result<()>, read_movies_dat, read_items];
    let movies = MOVIES.iter().zip(readers).map(|(name, read)| (folder.join(name), read));
    match movies.into_iter().find(|(file, _)| file.is_file()) {
        Some((file, read)) => read(&file, &mut builder)?,
        None => builder.note(format!(
            "MovieLens: beside {} is none of {}: nothing is public of the movies",
            file_name(&ratings),
            MOVIES.join(", ")
        )),
    }
    Ok(builder.build(request.name.to_owned(), true, None))
}

fn read_ratings(path: &Path, builder: &mut Builder) -> Result<()> {
    let separator = match path.extension().and_then(|e| e.to_str()) {
        Some("csv") => return read_ratings_csv(path, builder),
        Some("data") => "\t",
        Some("dat") => {
            let first = Lines::open(path)?.next_line()?.unwrap_or_default().to_owned();
            if first.contains("::") { "::" } else { "," }
        }
        _ => return Err(Error::file(path, "is not ratings.csv, u.data or ratings.dat: rename it to its own name")),
    };
    Lines::open(path)?.rows::<4>(separator, |[user, item, rating, time], at| {
        at.number(rating, "rating")?;
        rating_row(builder, at.name(user, "user")?, at.name(item, "movie")?, at.seconds(time)?);
        Ok(())
    })
}

fn read_ratings_csv(path: &Path, builder: &mut Builder) -> Result<()> {
    let mut table = Table::open(path, b',')?;
    let places = table.header(["userId", "movieId", "rating", "timestamp"], 4)?.map(|p| p.expect("all are needed"));
    let width = table.width();
    while table.advance()? {
        let record = table.record();
        let [user, movie, rating, time] =
            places.map(|place| std::str::from_utf8(record.get(place).unwrap_or_default()).unwrap_or_default().trim());
        let number = |field: &str| field.parse::<f64>().ok().filter(|value| value.is_finite());
        match (number(rating), number(time)) {
            (Some(_), Some(time)) if time >= 0.0 && !user.is_empty() && !movie.is_empty() => {
                rating_row(builder, user, movie, time);
            }
            _ => {
                let row = quoted(&[user, movie, rating, time].join(","));
                table.expect_fields(width)?;
                return Err(
                    table.error(format!("{row} is no rating (user,movie,number,seconds): correct or remove it"))
                );
            }
        }
        table.expect_fields(width)?;
    }
    Ok(())
}

fn rating_row(builder: &mut Builder, user: &str, movie: &str, seconds: f64) {
    let track = builder.track(movie);
    builder.event(user, PlaybackEvent::new(track, Timestamp::from_seconds(seconds as i64), EventKind::Play));
}

fn read_movies_csv(path: &Path, builder: &mut Builder) -> Result<()> {
    let encoding = super::encoding::Encoding::of(path)?;
    let mut table = Table::open(path, b',')?;
    let places = table.header(["movieId", "title", "genres"], 3)?.map(|p| p.expect("all are needed"));
    let width = table.width();
    while table.advance()? {
        table.expect_fields(width)?;
        let [id, title, genres] = places.map(|place| encoding.text(&table.record()[place]));
        describe(builder, id.trim(), &title, &genres);
    }
    Ok(())
}

fn read_movies_dat(path: &Path, builder: &mut Builder) -> Result<()> {
    let mut lines = Lines::open(path)?;
    while let Some(line) = lines.next_line()? {
        // Neither the identifier nor the genres hold a colon; a title may.
        let parts = line.split_once("::").and_then(|(id, rest)| rest.rsplit_once("::").map(|rest| (id, rest)));
        let Some((id, (title, genres))) = parts else {
            return Err(lines.error("movie::title::genres are needed: is the file complete?"));
        };
        describe(builder, id.trim(), title, genres);
    }
    Ok(())
}

fn read_items(path: &Path, builder: &mut Builder) -> Result<()> {
    let mut lines = Lines::open(path)?;
    while let Some(line) = lines.next_line()? {
        let fields: Vec<&str> = line.split('|').collect();
        if fields.len() != 5 + GENRES.len() {
            return Err(lines.error(format!("{} fields are needed: is the file complete?", 5 + GENRES.len())));
        }
        let genres: Vec<&str> = GENRES.iter().zip(&fields[5..]).filter(|(_, f)| **f == "1").map(|(g, _)| *g).collect();
        describe(builder, fields[0], fields[1], &genres.join("|"));
    }
    Ok(())
}

fn describe(builder: &mut Builder, id: &str, title: &str, genres: &str) {
    let (title, genres) = (title.trim(), genres.trim());
    builder.title(id, title);
    // `(no genres listed)`: such a movie has no features at all, its year included, as in all
    // figures so far.
    if genres.starts_with('(') {
        return;
    }
    for genre in genres.split('|').filter(|g| !g.is_empty()) {
        builder.feature(id, genre);
    }
    let year = title.rfind('(').and_then(|start| title.get(start + 1..start + 5)).and_then(|y| y.parse::<u32>().ok());
    if let Some(year) = year {
        builder.feature(id, &format!("{}s", year / 5 * 5));
    }
}

const RATINGS: [&str; 3] = ["ratings.csv", "u.data", "ratings.dat"];
const MOVIES: [&str; 3] = ["movies.csv", "movies.dat", "u.item"];
// The columns of u.item behind its fifth, as u.genre numbers them.
const GENRES: [&str; 19] = [
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
];
