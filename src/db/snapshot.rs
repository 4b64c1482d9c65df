//! The database as it is at one moment, page by page, while others go on writing.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::{
    Database,
    door::{self, Purpose},
    migrations,
    pool::Reader,
    read_only::{Way, is_on_read_only_disk},
    wal_verdict::look_at_log,
};
use crate::base::{Error, Result};

/// A read transaction: what it gives out are the bytes of `site.db` as they would be if everybody stopped now.
///
/// In WAL mode it blocks nobody; only the log cannot be cut back behind it, so it is not to be kept for hours.
/// The pages come through `SQLite`'s own table of them (<https://sqlite.org/dbpage.html>), so that what is
/// still in the log is in them.
pub struct Snapshot {
    connection: Connection,
    pages: u32,
    page_bytes: usize,
    /// Where nothing can be written, and nobody else is kept from it: the file, and how it is looked into.
    unlocked: Option<(PathBuf, Way)>,
    /// Keeps this process from opening the file for writing: the end of a connection that knows of no locks would take
    /// the writer's away. So it stands behind that connection, and is dropped after it.
    _reader: Option<Reader>,
}

impl Snapshot {
    /// Takes it.
    ///
    /// # Errors
    /// As [`open_to_look`](super::open_to_look), and [`Error::Damaged`] if the log has lost what was saved.
    pub fn take(file: &Path) -> Result<Self> {
        Self::with(file, None)
    }

    /// Takes that of a database which this process has open.
    ///
    /// # Errors
    /// As [`Snapshot::take`], and [`Error::Busy`].
    pub fn of(database: &Database) -> Result<Self> {
        let reader = is_on_read_only_disk(&database.file).then(|| database.reader());
        Self::with(&database.file, reader.transpose()?)
    }

    fn with(file: &Path, reader: Option<Reader>) -> Result<Self> {
        // Who closes the file as the last one tidies the log up, and what is behind the damage would be gone.
        look_at_log(file).insist()?;
        let unlocked = is_on_read_only_disk(file).then(|| (file.to_path_buf(), Way::into(file)));
        let purpose = match unlocked {
            Some(_) => Purpose::Look,
            None => Purpose::Snapshot,
        };
        let connection = door::open(file, purpose)?;
        connection.execute_batch("BEGIN")?;
        // The transaction has its moment from the first time that something is read.
        migrations::check_version(&connection)?;
        let number = |name: &str| -> rusqlite::Result<i64> {
            connection.pragma_query_value(None, name, |row| row.get(0))
        };
        let (pages, page_bytes) = (number("page_count")?, number("page_size")?);
        Ok(Self {
            pages: u32::try_from(pages).map_err(Error::internal)?,
            page_bytes: usize::try_from(page_bytes).map_err(Error::internal)?,
            connection,
            unlocked,
            _reader: reader,
        })
    }

    /// Whether all that was read is of one moment. On a disk that was mounted read-only it is not if somebody could
    /// write there meanwhile.
    ///
    /// # Errors
    /// [`Error::Busy`] if it may not be.
    pub fn insist_on_one_moment(&self) -> Result<()> {
        let is_as_before =
            |(file, way): &(PathBuf, Way)| is_on_read_only_disk(file) && Way::into(file) == *way;
        if self.unlocked.as_ref().is_none_or(is_as_before) {
            return Ok(());
        }
        Err(Error::Busy(
            "somebody has written to the site's disk, which was read-only, while it was read; try again",
        ))
    }

    /// What can be asked at the same moment.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The size of the file.
    pub fn bytes(&self) -> u64 {
        u64::from(self.pages) * self.page_bytes as u64
    }

    /// Blocks of this many bytes, the last one shorter; a multiple of 64 KiB, the largest page there can be.
    pub fn blocks(&self, block_bytes: usize) -> usize {
        (self.pages as usize).div_ceil(block_bytes / self.page_bytes)
    }

    /// Gives the bytes of each of [`Snapshot::blocks`], in order, to `see`.
    ///
    /// # Errors
    /// [`Error::Database`] if the disk does not give them, and what `see` says.
    pub fn each_block(
        &self,
        block_bytes: usize,
        mut see: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        // One question for all: to ask for each page by itself takes several times as long.
        let sql = "SELECT pgno, data FROM sqlite_dbpage";
        let mut statement = self.connection.prepare(sql)?;
        let (mut pages, mut page) = (statement.query([])?, 0);
        let mut block = Vec::with_capacity(block_bytes);
        while let Some(row) = pages.next()? {
            page += 1;
            if row.get::<_, u32>(0)? != page {
                break;
            }
            block.extend_from_slice(row.get_ref(1)?.as_blob().map_err(Error::internal)?);
            if block.len() == block_bytes || page == self.pages {
                see(&block)?;
                block.clear();
            }
        }
        if page != self.pages {
            let missing = format!("page {page} of {} of site.db is not there", self.pages);
            return Err(Error::Internal(missing));
        }
        Ok(())
    }

    /// How many rows each table has, by name.
    pub fn rows(&self) -> Result<Vec<(String, u64)>> {
        rows_of_tables(&self.connection)
    }
}

/// How many rows each table of a database has, by name.
pub fn rows_of_tables(connection: &Connection) -> Result<Vec<(String, u64)>> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
               ORDER BY name";
    let mut statement = connection.prepare(sql)?;
    let names: Vec<String> = statement
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let count = |name: String| {
        let sql = format!("SELECT count(*) FROM \"{}\"", name.replace('"', "\"\""));
        let rows: i64 = connection.query_row(&sql, [], |row| row.get(0))?;
        Ok((name, u64::try_from(rows).unwrap_or(0)))
    };
    names.into_iter().map(count).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rusqlite::Connection;

    use super::Snapshot;
    use crate::{
        base::Id,
        db::{Change, Database},
    };

    const BLOCK: usize = 64 * 1024;

    fn tag(name: &str) -> Change {
        let (mut change, id) = (Change::new(), Id::new());
        let sql = "INSERT INTO tags (id, slug, name) VALUES (?1, ?2, ?3)";
        change.push(sql, vec![id.into(), name.into(), "x".repeat(5000).into()]);
        change
    }

    #[test]
    fn a_snapshot_is_whole_and_of_one_moment_while_others_write() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("site.db");
        let database = Database::open(&file).unwrap();
        for n in 0..100 {
            database
                .apply_blocking(tag(&format!("before-{n}")))
                .unwrap();
        }
        let snapshot = Snapshot::take(&file).unwrap();
        let (mut whole, mut number) = (Vec::new(), 0);
        let see = |block: &[u8]| {
            // Not one of these is in it, though they reach the file's pages meanwhile.
            for n in 0..20 {
                let change = tag(&format!("after-{number}-{n}"));
                database.apply_blocking(change).unwrap();
            }
            number += 1;
            whole.extend_from_slice(block);
            Ok(())
        };
        snapshot.each_block(BLOCK, see).unwrap();
        assert_eq!(number, snapshot.blocks(BLOCK));
        assert_eq!(whole.len() as u64, snapshot.bytes());
        assert!(snapshot.blocks(BLOCK) > 5);
        let copy = dir.path().join("copy.db");
        fs::write(&copy, whole).unwrap();
        let copy = Connection::open(copy).unwrap();
        let count = "SELECT count(*), sum(slug LIKE 'before%') FROM tags";
        let counts: (i64, i64) = copy
            .query_row(count, [], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap();
        assert_eq!(counts, (100, 100));
        let state: String = copy
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(state, "ok");
        let tags = snapshot.rows().unwrap();
        assert!(tags.contains(&("tags".to_owned(), 100)), "{tags:?}");
    }

    #[test]
    fn a_snapshot_writes_nothing_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("site.db");
        Database::open(&file).unwrap().close();
        let count = || fs::read_dir(dir.path()).unwrap().count();
        let (before, files) = (fs::read(&file).unwrap(), count());
        let snapshot = Snapshot::take(&file).unwrap();
        assert!(
            snapshot
                .connection()
                .execute("DELETE FROM guard", [])
                .is_err()
        );
        drop(snapshot);
        assert_eq!(fs::read(&file).unwrap(), before);
        assert_eq!(count(), files);
    }
}
