//! Puts another database in the place of the site's. Power that fails at any moment parts neither from its log: what was
//! begun is noted before, and finished by whoever opens the folder next.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    folder::{DataFolder, ServerLock},
    health::Health,
    page_sums::{OLD_SUMS, SUMS, note_page_sums},
    salvage::logs_put_aside,
};
use crate::base::{
    Error, Result,
    files::{self, beside},
};

/// What the note is called, behind the name of the database.
const NOTE: &str = ".replacing";
/// What belongs to one database file and to no other.
const COMPANIONS: [&str; 4] = ["-wal", SUMS, OLD_SUMS, "-shm"];

/// What is being done, from the moment at which all of it is prepared.
#[derive(Serialize, Deserialize)]
struct Note {
    /// The name of the new file, in the same folder.
    new: String,
    /// Its inode, which it keeps in the place of the old one.
    #[serde(default)]
    inode: Option<u64>,
}

/// Whether a replacement of this database is begun and not ended. Then its new file is still needed.
pub fn is_replacing(database: &Path) -> bool {
    beside(database, NOTE).exists()
}

/// Puts a new database in the place of the damaged one, which is kept under the name `aside` with its log. Nobody
/// serves it meanwhile.
///
/// # Errors
/// What the disk says; then the damaged one is where it was, or what is missing is done by [`finish`].
pub fn replace(damaged: &Path, new: &Path, aside: &Path, _lock: &ServerLock) -> Result<()> {
    replace_by(damaged, new, aside, &mut || Ok(())).map_err(|e| Error::io("replacing", damaged, e))
}

/// `step` is asked before each.
fn replace_by(damaged: &Path, new: &Path, aside: &Path, step: Step<'_>) -> io::Result<()> {
    // A second name for all of the old one. Its first names stay until everything is noted.
    step()?;
    second_name(damaged, aside)?;
    for end in COMPANIONS {
        step()?;
        second_name(&beside(damaged, end), &beside(aside, end))?;
    }
    for (number, log) in logs_put_aside(damaged).iter().enumerate() {
        step()?;
        second_name(log, &beside(aside, &format!("-log-{number}")))?;
    }
    step()?;
    files::sync_folder(files::folder_of(damaged))?;
    let name = new.file_name().unwrap_or_default().to_string_lossy();
    let note = Note {
        new: name.into_owned(),
        inode: Some(fs::metadata(new)?.ino()),
    };
    let text = serde_json::to_vec(&note).map_err(io::Error::other)?;
    step()?;
    files::write_whole(&beside(damaged, NOTE), &text, 0o600)?;
    finish_by(damaged, step).map(|_| ())
}

type Step<'a> = &'a mut dyn FnMut() -> io::Result<()>;

/// Goes on with what [`replace`] has begun and did not end. Where nothing was begun, it does nothing.
///
/// # Errors
/// [`Error::CannotSave`] if somebody else is at it, or nothing can be written.
pub(super) fn finish(folder: &DataFolder) -> Result<()> {
    let database = folder.database();
    if !is_replacing(&database) {
        return Ok(());
    }
    let cannot = |why: &dyn std::fmt::Display| {
        Error::CannotSave(format!(
            "another database is being put in the place of {}, and that was not finished ({why}); try again in a moment",
            database.display()
        ))
    };
    let _lock = folder.lock_for_server().map_err(|e| cannot(&e))?;
    match finish_by(&database, &mut || Ok(())).map_err(|e| cannot(&e))? {
        Some(true) => {
            log::warn!("a repair that was interrupted is finished: the site has its repaired database");
        }
        Some(false) => Health::of(&database).note_damage(
            "a repair was interrupted, and the repaired database is gone before it was in its place; the damaged one is \
             kept with its log as site.db.damaged-DATE",
        ),
        None => {}
    }
    Ok(())
}

/// Whether the new one is in its place now; `None` if nothing was begun.
fn finish_by(database: &Path, step: Step<'_>) -> io::Result<Option<bool>> {
    let (note, folder) = (beside(database, NOTE), files::folder_of(database));
    let text = match fs::read(&note) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text?,
    };
    let begun: Note = serde_json::from_slice(&text).map_err(io::Error::other)?;
    let name = Path::new(&begun.new).file_name().unwrap_or_default();
    let new: PathBuf = folder.join(name);
    let is_exchanged = new.is_file();
    if is_exchanged {
        // A log of the old one beside the new one would be taken for its own, so it goes before.
        for end in COMPANIONS {
            step()?;
            files::remove_if_there(&beside(database, end))?;
        }
        for log in logs_put_aside(database) {
            step()?;
            files::remove_if_there(&log)?;
        }
        step()?;
        files::sync_folder(folder)?;
        step()?;
        fs::rename(&new, database)?;
        step()?;
        files::sync_folder(folder)?;
    }
    let there = fs::metadata(database).ok().map(|there| there.ino());
    let is_new = is_exchanged || begun.inode.is_some() && there == begun.inode;
    step()?;
    // Without the new one, sums of the damaged one would call it sound.
    if is_new {
        if let Err(e) = note_page_sums(database) {
            log::warn!("{e}");
        }
        Health::forget_damage(folder).map_err(io::Error::other)?;
    }
    step()?;
    files::remove_if_there(&note)?;
    files::sync_folder(folder)?;
    Ok(Some(is_new))
}

/// Gives a file a second name, if it is there.
fn second_name(file: &Path, name: &Path) -> io::Result<()> {
    if file.exists() {
        files::second_name(file, name)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    fn rows(database: &Path) -> i64 {
        let connection = Connection::open(database).unwrap();
        let sql = "SELECT count(*) FROM t";
        connection.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// A database with a row in the file and another in the log, and a new one of five.
    fn a_folder(dir: &Path) -> (PathBuf, PathBuf) {
        let (database, new) = (dir.join("site.db"), dir.join("site.db.repaired-1"));
        let live = dir.join("live.db");
        let connection = Connection::open(&live).unwrap();
        let sql = "PRAGMA journal_mode = WAL; CREATE TABLE t (a); INSERT INTO t VALUES (1); \
                   PRAGMA wal_checkpoint(TRUNCATE);";
        connection.execute_batch(sql).unwrap();
        connection.execute("INSERT INTO t VALUES (2)", []).unwrap();
        fs::copy(&live, &database).unwrap();
        fs::copy(beside(&live, "-wal"), beside(&database, "-wal")).unwrap();
        drop(connection);
        fs::remove_file(live).unwrap();
        fs::write(beside(&database, "-wal.damaged-7"), "a log").unwrap();
        fs::write(dir.join("damaged.txt"), "damaged\n").unwrap();
        let connection = Connection::open(&new).unwrap();
        connection.execute_batch("CREATE TABLE t (a)").unwrap();
        for n in 0..5 {
            connection
                .execute("INSERT INTO t VALUES (?1)", [n])
                .unwrap();
        }
        (database, new)
    }

    #[test]
    fn power_that_fails_at_any_moment_leaves_the_old_database_with_its_log_or_the_new_one() {
        let (mut olds, mut news) = (0, 0);
        for until in 0.. {
            let dir = tempfile::tempdir().unwrap();
            let (database, new) = a_folder(dir.path());
            let aside = dir.path().join("site.db.damaged-1");
            let mut left = until;
            let mut step = || {
                left -= 1;
                if left < 0 {
                    return Err(io::Error::other("the power fails"));
                }
                Ok(())
            };
            let is_done = replace_by(&database, &new, &aside, &mut step).is_ok();
            if !is_replacing(&database) {
                // As of a repair that failed.
                let _ = fs::remove_file(&new);
            }
            // The machine is on again.
            let folder = DataFolder::open_existing(dir.path()).unwrap();
            assert!(!beside(&database, NOTE).exists(), "{until}");
            let found = rows(&folder.database());
            if found == 2 {
                assert!(
                    news == 0 && dir.path().join("damaged.txt").exists(),
                    "{until}"
                );
                olds += 1;
            } else {
                assert_eq!(found, 5, "{until}: parted from its log");
                assert_eq!(rows(&aside), 2, "{until}: the old one is whole");
                assert!(beside(&aside, "-log-0").exists() && !new.exists());
                assert!(!dir.path().join("damaged.txt").exists(), "{until}");
                news += 1;
            }
            if is_done {
                break;
            }
        }
        assert!(olds >= 6 && news >= 6, "{olds} {news}");
    }

    #[test]
    fn a_repaired_database_that_is_gone_before_it_was_in_its_place_leaves_the_site_damaged() {
        for was_known in [true, false] {
            let dir = tempfile::tempdir().unwrap();
            let (database, new) = a_folder(dir.path());
            let marker = dir.path().join("damaged.txt");
            fs::write(
                beside(&database, NOTE),
                r#"{"new":"site.db.repaired-1","inode":1}"#,
            )
            .unwrap();
            fs::remove_file(new).unwrap();
            if !was_known {
                fs::remove_file(&marker).unwrap();
            }
            DataFolder::open_existing(dir.path()).unwrap();
            assert!(marker.exists() && !is_replacing(&database), "{was_known}");
            assert!(!beside(&database, SUMS).exists(), "{was_known}");
            assert_eq!(rows(&database), 2, "with its log");
        }
    }

    #[test]
    fn what_is_being_replaced_at_this_moment_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (database, _) = a_folder(dir.path());
        let folder = DataFolder::open_existing(dir.path()).unwrap();
        let lock = folder.lock_for_server().unwrap();
        fs::write(beside(&database, NOTE), r#"{"new":"site.db.repaired-1"}"#).unwrap();
        let told = DataFolder::open_existing(dir.path())
            .unwrap_err()
            .to_string();
        assert!(told.contains("try again"), "{told}");
        assert!(beside(&database, "-wal").exists());
        drop(lock);
        DataFolder::open_existing(dir.path()).unwrap();
        assert_eq!(rows(&database), 5);
    }
}
