//! Files that are there whole or not at all.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Writes a file that its owner alone can read, durably: after a crash the old content is there, or
/// the new one, whole. Of two that write at once the later one's content is there.
///
/// # Errors
/// The file system's.
pub fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    with_draft(path, bytes, |draft| std::fs::rename(draft, path))
}

/// Writes a file as [`write_whole`], where there is none: of two that write at once one fails.
///
/// # Errors
/// The file system's; `AlreadyExists` where there is one.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    with_draft(path, bytes, |draft| match std::fs::hard_link(draft, path) {
        Ok(()) => std::fs::remove_file(draft),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(error),
        // A file system without links: nobody else is expected there.
        Err(_) if path.try_exists()? => Err(ErrorKind::AlreadyExists.into()),
        Err(_) => std::fs::rename(draft, path),
    })
}

fn with_draft(path: &Path, bytes: &[u8], place: impl FnOnce(&Path) -> std::io::Result<()>) -> std::io::Result<()> {
    let draft = draft_of(path);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| place(&draft));
    if written.is_err() {
        let _ = std::fs::remove_file(&draft);
    }
    written?;
    // A name is durable once its folder is.
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

// No two writers have the same one, in this process or another, nor one that a crash left.
fn draft_of(path: &Path) -> PathBuf {
    static DRAFTS: AtomicU64 = AtomicU64::new(0);
    loop {
        let number = DRAFTS.fetch_add(1, Ordering::Relaxed);
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}-{number}.new", std::process::id()));
        let draft = path.with_file_name(name);
        if !draft.exists() {
            return draft;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Each of many writers has a draft of its own, so that none takes away or mixes another's.
    #[test]
    fn writers_at_once_leave_one_whole_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let (replaced, new) = (folder.path().join("replaced"), folder.path().join("new"));
        for _ in 0..10 {
            let _ = std::fs::remove_file(&new);
            let made = std::thread::scope(|scope| {
                let writers: Vec<_> = (0..8u8)
                    .map(|number| {
                        let (replaced, new) = (&replaced, &new);
                        scope.spawn(move || {
                            write_whole(replaced, &[number; 5000]).expect("written");
                            write_new(new, &[number; 5000]).is_ok().then_some(number)
                        })
                    })
                    .collect();
                let made = writers.into_iter().filter_map(|writer| writer.join().expect("no panic"));
                made.collect::<Vec<u8>>()
            });
            assert_eq!(made.len(), 1, "one of them made it");
            assert_eq!(std::fs::read(&new).expect("a file"), [made[0]; 5000]);
            let bytes = std::fs::read(&replaced).expect("a file");
            assert!(bytes.len() == 5000 && bytes.iter().all(|byte| *byte == bytes[0]));
        }
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 2, "no draft is left");
    }
}
