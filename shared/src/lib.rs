//! What a Sordino device and its coordinator must agree on, bit by bit.
//!
//! No clock, no threads of its own and no global state: every function here takes values and gives values, so
//! that the phone, the server, the simulator and the tests run the same code.
//!
//! The data's way, stage by stage (the stages before `Example` are in `sordino-client`):
//!
//! | stage | in | out | where |
//! |---|---|---|---|
//! | statistics | [`model::Example`] | [`workload::Statistics`] | [`workload`] |
//! | clip | [`workload::Statistics`] | [`privacy::Clipped`] | `privacy/clip.rs` |
//! | round | [`privacy::Clipped`] | [`privacy::Rounded`] | `privacy/encode.rs` |
//! | noise | [`privacy::Rounded`] | [`privacy::Noised`] | `privacy/noise/` |
//! | mask | [`privacy::Noised`] | [`secagg::Masked`] | `secagg/mask.rs` |
//! | add, open | [`secagg::Masked`] | [`privacy::Sum`] | `secagg/coordinator/` |
//! | add, without masks | [`privacy::Noised`] | [`privacy::Sum`] | `privacy/sum.rs` |
//! | learn | [`privacy::Sum`] | [`model::Model`] | [`workload`] |

pub mod bytes;
pub mod causes;
pub mod control;
pub mod evaluate;
pub mod ids;
pub mod linalg;
pub mod math;
pub mod model;
pub mod plain;
pub mod plan;
pub mod privacy;
pub mod random;
pub mod registry;
pub mod rollout;
pub mod secagg;
pub mod wire;
pub mod workload;
