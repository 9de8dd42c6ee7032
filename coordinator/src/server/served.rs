//! Tasks and rounds under way, as requests see them: what a driver changes and everybody reads.

use super::driver::Nudge;
use super::flush::{Pending, flush};
use super::hub::Hub;
use super::now;
use super::pace::Pace;
use super::view::TaskView;
use crate::round::{Live, Outcome};
use crate::store::{Phase, Verdict};
use sordino_shared::control::{Announced, Assigned, Code, Receipt, Reject, Step};
use sordino_shared::secagg::coordinator::Checked;
use sordino_shared::secagg::{Hash, Shape};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};

/// A task as requests see it.
#[derive(Default)]
pub(super) struct ServedTask {
    pub(super) round: RwLock<Option<Arc<Running>>>,
    // When the next round opens, in milliseconds since 1970; 0 where that is not known.
    pub(super) next_opening: AtomicU64,
    pub(super) pause_ms: AtomicU64,
    pub(super) wanted: AtomicU64,
    pub(super) view: RwLock<TaskView>,
    pub(super) over: AtomicBool,
}

/// A round under way, as requests see it.
pub(super) struct Running {
    pub(super) context: Hash,
    pub(super) shape: Shape,
    pub(super) live: RwLock<Live>,
    pub(super) task: String,
    // Whether it is a rollout's.
    pub(super) measures: bool,
    assigned: Assigned,
    most_offered: u32,
    // To whom; a device that asks again takes no second place.
    offered: Mutex<BTreeSet<Hash>>,
    pub(super) changed: watch::Sender<u64>,
    uploads: mpsc::Sender<Pending>,
    pub(super) nudge: Nudge,
}

impl ServedTask {
    pub(super) fn running(&self) -> Option<Arc<Running>> {
        self.round.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_running(&self, round: Option<Arc<Running>>) {
        *self.round.write().unwrap_or_else(PoisonError::into_inner) = round;
    }

    pub(super) fn change_view(&self, change: impl FnOnce(&mut TaskView)) {
        change(&mut self.view.write().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn view(&self) -> TaskView {
        let mut view = self.view.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let (Some(round), Some(view)) = (self.running(), &mut view.round) {
            let live = round.live();
            (view.done, view.of) = live.progress();
            view.phase = live.phase().name().to_owned();
            view.deadline = live.deadline();
        }
        let opening = self.next_opening.load(Ordering::Relaxed);
        view.opens = (view.round.is_none() && opening > 0).then_some(opening as i64);
        view
    }

    pub(super) fn pace(&self, eligible: u64) -> Pace {
        let opening = self.next_opening.load(Ordering::Relaxed);
        Pace {
            eligible,
            wanted: self.wanted.load(Ordering::Relaxed),
            window_ms: self.pause_ms.load(Ordering::Relaxed),
            next_ms: opening.saturating_sub(now().max(0) as u64),
        }
    }
}

impl Running {
    /// Puts a round under way.
    pub(super) fn start(
        hub: &Arc<Hub>,
        live: Live,
        measures: bool,
        nudge: Nudge,
        runtime: &tokio::runtime::Handle,
    ) -> Arc<Self> {
        let (uploads, pending) = mpsc::channel(MOST_PENDING);
        let round = Arc::new(Self {
            context: live.context(),
            shape: live.terms().shape(),
            task: live.setting().task.clone(),
            measures,
            assigned: live.assigned().clone(),
            most_offered: live.setting().offered,
            offered: Mutex::default(),
            changed: watch::Sender::new(0),
            live: RwLock::new(live),
            uploads,
            nudge,
        });
        runtime.spawn(flush(hub.clone(), Arc::downgrade(&round), pending));
        round
    }

    pub(super) fn live(&self) -> RwLockReadGuard<'_, Live> {
        self.live.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn live_mut(&self) -> RwLockWriteGuard<'_, Live> {
        self.live.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells everybody who waits that the round has gone on.
    pub(super) fn tell(&self) {
        self.changed.send_modify(|change| *change += 1);
    }

    pub(super) fn counted(&self, more: u32) {
        if more > 0 {
            self.live_mut().count(more);
            self.nudge.now();
        }
    }

    /// What a device that is taken on is told, with the registry as it stands.
    pub(super) fn assigned(&self, registry: Option<Announced>) -> Vec<u8> {
        Assigned { registry, ..self.assigned.clone() }.to_frame()
    }

    /// Whether the round is offered to this device.
    pub(super) fn takes_on(&self, device: &Hash) -> bool {
        // One guard for both: a second one on this thread could wait for a writer that waits for the first.
        let live = self.live();
        if live.phase() != Phase::Advertising || live.outcome(device, Step::Roster) == Outcome::Wait {
            return false;
        }
        drop(live);
        let mut offered = self.offered.lock().unwrap_or_else(PoisonError::into_inner);
        if !offered.contains(device) && offered.len() >= self.most_offered as usize {
            return false;
        }
        offered.insert(*device);
        true
    }

    pub(super) async fn upload(
        &self,
        checked: Checked<'static>,
        room: OwnedSemaphorePermit,
    ) -> Result<Vec<u8>, Reject> {
        let digest = checked.digest();
        let (answer, verdict) = oneshot::channel();
        let unable = || Reject::new(Code::Busy, "the contribution could not be written: send it again");
        self.uploads.send(Pending { checked, room, answer }).await.map_err(|_| unable())?;
        match verdict.await.ok().flatten().ok_or_else(unable)? {
            Verdict::Counted | Verdict::Known => Ok(Receipt { context: self.context, digest }.to_frame()),
            Verdict::Contradiction => {
                Err(Reject::new(Code::Contradiction, "another vector of this device has been counted"))
            }
            Verdict::TooLate => Err(Reject::new(Code::TooLate, "the round does not collect any more")),
        }
    }
}

const MOST_PENDING: usize = 4096;
