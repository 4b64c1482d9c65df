//! What Ctrl-C, a closed terminal and `kill` do to a command that changes something: until it does, it is broken off with a
//! word, and leaves nothing; from then on it is done in a moment, and they wait.

use std::{
    sync::{Mutex, PoisonError, mpsc::channel},
    thread,
};

use tokio::signal::unix::{SignalKind, signal};

use crate::base::{Error, Result};

/// What is done when somebody wants to stop this process.
enum Answer {
    /// To end it, with the code that it is to have.
    BreakOff(fn(i32) -> !),
    /// To say that it ends by itself.
    Wait,
}

/// `None`: nobody listens yet.
static ANSWER: Mutex<Option<Answer>> = Mutex::new(None);

/// From now on until [`keep_calm`], who wants to stop this process is told what that means, and `end` ends it.
///
/// # Errors
/// If the system does not tell us of signals.
pub(super) fn may_be_broken_off(end: fn(i32) -> !) -> Result<()> {
    answer_with(Answer::BreakOff(end))
}

/// From now on until this process ends, who wants to stop it is told that it is done in a moment.
///
/// # Errors
/// If the system does not tell us of signals.
pub(super) fn keep_calm() -> Result<()> {
    answer_with(Answer::Wait)
}

fn answer_with(answer: Answer) -> Result<()> {
    // Whoever is being broken off holds it until the end.
    let mut current = ANSWER.lock().unwrap_or_else(PoisonError::into_inner);
    if current.replace(answer).is_some() {
        return Ok(());
    }
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
                let asked = tokio::select! {
                    _ = signals.0.recv() => SignalKind::interrupt(),
                    _ = signals.1.recv() => SignalKind::terminate(),
                    _ = signals.2.recv() => SignalKind::hangup(),
                };
                let current = ANSWER.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(Answer::BreakOff(end)) = &*current {
                    warn_of!(
                        "webstead: broken off; the program before goes on, and nothing was changed"
                    );
                    // As a shell has it.
                    end(128 + asked.as_raw_value());
                }
                warn_of!("webstead: it cannot be broken off here, and ends by itself in a moment");
            }
        });
    });
    told.recv().map_err(Error::internal)?
}
