//! Makes backups while the server runs, at the times that are set, and when the owner asks.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::tz::TimeZone;
use rustix::process::setpriority_process;
use tokio::task::spawn_blocking;

use super::stores;
use crate::{
    app::backups::live::{Backup, LiveBackups, Seen, Soon, Trust},
    backup::{
        self, Encryption, Keys, Listed, Outcome, Round, Settings, Source, State, Target,
        schedule::{self, When},
    },
    base::{Error, Result, Timestamp},
    config::Config,
    db::{DataFolder, Database},
};

/// The priority of the thread that makes them: the lowest. Visitors go first.
const NICE: i32 = 19;
/// How often it is looked whether one is due; for the first time so long after the start.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Looks every half minute whether a backup is due, until it is dropped; one that is being made ends soon then.
pub(super) async fn keep(backups: Arc<Backups>) {
    // It may have been ended, for another process that did not go on after all.
    backups.stop.store(false, Ordering::Relaxed);
    let _stop = StopAtEnd(Arc::clone(&backups));
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let backups = Arc::clone(&backups);
        if spawn_blocking(move || backups.look()).await.is_err() {
            log::error!("looking for backups ended with a panic; it will be tried again");
        }
    }
}

struct StopAtEnd(Arc<Backups>);

impl Drop for StopAtEnd {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// What makes backups; one for the server.
pub(super) struct Backups {
    folder: DataFolder,
    database: Database,
    /// Where the settings of the machine are, which a backup has too.
    file: PathBuf,
    settings: Mutex<Settings>,
    /// Since when this waits for the next one, by a clock that nobody sets.
    waits: Mutex<Instant>,
    doing: Mutex<Option<(String, usize, usize)>>,
    warning: Mutex<Option<String>>,
    stop: AtomicBool,
    /// Itself: a thread that makes one keeps it.
    this: Weak<Self>,
}

impl Backups {
    /// With the settings of the machine, for the site in a folder.
    pub(super) fn new(folder: &DataFolder, database: &Database, config: &Config) -> Arc<Self> {
        database.limit_log(config.backup.most_log_bytes());
        Arc::new_cyclic(|this| Self {
            folder: folder.clone(),
            database: database.clone(),
            file: config.file.clone(),
            settings: Mutex::new(config.backup.clone()),
            waits: Mutex::new(Instant::now()),
            doing: Mutex::default(),
            warning: Mutex::default(),
            stop: AtomicBool::new(false),
            this: this.clone(),
        })
    }

    /// Other settings count from now on.
    pub(super) fn replace_settings(&self, settings: Settings) {
        self.database.limit_log(settings.most_log_bytes());
        *held(&self.settings) = settings;
    }

    /// Looks whether a backup is due, and whether the owner is to be warned.
    fn look(&self) {
        let settings = held(&self.settings).clone();
        if settings.changes_mib == 0
            && let Err(e) = self.database.end_log()
        {
            log::warn!("changes go on being kept: {e}");
        }
        if settings.to.is_none() {
            *held(&self.warning) = None;
            return;
        }
        let state = State::load(self.folder.root());
        let waited_s = i64::try_from(held(&self.waits).elapsed().as_secs()).unwrap_or(i64::MAX);
        let (when, now) = (settings.when(), Timestamp::now());
        let warning = schedule::warning(when, &state, now, waited_s);
        *held(&self.warning) = warning.map(|why| format!("{why} The page Backups says more."));
        if schedule::is_due(when, &state, now, waited_s, &TimeZone::system()) {
            self.start(settings);
        }
    }

    /// One that is being made ends soon, and leaves nothing behind.
    fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Begins one, unless one is being made.
    fn start(&self, settings: Settings) {
        let mut doing = held(&self.doing);
        let Some(this) = self.this.upgrade() else {
            return;
        };
        if doing.is_some() || self.stop.load(Ordering::Relaxed) {
            return;
        }
        *doing = Some(("beginning".to_owned(), 0, 1));
        drop(doing);
        let begun = std::thread::Builder::new()
            .name("backup".into())
            .spawn(move || {
                // On Linux this is the priority of the thread alone; that of the disk follows it.
                if let Err(e) = setpriority_process(None, NICE) {
                    log::debug!("the priority of the backup stays as it is: {e}");
                }
                this.tell(&this.round(&settings));
                *held(&this.waits) = Instant::now();
                *held(&this.doing) = None;
                this.look();
            });
        if let Err(e) = begun {
            log::error!("no backup was made: {e}");
            *held(&self.doing) = None;
        }
    }

    fn round(&self, settings: &Settings) -> Result<Outcome> {
        let root = self.folder.root();
        let target = target_of(settings, &self.folder, stores::TRIES)
            .ok_or_else(|| Error::Invalid("no place is set for backups".into()))?;
        // Before it begins, so that one that ends with the power is not begun at each start.
        State::update(root, |state| state.last_begun = Some(Timestamp::now()))?;
        let source = Source {
            folder: self.folder.clone(),
            settings: self.file.clone(),
            with_secrets: settings.secrets,
            database: Some(self.database.clone()),
            keeps_changes: settings.changes_mib > 0,
        };
        let round = Round {
            source: &source,
            target: &target,
            takes_new_place: false,
            tries: true,
            keys: Keys::of_machine(root),
            encryption: Encryption {
                to: settings.encrypt_to.clone(),
                passphrase: None,
            },
            rule: Some(settings.rule()),
        };
        let progress = |doing: &str, done: usize, total: usize| {
            *held(&self.doing) = Some((doing.to_owned(), done, total.max(1)));
        };
        round.go(&progress, &self.stop)
    }

    fn tell(&self, outcome: &Result<Outcome>) {
        match outcome {
            Ok(Outcome { made, trial }) => {
                let problem = trial.as_ref().and_then(|trial| trial.problems.first());
                match problem {
                    None => log::info!("backup {} was made and is sound", made.number),
                    Some(why) => {
                        log::error!("backup {} was made, but is not sound: {why}", made.number);
                    }
                }
                for warning in &made.warnings {
                    log::warn!("backup {}: {warning}", made.number);
                }
            }
            Err(_) if self.stop.load(Ordering::Relaxed) => {
                log::info!("a backup was stopped; it is made after the next start");
            }
            Err(e) => log::error!("no backup was made: {e}"),
        }
    }
}

fn target_of(settings: &Settings, folder: &DataFolder, tries: u32) -> Option<Target> {
    let (to, data) = (settings.to.as_ref()?, folder.root());
    let to = to.seen_from(data);
    Some(stores::within_reach(to, &settings.s3, data, tries, None))
}

fn held<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LiveBackups for Backups {
    fn warning(&self) -> Option<String> {
        held(&self.warning).clone()
    }

    fn seen(&self) -> Soon<'_, Seen> {
        Box::pin(async {
            let settings = held(&self.settings).clone();
            let Some(target) = target_of(&settings, &self.folder, stores::FEW_TRIES) else {
                return Seen::default();
            };
            let state = State::load(self.folder.root());
            let mut seen = Seen {
                place: Some(target.to_string()),
                when: in_words(settings.when()),
                is_on_same_disk: target.is_on_disk_of(self.folder.root()),
                doing: held(&self.doing).clone(),
                last_proven: state.last_proven,
                failed: state.failed,
                ..Seen::default()
            };
            let root = self.folder.root().to_path_buf();
            let listed = spawn_blocking(move || list_at(&target, &root));
            match listed.await {
                Ok(Ok((listed, reach))) => {
                    seen.backups = listed.into_iter().map(shown).collect();
                    seen.reach = reach;
                }
                Ok(Err(e)) => seen.unlisted = Some(e.to_string()),
                Err(e) => log::error!("listing the backups: {e}"),
            }
            seen
        })
    }

    fn begin(&self) {
        let settings = held(&self.settings).clone();
        if settings.to.is_some() {
            self.start(settings);
        }
    }
}

/// The backups in a place, and since when every moment can be reached.
fn list_at(target: &Target, data: &Path) -> Result<(Vec<Listed>, Option<Timestamp>)> {
    let Some(repository) = target.find(&Keys::of_machine(data))? else {
        return Ok((Vec::new(), None));
    };
    let listed = backup::list(&repository)?;
    let reach = backup::reach(&listed, data).unwrap_or_else(|e| {
        log::warn!("the log of changes cannot be read: {e}");
        None
    });
    Ok((listed, reach))
}

fn in_words(when: When) -> String {
    match when {
        When::Daily(time) => format!("Every day at {}", time.strftime("%H:%M")),
        When::Every(seconds) if seconds % 86400 == 0 => format!("Every {} days", seconds / 86400),
        When::Every(seconds) if seconds % 3600 == 0 => format!("Every {} hours", seconds / 3600),
        When::Every(seconds) => format!("Every {} minutes", seconds / 60),
    }
}

fn shown(listed: Listed) -> Backup {
    Backup {
        number: listed.number,
        made_at: listed.made_at,
        posts: listed.posts,
        files: listed.files,
        bytes: listed.bytes,
        new_bytes: listed.new_bytes,
        warnings: listed.warnings,
        trust: match listed.trust {
            backup::Trust::Proven(_) => Trust::Proven,
            backup::Trust::Untried => Trust::Untried,
            backup::Trust::Bad(problems) => Trust::Bad(problems.join("; ")),
        },
    }
}
