//! Long work on a database, such as a migration: who waits for it hears that it gets on, and it is broken off when its
//! time is over.

use std::{
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    thread,
    time::{Duration, Instant},
};

use rusqlite::{ErrorCode, InterruptHandle};
use rustix::time::{ClockId, clock_gettime};

use crate::base::{Error, Result};

/// How often it is looked, and how often a statement is interrupted until none is left.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often it is looked where there is no limit: to look is work too.
const LOOK_SELDOM: Duration = Duration::from_secs(1);
/// What must have been worked to get on: far more than a process does in all the time of [`STANDS_STILL`] that only waits.
const GETS_ON: Duration = Duration::from_millis(100);
/// Without a limit: for how long nothing may get on. The last thing that a migration does is to wait for the disk, which
/// a slow card keeps waiting for minutes.
const STANDS_STILL: Duration = Duration::from_mins(10);

/// How long work may take, and who hears that it gets on.
#[derive(Clone, Copy)]
pub struct Pace<'a> {
    /// After how long it is broken off; `None`: never, but after some time in which nothing gets on nobody hears of it
    /// any more.
    pub limit: Option<Duration>,
    /// How often somebody hears of it; at first at once.
    pub every: Duration,
    /// Who hears how long it has lasted.
    pub tell: &'a (dyn Fn(Duration) + Sync),
}

impl Pace<'_> {
    /// As long as it takes, and nobody waits for a word.
    pub fn unwatched() -> Self {
        Self {
            limit: None,
            every: Duration::from_hours(1),
            tell: &|_| {},
        }
    }

    /// Does work on the connection that the handle is of.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it was broken off, else what the work gives.
    pub(super) fn keep<T>(
        &self,
        interrupt: &InterruptHandle,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let is_over = AtomicBool::new(false);
        let outcome = thread::scope(|scope| {
            let (working, ended) = channel::<()>();
            let is_over = &is_over;
            scope.spawn(move || self.watch(interrupt, &ended, is_over));
            let outcome = work();
            drop(working);
            outcome
        });
        match outcome {
            Err(e) if is_over.load(Ordering::Acquire) && is_broken_off(&e) => {
                Err(Error::Invalid(format!(
                    "the form of the database was to change, and that was not done within {} seconds; it was taken \
                     back",
                    self.limit.unwrap_or_default().as_secs()
                )))
            }
            outcome => outcome,
        }
    }

    fn watch(&self, interrupt: &InterruptHandle, ended: &Receiver<()>, is_over: &AtomicBool) {
        let began = Instant::now();
        (self.tell)(Duration::ZERO);
        let (mut told, mut worked, mut moved) = (began, worked(), began);
        let look_every = self.limit.map_or(LOOK_SELDOM, |_| LOOK_EVERY);
        while ended.recv_timeout(look_every.min(self.every)) == Err(RecvTimeoutError::Timeout) {
            if self.limit.is_some_and(|limit| began.elapsed() > limit) {
                is_over.store(true, Ordering::Release);
                interrupt.interrupt();
                continue;
            }
            if told.elapsed() < self.every {
                continue;
            }
            let now = self::worked();
            if now > worked + GETS_ON {
                (worked, moved) = (now, Instant::now());
            }
            if self.limit.is_some() || moved.elapsed() < STANDS_STILL {
                told = Instant::now();
                (self.tell)(began.elapsed());
            }
        }
    }
}

/// Whether work ended because it was interrupted.
pub(super) fn is_broken_off(e: &Error) -> bool {
    matches!(e, Error::Database(e) if e.sqlite_error_code() == Some(ErrorCode::OperationInterrupted))
}

/// How long this process has worked, but for the thread that asks.
fn worked() -> Duration {
    let of = |clock| Duration::try_from(clock_gettime(clock)).unwrap_or_default();
    of(ClockId::ProcessCPUTime).saturating_sub(of(ClockId::ThreadCPUTime))
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicU32, Ordering},
        time::{Duration, Instant},
    };

    use rusqlite::Connection;

    use super::{ClockId, Pace, clock_gettime, worked};

    const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) \
                           SELECT count(*) FROM n";

    #[test]
    fn what_lasts_is_told_again_and_again_and_broken_off_when_its_time_is_over() {
        let told = AtomicU32::new(0);
        let pace = Pace {
            limit: Some(Duration::from_millis(600)),
            every: Duration::from_millis(50),
            tell: &|_| {
                told.fetch_add(1, Ordering::Relaxed);
            },
        };
        let connection = Connection::open_in_memory().unwrap();
        let began = Instant::now();
        let endless = || Ok(connection.query_row(ENDLESS, [], |row| row.get::<_, i64>(0))?);
        let broken_off = pace.keep(&connection.get_interrupt_handle(), endless);
        let text = broken_off.unwrap_err().to_string();
        assert!(text.contains("taken back"), "{text}");
        assert!(began.elapsed() < Duration::from_secs(20));
        assert!(told.load(Ordering::Relaxed) > 2);
        // What comes next is not interrupted by it.
        let one: i64 = connection
            .query_row("SELECT 1", [], |row| row.get(0))
            .unwrap();
        assert_eq!(one, 1);
    }

    #[test]
    fn who_looks_whether_it_gets_on_does_not_take_the_looking_for_that() {
        let of = |clock| Duration::try_from(clock_gettime(clock)).unwrap();
        let (in_all, of_others) = (of(ClockId::ProcessCPUTime), worked());
        let began = of(ClockId::ThreadCPUTime);
        let a_while = Duration::from_millis(200);
        while of(ClockId::ThreadCPUTime) < began + a_while {}
        let of_others = worked().saturating_sub(of_others);
        let in_all = of(ClockId::ProcessCPUTime).saturating_sub(in_all);
        assert!(in_all >= of_others + a_while, "{in_all:?} {of_others:?}");
    }

    #[test]
    fn what_is_done_soon_is_neither_broken_off_nor_waited_for() {
        let connection = Connection::open_in_memory().unwrap();
        let began = Instant::now();
        let done = Pace::unwatched().keep(&connection.get_interrupt_handle(), || Ok(7));
        assert_eq!(done.unwrap(), 7);
        assert!(began.elapsed() < Duration::from_secs(1));
    }
}
