//! Who asked for what. Kept in memory, and written out only where the owner wants that: nothing goes to the
//! disk because somebody reads.

use std::{
    collections::VecDeque,
    io::{self, Write},
    sync::{
        Mutex, PoisonError, RwLock, RwLockReadGuard,
        mpsc::{SyncSender, sync_channel},
    },
    thread,
};

use serde::Deserialize;

pub use super::entry::Entry;

/// Requests that are remembered, at most about 1 KB each.
const REMEMBERED: usize = 500;

/// Lines that may wait to be written out.
const MOST_WAITING: usize = 4096;

/// Section `[log]` of `webstead.toml`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// What becomes of the requests' lines.
    pub access: Access,
}

/// What becomes of the requests' lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Nothing is remembered.
    Off,
    /// The last few hundred are remembered for the owner, until the program ends.
    #[default]
    Memory,
    /// Also written to standard output, and so to the journal, in the Common Log Format.
    Common,
    /// The same with where visitors came from and what browser they have (Combined Log Format).
    Combined,
    /// Also written to standard output, as JSON.
    Json,
}

/// A thread that writes lines to standard output until its sender is dropped.
fn start_writing() -> SyncSender<String> {
    let (sender, lines) = sync_channel::<String>(MOST_WAITING);
    thread::spawn(move || {
        for line in lines {
            // Nobody is there to be told that nobody listens.
            let _ = writeln!(io::stdout().lock(), "{line}");
        }
    });
    sender
}

/// The access log; one for all threads.
pub struct AccessLog {
    wanted: RwLock<Wanted>,
    last: Mutex<VecDeque<Entry>>,
}

/// What becomes of a line.
struct Wanted {
    access: Access,
    /// To the thread that writes lines out: who reads them may be slow, and visitors do not wait for it.
    lines: Option<SyncSender<String>>,
}

impl Wanted {
    fn new(settings: Settings) -> Self {
        let is_written = !matches!(settings.access, Access::Off | Access::Memory);
        Self {
            access: settings.access,
            lines: is_written.then(start_writing),
        }
    }
}

impl AccessLog {
    /// An empty log.
    pub fn new(settings: Settings) -> Self {
        Self {
            wanted: RwLock::new(Wanted::new(settings)),
            last: Mutex::default(),
        }
    }

    /// Does something else with the lines from now on; what must not be remembered any more is forgotten.
    pub fn replace(&self, settings: Settings) {
        if settings.access == self.wanted().access {
            return;
        }
        *self.wanted.write().unwrap_or_else(PoisonError::into_inner) = Wanted::new(settings);
        if settings.access == Access::Off {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            last.clear();
        }
    }

    /// Whether lines are wanted at all.
    pub fn is_on(&self) -> bool {
        self.wanted().access != Access::Off
    }

    fn wanted(&self) -> RwLockReadGuard<'_, Wanted> {
        self.wanted.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a request and writes it out, as the settings say.
    pub(super) fn write(&self, entry: Entry) {
        let wanted = self.wanted();
        let line = match wanted.access {
            Access::Off => return,
            Access::Memory => None,
            Access::Common => Some(entry.common()),
            Access::Combined => Some(entry.combined()),
            Access::Json => Some(entry.json()),
        };
        if let (Some(line), Some(lines)) = (line, &wanted.lines) {
            // A line that finds no place is lost.
            let _ = lines.try_send(line);
        }
        drop(wanted);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() == REMEMBERED {
            last.pop_front();
        }
        last.push_back(entry);
    }

    /// The last requests, newest first, at most `count` of them.
    pub fn last(&self, count: usize) -> Vec<Entry> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.iter().rev().take(count).cloned().collect()
    }
}
