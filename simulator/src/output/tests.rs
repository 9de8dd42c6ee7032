//! A folder of runs under hands and kills.

use super::folder::{COMMITTED, STAGED, Stop, check, read, write, write_in_steps};
use super::{MANIFEST, Manifest, Provenance};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

fn made(command: &str) -> Provenance {
    Provenance { date: "2026-01-01 00:00 UTC".into(), version: "0".into(), command: command.into() }
}

// Files of a run, each with the run's name in it.
fn run(name: &str, files: &[&'static str]) -> Vec<(&'static str, Vec<u8>)> {
    files.iter().map(|file| (*file, content(name, file))).collect()
}

fn content(run: &str, file: &str) -> Vec<u8> {
    match file {
        "results.json" => format!("{{\"scenario\": {{\"data\": \"{run}\"}}}}").into_bytes(),
        _ => format!("{file} of {run}").into_bytes(),
    }
}

const OLD: [&str; 4] = ["config.toml", "results.json", "report.html", "model.bin"];
const NEW: [&str; 4] = ["config.toml", "results.json", "report.html", "card.md"];

// Every file below a folder.
fn all(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() {
            found.extend(all(&entry.path()).into_iter().map(|(inner, bytes)| (format!("{name}/{inner}"), bytes)));
        } else {
            found.insert(name, fs::read(entry.path()).expect("a file"));
        }
    }
    found
}

fn without_list(mut files: BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    files.remove(MANIFEST).expect("a list");
    files
}

fn expected(run: &str, files: &[&str]) -> BTreeMap<String, Vec<u8>> {
    files.iter().map(|file| (file.to_string(), content(run, file))).collect()
}

#[test]
fn what_a_run_wrote_is_replaced_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let f = folder.path();
    write(f, &made("one"), &run("one", &OLD)).expect("written");
    fs::write(f.join("notes.md"), "mine").expect("planted");
    fs::create_dir(f.join("figures")).expect("planted");
    fs::write(f.join("figures/report.html"), "mine too").expect("planted");
    check(f).expect("a folder of ours");
    assert_eq!(write(f, &made("two"), &run("two", &NEW)).expect("written"), []);
    let mut then = expected("two", &NEW);
    then.insert("notes.md".into(), b"mine".to_vec());
    then.insert("figures/report.html".into(), b"mine too".to_vec());
    assert_eq!(without_list(all(f)), then);
    assert_eq!(Manifest::read(f).expect("a list").expect("there").made, made("two"));
}

#[test]
fn what_was_changed_by_hand_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let f = folder.path();
    write(f, &made("one"), &run("one", &OLD)).expect("written");
    fs::write(f.join("config.toml"), "edited").expect("edited");
    fs::write(f.join("model.bin"), "another").expect("edited");
    fs::write(f.join("card.md"), "mine, before there was one").expect("planted");
    fs::write(f.join("card.kept.md"), "mine as well").expect("planted");
    let kept = write(f, &made("two"), &run("two", &NEW)).expect("written");
    let pairs: Vec<(&str, &str)> = kept.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    assert_eq!(pairs, [("config.toml", "config.kept.toml"), ("card.md", "card.kept-2.md"), ("model.bin", "model.bin")]);
    let mut then = expected("two", &NEW);
    for (name, text) in [
        ("config.kept.toml", "edited"),
        ("card.kept-2.md", "mine, before there was one"),
        ("card.kept.md", "mine as well"),
        ("model.bin", "another"),
    ] {
        then.insert(name.into(), text.into());
    }
    assert_eq!(without_list(all(f)), then);
    // Once more: what was kept is nobody's business any more.
    assert_eq!(write(f, &made("three"), &run("three", &NEW)).expect("written"), []);
    assert_eq!(all(f)["config.kept.toml"], b"edited");
}

#[test]
#[cfg(unix)]
fn links_and_folders_in_the_way_are_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let (f, elsewhere) = (folder.path().join("out"), folder.path().join("elsewhere"));
    write(&f, &made("one"), &run("one", &OLD)).expect("written");
    // The same bytes, but a link: what it leads to is not ours.
    fs::rename(f.join("model.bin"), &elsewhere).expect("moved");
    std::os::unix::fs::symlink(&elsewhere, f.join("model.bin")).expect("a link");
    fs::remove_file(f.join("report.html")).expect("removed");
    fs::create_dir(f.join("report.html")).expect("a folder");
    fs::write(f.join("report.html/mine"), "mine").expect("planted");
    write(&f, &made("two"), &run("two", &OLD)).expect("written");
    assert_eq!(fs::read(&elsewhere).expect("there"), content("one", "model.bin"));
    assert!(fs::symlink_metadata(f.join("model.kept.bin")).expect("kept").is_symlink());
    assert_eq!(fs::read(f.join("report.kept.html/mine")).expect("kept"), b"mine");
    assert_eq!(fs::read(f.join("model.bin")).expect("new"), content("two", "model.bin"));
}

#[test]
fn foreign_folders_and_damaged_lists_are_refused_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let list = |files: &str| {
        format!("{{\"made\": {{\"date\": \"\", \"version\": \"\", \"command\": \"\"}}, \"files\": {files}}}")
    };
    let entry = |name: &str| list(&format!("[{{\"name\": \"{name}\", \"bytes\": 4, \"sha256\": \"\"}}]"));
    for (number, planted) in [
        vec![("letter.txt", "dear".to_owned())],
        // Names like ours, and nothing of ours in them.
        vec![("results.json", "{\"accuracy\": 1}".to_owned()), ("report.html", "my thesis".to_owned())],
        vec![("results.json", "not even JSON".to_owned())],
        vec![(MANIFEST, "{".to_owned())],
        vec![(MANIFEST, entry("../letter"))],
        vec![(MANIFEST, entry("/etc/passwd"))],
        vec![(MANIFEST, entry("a/b"))],
        vec![(MANIFEST, entry(".."))],
        vec![(MANIFEST, entry(MANIFEST))],
    ]
    .into_iter()
    .enumerate()
    {
        let f = folder.path().join(number.to_string());
        fs::create_dir(&f).expect("a folder");
        planted.iter().for_each(|(name, text)| fs::write(f.join(name), text).expect("planted"));
        let before = all(&f);
        assert_eq!(check(&f).expect_err("refused").exit_code(), 2, "{planted:?}");
        assert!(write(&f, &made("one"), &run("one", &OLD)).is_err(), "{planted:?}");
        assert_eq!(all(&f), before, "{planted:?}");
    }
}

// Of a version that left no list, or of somebody who copied a result to work on it.
#[test]
fn without_a_list_nothing_is_ours() {
    let folder = tempfile::tempdir().expect("a folder");
    let f = folder.path();
    run("old", &OLD).iter().for_each(|(name, bytes)| fs::write(f.join(name), bytes).expect("written"));
    fs::write(f.join("labels.txt"), "mine").expect("planted");
    check(f).expect("a result is here");
    write(f, &made("two"), &run("two", &NEW)).expect("written");
    let mut then = expected("two", &NEW);
    then.insert("labels.txt".into(), b"mine".to_vec());
    then.insert("model.bin".into(), content("old", "model.bin"));
    for (file, kept) in [
        ("config.toml", "config.kept.toml"),
        ("results.json", "results.kept.json"),
        ("report.html", "report.kept.html"),
    ] {
        then.insert(kept.into(), content("old", file));
    }
    assert_eq!(without_list(all(f)), then);
    // From now on there is one.
    write(f, &made("three"), &run("three", &NEW)).expect("written");
    assert!(!f.join("results.kept-2.json").exists());
}

// Said before anything is reckoned.
#[cfg(unix)]
#[test]
fn what_can_hold_no_folder_is_refused_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let f = folder.path();
    fs::write(f.join("file"), "mine").expect("planted");
    std::os::unix::fs::symlink(f.join("nowhere"), f.join("link")).expect("planted");
    let refused = |path: &str| check(&f.join(path)).expect_err("refused").to_string();
    assert!(refused("file").contains("is no folder") && refused("file/inner").contains("is no folder"));
    assert!(refused("link").contains("is a link to nowhere") && refused("link/inner").contains("is a link to nowhere"));
    assert!(check(std::path::Path::new("/dev/null")).is_err());
    fs::create_dir_all(f.join("left/.sordino-probe-1")).expect("planted");
    check(&f.join("left")).expect("what a stopped program left is in nobody's way");
}

// Figures for scripts go beside the folder, not among its files.
#[test]
fn figures_have_a_place_of_their_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let f = folder.path();
    fs::create_dir(f.join("folder")).expect("a folder");
    let refused =
        |json: &str| super::check_places(&f.join("out"), Some(&f.join(json))).expect_err("refused").to_string();
    assert!(refused("folder").contains("is a folder"));
    assert!(refused("out/results.json").contains("among a run's own files"));
    assert!(refused("out").contains("among a run's own files"));
    for json in ["out.json", "new/out.json", "out/../figures.json"] {
        super::check_places(&f.join("out"), Some(&f.join(json))).expect("a place");
    }
    super::check_places(&f.join("out"), Some(std::path::Path::new("-"))).expect("standard output");
}

struct After {
    steps: usize,
    seen: Vec<String>,
    // As a kill does, which leaves nobody to clear anything away; else by an error, as a full disk does.
    kills: bool,
}

impl Stop for After {
    fn at(&mut self, step: &str) -> std::io::Result<()> {
        self.seen.push(step.to_owned());
        match self.seen.len() > self.steps {
            true if self.kills => std::panic::resume_unwind(Box::new("killed")),
            true => Err(std::io::Error::other("stopped")),
            false => Ok(()),
        }
    }
}

// Whoever reads by the program sees one of the two runs, whole.
fn whole(f: &Path) -> &'static str {
    let of = |file: &str| read(f, file).expect("a file").into_bytes();
    let run = if of("results.json") == content("one", "results.json") { "one" } else { "two" };
    for file in ["config.toml", "results.json", "report.html"] {
        assert_eq!(of(file), content(run, file), "{file}");
    }
    assert_eq!(super::folder::provenance(f).expect("a list"), Some(made(run)));
    run
}

#[test]
fn whatever_step_is_the_last_one_run_is_there_whole() {
    for kills in [true, false] {
        let mut seen = std::collections::BTreeSet::new();
        for steps in 0.. {
            let mut stop = After { steps, seen: Vec::new(), kills };
            let (left, is_done) = stopped(&mut stop);
            seen.insert(left);
            if is_done {
                assert!(steps > 15, "{:?}", stop.seen);
                break;
            }
        }
        assert_eq!(seen.len(), 2, "kills: {kills}");
    }
}

// A second run that is stopped at some step; which run is there then, and whether the second came to its end.
fn stopped(stop: &mut After) -> (&'static str, bool) {
    let folder = tempfile::tempdir().expect("a folder");
    let f = folder.path();
    write(f, &made("one"), &run("one", &OLD)).expect("written");
    fs::write(f.join("notes.md"), "mine").expect("planted");
    fs::write(f.join("card.md"), "mine as well").expect("planted");
    let ends = std::panic::AssertUnwindSafe(|| write_in_steps(f, &made("two"), &run("two", &NEW), false, stop));
    let is_done = std::panic::catch_unwind(ends).is_ok_and(|outcome| outcome.is_ok());
    let left = whole(f);
    let files = all(f);
    assert_eq!(files["notes.md"], b"mine");
    assert!(files.iter().any(|(name, bytes)| name.starts_with("card") && bytes == b"mine as well"), "{:?}", stop.seen);
    if left == "one" {
        // Before the moment of change the old run is as it was, for everybody.
        for file in OLD {
            assert_eq!(files[file], content("one", file), "{file} after {:?}", stop.seen);
        }
    }
    // The next command brings the folder in order, and keeps the run that is there.
    check(f).unwrap_or_else(|error| panic!("after {:?}: {error}", stop.seen));
    assert!(!f.join(STAGED).exists() && !f.join(COMMITTED).exists(), "{:?}", stop.seen);
    assert_eq!(whole(f), left);
    write(f, &made("two"), &run("two", &NEW)).expect("written");
    let mut then = expected("two", &NEW);
    then.insert("notes.md".into(), b"mine".to_vec());
    then.insert("card.kept.md".into(), b"mine as well".to_vec());
    assert_eq!(without_list(all(f)), then, "{:?}", stop.seen);
    (left, is_done)
}

#[test]
fn what_somebody_put_among_what_is_staged_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let f = folder.path();
    fs::create_dir(f.join(STAGED)).expect("a folder");
    fs::write(f.join(STAGED).join("mine.txt"), "mine").expect("planted");
    let error = write(f, &made("one"), &run("one", &OLD)).expect_err("refused");
    assert!(error.to_string().contains("move it away"), "{error}");
    assert_eq!(all(f), BTreeMap::from([(format!("{STAGED}/mine.txt"), b"mine".to_vec())]));
}
