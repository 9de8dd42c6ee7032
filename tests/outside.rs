//! Whoever depends on `sordino-client` alone can name every type that its public signatures hold.
//!
//! `tests/outside` is such a crate, apart from the workspace. It is built by `.ci/run`, and here
//! where `SORDINO_BUILD_OUTSIDE` is set, since a first build of its own takes a minute. What is
//! held here always, by reading the sources: no signature has a type of a crate that is not given
//! on, and the crate outside names each of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn sources(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") && !path.ends_with("tests.rs") {
            let text = std::fs::read_to_string(&path).expect("text");
            // Tests and comments hold no signature.
            let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned();
            let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
            found.push((path, code.collect::<Vec<_>>().join("\n")));
        }
    }
}

/// Crates that the library depends on.
fn crates() -> Vec<String> {
    let manifest = std::fs::read_to_string(root().join("client/Cargo.toml")).expect("the manifest");
    let (_, dependencies) = manifest.split_once("\n[dependencies]\n").expect("dependencies");
    let dependencies = dependencies.split("\n[").next().expect("a part").lines();
    dependencies.filter_map(|line| Some(line.split_once(['.', ' '])?.0.replace('-', "_"))).collect()
}

fn words(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty()).collect()
}

/// What a file brings in by `use`, or `pub use`, from other crates: names by crate, under the names
/// they have here.
fn imports<'a>(text: &'a str, keyword: &str) -> Vec<(&'a str, &'a str)> {
    let mut found = Vec::new();
    for statement in text.split(keyword).skip(1).filter_map(|rest| rest.split(';').next()) {
        let Some((of, rest)) = statement.split_once("::") else { continue };
        if !crates().iter().any(|name| name == of) {
            continue;
        }
        found
            .extend(words(rest).into_iter().filter(|word| word.starts_with(char::is_uppercase)).map(|word| (of, word)));
    }
    found
}

/// The text of what is public: functions without their bodies, types with all that can be seen of
/// them.
fn signatures(text: &str) -> String {
    let mut all = String::new();
    for (at, _) in text.match_indices("pub ") {
        let line_start = text[..at].rfind('\n').map_or(0, |end| end + 1);
        let before = text[line_start..at].trim();
        let rest = &text[at + 4..];
        if !(before.is_empty() || before.ends_with('(') || before.ends_with(','))
            || rest.starts_with("use ")
            || rest.starts_with("mod ")
        {
            continue;
        }
        let is_open = rest.starts_with("enum ") || rest.starts_with("trait ");
        let end = if is_open { closing(rest) } else { rest.find(['{', ';', '=']).unwrap_or(rest.len()) };
        // A public field ends with its line.
        let is_item = ["fn ", "struct ", "enum ", "trait ", "type ", "const ", "async ", "static "];
        let end = if is_item.iter().any(|item| rest.starts_with(item)) { end } else { rest.find('\n').unwrap_or(end) };
        all.push_str(&rest[..end]);
        all.push('\n');
    }
    all
}

fn closing(text: &str) -> usize {
    let mut depth = 0usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return at,
            '}' => depth -= 1,
            _ => {}
        }
    }
    text.len()
}

/// Types of other crates in public signatures, each with a file that has it.
fn foreign(files: &[(PathBuf, String)]) -> BTreeMap<(String, String), PathBuf> {
    let mut found = BTreeMap::new();
    for (path, text) in files {
        let signatures = signatures(text);
        let used = words(&signatures);
        for (of, name) in imports(text, "use ") {
            if used.contains(name) {
                found.insert((of.to_owned(), name.to_owned()), path.clone());
            }
        }
        // And those that are named with their crate: `quinn::Endpoint`.
        for of in crates() {
            for part in signatures.split(&format!("{of}::")).skip(1) {
                let name =
                    part.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').next().unwrap_or_default();
                let name = name.rsplit("::").next().unwrap_or_default().to_owned();
                found.insert((of.clone(), name), path.clone());
            }
        }
    }
    // Derives and what stands behind a signature, not in it.
    found.retain(|(of, _), _| !["serde", "thiserror"].contains(&of.as_str()));
    found
}

#[test]
fn no_signature_has_a_type_that_is_not_given_on() {
    let mut files = Vec::new();
    sources(&root().join("client/src"), &mut files);
    let given: BTreeSet<(&str, &str)> = files.iter().flat_map(|(_, text)| imports(text, "pub use ")).collect();
    let whole = files
        .iter()
        .any(|(path, text)| path.ends_with("src/lib.rs") && text.contains("pub use sordino_shared as shared;"));
    assert!(whole, "the crate of what devices and coordinator have in common is given on whole");
    let outside = std::fs::read_to_string(root().join("tests/outside/src/main.rs")).expect("the crate outside");
    let outside = words(&outside);
    let foreign = foreign(&files);
    assert!(foreign.len() > 40, "the reading finds what is there: {}", foreign.len());
    for ((of, name), path) in &foreign {
        let is_given = of == "sordino_shared" || given.contains(&(of.as_str(), name.as_str()));
        assert!(is_given, "{} has {of}::{name} in a signature: `pub use` it there", path.display());
        assert!(
            outside.contains(name.as_str()),
            "{} has {of}::{name} in a signature: name it in tests/outside",
            path.display()
        );
    }
}

#[test]
fn the_reading_finds_what_it_should() {
    let text = "use quinn::{Endpoint,\n    VarInt};\npub use zeroize::Zeroizing;\n\npub(crate) fn a(x: VarInt) {}\n\
                pub fn b(\n    endpoint: &Endpoint,\n) -> u8 {\n    VarInt::from(1)\n}\npub enum E {\n    A(toml::de::Error),\n}\n\
                pub struct S {\n    pub key: Zeroizing<u8>,\n    hidden: VarInt,\n}\n";
    let files = vec![(PathBuf::from("x.rs"), text.to_owned())];
    let found: Vec<String> = foreign(&files).keys().map(|(of, name)| format!("{of}::{name}")).collect();
    assert_eq!(found, ["quinn::Endpoint", "toml::Error", "zeroize::Zeroizing"]);
    assert_eq!(imports(text, "pub use "), [("zeroize", "Zeroizing")]);
}

#[test]
fn the_crate_outside_builds() {
    if std::env::var_os("SORDINO_BUILD_OUTSIDE").is_none() {
        sordino_tests::skipped(
            "outside::the_crate_outside_builds",
            "SORDINO_BUILD_OUTSIDE=1 builds it; .ci/run always does",
        );
        return;
    }
    let target = Path::new(env!("CARGO_BIN_EXE_device-under-test")).ancestors().nth(2).expect("the target directory");
    let status = std::process::Command::new(env!("CARGO"))
        .args(["check", "--offline", "--manifest-path", "tests/outside/Cargo.toml", "--target-dir"])
        .arg(target)
        .current_dir(root())
        .status();
    assert!(status.expect("cargo").success());
}
