//! What the system asks the server to do.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::base::{Error, Result};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// To finish what is in flight and end.
    Stop,
    /// To read the settings again.
    Reload,
}

/// Ctrl-C, SIGTERM and SIGHUP, heard from the moment this is made. SIGHUP is the end of the terminal, or,
/// where there is none, the wish to read the settings again, as other servers take it.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
    has_terminal: bool,
}

impl Signals {
    /// Hears them from now on. `has_terminal`: whether the server was started from one.
    ///
    /// # Errors
    /// If the system does not tell us of signals.
    pub(super) fn listen(has_terminal: bool) -> Result<Self> {
        let hear = |kind| signal(kind).map_err(Error::internal);
        Ok(Self {
            interrupt: hear(SignalKind::interrupt())?,
            terminate: hear(SignalKind::terminate())?,
            hang_up: hear(SignalKind::hangup())?,
            has_terminal,
        })
    }

    /// Waits for the next of them.
    pub(super) async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.interrupt.recv() => Wish::Stop,
            _ = self.terminate.recv() => Wish::Stop,
            _ = self.hang_up.recv() => if self.has_terminal { Wish::Stop } else { Wish::Reload },
        }
    }

    /// Waits until the next wish to stop.
    pub(super) async fn next_stop(&mut self) {
        while self.next().await == Wish::Reload {}
    }
}
