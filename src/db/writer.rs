//! The one writer: a thread that applies changes, together where they arrive together.
//!
//! Group commit: what waits, and what comes in a moment, is applied in one transaction, and one fsync makes all of it
//! durable. A change that fails undoes itself alone. Nobody is answered before the commit is on the disk.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode, config::DbConfig, params_from_iter};
use tokio::sync::oneshot;

use super::{
    batch::Gathering,
    change::{Change, Statement},
    change_log::Keeper,
    health::{Health, Trouble},
    log_keeper::LogKeeper,
    patience::Patience,
};
use crate::base::{Error, Result, verdict::is_damage};

/// Changes that may wait; beyond that we say that we are busy, before memory grows.
const MAX_WAITING: usize = 1024;
/// Bytes of changes that may wait.
const MAX_WAITING_BYTES: usize = 16 * 1024 * 1024;
/// How often an idle writer looks whether another process (an import) has written.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often a batch is tried before it is believed that the database is damaged, and how long between two tries.
const DAMAGE_TRIES: usize = 5;
const DAMAGE_PAUSE: Duration = Duration::from_millis(50);
/// How often an idle writer looks whether a disk that has failed works again.
const SETTLE_EVERY: Duration = Duration::from_secs(5);

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default)]
pub struct WriterStats {
    /// Changes that were applied.
    pub changes: u64,
    /// Transactions (and so fsyncs) that they took.
    pub commits: u64,
}

pub(super) struct Job {
    change: Change,
    answer: oneshot::Sender<Result<()>>,
}

/// A handle to the writer thread. Dropping it waits until all that was accepted is on the disk.
pub(super) struct Writer {
    sender: Option<SyncSender<Job>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    counts: Arc<Counts>,
}

#[derive(Default)]
pub(super) struct Counts {
    changes: AtomicU64,
    commits: AtomicU64,
    /// Bytes of changes that wait or are being applied.
    waiting_bytes: AtomicUsize,
}

impl Writer {
    /// Starts the thread on the one connection that can write.
    pub(super) fn start(
        connection: Connection,
        log: LogKeeper,
        kept: Keeper,
        health: Arc<Health>,
        version: Arc<AtomicU64>,
    ) -> Result<Self> {
        Self::on_a_thread(|counts, jobs| {
            let at_work = AtWork {
                connection,
                log,
                kept,
                health,
                version,
                counts,
            };
            at_work.run(&jobs);
        })
    }

    /// One that applies nothing, for who only reads.
    pub(super) fn of_nobody() -> Self {
        Self {
            sender: None,
            thread: Mutex::default(),
            counts: Arc::default(),
        }
    }

    /// Starts the thread with what it does.
    pub(super) fn on_a_thread(
        work: impl FnOnce(Arc<Counts>, Receiver<Job>) + Send + 'static,
    ) -> Result<Self> {
        let (sender, receiver) = sync_channel(MAX_WAITING);
        let counts = Arc::new(Counts::default());
        let thread_counts = Arc::clone(&counts);
        let thread = std::thread::Builder::new()
            .name("writer".into())
            .spawn(move || work(thread_counts, receiver))
            .map_err(Error::internal)?;
        Ok(Self {
            sender: Some(sender),
            thread: Mutex::new(Some(thread)),
            counts,
        })
    }

    /// Queues a change; the receiver gets its outcome.
    pub(super) fn send(&self, change: Change) -> Result<oneshot::Receiver<Result<()>>> {
        change.check_size()?;
        let (answer, receiver) = oneshot::channel();
        let sender = self
            .sender
            .as_ref()
            .ok_or(Error::Busy("the database is closing"))?;
        let (size, waiting) = (change.size_bytes(), &self.counts.waiting_bytes);
        if waiting.fetch_add(size, Ordering::AcqRel) + size > MAX_WAITING_BYTES {
            waiting.fetch_sub(size, Ordering::AcqRel);
            return Err(Error::Busy("too many large changes are waiting"));
        }
        sender.try_send(Job { change, answer }).map_err(|e| {
            waiting.fetch_sub(size, Ordering::AcqRel);
            match e {
                TrySendError::Full(_) => Error::Busy("too many changes are waiting"),
                TrySendError::Disconnected(_) => Error::Internal("the writer has stopped".into()),
            }
        })?;
        Ok(receiver)
    }

    pub(super) fn stats(&self) -> WriterStats {
        WriterStats {
            changes: self.counts.changes.load(Ordering::Relaxed),
            commits: self.counts.commits.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.sender = None;
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            log::error!("the writer ended with a panic");
        }
    }
}

/// Tells who sent a change that it was not applied.
pub(super) fn refuse(job: Job, counts: &Counts, why: &str) {
    let size = job.change.size_bytes();
    counts.waiting_bytes.fetch_sub(size, Ordering::AcqRel);
    // Who has gone away does not need the answer.
    let told = Error::CannotSave(format!("This was not saved. {why}"));
    let _ = job.answer.send(Err(told));
}

/// The writer at work, on its thread.
pub(super) struct AtWork {
    pub(super) connection: Connection,
    pub(super) log: LogKeeper,
    pub(super) kept: Keeper,
    pub(super) health: Arc<Health>,
    pub(super) version: Arc<AtomicU64>,
    pub(super) counts: Arc<Counts>,
}

impl AtWork {
    /// Applies changes until nobody may send one any more.
    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        let mut seen = data_version(&self.connection);
        let mut tried = Instant::now();
        let mut gathering = Gathering::new();
        loop {
            let first = if gathering.has_waiting() {
                None
            } else {
                match jobs.recv_timeout(LOOK_EVERY) {
                    Ok(job) => Some(job),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            };
            let now = data_version(&self.connection);
            if now != seen {
                seen = now;
                self.version.fetch_add(1, Ordering::AcqRel);
            }
            if first.is_some() || gathering.has_waiting() {
                let batch = gathering.batch(first, jobs);
                self.commit_together(batch, |committed| gathering.look(committed, jobs));
                continue;
            }
            self.health.notice();
            if self.log.is_unsettled() && tried.elapsed() > SETTLE_EVERY {
                tried = Instant::now();
                if self.log.settle(&self.connection).is_ok() {
                    self.health.note_success();
                }
            }
        }
        if !self.log.write_back(&self.connection) {
            // SQLite would do it without noting the sums of the pages.
            let leave = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
            let _ = self.connection.set_db_config(leave, true);
        }
        let _kept_open = self.log.close();
        // Closing the last connection removes the log; a failure leaves it, complete.
        if let Err((_, e)) = self.connection.close() {
            log::warn!("closing the database: {e}");
        }
    }

    /// Commits a batch. `look` is called before anybody is answered.
    fn commit_together(&mut self, batch: Vec<Job>, look: impl FnOnce(usize)) {
        let (outcomes, changed) = match self.try_together(&batch) {
            Ok(outcomes) => {
                let changed = outcomes.iter().filter(|o| o.is_ok()).count() as u64;
                (outcomes, changed)
            }
            // Everybody in the batch hears what to do.
            Err(told) => {
                let refused = || Err(Error::CannotSave(told.clone()));
                (batch.iter().map(|_| refused()).collect(), 0)
            }
        };
        if changed > 0 {
            self.version.fetch_add(1, Ordering::AcqRel);
            self.counts.changes.fetch_add(changed, Ordering::Relaxed);
            self.counts.commits.fetch_add(1, Ordering::Relaxed);
        }
        look(batch.len());
        let size: usize = batch.iter().map(|job| job.change.size_bytes()).sum();
        self.counts.waiting_bytes.fetch_sub(size, Ordering::AcqRel);
        for (job, outcome) in batch.into_iter().zip(outcomes) {
            // Who has gone away does not need the answer.
            let _ = job.answer.send(outcome);
        }
        if changed > 0 {
            // Nobody waits for what comes now.
            self.health.note_success();
            self.log.after_commit(&self.connection);
        }
    }

    /// The outcome of each change, or what everybody is told if the disk took none of them.
    fn try_together(&mut self, batch: &[Job]) -> Result<Vec<Result<()>>, String> {
        if let Some(refusal) = self.health.refusal() {
            return Err(refusal.to_string());
        }
        if self.log.is_unsettled()
            && let Err(e) = self.log.settle(&self.connection)
        {
            log::error!("saving {} changes: the disk still fails: {e}", batch.len());
            return Err("the disk failed, so this was not saved; try again in a moment".into());
        }
        self.apply_surely(batch).map_err(|e| {
            log::error!("saving {} changes failed: {e}", batch.len());
            if e.sqlite_error_code() == Some(ErrorCode::SystemIoFailure) {
                self.log.unsettle();
            }
            if let Some(trouble) = trouble_of(&e) {
                self.health.note_failure(trouble);
            }
            let told = self.health.refusal().unwrap_or_else(|| explain(e, None));
            told.to_string()
        })
    }

    /// Applies a batch. Damage is believed only when it is there again: `SQLite` says the same of a disk that has not
    /// given a page for a moment (`SQLITE_IOERR_CORRUPTFS` becomes `SQLITE_CORRUPT` in its vdbe.c).
    fn apply_surely(&mut self, batch: &[Job]) -> rusqlite::Result<Vec<Result<()>>> {
        let mut tries = 0;
        loop {
            let outcome = apply_batch(
                &mut self.connection,
                self.log.patience(),
                &mut self.kept,
                batch,
            );
            if outcome.is_err() {
                self.kept.is_undone();
            }
            if outcome.is_err()
                && !self.connection.is_autocommit()
                && let Err(undo) = self.connection.execute_batch("ROLLBACK")
            {
                log::error!("undoing a failed commit: {undo}");
            }
            tries += 1;
            match outcome {
                Err(e) if is_damage(&e) && tries < DAMAGE_TRIES => {
                    log::warn!("saving {} changes: {e}; it is tried again", batch.len());
                    std::thread::sleep(DAMAGE_PAUSE);
                }
                outcome => return outcome,
            }
        }
    }
}

/// What an error of a whole transaction says of the disk.
fn trouble_of(error: &rusqlite::Error) -> Option<Trouble> {
    if is_damage(error) {
        return Some(Trouble::Damaged(error.to_string()));
    }
    Some(match error.sqlite_error_code()? {
        ErrorCode::SystemIoFailure | ErrorCode::CannotOpen => Trouble::Failing(error.to_string()),
        ErrorCode::ReadOnly => Trouble::ReadOnly,
        ErrorCode::DiskFull => Trouble::Full,
        _ => return None,
    })
}

/// A number that changes when another process has written to the file.
pub(super) fn data_version(connection: &Connection) -> i64 {
    connection
        .pragma_query_value(None, "data_version", |row| row.get(0))
        .unwrap_or(0)
}

/// Applies all of `batch` in one transaction. An error is one of the whole transaction.
///
/// Almost always every change succeeds, so the first try does without savepoints, which cost as much as
/// the changes themselves. If one fails, everything is undone and done again, each change on its own.
fn apply_batch(
    connection: &mut Connection,
    patience: &Patience,
    kept: &mut Keeper,
    batch: &[Job],
) -> rusqlite::Result<Vec<Result<()>>> {
    patience.begin(connection)?;
    if batch
        .iter()
        .all(|job| apply_one(connection, kept, &job.change).is_ok())
    {
        connection.execute_batch("COMMIT")?;
        return Ok(batch.iter().map(|_| Ok(())).collect());
    }
    // Disk full and the like end the transaction by themselves.
    if !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK")?;
    }
    kept.is_undone();
    patience.begin(connection)?;
    let mut outcomes = Vec::with_capacity(batch.len());
    for job in batch {
        connection.execute_batch("SAVEPOINT change")?;
        match apply_one(connection, kept, &job.change) {
            Ok(()) => {
                connection.execute_batch("RELEASE change")?;
                outcomes.push(Ok(()));
            }
            Err(Failed { error, guard }) => {
                if connection.is_autocommit() || !is_of_one_change(&error) {
                    return Err(error);
                }
                connection.execute_batch("ROLLBACK TO change; RELEASE change")?;
                kept.is_undone();
                outcomes.push(Err(explain(error, guard)));
            }
        }
    }
    connection.execute_batch("COMMIT")?;
    Ok(outcomes)
}

struct Failed {
    error: rusqlite::Error,
    guard: Option<&'static str>,
}

fn apply_one(connection: &Connection, kept: &mut Keeper, change: &Change) -> Result<(), Failed> {
    let plain = |error| Failed { error, guard: None };
    if !change.is_upkeep() {
        if is_applied(connection, change).map_err(plain)? {
            return Ok(());
        }
        // First, so that the trigger of `applied_changes` sees that this one is kept.
        kept.insert(connection, change).map_err(plain)?;
        let sql = "INSERT INTO applied_changes (id) VALUES (?1)";
        connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute([change.id().0]))
            .map_err(plain)?;
    }
    // What begins the log is not in it.
    let is_kept = change.is_upkeep() && kept.is_begun(connection).map_err(plain)?;
    let mut rows = 0;
    for Statement { sql, values, guard } in change.statements() {
        let changed = connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(params_from_iter(values)))
            .map_err(|error| Failed {
                error,
                guard: *guard,
            })?;
        if guard.is_some() && changed != 1 {
            // Without its one row the guard would never say no.
            return Err(plain(rusqlite::Error::StatementChangedRows(changed)));
        }
        rows += changed;
    }
    if is_kept && rows > 0 {
        kept.insert(connection, change).map_err(plain)?;
    }
    Ok(())
}

/// Whether a change was delivered before.
fn is_applied(connection: &Connection, change: &Change) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM applied_changes WHERE id = ?1")?
        .exists([change.id().0])
}

/// Whether an error is the fault of one change, so that the others of its batch can go on.
fn is_of_one_change(error: &rusqlite::Error) -> bool {
    match error.sqlite_error_code() {
        Some(code) => matches!(
            code,
            ErrorCode::ConstraintViolation
                | ErrorCode::TypeMismatch
                | ErrorCode::TooBig
                | ErrorCode::ParameterOutOfRange
                | ErrorCode::Unknown
        ),
        None => true,
    }
}

/// Turns `SQLite`'s error into one that says what to do.
fn explain(error: rusqlite::Error, guard: Option<&'static str>) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation) => {
            let message = error.to_string();
            let columns = message.rsplit(": ").next().unwrap_or(&message).to_owned();
            Error::Conflict(guard.map_or(columns, str::to_owned))
        }
        Some(ErrorCode::DiskFull) => Error::CannotSave(
            "the disk is full, so this was not saved; make room on it and save again".into(),
        ),
        Some(ErrorCode::ReadOnly) => Error::CannotSave(
            "the data folder cannot be written to, so this was not saved; check its permissions \
             and whether the disk is mounted read-only"
                .into(),
        ),
        Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::DatabaseCorrupt) => {
            Error::CannotSave(format!("the disk failed, so this was not saved ({error})"))
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            Error::CannotSave(
                "another program has been writing to this site for half a minute (an import?), so this was not saved; \
                 try again in a moment"
                    .into(),
            )
        }
        _ => Error::Database(error),
    }
}
