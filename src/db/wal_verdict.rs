//! Whether the log of a database has lost what was saved.

use std::{io, path::Path, thread, time::Duration};

use super::{
    page_sums::noted_page_bytes,
    wal::{LogState, log_of, read_log},
    wal_index::{Index, index_of},
};
use crate::base::{Verdict, words::counted};

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

/// The same, and what there is of a change that was not written to its end, if there is one.
pub(super) fn look_at_end_of_log(database: &Path) -> (Verdict, Option<String>) {
    match seen(database, || index_of(database), true) {
        Ok((verdict, 0)) => (verdict, None),
        Ok((verdict, pages)) => (
            verdict,
            Some(format!(
                "site.db-wal ends with a change that is not whole ({}): as after a power cut, where nobody was told that \
                 it was saved. The site goes on without it",
                counted(pages, "page", "pages")
            )),
        ),
        Err(e) => (not_seen(database, &e), None),
    }
}

fn look(database: &Path, index: impl Fn() -> io::Result<Option<Index>>) -> Verdict {
    match seen(database, index, false) {
        Ok((verdict, _)) => verdict,
        Err(e) => not_seen(database, &e),
    }
}

fn not_seen(database: &Path, e: &io::Error) -> Verdict {
    Verdict::NotSeen(format!("reading {}: {e}", log_of(database).display()))
}

/// The verdict, and, if that is asked for, the pages of a change at the end that is not whole.
fn seen(
    database: &Path,
    index: impl Fn() -> io::Result<Option<Index>>,
    asks_for_rest: bool,
) -> io::Result<(Verdict, u64)> {
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
    let first = state()?;
    let is_odd = first.has_lost || asks_for_rest && first.behind > 0;
    if !is_odd || !stays_so(first)? {
        return Ok((Verdict::Sound, 0));
    }
    let rest = if first.has_lost { 0 } else { first.behind };
    Ok((first.verdict(), rest))
}
