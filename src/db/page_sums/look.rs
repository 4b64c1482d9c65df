//! Compares the pages of a database with their sums.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use super::{
    PageSums, Versions, each_page,
    form::{ENTRY, Entry, Found, Written, read_entry, read_header},
    looks, offset, sum_of, versions_in,
};
use crate::{base::Verdict, db::wal::log_of};

/// Sums that are read at once.
const SUMS_AT_ONCE: usize = 4096;
/// What does not fit the file may be in the middle of being written: so often it is looked at, with a rest between.
const LOOKS: usize = 3;
const REST: Duration = Duration::from_millis(50);

/// Why pages cannot be compared with anything. It is no damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::db) enum Uncompared {
    /// There are no sums.
    Missing,
    /// They are not of the file that is there.
    OfAnother,
    /// So many pages, of so many, have none.
    Partly(u32, u32),
}

/// What was seen of the pages.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::db) struct Seen {
    /// Those that are not what was written there.
    pub(in crate::db) damaged: Vec<u32>,
    /// Those whose own sum is damaged.
    pub(in crate::db) unknown: Vec<u32>,
    /// Whether the sums are damaged as a whole, so that nothing is known.
    pub(in crate::db) is_unknown: bool,
    /// Those that there was nothing to compare with.
    pub(in crate::db) uncompared: Option<Uncompared>,
}

impl Seen {
    /// Why of some pages nothing is known, if that is so. It says nothing about the database.
    pub(in crate::db) fn why_unknown(&self) -> Option<String> {
        let what = "site.db-sums2, which has the checksums of its pages, is damaged itself";
        match self.unknown.len() {
            _ if self.is_unknown => Some(format!("{what}; it is made anew at the next start")),
            0 => None,
            count => Some(format!(
                "{what}, for {count} pages; they become known anew at the next start, or, in a large site, when they are \
                 written next"
            )),
        }
    }

    /// Whether the pages are what was written there.
    pub(in crate::db) fn verdict(&self) -> Verdict {
        if self.damaged.is_empty() {
            return match self.why_unknown() {
                None => Verdict::Sound,
                Some(why) => Verdict::NotSeen(format!(
                    "whether all of the database is what was written is not known: {why}"
                )),
            };
        }
        Verdict::Damaged(format!(
            "{} of its pages are not what was written to the disk ({}); `webstead repair` says what is on them",
            self.damaged.len(),
            numbers(&self.damaged)
        ))
    }
}

/// Some numbers, and how many more.
fn numbers(pages: &[u32]) -> String {
    let shown: Vec<String> = pages.iter().take(8).map(u32::to_string).collect();
    let more = pages.len().saturating_sub(shown.len());
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    format!("{}{more}", shown.join(", "))
}

/// Compares the pages with what was written there. Opens and closes the database file, so not for a process
/// that has it open with `SQLite`.
///
/// # Errors
/// What the disk says; a part of a file that cannot be read is an error too.
pub(in crate::db) fn look_at_sums(database: &Path) -> io::Result<Seen> {
    let mut comparison = Comparison::begin(database, None)?;
    let Some(page_bytes) = comparison.page_bytes() else {
        return Ok(comparison.seen);
    };
    let mut page = 0;
    each_page(database, page_bytes, |content| {
        page += 1;
        comparison.see(page, content);
    })?;
    let file = File::open(database)?;
    comparison
        .end(|page, content| file.read_exact_at(content, u64::from(page - 1) * page_bytes as u64))
}

/// The pages of a database, compared as they are read, one after the other.
pub(in crate::db) struct Comparison {
    database: PathBuf,
    /// Nothing if there is nothing to compare with: then `seen` says why.
    sums: Option<PageSums>,
    /// Sums that were read ahead, and the page of the first.
    ahead: (u32, Vec<u8>),
    pages: u32,
    without_sum: u32,
    suspects: Vec<u32>,
    failed: Option<io::Error>,
    seen: Seen,
}

impl Comparison {
    /// `page_bytes` is what who has the database open knows of it; who has not gives none, and it is looked up in the
    /// file.
    ///
    /// # Errors
    /// What the disk says.
    pub(in crate::db) fn begin(database: &Path, page_bytes: Option<usize>) -> io::Result<Self> {
        let mut seen = Seen {
            uncompared: Some(Uncompared::Missing),
            ..Seen::default()
        };
        let mut fitting = None;
        // Where an older program serves, its own may be the right ones; in the middle of writing back they are not believed.
        for (number, sums) in PageSums::to_read(database, page_bytes)?
            .into_iter()
            .enumerate()
        {
            let header = read_header(sums.form, &sums.file)?.header();
            let fit = match header {
                Some(header) if number > 0 && header.written == Written::UnderWay => Fit::OfAnother,
                _ => fits(&sums)?,
            };
            seen.is_unknown |= fit == Fit::Damaged;
            seen.uncompared = (!seen.is_unknown).then_some(Uncompared::OfAnother);
            if fit == Fit::Fits {
                (fitting, seen) = (Some(sums), Seen::default());
                break;
            }
        }
        let sums = fitting;
        Ok(Self {
            database: database.to_path_buf(),
            sums,
            ahead: (1, Vec::new()),
            pages: 0,
            without_sum: 0,
            suspects: Vec::new(),
            failed: None,
            seen,
        })
    }

    /// Bytes of a page, if there is something to compare with.
    pub(in crate::db) fn page_bytes(&self) -> Option<usize> {
        self.sums.as_ref().map(PageSums::page_bytes)
    }

    /// Takes a page.
    pub(in crate::db) fn see(&mut self, page: u32, content: &[u8]) {
        let Some(sums) = &self.sums else {
            return;
        };
        self.pages += 1;
        match sum_ahead(sums, &mut self.ahead, page) {
            Ok(Entry::Unknown) => self.without_sum += 1,
            Ok(Entry::Known(now, before)) if [now, before].contains(&sum_of(page, content)) => {}
            Ok(_) => self.suspects.push(page),
            Err(e) => self.failed = Some(e),
        }
    }

    /// What was seen. `again` reads a page once more, as it was at the same moment.
    ///
    /// # Errors
    /// What the disk says.
    pub(in crate::db) fn end(
        mut self,
        mut again: impl FnMut(u32, &mut [u8]) -> io::Result<()>,
    ) -> io::Result<Seen> {
        if let Some(e) = self.failed {
            return Err(e);
        }
        let Some(sums) = &self.sums else {
            return Ok(self.seen);
        };
        if self.without_sum > 0 {
            self.seen.uncompared = Some(Uncompared::Partly(self.without_sum, self.pages));
        }
        if self.suspects.is_empty() {
            return Ok(self.seen);
        }
        // Some may have been written back meanwhile, or be in the log.
        let (log, _) = versions_in(&log_of(&self.database), sums.page_bytes, u64::MAX)?;
        let mut content = vec![0; sums.page_bytes];
        for page in std::mem::take(&mut self.suspects) {
            again(page, &mut content)?;
            match is_right(sums, page, &content, &log)? {
                Some(true) => {}
                Some(false) => self.seen.damaged.push(page),
                None => self.seen.unknown.push(page),
            }
        }
        // A program that knows nothing of the sums may have come meanwhile.
        if fits(sums)? == Fit::OfAnother {
            self.seen = Seen {
                uncompared: Some(Uncompared::OfAnother),
                ..Seen::default()
            };
        }
        Ok(self.seen)
    }
}

/// What is known of a page, or was a moment ago. `ahead` has sums that were read ahead, and the page of the first.
fn sum_ahead(
    sums: &PageSums,
    (first, entries): &mut (u32, Vec<u8>),
    page: u32,
) -> io::Result<Entry> {
    let is_ahead = page >= *first && ((page - *first) as usize + 1) * ENTRY <= entries.len();
    if !is_ahead {
        (*first, *entries) = (page, sums.entries_from(page)?);
    }
    let at = (page - *first) as usize;
    let (entries, _) = entries.as_chunks::<ENTRY>();
    Ok(read_entry(sums.form, page, &entries[at]))
}

impl PageSums {
    /// Entries from that of a page on; where there are none, they say that nothing is known.
    fn entries_from(&self, page: u32) -> io::Result<Vec<u8>> {
        let mut entries = vec![0; SUMS_AT_ONCE * ENTRY];
        let (at, mut done) = (offset(self.form, page), 0);
        while done < entries.len() {
            match self.file.read_at(&mut entries[done..], at + done as u64)? {
                0 => break,
                count => done += count,
            }
        }
        entries[done / ENTRY * ENTRY..].fill(0);
        Ok(entries)
    }
}

/// Whether sums are of the file that is there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fit {
    Fits,
    OfAnother,
    Damaged,
}

fn fits(sums: &PageSums) -> io::Result<Fit> {
    let mut fit = Fit::OfAnother;
    for look in 0..LOOKS {
        if look > 0 {
            thread::sleep(REST);
        }
        fit = match read_header(sums.form, &sums.file)? {
            Found::Header(header) if sums.is_known(&header, looks(&sums.database)?)? => Fit::Fits,
            Found::Header(_) => Fit::OfAnother,
            Found::Nothing | Found::Damaged => Fit::Damaged,
        };
        if fit == Fit::Fits {
            break;
        }
    }
    Ok(fit)
}

/// Whether a page is what was written; nothing if its sum is damaged.
pub(super) fn is_right(
    sums: &PageSums,
    page: u32,
    content: &[u8],
    log: &Versions,
) -> io::Result<Option<bool>> {
    let found = sum_of(page, content);
    if log.get(&page).is_some_and(|sums| sums.contains(&found)) {
        return Ok(Some(true));
    }
    Ok(match sums.sums_of(page)? {
        Entry::Unknown => Some(true),
        Entry::Known(now, before) => Some(found == now || found == before),
        Entry::Damaged => None,
    })
}
