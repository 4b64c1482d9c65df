//! Looks after the disk: how much room there is, what is written to it, and whether what was written is still
//! there.
//!
//! Checks are made by another process, `webstead check --gently`: it is the last in turn for processor and disk,
//! its memory is given back, and it may open and close the database file, which would take this process's locks
//! away.

mod ledger;
mod when;

use std::{
    collections::BTreeMap,
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::process::{Signal, pidfd_send_signal};

pub use self::ledger::{Check, Day, Ledger};
use self::when::{Times, is_full_due, is_quick_due};
use crate::{
    base::{Error, Result, Space, Timestamp, Verdict, child::handle_of, written},
    db::{Database, Found},
};

/// What was written is noted so often, at most, and at the end: a note is written too.
const NOTE_EVERY: Duration = Duration::from_hours(1);

struct State {
    ledger: Ledger,
    /// What of this process is in the ledger.
    counted: BTreeMap<String, u64>,
    /// Whether something was written since the ledger was, but for the ledger itself.
    is_unnoted: bool,
    /// When that was last tried.
    noted: Instant,
    /// Whether it was told that it cannot be written.
    is_told: bool,
}

/// The one that looks after the disk.
pub struct DiskKeeper {
    folder: PathBuf,
    database: Database,
    state: Mutex<State>,
    is_asked: AtomicBool,
    /// Whether this process has ever looked after the disk.
    has_begun: AtomicBool,
    /// The check that is being made, and whether none is to be made any more.
    checking: Mutex<(Option<OwnedFd>, bool)>,
}

/// Ends a check that is being made when nobody looks after the disk any more: it may take hours, and this process
/// would wait for it.
struct EndsChecks<'a>(&'a DiskKeeper);

impl Drop for EndsChecks<'_> {
    fn drop(&mut self) {
        let mut checking = self.0.checking();
        checking.1 = true;
        if let Some(process) = &checking.0 {
            // It may have ended by itself.
            let _ = pidfd_send_signal(process, Signal::KILL);
        }
        drop(checking);
        // Who looks after the disk next, such as another process that takes over, begins with this.
        self.0.count();
        self.0.note();
    }
}

impl DiskKeeper {
    /// For the data folder of a site.
    pub fn new(folder: &Path, database: Database) -> Self {
        let health = database.health();
        let ledger = Ledger::load(folder).unwrap_or_else(|e| {
            log::error!("{e}");
            health.note_bad_files(vec![e.to_string()]);
            Ledger::default()
        });
        if let Some(last) = ledger.last_full() {
            health.note_bad_files(last.bad_files.clone());
        }
        if let Ok(space) = Space::of(folder) {
            health.note_space(space);
        }
        Self {
            folder: folder.to_path_buf(),
            database,
            state: Mutex::new(State {
                ledger,
                counted: BTreeMap::new(),
                is_unnoted: false,
                noted: Instant::now(),
                is_told: false,
            }),
            is_asked: AtomicBool::new(false),
            has_begun: AtomicBool::new(false),
            checking: Mutex::default(),
        }
    }

    /// The days and the checks until now.
    pub fn ledger(&self) -> Ledger {
        self.count();
        self.lock().ledger.clone()
    }

    /// The disk's state as the database has it.
    pub fn health(&self) -> &crate::db::Health {
        self.database.health()
    }

    /// Asks for a full check, soon.
    pub fn ask(&self) {
        self.is_asked.store(true, Ordering::Release);
    }

    /// Whether a full check was asked for, and has not ended.
    pub fn is_asked(&self) -> bool {
        self.is_asked.load(Ordering::Acquire)
    }

    /// Looks after the disk until it is dropped.
    pub async fn keep(self: std::sync::Arc<Self>) {
        self.checking().1 = false;
        self.begin();
        let _ends = EndsChecks(&self);
        let started = Instant::now();
        let (mut last_quick, mut last_full) = (None::<Instant>, None::<Instant>);
        loop {
            tokio::time::sleep(Duration::from_secs(5)).await;
            let times = Times {
                up: started.elapsed(),
                since_try: last_full.map(|last| last.elapsed()),
                last_full: self.lock().ledger.last_made_full().map(|check| check.at),
                now: Timestamp::now(),
                hour: jiff::Zoned::now().hour(),
            };
            let is_full = self.is_asked() || is_full_due(&times);
            let is_quick = is_quick_due(times.up, last_quick.map(|last| last.elapsed()));
            let this = std::sync::Arc::clone(&self);
            let work = move || {
                this.look();
                if is_full || is_quick {
                    this.check(is_full);
                }
            };
            if tokio::task::spawn_blocking(work).await.is_err() {
                log::error!("a check of the disk ended with a panic");
            }
            if is_full || is_quick {
                last_quick = Some(Instant::now());
            }
            if is_full {
                last_full = last_quick;
                self.is_asked.store(false, Ordering::Release);
            }
        }
    }

    /// Takes what the process before has noted at its end, when this one was there already.
    fn begin(&self) {
        if self.has_begun.swap(true, Ordering::AcqRel) {
            return;
        }
        if let Ok(ledger) = Ledger::load(&self.folder) {
            let mut state = self.lock();
            state.ledger = ledger;
            state.counted.clear();
        }
    }

    /// Leaves what was written since the end of that, such as by closing the database, for the next process.
    pub fn leave_the_rest(&self) {
        written::leave(&self.folder, &self.lock().counted);
    }

    /// Space and counters; these are written down now and then.
    fn look(&self) {
        match Space::of(&self.folder) {
            Ok(space) => self.database.health().note_space(space),
            Err(e) => log::debug!("{e}"),
        }
        written::take_over(&self.folder);
        self.count();
        if self.lock().noted.elapsed() >= NOTE_EVERY {
            self.note();
        }
    }

    /// Adds what was written since the last time.
    fn count(&self) {
        let today = Timestamp::now().to_jiff().strftime("%Y-%m-%d").to_string();
        let mut state = self.lock();
        // Not before it is our turn: who shows the page counts too, and what is older would take the place of what is newer.
        let now = written::totals();
        let before = std::mem::replace(&mut state.counted, now.clone());
        state.is_unnoted |= ledger::is_news(&before, &now);
        state.ledger.add(today, &before, &now);
    }

    /// Writes down what was counted, if that is not done.
    fn note(&self) {
        if self.lock().is_unnoted {
            self.save();
        }
    }

    /// Has everything checked, or the structures only, and takes the consequences.
    fn check(&self, is_full: bool) {
        let started = Instant::now();
        let outcome = self.ask_another_process(is_full);
        let was_made = outcome.is_ok();
        let found = outcome.unwrap_or_else(|e| Found {
            database: vec![Verdict::NotSeen(format!(
                "the check could not be made: {e}"
            ))],
            ..Found::default()
        });
        let mut check = Check {
            at: Timestamp::now(),
            is_full,
            is_made: was_made,
            took_s: started.elapsed().as_secs(),
            problems: found.damage().map(str::to_owned).collect(),
            bad_files: found.bad_files().map(str::to_owned).collect(),
            unseen: found.unseen().map(str::to_owned).collect(),
        };
        tell(&check);
        let health = self.database.health();
        if let Some(first) = found.database.iter().find_map(Verdict::damage) {
            health.note_damage(first);
        }
        let mut state = self.lock();
        if !was_made {
            // That says nothing of the disk: what the last one found is so until another one has looked.
            let last = state.ledger.last_full();
            check.bad_files = last.map_or_else(Vec::new, |last| last.bad_files.clone());
        } else if is_full {
            health.note_bad_files(check.bad_files.clone());
            state.ledger.known_files = found.known_files;
        }
        state.ledger.add_check(check);
        drop(state);
        self.count();
        self.save();
    }

    fn ask_another_process(&self, is_full: bool) -> Result<Found> {
        let run = |is_gentle: bool| {
            // This very program, also after its file was replaced.
            let mut command = Command::new("/proc/self/exe");
            command
                .arg("check")
                .arg("--data")
                .arg(&self.folder)
                .arg("--json");
            if !is_full {
                command.arg("--quick");
            }
            if is_gentle {
                command.arg("--gently");
            }
            // It is no service of its own.
            for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "LISTEN_FDS"] {
                command.env_remove(name);
            }
            let command = command.stdin(Stdio::null()).stdout(Stdio::piped());
            self.wait_for(command.stderr(Stdio::piped()).spawn()?)
        };
        let mut output = run(true);
        // A service manager may have forbidden to be gentle, and ends who tries.
        let is_killed = |output: &Output| output.status.code().is_none();
        if output.as_ref().is_ok_and(is_killed) && !self.checking().1 {
            output = run(false);
        }
        let output = output.map_err(|e| Error::io("starting", "webstead check", e))?;
        let said = String::from_utf8_lossy(&output.stderr);
        serde_json::from_slice(&output.stdout).map_err(|_| {
            Error::Internal(format!("it ended with {}: {}", output.status, said.trim()))
        })
    }

    /// What a check says, once it has ended or was ended.
    fn wait_for(&self, mut child: Child) -> io::Result<Output> {
        {
            let mut checking = self.checking();
            if checking.1 {
                child.kill()?;
            }
            // An old kernel has no such thing; then it is waited for.
            checking.0 = handle_of(child.id()).ok();
        }
        let output = child.wait_with_output();
        self.checking().0 = None;
        output
    }

    fn checking(&self) -> std::sync::MutexGuard<'_, (Option<OwnedFd>, bool)> {
        self.checking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn save(&self) {
        let ledger = {
            let mut state = self.lock();
            // What is counted while it is written is not noted by that.
            state.is_unnoted = false;
            state.ledger.clone()
        };
        let saved = ledger.save(&self.folder);
        let mut state = self.lock();
        // Where it cannot be written, that is tried as seldom.
        state.noted = Instant::now();
        state.is_unnoted |= saved.is_err();
        let was_told = std::mem::replace(&mut state.is_told, saved.is_err());
        drop(state);
        match saved {
            Err(e) if !was_told => {
                log::warn!("what was written to the disk was not noted; it is tried again: {e}");
            }
            Ok(()) if was_told => log::info!("what was written to the disk is noted again"),
            _ => {}
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tell(check: &Check) {
    let kind = if check.is_full { "full" } else { "quick" };
    if check.problems.is_empty() && check.unseen.is_empty() {
        let took_s = check.took_s;
        log::info!("the {kind} check of the disk found nothing wrong, in {took_s} s");
    }
    for problem in &check.problems {
        log::error!("{kind} check of the disk: {problem}");
    }
    for why in &check.unseen {
        log::warn!("{kind} check of the disk: could not be looked at: {why}");
    }
}

#[cfg(test)]
#[path = "disk_tests.rs"]
mod tests;
