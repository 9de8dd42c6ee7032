//! How a device comes to be open: alone, or beside the process that has it.

use super::budget::Purse;
use super::clock::{TIMES, Times};
use super::{Device, ENROLLED, Error, Host, Secret, Settings};
use crate::masks;
use crate::store::Store;
use crate::train::Randomness;
use sordino_shared::control::{Enrolled, Federation};
use sordino_shared::privacy::ledger::{self, Place};
use sordino_shared::secagg::Identity;
use sordino_shared::secagg::device::Policy;
use std::path::Path;

impl<H: Host> Device<H> {
    /// Opens the device in its folder, or makes it there: ledger, key and store. No other process
    /// can open it until it is dropped, but beside it ([`Self::open_beside`]).
    ///
    /// Where the settings ask for another budget than the ledger has, the lower is in force, and
    /// [`Self::standing`] says so.
    ///
    /// ```
    /// use sordino_client::device::{Pretend, pretend_federation};
    /// use sordino_client::prelude::*;
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let folder = folder.path();
    /// // An application has a federation from its operator, and a host of its own.
    /// let (federation, phone) = (pretend_federation(), Pretend::default());
    /// let mut device = Device::open(folder, federation, Settings::default(), phone)?;
    /// assert!(device.enrolled().is_none(), "it has a key, and no certificate yet");
    /// # Ok::<(), sordino_client::device::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`enum@Error`]. [`Error::LedgerLost`] and [`Error::KeyLost`], where the one or the other is
    /// gone: a device does not begin afresh by itself. Whatever a crash at its first opening left is
    /// finished, and a store that is gone is begun again, without enrolment.
    pub fn open(folder: &Path, federation: Federation, settings: Settings, host: H) -> Result<Self, Error> {
        Self::open_with(folder, federation, |_| settings, host)
    }

    /// Opens the device as [`Self::open`], with settings that follow from what its ledger allows,
    /// if it has allowed anything yet: for applications that keep no settings of their own. Nobody
    /// changes the ledger in between.
    ///
    /// # Errors
    /// As of [`Self::open`].
    pub fn open_with(
        folder: &Path,
        federation: Federation,
        settings: impl FnOnce(Option<&ledger::Policy>) -> Settings,
        host: H,
    ) -> Result<Self, Error> {
        let (place, found) = Found::hold(folder, &host)?;
        found.is_whole(folder)?;
        Self::make(folder, place, found, federation, settings, host)
    }

    /// Makes another device in the place of one whose ledger or key is gone: with a new identity,
    /// nothing recorded, and not enrolled. What the old one recorded is erased, since what was sent
    /// of that nobody counts any more. A ledger that is there goes on; else a new one begins. A
    /// device that has both is opened as it is.
    ///
    /// ```
    /// use sordino_client::device::{Error, Host, Pretend, pretend_federation};
    /// use sordino_client::prelude::*;
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let folder = folder.path();
    /// # let mut phone = Pretend::default();
    /// # phone.store_secret(&Secret::new([7; 32])).unwrap();
    /// // The application was installed again, and the platform's key storage still has the key.
    /// let open = || Device::open(folder, pretend_federation(), Settings::default(), phone.clone());
    /// let device = match open() {
    ///     Err(Error::LedgerLost(_)) => {
    ///         Device::begin_anew(folder, pretend_federation(), Settings::default(), phone.clone())?
    ///     }
    ///     opened => opened?,
    /// };
    /// assert!(device.enrolled().is_none() && device.balance().releases == 0);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`enum@Error`]; the same call goes on from where it was interrupted.
    pub fn begin_anew(folder: &Path, federation: Federation, settings: Settings, host: H) -> Result<Self, Error> {
        Self::begin_anew_with(folder, federation, |_| settings, host)
    }

    /// As [`Self::begin_anew`], with settings as of [`Self::open_with`].
    ///
    /// # Errors
    /// As of [`Self::begin_anew`].
    pub fn begin_anew_with(
        folder: &Path,
        federation: Federation,
        settings: impl FnOnce(Option<&ledger::Policy>) -> Settings,
        mut host: H,
    ) -> Result<Self, Error> {
        let (place, mut found) = Found::hold(folder, &host)?;
        if found.is_whole(folder).is_err() {
            // The store first: it is of no use without its key, and the key says that a ledger is lost.
            erase_store(folder)?;
            host.forget_secret().map_err(Error::Keys)?;
            found = Found { secret: None, has_store: false, ..found };
        }
        Self::make(folder, place, found, federation, settings, host)
    }

    /// Opens a device that is in its folder already beside the process that has it open, or has
    /// not: to record, recommend, export and show what was spent. It takes part in nothing, and
    /// neither enrols nor erases nor changes the budget.
    ///
    /// # Errors
    /// [`Error::NoDevice`], and as [`Self::open`].
    pub fn open_beside(folder: &Path, federation: Federation, settings: Settings, host: H) -> Result<Self, Error> {
        Self::open_beside_with(folder, federation, |_| settings, host)
    }

    /// As [`Self::open_beside`], with settings as of [`Self::open_with`].
    ///
    /// # Errors
    /// As of [`Self::open_beside`].
    pub fn open_beside_with(
        folder: &Path,
        federation: Federation,
        settings: impl FnOnce(Option<&ledger::Policy>) -> Settings,
        host: H,
    ) -> Result<Self, Error> {
        let ledger = folder.join(LEDGER);
        let has_ledger = ledger.try_exists().map_err(|fault| Error::Folder { path: ledger.clone(), fault })?;
        let found = Found::of(folder, &host, has_ledger)?;
        found.is_whole(folder)?;
        let secret = found.secret.ok_or_else(|| Error::NoDevice(folder.to_owned()))?;
        let (purse, standing, settings) = Purse::beside(&ledger, settings)?;
        let store = Store::open(&folder.join(STORE), &secret, settings.bounds)?;
        Self::new(federation, settings, host, &secret, store, (purse, standing))
    }

    // The ledger first, the key next, the store last: a key says that there was a ledger, and a
    // store that there was a key.
    fn make(
        folder: &Path,
        place: Place,
        found: Found,
        federation: Federation,
        settings: impl FnOnce(Option<&ledger::Policy>) -> Settings,
        mut host: H,
    ) -> Result<Self, Error> {
        let (purse, standing, settings) = Purse::open(place, settings, host.now())?;
        let secret = match found.secret {
            Some(secret) => secret,
            None => {
                let mut randomness = Randomness::from_operating_system().map_err(|_| Error::Randomness)?;
                let secret = masks::identity(&mut randomness).secret();
                host.store_secret(&secret).map_err(Error::Keys)?;
                secret
            }
        };
        let mut store = Store::open(&folder.join(STORE), &secret, settings.bounds)?;
        if store.get(TIMES)?.is_none() {
            store.put(TIMES, &Times::new(host.now()).to_bytes())?;
        }
        Self::new(federation, settings, host, &secret, store, (purse, standing))
    }

    fn new(
        federation: Federation,
        settings: Settings,
        host: H,
        secret: &Secret,
        store: Store,
        (purse, standing): (Purse, super::Standing),
    ) -> Result<Self, Error> {
        let enrolled = store.get(ENROLLED)?.map(|frame| Enrolled::from_frame(&frame));
        let enrolled = enrolled.transpose().map_err(|error| Error::Kept(error.to_string()))?;
        let policy = Policy {
            least_survivors: settings.least_survivors,
            ..Policy::new(federation.authority.0.clone(), federation.operator.0.clone())
        };
        let identity = Identity::from_secret(secret);
        Ok(Self { host, settings, federation, identity, enrolled, policy, store, purse, standing })
    }
}

/// Reads what an operator hands out with the application (`federation.toml`).
///
/// # Errors
/// [`Error::Federation`].
pub fn parse_federation(text: &str) -> Result<Federation, Error> {
    toml::from_str(text).map_err(|error| Error::Federation(error.to_string()))
}

/// What there is of a device.
struct Found {
    secret: Option<Secret>,
    has_ledger: bool,
    has_store: bool,
}

impl Found {
    // Looks while the ledger's place is held, so that two first openings do not make two keys.
    fn hold(folder: &Path, host: &impl Host) -> Result<(Place, Self), Error> {
        std::fs::create_dir_all(folder).map_err(|fault| Error::Folder { path: folder.to_owned(), fault })?;
        let place = Place::hold(&folder.join(LEDGER))?;
        let has_ledger = place.has_ledger()?;
        Ok((place, Self::of(folder, host, has_ledger)?))
    }

    fn of(folder: &Path, host: &impl Host, has_ledger: bool) -> Result<Self, Error> {
        let path = folder.join(STORE);
        let has_store = path.try_exists().map_err(|fault| Error::Folder { path, fault })?;
        Ok(Self { secret: host.load_secret().map_err(Error::Keys)?, has_ledger, has_store })
    }

    // A ledger without a key is of a first opening that a crash ended, or has outlived its device: it
    // goes on, with all that was spent.
    fn is_whole(&self, folder: &Path) -> Result<(), Error> {
        match (&self.secret, self.has_ledger, self.has_store) {
            (Some(_), false, _) => Err(Error::LedgerLost(folder.to_owned())),
            (None, _, true) => Err(Error::KeyLost(folder.to_owned())),
            _ => Ok(()),
        }
    }
}

fn erase_store(folder: &Path) -> Result<(), Error> {
    // The keys of its records first, which nothing of it outlives; then the database's log: without its database it is nothing.
    for ending in ["-keys", "-wal", "-shm", ""] {
        let path = folder.join(format!("{STORE}{ending}"));
        match std::fs::remove_file(&path) {
            Err(fault) if fault.kind() != std::io::ErrorKind::NotFound => return Err(Error::Folder { path, fault }),
            _ => {}
        }
    }
    Ok(())
}

const STORE: &str = "store.sqlite";
const LEDGER: &str = "ledger";
