//! The keys of a swarm's devices. A token is good for one key, so a swarm that runs again must have
//! the same ones: they are kept beside the tokens. Nobody's listening is behind them.

use super::new_identity;
use anyhow::Context;
use sordino_client::device::write_whole;
use sordino_shared::control::{from_hexadecimal, hexadecimal};
use sordino_shared::secagg::{Hash, Identity, digest};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A device's key for each of these tokens: those of an earlier run, and new ones, which are kept
/// before anybody enrols.
///
/// # Errors
/// With the file's name; where it cannot be written the devices have new keys and a note says so.
pub(super) fn for_tokens(tokens_file: &Path, tokens: &[Hash]) -> anyhow::Result<Vec<Identity>> {
    let path = beside(tokens_file);
    let known = read(&path)?;
    let (mut lines, mut identities, mut made) = (String::new(), Vec::with_capacity(tokens.len()), 0);
    for token in tokens {
        let hash = digest(token);
        let identity = match known.get(&hash) {
            Some(secret) => Identity::from_secret(&(*secret).into()),
            None => {
                made += 1;
                new_identity()?
            }
        };
        lines.push_str(&format!("{} {}\n", hexadecimal(&hash), hexadecimal(identity.secret().as_slice())));
        identities.push(identity);
    }
    let used: std::collections::BTreeSet<Hash> = tokens.iter().map(|token| digest(token)).collect();
    for (hash, secret) in known.iter().filter(|(hash, _)| !used.contains(*hash)) {
        lines.push_str(&format!("{} {}\n", hexadecimal(hash), hexadecimal(secret)));
    }
    if made > 0
        && let Err(error) = write_whole(&path, lines.as_bytes())
    {
        crate::words::note(&format!("{}: {error}; these tokens will be good for this run alone", path.display()));
    }
    Ok(identities)
}

fn read(path: &Path) -> anyhow::Result<BTreeMap<Hash, Hash>> {
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        text => text.with_context(|| path.display().to_string())?,
    };
    let pair = |line: &str| {
        let (token, secret) = line.split_once(' ')?;
        Some((from_hexadecimal(token)?, from_hexadecimal(secret)?))
    };
    let lines = text.lines().enumerate();
    lines
        .map(|(number, line)| pair(line).with_context(|| format!("{}, line {}: no key", path.display(), number + 1)))
        .collect()
}

fn beside(tokens: &Path) -> PathBuf {
    let mut name = tokens.file_name().unwrap_or_default().to_owned();
    name.push(".keys");
    tokens.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_keeps_its_key() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("tokens.txt");
        let keys = |tokens: &[Hash]| -> Vec<Hash> {
            let identities = for_tokens(&file, tokens).expect("keys");
            identities.iter().map(|identity| identity.public().bytes()).collect()
        };
        let first = keys(&[[1; 32], [2; 32]]);
        assert_eq!(keys(&[[2; 32], [3; 32], [1; 32]])[0], first[1]);
        assert_eq!(keys(&[[1; 32]]), first[..1]);
        assert_eq!(keys(&[[1; 32], [2; 32]]), first, "those that were not asked for stay");
        let text = std::fs::read_to_string(beside(&file)).expect("a file");
        assert!(!text.contains(&hexadecimal(&[1; 32])), "the file holds no token");
        std::fs::write(beside(&file), "hum\n").expect("a file");
        assert!(for_tokens(&file, &[[1; 32]]).is_err_and(|error| error.to_string().contains("line 1")));
    }
}
