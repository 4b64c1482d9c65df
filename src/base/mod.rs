//! What everything may use: the error, ids and time. Imports nothing of ours.

pub mod error;
pub mod id;
pub mod time;

pub use error::{Error, Result};
pub use id::Id;
pub use time::Timestamp;
