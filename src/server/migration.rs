//! Opens the database, and changes its form where this program has another one: beside a process that serves, only
//! after that was tried on a copy, and within a time.

use std::time::Duration;

use super::handover::Predecessor;
use crate::{
    base::Result,
    db::{DataFolder, Database, Pace, Rehearsal, rehearse},
    jobs::service_manager,
};

/// How often somebody hears that it gets on.
const TELL_EVERY: Duration = Duration::from_secs(5);
/// What the real migrations have beside their share of the rehearsal.
const MORE: Duration = Duration::from_secs(10);

/// Opens the database of a folder. `ready` is how long a step of a program may take that takes over.
///
/// # Errors
/// As [`Database::open_to_serve`], and why the form of the database is not to be changed beside the process before.
pub(super) fn open(
    folder: &DataFolder,
    predecessor: Option<&Predecessor>,
    ready: Duration,
) -> Result<Database> {
    let file = folder.database();
    let Some(predecessor) = predecessor else {
        // Nobody serves meanwhile, so it may take as long as it gets on.
        let alone = Pace {
            limit: None,
            every: TELL_EVERY,
            tell: &|_| service_manager::needs_time(),
        };
        return Database::open_to_serve(&file, alone);
    };
    predecessor.progress("opening the database");
    let every = TELL_EVERY.min(ready / 3);
    let tell = |what: &str, since: Duration| {
        // What is done at once is told by nobody.
        if since >= every {
            let seconds = since.as_secs();
            predecessor.progress(&format!("{what}, for {seconds} seconds now"));
        }
    };
    let mut limit = ready;
    if !folder.is_on_read_only_disk() {
        let rehearsing = |since| tell("trying the new form of the database on a copy", since);
        let rehearsal = rehearse(
            folder,
            within(Rehearsal::within(folder), every, &rehearsing),
        )?;
        if rehearsal.is_needed() {
            predecessor.progress(&format!("database: {rehearsal}"));
        }
        rehearsal.refuse_beside(predecessor.schema())?;
        rehearsal.refuse_without_room(folder)?;
        limit = rehearsal.allowed().max(ready) + MORE;
    }
    let changing = |since| tell("changing the form of the database", since);
    Database::open_to_serve(&file, within(limit, every, &changing))
}

fn within(limit: Duration, every: Duration, tell: &(dyn Fn(Duration) + Sync)) -> Pace<'_> {
    Pace {
        limit: Some(limit),
        every,
        tell,
    }
}
