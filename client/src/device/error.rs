//! Why a device cannot work.

use crate::store;
use sordino_shared::privacy::ledger;
use std::path::PathBuf;
use thiserror::Error;

/// Why a device cannot work.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The host's key storage.
    #[error("the platform's key storage failed: {0}")]
    Keys(String),
    /// No random bytes.
    #[error("the operating system gives no random bytes")]
    Randomness,
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    /// The folder.
    #[error("{path}: {fault}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        fault: std::io::Error,
    },
    /// What the operator handed out cannot be read.
    #[error("this is no federation file: {0}")]
    Federation(String),
    /// The device has its key and no ledger any more: nobody knows what it has spent.
    #[error(
        "the ledger of the device in {0} is gone, and with it what was spent: this device takes part in nothing more; \
         `Device::begin_anew` makes another one, without what this one has recorded"
    )]
    LedgerLost(PathBuf),
    /// The device has its store and no key any more, without which it cannot be read.
    #[error(
        "the key of the device in {0} is gone: put it back, or have `Device::begin_anew` make another device, without \
         what this one has recorded"
    )]
    KeyLost(PathBuf),
    /// There is no device in the folder.
    #[error("there is no device in {0}: open one there first")]
    NoDevice(PathBuf),
    /// It was opened beside the process that visits.
    #[error(
        "this device was opened beside another process: that one takes part, enrols, erases and changes the budget"
    )]
    Beside,
    /// A budget is changed for a reason, or not at all.
    #[error("a budget is changed for a reason that the listener can read: give one")]
    NoReason,
    /// It has no certificate.
    #[error("this device is not enrolled: enrol it with a token")]
    NotEnrolled,
    /// There is no model yet.
    #[error("there is no model yet: let the device visit its coordinator, which has one once a first round was done")]
    NoModel,
    /// The operator has switched learnt models off.
    #[error("the operator has switched learnt models off: rank as the application does without one")]
    SwitchedOff,
    /// The registry is not believed.
    #[error(transparent)]
    Registry(#[from] sordino_shared::registry::Error),
    /// What was kept cannot be read.
    #[error("what the device has kept cannot be read: {0}")]
    Kept(String),
}
