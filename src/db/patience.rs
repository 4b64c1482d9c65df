//! How long a change waits for another process that writes: for a while, and in an upgrade for as long as that lasts.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use rusqlite::{Connection, ErrorCode};

/// Whether who wants to write waits longer than `SQLite` does by itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Patience(Arc<AtomicUsize>);

/// As long as this is there, changes wait for another process, however long it writes.
#[derive(Debug)]
pub struct Waits(Patience);

impl Patience {
    /// Waits as long as it takes, until what is given is dropped.
    pub(super) fn without_end(&self) -> Waits {
        self.0.fetch_add(1, Ordering::AcqRel);
        Waits(self.clone())
    }

    /// Takes the lock for writing.
    pub(super) fn begin(&self, connection: &Connection) -> rusqlite::Result<()> {
        loop {
            match connection.execute_batch("BEGIN IMMEDIATE") {
                Err(e)
                    if e.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                        && self.0.load(Ordering::Acquire) > 0 => {}
                outcome => return outcome,
            }
        }
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        thread,
        time::{Duration, Instant},
    };

    use rusqlite::Connection;

    use super::Patience;

    #[test]
    fn who_saves_in_an_upgrade_waits_for_the_one_who_writes_and_else_not_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let open = || {
            let connection = Connection::open(dir.path().join("a.db")).unwrap();
            connection.busy_timeout(Duration::from_millis(100)).unwrap();
            connection
        };
        let (other, writer, patience) = (open(), open(), Patience::default());
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        patience.begin(&writer).unwrap_err();
        let waits = patience.without_end();
        let began = Instant::now();
        thread::scope(|scope| {
            scope.spawn(move || {
                thread::sleep(Duration::from_millis(700));
                other.execute_batch("COMMIT").unwrap();
            });
            patience.begin(&writer).unwrap();
        });
        assert!(began.elapsed() >= Duration::from_millis(600));
        writer.execute_batch("ROLLBACK").unwrap();
        drop(waits);
        let other = open();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        patience.begin(&writer).unwrap_err();
    }
}
