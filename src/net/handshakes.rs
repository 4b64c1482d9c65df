//! TLS handshakes, counted.

use std::sync::atomic::{AtomicU64, Ordering};

use rustls::{HandshakeKind, ServerConnection};

/// Handshakes since the start.
#[derive(Debug, Default)]
pub struct Handshakes {
    full: AtomicU64,
    resumed: AtomicU64,
    failed: AtomicU64,
}

impl Handshakes {
    /// A handshake that led to a connection.
    pub(super) fn done(&self, session: &ServerConnection) {
        let count = match session.handshake_kind() {
            Some(HandshakeKind::Resumed) => &self.resumed,
            _ => &self.full,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// A handshake that led to nothing, or did not end in time.
    pub(super) fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// The counts with what they are called: `full`, `resumed`, `failed`.
    pub fn counts(&self) -> [(&'static str, u64); 3] {
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        [
            ("full", count(&self.full)),
            ("resumed", count(&self.resumed)),
            ("failed", count(&self.failed)),
        ]
    }
}
