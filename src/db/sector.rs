//! Fills what a commit writes to the log up to the next sector of the disk.
//!
//! `SQLite` takes it for granted that a write that is cut by a power failure leaves the bytes beside it alone
//! (<https://www.sqlite.org/psow.html>), so a commit begins in the sector in which the one before it ends: that one, on
//! the disk and acknowledged, is written once more. Of a cheap card nobody knows whether that is safe, and it is a
//! quarter of what a small save writes. A file that does not promise it is treated better: `SQLite` repeats the last
//! page of a commit until a sector is full, and syncs up to there.
//!
//! `psow=0` in the name of the file would take the promise back too early: pages that are smaller than a sector would
//! then be written by the sector, each with its neighbours. So it is taken back between the opening of the database and
//! that of its log, in the table of the file's methods
//! (<https://www.sqlite.org/c3ref/io_methods.html>, `xDeviceCharacteristics`).

use std::{ffi::c_int, ptr, sync::OnceLock};

use rusqlite::{Connection, ffi};

/// The methods of a file, and the same without the promise.
struct Methods {
    /// Where the original is.
    address: usize,
    original: ffi::sqlite3_io_methods,
    without: ffi::sqlite3_io_methods,
}

/// Those of the files of this system: the same for all of them, and the same for ever.
static METHODS: OnceLock<Methods> = OnceLock::new();

/// Sets it for the log that a connection is about to open: before anything is read or set.
#[allow(unsafe_code)]
pub(super) fn fill_up(connection: &Connection) -> rusqlite::Result<()> {
    let mut file: *mut ffi::sqlite3_file = ptr::null_mut();
    // SAFETY: the handle is that of an open connection, which nobody else uses meanwhile. A missing name means the main
    // database. The last argument takes the address of its file, which is there as long as the connection
    // (<https://www.sqlite.org/c3ref/c_fcntl_begin_atomic_write.html>, SQLITE_FCNTL_FILE_POINTER).
    let code = unsafe {
        ffi::sqlite3_file_control(
            connection.handle(),
            ptr::null(),
            ffi::SQLITE_FCNTL_FILE_POINTER,
            (&raw mut file).cast(),
        )
    };
    if code != ffi::SQLITE_OK {
        return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
    }
    // SAFETY: an open file has methods, in a table that is never freed or changed; the copy is kept for ever, too, and
    // has the same functions but for one, which asks the one in its place.
    unsafe {
        let Some(original) = file.as_ref().and_then(|file| file.pMethods.as_ref()) else {
            return Ok(());
        };
        let address = ptr::from_ref(original).addr();
        let methods = METHODS.get_or_init(|| Methods {
            address,
            original: *original,
            without: ffi::sqlite3_io_methods {
                xDeviceCharacteristics: Some(without_the_promise),
                ..*original
            },
        });
        // Another table would be that of another kind of file, which goes without.
        if methods.address == address {
            (*file).pMethods = &raw const methods.without;
        }
    }
    Ok(())
}

/// What the system says of its files, without that a write leaves the bytes beside it alone.
#[allow(unsafe_code)]
unsafe extern "C" fn without_the_promise(file: *mut ffi::sqlite3_file) -> c_int {
    let Some(ask) = METHODS
        .get()
        .and_then(|methods| methods.original.xDeviceCharacteristics)
    else {
        return 0;
    };
    // SAFETY: the file is one whose methods these were.
    unsafe { ask(file) & !ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rusqlite::Connection;

    use super::{
        super::wal::{frame_bytes, log_of},
        fill_up,
    };

    const SECTOR: u64 = 4096;

    /// Where the log ends after each of thirty commits.
    fn ends_of_commits(page_bytes: usize, fills_up: bool) -> Vec<u64> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("site.db");
        let connection = Connection::open(&file).unwrap();
        if fills_up {
            fill_up(&connection).unwrap();
        }
        connection
            .execute_batch(&format!(
                "PRAGMA page_size = {page_bytes}; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
                 PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (a);"
            ))
            .unwrap();
        let one_more = |n: i64| {
            let row = "INSERT INTO t VALUES (zeroblob(?1))";
            connection.execute(row, [n * 37]).unwrap();
            fs::metadata(log_of(&file)).unwrap().len()
        };
        (0..30).map(one_more).collect()
    }

    #[test]
    fn no_commit_begins_in_a_sector_that_was_synced_for_the_one_before_it() {
        for page_bytes in [512, 1024, 4096] {
            let frame = frame_bytes(page_bytes);
            for end in ends_of_commits(page_bytes, true) {
                // Its last frame reaches over the border of a sector, or ends there.
                assert!(end % SECTOR < frame, "{page_bytes}: a commit ends at {end}");
            }
            let without = ends_of_commits(page_bytes, false);
            assert!(
                page_bytes == 4096 || without.iter().any(|end| end % SECTOR >= frame),
                "{page_bytes}: it would be so in any case"
            );
        }
    }

    #[test]
    fn a_small_change_writes_no_page_but_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let connection = Connection::open(dir.path().join("site.db")).unwrap();
        fill_up(&connection).unwrap();
        connection
            .execute_batch(
                "PRAGMA page_size = 512; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
                 PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (id INTEGER PRIMARY KEY, a);
                 WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n LIMIT 50)
                 INSERT INTO t SELECT i, zeroblob(400) FROM n;",
            )
            .unwrap();
        connection
            .execute("UPDATE t SET a = 1 WHERE id = 25", [])
            .unwrap();
        let mut all = Vec::new();
        super::super::wal::read_log(&log_of(&dir.path().join("site.db")), 512, |frame| {
            all.push((frame.page, frame.commit.is_some()));
        })
        .unwrap();
        let last = *all.last().unwrap();
        let repeated = all.iter().rev().take_while(|frame| **frame == last).count();
        assert!(
            (7..=9).contains(&repeated),
            "one page fills a sector: {all:?}"
        );
        let before = all[all.len() - repeated - 1];
        assert!(before.1, "and behind another commit: {all:?}");
    }
}
