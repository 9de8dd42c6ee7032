//! What each target does with its bytes. The workspace's own tests call the same functions (`tests/decoders.rs`).

pub mod decoders;

/// All messages around a round in one target: their frames are short.
pub fn control(bytes: &[u8]) {
    let around = decoders::ALL.iter().skip_while(|(name, _)| *name != "check_in");
    around.take_while(|(name, _)| *name != "broadcast").for_each(|(_, decode)| {
        let _ = decode(bytes);
    });
}
