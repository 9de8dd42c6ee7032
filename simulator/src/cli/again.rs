//! `report`: the pages and tables of a folder, made again from its figures.

use crate::error::{Error, Result};
use crate::output::{self, Provenance, Results, folder};
use crate::{assess, cold_start, fleet, labels, large, poisoning, ranking, report, rollout, stream};
use serde::de::DeserializeOwned;
use std::path::Path;

/// Writes a folder's report again, by what its run left there.
pub(super) fn report(path: &Path) -> Result<()> {
    // A folder in which a program was stopped is put in order first, or read as it is where that cannot be.
    let name = folder::result_file(path)
        .ok_or_else(|| Error::file(path, "holds no results: name the folder of a finished run"))?;
    let made = folder::provenance(path)?.unwrap_or_default();
    let (page, text) = again(path, name, &made)?;
    output::renew_folder(path, &made, &[("report.html", page.into_bytes())])?;
    output::say(&text);
    output::say(&format!("\nreport: {}\n", path.join("report.html").display()));
    Ok(())
}

fn again(path: &Path, name: &str, made: &Provenance) -> Result<(String, String)> {
    fn of<T: DeserializeOwned>(
        (path, name): (&Path, &str),
        made: &Provenance,
        page: fn(&T, &Provenance) -> String,
        text: fn(&T) -> String,
    ) -> Result<(String, String)> {
        let json = folder::read(path, name)?;
        let results: T = serde_json::from_str(&json)
            .map_err(|e| Error::file(&path.join(name), format!("is not the result of a run: {e}")))?;
        Ok((page(&results, made), text(&results)))
    }
    let file = (path, name);
    match name {
        output::RANKING => of(file, made, ranking::page, ranking::text),
        output::COLD_START => of(file, made, cold_start::page, cold_start::text),
        output::LABELS => of(file, made, labels::page, labels::text),
        output::ASSESSMENT => of(file, made, assess::page, assess::text),
        output::POISONING => of(file, made, poisoning::page, poisoning::text),
        output::STREAM => of(file, made, stream::page, stream::text),
        output::LARGE => of(file, made, large::page, large::text),
        output::ROLLOUT => of(file, made, rollout::page, rollout::text),
        output::FLEET => of(file, made, fleet::page, fleet::text),
        // Several runs side by side, or one.
        _ if folder::read(path, name)?.trim_start().starts_with('[') => {
            let page = |all: &Vec<(String, Results)>, made: &Provenance| report::comparison_page(all, made);
            of(file, made, page, |all: &Vec<(String, Results)>| report::comparison_text(all))
        }
        _ => of(file, made, report::page, report::text),
    }
}
