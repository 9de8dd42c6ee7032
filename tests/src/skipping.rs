//! Tests that cannot run where they are: a person is told by each, and once more at the end.

use std::io::Write;
use std::path::PathBuf;

/// Tells a person that a test did not run: on the standard error as it is, which the test harness does not swallow, and
/// as a line of a file that [`not_run`] reads.
pub fn skipped(test: &str, why: &str) {
    let line = format!("skipped: {test}: {why}\n");
    // A line that cannot be told is no reason to fail a test that did not run.
    let _ = std::io::stderr().write_all(line.as_bytes());
    let Some(path) = notes() else { return };
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
}

/// What tests of this run of `cargo test` told [`skipped`], once each; forgotten by asking.
pub fn not_run() -> Vec<String> {
    let Some(path) = notes() else { return Vec::new() };
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let _ = std::fs::remove_file(&path);
    let mut lines: Vec<String> = text.lines().map(|line| line.trim_start_matches("skipped: ").to_owned()).collect();
    lines.sort();
    lines.dedup();
    lines
}

/// The test that runs on this thread, with its program's name.
pub fn test_name() -> String {
    let program = std::env::current_exe().unwrap_or_default();
    let stem = program.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    // Cargo adds a hash.
    let stem = stem.rsplit_once('-').map_or(stem.as_str(), |(stem, _)| stem);
    match std::thread::current().name() {
        Some(test) => format!("{stem}::{test}"),
        None => stem.to_owned(),
    }
}

// One file for one run: all its test programs have the same parent, which is cargo.
fn notes() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    // target/PROFILE/deps/PROGRAM
    let target = program.ancestors().nth(3)?;
    #[cfg(unix)]
    let run = std::os::unix::process::parent_id();
    #[cfg(not(unix))]
    let run = 0;
    Some(target.join(format!("skipped-tests-{run}.txt")))
}
