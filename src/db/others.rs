//! Looks whether another process has written, each time that somebody asks: while two servers share the database.

use std::{
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use rusqlite::Connection;

use super::{
    door::{self, Purpose},
    writer::data_version,
};
use crate::base::Result;

/// Whether it is looked, and with what.
#[derive(Default)]
pub(super) struct Others {
    is_on: AtomicBool,
    look: Mutex<Option<Look>>,
}

struct Look {
    connection: Connection,
    seen: i64,
}

impl Others {
    /// Looks from now on.
    pub(super) fn begin(&self, file: &Path) -> Result<()> {
        let connection = door::open(file, Purpose::Watch)?;
        let seen = data_version(&connection);
        let mut look = self.look.lock().unwrap_or_else(PoisonError::into_inner);
        *look = Some(Look { connection, seen });
        self.is_on.store(true, Ordering::Release);
        Ok(())
    }

    /// Looks no more.
    pub(super) fn end(&self) {
        self.is_on.store(false, Ordering::Release);
        *self.look.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Calls `written` if somebody has written since the last time; who comes at the same time waits for that.
    pub(super) fn look(&self, written: impl FnOnce()) {
        if !self.is_on.load(Ordering::Acquire) {
            return;
        }
        let mut look = self.look.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Look { connection, seen }) = look.as_mut() {
            let now = data_version(connection);
            if now != *seen {
                *seen = now;
                written();
            }
        }
    }
}
