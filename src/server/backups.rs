//! Makes backups while the server runs, at the times that are set, and when the owner asks.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use data_encoding::HEXLOWER;
use jiff::tz::TimeZone;
use rustix::process::setpriority_process;
use sha2::{Digest as _, Sha256};
use tokio::task::spawn_blocking;

use super::{
    backup_list::{Listing, in_words, listing},
    backup_place,
    looks::Looks,
    stores::{self, Ways},
};
use crate::{
    app::backups::{
        form::Kind,
        live::{FieldError, Found, LiveBackups, Seen, Soon, Trust},
        queries::find_place,
    },
    backup::{
        Encryption, Keys, Outcome, Progress, Record, Round, Settings, Source, State, Target, Trial,
        Untried, schedule,
    },
    base::{Error, Result, Timestamp},
    config::Config,
    db::{DataFolder, Database},
};

/// The priority of the thread that makes them: the lowest. Visitors go first.
const NICE: i32 = 19;
/// How often it is looked whether one is due; for the first time so long after the start.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// For how long a page waits for the place. One that hangs is waited for by nobody else.
const PATIENCE: Duration = Duration::from_secs(4);
/// The same where the owner asks what is in a place.
const PATIENCE_TO_LOOK: Duration = Duration::from_secs(25);

/// Looks every half minute whether a backup is due, until it is dropped; one that is being made ends soon then.
pub(super) async fn keep(backups: Arc<Backups>) {
    // It may have been ended, for another process that did not go on after all.
    backups.stop.store(false, Ordering::Relaxed);
    let _stop = StopAtEnd(Arc::clone(&backups));
    if let Err(e) = backups.take_over().await {
        log::error!("where backups go is not known: {e}");
    }
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

/// One that is made ends, however it does: after a panic another is made when it is due.
struct End<'a>(&'a Backups, &'a Settings);

impl Drop for End<'_> {
    fn drop(&mut self) {
        let Self(backups, settings) = self;
        if std::thread::panicking() {
            log::error!("making a backup ended with a panic; it will be tried again");
            let why =
                "it ended with an error in Webstead itself, which the log of the server shows";
            let place = backups.place_of(settings);
            let noted = State::update_place(backups.folder.root(), &place, |record| {
                record.failed = Some((Timestamp::now(), why.to_owned()));
            });
            if let Err(e) = noted {
                log::warn!("how the backup went is not remembered: {e}");
            }
        }
        *held(&backups.waits) = Instant::now();
        *held(&backups.doing) = None;
    }
}

/// What is to be done beside the requests.
#[derive(Clone, Copy)]
enum Work {
    /// A backup; `takes_over` is what a person says: see [`Round`].
    Round { takes_over: bool },
    /// The trial of one that could not be tried.
    Trial(Untried),
}

/// What makes backups; one for the server.
pub(super) struct Backups {
    folder: DataFolder,
    /// Where the settings of the machine are, which a backup has too.
    file: PathBuf,
    database: Database,
    /// What the file says.
    of_file: Mutex<Settings>,
    /// What counts: the file's, with the place that was set in the browser.
    settings: Mutex<Settings>,
    /// What is in the place.
    listed: Arc<Looks<Listing>>,
    /// What is in places that the owner asks about.
    looked: Arc<Looks<Found>>,
    /// Since when this waits for the next one, by a clock that nobody sets.
    waits: Mutex<Instant>,
    doing: Mutex<Option<(String, usize, usize)>>,
    /// When one was last begun that could not be noted.
    begun_unnoted: Mutex<Option<Instant>>,
    warning: Mutex<Option<String>>,
    stop: Arc<AtomicBool>,
    /// Itself: a thread that makes one keeps it.
    this: Weak<Self>,
}

impl Backups {
    /// With the settings of the machine, for the site in a folder.
    pub(super) fn new(folder: &DataFolder, database: &Database, config: &Config) -> Arc<Self> {
        database.limit_log(config.backup.most_log_bytes());
        Arc::new_cyclic(|this| Self {
            folder: folder.clone(),
            file: config.file.clone(),
            database: database.clone(),
            of_file: Mutex::new(config.backup.clone()),
            settings: Mutex::new(config.backup.clone()),
            listed: Looks::new(PATIENCE),
            looked: Looks::new(PATIENCE_TO_LOOK),
            waits: Mutex::new(Instant::now()),
            doing: Mutex::default(),
            begun_unnoted: Mutex::default(),
            warning: Mutex::default(),
            stop: Arc::default(),
            this: this.clone(),
        })
    }

    /// Other settings of the file count from now on.
    pub(super) async fn replace_settings(&self, settings: Settings) {
        self.database.limit_log(settings.most_log_bytes());
        held(&self.of_file).clone_from(&settings);
        if let Err(e) = self.take_over().await {
            log::error!("where backups go, as it was set in the browser, is not known: {e}");
            *held(&self.settings) = settings;
        }
    }

    /// What is in the place of these settings, as it is now or was when it last answered.
    async fn listed(&self, settings: &Settings, seen: &mut Seen) {
        let ways = Ways::of(settings, self.folder.root(), stores::FEW_TRIES);
        let Some(target) = target_of(settings, ways) else {
            return;
        };
        let root = self.folder.root().to_path_buf();
        let place = target.to_string();
        let known = self
            .listed
            .at(&place, move || listing(&target, &root))
            .await;
        let at = known.found.as_ref().map(|found| found.at);
        seen.silent = known.silent.map(|silent| (silent.as_secs(), at));
        let Some(found) = known.found else { return };
        seen.is_on_same_disk = found.is_on_same_disk;
        seen.reach = found.reach;
        match found.backups {
            Ok(backups) => seen.backups = backups,
            Err(why) => seen.unlisted = Some(why),
        }
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
        let record = self.record(&settings);
        let waited_s = i64::try_from(held(&self.waits).elapsed().as_secs()).unwrap_or(i64::MAX);
        let (when, now) = (settings.when(), Timestamp::now());
        let warning = schedule::warning(when, &record, now, waited_s);
        *held(&self.warning) = warning.map(|why| format!("{why} The page Backups says more."));
        if self.is_fresh(when.period_s()) {
            return;
        }
        if schedule::is_due(when, &record, now, waited_s, &TimeZone::system()) {
            self.start(settings, Work::Round { takes_over: false });
        } else if let Some(untried) = record.untried
            && schedule::is_trial_due(&untried, now)
        {
            self.start(settings, Work::Trial(untried));
        }
    }

    /// Whether one was begun within so many seconds that could not be noted, because the disk takes no writes.
    fn is_fresh(&self, period_s: i64) -> bool {
        let begun = *held(&self.begun_unnoted);
        begun.is_some_and(|begun| begun.elapsed().as_secs() < period_s.unsigned_abs())
    }

    /// What is remembered of the place.
    fn record(&self, settings: &Settings) -> Record {
        State::load(self.folder.root()).of(&self.place_of(settings))
    }

    /// The place of these settings, as it is remembered.
    fn place_of(&self, settings: &Settings) -> String {
        let place = settings.to.as_ref();
        let place = place.map(|to| to.seen_from(self.folder.root()).to_string());
        place.unwrap_or_default()
    }

    /// One that is being made ends soon, and leaves nothing behind.
    fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Begins one, or the trial of one that could not be tried, unless one is being made.
    fn start(&self, settings: Settings, what: Work) {
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
                let end = End(&this, &settings);
                match what {
                    Work::Round { takes_over } => this.tell(&this.round(&settings, takes_over)),
                    Work::Trial(untried) => this.try_again(&settings, untried),
                }
                drop(end);
                this.look();
            });
        if let Err(e) = begun {
            log::error!("no backup was made: {e}");
            *held(&self.doing) = None;
        }
    }

    fn round(&self, settings: &Settings, takes_over: bool) -> Result<Outcome> {
        // Before it begins, so that one that ends with the power is not begun at each start.
        let noted = State::update_place(self.folder.root(), &self.place_of(settings), |record| {
            (record.last_begun, record.is_broken_off) = (Some(Timestamp::now()), false);
        });
        if self.folder.is_on_read_only_disk() {
            *held(&self.begun_unnoted) = Some(Instant::now());
        } else {
            noted?;
        }
        self.with_round(settings, takes_over, |round, progress| {
            round.go(progress, &self.stop)
        })
    }

    fn try_again(&self, settings: &Settings, untried: Untried) {
        let number = untried.number;
        let tried = self.with_round(settings, false, |round, progress| {
            round.try_again(untried, progress, &self.stop)
        });
        match tried {
            Ok(None) => {}
            Ok(Some(trial)) => told(number, &trial),
            Err(_) if self.stop.load(Ordering::Relaxed) => {}
            Err(e) => log::error!("backup {number} could not be tried: {e}"),
        }
    }

    fn with_round<T>(
        &self,
        settings: &Settings,
        takes_over: bool,
        work: impl FnOnce(&Round<'_>, Progress<'_>) -> Result<T>,
    ) -> Result<T> {
        let root = self.folder.root();
        let ways = Ways {
            stop: Arc::clone(&self.stop),
            ..Ways::of(settings, root, stores::TRIES)
        };
        let target = target_of(settings, ways)
            .ok_or_else(|| Error::Invalid("no place is set for backups".into()))?;
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
            takes_over,
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
        work(&round, &progress)
    }

    fn tell(&self, outcome: &Result<Outcome>) {
        match outcome {
            Ok(Outcome {
                made,
                trial,
                unpruned,
            }) => {
                match trial {
                    Some(Ok(trial)) => told(made.number, trial),
                    Some(Err(_)) if self.stop.load(Ordering::Relaxed) => {}
                    Some(Err(e)) => log::error!(
                        "backup {} was made, but could not be tried: {e}; it is tried again in an hour",
                        made.number
                    ),
                    None => {}
                }
                if let Some(why) = unpruned {
                    log::error!("backups that need not be kept are still there: {why}");
                }
                for warning in &made.warnings {
                    log::warn!("backup {}: {warning}", made.number);
                }
            }
            Err(_) if self.stop.load(Ordering::Relaxed) => {
                log::info!(
                    "a backup was broken off, because this process ends; it is begun again half a minute after another one serves the site"
                );
            }
            Err(e) => log::error!("no backup was made: {e}"),
        }
    }
}

fn told(number: u64, trial: &Trial) {
    match trial.problems.first() {
        None => log::info!("backup {number} was made and is sound"),
        Some(why) => log::error!("backup {number} was made, but is not sound: {why}"),
    }
}

fn target_of(settings: &Settings, ways: Ways) -> Option<Target> {
    let to = settings.to.as_ref()?.seen_from(&ways.data);
    Some(ways.to(to))
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
            let mut seen = Seen {
                is_of_file: held(&self.of_file).to.is_some(),
                ..Seen::default()
            };
            let Some(to) = &settings.to else { return seen };
            let record = self.record(&settings);
            seen.place = Some(to.seen_from(self.folder.root()).to_string());
            seen.when = in_words(settings.when());
            seen.last_proven = record.last_proven;
            (seen.failed, seen.asks) = (record.failed, record.asks);
            self.listed(&settings, &mut seen).await;
            // What the place says of them counts, also where this machine does not remember it.
            let proven = seen
                .backups
                .iter()
                .filter(|backup| backup.trust == Trust::Proven);
            seen.last_proven = proven
                .map(|backup| backup.made_at)
                .max()
                .max(seen.last_proven);
            seen.doing.clone_from(&held(&self.doing));
            seen.is_broken_off = record.is_broken_off && seen.doing.is_none();
            seen
        })
    }

    fn is_of_file(&self) -> bool {
        held(&self.of_file).to.is_some()
    }

    fn check_place(&self, keys: &str) -> std::result::Result<(), Vec<FieldError>> {
        backup_place::check(keys, self.folder.root())
    }

    fn look_at(&self, keys: &str, secret: Option<String>) -> Soon<'_, Found> {
        let (settings, problem) = backup_place::effective(&held(&self.of_file), Some(keys));
        // Another secret is another look; what is kept of it tells nothing.
        let about = format!("{keys}{}", secret.as_deref().unwrap_or_default());
        let about = HEXLOWER.encode(&Sha256::digest(about));
        let data = self.folder.root().to_path_buf();
        Box::pin(async move {
            if let Some(why) = problem {
                let texts = vec![why];
                return Found {
                    texts,
                    ..Found::default()
                };
            }
            let look = move || backup_place::look(&settings, &data, secret);
            let known = self.looked.at(&about, look).await;
            match (known.silent, known.found) {
                (None, Some(found)) => found,
                (silent, _) => Found {
                    texts: vec![format!(
                        "It has not answered for {} seconds. Is it there, and is the way to it open?",
                        silent.unwrap_or_default().as_secs()
                    )],
                    ..Found::default()
                },
            }
        })
    }

    fn own_key(&self) -> Result<String> {
        stores::own_key_line(self.folder.root())
    }

    fn has_secret(&self, kind: Kind) -> bool {
        backup_place::has_secret(self.folder.root(), kind)
    }

    fn keep_secret(&self, kind: Kind, keys: &str, secret: &str) -> Result<()> {
        backup_place::keep_secret(self.folder.root(), kind, keys, secret)
    }

    fn put_secret_back(&self, kind: Kind) -> Result<()> {
        backup_place::put_secret_back(self.folder.root(), kind)
    }

    fn take_over(&self) -> Soon<'_, Result<()>> {
        Box::pin(async {
            let stored = self.database.read(find_place).await?;
            let of_file = held(&self.of_file).clone();
            let (settings, problem) = backup_place::effective(&of_file, stored.keys.as_deref());
            if let Some(why) = problem {
                log::warn!("{why}");
            }
            let before = std::mem::replace(&mut *held(&self.settings), settings.clone());
            if before.to != settings.to {
                // A place has a period's time for its first backup before anybody is warned.
                *held(&self.waits) = Instant::now();
                *held(&self.warning) = None;
            }
            Ok(())
        })
    }

    fn begin(&self, takes_over: bool) {
        let settings = held(&self.settings).clone();
        if settings.to.is_some() {
            self.start(settings, Work::Round { takes_over });
        }
    }
}
