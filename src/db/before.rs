//! The database as it was before its last migration: what `webstead rollback` goes back to.

use std::{
    collections::HashSet,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rusqlite::Connection;

use super::{
    Database,
    change_log::note_restored,
    door::{self, Purpose, open_to_look},
    folder::{DataFolder, ServerLock},
    migrations::version_of,
    pace::is_broken_off,
    page_sums::note_page_sums,
    wal::log_of,
};
use crate::base::{
    Error, Result, Space, Timestamp,
    files::{self, beside},
    written,
};

/// What the copy is called, behind the name of the database.
const COPY: &str = ".before-upgrade";
/// Idle connections of a process that another one has followed are closed after ten seconds.
const FINISHES_WITHIN: Duration = Duration::from_secs(30);

/// A database that was kept.
#[derive(Clone, Copy, Debug)]
pub struct Before {
    /// Its schema.
    pub schema: i64,
    /// When it was kept.
    pub at: Timestamp,
    /// What was written since.
    pub since: Since,
}

/// What was written since a database was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// Nothing, and that is sure.
    Nothing,
    /// So many changes.
    Changes(u64),
    /// So many, and others that nobody has counted: the numbers of older ones are forgotten.
    AtLeast(u64),
    /// Nobody can say: the database of today is not what became of the one that was kept, as after a restore, or so
    /// much time has passed that a change could have been forgotten.
    NotKnown,
}

impl Since {
    /// Compares the ids of the changes that both know. `age_s`: how long ago the first was kept.
    ///
    /// The last id is never forgotten, and the others are for a week. So the last one of then is either still there or
    /// was followed by others; and a change that was made before it and applied after it is there for a week.
    fn between(then: &HashSet<i64>, now: &HashSet<i64>, age_s: i64) -> Self {
        let (last, first) = (then.iter().max(), now.iter().min());
        let new = now.difference(then).count() as u64;
        let is_recent = (0..SURELY_COUNTED_S).contains(&age_s);
        match new {
            0 if last.is_none_or(|last| now.contains(last)) && is_recent => Self::Nothing,
            0 => Self::NotKnown,
            new if is_recent || last.zip(first).is_some_and(|(last, first)| first <= last) => {
                Self::Changes(new)
            }
            new => Self::AtLeast(new),
        }
    }
}

/// Ids of changes are known for a week; a day less, because somebody may have set the clock.
const SURELY_COUNTED_S: i64 = 6 * 24 * 3600;

/// Keeps a copy of a database that is about to be migrated, in the place of the copy before.
///
/// What another process writes between the copy and the migration is not in the copy, and counts as written since. If
/// that copy has all that this database has, because an earlier try was broken off, it stays.
/// Without room there is no copy: the migration is one transaction and needs none; only the way back is shorter.
pub(super) fn keep(connection: &Connection, database: &Path) -> Result<()> {
    let (copy, unfinished) = (copy_of(database), unfinished(database));
    if is_kept(connection, &copy) {
        return Ok(());
    }
    let writing = |e| Error::io("writing", &copy, e);
    let kept = files::remove_if_there(&unfinished)
        .map_err(writing)
        .and_then(|()| make(connection, database, &unfinished))
        .and_then(|()| fs::rename(&unfinished, &copy).map_err(writing))
        .and_then(|()| files::sync_folder(files::folder_of(database)).map_err(writing));
    if let Err(e) = kept {
        if is_broken_off(&e) {
            // There is no upgrade now, so the copy of the one before still leads back.
            files::remove_if_there(&unfinished)
                .map_err(|e| Error::io("removing", unfinished, e))?;
            return Err(e);
        }
        log::warn!(
            "the database is not kept as it was before this upgrade ({e}), so `webstead rollback` cannot go back to it"
        );
        // An older one is of another upgrade.
        let gone = files::remove_if_there(&unfinished).and_then(|()| files::remove_if_there(&copy));
        gone.map_err(|e| Error::io("removing", copy, e))?;
    }
    Ok(())
}

/// Whether a copy has the same form and the same changes as a database.
fn is_kept(connection: &Connection, copy: &Path) -> bool {
    let is_same = || -> Result<bool> {
        let kept = open_to_look(copy)?;
        let is_same_form = version_of(&kept)? == version_of(connection)?;
        let changes = changes_of(&kept)?;
        // Without any, nothing says that it is of the same site.
        Ok(is_same_form && !changes.is_empty() && changes == changes_of(connection)?)
    };
    copy.exists() && is_same().unwrap_or(false)
}

fn changes_of(connection: &Connection) -> Result<HashSet<i64>> {
    let mut statement = connection.prepare("SELECT id FROM applied_changes")?;
    let ids = statement.query_map([], |row| row.get(0))?;
    Ok(ids.collect::<Result<_, _>>()?)
}

/// Makes the copy, once it is sure that there is room.
fn make(connection: &Connection, database: &Path, to: &Path) -> Result<()> {
    let writing = |e| Error::io("writing", to, e);
    let bytes = fs::metadata(database).map_err(writing)?.len();
    // The migration needs room, too.
    if Space::of(files::folder_of(database))?.free < bytes.saturating_mul(2) {
        return Err(writing(ErrorKind::StorageFull.into()));
    }
    let file = begin(database, to).map_err(writing)?;
    connection.execute("VACUUM INTO ?1", [to.to_string_lossy()])?;
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    let bytes = file.metadata().map_err(writing)?.len();
    written::count(name.trim_end_matches(".new"), bytes);
    file.sync_all().map_err(writing)
}

fn begin(database: &Path, to: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)?;
    // Who sweeps what was left leaves it alone.
    let _ = file.lock_shared();
    files::give_to_owner_of(files::folder_of(database), &file)?;
    Ok(file)
}

/// The database that was kept before the last migration, if there is one.
///
/// # Errors
/// [`Error::Database`] if it or today's cannot be read.
pub fn before_upgrade(folder: &DataFolder) -> Result<Option<Before>> {
    let copy = copy_of(&folder.database());
    let found = match fs::metadata(&copy) {
        Ok(found) => found,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io("looking at", copy, e)),
    };
    let connection = open_to_look(&copy)?;
    // Today's may be newer than this program.
    let now = changes_of(&door::open(&folder.database(), Purpose::Look)?)?;
    let at = Timestamp(found.mtime());
    let age_s = Timestamp::now().0 - at.0;
    Ok(Some(Before {
        schema: version_of(&connection)?,
        at,
        since: Since::between(&changes_of(&connection)?, &now, age_s),
    }))
}

/// A second name for the copy in another folder, where a program is asked whether it can use it.
///
/// # Errors
/// [`Error::Io`] if there is none, or no room.
pub fn show_before_upgrade(folder: &DataFolder, there: &Path) -> Result<()> {
    let copy = copy_of(&folder.database());
    let shown = DataFolder::at(there).database();
    files::second_name(&copy, &shown).map_err(|e| Error::io("copying", copy, e))
}

/// Puts the database back as it was before the last migration; says where today's is. Nobody serves the folder
/// meanwhile. At every moment, `site.db` is one of the two, whole.
///
/// # Errors
/// [`Error::CannotSave`] if that cannot be; then today's is still in its place.
pub fn put_back(folder: &DataFolder, _lock: &ServerLock) -> Result<PathBuf> {
    let (database, copy) = (folder.database(), copy_of(&folder.database()));
    // What is in the log goes into the file, which is set aside without one. Where another program has taken over just
    // before, the one before it may still be finishing.
    let until = Instant::now() + FINISHES_WITHIN;
    loop {
        Database::open(&database)?.close();
        if !log_of(&database).exists() {
            break;
        }
        if Instant::now() > until {
            return Err(Error::CannotSave(
                "another process still has site.db open, so nothing was changed; try again in a moment".into(),
            ));
        }
        thread::sleep(Duration::from_millis(500));
    }
    note_return(&copy)?;
    let aside = files::dated_name(&beside(&database, ".after-upgrade"));
    let cannot = |e: io::Error| {
        Error::CannotSave(format!("site.db stays as it is, because of the disk: {e}"))
    };
    files::second_name(&database, &aside)
        .and_then(|()| files::sync_folder(folder.root()))
        .and_then(|()| fs::rename(&copy, &database))
        .and_then(|()| files::sync_folder(folder.root()))
        .map_err(cannot)?;
    // Those that are there are of the other file. Without them it works too, so it is no reason to stop halfway.
    if let Err(e) = note_page_sums(&database) {
        log::warn!("{e}");
    }
    Ok(aside)
}

/// Notes in the log of the copy that it has nothing of what was written since.
fn note_return(copy: &Path) -> Result<()> {
    let kept = fs::metadata(copy).map_err(|e| Error::io("looking at", copy, e))?;
    note_restored(copy, Timestamp(kept.mtime()))
}

fn copy_of(database: &Path) -> PathBuf {
    beside(database, COPY)
}

fn unfinished(database: &Path) -> PathBuf {
    beside(database, ".before-upgrade.new")
}

/// Removes a copy that was begun by a process that did not end it.
pub(super) fn sweep_unfinished(database: &Path) {
    let unfinished = unfinished(database);
    if let Ok(file) = File::open(&unfinished)
        && file.try_lock().is_ok()
        && let Err(e) = files::remove_if_there(&unfinished)
    {
        log::debug!("{} was not removed: {e}", unfinished.display());
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use std::{
        collections::HashSet,
        os::unix::fs::MetadataExt as _,
        sync::atomic::{AtomicBool, Ordering},
    };

    use super::{Since, copy_of, is_broken_off, keep, unfinished};
    use crate::{
        base::{Timestamp, written},
        db::{Change, DataFolder, Database, before_upgrade, sweep_applied_changes},
    };

    const DAY_S: i64 = 24 * 3600;

    #[test]
    fn nothing_was_written_is_said_only_where_that_is_sure() {
        let set = |ids: &[i64]| -> HashSet<i64> { ids.iter().copied().collect() };
        for (then, now, age_days, since) in [
            (&[3, 5][..], &[3, 5][..], 1, Since::Nothing),
            (&[], &[], 1, Since::Nothing),
            // The older one was forgotten.
            (&[3, 5], &[5], 1, Since::Nothing),
            (&[3, 5], &[3, 5, 7, 8], 1, Since::Changes(2)),
            // Made before the last one of then, and applied after it.
            (&[3, 5], &[3, 4, 5], 1, Since::Changes(1)),
            // In the course of a week such a one is forgotten, and nobody can say.
            (&[3, 5], &[5], 8, Since::NotKnown),
            (&[], &[], 8, Since::NotKnown),
            // Those of then are there, so all since are.
            (&[3, 5], &[5, 7], 8, Since::Changes(1)),
            (&[3, 5], &[7, 9], 8, Since::AtLeast(2)),
            (&[], &[9], 8, Since::AtLeast(1)),
            // Another database is in its place.
            (&[3, 5], &[3], 1, Since::NotKnown),
            (&[3, 5], &[], 1, Since::NotKnown),
            // The clock was set back.
            (&[3, 5], &[3, 5], -1, Since::NotKnown),
        ] {
            let found = Since::between(&set(then), &set(now), age_days * DAY_S);
            assert_eq!(found, since, "{then:?} and {now:?} after {age_days} days");
        }
    }

    #[test]
    fn changes_whose_numbers_are_forgotten_since_are_not_told_as_all_there_were() {
        let dir = tempfile::tempdir().unwrap();
        let folder = DataFolder::open_or_create(dir.path()).unwrap();
        let database = Database::open(&folder.database()).unwrap();
        let copy = copy_of(&folder.database());
        let keep_now = || {
            let connection = Connection::open(folder.database()).unwrap();
            keep(&connection, &folder.database()).unwrap();
        };
        let since = || before_upgrade(&folder).unwrap().unwrap().since;
        database.apply_blocking(Change::new()).unwrap();
        keep_now();
        let first = std::fs::metadata(&copy).unwrap().ino();
        assert_eq!(since(), Since::Nothing);
        // A copy that has all of it is not made once more.
        keep_now();
        assert_eq!(std::fs::metadata(&copy).unwrap().ino(), first);
        for _ in 0..3 {
            database.apply_blocking(Change::new()).unwrap();
        }
        assert_eq!(since(), Since::Changes(3));
        // Nine days later.
        let long_ago = Timestamp::now().0 - 9 * DAY_S;
        let file = std::fs::File::options().write(true).open(&copy).unwrap();
        let time = std::time::UNIX_EPOCH
            + std::time::Duration::from_secs(u64::try_from(long_ago).unwrap());
        file.set_modified(time).unwrap();
        // In 2223: the ids of this process rise with every clock that a test has set.
        let sweep = sweep_applied_changes(8_000_000_000_000);
        database.apply_blocking(sweep).unwrap();
        assert_eq!(since(), Since::AtLeast(1));
        keep_now();
        assert_ne!(std::fs::metadata(&copy).unwrap().ino(), first);
        database.close();
    }

    #[test]
    fn an_upgrade_that_is_broken_off_leaves_the_copy_of_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let folder = DataFolder::open_or_create(dir.path()).unwrap();
        let file = folder.database();
        let database = Database::open(&file).unwrap();
        database.apply_blocking(Change::new()).unwrap();
        let connection = Connection::open(&file).unwrap();
        keep(&connection, &file).unwrap();
        let first = std::fs::metadata(copy_of(&file)).unwrap().ino();
        database.apply_blocking(Change::new()).unwrap();
        // So much that the copy takes its time.
        let ballast = "CREATE TABLE ballast AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 4000) \
                       SELECT zeroblob(4000) AS a FROM n";
        connection.execute_batch(ballast).unwrap();
        let interrupt = connection.get_interrupt_handle();
        let (is_on, is_over) = (AtomicBool::new(false), AtomicBool::new(false));
        let kept = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    interrupt.interrupt();
                    is_on.store(true, Ordering::Relaxed);
                }
            });
            while !is_on.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
            let kept = keep(&connection, &file);
            is_over.store(true, Ordering::Relaxed);
            kept
        });
        assert!(is_broken_off(&kept.unwrap_err()));
        assert!(!unfinished(&file).exists());
        assert_eq!(std::fs::metadata(copy_of(&file)).unwrap().ino(), first);
        database.close();
    }

    #[test]
    fn a_database_of_before_and_the_copy_that_is_kept_of_it_have_the_pages_that_they_had() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("site.db");
        let made = Connection::open(&file).unwrap();
        made.execute_batch("PRAGMA page_size = 4096; PRAGMA application_id = 0x57535444;")
            .unwrap();
        made.execute_batch(include_str!("migrations/1_first.sql"))
            .unwrap();
        made.pragma_update(None, "user_version", 1).unwrap();
        drop(made);
        let written = |name: &str| written::totals().get(name).copied().unwrap_or(0);
        let (copied, logged) = (written("site.db.before-upgrade"), written("site.db-wal"));
        let database = Database::open(&file).unwrap();
        assert!(!database.takes_packed(), "programs of before may read it");
        database.close();
        // The owner is told what an upgrade has written.
        let copy = std::fs::metadata(copy_of(&file)).unwrap().len();
        assert!(written("site.db.before-upgrade") >= copied + copy);
        assert!(written("site.db-wal") > logged);
        let number = |file: &std::path::Path, name: &str| -> i64 {
            let connection = Connection::open(file).unwrap();
            connection
                .pragma_query_value(None, name, |row| row.get(0))
                .unwrap()
        };
        for (file, is_migrated) in [(&file, true), (&copy_of(&file), false)] {
            assert_eq!(number(file, "page_size"), 4096);
            assert_eq!(number(file, "user_version") > 1, is_migrated);
        }
    }
}
