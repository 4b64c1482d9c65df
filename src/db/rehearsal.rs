//! Migrations are rehearsed on a copy of the real database, so that their time and room are known beforehand, and a
//! failure costs nothing.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::{
    door::{self, Purpose, open_to_look},
    folder::DataFolder,
    migrations::{migrate, schema_version, version_of},
};
use crate::base::{
    Error, Result,
    scratch::{self, Scratch},
};

/// What the folders of copies begin with.
pub(super) const SCRATCH: &str = ".rehearsal-";

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
}

impl Rehearsal {
    /// Whether something is to be done at all.
    pub fn is_needed(&self) -> bool {
        self.from < self.to
    }

    /// How long the real migrations may take at most: a disk has its moods.
    pub fn allowed(&self) -> Duration {
        Duration::from_millis(self.took_ms.saturating_mul(4))
    }
}

/// Migrates a copy of the folder's database and throws it away. The database may be in use, and nothing of it changes.
///
/// # Errors
/// [`Error::CannotSave`] if there is no room for the copy, [`Error::Invalid`] if this program cannot use the database,
/// and what keeps the migrations from being done.
pub fn rehearse(folder: &DataFolder) -> Result<Rehearsal> {
    let database = folder.database();
    let connection = open_to_look(&database)?;
    let before_bytes = size(&database)?;
    let mut rehearsal = Rehearsal {
        from: version_of(&connection)?,
        to: schema_version(),
        took_ms: 0,
        before_bytes,
        after_bytes: before_bytes,
    };
    if !rehearsal.is_needed() {
        return Ok(rehearsal);
    }
    // A copy that was left takes the room of another one.
    scratch::sweep(folder.root(), &[SCRATCH]);
    refuse_without_room(folder.root(), before_bytes)?;
    let scratch = Scratch::in_folder(folder.root(), SCRATCH)
        .map_err(|e| Error::io("making a folder in", folder.root(), e))?;
    let copy = scratch.path().join("site.db");
    // With the copy, for the real migrations keep one too.
    let began = Instant::now();
    // It cannot write anyway, and this writes to another file.
    connection.pragma_update(None, "query_only", false)?;
    connection.execute("VACUUM INTO ?1", [copy.to_string_lossy()])?;
    drop(connection);
    let mut connection = door::open(&copy, Purpose::Write)?;
    migrate(&mut connection)?;
    if let Err((_, e)) = connection.close() {
        return Err(e.into());
    }
    rehearsal.took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    rehearsal.after_bytes = size(&copy)?;
    Ok(rehearsal)
}

fn size(file: &Path) -> Result<u64> {
    let found = fs::metadata(file).map_err(|e| Error::io("looking at", file, e))?;
    Ok(found.len())
}

/// The copy, its log, and as much again for what is migrated.
fn refuse_without_room(root: &Path, bytes: u64) -> Result<()> {
    let disk = rustix::fs::statvfs(root)
        .map_err(|e| Error::io("asking for the room on", PathBuf::from(root), e.into()))?;
    let (free, wanted) = (
        disk.f_bavail.saturating_mul(disk.f_frsize),
        bytes.saturating_mul(3),
    );
    if free >= wanted {
        return Ok(());
    }
    Err(Error::CannotSave(format!(
        "the migration of the database is rehearsed on a copy, and that needs {} MB on the disk of {}, where {} MB are \
         free; make room first",
        wanted / 1_000_000 + 1,
        root.display(),
        free / 1_000_000
    )))
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::rehearse;
    use crate::db::{DataFolder, Database};

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
        let rehearsal = rehearse(&folder).unwrap();
        assert!(rehearsal.is_needed() && rehearsal.from == 1);
        assert!(rehearsal.after_bytes > 0);
        assert_eq!(std::fs::read(folder.database()).unwrap(), before);
        let left = |entry: std::io::Result<std::fs::DirEntry>| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            name.starts_with(".rehearsal")
        };
        assert!(!std::fs::read_dir(dir.path()).unwrap().any(left));
        Database::open(&folder.database()).unwrap().close();
        assert!(!rehearse(&folder).unwrap().is_needed());
    }
}
