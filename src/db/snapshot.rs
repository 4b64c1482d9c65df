//! The database as it is at one moment, page by page, while others go on writing.

use std::{
    io,
    path::{Path, PathBuf},
};

use rusqlite::Connection;

use super::{
    Database,
    door::{self, Purpose},
    migrations,
    page_sums::Comparison,
    pool::Reader,
    read_only::{Way, is_on_read_only_disk},
    wal_verdict::look_at_log,
};
use crate::base::{Error, Result, Verdict};

/// A read transaction: what it gives out are the bytes of `site.db` as they would be if everybody stopped now.
///
/// In WAL mode it blocks nobody; only the log cannot be cut back behind it, so it is not to be kept for hours.
/// The pages come through `SQLite`'s own table of them (<https://sqlite.org/dbpage.html>), so that what is
/// still in the log is in them.
pub struct Snapshot {
    connection: Connection,
    file: PathBuf,
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
            file: file.to_path_buf(),
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

    /// Gives the bytes of each of [`Snapshot::blocks`], in order, to `see`; then says whether they are what was written, as
    /// far as there is something to compare with.
    ///
    /// # Errors
    /// [`Error::Database`] if the disk does not give them, and what `see` says.
    pub fn each_block(
        &self,
        block_bytes: usize,
        mut see: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<Verdict> {
        let mut comparison = Comparison::begin(&self.file, Some(self.page_bytes));
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
            let content = row.get_ref(1)?.as_blob().map_err(Error::internal)?;
            if let Ok(comparison) = &mut comparison {
                comparison.see(page, content);
            }
            block.extend_from_slice(content);
            if block.len() == block_bytes || page == self.pages {
                see(&block)?;
                block.clear();
            }
        }
        if page != self.pages {
            let missing = format!("page {page} of {} of site.db is not there", self.pages);
            return Err(Error::Internal(missing));
        }
        let seen = comparison
            .and_then(|comparison| comparison.end(|page, content| self.read_again(page, content)));
        Ok(match seen {
            Ok(seen) => seen.verdict(),
            Err(e) => Verdict::NotSeen(format!(
                "whether all of the database is what was written is not known: {e}"
            )),
        })
    }

    fn read_again(&self, page: u32, content: &mut [u8]) -> io::Result<()> {
        let sql = "SELECT data FROM sqlite_dbpage WHERE pgno = ?1";
        let read: rusqlite::Result<Vec<u8>> =
            self.connection.query_row(sql, [page], |row| row.get(0));
        let read = read.map_err(io::Error::other)?;
        if read.len() != content.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        content.copy_from_slice(&read);
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
    use std::{
        fs::{self, File},
        os::unix::fs::FileExt as _,
        sync::atomic::{AtomicBool, Ordering},
        time::Duration,
    };

    use rusqlite::Connection;

    use super::Snapshot;
    use crate::{
        base::{Id, Verdict},
        db::{Change, Database},
    };

    const BLOCK: usize = 64 * 1024;

    fn tag(name: &str) -> Change {
        long_tag(name, 5000)
    }

    fn long_tag(name: &str, bytes: usize) -> Change {
        let (mut change, id) = (Change::new(), Id::new());
        let sql = "INSERT INTO tags (id, slug, name) VALUES (?1, ?2, ?3)";
        change.push(sql, vec![id.into(), name.into(), "x".repeat(bytes).into()]);
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
    fn what_is_not_what_was_written_is_seen_while_the_database_is_open_and_nothing_else_is() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("site.db");
        let database = Database::open(&file).unwrap();
        for n in 0..40 {
            database.apply_blocking(tag(&format!("tag-{n}"))).unwrap();
        }
        database.close();
        let database = Database::open(&file).unwrap();
        let look = || {
            let snapshot = Snapshot::of(&database).unwrap();
            let see = |_: &[u8]| {
                let other = format!("{:?}", Id::new());
                database.apply_blocking(tag(&other)).map(drop)
            };
            snapshot.each_block(BLOCK, see).unwrap()
        };
        assert_eq!(look(), Verdict::Sound);
        // As media decay: nobody has written to it.
        let open = File::options().read(true).write(true).open(&file).unwrap();
        let changed = open.metadata().unwrap().modified().unwrap();
        let bytes = fs::read(&file).unwrap();
        let text = bytes.windows(9).rposition(|text| text == b"xxxxxxxxx");
        let at = text.unwrap() as u64;
        open.write_all_at(b"y", at).unwrap();
        open.set_modified(changed).unwrap();
        let page = at / 512 + 1;
        let verdict = look();
        let damage = verdict.damage().unwrap();
        assert!(damage.contains(&format!("({page})")), "{page}: {damage}");
        open.write_all_at(b"x", at).unwrap();
        open.set_modified(changed).unwrap();
        assert_eq!(look(), Verdict::Sound);
    }

    #[test]
    fn what_is_written_back_while_a_snapshot_is_read_is_no_damage() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("site.db");
        let database = Database::open(&file).unwrap();
        let (done, mut seen) = (AtomicBool::new(false), 0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 0..300 {
                    let change = long_tag(&format!("tag-{n}"), 60_000);
                    database.apply_blocking(change).unwrap();
                }
                done.store(true, Ordering::Relaxed);
            });
            while !done.load(Ordering::Relaxed) {
                let snapshot = Snapshot::of(&database).unwrap();
                let slowly = |_: &[u8]| {
                    std::thread::sleep(Duration::from_millis(1));
                    Ok(())
                };
                let verdict = snapshot.each_block(BLOCK, slowly).unwrap();
                assert_eq!(verdict, Verdict::Sound, "look {seen}");
                seen += 1;
            }
        });
        assert!(seen > 2, "{seen}");
        assert!(
            fs::metadata(&file).unwrap().len() > 8_000_000,
            "it was written back"
        );
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
