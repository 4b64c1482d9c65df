//! A checksum of every page of the database, in a file beside it: `site.db-sums`.
//!
//! `SQLite` notices damage to its own structures, but not to what is stored in them: a bit that flips in the
//! middle of a text is read as another text. Here each page's sum is noted before the page is written back
//! from the log, and a check compares.
//!
//! A sum that differs means damage only as long as nobody else writes to `site.db`. So the file begins with
//! what the database looked like when it was last written back (inode, size, time of change): media that decay
//! do not change that. If it differs, another program was there, and all sums are made anew.
//!
//! The form: [`HEADER_BYTES`] of header, then for each page its sum and the one before. Both are right, so that
//! a power cut in the middle of writing back raises no false alarm.

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, BufReader, Read},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::wal::{
    LogState, NEW_PAGE_BYTES, OLD_PAGE_BYTES, add_up, beside, is_page_size, log_of, read_log,
    said_page_bytes,
};
use crate::base::{Error, Result, files, written};

const MAGIC: &[u8; 8] = b"WSTDSUM1";
const HEADER_LENGTH: usize = 64;
/// Where the header has the size of a page; sums of before have 0 there.
const PAGE_BYTES_AT: usize = 44;
const HEADER_BYTES: u64 = HEADER_LENGTH as u64;
const ENTRY_BYTES: u64 = 16;
/// Databases up to this size are read at a start if their sums are not known. Larger ones would keep a small
/// board from serving for minutes: their sums become known page by page.
const MAX_BYTES_READ_AT_START: u64 = 64 * 1024 * 1024;

/// The sums of each page that a log has, oldest first.
pub(super) type Versions = BTreeMap<u32, Vec<u64>>;

/// The versions of pages in the first `frames` of a log, and what it has.
pub(super) fn versions_in(
    log: &Path,
    page_bytes: usize,
    frames: u64,
) -> io::Result<(Versions, LogState)> {
    let (mut versions, mut number) = (Versions::new(), 0);
    let state = read_log(log, page_bytes, |frame| {
        number += 1;
        if number <= frames && frame.is_sound {
            let of_page = versions.entry(frame.page).or_default();
            of_page.push(sum_of(frame.page, frame.content));
        }
    })?;
    Ok((versions, state))
}

/// What a database file looks like from outside.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Looks([u64; 4]);

/// The sums of one database, open.
pub(super) struct PageSums {
    file: File,
    database: PathBuf,
    /// Bytes of a page of the database.
    page_bytes: usize,
}

impl PageSums {
    /// Opens the sums of a database. To be called before `SQLite` opens it: closing a file takes away all
    /// locks that the process has on it (<https://www.sqlite.org/howtocorrupt.html>, section 2.2).
    pub(super) fn open(database: &Path) -> io::Result<Self> {
        let sums = Self::of(database)?;
        sums.file.lock()?;
        let outcome = sums.make_sure();
        sums.file.unlock()?;
        outcome.map(|()| sums)
    }

    fn of(database: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(beside(database, "-sums"))?;
        if let Some(folder) = database.parent() {
            files::give_to_owner_of(folder, &file)?;
        }
        Ok(Self {
            page_bytes: page_bytes(&file, database)?,
            file,
            database: database.to_path_buf(),
        })
    }

    /// Bytes of a page of the database.
    pub(super) fn page_bytes(&self) -> usize {
        self.page_bytes
    }

    /// Whether the sums are of the database as it is: nobody else has written to it since.
    fn is_known(&self, looks: Looks) -> io::Result<bool> {
        let Some(header) = header(&self.file)? else {
            return Ok(false);
        };
        if header.page_bytes.unwrap_or(OLD_PAGE_BYTES) != self.page_bytes {
            return Ok(false);
        }
        if header.looks == looks {
            return Ok(true);
        }
        // We were writing back, and were interrupted. Then the log is still there.
        let log = log_of(&self.database);
        let has_log = || read_log(&log, self.page_bytes, |_| {}).map(|log| log.committed > 0);
        Ok(header.is_under_way && header.looks.0[0] == looks.0[0] && has_log()?)
    }

    /// Begins anew where the sums are not of this file as it is.
    fn make_sure(&self) -> io::Result<()> {
        let looks = looks(&self.database)?;
        let is_known = self.is_known(looks)?;
        if is_known {
            return Ok(());
        }
        self.begin_anew(looks, MAX_BYTES_READ_AT_START)
    }

    /// Begins anew; reads the pages if they are not more than so many bytes.
    fn begin_anew(&self, looks: Looks, most_bytes: u64) -> io::Result<()> {
        self.file.set_len(0)?;
        if looks.0[1] <= most_bytes {
            let mut page = 0;
            let mut entries = Vec::new();
            each_page(&self.database, self.page_bytes, |content| {
                page += 1;
                entries.extend(entry(sum_of(page, content), 0));
            })?;
            self.file.write_all_at(&entries, HEADER_BYTES)?;
        }
        self.write_header(looks, false)
    }

    /// Notes what pages will have when they are written back; then `write_back` does it.
    ///
    /// The write lock of the database is held meanwhile, so that nobody adds to the log.
    pub(super) fn around<E: From<io::Error>>(
        &self,
        pages: &Versions,
        write_back: impl FnOnce() -> Result<bool, E>,
    ) -> Result<bool, E> {
        self.file.lock()?;
        let outcome = self.note(pages).map_err(E::from).and_then(|unknown| {
            let is_all_written = write_back()?;
            // As long as a reader keeps some of the log out of the database, nobody knows what is in these pages.
            for (page, last) in unknown.into_iter().filter(|_| is_all_written) {
                self.file.write_all_at(&entry(last, 0), offset(page))?;
            }
            Ok(is_all_written)
        });
        let noted =
            looks(&self.database).and_then(|looks| self.write_header(looks, outcome.is_err()));
        self.file.unlock()?;
        noted?;
        outcome
    }

    /// Returns the pages of which nothing is known yet, and what they will have.
    fn note(&self, pages: &Versions) -> io::Result<Vec<(u32, u64)>> {
        let mut unknown = Vec::new();
        for (page, versions) in pages {
            let (now, before) = self.sums_of(*page)?.unwrap_or((0, 0));
            // Writing back may stop halfway, where somebody still reads. Until it ends, the database has what
            // it had before the log, or any of the log's versions.
            let before = if versions.contains(&now) { before } else { now };
            let last = versions.last().copied().unwrap_or(0);
            if now == 0 {
                unknown.push((*page, last));
            } else {
                self.file
                    .write_all_at(&entry(last, before), offset(*page))?;
            }
        }
        self.write_header(looks(&self.database)?, true)?;
        written::count(
            "site.db-sums",
            pages.len() as u64 * ENTRY_BYTES + 2 * HEADER_BYTES,
        );
        self.file.sync_data()?;
        Ok(unknown)
    }

    fn sums_of(&self, page: u32) -> io::Result<Option<(u64, u64)>> {
        let mut entry = [0; 16];
        match self.file.read_exact_at(&mut entry, offset(page)) {
            Ok(()) => Ok(Some((number(&entry, 0), number(&entry, 1)))),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn write_header(&self, looks: Looks, is_under_way: bool) -> io::Result<()> {
        let mut header = [0; HEADER_LENGTH];
        header[..8].copy_from_slice(MAGIC);
        for (n, number) in looks.0.iter().enumerate() {
            header[8 + 8 * n..16 + 8 * n].copy_from_slice(&number.to_le_bytes());
        }
        header[40] = u8::from(is_under_way);
        let page_bytes = u32::try_from(self.page_bytes).unwrap_or(0);
        header[PAGE_BYTES_AT..PAGE_BYTES_AT + 4].copy_from_slice(&page_bytes.to_le_bytes());
        self.file.write_all_at(&header, 0)
    }
}

/// Makes the sums of a database that was just put where it is and that nobody has open, so that from now on its damage
/// is noticed.
///
/// # Errors
/// What the disk says.
pub fn note_page_sums(database: &Path) -> Result<()> {
    let note = || -> io::Result<()> {
        let sums = PageSums::of(database)?;
        sums.file.lock()?;
        let outcome = sums.begin_anew(looks(database)?, u64::MAX);
        sums.file.unlock()?;
        outcome.and_then(|()| sums.file.sync_all())
    };
    note().map_err(|e| Error::io("writing", beside(database, "-sums"), e))
}

/// Where what is known of a page stands.
fn offset(page: u32) -> u64 {
    HEADER_BYTES + u64::from(page - 1) * ENTRY_BYTES
}

/// What a page adds up to; never 0, which means that it is not known.
pub(super) fn sum_of(page: u32, content: &[u8]) -> u64 {
    let (a, b) = add_up(content, false, (page, !page));
    (u64::from(a) << 32 | u64::from(b)).max(1)
}

/// The pages that are not what was written there. Opens and closes the database file, so not for a process
/// that has it open with `SQLite`.
///
/// # Errors
/// What the disk says; a part of a file that cannot be read is an error too.
pub(super) fn damaged_pages(database: &Path) -> io::Result<Vec<u32>> {
    let path = beside(database, "-sums");
    let file = match OpenOptions::new().read(true).open(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        file => file?,
    };
    let sums = PageSums {
        page_bytes: page_bytes(&file, database)?,
        file,
        database: database.to_path_buf(),
    };
    let page_bytes = sums.page_bytes;
    let is_known = sums.is_known(looks(database)?)?;
    if !is_known {
        return Ok(Vec::new());
    }
    let is_right = |page: u32, content: &[u8], log: &Versions| -> io::Result<bool> {
        let found = sum_of(page, content);
        let known = sums.sums_of(page)?;
        let is_in_log = log.get(&page).is_some_and(|sums| sums.contains(&found));
        Ok(is_in_log
            || known.is_none_or(|(now, before)| now == 0 || found == now || found == before))
    };
    let (log, _) = versions_in(&log_of(database), page_bytes, u64::MAX)?;
    let (mut page, mut suspects, mut failed) = (0, Vec::new(), None);
    each_page(database, page_bytes, |content| {
        page += 1;
        match is_right(page, content, &log) {
            Ok(true) => {}
            Ok(false) => suspects.push(page),
            Err(e) => failed = Some(e),
        }
    })?;
    if let Some(e) = failed {
        return Err(e);
    }
    // Some may have been written back while we were reading.
    let (log, _) = versions_in(&log_of(database), page_bytes, u64::MAX)?;
    let file = File::open(database)?;
    let mut content = vec![0; page_bytes];
    let mut damaged = Vec::new();
    for page in suspects {
        file.read_exact_at(&mut content, u64::from(page - 1) * page_bytes as u64)?;
        if !is_right(page, &content, &log)? {
            damaged.push(page);
        }
    }
    Ok(damaged)
}

fn each_page(database: &Path, page_bytes: usize, mut see: impl FnMut(&[u8])) -> io::Result<()> {
    let mut file = BufReader::with_capacity(128 * 1024, File::open(database)?);
    let mut page = vec![0; page_bytes];
    loop {
        match file.read_exact(&mut page) {
            Ok(()) => see(&page),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(e) => return Err(e),
        }
    }
}

fn entry(now: u64, before: u64) -> [u8; 16] {
    let mut entry = [0; 16];
    entry[..8].copy_from_slice(&now.to_le_bytes());
    entry[8..].copy_from_slice(&before.to_le_bytes());
    entry
}

fn number(bytes: &[u8], n: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[8 * n..8 * n + 8]);
    u64::from_le_bytes(number)
}

/// The size of a database's pages. If the sums are of the database as it is, it need not be opened for that.
fn page_bytes(sums: &File, database: &Path) -> io::Result<usize> {
    let (header, looks) = (header(sums)?, looks(database)?);
    let is_of_it = |header: &Header| {
        header.looks == looks || header.is_under_way && header.looks.0[0] == looks.0[0]
    };
    let noted = header.filter(is_of_it);
    match noted.and_then(|header| header.page_bytes) {
        Some(noted) => Ok(noted),
        None => page_bytes_of(database),
    }
}

/// The size of the pages of a database as its sums have it noted; without them, that of the databases of before.
/// Does not open the database.
///
/// # Errors
/// What the disk says.
pub(super) fn noted_page_bytes(database: &Path) -> io::Result<usize> {
    let noted = match File::open(beside(database, "-sums")) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        sums => header(&sums?)?.and_then(|header| header.page_bytes),
    };
    Ok(noted.unwrap_or(OLD_PAGE_BYTES))
}

/// The size of the pages of a database: what it says itself; where that cannot be read, what its sums say. Opens and
/// closes the database file, so not for a process that has it open with `SQLite`.
///
/// # Errors
/// What the disk says.
pub(super) fn page_bytes_of(database: &Path) -> io::Result<usize> {
    match said_page_bytes(database)? {
        Some(said) => Ok(said),
        // About to be made.
        None if std::fs::metadata(database)?.len() == 0 => Ok(NEW_PAGE_BYTES),
        None => noted_page_bytes(database),
    }
}

/// What the sums say of the database.
struct Header {
    looks: Looks,
    is_under_way: bool,
    /// None in sums of before this was noted.
    page_bytes: Option<usize>,
}

fn header(file: &File) -> io::Result<Option<Header>> {
    let mut header = [0; HEADER_LENGTH];
    match file.read_exact_at(&mut header, 0) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(e) => return Err(e),
    }
    if &header[..8] != MAGIC {
        return Ok(None);
    }
    let page_bytes = &header[PAGE_BYTES_AT..PAGE_BYTES_AT + 4];
    let page_bytes = page_bytes
        .iter()
        .rev()
        .fold(0, |n, byte| n << 8 | usize::from(*byte));
    Ok(Some(Header {
        looks: Looks([1, 2, 3, 4].map(|n| number(&header, n))),
        is_under_way: header[40] == 1,
        page_bytes: Some(page_bytes).filter(|bytes| is_page_size(*bytes)),
    }))
}

fn looks(database: &Path) -> io::Result<Looks> {
    let found = std::fs::metadata(database)?;
    Ok(Looks([
        found.ino(),
        found.len(),
        found.mtime().cast_unsigned(),
        found.mtime_nsec().cast_unsigned(),
    ]))
}
