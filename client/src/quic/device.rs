//! A device's visits: whatever was interrupted, then its certificate, then work, then the latest model.

use super::{Credentials, Error, Line, Visit, Visited, Why, check_in, drive, enrol, pause, refresh, renew, visit};
use crate::device::STEADY_MS;
use crate::device::{Device, Host};
use crate::part::{self, Part, Participant, rest_of_step};
use quinn::Endpoint;
use sordino_shared::control::{Announced, CheckIn, Code, Download};
use sordino_shared::registry::Freshness;
use sordino_shared::secagg::{Hash, Identity};
use std::time::{Duration, Instant};

/// Enrols a device with a token of its coordinator's. Once is enough: ask [`Device::enrolled`]
/// first.
///
/// # Errors
/// [`enum@Error`].
pub async fn enrol_device<H: Host>(
    device: &mut Device<H>,
    endpoint: &Endpoint,
    token: Hash,
    attestation: Vec<u8>,
) -> Result<(), Error> {
    device.alone()?;
    let line = Line::new(endpoint, device.federation(), None)?;
    let enrolled = enrol(&line, device.identity(), token, attestation).await?;
    line.hang_up().await;
    Ok(device.set_enrolled(enrolled)?)
}

/// One visit of a device to its coordinator: call it when the platform wakes the application in the
/// background, and again after the time of [`Visited::Later`].
///
/// ```no_run
/// use sordino_client::prelude::*;
/// # async fn visit(device: &mut Device<sordino_client::device::Desk>) -> Result<(), sordino_client::quic::Error> {
/// let endpoint = endpoint()?;
/// match visit_once(device, &endpoint, "jukebox 2.1").await? {
///     Visited::Done { task, round, .. } => println!("took part in round {round} of '{task}'"),
///     Visited::Later(wait, why) => println!("{why}; again in {} s", wait.as_secs()),
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`enum@Error`]; what was interrupted is taken up at the next visit.
pub async fn visit_once<H: Host>(device: &mut Device<H>, endpoint: &Endpoint, client: &str) -> Result<Visited, Error> {
    device.alone()?;
    let line = line(device, endpoint)?;
    let result = visit_over(device, &line, client).await;
    line.hang_up().await;
    result
}

async fn visit_over<H: Host>(device: &mut Device<H>, line: &Line, client: &str) -> Result<Visited, Error> {
    take_up(device, line).await?;
    let now = device.now();
    if device.enrolled().is_some_and(|enrolled| enrolled.certificate.not_after < now + RENEW_BEFORE_MS) {
        let renewed = renew(line, device.identity()).await?;
        device.set_enrolled(renewed)?;
    }
    // A device that has trained lately trains no more, but has its say of a rollout; one that is kept from the news does neither, nor does
    // one that is in use. That comes for the news alone: a version that harms is taken back from it too.
    let busy = device.may_take_part().err();
    // Freshness is asked at every visit: a device remembers what it has found out of date.
    let (is_frozen, rests) = (device.freshness()? == Freshness::Frozen, device.rest()? > 0);
    let takes_part = busy.is_none() && !is_frozen;
    let asked = CheckIn {
        trains: takes_part && !rests,
        measures: takes_part,
        declines: device.declines()?,
        ..CheckIn::new(&device.federation().population, client)
    };
    let found = check_in(line, &asked).await?;
    if let Some(announced) = found.registry()
        && let Err(error) = take_news(device, line, announced, busy.is_none()).await
    {
        // What serves goes on, whatever the news.
        match error {
            Error::Unreachable(_) => return Err(error),
            error => tracing::warn!(%error, "the registry's news is not believed"),
        }
    }
    if let Some(reason) = busy {
        return Ok(Visited::Later(BUSY, Why::Host(reason)));
    }
    match found {
        Visit::Later(later) => {
            let why = match (is_frozen, rests) {
                (true, _) => Why::Frozen,
                (false, true) => Why::Rests,
                (false, false) => Why::NothingToDo,
            };
            Ok(Visited::Later(pause(&later), why))
        }
        Visit::Round(assigned) => {
            let broadcast = load(device, line, &assigned.broadcast).await?;
            if !device.has_its_say(&broadcast)? {
                return Ok(Visited::Later(AGAIN, Why::NothingToSay));
            }
            match visit(line, &assigned, &broadcast, device).await {
                // There was no place left, too few others came, or the host wants it so: nothing went wrong.
                Err(Error::Part(part::Error::Rejected(reject))) if is_over(reject.code) => {
                    Ok(Visited::Later(AGAIN, Why::Round(reject.reason)))
                }
                Err(Error::Part(part::Error::Interrupted(reason))) => Ok(Visited::Later(AGAIN, Why::Host(reason))),
                result => result,
            }
        }
    }
}

/// Whether a round goes on without the device, or not at all, through nobody's fault.
fn is_over(code: Code) -> bool {
    matches!(code, Code::Full | Code::TooLate | Code::UnknownRound | Code::Abandoned)
}

/// Looks at the registry, loads what every device is to have, where models may be loaded now, and does what it says.
async fn take_news<H: Host>(
    device: &mut Device<H>,
    line: &Line,
    announced: &Announced,
    loads: bool,
) -> Result<(), Error> {
    let registry = refresh(line, device.registry()?, announced, device.registry_time()?).await?;
    // Where it says more than was signed nothing of it is kept, so nothing of it is done, also not later.
    let choice = device.choice_of(&registry)?;
    device.set_registry(&registry)?;
    for counter in choice.keep.iter().filter(|_| loads) {
        if device.versions()?.wants(*counter)
            && let Some((download, info)) = registry.version(*counter)
        {
            let bytes = load(device, line, &download).await?;
            // One that does not pass its test is noted and not taken; the visit goes on. The test asks for the listener's own list
            // too: how long that takes is nobody's business.
            let start = Instant::now();
            device.keep_version(&info, &bytes)?;
            let spent = i64::try_from(start.elapsed().as_millis()).unwrap_or(i64::MAX);
            tokio::time::sleep(Duration::from_millis(rest_of_step(spent, STEADY_MS))).await;
        }
    }
    Ok(device.settle(&choice)?)
}

/// Takes up rounds that a restart interrupted. One that is over, or cannot be read, is let go.
async fn take_up<H: Host>(device: &mut Device<H>, line: &Line) -> Result<(), Error> {
    for (context, record) in device.records()? {
        match Part::resume(context, &record) {
            Ok(part) => match drive(line, part, device).await {
                Ok(()) | Err(Error::Part(_)) => {}
                Err(error) => return Err(error),
            },
            Err(error) => {
                tracing::warn!(%error, "a round that was interrupted is let go");
                device.forget(&context)?;
            }
        }
    }
    Ok(())
}

/// Loads bytes, from where an interrupted load of them ended; what came is kept, also where it is not all.
async fn load<H: Host>(device: &mut Device<H>, line: &Line, download: &Download) -> Result<Vec<u8>, Error> {
    let mut loaded = device.loaded(&download.digest)?;
    let result = line.fetch_into(download, &mut loaded, MOST_MODEL).await;
    device.keep_loaded(&download.digest, &loaded)?;
    result.map(|()| loaded)
}

fn line<H: Host>(device: &Device<H>, endpoint: &Endpoint) -> Result<Line, Error> {
    let enrolled = device.enrolled().ok_or(crate::device::Error::NotEnrolled)?.clone();
    let identity = Identity::from_secret(&device.identity().secret());
    Line::new(endpoint, device.federation(), Some(&Credentials { identity, enrolled }))
}

const RENEW_BEFORE_MS: i64 = 2 * 86_400_000;
const MOST_MODEL: u64 = 1 << 28;
const BUSY: Duration = Duration::from_secs(15 * 60);
const AGAIN: Duration = Duration::from_secs(15 * 60);
