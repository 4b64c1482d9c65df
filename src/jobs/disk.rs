//! Looks after the disk: how much room there is, what is written to it, and whether what was written is still
//! there.
//!
//! Checks are made by another process, `webstead check --gently`: it is the last in turn for processor and disk,
//! its memory is given back, and it may open and close the database file, which would take this process's locks
//! away.

use std::{
    collections::BTreeMap,
    fs, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use crate::{
    base::{Error, Result, Timestamp, Verdict, files, written},
    db::{Database, Found, SmallFile, Space, hash_of},
};

/// This machine's own numbers, beside the database.
const FILE: &str = "disk.json";
/// Days that are kept.
const MAX_DAYS: usize = 31;
/// Checks that are kept.
const MAX_CHECKS: usize = 20;
/// How long after the start the first quick check comes, and how long after each the next.
const FIRST_QUICK: Duration = Duration::from_mins(10);
const QUICK_EVERY: Duration = Duration::from_hours(6);
/// The hour of the night in which everything is checked, on the clock of the machine.
const NIGHT_HOUR: i8 = 3;
/// Nights are not counted by the clock alone: it may jump.
const FULL_AFTER: Duration = Duration::from_hours(20);
/// A machine that is never on at night is checked some time.
const FULL_AT_LATEST: Duration = Duration::from_hours(48);

/// What was written on one day.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Day {
    /// `2026-11-26`, in UTC.
    pub day: String,
    /// Bytes by the file that they went to.
    pub bytes: BTreeMap<String, u64>,
}

/// A check that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// When it ended.
    pub at: Timestamp,
    /// Whether everything was looked at.
    pub is_full: bool,
    /// How long it took.
    pub took_s: u64,
    /// What is wrong.
    pub problems: Vec<String>,
    /// Those of them that are about files beside the database.
    #[serde(default)]
    pub bad_files: Vec<String>,
    /// What could not be looked at.
    #[serde(default)]
    pub unseen: Vec<String>,
}

/// What is remembered from one start to the next.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Ledger {
    /// The last days, oldest first.
    pub days: Vec<Day>,
    /// The last checks, oldest first.
    pub checks: Vec<Check>,
    /// Small files as they were when everything was looked at.
    pub small: BTreeMap<String, SmallFile>,
}

impl Ledger {
    /// That of a data folder; a new one if it has none.
    ///
    /// # Errors
    /// [`Error::Damaged`] if it is not what was written, and what the disk says.
    pub fn load(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let text = match fs::read(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            text => text.map_err(|e| Error::io("reading", &path, e))?,
        };
        let damaged = || {
            let what = "what was written and checked until now is not known";
            Error::Damaged(format!("{FILE} is damaged, so {what}; it is begun anew"))
        };
        let text = String::from_utf8(text).map_err(|_| damaged())?;
        // In the second line is what the first one adds up to.
        let (ledger, sum) = text.split_once('\n').unwrap_or((&text, ""));
        if !sum.is_empty() && sum.trim_end() != hash_of(ledger.as_bytes()) {
            return Err(damaged());
        }
        serde_json::from_str(ledger).map_err(|_| damaged())
    }

    fn last_full(&self) -> Option<&Check> {
        self.checks.iter().rev().find(|check| check.is_full)
    }

    fn save(&self, folder: &Path) -> Result<()> {
        let ledger = serde_json::to_string(self).map_err(Error::internal)?;
        let text = format!("{ledger}\n{}\n", hash_of(ledger.as_bytes()));
        let path = folder.join(FILE);
        files::write_whole(&path, text.as_bytes(), 0o600).map_err(|e| Error::io("writing", path, e))
    }

    /// Adds what was written since `before`; says whether a new day has begun.
    fn add(
        &mut self,
        today: String,
        before: &BTreeMap<String, u64>,
        now: &BTreeMap<String, u64>,
    ) -> bool {
        let new: Vec<(&String, u64)> = now
            .iter()
            .map(|(name, sum)| (name, sum - before.get(name).copied().unwrap_or(0)))
            .filter(|(_, bytes)| *bytes > 0)
            .collect();
        let is_new_day = self.days.last().is_none_or(|day| day.day != today);
        if is_new_day && !new.is_empty() {
            self.days.push(Day {
                day: today,
                ..Day::default()
            });
            let excess = self.days.len().saturating_sub(MAX_DAYS);
            self.days.drain(..excess);
        }
        if let Some(day) = self.days.last_mut() {
            for (name, bytes) in new {
                *day.bytes.entry(name.clone()).or_default() += bytes;
            }
        }
        is_new_day
    }
}

struct State {
    ledger: Ledger,
    counted: BTreeMap<String, u64>,
}

/// The one that looks after the disk.
pub struct DiskKeeper {
    folder: PathBuf,
    database: Database,
    state: Mutex<State>,
    is_asked: AtomicBool,
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
            }),
            is_asked: AtomicBool::new(false),
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
        let _ends = EndsChecks(&self);
        let started = Instant::now();
        let (mut last_quick, mut last_full) = (None::<Instant>, None::<Instant>);
        loop {
            tokio::time::sleep(Duration::from_secs(5)).await;
            let is_full = self.is_asked() || is_night(started, last_full);
            let is_quick = is_due(started, last_quick, FIRST_QUICK, QUICK_EVERY);
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

    /// Space and counters; written down once a day.
    fn look(&self) {
        match Space::of(&self.folder) {
            Ok(space) => self.database.health().note_space(space),
            Err(e) => log::debug!("{e}"),
        }
        if self.count() {
            self.save();
        }
    }

    fn count(&self) -> bool {
        let today = Timestamp::now().to_jiff().strftime("%Y-%m-%d").to_string();
        let now = written::totals();
        let mut state = self.lock();
        let before = std::mem::replace(&mut state.counted, now.clone());
        let had_days = !state.ledger.days.is_empty();
        state.ledger.add(today, &before, &now) && had_days
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
            // What has decayed is told until it was restored.
            let decayed =
                |name: &String| check.bad_files.iter().any(|line| line.starts_with(&**name));
            let before = std::mem::replace(&mut state.ledger.small, found.small);
            let kept = before.into_iter().filter(|(name, _)| decayed(name));
            state.ledger.small.extend(kept);
        }
        state.ledger.checks.push(check);
        let excess = state.ledger.checks.len().saturating_sub(MAX_CHECKS);
        state.ledger.checks.drain(..excess);
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
            let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            // An old kernel has no such thing; then it is waited for.
            checking.0 = id.and_then(|id| pidfd_open(id, PidfdFlags::empty()).ok());
        }
        let output = child.wait_with_output();
        self.checking().0 = None;
        output
    }

    fn checking(&self) -> std::sync::MutexGuard<'_, (Option<OwnedFd>, bool)> {
        self.checking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn save(&self) {
        let ledger = self.lock().ledger.clone();
        if let Err(e) = ledger.save(&self.folder) {
            log::warn!("what was written to the disk was not noted: {e}");
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

fn is_due(started: Instant, last: Option<Instant>, first: Duration, every: Duration) -> bool {
    match last {
        None => started.elapsed() > first,
        Some(last) => last.elapsed() > every,
    }
}

/// Whether everything is to be checked now. How long ago the last time was is not asked of the clock.
fn is_night(started: Instant, last: Option<Instant>) -> bool {
    let hour = jiff::Zoned::now().hour();
    let is_night = hour == NIGHT_HOUR;
    is_night && is_due(started, last, FIRST_QUICK, FULL_AFTER)
        || is_due(started, last, FULL_AT_LATEST, FULL_AT_LATEST)
}

#[cfg(test)]
#[path = "disk_tests.rs"]
mod tests;
