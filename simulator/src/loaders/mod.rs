//! Loaders: published data sets, from the files that their publishers give out. docs/data.md says where and under which
//! terms. Each reads row by row, names file and line of what it cannot read, and counts what it passes over.

mod csv;
mod kuairand;
mod lastfm;
mod movielens;
mod ncf;
mod text;

use crate::dataset::Dataset;
use crate::error::{Error, Result};
use std::path::Path;

/// Loads `KIND:PATH`.
pub fn load(specification: &str) -> Result<Dataset> {
    let (kind, path) = specification.split_once(':').ok_or_else(|| {
        Error::input(format!("--data takes KIND:PATH with KIND one of {KINDS}, not '{specification}'"))
    })?;
    let path = Path::new(path);
    let loader = match kind {
        "kuairand" => kuairand::load,
        "movielens" => movielens::load,
        "lastfm" => lastfm::load,
        "ncf" => ncf::load,
        "csv" => csv::load,
        _ => return Err(Error::input(format!("there is no data kind '{kind}': choose one of {KINDS}"))),
    };
    if !path.exists() {
        return Err(Error::file(path, "there is no such file or folder: check the path after the colon"));
    }
    let dataset = loader(path, specification)?;
    let events: usize = (0..dataset.devices()).map(|d| dataset.events(d).len()).sum();
    if events == 0 {
        return Err(Error::file(path, "no events in it: check that the file is complete"));
    }
    Ok(dataset)
}

const KINDS: &str = "kuairand, movielens, lastfm, ncf, csv";
