//! A phone and a federation for tests of applications: no key chain, no coordinator.

use super::host::{Host, Secret, system_time};
use sordino_shared::control::{Federation, PublicKey};
use sordino_shared::registry::{Root, sign_root};
use sordino_shared::secagg::Identity;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use zeroize::Zeroizing;

/// A phone that a test makes up: its secret is in memory, and a clone of it, kept by the test,
/// changes what it is like.
///
/// ```
/// use sordino_client::device::{Host, Pretend};
/// let phone = Pretend::default();
/// phone.in_use.store(true, std::sync::atomic::Ordering::Relaxed);
/// assert!(!phone.idle() && phone.charging());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Pretend {
    secret: Arc<Mutex<Option<Secret>>>,
    /// Whether somebody uses it.
    pub in_use: Arc<AtomicBool>,
    /// How far its clock is ahead of the system's, in milliseconds.
    pub ahead_ms: Arc<AtomicI64>,
    /// Its time, in the place of the system's, where it is not 0.
    pub time_ms: Arc<AtomicI64>,
    /// How long passes at each look at that time, in milliseconds.
    pub look_ms: Arc<AtomicI64>,
}

impl Pretend {
    /// One whose clock stands at this time.
    pub fn at(now: i64) -> Self {
        Self { time_ms: Arc::new(AtomicI64::new(now)), ..Self::default() }
    }
}

impl Host for Pretend {
    fn idle(&self) -> bool {
        !self.in_use.load(Ordering::Relaxed)
    }

    fn charging(&self) -> bool {
        true
    }

    fn unmetered(&self) -> bool {
        true
    }

    fn now(&self) -> i64 {
        let ahead = self.ahead_ms.load(Ordering::Relaxed);
        match self.time_ms.load(Ordering::Relaxed) {
            0 => system_time() + ahead,
            _ => ahead + self.time_ms.fetch_add(self.look_ms.load(Ordering::Relaxed), Ordering::Relaxed),
        }
    }

    fn load_secret(&self) -> Result<Option<Secret>, String> {
        Ok(self.secret.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn store_secret(&mut self, secret: &Secret) -> Result<(), String> {
        let mut kept = self.secret.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.is_some() {
            return Err("a device's secret is never replaced".to_owned());
        }
        *kept = Some(secret.clone());
        Ok(())
    }

    fn forget_secret(&mut self) -> Result<(), String> {
        *self.secret.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(())
    }
}

/// A federation that is nowhere, for devices that record and show and never visit.
pub fn pretend_federation() -> Federation {
    let nobody = Identity::from_secret(&Zeroizing::new([1; 32]));
    let root = sign_root(&Root::of(1, &[nobody.public()], 1, &nobody.public(), YEAR_2100), &[&nobody]);
    Federation {
        server: "127.0.0.1:1".to_owned(),
        name: "nowhere".to_owned(),
        population: "default".to_owned(),
        authority: PublicKey(nobody.public()),
        operator: PublicKey(nobody.public()),
        ca: String::new(),
        root: String::from_utf8(root).expect("JSON is text"),
    }
}

const YEAR_2100: i64 = 4_102_444_800_000;
