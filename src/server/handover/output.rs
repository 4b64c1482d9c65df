//! How much a new process prints before it leads. It has the output of this one, and a program that prints without end
//! fills the disk with it.

use std::{
    fs,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use rustix::{
    fs::{FileType, fstat},
    process::{Signal, pidfd_send_signal},
};

use crate::base::child::handle_of;

/// The most that it may print into a file. What a service manager or another program takes is theirs to limit.
pub(super) const MOST_BYTES: u64 = 1024 * 1024;
/// How often it is looked: a fast machine writes megabytes meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(4);

/// A look at what a process prints, from now on until this is dropped. A thread of its own takes it, and ends a process
/// that prints too much at once: the others may have much to do.
pub(super) struct Output(Arc<Mutex<Look>>);

/// Held while one looks and ends the process, so that neither happens to one that may print again.
#[derive(Clone, Copy, PartialEq)]
enum Look {
    GoesOn,
    IsOver,
    IsTooMuch,
}

impl Output {
    /// That of a process which has just been started.
    pub(super) fn of(process: u32) -> Self {
        let output = Self(Arc::new(Mutex::new(Look::GoesOn)));
        let watched = Arc::clone(&output.0);
        let (begin, handle) = (Begin::of(process), handle_of(process).ok());
        thread::spawn(move || {
            loop {
                let mut look = held(&watched);
                if *look == Look::IsOver {
                    return;
                }
                if begin.is_too_much_now() {
                    *look = Look::IsTooMuch;
                    if let Some(handle) = handle {
                        let _ = pidfd_send_signal(handle, Signal::KILL);
                    }
                    return;
                }
                drop(look);
                thread::sleep(LOOK_EVERY);
            }
        });
        output
    }

    /// Whether it has printed more than it may.
    pub(super) fn is_too_much(&self) -> bool {
        *held(&self.0) == Look::IsTooMuch
    }

    /// From now on it may print what it likes; says whether it still can, and was not ended before.
    pub(super) fn look_no_more(&self) -> bool {
        let mut look = held(&self.0);
        if *look == Look::IsTooMuch {
            return false;
        }
        *look = Look::IsOver;
        true
    }
}

fn held(look: &Mutex<Look>) -> MutexGuard<'_, Look> {
    look.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Output {
    fn drop(&mut self) {
        self.look_no_more();
    }
}

/// How it was when the process was started.
struct Begin {
    process: u32,
    /// Bytes that were in the files.
    printed: u64,
    /// Bytes that this process had written, wherever to.
    own: u64,
}

impl Begin {
    fn of(process: u32) -> Self {
        Self {
            process,
            printed: printed(),
            own: written_by("self").unwrap_or_default(),
        }
    }

    /// This process prints into the same files, so all that it has written meanwhile is taken off: with much to do, it
    /// is more patient. What an older one prints there that still finishes its connections counts as the new one's, as
    /// far as that has written as much itself.
    fn is_too_much_now(&self) -> bool {
        let grown = printed().saturating_sub(self.printed);
        if grown <= MOST_BYTES {
            return false;
        }
        let its = written_by(&self.process.to_string());
        let (Some(own), Some(its)) = (written_by("self"), its) else {
            return false;
        };
        let of_others = grown.saturating_sub(own.saturating_sub(self.own));
        of_others.min(its) > MOST_BYTES
    }
}

/// Bytes in the files that standard output and standard error are.
fn printed() -> u64 {
    let files = [
        fstat(rustix::stdio::stdout()),
        fstat(rustix::stdio::stderr()),
    ];
    let mut files: Vec<_> = files
        .into_iter()
        .flatten()
        .filter(|file| FileType::from_raw_mode(file.st_mode).is_file())
        .collect();
    files.dedup_by_key(|file| (file.st_dev, file.st_ino));
    files
        .iter()
        .map(|file| u64::try_from(file.st_size).unwrap_or_default())
        .sum()
}

/// Bytes that a process has written (proc(5), `wchar`); not known on a kernel that does not count them.
fn written_by(process: &str) -> Option<u64> {
    let counts = fs::read_to_string(format!("/proc/{process}/io")).ok()?;
    let line = counts
        .lines()
        .find_map(|line| line.strip_prefix("wchar:"))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Arc, Look, Mutex, Output};

    #[test]
    fn one_that_was_ended_does_not_lead_and_one_that_may_print_is_not_ended() {
        let output = |look| Output(Arc::new(Mutex::new(look)));
        let ended = output(Look::IsTooMuch);
        assert!(!ended.look_no_more() && ended.is_too_much());
        let goes_on = output(Look::GoesOn);
        assert!(goes_on.look_no_more() && !goes_on.is_too_much());
    }
}
