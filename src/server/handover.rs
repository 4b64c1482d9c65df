//! Another program takes over from the running one, and no request is lost: an upgrade, or the way back.
//!
//! The old process starts the new one ([`Successor`]) and gives it the listening sockets and the lock of the data
//! folder. The new one opens the data, asks itself for a page ([`Predecessor`]), and says that it is ready. Then both
//! take connections for a moment; the old one stops, finishes what it has, and ends. Whatever goes wrong before
//! that, the old one goes on as if nothing had been.
//!
//! While both are there, each looks before every page whether the other has written
//! ([`Database::watch_others`](crate::db::Database::watch_others)), so that nobody sees an older page than before.
//!
//! What they say is a line of JSON each, over a pair of sockets; the new process has its end as standard input. An
//! older program does not know of all this: it finds the data folder in use, and says so.

mod output;
mod predecessor;
mod program;
mod successor;
pub mod tether;
mod wire;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use self::{predecessor::Predecessor, program::refuse_foreign};
pub(super) use self::{
    predecessor::{Before, hello},
    program::Program,
    successor::Successor,
};

use crate::auth::unsaved::Carried;

/// Set for a process that is to take over; its standard input leads to the one before.
const VARIABLE: &str = "WEBSTEAD_HANDOVER";
/// The version of what is said here. A new process that knows another one says so and ends.
const PROTOCOL: u32 = 1;

/// What the old process begins with. It comes with these descriptors: the sockets for HTTPS and for plain HTTP, the
/// lock, and one for each older process that has not ended.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    protocol: u32,
    /// The secret of the link that sets the site up, if that is still needed.
    pub(super) setup: Option<String>,
    /// Whether the first of all processes was started from a terminal.
    pub(super) has_terminal: bool,
    /// Where the program lies.
    pub(super) program: PathBuf,
    /// The schema that the oldest of the processes that work with the database was made for. An older program does not
    /// say it.
    #[serde(default)]
    pub(super) schema: Option<i64>,
    /// Sessions that no disk has.
    #[serde(default)]
    pub(super) sessions: Vec<Carried>,
}

/// What the old process says afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Word {
    /// To take connections.
    Go,
    /// To be the one that the service manager and everybody else hears.
    Lead,
}

/// What the new process says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Report {
    /// It gets on, and needs more time.
    Progress(String),
    /// It has proved itself.
    Ready { version: String },
    /// It cannot take over.
    Failed(String),
    /// It takes connections.
    Serving,
}
