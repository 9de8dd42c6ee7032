//! Who may do what to rollouts: three rights, each person with a token of their own. The file holds the tokens' hashes alone.
//!
//! Whoever can write the coordinator's folder can write this file too: the rights part people from each other, not from the machine.

use super::controller::Actor;
use serde::{Deserialize, Serialize};
use sordino_shared::control::{from_hexadecimal, hexadecimal};
use sordino_shared::secagg::digest;
use std::path::{Path, PathBuf};
use thiserror::Error;
use zeroize::Zeroizing;

/// Why nobody is let in.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The file.
    #[error("{path}: {reason}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Not a token of anybody's.
    #[error("this token is nobody's: `rollout people add NAME` gives one")]
    Unknown,
    /// No random bytes.
    #[error("the operating system gives no random bytes")]
    Randomness,
    /// There is one of this name.
    #[error("there is already somebody called '{0}'")]
    Exists(String),
    /// There is none.
    #[error("there is nobody called '{0}'")]
    Missing(String),
}

/// What a person may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    /// Start, promote, hold, resume, pin.
    Promote,
    /// Take back, roll back, switch off.
    Abort,
    /// Go on past a gate, together with somebody else who may.
    Skip,
}

/// Everybody.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct People {
    #[serde(default)]
    person: Vec<Person>,
}

/// A person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// The name that the audit log gets.
    pub name: String,
    /// What they may do.
    pub rights: Vec<Right>,
    token_sha256: String,
}

impl People {
    /// Reads the file of a coordinator's folder; nobody where there is none.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn load(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(FILE);
        let failed = |reason: String| Error::File { path: path.clone(), reason };
        match std::fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).map_err(|error| failed(error.to_string())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(failed(error.to_string())),
        }
    }

    /// Writes it.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn store(&self, folder: &Path) -> Result<(), Error> {
        let path = folder.join(FILE);
        let text = toml::to_string(self).expect("words");
        crate::files::write_whole(&path, text.as_bytes())
            .map_err(|fault| Error::File { path, reason: fault.to_string() })
    }

    /// Adds a person and gives their token, which is nowhere else.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn add(&mut self, name: &str, rights: &[Right]) -> Result<Zeroizing<String>, Error> {
        if self.person.iter().any(|person| person.name == name) {
            return Err(Error::Exists(name.to_owned()));
        }
        let mut secret = Zeroizing::new([0u8; 32]);
        getrandom::fill(secret.as_mut_slice()).map_err(|_| Error::Randomness)?;
        let token = Zeroizing::new(hexadecimal(secret.as_slice()));
        let token_sha256 = hexadecimal(&digest(secret.as_slice()));
        self.person.push(Person { name: name.to_owned(), rights: rights.to_vec(), token_sha256 });
        Ok(token)
    }

    /// Takes a person's rights away.
    ///
    /// # Errors
    /// [`Error::Missing`].
    pub fn remove(&mut self, name: &str) -> Result<(), Error> {
        let before = self.person.len();
        self.person.retain(|person| person.name != name);
        if self.person.len() == before { Err(Error::Missing(name.to_owned())) } else { Ok(()) }
    }

    /// Everybody.
    pub fn all(&self) -> &[Person] {
        &self.person
    }

    /// Whose token it is.
    ///
    /// # Errors
    /// [`Error::Unknown`].
    pub fn whose(&self, token: &str) -> Result<Actor, Error> {
        // Hashes are compared: how far two of them agree tells nothing of a token.
        let hash = from_hexadecimal(token).map(|bytes| hexadecimal(&digest(&Zeroizing::new(bytes)[..])));
        let person = self.person.iter().find(|person| Some(&person.token_sha256) == hash.as_ref());
        let person = person.ok_or(Error::Unknown)?;
        let may = |right| person.rights.contains(&right);
        Ok(Actor {
            name: person.name.clone(),
            may_promote: may(Right::Promote),
            may_abort: may(Right::Abort),
            may_skip: may(Right::Skip),
        })
    }
}

const FILE: &str = "people.toml";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_known_by_their_hash_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut people = People::load(folder.path()).expect("nobody yet");
        let token = people.add("anna", &[Right::Promote]).expect("a token");
        assert!(people.add("anna", &[]).is_err());
        people.store(folder.path()).expect("written");
        let text = std::fs::read_to_string(folder.path().join(FILE)).expect("a file");
        assert!(!text.contains(token.as_str()), "{text}");
        let mut people = People::load(folder.path()).expect("its own file");
        let anna = people.whose(&token).expect("hers");
        assert!(anna.name == "anna" && anna.may_promote && !anna.may_abort && !anna.may_skip);
        assert!(people.whose(&"0".repeat(64)).is_err() && people.whose("").is_err());
        people.remove("anna").expect("she is there");
        assert!(people.whose(&token).is_err() && people.remove("anna").is_err());
    }
}
