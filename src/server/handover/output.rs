//! How much a new process prints before it leads. It has the output of this one, and a program that prints without end
//! fills the disk with it.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use rustix::{
    fs::{FileType, fstat},
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};

/// The most that it may print into a file. What a service manager or another program takes is theirs to limit.
pub(super) const MOST_BYTES: u64 = 1024 * 1024;
/// How often it is looked: a fast machine writes megabytes meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(4);

/// A look at what a process prints, from now on until this is dropped. A thread of its own takes it, and ends a process
/// that prints too much at once: the others may have much to do.
pub(super) struct Output {
    is_over: Arc<AtomicBool>,
    is_too_much: Arc<AtomicBool>,
}

impl Output {
    /// That of a process which has just been started.
    pub(super) fn of(process: u32) -> Self {
        let output = Self {
            is_over: Arc::default(),
            is_too_much: Arc::default(),
        };
        let (is_over, is_too_much) = (Arc::clone(&output.is_over), Arc::clone(&output.is_too_much));
        let begin = Begin::of(process);
        let number = i32::try_from(process).ok().and_then(Pid::from_raw);
        let handle = number.and_then(|number| pidfd_open(number, PidfdFlags::empty()).ok());
        thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                if begin.is_too_much_now() {
                    is_too_much.store(true, Ordering::Relaxed);
                    if let Some(handle) = handle {
                        let _ = pidfd_send_signal(handle, Signal::KILL);
                    }
                    return;
                }
                thread::sleep(LOOK_EVERY);
            }
        });
        output
    }

    /// Whether it has printed more than it may.
    pub(super) fn is_too_much(&self) -> bool {
        self.is_too_much.load(Ordering::Relaxed)
    }

    /// From now on it may print what it likes.
    pub(super) fn look_no_more(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
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
    /// is more patient.
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
