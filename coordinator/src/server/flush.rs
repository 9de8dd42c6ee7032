//! Contributions on their way into the store: gathered, written in one transaction, answered after its commit.
//!
//! A batch holds one vector of a device at most. Vectors stay as they came until the store has said which of them are new,
//! so that a duplicate is never in a sum, not even for a moment.

use super::hub::Hub;
use super::served::Running;
use crate::store::{Entry, Store, Verdict};
use sordino_shared::secagg::coordinator::Checked;
use sordino_shared::secagg::{Hash, MaskedSum};
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::timeout_at;

/// A contribution that waits for its receipt.
pub(super) struct Pending {
    /// The vector.
    pub(super) checked: Checked<'static>,
    /// Its share of the memory that contributions may take.
    pub(super) room: OwnedSemaphorePermit,
    /// Who waits.
    pub(super) answer: oneshot::Sender<Answer>,
}

/// What is known once the transaction is over; `None` where it failed, so that the device has to send again.
pub(super) type Answer = Option<Verdict>;

/// Gathers and writes until the round is gone.
pub(super) async fn flush(hub: Arc<Hub>, round: Weak<Running>, mut pending: mpsc::Receiver<Pending>) {
    let Some((context, shape)) = round.upgrade().map(|round| (round.context, round.shape)) else { return };
    while let Some(first) = pending.recv().await {
        let batch = gather(&hub, first, &mut pending).await;
        let (size, started) = (batch.len(), Instant::now());
        let (batch, verdicts) = hub
            .storage
            .call(move |store| {
                let verdicts = batch.write(store, &context, || MaskedSum::new(shape));
                (batch, verdicts)
            })
            .await;
        let counted = verdicts.iter().flatten().filter(|verdict| **verdict == Verdict::Counted).count();
        hub.metrics.flushed(size, started.elapsed(), &verdicts);
        batch.answer(&verdicts);
        if let Some(round) = round.upgrade() {
            round.counted(counted as u32);
        }
    }
}

/// What one transaction takes.
#[derive(Default)]
struct Batch {
    // By position. Of a device's vectors of the same hash the first is kept; all who sent one wait.
    vectors: BTreeMap<u32, Checked<'static>>,
    waiting: Vec<(u32, Hash, oneshot::Sender<Answer>)>,
    // Memory is given back when the batch is.
    rooms: Vec<OwnedSemaphorePermit>,
}

impl Batch {
    fn len(&self) -> usize {
        self.vectors.len()
    }

    /// KiB of memory.
    fn room(&self) -> usize {
        self.rooms.iter().map(OwnedSemaphorePermit::num_permits).sum()
    }

    fn take(&mut self, pending: Pending) {
        let Pending { checked, room, answer } = pending;
        self.waiting.push((checked.position(), checked.digest(), answer));
        self.vectors.entry(checked.position()).or_insert(checked);
        self.rooms.push(room);
    }

    fn write(&self, store: &mut dyn Store, context: &Hash, sum: impl Fn() -> MaskedSum) -> Vec<Answer> {
        let entries: Vec<Entry> =
            self.vectors.values().map(|v| Entry { position: v.position(), digest: v.digest() }).collect();
        let written = store.flush(context, &entries, &mut |new| {
            let mut sum = sum();
            self.vectors.values().zip(new).filter(|(_, new)| **new).for_each(|(vector, _)| sum.add(vector));
            sum.to_packed()
        });
        match written {
            Ok(verdicts) => verdicts.into_iter().map(Some).collect(),
            Err(error) => {
                tracing::error!(%error, "contributions could not be written: their devices send again");
                vec![None; entries.len()]
            }
        }
    }

    fn answer(self, verdicts: &[Answer]) {
        let verdicts: BTreeMap<u32, Answer> = self.vectors.keys().copied().zip(verdicts.iter().copied()).collect();
        for (position, digest, answer) in self.waiting {
            let of_another = self.vectors[&position].digest() != digest;
            let verdict = if of_another { Some(Verdict::Contradiction) } else { verdicts[&position] };
            // Whoever has hung up will ask again.
            let _ = answer.send(verdict);
        }
    }
}

async fn gather(hub: &Hub, first: Pending, pending: &mut mpsc::Receiver<Pending>) -> Batch {
    let settings = &hub.config.flush;
    let end = tokio::time::Instant::now() + Duration::from_millis(settings.linger_ms);
    let mut batch = Batch::default();
    batch.take(first);
    // A quarter of the memory, so that vectors are received while others are written; and nothing is waited for that is not
    // on its way.
    let most = settings.pending_mb as usize * 1024 / 4;
    let goes_on = |batch: &Batch| batch.len() < settings.entries && batch.room() < most;
    while goes_on(&batch) && (hub.room_taken() > batch.room() || !pending.is_empty()) {
        match timeout_at(end, pending.recv()).await {
            Ok(Some(next)) => batch.take(next),
            Ok(None) | Err(_) => break,
        }
    }
    batch
}
