//! Where a set lies: the folder, the unpacked archive's root around it, or a file; and what to say
//! where it is still packed.

use crate::error::{Error, Result};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The folder at or under `path` for which `holds` is true, at most two levels down: archives are
/// unpacked with and without a folder of their own.
pub(super) fn folder(path: &Path, what: &str, holds: impl Fn(&Path) -> bool) -> Result<PathBuf> {
    let mut level = vec![path.to_owned()];
    for _ in 0..=LEVELS {
        let mut found: Vec<PathBuf> = level.iter().filter(|folder| holds(folder)).cloned().collect();
        if found.len() > 1 {
            let names: Vec<String> = found.iter().map(|folder| folder.display().to_string()).collect();
            return Err(Error::file(path, format!("holds several sets: name one of {}", names.join(", "))));
        }
        if let Some(folder) = found.pop() {
            return Ok(folder);
        }
        level = level.iter().flat_map(|folder| entries(folder)).filter(|entry| entry.is_dir()).collect();
        level.truncate(MOST_FOLDERS);
    }
    let hint = match entries(path).into_iter().find_map(|file| packed(&file)) {
        Some(command) => format!("unpack what is there first: {command}"),
        None => "name the folder that does".to_owned(),
    };
    Err(Error::file(path, format!("holds no {what}, nor does a folder in it: {hint}")))
}

/// Files and folders in a folder, by name; without those that systems leave behind.
pub(super) fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(listing) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut all: Vec<PathBuf> = listing
        .filter_map(|entry| entry.ok())
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            !name.starts_with('.') && name != "__MACOSX"
        })
        .map(|entry| entry.path())
        .collect();
    all.sort();
    all
}

/// A file's own name.
pub(super) fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Refuses a file that is packed, by what it begins with and not by its name.
pub(super) fn refuse_packed(path: &Path) -> Result<()> {
    match packed(path) {
        Some(command) => {
            Err(Error::file(path, format!("is packed: unpack it first, and name what comes out: {command}")))
        }
        None => Ok(()),
    }
}

// How a packed file is unpacked; `None` for other files.
fn packed(path: &Path) -> Option<String> {
    let mut start = [0; 6];
    let mut file = File::open(path).ok().filter(|_| path.is_file())?;
    let read = file.read(&mut start).ok()?;
    let (_, program) = PACKED.iter().find(|(magic, _)| start[..read].starts_with(magic))?;
    let name = file_name(path);
    let is_tar = [".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst"].iter().any(|end| name.ends_with(end));
    let program = if is_tar { "tar -xf" } else { program };
    Some(format!("{program} '{name}'"))
}

const LEVELS: usize = 2;
// A folder with more folders than this is no archive's.
const MOST_FOLDERS: usize = 256;
const PACKED: [(&[u8], &str); 7] = [
    (b"PK\x03\x04", "unzip"),
    (b"\x1f\x8b", "gunzip"),
    (b"BZh", "bunzip2"),
    (b"\xfd7zXZ\x00", "unxz"),
    (b"\x28\xb5\x2f\xfd", "unzstd"),
    (b"7z\xbc\xaf\x27\x1c", "7z x"),
    (b"Rar!", "unrar x"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_found_under_its_archives_root_and_once_only() {
        let root = tempfile::tempdir().expect("a folder");
        let at = |name: &str| root.path().join(name);
        let find = || folder(root.path(), "ratings.csv", |f| f.join("ratings.csv").is_file());
        std::fs::create_dir_all(at("ml/data")).expect("folders");
        std::fs::create_dir_all(at("__MACOSX/ml")).expect("folders");
        std::fs::write(at("__MACOSX/ml/ratings.csv"), "x").expect("a file");
        assert!(find().expect_err("nothing there").to_string().contains("holds no ratings.csv"));
        std::fs::write(at("ml.zip"), b"PK\x03\x04...").expect("a file");
        assert!(find().expect_err("packed").to_string().contains("unzip 'ml.zip'"));
        std::fs::write(at("ml/data/ratings.csv"), "x").expect("a file");
        assert_eq!(find().expect("a folder"), at("ml/data"));
        std::fs::create_dir(at("ml/other")).expect("a folder");
        std::fs::write(at("ml/other/ratings.csv"), "x").expect("a file");
        assert!(find().expect_err("two").to_string().contains("several sets"));
    }

    #[test]
    fn packed_files_say_how_they_are_unpacked() {
        let root = tempfile::tempdir().expect("a folder");
        for (name, start, command) in [
            ("a.csv.gz", &b"\x1f\x8b\x08"[..], "gunzip 'a.csv.gz'"),
            ("a.tar.gz", b"\x1f\x8b\x08", "tar -xf 'a.tar.gz'"),
            ("renamed.csv", b"PK\x03\x04", "unzip 'renamed.csv'"),
            ("a.csv.zst", b"\x28\xb5\x2f\xfd", "unzstd"),
        ] {
            let path = root.path().join(name);
            std::fs::write(&path, start).expect("a file");
            let words = refuse_packed(&path).expect_err(name).to_string();
            assert!(words.contains(command), "{words}");
        }
        std::fs::write(root.path().join("plain.csv"), "user,item").expect("a file");
        assert!(refuse_packed(&root.path().join("plain.csv")).is_ok());
    }
}
