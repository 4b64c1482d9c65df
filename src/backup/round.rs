//! One round: a backup is made and tried, what need not be kept goes, and this machine remembers how it went.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{
    Encryption, Keys, Made, Progress, Record, Repository, Rule, Source, State, Target, Trial,
    Untried, Which, list, make, prune, prune::prune_for_another, repository::Kept,
    store::is_no_room, try_out,
};
use crate::{
    base::{Error, Result, Timestamp},
    db::KeptChanges,
};

/// What a round does.
pub struct Round<'a> {
    /// The site.
    pub source: &'a Source,
    /// Where its backups go.
    pub target: &'a Target,
    /// Whether a place is taken that has other backups than the last time, or none any more: only when a person says so. One
    /// that was never used is taken in any case.
    pub takes_new_place: bool,
    /// Whether a place is gone on with that has backups of which it is not certain that they are this site's alone: only
    /// when a person says so.
    pub takes_over: bool,
    /// Whether the backup is tried.
    pub tries: bool,
    /// Where its key is found.
    pub keys: Keys<'a>,
    /// How a new place is encrypted.
    pub encryption: Encryption,
    /// Which backups are kept; all of them without a rule.
    pub rule: Option<Rule>,
}

/// How it went.
#[derive(Debug)]
pub struct Outcome {
    /// The backup.
    pub made: Made,
    /// What came of trying it, if it was to be tried; an error if that could not be done.
    pub trial: Option<Result<Trial>>,
    /// Why others that need not be kept are still there.
    pub unpruned: Option<String>,
}

/// The place, as it was when the round began: the disk is asked once.
struct Here {
    /// As somebody has written it.
    written: String,
    /// As it is really called.
    name: String,
}

impl Here {
    fn of(target: &Target) -> Self {
        Self {
            written: target.to_string(),
            name: target.name(),
        }
    }
}

impl Round<'_> {
    /// Goes through it.
    ///
    /// # Errors
    /// If no backup was made.
    pub fn go(&self, progress: Progress<'_>, stop: &AtomicBool) -> Result<Outcome> {
        let here = Here::of(self.target);
        self.meet(&here);
        let opened = self.open(&here);
        let outcome =
            opened.and_then(|repository| self.go_in(&here.name, &repository, progress, stop));
        if let Err(e) = &outcome {
            self.remember_failure(&here.name, |record| {
                if stop.load(Ordering::Relaxed) {
                    // It was asked to, and is made as soon as somebody looks again.
                    (record.last_begun, record.is_broken_off) = (None, true);
                } else {
                    record.failed = Some((Timestamp::now(), e.to_string()));
                }
            });
        }
        outcome
    }

    /// Tries a backup again that could not be tried; nothing if it is not there any more.
    ///
    /// # Errors
    /// If that cannot be done now either.
    pub fn try_again(
        &self,
        untried: Untried,
        progress: Progress<'_>,
        stop: &AtomicBool,
    ) -> Result<Option<Trial>> {
        let here = Here::of(self.target);
        self.meet(&here);
        // Before it begins, so that one that ends with the power is not begun at each start.
        self.remember(&here.name, |record| note_try(record, untried));
        let tried = self.open(&here).and_then(|repository| {
            let listed = list(&repository)?;
            if !listed.iter().any(|backup| backup.number == untried.number) {
                return Ok(None);
            }
            let tried = self.tried(&repository, untried.number, progress, stop)?;
            if let Some(why) = self.prune(&repository) {
                log::warn!("backups that need not be kept are still there: {why}");
            }
            Ok(Some(tried))
        });
        let is_stopped = stop.load(Ordering::Relaxed);
        self.remember(&here.name, |record| match &tried {
            Ok(None) => record.untried = None,
            Ok(Some(trial)) => note_trial(record, untried, Ok(trial), is_stopped),
            Err(e) => note_trial(record, untried, Err(e), is_stopped),
        });
        tried
    }

    /// Remembers what the place is called, and forgets others that never worked.
    fn meet(&self, Here { written, name }: &Here) {
        self.remember_of_all(|state| {
            // What somebody tries by hand is a place once it has worked.
            if !self.takes_new_place || state.places.contains_key(written) {
                state.meet(written, name);
            }
            if !self.takes_new_place {
                state.forget_tries(name);
            }
        });
    }

    /// Remembers something else of the place.
    fn remember(&self, name: &str, change: impl FnOnce(&mut Record)) {
        self.remember_of_all(|state| change(state.places.entry(name.to_owned()).or_default()));
    }

    /// Remembers why it went wrong, unless somebody has tried a place by hand that never worked.
    fn remember_failure(&self, name: &str, change: impl FnOnce(&mut Record)) {
        self.remember_of_all(|state| {
            if !self.takes_new_place || state.places.contains_key(name) {
                change(state.places.entry(name.to_owned()).or_default());
            }
        });
    }

    /// Remembers something else. Where nothing can be written that is known, and nothing is said of it.
    fn remember_of_all(&self, change: impl FnOnce(&mut State)) {
        if self.source.is_read_only() {
            return;
        }
        if let Err(e) = State::update(self.source.folder.root(), change) {
            // A backup of a site whose disk is full is worth more than this.
            log::warn!("how the backup went is not remembered: {e}");
        }
    }

    fn open(&self, Here { written, name }: &Here) -> Result<Repository> {
        let data = self.source.folder.root();
        let state = State::load(data);
        // Not what was there when this was a link to somewhere else.
        let record = state.places.get(name);
        let was_used = record.and_then(|record| record.repository.clone());
        let known = was_used.clone().filter(|_| !self.takes_new_place);
        let repository =
            self.target
                .open_or_create(data, known.as_deref(), &self.keys, &self.encryption)?;
        if was_used.is_none() && !self.takes_over {
            self.refuse_unasked(name, &repository, state.is_copy)?;
        }
        self.remember_of_all(|state| {
            state.meet(written, name);
            let record = state.places.entry(name.clone()).or_default();
            (record.repository, record.asks) = (Some(repository.id().to_owned()), false);
        });
        Ok(repository)
    }

    /// The same in a repository, remembered under the real name of its place. A backup that was made counts as made, whatever comes afterwards: another one would not
    /// go better, and one each hour would fill the place.
    pub(super) fn go_in(
        &self,
        name: &str,
        repository: &Repository,
        progress: Progress<'_>,
        stop: &AtomicBool,
    ) -> Result<Outcome> {
        let make_it = || make(self.source, repository, progress, stop);
        let prune_for_it = |rule| prune_for_another(repository, rule);
        let made = self.with_room(make_it, prune_for_it)?;
        let untried = Untried {
            number: made.number,
            made_at: made.at,
            last_try: Some(Timestamp::now()),
        };
        self.remember(name, |record| {
            record.last_made = Some(Timestamp::now());
            (record.failed, record.asks) = (None, false);
            record.is_broken_off = false;
            if self.tries {
                record.untried = Some(untried);
            }
        });
        let trial = self
            .tries
            .then(|| self.tried(repository, made.number, progress, stop));
        let is_stopped = stop.load(Ordering::Relaxed);
        let unpruned = if is_stopped {
            None
        } else {
            self.prune(repository)
        };
        self.remember(name, |record| {
            if let Some(trial) = &trial {
                note_trial(record, untried, trial.as_ref(), is_stopped);
            }
            if let (None, Some(why)) = (&record.failed, &unpruned) {
                let why = format!(
                    "backup {} was made, but others that need not be kept are still there: {why}",
                    made.number
                );
                record.failed = Some((Timestamp::now(), why));
            }
        });
        if !is_stopped
            && !self.source.is_read_only()
            && let Err(e) = self.sweep_log(name, repository)
        {
            log::warn!("the log of changes was not shortened: {e}");
        }
        Ok(Outcome {
            made,
            trial,
            unpruned,
        })
    }

    fn tried(
        &self,
        repository: &Repository,
        number: u64,
        progress: Progress<'_>,
        stop: &AtomicBool,
    ) -> Result<Trial> {
        let data = self.source.folder.root();
        let which = Which::Number(number);
        let try_it = || try_out(repository, which, data, progress, stop);
        self.with_room(try_it, |rule| prune(repository, rule, false))
    }

    /// Does something, and if there is no room for it, once more when those backups are gone that need not be kept.
    fn with_room<T>(
        &self,
        work: impl Fn() -> Result<T>,
        make_room: impl Fn(Rule) -> Result<super::Pruned>,
    ) -> Result<T> {
        let first = work();
        let (Err(e), Some(rule)) = (&first, self.rule) else {
            return first;
        };
        if !is_no_room(e) {
            return first;
        }
        match make_room(rule) {
            Ok(pruned) if pruned.removed.is_empty() && pruned.freed_bytes == 0 => first,
            Ok(pruned) => {
                log::warn!(
                    "{e}; {} backups that need not be kept were removed, and it is tried once more",
                    pruned.removed.len()
                );
                work()
            }
            Err(why) => {
                log::warn!("backups that need not be kept could not be removed: {why}");
                first
            }
        }
    }

    /// Removes what need not be kept; says why that could not be done, or not all of it.
    fn prune(&self, repository: &Repository) -> Option<String> {
        match prune(repository, self.rule?, false) {
            Ok(pruned) => {
                let first = pruned.unswept.first()?;
                Some(format!(
                    "what they have left behind cannot be told apart from what this one may need: {first}; the manual says \
                     under /help/backups what to do"
                ))
            }
            Err(e) => Some(e.to_string()),
        }
    }

    /// In a place that this machine has never used, there may be the backups of another site that goes on: two would push
    /// out each other's.
    fn refuse_unasked(&self, name: &str, repository: &Repository, is_copy: bool) -> Result<()> {
        let contents = repository.contents()?;
        let Some(last) = contents.kept.last() else {
            return Ok(());
        };
        let place = self.target;
        let why = if is_copy {
            format!(
                "this site was restored beside another one, whose backups are in {place}, and the two would push out each \
                 other's; if the other one is not used any more, go on with them"
            )
        } else if last.manifest.first_account.is_none() {
            format!(
                "there are backups in {place} already, of a site without any account, so it cannot be told whether it was \
                 this one; if it was, go on with them"
            )
        } else {
            return Ok(());
        };
        self.remember_failure(name, |record| record.asks = true);
        Err(Error::Invalid(format!(
            "{why}: webstead backup --take-over {place}, or the button under Backups in the browser; if not, choose another \
             place"
        )))
    }

    /// Forgets the changes that no backup could use any more, in no place that this machine knows.
    fn sweep_log(&self, name: &str, repository: &Repository) -> Result<()> {
        let Some(log) = KeptChanges::open(&self.source.folder.database())? else {
            return Ok(());
        };
        let mut needed = None;
        for Kept { manifest, .. } in repository.contents()?.kept {
            if let Some(place) = manifest.changes
                && log.has(place)?
            {
                needed = Some(needed.map_or(place.number, |other: i64| other.min(place.number)));
            }
        }
        drop(log);
        let Some(needed) = needed else {
            return Ok(());
        };
        let state = State::update(self.source.folder.root(), |state| {
            state.needed_changes.insert(name.to_owned(), needed);
        })?;
        let first = state.needed_changes.into_values().min().unwrap_or(needed);
        self.source
            .with_database(|database| database.sweep_log(first))
    }
}

/// Notes that one is being tried.
fn note_try(record: &mut Record, untried: Untried) {
    record.untried = Some(Untried {
        last_try: Some(Timestamp::now()),
        ..untried
    });
}

/// Notes what came of trying one.
fn note_trial(
    record: &mut Record,
    untried: Untried,
    trial: Result<&Trial, &Error>,
    is_stopped: bool,
) {
    let number = untried.number;
    let fail = |why: String| Some((Timestamp::now(), why));
    record.untried = None;
    match trial {
        Ok(trial) => match trial.problems.first() {
            None => {
                record.last_proven = Some(untried.made_at);
                record.failed = None;
            }
            Some(why) => {
                record.failed = fail(format!("backup {number} was made, but is not sound: {why}"));
            }
        },
        Err(e) => {
            let last_try = (!is_stopped).then(Timestamp::now);
            record.untried = Some(Untried {
                last_try,
                ..untried
            });
            if !is_stopped {
                record.failed = fail(format!(
                    "backup {number} was made, but could not be tried: {e}. It is tried again in an hour"
                ));
            }
        }
    }
}
