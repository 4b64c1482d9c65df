//! A database on a disk that takes no writes: it is read, and opened for writing when the disk takes them again.

use std::{
    path::Path,
    sync::{
        Arc, PoisonError, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    change_log::Keeper,
    health::{Health, Trouble},
    pace::Pace,
    patience::Patience,
    pool::{self, For, Readers},
    read_only::is_on_read_only_disk,
    writer::{AtWork, Counts, Job, LOOK_EVERY, refuse},
};
use crate::base::{Error, Id, Result};

/// How often it is looked whether the disk takes writes.
const TRY_EVERY: Duration = Duration::from_secs(3);
/// How long queries are waited for, which use connections that are opened anew.
const QUERIES_END_WITHIN: Duration = Duration::from_secs(10);

type Pool = r2d2::Pool<r2d2_sqlite::SqliteConnectionManager>;

/// What waits for the disk, on the writer's thread.
pub(super) struct Waiting {
    pub(super) file: Arc<Path>,
    pub(super) readers: Readers,
    pub(super) health: Arc<Health>,
    pub(super) patience: Patience,
    pub(super) version: Arc<AtomicU64>,
    /// As the writer has it.
    pub(super) most_log_bytes: Arc<AtomicU64>,
    pub(super) counts: Arc<Counts>,
}

impl Waiting {
    /// Refuses changes until the disk takes them; applies them from then on, for as long as somebody may send one.
    pub(super) fn run(self, jobs: &Receiver<Job>) {
        let mut tried = Instant::now();
        loop {
            match jobs.recv_timeout(LOOK_EVERY) {
                Ok(job) => refuse(job, &self.counts, &Trouble::ReadOnly.text()),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if tried.elapsed() < TRY_EVERY || is_on_read_only_disk(&self.file) {
                continue;
            }
            match self.open() {
                Ok(at_work) => return at_work.run(jobs),
                Err(e) => log::warn!("the disk is not read-only any more, but: {e}"),
            }
            tried = Instant::now();
        }
    }

    /// The connections for reading, locked in a moment in which no query uses one. Queries that last are waited for
    /// without the lock, so that others are answered meanwhile.
    ///
    /// Some of the connections know nothing of locks, and the end of each would take those of the writer along. So
    /// they end before there is one.
    fn unused(&self) -> Result<RwLockWriteGuard<'_, Option<Pool>>> {
        let is_used = |readers: &Option<Pool>| {
            let state = readers.as_ref().map(r2d2::Pool::state);
            state.is_some_and(|state| state.connections > state.idle_connections)
        };
        let until = Instant::now() + QUERIES_END_WITHIN;
        loop {
            let seen = is_used(&self.readers.read().unwrap_or_else(PoisonError::into_inner));
            if !seen {
                let readers = self.readers.write().unwrap_or_else(PoisonError::into_inner);
                if !is_used(&readers) {
                    return Ok(readers);
                }
            }
            if Instant::now() > until {
                return Err(Error::Busy("queries do not end"));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn open(&self) -> Result<AtWork> {
        let mut readers = self.unused()?;
        *readers = None;
        let opened = pool::open_writer(
            &self.file,
            &self.health,
            &self.patience,
            For::Server(Pace::unwatched()),
        );
        // As it was, if it is not to be.
        let again = match &opened {
            Ok(_) => pool::open_readers(&self.file),
            Err(_) => pool::open_readers_of_read_only(&self.file),
        };
        *readers = Some(again?);
        drop(readers);
        let (connection, log) = opened?;
        Id::rise_above(pool::last_change(&connection)?);
        self.health.note_success();
        self.version.fetch_add(1, Ordering::AcqRel);
        Ok(AtWork {
            connection,
            log,
            kept: Keeper::new(Arc::clone(&self.most_log_bytes)),
            health: Arc::clone(&self.health),
            version: Arc::clone(&self.version),
            counts: Arc::clone(&self.counts),
        })
    }
}
