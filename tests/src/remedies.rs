//! What messages name as the remedy, found in the source and held against the programs' commands.

use clap::{Args, Command, Subcommand};
use sordino_device::{single, swarm::Swarm};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The trees of all programs, by name.
pub fn programs() -> [Command; 3] {
    let device = single::Command::augment_subcommands(Command::new("sordino-device"));
    let device = device.subcommand(Swarm::augment_args(Command::new("swarm")));
    [sordino_coordinator::cli::command(), device, sordino_simulator::cli::command()]
}

/// Commands in a text that are there in no program: what is wrong with each. A bare word in backticks is a command of `own`, or one of
/// `words`, which are none; without those it may be anything.
pub fn faults(text: &str, own: &str, words: Option<&BTreeSet<String>>) -> Vec<String> {
    let programs = programs();
    let program = |name: &str| programs.iter().find(|program| program.get_name() == name);
    let mut faults = Vec::new();
    let mut check = |tree: &Command, words: &[&str]| {
        if let Err(fault) = resolve(tree, words) {
            faults.push(format!("{} {}: {fault}", tree.get_name(), words.join(" ")));
        }
    };
    let parts: Vec<&str> = text.split('`').collect();
    // A backtick without another is no quotation.
    let quoted = |at: usize| at % 2 == 1 && at + 1 < parts.len();
    for (at, part) in parts.iter().enumerate() {
        let all: Vec<&str> = part.split_whitespace().collect();
        for (place, word) in all.iter().enumerate() {
            if let Some(tree) = program(word) {
                let rest: Vec<&str> = all[place + 1..].to_vec();
                // In running text a program's name may be followed by anything.
                let names_one = rest.first().is_some_and(|word| tree.find_subcommand(trimmed(word)).is_some());
                if quoted(at) || names_one {
                    check(tree, if quoted(at) { &rest[..] } else { &rest[..1] });
                }
            }
        }
        let Some(first) = all.first().filter(|_| quoted(at)) else { continue };
        let own = program(own).expect("a program's name");
        let is_word = first.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !first.starts_with('-');
        if is_word && program(first).is_none() && *first != "cargo" {
            let elsewhere = programs.iter().find(|tree| tree.find_subcommand(first).is_some());
            match own.find_subcommand(first).map(|_| own).or(elsewhere) {
                Some(tree) => check(tree, &all),
                None if words.is_none_or(|words| words.contains(*first)) => {}
                None => check(own, &all),
            }
        }
    }
    faults
}

// Walks down the tree by the words that are commands; flags must be there as well.
fn resolve(tree: &Command, words: &[&str]) -> Result<(), String> {
    let mut here = tree.clone();
    here.build();
    let mut leaf = !here.has_subcommands();
    for word in words.iter().map(|word| trimmed(word)).filter(|word| !word.is_empty()) {
        if word.starts_with(['>', '|', '#']) {
            break;
        }
        if let Some(flag) = word.strip_prefix("--").filter(|flag| !flag.is_empty()) {
            let flag = flag.split(['=', ']']).next().unwrap_or(flag);
            let known = |arg: &clap::Arg| {
                let aliases = arg.get_all_aliases().unwrap_or_default();
                arg.get_long() == Some(flag) || aliases.contains(&flag)
            };
            if !here.get_arguments().any(known) {
                return Err(format!("`{}` has no --{flag}", here.get_name()));
            }
        } else if !leaf {
            let is_name = word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
            match here.find_subcommand(word).cloned() {
                Some(next) => {
                    leaf = !next.has_subcommands();
                    here = next;
                }
                None if is_name => return Err(format!("`{}` has no command `{word}`", here.get_name())),
                // A placeholder, or several commands at once.
                None => leaf = true,
            }
        }
    }
    Ok(())
}

fn trimmed(word: &str) -> &str {
    word.trim_matches([',', '.', ';', ':', '(', ')', '[', ']', '"'])
}

/// All help texts of a tree.
pub fn help(tree: &Command) -> Vec<String> {
    let mut texts: Vec<String> = [tree.get_about(), tree.get_long_about(), tree.get_after_help()]
        .into_iter()
        .flatten()
        .map(ToString::to_string)
        .collect();
    texts.extend(tree.get_arguments().filter_map(|arg| arg.get_help()).map(ToString::to_string));
    texts.extend(tree.get_subcommands().flat_map(help));
    texts
}

/// Source files of a folder, without its tests.
pub fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder of source").flatten() {
        let path = entry.path();
        let is_test = path.file_stem().is_some_and(|name| name == "tests");
        match path.is_dir() {
            _ if is_test => {}
            true => files.extend(sources(&path)),
            false if path.extension().is_some_and(|ending| ending == "rs") => files.push(path),
            false => {}
        }
    }
    files.sort();
    files
}

/// The string literals of a source text before its tests, as they are at run time.
pub fn literals(source: &str) -> Vec<String> {
    let source = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or(source);
    let mut found = Vec::new();
    let mut chars = source.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '/' if chars.peek() == Some(&'/') => while chars.next().is_some_and(|c| c != '\n') {},
            // A character, or the name of a lifetime.
            '\'' => {
                if chars.next_if_eq(&'\\').is_some() {
                    chars.next();
                    while chars.next_if(|c| *c != '\'').is_some() {}
                    chars.next();
                } else if chars.next().is_some() {
                    chars.next_if_eq(&'\'');
                }
            }
            'r' if matches!(chars.peek(), Some('#')) => {
                chars.next();
                if chars.next_if_eq(&'"').is_some() {
                    let mut text = String::new();
                    while let Some(c) = chars.next() {
                        if c == '"' && chars.next_if_eq(&'#').is_some() {
                            break;
                        }
                        text.push(c);
                    }
                    found.push(text);
                }
            }
            '"' => found.push(literal(&mut chars)),
            _ => {}
        }
    }
    found
}

fn literal(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> String {
    let mut text = String::new();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => match chars.next() {
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some('\n') => while chars.next_if(|c| c.is_whitespace()).is_some() {},
                Some(other) => text.push(other),
                None => break,
            },
            c => text.push(c),
        }
    }
    text
}
