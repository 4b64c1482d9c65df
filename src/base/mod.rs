//! What everything may use: the error, ids, time and whole files. Imports nothing of ours.

pub mod error;
pub mod files;
pub mod id;
pub mod request_id;
pub mod time;

pub use error::{Error, Result};
pub use id::Id;
pub use request_id::{RequestId, RequestIds};
pub use time::Timestamp;
