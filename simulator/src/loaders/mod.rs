//! Loaders: published data sets, from the files that their publishers give out. docs/data.md says
//! where, what of them is read, and under which terms. Each reads row by row, names file and line
//! of what it cannot read, counts what it passes over, and says in a line what it took the files
//! for.

mod csv;
mod encoding;
mod kuairand;
mod lastfm;
mod movielens;
mod ncf;
mod place;
mod table;
mod text;
mod time;

use crate::dataset::Dataset;
use crate::error::{Error, Result, shown};
use std::path::Path;

/// What becomes of a file of a user's own when some of its rows cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BadRows {
    /// They are left out and counted, as long as they are few.
    #[default]
    LeftOut,
    /// The first of them is an error.
    Refused,
}

/// Loads `KIND:PATH`, and leaves bad rows out where they are few.
pub fn load(specification: &str) -> Result<Dataset> {
    load_with(specification, BadRows::default())
}

/// Loads `KIND:PATH`.
pub fn load_with(specification: &str, bad_rows: BadRows) -> Result<Dataset> {
    let (kind, path) = specification.split_once(':').ok_or_else(|| {
        Error::input(format!("--data takes KIND:PATH with KIND one of {KINDS}, not '{specification}'"))
    })?;
    let loader = match kind {
        "kuairand" => kuairand::load,
        "movielens" => movielens::load,
        "lastfm" => lastfm::load,
        "ncf" => ncf::load,
        "csv" => csv::load,
        _ => return Err(Error::input(format!("there is no data kind '{kind}': choose one of {KINDS}"))),
    };
    let request = Request::new(kind, path, specification, bad_rows)?;
    let dataset = loader(&request)?;
    for note in &dataset.notes {
        eprintln!("{}", shown(note));
    }
    let events: usize = (0..dataset.devices()).map(|d| dataset.events(d).len()).sum();
    if events == 0 {
        return Err(Error::file(request.path, "no events in it: check that the file is complete"));
    }
    Ok(dataset)
}

// What is asked of a loader.
struct Request<'a> {
    path: &'a Path,
    // What the user wrote, which is the data set's name.
    name: &'a str,
    // What stands behind a question mark after the path.
    option: Option<&'a str>,
    bad_rows: BadRows,
}

impl<'a> Request<'a> {
    fn new(kind: &str, path: &'a str, name: &'a str, bad_rows: BadRows) -> Result<Self> {
        let whole = Self { path: Path::new(path), name, option: None, bad_rows };
        if whole.path.exists() || (kind == "ncf" && ncf::is_prefix(whole.path)) {
            return Ok(whole);
        }
        match path.rsplit_once('?') {
            Some((path, option)) if Path::new(path).exists() && kind == "kuairand" => {
                Ok(Self { path: Path::new(path), option: Some(option), ..whole })
            }
            _ => Err(Error::file(whole.path, "there is no such file or folder: check the path after the colon")),
        }
    }
}

const KINDS: &str = "kuairand, movielens, lastfm, ncf, csv";
