//! A phone as a test has it.

pub use sordino_client::device::Pretend as Phone;
