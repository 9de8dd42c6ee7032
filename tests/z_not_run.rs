//! The last of all test programs: one line of what was not run, for whoever reads the end of `cargo test --workspace`.
//!
//! It has no harness, since what a harness does not swallow of a test that passes is only its name.

use sordino_tests::not_run;
use std::io::Write;

fn main() {
    let listing = std::env::args().any(|argument| argument == "--list");
    if listing {
        return;
    }
    let skipped = not_run();
    let mut out = std::io::stdout().lock();
    let line = match skipped.len() {
        0 => "not run: nothing was skipped".to_owned(),
        1 => format!("not run: {}", skipped[0]),
        n => format!("not run: {n} tests, {}", names(&skipped)),
    };
    let _ = writeln!(out, "\n{line}; tests that take long are ignored: docs/CONTRIBUTING.md has their commands");
}

// Each test's name, with the reasons told once.
fn names(skipped: &[String]) -> String {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in skipped {
        let (test, why) = line.split_once(": ").unwrap_or((line, ""));
        match reasons.iter_mut().find(|(reason, _)| *reason == why) {
            Some((_, tests)) => tests.push(test),
            None => reasons.push((why, vec![test])),
        }
    }
    let told: Vec<String> = reasons.iter().map(|(why, tests)| format!("{} ({why})", tests.join(", "))).collect();
    told.join("; ")
}
