//! Whether the log of a database has lost what was saved.

use std::{io, path::Path, thread, time::Duration};

use super::{
    page_sums::noted_page_bytes,
    wal::{LogState, log_of, read_log},
    wal_index::{Index, index_of},
};
use crate::base::Verdict;

/// How long it takes whoever writes to a log to be done with what is being written.
pub(super) const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Whether the log of a database, to which others may be writing, has lost what was saved. That is believed only if it
/// is still so after a moment, for what is read while it is written looks the same.
pub(super) fn look_at_log(database: &Path) -> Verdict {
    look(database, || Ok(None))
}

/// The same for a process that has no connection to the database: to close its `-shm` would take the locks of those
/// away.
///
/// Damage in the last change alone looks like the end of the log. After a process was killed, the index of the log tells
/// the two apart; after a power cut nothing does, and that change is gone without a word.
pub(super) fn look_at_log_unopened(database: &Path) -> Verdict {
    look(database, || index_of(database))
}

fn look(database: &Path, index: impl Fn() -> io::Result<Option<Index>>) -> Verdict {
    let log = log_of(database);
    let state = || {
        // Before the log, to which somebody may be adding.
        let index = index()?;
        let mut state = read_log(&log, noted_page_bytes(database)?, |_| {})?;
        if let Some(index) = index.filter(|index| state.salts == Some(index.salts)) {
            let missing = index.frames.saturating_sub(state.committed);
            // The last frame that fills up a sector is counted before it is synced, and only repeats the one before it.
            if missing > 1 {
                state.behind = state.behind.max(missing);
                state.has_lost = true;
            }
        }
        Ok::<_, io::Error>(state)
    };
    let stays_so = |first: LogState| {
        thread::sleep(LOOK_AGAIN_AFTER);
        state().map(|second| second == first)
    };
    let looked = state().and_then(|first| {
        let is_so = first.has_lost && stays_so(first)?;
        Ok(if is_so {
            first.verdict()
        } else {
            Verdict::Sound
        })
    });
    looked.unwrap_or_else(|e| Verdict::NotSeen(format!("reading {}: {e}", log.display())))
}
