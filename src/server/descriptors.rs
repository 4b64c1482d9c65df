//! How many files and sockets the system lets the program have open, and what that allows.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::net::admission;

/// As many as any settings need: what the system would give besides is left to it.
const ENOUGH: u64 = 65_536;
/// What else needs descriptors: the database, listening sockets, connections to programs that wait for requests.
const KEPT: u64 = 512;
/// A connection has one, and so has a request of it: the file that is sent, or the program behind.
const OF_A_CONNECTION: u64 = 2;

/// Raises the soft limit as far as the hard one and need allow.
pub(super) fn raise() {
    let now = getrlimit(Resource::Nofile);
    let wanted = now.maximum.map_or(ENOUGH, |most| most.min(ENOUGH));
    if now.current.is_none_or(|current| current >= wanted) {
        return;
    }
    let raised = Rlimit {
        current: Some(wanted),
        ..now
    };
    if let Err(e) = setrlimit(Resource::Nofile, raised) {
        log::warn!(
            "the system gives no more than {:?} open files: {e}",
            now.current
        );
    }
}

/// The limits of the settings, as far as there are descriptors for them.
pub(super) fn fitting(mut limits: admission::Settings) -> admission::Settings {
    if let Some(descriptors) = getrlimit(Resource::Nofile).current {
        let room = descriptors.saturating_sub(KEPT).max(64) / OF_A_CONNECTION;
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        limits.connections = limits.connections.min(room);
    }
    limits
}
