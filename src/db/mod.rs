//! The database: open, read pool, the one writer, migrations, media files.
//!
//! Reading: [`Database::read`] runs a closure on one of a few read-only connections, off the async
//! threads. Writing: [`Database::apply`] hands a [`Change`] to the one writer and returns when it is
//! on the disk. Nothing else in the program names a connection that can write.

mod batch;
mod before;
mod change;
mod change_log;
mod check;
mod door;
mod folder;
mod header;
mod health;
mod left;
mod log_keeper;
mod media_store;
mod migrations;
mod others;
mod pace;
mod page_sums;
mod patience;
mod pool;
mod read_only;
mod rehearsal;
mod replacement;
mod salvage;
mod sector;
mod snapshot;
mod waiting;
mod wal;
mod wal_index;
mod wal_verdict;
mod writer;

use std::{
    path::Path,
    sync::{
        Arc, PoisonError, RwLock, TryLockError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rusqlite::Connection;
use tokio::sync::oneshot;

pub use before::{Before, Since, before_upgrade, put_back, show_before_upgrade};
pub use change::{Change, MAX_CHANGE_BYTES, Statement, Value};
pub use change_log::{KeptChanges, LogEntry, LogKind, LogPlace, end_of_log, note_restored, replay};
pub use check::{
    Depth, Found, KnownFile, check, integrity_problems, look_at_pages, quick_problems,
};
pub use door::open_to_look;
pub use folder::{DataFolder, RunningServer, ServerLock};
pub use health::{Health, Trouble};
pub use left::sweep_left;
pub use media_store::{MediaStore, hash_of};
pub use migrations::schema_version;
pub use pace::Pace;
pub use page_sums::note_page_sums;
pub use patience::Waits;
pub use rehearsal::{Rehearsal, rehearsal_folder, rehearse};
pub use replacement::{is_replacing, replace};
pub use salvage::{Salvaged, is_sound, salvage};
pub use snapshot::{Snapshot, rows_of_tables};
pub use writer::WriterStats;

use crate::base::{Error, Id, Result};

/// A site's database, open. Cheap to clone; the last clone that is dropped closes it cleanly.
#[derive(Clone)]
pub struct Database {
    readers: pool::Readers,
    writer: Arc<writer::Writer>,
    version: Arc<AtomicU64>,
    others: Arc<others::Others>,
    file: Arc<Path>,
    health: Arc<Health>,
    patience: patience::Patience,
    most_log_bytes: Arc<AtomicU64>,
    takes_packed: bool,
}

impl Database {
    /// Opens `file`, makes it if it is not there, and brings its schema up to date.
    ///
    /// # Errors
    /// [`Error::Invalid`] if a newer Webstead made it or it is not a Webstead database,
    /// [`Error::CannotSave`] if the disk or its permissions do not let us write.
    pub fn open(file: &Path) -> Result<Self> {
        Self::open_for(file, pool::For::Command)
    }

    fn open_for(file: &Path, whom: pool::For<'_>) -> Result<Self> {
        let health = Arc::new(Health::of(file));
        let patience = patience::Patience::default();
        let (connection, log) = pool::open_writer(file, &health, &patience, whom)?;
        Id::rise_above(pool::last_change(&connection)?);
        let takes_packed = migrations::takes_packed(&connection)?;
        let version = Arc::new(AtomicU64::new(1));
        let readers = Arc::new(RwLock::new(Some(pool::open_readers(file)?)));
        let most_log_bytes = Arc::new(AtomicU64::new(u64::MAX));
        let writer = writer::Writer::start(
            connection,
            log,
            change_log::Keeper::new(Arc::clone(&most_log_bytes)),
            Arc::clone(&health),
            Arc::clone(&version),
        )?;
        let shared = (health, version, most_log_bytes);
        Ok(Self {
            patience,
            takes_packed,
            ..Self::of(file, shared, readers, writer)
        })
    }

    /// [`Database::open`] for a server: on a disk that is mounted read-only, what is there is read, every change is
    /// refused, and the database is opened for writing when the disk takes that again. `pace` is for what changes the
    /// form of the database.
    ///
    /// # Errors
    /// As [`Database::open`], but for a disk that is mounted read-only.
    pub fn open_to_serve(file: &Path, pace: Pace<'_>) -> Result<Self> {
        if !read_only::is_on_read_only_disk(file) {
            return Self::open_for(file, pool::For::Server(pace));
        }
        let health = Arc::new(Health::of(file));
        let readers = Arc::new(RwLock::new(Some(pool::open_readers_of_read_only(file)?)));
        health.note_failure(Trouble::ReadOnly);
        log::error!("{}", Trouble::ReadOnly.text());
        let version = Arc::new(AtomicU64::new(1));
        let (file, of_thread): (Arc<Path>, _) = (file.into(), Arc::clone(&readers));
        let (of_file, of_health) = (Arc::clone(&file), Arc::clone(&health));
        let of_version = Arc::clone(&version);
        let most_log_bytes = Arc::new(AtomicU64::new(u64::MAX));
        let of_log = Arc::clone(&most_log_bytes);
        let patience = patience::Patience::default();
        let of_writer = patience.clone();
        let writer = writer::Writer::on_a_thread(move |counts, jobs| {
            let waiting = waiting::Waiting {
                file: of_file,
                readers: of_thread,
                health: of_health,
                patience: of_writer,
                version: of_version,
                most_log_bytes: of_log,
                counts,
            };
            waiting.run(&jobs);
        })?;
        let shared = (health, version, most_log_bytes);
        let database = Self {
            patience,
            ..Self::of(&file, shared, readers, writer)
        };
        database.read_blocking(|connection| {
            Id::rise_above(pool::last_change(connection)?);
            Ok(())
        })?;
        Ok(database)
    }

    /// [`Database::open`] for who only reads. Where nothing may be written, nothing is.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub fn open_to_read(file: &Path) -> Result<Self> {
        if read_only::may_write(file) {
            return Self::open(file);
        }
        let health = Arc::new(Health::of(file));
        let readers = Arc::new(RwLock::new(Some(pool::open_readers_of_read_only(file)?)));
        let writer = writer::Writer::of_nobody();
        let shared = (health, Arc::default(), Arc::default());
        Ok(Self::of(file, shared, readers, writer))
    }

    fn of(
        file: &Path,
        (health, version, most_log_bytes): (Arc<Health>, Arc<AtomicU64>, Arc<AtomicU64>),
        readers: pool::Readers,
        writer: writer::Writer,
    ) -> Self {
        Self {
            readers,
            writer: Arc::new(writer),
            version,
            others: Arc::default(),
            file: file.into(),
            health,
            patience: patience::Patience::default(),
            most_log_bytes,
            takes_packed: false,
        }
    }

    /// [`Database::open`], but not where that would migrate the database: `None` then.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub fn open_unmigrated(file: &Path) -> Result<Option<Self>> {
        if migrations::would_change(&open_to_look(file)?)? {
            return Ok(None);
        }
        Self::open(file).map(Some)
    }

    /// The version of the site: it rises with every committed change, also one by another process.
    ///
    /// What was read after asking for a version is at least as new as that version.
    pub fn version(&self) -> u64 {
        self.others.look(|| {
            self.version.fetch_add(1, Ordering::AcqRel);
        });
        self.version.load(Ordering::Acquire)
    }

    /// From now on, what another process has committed counts for the next [`Database::version`] and not within half
    /// a second: another server answers for the same site. It costs some microseconds each time.
    ///
    /// # Errors
    /// [`Error::Database`] if the file cannot be opened once more.
    pub fn watch_others(&self) -> Result<()> {
        self.others.begin(&self.file)
    }

    /// As long as the answer is there, changes wait for another process however long it writes: it is the other one of
    /// an upgrade, which has its own limits.
    pub fn wait_for_others(&self) -> Waits {
        self.patience.without_end()
    }

    /// No other server is there any more.
    pub fn watch_others_no_more(&self) {
        self.version.fetch_add(1, Ordering::AcqRel);
        self.others.end();
    }

    /// Runs `query` on a read-only connection, off the async threads.
    ///
    /// # Errors
    /// [`Error::Busy`] if no connection becomes free in five seconds, else what `query` gives.
    pub async fn read<T, F>(&self, query: F) -> Result<T>
    where
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let (answer, result) = oneshot::channel();
        let work = move |database: &Self| {
            // Who asked may be gone.
            let _ = answer.send(database.read_blocking(query));
        };
        self.off_the_async_threads(Box::new(work)).await?;
        result.await.map_err(Error::internal)?
    }

    /// Runs work where it may wait. Of one type for all queries, because each type of task is kilobytes of
    /// program.
    async fn off_the_async_threads(&self, work: Box<dyn FnOnce(&Self) + Send>) -> Result<()> {
        let database = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&database));
        done.await.map_err(Error::internal)
    }

    /// [`Database::read`] for the command line and for threads of our own.
    pub fn read_blocking<T>(&self, query: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let reader = self.reader()?;
        query(&reader)
    }

    /// A connection for reading. For as long as somebody has one, a database on a disk that was mounted read-only is not
    /// opened for writing.
    fn reader(&self) -> Result<pool::Reader> {
        let busy = || Error::Busy("no database connection was free");
        // Held until there is a connection: none is opened while they are exchanged.
        let readers = self.readers.read().unwrap_or_else(PoisonError::into_inner);
        let pool = readers.as_ref().ok_or_else(busy)?;
        pool.get().map_err(|_| busy())
    }

    /// Applies a change as a whole or not at all; returns when it is on the disk.
    ///
    /// A change that was applied before (the same id) is not applied again, and is a success.
    ///
    /// # Errors
    /// [`Error::Conflict`] if a guard or a unique constraint said no, [`Error::CannotSave`] if the disk
    /// did, [`Error::Busy`] if too many changes wait, [`Error::TooLarge`] over [`MAX_CHANGE_BYTES`].
    pub async fn apply(&self, change: Change) -> Result<()> {
        let answer = self.writer.send(change)?;
        answer
            .await
            .map_err(|_| Error::Busy("the database is closing"))?
    }

    /// [`Database::apply`] for the command line and for threads of our own.
    pub fn apply_blocking(&self, change: Change) -> Result<()> {
        let answer = self.writer.send(change)?;
        answer
            .blocking_recv()
            .map_err(|_| Error::Busy("the database is closing"))?
    }

    /// The most bytes that the log of changes may have; it is cut when the next change comes. No limit is set where a
    /// database is opened for a moment only.
    pub fn limit_log(&self, most_bytes: u64) {
        self.most_log_bytes.store(most_bytes, Ordering::Relaxed);
    }

    /// From now on changes are kept, so that the site can be brought back from a backup that is made afterwards to any
    /// moment after it. Writes nothing if they are kept already.
    ///
    /// # Errors
    /// As [`Database::apply`]; so have the next two.
    pub fn begin_log(&self) -> Result<()> {
        match self.read_blocking(end_of_log)? {
            None => self.apply_blocking(change_log::insert_begin()),
            Some(_) => Ok(()),
        }
    }

    /// Forgets the changes that were kept before a row of the log.
    pub fn sweep_log(&self, before: i64) -> Result<()> {
        match self.read_blocking(change_log::start_of_log)? {
            Some(first) if first < before => self.apply_blocking(change_log::sweep_before(before)),
            _ => Ok(()),
        }
    }

    /// Forgets all changes that were kept; from now on none is.
    pub fn end_log(&self) -> Result<()> {
        match self.read_blocking(end_of_log)? {
            Some(_) => self.apply_blocking(change_log::sweep_all()),
            None => Ok(()),
        }
    }

    /// Closes the database: waits for its other users to let go of it, then writes the log back.
    ///
    /// If one does not let go in two seconds, nothing is lost: the log stays, complete, and is read at
    /// the next start.
    pub fn close(self) {
        for _ in 0..200 {
            if Arc::strong_count(&self.writer) == 1 {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The connections for reading, and how many of them nobody uses.
    pub fn readers(&self) -> (u32, u32) {
        // While they are exchanged there are none, and nobody waits to hear so.
        let readers = match self.readers.try_read() {
            Ok(readers) => readers,
            Err(TryLockError::Poisoned(e)) => e.into_inner(),
            Err(TryLockError::WouldBlock) => return (0, 0),
        };
        let state = readers.as_ref().map(r2d2::Pool::state);
        state.map_or((0, 0), |state| (state.connections, state.idle_connections))
    }

    /// Whether texts may be stored packed (`text::packed`): no program that does not know that can open this database.
    pub fn takes_packed(&self) -> bool {
        self.takes_packed
    }

    /// How the disk under it fares.
    pub fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// How the writer has fared since the start.
    pub fn writer_stats(&self) -> WriterStats {
        self.writer.stats()
    }
}

/// The change that forgets applied changes older than `before_unix_ms`, but not the last one: ids go on
/// rising from it.
pub fn sweep_applied_changes(before_unix_ms: i64) -> Change {
    let mut change = Change::upkeep();
    let oldest_kept = Id::first_at(before_unix_ms);
    change.push(
        "DELETE FROM applied_changes WHERE id < ?1 \
         AND id < (SELECT max(id) FROM applied_changes)",
        vec![oldest_kept.into()],
    );
    change
}
