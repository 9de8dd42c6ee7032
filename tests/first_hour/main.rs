//! A stranger's first hour: the commands of README.md and docs/operations.md as they are written there, each twice, in a
//! fresh folder, and what the pages show of their output compared where it is deterministic.
//!
//! Behind `--ignored`, since it builds release programs and trains for minutes:
//!
//!     cargo test -p sordino-tests --test first_hour -- --ignored --nocapture
//!
//! `SORDINO_FIRST_HOUR=WORDS` tries the commands alone that have these words, or the page of that name.
//!
//! A command of those pages that is tried by nothing here fails the quick test `every_command_is_tried_or_said_why_not`.

mod pages;
mod rows;
mod runs;

use pages::{Command, Page};
use runs::{Plan, Trial};

fn all() -> Vec<Page> {
    ["README.md", "docs/operations.md"].map(Page::read).to_vec()
}

#[test]
fn every_command_is_tried_or_said_why_not() {
    let mut unknown = Vec::new();
    for page in all() {
        let commands = page.commands();
        assert!(!commands.is_empty(), "{} has no command", page.name);
        unknown.extend(commands.iter().filter(|c| Plan::of(c).is_none()).map(|c| format!("{}: {}", page.name, c.line)));
    }
    assert!(unknown.is_empty(), "tell tests/first_hour/runs.rs how to try these:\n{}", unknown.join("\n"));
    let lines: Vec<Command> = all().iter().flat_map(Page::commands).collect();
    let stale: Vec<&str> = runs::known().filter(|known| !lines.iter().any(|c| c.line.contains(known))).collect();
    assert!(stale.is_empty(), "no page has these any more: {stale:?}");
}

#[test]
#[ignore = "builds release programs and trains for minutes"]
fn the_first_hour_works_twice() {
    let mut failures = Vec::new();
    let only = std::env::var("SORDINO_FIRST_HOUR").unwrap_or_default();
    for page in all() {
        let (mut trial, commands) = (Trial::new(), page.commands());
        for command in commands.iter().filter(|c| page.name.contains(&only) || c.line.contains(&only)) {
            for time in ["first", "second"] {
                println!("{} ({time} time): {}", page.name, command.line);
                if let Err(failure) = trial.run(command, time == "first") {
                    println!("  FAILED: {failure}");
                    failures.push(format!("{} ({time} time): {}\n{failure}", page.name, command.line));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n\n"));
}
