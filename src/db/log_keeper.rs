//! Writes the log back into the database, and makes sure of it after the disk has failed.

use std::{fs::File, io, path::PathBuf, sync::Arc};

use rusqlite::Connection;

use super::{
    health::Health,
    page_sums::{PageSums, versions_in},
    patience::Patience,
    wal::{frame_bytes, log_of, read_log, write_again},
};
use crate::base::{Error, Result, Verdict, written};

/// Bytes of pages in the log before it is written back. A page that changes with every save is written to the
/// database once for all of them, so more wear the card less; but each start reads them all.
const LOG_BYTES: u64 = 8_192_000;

/// What a log has: frames that were committed, and those of them that are in the database too.
#[derive(Clone, Copy, Default)]
pub(super) struct Frames {
    committed: u64,
    written_back: u64,
}

impl Frames {
    /// How many were written since; a log that was written back begins anew.
    pub(super) fn since(self, before: Self) -> u64 {
        let new = self.committed.checked_sub(before.committed);
        new.unwrap_or(self.committed)
    }
}

/// What the log of a connection's database has.
pub(super) fn frames_of(connection: &Connection) -> rusqlite::Result<Frames> {
    pragma(connection, "PRAGMA wal_checkpoint(NOOP)").map(|(_, frames)| frames)
}

fn pragma(connection: &Connection, sql: &str) -> rusqlite::Result<(bool, Frames)> {
    connection.query_row(sql, [], |row| {
        // -1 where there is no log.
        let count = |n: usize| -> rusqlite::Result<u64> {
            Ok(u64::try_from(row.get::<_, i64>(n)?).unwrap_or(0))
        };
        let frames = Frames {
            committed: count(1)?,
            written_back: count(2)?,
        };
        Ok((row.get::<_, i64>(0)? != 0, frames))
    })
}

/// Keeps the log. It belongs to the writer's thread.
pub(super) struct LogKeeper {
    /// Writes back while the writer's own connection holds the lock.
    connection: Connection,
    database: PathBuf,
    sums: PageSums,
    health: Arc<Health>,
    counted: Frames,
    patience: Patience,
    is_unsettled: bool,
    /// Whether this process has seen the disk fail, since it last made sure.
    has_failed: bool,
}

impl LogKeeper {
    pub(super) fn new(
        connection: Connection,
        database: PathBuf,
        sums: PageSums,
        health: Arc<Health>,
        patience: Patience,
    ) -> Self {
        let mut keeper = Self {
            connection,
            database,
            sums,
            health,
            counted: Frames::default(),
            patience,
            is_unsettled: false,
            has_failed: false,
        };
        // What the start has written, such as a migration, is counted there.
        keeper.counted = keeper.frames().unwrap_or_default();
        // The process before may have ended after a sync that failed, and said so to nobody.
        keeper.is_unsettled = keeper.counted.committed > 0;
        keeper
    }

    /// How long it waits for another process that writes.
    pub(super) fn patience(&self) -> &Patience {
        &self.patience
    }

    fn page_bytes(&self) -> u64 {
        self.sums.page_bytes() as u64
    }

    fn frames(&self) -> rusqlite::Result<Frames> {
        frames_of(&self.connection)
    }

    /// After a commit: counts what it wrote, and writes the log back when there is enough of it.
    pub(super) fn after_commit(&mut self, writer: &Connection) {
        let Ok(frames) = self.frames() else {
            return;
        };
        written::count(
            "site.db-wal",
            frames.since(self.counted) * frame_bytes(self.sums.page_bytes()),
        );
        self.counted = frames;
        if frames.committed - frames.written_back.min(frames.committed)
            >= LOG_BYTES / self.page_bytes()
        {
            self.write_back(writer);
        }
    }

    /// Writes the log back; says whether all of it is in the database now. If not, it stays, and that is tried
    /// again after the next commit, or at the next start.
    pub(super) fn write_back(&mut self, writer: &Connection) -> bool {
        if let Err(e) = self.try_to_write_back(writer) {
            log::warn!("site.db-wal could not be written back; nothing is lost, it stays: {e}");
        }
        let frames = self.frames();
        frames.is_ok_and(|frames| frames.committed == frames.written_back)
    }

    fn try_to_write_back(&mut self, writer: &Connection) -> Result<()> {
        with_lock(writer, &self.patience.clone(), || {
            let frames = self.frames()?;
            if frames.committed == frames.written_back {
                return Ok(());
            }
            let path = log_of(&self.database);
            let (pages, log) = versions_in(&path, self.sums.page_bytes(), frames.committed)
                .map_err(|e| Error::io("reading", path, e))?;
            self.insist(log.verdict_of(frames.committed))?;
            let overwritten = self.sums.overwritten(&pages);
            let overwritten = overwritten.map_err(|e| Error::io("reading", "site.db-sums2", e))?;
            self.insist(overwritten.verdict())?;
            self.sums.around(&pages, || {
                let (_, frames) = pragma(&self.connection, "PRAGMA wal_checkpoint(PASSIVE)")?;
                Ok::<_, WriteBack>(frames.committed == frames.written_back)
            })?;
            written::count("site.db", pages.len() as u64 * self.page_bytes());
            Ok(())
        })
    }

    /// Goes on only with what is sound; damage is noted.
    fn insist(&self, verdict: Verdict) -> Result<()> {
        if let Some(lost) = verdict.damage() {
            self.health.note_damage(lost);
        }
        verdict.insist()
    }

    /// Ends; what this gives is to be dropped after `SQLite` has closed the database.
    pub(super) fn close(self) -> Option<File> {
        self.sums.into_kept_open()
    }

    /// Whether the disk failed, and nobody has made sure since.
    pub(super) fn is_unsettled(&self) -> bool {
        self.is_unsettled
    }

    /// After an error of the disk: before anything is saved again, the log must be made sure of.
    pub(super) fn unsettle(&mut self) {
        self.is_unsettled = true;
        self.has_failed = true;
    }

    /// Makes sure that all that was acknowledged is on the disk, after it has failed.
    ///
    /// Going on as if nothing had happened would be wrong: what the kernel could not write, it forgets, and
    /// pages of memory are shared by the end of one change and the beginning of the next. Ending the program
    /// would not help either: the next one would read the same memory. So what was acknowledged is read,
    /// compared with its checksums, written again, and synced. Until that succeeds, nothing is saved.
    pub(super) fn settle(&mut self, writer: &Connection) -> Result<()> {
        with_lock(writer, &self.patience.clone(), || {
            let frames = self.frames()?;
            let path = log_of(&self.database);
            let page_bytes = self.sums.page_bytes();
            let log =
                read_log(&path, page_bytes, |_| {}).map_err(|e| Error::io("reading", &path, e))?;
            self.insist(log.verdict_of(frames.committed))?;
            write_again(&path, frames.committed, page_bytes)
                .map_err(|e| Error::io("writing", &path, e))
        })?;
        self.is_unsettled = false;
        if std::mem::take(&mut self.has_failed) {
            log::warn!("the disk had failed; all that was saved before is on it");
        }
        Ok(())
    }
}

/// Keeps everybody else from adding to the log while `work` is done.
fn with_lock(
    writer: &Connection,
    patience: &Patience,
    work: impl FnOnce() -> Result<()>,
) -> Result<()> {
    patience.begin(writer)?;
    let outcome = work();
    writer.execute_batch("ROLLBACK")?;
    outcome
}

/// What can go wrong between the sums and the database.
enum WriteBack {
    Sums(io::Error),
    Database(rusqlite::Error),
}

impl From<io::Error> for WriteBack {
    fn from(e: io::Error) -> Self {
        Self::Sums(e)
    }
}

impl From<rusqlite::Error> for WriteBack {
    fn from(e: rusqlite::Error) -> Self {
        Self::Database(e)
    }
}

impl From<WriteBack> for Error {
    fn from(e: WriteBack) -> Self {
        match e {
            WriteBack::Sums(e) => Self::io("writing", "site.db-sums2", e),
            WriteBack::Database(e) => Self::Database(e),
        }
    }
}
