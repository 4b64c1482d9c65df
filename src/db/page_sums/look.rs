//! Compares the pages of a database with their sums.

use std::{fs::File, io, os::unix::fs::FileExt as _, path::Path};

use super::{
    PageSums, Versions, each_page,
    form::{Entry, read_header},
    looks, sum_of, versions_in,
};
use crate::db::wal::log_of;

/// What was seen of the pages.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::db) struct Seen {
    /// Those that are not what was written there.
    pub(in crate::db) damaged: Vec<u32>,
    /// Those whose own sum is damaged.
    pub(in crate::db) unknown: Vec<u32>,
    /// Whether the sums are damaged as a whole, so that nothing is known.
    pub(in crate::db) is_unknown: bool,
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
}

/// Compares the pages with what was written there. Opens and closes the database file, so not for a process
/// that has it open with `SQLite`.
///
/// # Errors
/// What the disk says; a part of a file that cannot be read is an error too.
pub(in crate::db) fn look_at_sums(database: &Path) -> io::Result<Seen> {
    let mut seen = Seen::default();
    let Some(sums) = PageSums::to_read(database)? else {
        return Ok(seen);
    };
    let Some(header) = read_header(sums.form, &sums.file)?.header() else {
        seen.is_unknown = true;
        return Ok(seen);
    };
    let page_bytes = sums.page_bytes;
    if !sums.is_known(&header, looks(database)?)? {
        return Ok(seen);
    }
    let (log, _) = versions_in(&log_of(database), page_bytes, u64::MAX)?;
    let (mut page, mut suspects, mut failed) = (0, Vec::new(), None);
    each_page(database, page_bytes, |content| {
        page += 1;
        match is_right(&sums, page, content, &log) {
            Ok(Some(true)) => {}
            Ok(_) => suspects.push(page),
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
    for page in suspects {
        file.read_exact_at(&mut content, u64::from(page - 1) * page_bytes as u64)?;
        match is_right(&sums, page, &content, &log)? {
            Some(true) => {}
            Some(false) => seen.damaged.push(page),
            None => seen.unknown.push(page),
        }
    }
    Ok(seen)
}

/// Whether a page is what was written; nothing if its sum is damaged.
fn is_right(
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
