//! Bugs that are planted one by one, each with the tests that must find it: a promise whose test passes without the code that keeps
//! it is none. Behind `--ignored`, since each bug builds a crate and its tests again:
//!
//!     cargo test -p sordino-tests --test planted -- --ignored --nocapture
//!
//! `SORDINO_PLANTED=WORDS` plants those alone whose name has these words.

mod list;

use list::{BUGS, Bug};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The text with the bug in it.
fn planted(bug: &Bug) -> Result<String, String> {
    let path = root().join(bug.file);
    let text = std::fs::read_to_string(&path).map_err(|fault| format!("{}: {fault}", bug.file))?;
    match text.matches(bug.right).count() {
        1 => Ok(text.replace(bug.right, bug.wrong)),
        found => Err(format!("'{}': {} has its place {found} times", bug.name, bug.file)),
    }
}

/// A copy of the sources, without what was built.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder").map(|entry| entry.expect("an entry")) {
        let (name, kind) = (entry.file_name(), entry.file_type().expect("a kind"));
        let (from, to) = (entry.path(), to.join(&name));
        match name.to_str() {
            Some("target" | ".git") => {}
            _ if kind.is_dir() => copy(&from, &to),
            _ if kind.is_file() => drop(std::fs::copy(&from, &to).expect("copied")),
            _ => {}
        }
    }
}

/// Runs the tests that are to find a bug, in a copy of the sources; whether they pass, and what they say.
fn test(copy: &Path, bug: &Bug) -> (bool, String) {
    let output = Command::new(env!("CARGO"))
        .args(["test", "--quiet", "--no-fail-fast"])
        .args(bug.tests)
        .current_dir(copy)
        .env("CARGO_TARGET_DIR", copy.join("target"))
        .output()
        .expect("cargo runs");
    let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), told)
}

#[test]
fn each_bug_has_its_place() {
    let faults: Vec<String> = BUGS.iter().filter_map(|bug| planted(bug).err()).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let mut names: Vec<&str> = BUGS.iter().map(|bug| bug.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), BUGS.len(), "two bugs of one name");
}

#[test]
#[ignore = "builds crates again for each bug"]
fn each_bug_is_found() {
    let folder = tempfile::tempdir().expect("a folder");
    copy(&root(), folder.path());
    let only = std::env::var("SORDINO_PLANTED").unwrap_or_default();
    let (mut missed, bugs) = (Vec::new(), BUGS.iter().filter(|bug| bug.name.contains(&only)));
    for bug in bugs {
        let start = Instant::now();
        let place = folder.path().join(bug.file);
        let right = std::fs::read_to_string(&place).expect("its file");
        std::fs::write(&place, planted(bug).expect("its place")).expect("planted");
        let (passes, told) = test(folder.path(), bug);
        std::fs::write(&place, right).expect("as it was");
        // What does not compile was not tried.
        let is_found = !passes && told.contains("test result: FAILED");
        let found = if is_found { "found" } else { "MISSED" };
        println!("{found} in {:.0} s: {}", start.elapsed().as_secs_f64(), bug.name);
        if !is_found {
            missed.push(format!("{} ({}):\n{}", bug.name, bug.tests.join(" "), end_of(&told)));
        }
    }
    assert!(missed.is_empty(), "{} were not found:\n{}", missed.len(), missed.join("\n\n"));
}

fn end_of(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}
