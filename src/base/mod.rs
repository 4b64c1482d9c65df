//! What everything may use: the error, ids, time and whole files. Imports nothing of ours.

pub mod error;
pub mod files;
pub mod id;
pub mod time;

pub use error::{Error, Result};
pub use id::Id;
pub use time::Timestamp;
