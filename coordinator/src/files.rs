//! Files that are there whole or not at all.

use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Writes a file under another name first, durably, so that a crash leaves nothing half.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let draft = path.with_extension("part");
    let mut file = File::create(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}
