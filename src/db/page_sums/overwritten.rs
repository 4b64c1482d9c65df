//! Looks at pages before they are written over.
//!
//! `SQLite` takes a page that has decayed for what it is, changes a part of it, and the checksum of the result would be
//! right: after it is written back, no check could find the damage any more. So what is about to be written over is
//! compared first.

use std::{
    fs::File,
    io::{self, ErrorKind},
    os::unix::fs::FileExt as _,
};

use rustix::fs::Advice;

use super::{
    PageSums, Versions,
    form::{Header, Written, read_header},
    look::{Seen, Uncompared, is_right},
    looks,
};
use crate::base::verdict::look_surely;

impl PageSums {
    /// Compares the pages that a log is about to write over with what was written there. The write lock of the database is
    /// held meanwhile.
    ///
    /// Nothing is compared where another program has written, and where less than all was written back: a power cut may
    /// have left half a page then, and the log has it whole.
    ///
    /// # Errors
    /// What the disk says of the sums. A page that cannot be read is none: to write it anew is its remedy.
    pub(in crate::db) fn overwritten(&self, pages: &Versions) -> io::Result<Seen> {
        let mut seen = Seen::default();
        let (header, looks) = (
            read_header(self.form, &self.file)?.header(),
            looks(&self.database)?,
        );
        let is_as_left = |header: Header| header.written == Written::All && header.looks == looks;
        let file = self.kept_open.as_ref();
        let Some(file) = file.filter(|_| header.is_some_and(is_as_left)) else {
            seen.uncompared = Some(Uncompared::OfAnother);
            return Ok(seen);
        };
        let mut suspects: Vec<u32> = pages.keys().copied().collect();
        let (mut content, mut unread) = (vec![0; self.page_bytes], Vec::new());
        let look = || -> io::Result<Vec<u32>> {
            let mut damaged = Vec::new();
            for page in std::mem::take(&mut suspects) {
                let at = u64::from(page.saturating_sub(1)) * self.page_bytes as u64;
                match file.read_exact_at(&mut content, at) {
                    Ok(()) if is_right(self, page, &content, pages)? == Some(false) => {
                        damaged.push(page);
                    }
                    Ok(()) => {}
                    // The file has grown since.
                    Err(e) if e.kind() == ErrorKind::UnexpectedEof => {}
                    Err(e) => unread.push((page, e)),
                }
            }
            // Only these once more, and not from memory.
            suspects.clone_from(&damaged);
            if !damaged.is_empty() {
                let _ = rustix::fs::fadvise(file, 0, None, Advice::DontNeed);
            }
            Ok(damaged)
        };
        seen.damaged = look_surely(look, |found| {
            found.as_ref().is_ok_and(|all| !all.is_empty())
        })?;
        if let [(page, e), more @ ..] = &unread[..] {
            log::warn!(
                "page {page} of site.db, and {} more, cannot be read ({e}), and are written anew",
                more.len()
            );
        }
        Ok(seen)
    }

    /// What keeps the database open, and is to be closed after `SQLite` has closed it (see [`PageSums::open`]).
    pub(in crate::db) fn into_kept_open(self) -> Option<File> {
        self.kept_open
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path, time::SystemTime};

    use super::{
        super::{
            Form, NEW_PAGE_BYTES, SUMS, beside,
            tests::{a_database, damaged_pages},
        },
        *,
    };
    use crate::db::{Change, Database, Health};

    /// Flips a bit in the text of a row, in a leaf of its table; returns the page.
    fn flip_in_row(database: &Path, name: &str, changed: SystemTime) -> u32 {
        let bytes = fs::read(database).unwrap();
        let of_row = format!("{name}xxxx");
        let mut found = bytes.windows(of_row.len());
        let at = found.position(|part| part == of_row.as_bytes()).unwrap() + of_row.len();
        let file = File::options().write(true).open(database).unwrap();
        file.write_all_at(&[bytes[at] ^ 1], at as u64).unwrap();
        file.set_modified(changed).unwrap();
        u32::try_from(at / NEW_PAGE_BYTES).unwrap() + 1
    }

    fn renaming(name: &str) -> Change {
        let mut change = Change::new();
        let sql = "UPDATE settings SET name = 'other' WHERE name = ?1";
        change.push(sql, vec![name.to_owned().into()]);
        change
    }

    #[test]
    fn damage_of_a_page_is_noticed_before_a_later_save_is_written_over_it() {
        let dir = tempfile::tempdir().unwrap();
        let (path, changed) = a_database(dir.path());
        let page = flip_in_row(&path, "name 1 7", changed);
        let database = Database::open(&path).unwrap();
        database.apply_blocking(renaming("name 1 7")).unwrap();
        database.close();
        let damage = Health::known_damage(dir.path());
        assert!(damage.damage().is_some(), "{damage:?}");
        assert_eq!(damaged_pages(&path).unwrap(), [page], "it can be seen");
        // Nothing was lost with the save that was acknowledged.
        let count = "SELECT count(*) FROM settings WHERE name = 'other'";
        let open = rusqlite::Connection::open(&path).unwrap();
        let found: i64 = open.query_row(count, [], |row| row.get(0)).unwrap();
        assert_eq!(found, 1);
    }

    #[test]
    fn what_a_power_cut_may_have_left_in_the_middle_of_writing_back_is_no_damage() {
        for written in [Written::UnderWay, Written::Part] {
            let dir = tempfile::tempdir().unwrap();
            let (path, changed) = a_database(dir.path());
            let page = flip_in_row(&path, "name 1 7", changed);
            let looks = looks(&path).unwrap();
            let sums = PageSums::of(&path).unwrap();
            sums.write_header(looks, written).unwrap();
            let database = Database::open(&path).unwrap();
            database.apply_blocking(renaming("name 1 7")).unwrap();
            database.close();
            let damage = Health::known_damage(dir.path());
            assert_eq!(damage.damage(), None, "{page} is whole in the log");
            assert_eq!(damaged_pages(&path).unwrap(), [0u32; 0]);
        }
    }

    #[test]
    fn how_much_was_written_back_is_noted_also_while_somebody_reads() {
        let dir = tempfile::tempdir().unwrap();
        let (path, _) = a_database(dir.path());
        let written = || {
            let file = File::open(beside(&path, SUMS)).unwrap();
            read_header(Form::New, &file)
                .unwrap()
                .header()
                .unwrap()
                .written
        };
        assert_eq!(written(), Written::All);
        let database = Database::open(&path).unwrap();
        let reader = rusqlite::Connection::open(&path).unwrap();
        reader
            .execute_batch("BEGIN; SELECT count(*) FROM settings")
            .unwrap();
        database.apply_blocking(renaming("name 1 7")).unwrap();
        database.close();
        assert_eq!(written(), Written::Part);
    }
}
