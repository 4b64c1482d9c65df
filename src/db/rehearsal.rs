//! Migrations are rehearsed on a copy of the real database, so that their time and room are known beforehand, and a
//! failure costs nothing.

use std::{
    fmt, fs,
    path::Path,
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode};
use serde::{Deserialize, Serialize};

use super::{
    door::{self, Purpose, open_to_look},
    folder::DataFolder,
    migrations::{migrate, oldest, schema_version, version_of},
    pace::Pace,
    wal::log_of,
};
use crate::base::{
    Error, Result, Space,
    scratch::{self, Scratch},
};

/// What the folders of copies begin with.
pub(super) const SCRATCH: &str = ".rehearsal-";

/// Time for a rehearsal of an empty database, and at most.
const WITHIN: Duration = Duration::from_mins(1);
const AT_MOST: Duration = Duration::from_hours(2);
/// What the slowest card copies and changes of a database in a second.
const SLOWEST_BYTES_PER_S: u64 = 500_000;

/// What a rehearsal has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rehearsal {
    /// The schema of the database, and the one that this program makes of it. If they are the same, or the first is
    /// higher, nothing is to be done.
    pub from: i64,
    /// See `from`.
    pub to: i64,
    /// Milliseconds that the migrations took, and the copy that is kept of the database before.
    pub took_ms: u64,
    /// Bytes of the database before.
    pub before_bytes: u64,
    /// Bytes of the database afterwards.
    pub after_bytes: u64,
    /// Bytes of its log in between.
    #[serde(default)]
    pub log_bytes: u64,
    /// The schema of the oldest program that can work with the database afterwards; 0 if nobody has looked.
    #[serde(default)]
    pub oldest: i64,
}

impl Rehearsal {
    /// How long one of a folder's database may take: a minute, and what the slowest card needs.
    pub fn within(folder: &DataFolder) -> Duration {
        let bytes = fs::metadata(folder.database()).map_or(0, |found| found.len());
        (WITHIN + Duration::from_secs(bytes / SLOWEST_BYTES_PER_S)).min(AT_MOST)
    }

    /// Whether something is to be done at all.
    pub fn is_needed(&self) -> bool {
        self.from < self.to
    }

    /// How long the real migrations may take at most: a disk has its moods.
    pub fn allowed(&self) -> Duration {
        Duration::from_millis(self.took_ms.saturating_mul(4))
    }

    /// Bytes that the real migrations need on the disk while they are done: for the copy of the database before, for
    /// the log, and for what the database grows by.
    pub fn needed_bytes(&self) -> u64 {
        let more = self.after_bytes.saturating_sub(self.before_bytes);
        self.before_bytes
            .saturating_add(self.log_bytes)
            .saturating_add(more)
    }

    /// Refuses migrations for which there is no room.
    ///
    /// # Errors
    /// [`Error::CannotSave`] that says how much is needed.
    pub fn refuse_without_room(&self, folder: &DataFolder) -> Result<()> {
        if !self.is_needed() {
            return Ok(());
        }
        refuse_without_room(
            folder.root(),
            self.needed_bytes(),
            "the form of the database changes, and that",
        )
    }

    /// Refuses migrations after which a program of some schema could not go on, that works with the database meanwhile.
    ///
    /// # Errors
    /// [`Error::Invalid`] that says how it can be done.
    pub fn refuse_beside(&self, schema: i64) -> Result<()> {
        if !self.is_needed() || self.oldest <= schema {
            return Ok(());
        }
        Err(Error::Invalid(format!(
            "this version gives the database a form (schema {}) that the version which serves now (it knows schema \
             {schema}) cannot work with, and while one takes over from the other both do. Nothing was changed. Upgrade \
             to a version in between first, one that knows schema {}: the chapter on upgrading of the manual has the \
             table. Or stop the site, put this version in its place, and start it: then visitors wait for that long",
            self.to, self.oldest
        )))
    }
}

impl fmt::Display for Rehearsal {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_needed() {
            return write!(to, "stays as it is (schema {})", self.from);
        }
        let more = self.after_bytes.saturating_sub(self.before_bytes);
        write!(
            to,
            "schema {} -> {}; on a copy that took {} ms and {} kB more, and {} kB for a moment",
            self.from,
            self.to,
            self.took_ms,
            more.div_ceil(1000),
            self.needed_bytes().div_ceil(1000)
        )
    }
}

/// A folder in the data folder, for a database that is tried and thrown away.
///
/// # Errors
/// What the disk says.
pub fn rehearsal_folder(folder: &DataFolder) -> Result<Scratch> {
    Scratch::in_folder(folder.root(), SCRATCH)
        .map_err(|e| Error::io("making a folder in", folder.root(), e))
}

/// Migrates a copy of the folder's database and throws it away. The database may be in use, and nothing of it changes.
///
/// # Errors
/// [`Error::CannotSave`] if there is no room for the copy, [`Error::Invalid`] if this program cannot use the database
/// or it takes too long, and what keeps the migrations from being done.
pub fn rehearse(folder: &DataFolder, pace: Pace<'_>) -> Result<Rehearsal> {
    let database = folder.database();
    let connection = open_to_look(&database)?;
    // With what is in its log still.
    let before_bytes = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
    let before_bytes: i64 = connection.query_row(before_bytes, [], |row| row.get(0))?;
    let before_bytes = before_bytes.unsigned_abs();
    let mut rehearsal = Rehearsal {
        from: version_of(&connection)?,
        to: schema_version(),
        took_ms: 0,
        before_bytes,
        after_bytes: before_bytes,
        log_bytes: 0,
        oldest: 0,
    };
    if !rehearsal.is_needed() {
        return Ok(rehearsal);
    }
    // A copy that was left takes the room of another one.
    scratch::sweep(folder.root(), &[SCRATCH]);
    refuse_without_room(
        folder.root(),
        before_bytes.saturating_mul(3),
        "the migration of the database is rehearsed on a copy, and that",
    )?;
    let scratch = rehearsal_folder(folder)?;
    let copy = scratch.path().join("site.db");
    // With the copy, for the real migrations keep one too.
    let began = Instant::now();
    // It cannot write anyway, and this writes to another file.
    connection.pragma_update(None, "query_only", false)?;
    let interrupt = connection.get_interrupt_handle();
    pace.keep(&interrupt, || {
        connection.execute("VACUUM INTO ?1", [copy.to_string_lossy()])?;
        Ok(())
    })
    .map_err(|e| without_room(folder.root(), e))?;
    drop(connection);
    let mut connection = door::open(&copy, Purpose::Write)?;
    let interrupt = connection.get_interrupt_handle();
    let rest = Pace {
        limit: pace
            .limit
            .map(|limit| limit.saturating_sub(began.elapsed())),
        ..pace
    };
    rest.keep(&interrupt, || migrate(&mut connection))
        .map_err(|e| without_room(folder.root(), e))?;
    rehearsal.oldest = oldest_of(&connection)?;
    rehearsal.log_bytes = size(&log_of(&copy)).unwrap_or(0);
    if let Err((_, e)) = connection.close() {
        return Err(without_room(folder.root(), e.into()));
    }
    rehearsal.took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    rehearsal.after_bytes = size(&copy)?;
    Ok(rehearsal)
}

/// Those of before schema 3 have no word for it, and go on with nothing newer.
fn oldest_of(connection: &Connection) -> Result<i64> {
    match oldest(connection) {
        Err(Error::Database(_)) => version_of(connection),
        oldest => oldest,
    }
}

fn size(file: &Path) -> Result<u64> {
    let found = fs::metadata(file).map_err(|e| Error::io("looking at", file, e))?;
    Ok(found.len())
}

/// Says of a full disk what it was full of.
fn without_room(root: &Path, e: Error) -> Error {
    match e {
        Error::Database(e) if e.sqlite_error_code() == Some(ErrorCode::DiskFull) => {
            Error::CannotSave(format!(
                "the migration of the database was rehearsed on a copy, and for that the disk of {} has no room; make \
                 room first",
                root.display()
            ))
        }
        e => e,
    }
}

/// Refuses what needs more room than there is.
fn refuse_without_room(root: &Path, wanted: u64, what: &str) -> Result<()> {
    let free = Space::of(root)?.free;
    if free >= wanted {
        return Ok(());
    }
    Err(Error::CannotSave(format!(
        "{what} needs {} MB on the disk of {}, where {} MB are free; make room first",
        wanted / 1_000_000 + 1,
        root.display(),
        free / 1_000_000
    )))
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::{Rehearsal, rehearse};
    use crate::db::{DataFolder, Database, Pace};

    #[test]
    fn an_older_database_is_rehearsed_and_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let folder = DataFolder::open_or_create(dir.path()).unwrap();
        let first = include_str!("migrations/1_first.sql");
        let connection = Connection::open(folder.database()).unwrap();
        connection.execute_batch(first).unwrap();
        connection.pragma_update(None, "user_version", 1).unwrap();
        connection
            .pragma_update(None, "application_id", 0x5753_5444)
            .unwrap();
        drop(connection);
        let before = std::fs::read(folder.database()).unwrap();
        let rehearsal = rehearse(&folder, Pace::unwatched()).unwrap();
        assert!(rehearsal.is_needed() && rehearsal.from == 1);
        assert!(rehearsal.after_bytes > 0 && rehearsal.log_bytes > 0 && rehearsal.oldest >= 3);
        assert_eq!(std::fs::read(folder.database()).unwrap(), before);
        let left = |entry: std::io::Result<std::fs::DirEntry>| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            name.starts_with(".rehearsal")
        };
        assert!(!std::fs::read_dir(dir.path()).unwrap().any(left));
        Database::open(&folder.database()).unwrap().close();
        assert!(!rehearse(&folder, Pace::unwatched()).unwrap().is_needed());
    }

    #[test]
    fn what_does_not_fit_is_refused_with_what_it_needs() {
        let dir = tempfile::tempdir().unwrap();
        let folder = DataFolder::at(dir.path());
        let fits = Rehearsal {
            from: 6,
            to: 8,
            took_ms: 20_000,
            before_bytes: 1_000_000,
            after_bytes: 1_500_000,
            log_bytes: 700_000,
            oldest: 6,
        };
        assert_eq!(fits.needed_bytes(), 2_200_000);
        assert_eq!(fits.allowed().as_secs(), 80);
        fits.refuse_without_room(&folder).unwrap();
        fits.refuse_beside(6).unwrap();
        let text = fits.refuse_beside(5).unwrap_err().to_string();
        for words in ["schema 8", "schema 5", "schema 6", "stop the site"] {
            assert!(text.contains(words), "{words}: {text}");
        }
        let large = Rehearsal {
            log_bytes: 1 << 60,
            ..fits
        };
        let text = large.refuse_without_room(&folder).unwrap_err().to_string();
        assert!(text.contains("1152921504609 MB"), "{text}");
        // Who has nothing to change needs nothing.
        let done = Rehearsal { from: 8, ..large };
        done.refuse_without_room(&folder).unwrap();
        done.refuse_beside(5).unwrap();
    }
}
