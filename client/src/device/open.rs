//! How a device comes to be open: alone, or beside the process that has it.

use super::budget::Purse;
use super::clock::{TIMES, Times};
use super::{Device, ENROLLED, Error, HAS_LEDGER, Host, Secret, Settings};
use crate::masks;
use crate::store::Store;
use crate::train::Randomness;
use sordino_shared::control::{Enrolled, Federation};
use sordino_shared::privacy::ledger::{self, History};
use sordino_shared::secagg::Identity;
use sordino_shared::secagg::device::Policy;
use std::path::Path;

impl<H: Host> Device<H> {
    /// Opens the device in its folder, or makes it there: key, store and ledger. No other process
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
    /// [`enum@Error`]. A device whose key or ledger was lost does not begin afresh by itself.
    pub fn open(folder: &Path, federation: Federation, settings: Settings, mut host: H) -> Result<Self, Error> {
        std::fs::create_dir_all(folder).map_err(|fault| Error::Folder { path: folder.to_owned(), fault })?;
        let store_path = folder.join(STORE);
        let secret = match host.load_secret().map_err(Error::Keys)? {
            Some(secret) => secret,
            None if store_path.exists() => {
                return Err(Error::Keys(
                    "the device's secret is gone, but its store is not: erase the folder".to_owned(),
                ));
            }
            None => {
                let mut randomness = Randomness::from_operating_system().map_err(|_| Error::Randomness)?;
                let secret = masks::identity(&mut randomness).secret();
                host.store_secret(&secret).map_err(Error::Keys)?;
                secret
            }
        };
        let mut store = Store::open(&store_path, &secret, settings.bounds)?;
        let is_known = store.get(HAS_LEDGER)?.is_some();
        let purse = Purse::open(&folder.join(LEDGER), &settings.ledger, is_known, host.now())?;
        if !is_known {
            store.put(HAS_LEDGER, b"")?;
        }
        if store.get(TIMES)?.is_none() {
            store.put(TIMES, &Times::new(host.now()).to_bytes())?;
        }
        Self::new(federation, settings, host, &secret, store, purse)
    }

    /// Opens a device that is in its folder already beside the process that has it open, or has
    /// not: to record, recommend, export and show what was spent. It takes part in nothing, and
    /// neither enrols nor erases nor changes the budget.
    ///
    /// # Errors
    /// [`Error::NoDevice`], and as [`Self::open`].
    pub fn open_beside(folder: &Path, federation: Federation, settings: Settings, host: H) -> Result<Self, Error> {
        let store = folder.join(STORE);
        let secret = host.load_secret().map_err(Error::Keys)?.filter(|_| store.exists());
        let secret = secret.ok_or_else(|| Error::NoDevice(folder.to_owned()))?;
        let store = Store::open(&store, &secret, settings.bounds)?;
        let purse = Purse::beside(&folder.join(LEDGER), &settings.ledger)?;
        Self::new(federation, settings, host, &secret, store, purse)
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

/// What the device in a folder may spend by its own ledger, if there is a device: for programs that
/// keep no settings of their own.
///
/// # Errors
/// [`Error::Ledger`].
pub fn kept_budget(folder: &Path) -> Result<Option<ledger::Policy>, Error> {
    match History::read(&folder.join(LEDGER)) {
        Ok(history) => Ok(Some(history.policy().clone())),
        Err(ledger::Error::Missing(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

const STORE: &str = "store.sqlite";
const LEDGER: &str = "ledger";
