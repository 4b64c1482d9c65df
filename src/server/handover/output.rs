//! How much a new process prints before it leads. It has the output of this one, and a program that prints without end
//! fills the disk with it.

use std::fs;

use rustix::fs::{FileType, fstat};

/// The most that it may print into a file. What a service manager or another program takes is theirs to limit.
pub(super) const MOST_BYTES: u64 = 1024 * 1024;

/// What a process prints, from now on.
pub(super) struct Output {
    process: u32,
    /// Bytes that were in the files before.
    before: u64,
    /// Bytes that this process had written by then, wherever to.
    own: u64,
}

impl Output {
    /// That of a process which has just been started.
    pub(super) fn of(process: u32) -> Self {
        Self {
            process,
            before: printed(),
            own: written_by("self").unwrap_or_default(),
        }
    }

    /// Whether it has printed more than it may. This process prints into the same files, so all that it has written
    /// meanwhile is taken off: with much to do, it is more patient.
    pub(super) fn is_too_much(&self) -> bool {
        let grown = printed().saturating_sub(self.before);
        if grown <= MOST_BYTES {
            return false;
        }
        let of = |process: &str| written_by(process);
        let (Some(own), Some(its)) = (of("self"), of(&self.process.to_string())) else {
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
