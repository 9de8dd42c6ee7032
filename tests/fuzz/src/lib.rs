//! What each target does with its bytes. The workspace's own tests call the same functions (`tests/decoders.rs`).

pub mod decoders;
