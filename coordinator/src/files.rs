//! Files that are there whole or not at all, and their names as a shell takes them.

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

/// A path as a shell takes it: in quotes where it holds more than plain characters.
pub(crate) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+:,@%=".contains(c);
    if !text.is_empty() && !text.starts_with('-') && text.chars().all(plain) {
        return text;
    }
    let dashed = if text.starts_with('-') { format!("./{text}") } else { text };
    format!("'{}'", dashed.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_where_a_shell_would_part_them() {
        for (path, quoted) in [
            ("sordino-federation", "sordino-federation"),
            ("/srv/music.example", "/srv/music.example"),
            ("my music", "'my music'"),
            ("anna's", "'anna'\\''s'"),
            ("$HOME", "'$HOME'"),
            ("-x", "'./-x'"),
            ("", "''"),
        ] {
            assert_eq!(super::quoted(Path::new(path)), quoted);
        }
    }
}
