//! One thread owns the store; everybody else hands it work.

use crate::store::Store;
use std::sync::mpsc;
use std::thread;
use tokio::sync::oneshot;

type Work = Box<dyn FnOnce(&mut dyn Store) + Send>;

/// A handle on the store's thread. Work is done in the order in which it is handed over.
#[derive(Clone)]
pub struct Storage(mpsc::Sender<Work>);

impl Storage {
    /// Starts the thread; it ends with the last handle.
    pub fn start(mut store: Box<dyn Store>) -> Self {
        let (sender, work) = mpsc::channel::<Work>();
        let run = move || work.into_iter().for_each(|work| work(store.as_mut()));
        thread::Builder::new().name("store".into()).spawn(run).expect("the system gives a thread");
        Self(sender)
    }

    /// Does something with the store, off the caller's thread.
    pub async fn call<T: Send + 'static>(&self, work: impl FnOnce(&mut dyn Store) -> T + Send + 'static) -> T {
        let (sender, result) = oneshot::channel();
        self.hand(move |store| drop(sender.send(work(store))));
        result.await.expect("the store's thread does not panic")
    }

    /// As [`Self::call`], for threads that may block.
    pub fn wait<T: Send + 'static>(&self, work: impl FnOnce(&mut dyn Store) -> T + Send + 'static) -> T {
        let (sender, result) = mpsc::channel();
        self.hand(move |store| drop(sender.send(work(store))));
        result.recv().expect("the store's thread does not panic")
    }

    fn hand(&self, work: impl FnOnce(&mut dyn Store) + Send + 'static) {
        self.0.send(Box::new(work)).expect("the store's thread lives as long as its handles");
    }
}
