//! A checksum of every page of the database, in a file beside it: `site.db-sums2`, whose form is in `form.rs`.
//!
//! `SQLite` notices damage to its own structures, but not to what is stored in them: a bit that flips in the
//! middle of a text is read as another text. Here each page's sum is noted before the page is written back
//! from the log, and a check compares.
//!
//! A sum that differs means damage only as long as nobody else writes to `site.db`. So the file begins with
//! what the database looked like when it was last written back (inode, size, time of change): media that decay
//! do not change that. If it differs, another program was there, and all sums are made anew.
//!
//! For each page there are its sum and the one before. Both are right, so that a power cut in the middle of writing
//! back raises no false alarm.

mod form;
mod look;
mod overwritten;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, BufReader, Read},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use self::form::{
    ENTRY, ENTRY_BYTES, Entry, Form, Found, HEADER_BYTES, Header, Looks, Written, entry,
    header_bytes, kept_of, offset, read_entry, read_header,
};
pub(super) use self::look::{Comparison, Uncompared, look_at_sums};
use super::wal::{
    LogState, NEW_PAGE_BYTES, OLD_PAGE_BYTES, add_up, log_of, read_log, said_page_bytes,
};
use crate::base::{
    Error, Result,
    files::{self, beside},
    written,
};

/// What the file is called, behind the name of the database; and that of programs before.
pub(super) const SUMS: &str = "-sums2";
pub(super) const OLD_SUMS: &str = "-sums";
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

/// The sums of one database, open.
pub(super) struct PageSums {
    file: File,
    form: Form,
    database: PathBuf,
    /// Bytes of a page of the database.
    page_bytes: usize,
    /// The database, for who writes back: to look at what is written over.
    kept_open: Option<File>,
}

impl PageSums {
    /// Opens the sums of a database. To be called before `SQLite` opens it, and to be dropped after `SQLite` has closed
    /// it: closing a file takes away all locks that the process has on it
    /// (<https://www.sqlite.org/howtocorrupt.html>, section 2.2).
    pub(super) fn open(database: &Path) -> io::Result<Self> {
        let sums = Self::of(database)?;
        sums.file.lock()?;
        let outcome = sums.make_sure();
        sums.file.unlock()?;
        outcome?;
        Ok(Self {
            kept_open: Some(File::open(database)?),
            ..sums
        })
    }

    fn of(database: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(beside(database, SUMS))?;
        if let Some(folder) = database.parent() {
            files::give_to_owner_of(folder, &file)?;
        }
        Ok(Self {
            page_bytes: page_bytes((Form::New, &file), database)?,
            file,
            form: Form::New,
            database: database.to_path_buf(),
            kept_open: None,
        })
    }

    /// Bytes of a page of the database.
    pub(super) fn page_bytes(&self) -> usize {
        self.page_bytes
    }

    /// Those that are there, to be read. Who has the database open says how large its pages are: the others find that in
    /// the file.
    fn to_read(database: &Path, said: Option<usize>) -> io::Result<Vec<Self>> {
        let mut there = Vec::new();
        for (form, end) in [(Form::New, SUMS), (Form::Old, OLD_SUMS)] {
            let file = match File::open(beside(database, end)) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                file => file?,
            };
            if read_header(form, &file)? != Found::Nothing {
                there.push(Self {
                    page_bytes: match said {
                        Some(said) => said,
                        None => page_bytes((form, &file), database)?,
                    },
                    file,
                    form,
                    database: database.to_path_buf(),
                    kept_open: None,
                });
            }
        }
        Ok(there)
    }

    /// Whether the sums are of the database as it is: nobody else has written to it since.
    fn is_known(&self, header: &Header, looks: Looks) -> io::Result<bool> {
        if header.page_bytes.unwrap_or(OLD_PAGE_BYTES) != self.page_bytes {
            return Ok(false);
        }
        if header.looks == looks {
            return Ok(true);
        }
        if header.written != Written::UnderWay || header.looks.0[0] != looks.0[0] {
            return Ok(false);
        }
        // An older program, beside this one or after it was taken back, may have written back since, and has noted that
        // in its own file only.
        if self.form == Form::New && beside(&self.database, OLD_SUMS).exists() {
            return Ok(false);
        }
        // We were writing back, and were interrupted. Then the log is still there.
        let log = read_log(&log_of(&self.database), self.page_bytes, |_| {})?;
        Ok(log.committed > 0)
    }

    /// Begins anew where the sums are not of this file as it is.
    ///
    /// An older program may serve beside this one, and have a file of its own. After both have written back, neither knows
    /// what the other wrote. Nothing of the site is lost by that: pages whose sum is not known are not compared until they
    /// are written next, or, in a small site, until the next start. That is so for the minutes between an upgrade of the
    /// program's file and the restart, and only if a command writes meanwhile.
    fn make_sure(&self) -> io::Result<()> {
        let looks = looks(&self.database)?;
        match read_header(self.form, &self.file)? {
            Found::Header(header) if self.is_known(&header, looks)? => {
                self.forget_former(looks)?;
                return self.mend();
            }
            found => {
                // Where an older program has gone on, its own are right.
                if let Ok(file) = File::open(beside(&self.database, OLD_SUMS))
                    && self.take_over(file)?
                {
                    return self.mend();
                }
                if found == Found::Damaged {
                    log::error!(
                        "site.db{SUMS}, which has the checksums of the database's pages, is damaged: until now damage of \
                         the database may have gone unnoticed. It is made anew, of what is on the disk now"
                    );
                }
            }
        }
        self.begin_anew(self::looks(&self.database)?, MAX_BYTES_READ_AT_START)
    }

    /// Removes those of a program before, once the database was written to without it. Until then that program may still
    /// be there, and goes on with them.
    fn forget_former(&self, looks: Looks) -> io::Result<()> {
        let path = beside(&self.database, OLD_SUMS);
        let Ok(file) = File::open(&path) else {
            return Ok(());
        };
        let former = read_header(Form::Old, &file)?.header();
        if former.is_some_and(|former| former.written == Written::UnderWay || former.looks == looks)
        {
            return Ok(());
        }
        // First these have to be where a power cut leaves them.
        self.file.sync_all()?;
        files::sync_folder(files::folder_of(&path))?;
        fs::remove_file(path)
    }

    /// Takes what a program before has noted, if it is of the database as it is. That program may still be there: it is
    /// waited for while it writes back, and what it writes back later makes the database look other than is noted here.
    fn take_over(&self, file: File) -> io::Result<bool> {
        file.lock_shared()?;
        let looks = looks(&self.database)?;
        let Some(header) = read_header(Form::Old, &file)?.header() else {
            return Ok(false);
        };
        // One that was broken off in the middle may go on, and notes that in its own file only.
        if header.written == Written::UnderWay || !self.is_known(&header, looks)? {
            return Ok(false);
        }
        let old = Self {
            file,
            form: Form::Old,
            database: self.database.clone(),
            page_bytes: self.page_bytes,
            kept_open: None,
        };
        self.file.set_len(0)?;
        let pages = looks.0[1].div_ceil(self.page_bytes as u64);
        let mut entries = Vec::new();
        for page in 1..=u32::try_from(pages).unwrap_or(u32::MAX) {
            entries.extend(match old.sums_of(page)? {
                Entry::Known(now, before) => entry(page, now, before),
                Entry::Unknown | Entry::Damaged => [0; ENTRY],
            });
        }
        self.file.write_all_at(&entries, HEADER_BYTES)?;
        // Before the header says that they are there.
        self.file.sync_all()?;
        self.write_header(looks, Written::All)?;
        Ok(true)
    }

    /// Notes anew what is damaged in this file itself or was never known. In a large one that waits until the page is
    /// written next.
    fn mend(&self) -> io::Result<()> {
        let pages = self.file.metadata()?.len().saturating_sub(HEADER_BYTES) / ENTRY_BYTES;
        if pages * self.page_bytes as u64 > MAX_BYTES_READ_AT_START {
            return Ok(());
        }
        let mut entries = vec![0; usize::try_from(pages * ENTRY_BYTES).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut entries, HEADER_BYTES)?;
        let (entries, _) = entries.as_chunks::<ENTRY>();
        let read = (1..).zip(entries);
        let read = read.map(|(page, entry)| (page, read_entry(self.form, page, entry)));
        let unknown: Vec<(u32, Entry)> = read
            .filter(|(_, entry)| matches!(entry, Entry::Unknown | Entry::Damaged))
            .collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let (file, mut content) = (File::open(&self.database)?, vec![0; self.page_bytes]);
        for (page, _) in &unknown {
            let at = u64::from(page - 1) * self.page_bytes as u64;
            let known = match file.read_exact_at(&mut content, at) {
                Ok(()) => entry(*page, sum_of(*page, &content), 0),
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => [0; ENTRY],
                Err(e) => return Err(e),
            };
            self.file.write_all_at(&known, offset(self.form, *page))?;
        }
        let damaged = unknown.iter().filter(|(_, entry)| *entry == Entry::Damaged);
        match damaged.count() {
            0 => {}
            count => log::warn!(
                "site.db{SUMS} was damaged itself: {count} checksums of pages were made anew, of what is on the disk now"
            ),
        }
        Ok(())
    }

    /// Begins anew; reads the pages if they are not more than so many bytes.
    fn begin_anew(&self, looks: Looks, most_bytes: u64) -> io::Result<()> {
        self.file.set_len(0)?;
        if looks.0[1] <= most_bytes {
            let mut page = 0;
            let mut entries = Vec::new();
            each_page(&self.database, self.page_bytes, |content| {
                page += 1;
                entries.extend(entry(page, sum_of(page, content), 0));
            })?;
            self.file.write_all_at(&entries, HEADER_BYTES)?;
            // Before the header says that they are there: zeros would stay unknown until their page is written.
            self.file.sync_all()?;
        }
        self.write_header(looks, Written::All)
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
        let noted = self
            .begin_anew_if_another_wrote()
            .and_then(|()| self.note(pages));
        let outcome = noted.map_err(E::from).and_then(|unknown| {
            let is_all_written = write_back()?;
            // As long as a reader keeps some of the log out of the database, nobody knows what is in these pages.
            for (page, last) in unknown.into_iter().filter(|_| is_all_written) {
                self.file
                    .write_all_at(&entry(page, last, 0), offset(self.form, page))?;
            }
            Ok(is_all_written)
        });
        let written = match outcome {
            Ok(true) => Written::All,
            Ok(false) => Written::Part,
            Err(_) => Written::UnderWay,
        };
        let noted = looks(&self.database).and_then(|looks| self.write_header(looks, written));
        // What is written back may be cut off the log next. Without that and without this, a power cut would leave sums
        // that nobody can believe.
        let noted = match outcome {
            Ok(true) => noted.and_then(|()| self.file.sync_data()),
            _ => noted,
        };
        self.file.unlock()?;
        noted?;
        outcome
    }

    /// Forgets everything if another program has written to the database meanwhile: what it wrote is no damage.
    fn begin_anew_if_another_wrote(&self) -> io::Result<()> {
        let looks = looks(&self.database)?;
        let header = read_header(self.form, &self.file)?.header();
        if let Some(header) = header
            && self.is_known(&header, looks)?
        {
            return Ok(());
        }
        // In that of a new database there is nothing yet.
        if self.file.metadata()?.len() > HEADER_BYTES {
            log::warn!(
                "the checksums of the database's pages are not of the file as it is, or are damaged; they become known \
                 anew with each page that is written"
            );
        }
        // Nothing is read: this process has the database open with SQLite.
        self.begin_anew(looks, 0)
    }

    /// Returns the pages of which nothing is known yet, and what they will have.
    fn note(&self, pages: &Versions) -> io::Result<Vec<(u32, u64)>> {
        let mut unknown = Vec::new();
        for (page, versions) in pages {
            let (now, before) = match self.sums_of(*page)? {
                Entry::Known(now, before) => (now, before),
                Entry::Unknown | Entry::Damaged => (0, 0),
            };
            // Writing back may stop halfway, where somebody still reads. Until it ends, the database has what
            // it had before the log, or any of the log's versions.
            let before = if versions.contains(&now) { before } else { now };
            let last = versions.last().copied().unwrap_or(0);
            if now == 0 {
                unknown.push((*page, last));
            } else {
                self.file
                    .write_all_at(&entry(*page, last, before), offset(self.form, *page))?;
            }
        }
        self.write_header(looks(&self.database)?, Written::UnderWay)?;
        written::count(
            "site.db-sums2",
            pages.len() as u64 * ENTRY_BYTES + 2 * HEADER_BYTES,
        );
        self.file.sync_data()?;
        Ok(unknown)
    }

    fn sums_of(&self, page: u32) -> io::Result<Entry> {
        let mut entry = [0; ENTRY];
        match self.file.read_exact_at(&mut entry, offset(self.form, page)) {
            Ok(()) => Ok(read_entry(self.form, page, &entry)),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(Entry::Unknown),
            Err(e) => Err(e),
        }
    }

    fn write_header(&self, looks: Looks, written: Written) -> io::Result<()> {
        let header = header_bytes(&Header {
            looks,
            written,
            page_bytes: Some(self.page_bytes),
        });
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
    note().map_err(|e| Error::io("writing", beside(database, SUMS), e))
}

/// What a page adds up to; never 0, which means that it is not known.
pub(super) fn sum_of(page: u32, content: &[u8]) -> u64 {
    let (a, b) = add_up(content, false, (page, !page));
    kept_of(u64::from(a) << 32 | u64::from(b))
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

/// The size of a database's pages. If the sums are of the database as it is, it need not be opened for that.
fn page_bytes((form, file): (Form, &File), database: &Path) -> io::Result<usize> {
    let looks = looks(database)?;
    let is_of_it = |header: &Header| {
        header.looks == looks
            || header.written == Written::UnderWay && header.looks.0[0] == looks.0[0]
    };
    let noted = read_header(form, file)?.header().filter(is_of_it);
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
    for (form, end) in [(Form::New, SUMS), (Form::Old, OLD_SUMS)] {
        let header = match File::open(beside(database, end)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            sums => read_header(form, &sums?)?.header(),
        };
        if let Some(noted) = header.and_then(|header| header.page_bytes) {
            return Ok(noted);
        }
    }
    Ok(OLD_PAGE_BYTES)
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
        None if fs::metadata(database)?.len() == 0 => Ok(NEW_PAGE_BYTES),
        None => noted_page_bytes(database),
    }
}

fn looks(database: &Path) -> io::Result<Looks> {
    let found = fs::metadata(database)?;
    Ok(Looks([
        found.ino(),
        found.len(),
        found.mtime().cast_unsigned(),
        found.mtime_nsec().cast_unsigned(),
    ]))
}
