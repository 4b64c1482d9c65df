//! How much of the log `SQLite` has counted as committed: the head of `site.db-shm`.
//!
//! The end of a log cannot be told from a damaged last change by looking at the log: either way its last frames do not add
//! up. But after a process was killed, the index beside it still says how many frames there were. `SQLite` writes that
//! number only after the commit was synced, but for the last frame that fills up its sector (`sector.rs`), so where more
//! than one is missing, there is damage. After a power cut the
//! index may be old, or of another log, and then says nothing. It is made anew when the database is opened, so it is to be
//! read before.
//!
//! The form is that of <https://www.sqlite.org/walformat.html#the_wal_index_header>.

use std::{
    fs::File,
    io::{self, ErrorKind, Read as _},
    path::Path,
};

use super::wal::add_up;
use crate::base::files::beside;

/// Bytes of the head, which is there twice.
const HEAD: usize = 48;
/// Bytes of it that its checksum is of.
const SUMMED: usize = 40;
/// The version of the form.
const VERSION: u32 = 3_007_000;

/// What the index of a log says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Index {
    /// Frames up to the last commit.
    pub(super) frames: u64,
    /// The salts of the log that it is of, as that has them.
    pub(super) salts: (u32, u32),
}

/// The index of a database's log, if it is there and can be believed. Not for a process that has a connection to the
/// database: whoever closes a file gives up all locks that the process has on it (fcntl(2)), and `SQLite`'s are on this.
///
/// # Errors
/// What the disk says.
pub(super) fn index_of(database: &Path) -> io::Result<Option<Index>> {
    let mut file = match File::open(beside(database, "-shm")) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut bytes = [0; 2 * HEAD];
    match file.read_exact(&mut bytes) {
        Err(e) if e.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    Ok(parse(&bytes))
}

fn parse(bytes: &[u8; 2 * HEAD]) -> Option<Index> {
    let (head, copy) = bytes.split_at(HEAD);
    let raw = |at: usize| [head[at], head[at + 1], head[at + 2], head[at + 3]];
    // In the order of this machine's bytes; only the salts are as the log has them.
    let number = |at: usize| u32::from_ne_bytes(raw(at));
    let sum = add_up(&head[..SUMMED], cfg!(target_endian = "big"), (0, 0));
    let is_whole =
        head == copy && number(0) == VERSION && head[12] == 1 && sum == (number(40), number(44));
    is_whole.then(|| Index {
        frames: u64::from(number(16)),
        salts: (u32::from_be_bytes(raw(32)), u32::from_be_bytes(raw(36))),
    })
}
