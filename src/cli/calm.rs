//! What must not be broken off half-way: Ctrl-C, a closed terminal and `kill` wait until it is done.

use std::{sync::mpsc::channel, thread};

use tokio::signal::unix::{SignalKind, signal};

use crate::base::{Error, Result};

/// From now on until this process ends, who wants to stop it is told that it is done in a moment.
///
/// # Errors
/// If the system does not tell us of signals.
pub(super) fn keep_calm() -> Result<()> {
    let (tell, told) = channel();
    thread::spawn(move || {
        actix_web::rt::System::new().block_on(async {
            let hear = || -> std::io::Result<_> {
                Ok((
                    signal(SignalKind::interrupt())?,
                    signal(SignalKind::terminate())?,
                    signal(SignalKind::hangup())?,
                ))
            };
            let mut signals = match hear() {
                Ok(signals) => signals,
                Err(e) => {
                    let _ = tell.send(Err(Error::internal(e)));
                    return;
                }
            };
            let _ = tell.send(Ok(()));
            loop {
                tokio::select! {
                    _ = signals.0.recv() => {}
                    _ = signals.1.recv() => {}
                    _ = signals.2.recv() => {}
                }
                warn_of!("webstead: it cannot be broken off here, and ends by itself in a moment");
            }
        });
    });
    told.recv().map_err(Error::internal)?
}
