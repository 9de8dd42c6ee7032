//! What the application and its platform give a device, and a host that is ready: a computer on a
//! desk.

use super::files::write_new;
use sordino_shared::control::{from_hexadecimal, hexadecimal};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use zeroize::Zeroizing;

/// A device's secret; wiped on drop.
pub type Secret = Zeroizing<[u8; 32]>;

/// What the application and its platform give. [`Desk`] and [`super::Pretend`] are two that are
/// ready; on a phone the answers are the platform's.
///
/// ```
/// use sordino_client::device::{Desk, Host, Secret};
///
/// /// A phone, as far as this application knows it.
/// struct Phone {
///     on_charger: bool,
///     on_wifi: bool,
///     // In the place of the key chain (iOS) or the key store (Android), which are where a phone's secret belongs.
///     keys: Desk,
/// }
///
/// impl Host for Phone {
///     fn idle(&self) -> bool {
///         true // the platform's scheduler wakes the application only when nobody uses the phone
///     }
///     fn charging(&self) -> bool {
///         self.on_charger
///     }
///     fn unmetered(&self) -> bool {
///         self.on_wifi
///     }
///     fn now(&self) -> i64 {
///         self.keys.now()
///     }
///     fn load_secret(&self) -> Result<Option<Secret>, String> {
///         self.keys.load_secret()
///     }
///     fn store_secret(&mut self, secret: &Secret) -> Result<(), String> {
///         self.keys.store_secret(secret)
///     }
///     fn forget_secret(&mut self) -> Result<(), String> {
///         self.keys.forget_secret()
///     }
/// }
/// ```
pub trait Host: Send {
    /// Whether nobody uses the device now.
    fn idle(&self) -> bool;

    /// Whether it is being charged.
    fn charging(&self) -> bool;

    /// Whether the network costs nothing by volume.
    fn unmetered(&self) -> bool;

    /// The time, in milliseconds since 1970.
    fn now(&self) -> i64;

    /// The group that the application puts the device in, such as its testers, if any: an operator
    /// may pin a group to a version.
    fn group(&self) -> Option<String> {
        None
    }

    /// The device's secret from the platform's key storage, if it was put there.
    ///
    /// # Errors
    /// A sentence, where the storage cannot be read: then nothing is made anew.
    fn load_secret(&self) -> Result<Option<Secret>, String>;

    /// Puts the device's secret into the platform's key storage, where there is none. A device does
    /// so once its ledger is there: a secret says that there was one. So it may outlive the
    /// application's folder, as a key chain's does.
    ///
    /// # Errors
    /// A sentence.
    fn store_secret(&mut self, secret: &Secret) -> Result<(), String>;

    /// Removes the device's secret from the platform's key storage, if there is one: the device is
    /// to become another ([`super::Device::begin_anew`]).
    ///
    /// # Errors
    /// A sentence.
    fn forget_secret(&mut self) -> Result<(), String>;
}

/// A computer on a desk: always idle, always charged, and its secret in a file that its owner alone
/// can read.
#[derive(Clone, Debug)]
pub struct Desk {
    key: PathBuf,
}

impl Desk {
    /// With its secret in this file, which is made when a device is.
    pub fn new(key: impl Into<PathBuf>) -> Self {
        Self { key: key.into() }
    }

    /// Where its secret is.
    pub fn key(&self) -> &Path {
        &self.key
    }
}

impl Host for Desk {
    fn idle(&self) -> bool {
        true
    }

    fn charging(&self) -> bool {
        true
    }

    fn unmetered(&self) -> bool {
        true
    }

    fn now(&self) -> i64 {
        system_time()
    }

    fn load_secret(&self) -> Result<Option<Secret>, String> {
        match std::fs::read_to_string(&self.key).map(Zeroizing::new) {
            Ok(digits) => from_hexadecimal(&digits).map(|secret| Some(secret.into())).ok_or_else(|| {
                format!("{} holds no key of 64 hexadecimal digits: put the device's own back", self.key.display())
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("{}: {error}", self.key.display())),
        }
    }

    fn store_secret(&mut self, secret: &Secret) -> Result<(), String> {
        let digits = Zeroizing::new(hexadecimal(secret.as_slice()));
        write_new(&self.key, digits.as_bytes()).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => {
                format!("{} is there already, and a device's secret is never replaced", self.key.display())
            }
            _ => format!("{}: {error}", self.key.display()),
        })
    }

    fn forget_secret(&mut self) -> Result<(), String> {
        match std::fs::remove_file(&self.key) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(format!("{}: {error}", self.key.display())),
            _ => Ok(()),
        }
    }
}

pub(super) fn system_time() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_desk_keeps_one_secret_for_its_owner_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut desk = Desk::new(folder.path().join("secret.key"));
        assert_eq!(desk.load_secret(), Ok(None));
        // What a crash left of a first try is no key.
        std::fs::write(folder.path().join("secret.key.new"), "0707").expect("a file");
        let secret = Zeroizing::new([7; 32]);
        desk.store_secret(&secret).expect("stored");
        assert_eq!(desk.load_secret(), Ok(Some(secret)));
        assert!(desk.store_secret(&Zeroizing::new([8; 32])).is_err_and(|why| why.contains("never replaced")));
        #[cfg(unix)]
        {
            let mode = std::fs::metadata(desk.key()).expect("a file").permissions();
            assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o600);
        }
        std::fs::write(desk.key(), "").expect("a file");
        assert!(desk.load_secret().is_err(), "nothing is made anew");
        desk.forget_secret().expect("forgotten");
        desk.forget_secret().expect("nothing is left to forget");
        desk.store_secret(&Zeroizing::new([8; 32])).expect("stored");
    }
}
