//! Requests: one frame in, one frame out, each held to its limits before anything is allocated.

use super::hub::Hub;
use super::now;
use quinn::{Connection, RecvStream, SendStream, VarInt};
use sordino_shared::control::{Ask, CheckIn, Chunk, Code, Enrol, Fetch, Reject, Renew};
use sordino_shared::secagg::Hash;
use sordino_shared::wire::{self, Kind, Preamble};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};

/// Answers a connection's requests until it goes. `device` is the key that it was authenticated with.
pub(super) async fn serve(hub: &Arc<Hub>, connection: &Connection, device: Option<Hash>) {
    while let Ok((send, receive)) = connection.accept_bi().await {
        let (hub, connection) = (hub.clone(), connection.clone());
        tokio::spawn(async move {
            if let Err(closed) = handle(&hub, send, receive, device).await {
                connection.close(VarInt::from_u32(closed.0), closed.1.as_bytes());
            }
        });
    }
}

/// The connection is to be closed, with a code and a reason.
struct Closed(u32, &'static str);

async fn handle(
    hub: &Arc<Hub>,
    mut send: SendStream,
    mut receive: RecvStream,
    device: Option<Hash>,
) -> Result<(), Closed> {
    let answer = match read(hub, &mut receive, device.is_some()).await {
        Ok((kind, frame, room)) => {
            hub.metrics.received(frame.len());
            answer(hub, kind, frame, room, device).await
        }
        Err(Unread::Slow) => return Err(Closed(SLOW, "too slow")),
        Err(Unread::Gone) => return Ok(()),
        Err(Unread::Refused(reject)) => {
            // What is still on its way is not wanted.
            let _ = receive.stop(VarInt::from_u32(0));
            Err(reject)
        }
    };
    let frame = answer.unwrap_or_else(|reject| hub.refused(&reject));
    // A peer that does not take its answer in time is gone.
    let end = Instant::now() + SLOWEST_ANSWER;
    let written = timeout_at(end, async {
        send.write_all(&frame).await.ok()?;
        send.finish().ok()?;
        send.stopped().await.ok()
    });
    match written.await {
        Ok(_) => Ok(()),
        Err(_) => Err(Closed(SLOW, "too slow")),
    }
}

async fn answer(
    hub: &Arc<Hub>,
    kind: Kind,
    frame: Vec<u8>,
    room: Option<OwnedSemaphorePermit>,
    device: Option<Hash>,
) -> Result<Vec<u8>, Reject> {
    let malformed = |error: wire::Error| Reject::new(Code::Malformed, error);
    if kind == Kind::Enrol {
        let enrol = Enrol::from_frame(&frame).map_err(malformed)?;
        let hub = hub.clone();
        let enrolled = tokio::task::spawn_blocking(move || hub.authority.enrol(&enrol, now()));
        return Ok(enrolled.await.expect("the authority does not panic")?.to_frame());
    }
    let device = device.ok_or_else(|| Reject::new(Code::NotEnrolled, "enrol first: this needs a certificate"))?;
    hub.check_revoked(&device)?;
    match kind {
        Kind::Renew => {
            let renew = Renew::from_frame(&frame).map_err(malformed)?;
            Ok(hub.authority.renew(&device, &renew.request, now())?.to_frame())
        }
        Kind::CheckIn => hub.check_in(&device, &CheckIn::from_frame(&frame).map_err(malformed)?),
        Kind::Fetch => {
            let fetch = Fetch::from_frame(&frame).map_err(malformed)?;
            let unknown = || Reject::new(Code::UnknownModel, "there is no such model here any more");
            let bytes = hub.models.get(&fetch.digest).ok_or_else(unknown)?;
            Ok(Chunk::of(&bytes, &fetch).to_frame())
        }
        Kind::Ask => {
            let ask = Ask::from_frame(&frame).map_err(malformed)?;
            hub.ask(&device, &ask.context, ask.step).await
        }
        _ => hub.message(&device, frame, room).await,
    }
}

enum Unread {
    /// The peer keeps a stream open and sends next to nothing.
    Slow,
    /// The stream or the connection is gone.
    Gone,
    Refused(Reject),
}

/// Reads a frame: its preamble, then, once its lengths are allowed and there is room for it, the rest. A peer that sends
/// more slowly than the least rate is given up, however little it keeps busy.
async fn read(
    hub: &Arc<Hub>,
    receive: &mut RecvStream,
    enrolled: bool,
) -> Result<(Kind, Vec<u8>, Option<OwnedSemaphorePermit>), Unread> {
    let limits = &hub.config.limits;
    let start = Instant::now();
    let grace = Duration::from_secs(limits.grace_seconds);
    let mut preamble = [0; Preamble::BYTES];
    timeout_at(start + grace, receive.read_exact(&mut preamble))
        .await
        .map_err(|_| Unread::Slow)?
        .map_err(|_| Unread::Gone)?;
    let refused = |error: wire::Error| {
        let code = match error {
            wire::Error::Version(_) => Code::Version,
            wire::Error::TooLong { .. } => Code::Limit,
            _ => Code::Malformed,
        };
        Unread::Refused(Reject::new(code, error))
    };
    let (kind, lengths) = Preamble::read_any(&preamble, |kind| hub.most_payload(kind)).map_err(refused)?;
    if !enrolled && kind != Kind::Enrol {
        return Err(Unread::Refused(Reject::new(Code::NotEnrolled, "enrol first: this needs a certificate")));
    }
    let total = Preamble::BYTES + lengths.rest();
    let mut frame = Vec::with_capacity(total.min(FIRST_PIECE));
    frame.extend_from_slice(&preamble);
    let mut room = None;
    while frame.len() < total {
        let end = if frame.len() < FIRST_PIECE { total.min(FIRST_PIECE) } else { total };
        // A long frame needs room, and gets it only once its sender has shown that it sends.
        if end == total && total > FIRST_PIECE && room.is_none() {
            room = Some(room_for(hub, total).await?);
            frame.reserve_exact(total - frame.len());
        }
        let next = end.min(frame.len() + PIECE);
        let by = start + grace + Duration::from_secs_f64(next as f64 / limits.least_rate as f64);
        // Pieces are appended as they come, so that memory is not cleared first.
        let filled = async {
            while frame.len() < next {
                let piece = receive.read_chunk(next - frame.len(), true).await.ok().flatten().ok_or(Unread::Gone)?;
                frame.extend_from_slice(&piece.bytes);
            }
            Ok(())
        };
        timeout_at(by, filled).await.map_err(|_| Unread::Slow)??;
    }
    if kind == Kind::Upload && room.is_none() {
        room = Some(room_for(hub, total).await?);
    }
    Ok((kind, frame, room))
}

async fn room_for(hub: &Arc<Hub>, bytes: usize) -> Result<OwnedSemaphorePermit, Unread> {
    let most = hub.config.flush.pending_mb as usize * 1024;
    let kib = bytes.div_ceil(1024).clamp(1, most) as u32;
    hub.room.clone().acquire_many_owned(kib).await.map_err(|_| Unread::Gone)
}

const SLOW: u32 = 1;
const SLOWEST_ANSWER: Duration = Duration::from_secs(60);
const FIRST_PIECE: usize = 64 * 1024;
const PIECE: usize = 64 * 1024;
