//! What the log, the error page and the programs behind call a request.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

/// The name of one request: 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId(u64);

/// Makes names of requests that no other run of the program is likely to have made.
#[derive(Debug)]
pub struct RequestIds(AtomicU64);

impl RequestIds {
    /// Counts from a random number.
    pub fn new() -> Self {
        let mut start = [0; 8];
        // Without randomness the names of two runs may be the same, which only the log would show.
        let _ = getrandom::fill(&mut start);
        Self(AtomicU64::new(u64::from_le_bytes(start)))
    }

    /// The next name.
    pub fn next(&self) -> RequestId {
        RequestId(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

impl Default for RequestIds {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
