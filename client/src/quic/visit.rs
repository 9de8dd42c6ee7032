//! One visit: check in, and where there is a round, take part in it to its end.

use super::{Error, Line, Why};
use crate::part::{Part, Participant, Progress};
use sordino_shared::control::{Announced, Assigned, CheckIn, Reject, RetryAfter};
use sordino_shared::registry::{Refresh, Trusted};
use sordino_shared::secagg::Hash;
use sordino_shared::wire::{self, Kind};
use std::time::Duration;
use tokio::time::sleep;

/// What the coordinator has for a device.
#[derive(Clone, Debug, PartialEq)]
pub enum Visit {
    /// A round.
    Round(Box<Assigned>),
    /// Nothing; come again.
    Later(RetryAfter),
}

impl Visit {
    /// The registry as it stands, if there is one.
    pub fn registry(&self) -> Option<&Announced> {
        match self {
            Self::Round(assigned) => assigned.registry.as_ref(),
            Self::Later(later) => later.registry.as_ref(),
        }
    }
}

/// How a visit ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Visited {
    /// The device's part in a round is done.
    Done {
        /// The task.
        task: String,
        /// The round within it.
        round: u64,
        /// Hash of its terms.
        context: Hash,
    },
    /// It took no part: come again after this time.
    Later(Duration, Why),
}

/// Asks for work.
///
/// # Errors
/// [`enum@Error`].
pub async fn check_in(line: &Line, check_in: &CheckIn) -> Result<Visit, Error> {
    let most = |kind| match kind {
        Kind::Assigned => Some(MOST_OFFER),
        Kind::RetryAfter | Kind::Reject => Some(0),
        _ => None,
    };
    let frame = line.exchange(&check_in.to_frame(), most).await?;
    match wire::kind_of(&frame)? {
        Kind::Assigned => Ok(Visit::Round(Box::new(Assigned::from_frame(&frame)?))),
        Kind::RetryAfter => Ok(Visit::Later(RetryAfter::from_frame(&frame)?)),
        _ => Err(Error::Rejected(Reject::from_frame(&frame)?)),
    }
}

/// Looks at the registry: loads what is new and checks all of it.
///
/// # Errors
/// [`enum@Error`]; then what was believed before stays so.
pub async fn refresh(line: &Line, trusted: Trusted, announced: &Announced, now: i64) -> Result<Trusted, Error> {
    let mut refresh = Refresh::new(trusted, announced);
    while let Some(wanted) = refresh.wanted() {
        let bytes = line.fetch(&wanted, MOST_METADATA).await?;
        refresh.take(&bytes, now)?;
    }
    Ok(refresh.done().expect("nothing more is wanted"))
}

/// Takes part in a round to its end; `load` gives what the assignment says is to be loaded.
///
/// # Errors
/// [`enum@Error`]; the device's part is over.
pub async fn visit(
    line: &Line,
    assigned: &Assigned,
    broadcast: &[u8],
    device: &mut impl Participant,
) -> Result<Visited, Error> {
    let part = Part::join(assigned, broadcast, device)?;
    let context = part.context();
    drive(line, part, device).await?;
    Ok(Visited::Done { task: assigned.offer.task.clone(), round: assigned.offer.round, context })
}

/// Drives a part to its end.
///
/// # Errors
/// [`enum@Error`].
pub async fn drive(line: &Line, mut part: Part, device: &mut impl Participant) -> Result<(), Error> {
    loop {
        let frame = line.exchange(&part.request(), Part::most_payload).await?;
        match part.take(&frame, device)? {
            Progress::Send => {}
            Progress::Wait(ms) => sleep(Duration::from_millis(ms.min(LONGEST_WAIT_MS))).await,
            Progress::Over => return Ok(()),
        }
    }
}

/// A time between both ends of what the coordinator asks for.
pub fn pause(later: &RetryAfter) -> Duration {
    let (least, most) = (later.min_ms.min(LONGEST_PAUSE_MS), later.max_ms.min(LONGEST_PAUSE_MS));
    let spread = most.saturating_sub(least) as f64;
    Duration::from_millis(least + (spread * crate::random::unit()) as u64)
}

const MOST_OFFER: usize = 8192;
const MOST_METADATA: u64 = 1 << 22;
const LONGEST_WAIT_MS: u64 = 60_000;
// Nobody can send a device away for more than two days.
const LONGEST_PAUSE_MS: u64 = 2 * 24 * 3600 * 1000;
