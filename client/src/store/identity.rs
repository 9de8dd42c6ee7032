//! What makes two events the same event: the id that the application gave, or else kind, track and
//! time.
//!
//! The store holds a keyed hash of it, so that the file says nothing of what was heard, nor whether
//! two devices heard the same. Time, track and kind stand for an event without an id because the
//! quality checks let one of these through anyway, and because they stay the same when events come
//! to have more fields.

use crate::event::PlaybackEvent;
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

/// The keyed hash of what makes an event the same as another.
pub(super) type Identity = [u8; 16];

/// Makes identities under a device's own key.
pub(super) struct Identities(Zeroizing<[u8; 32]>);

impl Identities {
    /// Under a key that follows from the device's secret, and is no other's.
    pub(super) fn new(secret: &Zeroizing<[u8; 32]>) -> Self {
        let mut key = Zeroizing::new([0u8; 32]);
        Hkdf::<Sha256>::new(None, secret.as_slice())
            .expand(b"sordino device event identities v1", key.as_mut_slice())
            .expect("32 bytes are a valid length");
        Self(key)
    }

    /// An event's.
    pub(super) fn of(&self, event: &PlaybackEvent) -> Identity {
        let mut message = Vec::with_capacity(32);
        if event.event_id == 0 {
            message.push(0);
            message.extend_from_slice(&event.track.0.to_le_bytes());
            message.extend_from_slice(&event.time.0.to_le_bytes());
            message.extend_from_slice(event.kind.name().as_bytes());
        } else {
            message.push(1);
            message.extend_from_slice(&event.event_id.to_le_bytes());
        }
        // One block of HKDF's second half is HMAC of the message and a counter.
        let mut identity = Identity::default();
        let key = Hkdf::<Sha256>::from_prk(self.0.as_slice()).expect("32 bytes are long enough");
        key.expand(&message, &mut identity).expect("16 bytes are a valid length");
        identity
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{EventKind, Timestamp, TrackId};

    #[test]
    fn an_id_or_else_what_happened_decides() {
        let [ours, others] = [1, 2].map(|secret| Identities::new(&Zeroizing::new([secret; 32])));
        let event = PlaybackEvent::new(TrackId(3), Timestamp(9), EventKind::Play);
        let longer = PlaybackEvent { seconds_listened: Some(5.0), ..event };
        let named = PlaybackEvent { event_id: 7, ..event };
        let renamed = PlaybackEvent { track: TrackId(8), ..named };
        assert_eq!(ours.of(&event), ours.of(&longer));
        assert_eq!(ours.of(&named), ours.of(&renamed));
        let different = [
            event,
            named,
            PlaybackEvent { event_id: 8, ..event },
            PlaybackEvent { track: TrackId(4), ..event },
            PlaybackEvent { time: Timestamp(10), ..event },
            PlaybackEvent { kind: EventKind::Like, ..event },
        ];
        let identities: std::collections::BTreeSet<Identity> = different.iter().map(|event| ours.of(event)).collect();
        assert_eq!(identities.len(), different.len());
        assert_ne!(ours.of(&event), others.of(&event), "two devices' files cannot be compared");
    }
}
