//! A run's folder: a run replaces what a run before it wrote there, by that run's own list, and nothing else.
//!
//! New files are written into a folder inside, `.sordino-next`, which is then renamed to `.sordino-committed`: at that moment the new run
//! takes the place of the old one. Only then its files are moved to where people look for them, its list last. A program that
//! is stopped before the renaming leaves the old run as it was; one that is stopped after it leaves the rest of the moving to
//! the next command that opens the folder. [`read`] looks into `.sordino-committed` first, so it sees one run whole at any time.
//!
//! What is in the way and was not written by a run, or was changed since, is its owner's: it is kept beside.

use super::RESULT_FILES;
use super::manifest::{Entry, MANIFEST, Manifest, Provenance};
use crate::error::{Error, Result};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// A file that was in the way and is not ours: its name, and the name under which it is kept.
pub type Kept = (String, String);

/// Refuses a folder that holds something which no run of ours left there, and one that cannot be written to.
pub fn check(folder: &Path) -> Result<Vec<Kept>> {
    for path in folder.ancestors().filter(|path| !path.as_os_str().is_empty()) {
        match fs::symlink_metadata(path) {
            Ok(_) if path.is_dir() => break,
            Ok(of) if of.is_symlink() => {
                return Err(Error::file(path, "is a link to nowhere: name another folder with --out"));
            }
            Ok(_) => return Err(Error::file(path, "is no folder: name one with --out")),
            Err(_) => {}
        }
    }
    let _guard = lock(folder);
    let kept = recover(folder, &mut NoStop)?;
    let foreign = Manifest::read(folder)?.is_none() && !is_bare(folder) && !has_result(folder);
    if foreign {
        return Err(Error::file(folder, "holds files that no run left there: name another folder with --out"));
    }
    probe(folder).map_err(|source| Error::Output { path: folder.to_owned(), source })?;
    Ok(kept)
}

/// Writes a run's files in the place of those of an earlier run; tells what was kept.
///
/// # Errors
/// Where the folder is not one of ours, or cannot be written to.
pub fn write(folder: &Path, made: &Provenance, files: &[(&str, Vec<u8>)]) -> Result<Vec<Kept>> {
    write_in_steps(folder, made, files, false, &mut NoStop)
}

/// Writes some files anew beside those that the run has.
///
/// # Errors
/// As [`write()`].
pub fn renew(folder: &Path, made: &Provenance, files: &[(&str, Vec<u8>)]) -> Result<Vec<Kept>> {
    write_in_steps(folder, made, files, true, &mut NoStop)
}

/// The content of one of the run's files, and how the run came about. Leaves the folder as it is.
///
/// # Errors
/// A sentence where there is no such file.
pub fn read(folder: &Path, name: &str) -> Result<String> {
    let waiting = folder.join(COMMITTED).join(name);
    let path = if waiting.is_file() { waiting } else { folder.join(name) };
    fs::read_to_string(&path)
        .map_err(|fault| Error::file(&path, format!("cannot be read: {fault}; name the folder of a finished run")))
}

/// How the folder's run came about; `None` where nothing tells.
///
/// # Errors
/// Where the folder's list is damaged.
pub fn provenance(folder: &Path) -> Result<Option<Provenance>> {
    let waiting = Manifest::read(&folder.join(COMMITTED))?;
    Ok(waiting.map_or_else(|| Manifest::read(folder), |found| Ok(Some(found)))?.map(|manifest| manifest.made))
}

/// A place at which a program may be stopped; tests stop it at each.
pub(super) trait Stop {
    fn at(&mut self, step: &str) -> io::Result<()>;
}

pub(super) struct NoStop;

impl Stop for NoStop {
    fn at(&mut self, _: &str) -> io::Result<()> {
        Ok(())
    }
}

pub(super) fn write_in_steps(
    folder: &Path,
    made: &Provenance,
    files: &[(&str, Vec<u8>)],
    others_stay: bool,
    stop: &mut dyn Stop,
) -> Result<Vec<Kept>> {
    let failed = |source| Error::Output { path: folder.to_owned(), source };
    fs::create_dir_all(folder).map_err(failed)?;
    let _guard = lock(folder);
    let mut kept = recover(folder, stop)?;
    let before = match Manifest::read(folder)? {
        Some(manifest) => manifest.files,
        None if is_bare(folder) || has_result(folder) => Vec::new(),
        None => return Err(Error::file(folder, "holds files that no run left there: name another folder with --out")),
    };
    let mut entries: Vec<Entry> = files.iter().map(|(name, bytes)| Entry::of(name, bytes)).collect();
    let is_new = |name: &str| files.iter().any(|(of, _)| *of == name);
    // What goes, or stays and is listed again.
    let (stays, goes): (Vec<Entry>, Vec<Entry>) =
        before.into_iter().partition(|entry| others_stay && !is_new(&entry.name));
    entries.extend(stays);
    let manifest = Manifest { made: made.clone(), files: entries };
    let goes = Manifest { made: Provenance::default(), files: goes };
    stage(folder, &manifest, &goes, files, stop).map_err(|source| {
        // What cannot be cleared away now is cleared by the next run.
        let _ = clear(&folder.join(STAGED));
        failed(source)
    })?;
    kept.extend(place(folder, stop).map_err(failed)?);
    Ok(kept)
}

// All of the new run, durably, and then the moment at which it becomes the folder's run.
fn stage(
    folder: &Path,
    manifest: &Manifest,
    goes: &Manifest,
    files: &[(&str, Vec<u8>)],
    stop: &mut dyn Stop,
) -> io::Result<()> {
    let staged = folder.join(STAGED);
    match fs::create_dir(&staged) {
        // Somebody's own files are in it.
        Err(fault) if fault.kind() == ErrorKind::AlreadyExists => {
            return Err(io::Error::other(format!("'{STAGED}' holds files of somebody else: move it away")));
        }
        made => made?,
    }
    stop.at("an empty folder")?;
    // The list first: it says what may be cleared away.
    put(&staged.join(MANIFEST), &manifest.to_bytes())?;
    stop.at("its list")?;
    put(&staged.join(GOES), &goes.to_bytes())?;
    for (name, bytes) in files {
        stop.at(name)?;
        put(&staged.join(name), bytes)?;
    }
    sync(&staged);
    stop.at("all staged")?;
    fs::rename(&staged, folder.join(COMMITTED))?;
    sync(folder);
    stop.at("committed")
}

// Moves what is committed to its places. Each step may be the last of a program, and the next goes on from there.
fn place(folder: &Path, stop: &mut dyn Stop) -> io::Result<Vec<Kept>> {
    let committed = folder.join(COMMITTED);
    let read = |name: &str| -> io::Result<Manifest> {
        serde_json::from_slice(&fs::read(committed.join(name))?).map_err(io::Error::other)
    };
    let mut kept = Vec::new();
    if committed.join(GOES).is_file() {
        let (manifest, goes) = (read(MANIFEST)?, read(GOES)?.files);
        for entry in &manifest.files {
            let (from, to) = (committed.join(&entry.name), folder.join(&entry.name));
            if !from.is_file() {
                continue;
            }
            let is_ours = goes.iter().any(|old| old.name == entry.name && old.is_unchanged(folder));
            if !is_ours && fs::symlink_metadata(&to).is_ok() && !entry.is_unchanged(folder) {
                kept.push((entry.name.clone(), set_aside(folder, &entry.name)?));
                stop.at("kept beside")?;
            }
            fs::rename(&from, &to)?;
            stop.at(&entry.name)?;
        }
        let has = |name: &str| manifest.files.iter().any(|entry| entry.name == name);
        for old in goes.iter().filter(|old| !has(&old.name)) {
            if old.is_unchanged(folder) {
                fs::remove_file(folder.join(&old.name))?;
                stop.at("an old file is gone")?;
            } else if fs::symlink_metadata(folder.join(&old.name)).is_ok() {
                kept.push((old.name.clone(), old.name.clone()));
            }
        }
        fs::remove_file(committed.join(GOES))?;
        stop.at("nothing of the old run is left")?;
    }
    if committed.join(MANIFEST).is_file() {
        fs::rename(committed.join(MANIFEST), folder.join(MANIFEST))?;
        stop.at("the list is in its place")?;
    }
    fs::remove_dir(&committed)?;
    sync(folder);
    Ok(kept)
}

// Brings a folder in order in which a program was stopped.
fn recover(folder: &Path, stop: &mut dyn Stop) -> Result<Vec<Kept>> {
    let failed = |source| Error::Output { path: folder.to_owned(), source };
    clear(&folder.join(STAGED)).map_err(failed)?;
    let committed = folder.join(COMMITTED);
    match fs::symlink_metadata(&committed) {
        Ok(of) if of.is_dir() => place(folder, stop).map_err(failed),
        Ok(_) => Err(Error::file(&committed, "is in the way of a run: move it away")),
        Err(_) => Ok(Vec::new()),
    }
}

// Clears what a stopped program had staged: by its list, since somebody may have put something in there.
fn clear(staged: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(staged).is_ok_and(|of| of.is_dir()) {
        return Ok(());
    }
    if let Ok(Some(manifest)) = Manifest::read(staged) {
        let names = manifest.files.iter().map(|entry| entry.name.as_str());
        names.chain([GOES]).try_for_each(|name| gone(fs::remove_file(staged.join(name))))?;
    }
    gone(fs::remove_file(staged.join(MANIFEST)))?;
    // It stays where somebody else's files are in it.
    let _ = fs::remove_dir(staged);
    Ok(())
}

fn gone(removed: io::Result<()>) -> io::Result<()> {
    removed.or_else(|fault| if fault.kind() == ErrorKind::NotFound { Ok(()) } else { Err(fault) })
}

// Keeps somebody's file under a free name.
fn set_aside(folder: &Path, name: &str) -> io::Result<String> {
    let (stem, end) = name.rsplit_once('.').map_or((name, String::new()), |(stem, end)| (stem, format!(".{end}")));
    let names = (1..).map(|n| match n {
        1 => format!("{stem}.kept{end}"),
        n => format!("{stem}.kept-{n}{end}"),
    });
    for kept in names {
        let (from, to) = (folder.join(name), folder.join(&kept));
        if fs::symlink_metadata(&to).is_ok() {
            // A program that was stopped after this step has kept it already.
            if is_same(&from, &to) {
                return Ok(kept);
            }
            continue;
        }
        // A link first: no moment at which the file has no name, and nothing is overwritten.
        match fs::hard_link(&from, &to) {
            Ok(()) => {}
            Err(fault) if fault.kind() == ErrorKind::AlreadyExists => continue,
            // Folders, and file systems without links.
            Err(_) => fs::rename(&from, &to)?,
        }
        return Ok(kept);
    }
    unreachable!("numbers do not end")
}

fn is_same(one: &Path, other: &Path) -> bool {
    let length = |path: &Path| fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file).map(|of| of.len());
    length(one).is_some()
        && length(one) == length(other)
        && matches!((fs::read(one), fs::read(other)), (Ok(one), Ok(other)) if one == other)
}

// Whether a run of ours lies here though there is no list, as earlier versions left it, or whoever copied a result. Which of the other files
// are the run's nothing tells, nor whether they were edited: what is in the way of a new run is kept.
fn has_result(folder: &Path) -> bool {
    RESULT_FILES.iter().any(|name| is_result(&folder.join(name)))
}

// Whether a file has what runs of ours wrote, and not only its name.
fn is_result(path: &Path) -> bool {
    use serde_json::Value;
    let Ok(text) = fs::read_to_string(path) else { return false };
    let of_run = |value: &Value| value.get("scenario").is_some_and(|scenario| scenario.get("data").is_some());
    let of_rollout = |value: &Value| {
        value.get("settings").is_some() && (value.get("rates").is_some() || value.get("outcomes").is_some())
    };
    match serde_json::from_str::<Value>(&text) {
        Ok(Value::Array(runs)) => runs.first().and_then(|run| run.get(1)).is_some_and(of_run),
        Ok(value) => of_run(&value) || of_rollout(&value),
        Err(_) => false,
    }
}

// Nothing in it, or what a stopped program left.
fn is_bare(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return true };
    let left = |name: &std::ffi::OsStr| name == STAGED || name.to_string_lossy().starts_with(PROBE);
    entries.flatten().all(|entry| left(&entry.file_name()))
}

// Whether something can be written there, before half an hour is spent on what to write. Leaves nothing behind.
fn probe(folder: &Path) -> io::Result<()> {
    let there = folder.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("."));
    let there = if there.as_os_str().is_empty() { Path::new(".") } else { there };
    let probe = there.join(format!("{PROBE}{}", std::process::id()));
    fs::create_dir(&probe)?;
    fs::remove_dir(&probe)
}

// Two programs that write into one folder do so one after the other, where the system can tell them apart.
fn lock(folder: &Path) -> Option<File> {
    let file = File::open(folder).ok()?;
    file.lock().ok()?;
    Some(file)
}

fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync(folder: &Path) {
    // Not every system can; then a power cut may undo what a kill cannot.
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
}

/// Where the results of the folder's run lie: the first of these files that is there.
pub fn result_file(folder: &Path) -> Option<&'static str> {
    let there = |name: &&&str| folder.join(COMMITTED).join(name).is_file() || folder.join(name).is_file();
    // What waits to be moved comes first, and else what the list has.
    let waiting = RESULT_FILES.iter().find(|name| folder.join(COMMITTED).join(name).is_file());
    let listed = || {
        let manifest = Manifest::read(folder).ok().flatten()?;
        RESULT_FILES.iter().find(|name| manifest.files.iter().any(|entry| entry.name == **name))
    };
    waiting.or_else(listed).or_else(|| RESULT_FILES.iter().find(there)).copied()
}

/// A file beside another, for what is not whole yet.
pub(super) fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    path.with_file_name(format!(".{name}.partial-{}", std::process::id()))
}

const PROBE: &str = ".sordino-probe-";
/// What is being written, and may be thrown away.
pub(super) const STAGED: &str = ".sordino-next";
/// What is the folder's run already, and not yet in its place.
pub(super) const COMMITTED: &str = ".sordino-committed";
// What the new run replaces.
const GOES: &str = "replaced.json";
