//! What a device writes before it sends, and reads after a restart (docs/protocol.md, section 8).

use super::unmask::{Agreed, Answered};
use super::upload::Uploaded;
use super::{Held, Neighbour, Neighbourhood, Place};
use crate::secagg::identity::SignatureBytes;
use crate::secagg::messages::{Agreement, Answer, Bits, field};
use crate::secagg::transcript::hash;
use crate::wire::{self, Decode, Encode, Kind};
use thiserror::Error;
use zeroize::Zeroizing;

/// A state whose record is not yet written, and the message that may not leave before it is.
#[must_use = "the message comes out once the record is written"]
pub struct Unsaved<S, M> {
    state: S,
    message: M,
    record: Record,
}

impl<S, M> Unsaved<S, M> {
    pub(super) fn new(state: S, message: M, record: Record) -> Self {
        Self { state, message, record }
    }

    /// Hands the record to `write`, which must put it durably **in the place of** the round's earlier record, and then
    /// gives out the state and the message.
    ///
    /// # Errors
    /// Those of `write`; then nothing comes out and the secrets are wiped.
    pub fn save<E>(self, write: impl FnOnce(&[u8]) -> Result<(), E>) -> Result<(S, M), E> {
        write(&self.record.bytes)?;
        Ok((self.state, self.message))
    }
}

/// A device after a restart.
pub enum Resumed {
    /// It had masked a vector; the frame may be sent again, as it is.
    Uploaded(Uploaded, Vec<u8>),
    /// It had signed a set of survivors.
    Agreed(Agreed),
    /// It had given out its shares.
    Answered(Answered),
}

/// A record that cannot be read: the device sits the round out.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordError {
    /// A bit of it is not as it was written. A damaged share would name its holder a liar.
    #[error("the round's record is damaged, so this device sits the round out")]
    Damaged,
    /// It is of another version.
    #[error("the round's record cannot be read, so this device sits the round out: {0}")]
    Unreadable(#[from] wire::Error),
}

/// Reads a record.
///
/// # Errors
/// [`RecordError`].
pub fn resume(record: &[u8]) -> Result<Resumed, RecordError> {
    let (record, digest) = record.split_last_chunk().ok_or(RecordError::Damaged)?;
    if hash(record) != *digest {
        return Err(RecordError::Damaged);
    }
    let (header, payload): (Header, _) = wire::decode(record, Kind::Record, u32::MAX as usize)?;
    if let Phase::Answered = header.phase {
        return Ok(Resumed::Answered(Answered { answer: Answer::from_frame(payload, u32::MAX)? }));
    }
    let slots = (header.neighbours as usize).checked_mul(SLOT).ok_or(wire::Error::Payload)?;
    let (slots, rest) = payload.split_at_checked(slots).ok_or(wire::Error::Payload)?;
    let (alive, rest) = rest.split_at_checked(Bits::bytes_for(header.neighbours)).ok_or(wire::Error::Payload)?;
    let alive = Bits::new(header.neighbours, alive.to_vec()).ok_or(wire::Error::Payload)?;
    let (neighbours, held) = wire::records::<SLOT>(slots)?.iter().map(read_slot).unzip();
    let neighbourhood = Neighbourhood { place: header.place, neighbours };
    match header.phase {
        Phase::Agreed { signature } => {
            let survivors = Bits::new(neighbourhood.place.devices, rest.to_vec()).ok_or(wire::Error::Payload)?;
            let agreement =
                Agreement { context: neighbourhood.place.context, position: neighbourhood.place.position, signature };
            Ok(Resumed::Agreed(Agreed { neighbourhood, alive, held, survivors, agreement }))
        }
        _ => Ok(Resumed::Uploaded(Uploaded { neighbourhood, alive, held }, rest.to_vec())),
    }
}

/// The bytes of a record, a frame and its hash; wiped on drop.
pub(super) struct Record {
    bytes: Zeroizing<Vec<u8>>,
}

#[derive(Encode, Decode)]
struct Header {
    phase: Phase,
    place: Place,
    neighbours: u32,
}

#[derive(Encode, Decode)]
enum Phase {
    Uploaded,
    Agreed { signature: SignatureBytes },
    Answered,
}

impl Record {
    pub(super) fn uploaded(state: &Uploaded, frame: &[u8]) -> Self {
        Self::new(Phase::Uploaded, &state.neighbourhood, &state.alive, &state.held, frame)
    }

    pub(super) fn agreed(state: &Agreed) -> Self {
        let phase = Phase::Agreed { signature: state.agreement.signature };
        Self::new(phase, &state.neighbourhood, &state.alive, &state.held, state.survivors.bytes())
    }

    /// Nothing is kept but what has been given out.
    pub(super) fn answered(neighbourhood: &Neighbourhood, answer: &Answer) -> Self {
        let header = Header::new(Phase::Answered, neighbourhood);
        Self::written(&header, &[&answer.to_frame()])
    }

    fn new(phase: Phase, neighbourhood: &Neighbourhood, alive: &Bits, held: &[Option<Held>], rest: &[u8]) -> Self {
        let mut slots = Zeroizing::new(Vec::with_capacity(held.len() * SLOT));
        for (neighbour, held) in neighbourhood.neighbours.iter().zip(held) {
            slots.extend_from_slice(&neighbour.position.to_le_bytes());
            slots.extend_from_slice(&neighbour.identity);
            slots.push(u8::from(held.is_some()));
            let nothing = [0; 32];
            let (masking, own) = held.as_ref().map_or((&nothing, &nothing), |held| (&*held.masking, &*held.own));
            slots.extend_from_slice(masking);
            slots.extend_from_slice(own);
        }
        let header = Header::new(phase, neighbourhood);
        Self::written(&header, &[&slots, alive.bytes(), rest])
    }

    fn written(header: &Header, payload: &[&[u8]]) -> Self {
        let frame = Zeroizing::new(wire::encode(Kind::Record, header, payload));
        // In one allocation: a vector that grows would leave a copy behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(frame.len() + 32));
        bytes.extend_from_slice(&frame);
        bytes.extend_from_slice(&hash(&frame));
        Self { bytes }
    }
}

impl Header {
    fn new(phase: Phase, neighbourhood: &Neighbourhood) -> Self {
        Self { phase, place: neighbourhood.place.clone(), neighbours: neighbourhood.neighbours.len() as u32 }
    }
}

fn read_slot(slot: &[u8; SLOT]) -> (Neighbour, Option<Held>) {
    let neighbour = Neighbour { position: u32::from_le_bytes(field(slot, 0)), identity: field(slot, 4) };
    let held = Held { masking: Zeroizing::new(field(slot, 37)), own: Zeroizing::new(field(slot, 69)) };
    (neighbour, (slot[36] == 1).then_some(held))
}

// Position, identity, whether shares are held, and the two shares.
const SLOT: usize = 4 + 32 + 1 + 64;
