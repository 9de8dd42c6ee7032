//! A phone as a test has it.

use sordino_client::device::{Host, Secret};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

/// A phone on its charger, as long as a test says so.
#[derive(Clone, Default)]
pub struct Phone {
    secret: Arc<Mutex<Option<Secret>>>,
    /// Whether somebody uses it.
    pub in_use: Arc<AtomicBool>,
    /// How far its clock is ahead, in milliseconds.
    pub ahead_ms: Arc<AtomicI64>,
}

impl Host for Phone {
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
        sordino_coordinator::server::now() + self.ahead_ms.load(Ordering::Relaxed)
    }

    fn load_secret(&self) -> Result<Option<Secret>, String> {
        Ok(self.secret.lock().expect("no panic").clone())
    }

    fn store_secret(&mut self, secret: &Secret) -> Result<(), String> {
        *self.secret.lock().expect("no panic") = Some(secret.clone());
        Ok(())
    }
}
