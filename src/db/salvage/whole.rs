//! A damaged database and its log, put together in a copy.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use crate::{
    base::{Error, Result, Verdict, words::counted},
    db::{
        header::PAGE_SIZE_AT,
        wal::{log_of, read_log},
    },
};

/// What the first page of our databases begins with (<https://www.sqlite.org/fileformat2.html>, 1.3), but for the size
/// of a page: where in it, and what. Without a number of pages, that of the file counts.
const HEADER: [(u64, &[u8]); 5] = [
    (0, b"SQLite format 3\0"),
    (18, b"\x02\x02\0\x40\x20\x20"),
    (28, &[0; 4]),
    (44, &[0, 0, 0, 4]),
    (56, &[0, 0, 0, 1]),
];

/// A copy of the database with all of its log that adds up, and a header that can be read. Gives the pages that the
/// log has.
pub(super) fn put_together(
    (damaged, verdict): (&Path, &Verdict),
    page_bytes: usize,
    whole: &Path,
    notes: &mut Vec<String>,
) -> Result<BTreeSet<u32>> {
    let to = |e| Error::io("writing", whole, e);
    copy_what_reads(damaged, page_bytes, whole, notes)?;
    let file = File::options()
        .read(true)
        .write(true)
        .open(whole)
        .map_err(to)?;
    let mut logged = BTreeSet::new();
    let bad = add_log(&log_of(damaged), page_bytes, &file, &mut logged)?;
    // What is not whole at the end of a log that has lost nothing was never saved.
    if !verdict.is_sound() {
        notes.extend(unread(bad));
    }
    for log in logs_put_aside(damaged) {
        notes.extend(unread(add_log(&log, page_bytes, &file, &mut logged)?));
    }
    for (at, bytes) in HEADER {
        file.write_all_at(bytes, at).map_err(to)?;
    }
    let said = u16::try_from(page_bytes).unwrap_or(1).to_be_bytes();
    file.write_all_at(&said, PAGE_SIZE_AT).map_err(to)?;
    Ok(logged)
}

/// The logs that were found damaged at a start, the oldest first. Nothing was saved since.
pub(in crate::db) fn logs_put_aside(database: &Path) -> Vec<PathBuf> {
    let (Some(folder), Some(name)) = (
        database.parent(),
        log_of(database).file_name().map(OsStr::to_owned),
    ) else {
        return Vec::new();
    };
    let start = format!("{}.damaged-", name.to_string_lossy());
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let is_one = |path: &PathBuf| {
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        name.is_some_and(|name| name.starts_with(&start))
    };
    let mut logs: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_one).collect();
    logs.sort();
    logs
}

fn unread(pages: u64) -> Option<String> {
    let what = counted(pages, "page", "pages");
    let note =
        format!("{what} of the log could not be read; of them what was there before is taken");
    (pages > 0).then_some(note)
}

/// Writes the pages of a log to where they belong: of each change only when its commit was there, in order. Gives how many
/// cannot be read.
fn add_log(log: &Path, page_bytes: usize, file: &File, logged: &mut BTreeSet<u32>) -> Result<u64> {
    let (mut waiting, mut failed, mut bad) = (Vec::new(), None, 0);
    let state = read_log(log, page_bytes, |frame| {
        if frame.adds_up {
            waiting.push((frame.page, frame.content.to_vec()));
        } else {
            bad += 1;
        }
        if frame.commit.is_some() {
            for (page, content) in waiting.drain(..) {
                let at = u64::from(page - 1) * content.len() as u64;
                logged.insert(page);
                failed = file.write_all_at(&content, at).err().or(failed.take());
            }
        }
    });
    state.map_err(|e| Error::io("reading", log, e))?;
    if let Some(e) = failed {
        return Err(Error::io("writing", "the copy of the database", e));
    }
    Ok(bad)
}

/// Copies a file page by page; those that the disk does not give are empty in the copy.
fn copy_what_reads(
    from: &Path,
    page_bytes: usize,
    to: &Path,
    notes: &mut Vec<String>,
) -> Result<()> {
    let source = File::open(from).map_err(|e| Error::io("opening", from, e))?;
    let target = File::create_new(to).map_err(|e| Error::io("writing", to, e))?;
    let length = source
        .metadata()
        .map_err(|e| Error::io("reading", from, e))?
        .len();
    let mut page = vec![0; page_bytes];
    let mut unread = 0;
    for at in (0..length).step_by(page_bytes) {
        let count = usize::try_from(length - at)
            .unwrap_or(page_bytes)
            .min(page_bytes);
        if source.read_exact_at(&mut page[..count], at).is_err() {
            page.fill(0);
            unread += 1;
        }
        target
            .write_all_at(&page[..count], at)
            .map_err(|e| Error::io("writing", to, e))?;
    }
    if unread > 0 {
        notes.push(format!(
            "{unread} pages of the database could not be read from the disk at all"
        ));
    }
    Ok(())
}
