//! One round: a backup is made and tried, what need not be kept goes, and this machine remembers how it went.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use super::{
    Encryption, Keys, Made, Progress, Record, Repository, Rule, Source, State, Target, Trial,
    Which, make, prune, repository::Kept, try_out,
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
    /// What came of trying it, if it was tried.
    pub trial: Option<Trial>,
}

impl Round<'_> {
    /// Goes through it.
    ///
    /// # Errors
    /// If no backup was made. A trial that could not be done is an error too, though the backup is there then.
    pub fn go(&self, progress: Progress<'_>, stop: &AtomicBool) -> Result<Outcome> {
        let data = self.source.folder.root();
        let outcome = self.go_on(data, progress, stop);
        let remembered = self.remember(|record| match &outcome {
            Ok(Outcome { made, trial }) => {
                let now = Timestamp::now();
                record.last_made = Some(now);
                (record.failed, record.asks) = (None, false);
                match trial {
                    Some(trial) if trial.problems.is_empty() => record.last_proven = Some(now),
                    Some(trial) => {
                        let why = format!(
                            "backup {} was made, but is not sound: {}",
                            made.number, trial.problems[0]
                        );
                        record.failed = Some((now, why));
                    }
                    None => {}
                }
            }
            // It was asked to, and is made as soon as somebody looks again.
            Err(_) if stop.load(Ordering::Relaxed) => record.last_begun = None,
            Err(e) => record.failed = Some((Timestamp::now(), e.to_string())),
        });
        if let Err(e) = remembered {
            log::warn!("how the backup went is not remembered: {e}");
        }
        outcome
    }

    /// Remembers something else of the place. Where nothing can be written that is known, and nothing is said of it.
    fn remember(&self, change: impl FnOnce(&mut Record)) -> Result<()> {
        if self.source.is_read_only() {
            return Ok(());
        }
        let data = self.source.folder.root();
        State::update_place(data, &self.target.to_string(), change).map(drop)
    }

    fn go_on(&self, data: &Path, progress: Progress<'_>, stop: &AtomicBool) -> Result<Outcome> {
        let state = State::load(data);
        let was_used = state.of(&self.target.to_string()).repository;
        let known = was_used.clone().filter(|_| !self.takes_new_place);
        let repository =
            self.target
                .open_or_create(data, known.as_deref(), &self.keys, &self.encryption)?;
        if was_used.is_none() && !self.takes_over {
            self.refuse_unasked(&repository, state.is_copy)?;
        }
        let noted = self.remember(|record| {
            (record.repository, record.asks) = (Some(repository.id().to_owned()), false);
        });
        if let Err(e) = noted {
            // A backup of a site whose disk is full is worth more than this.
            log::warn!("where the backups are is not remembered: {e}");
        }
        let made = make(self.source, &repository, progress, stop)?;
        let trial = if self.tries {
            let which = Which::Number(made.number);
            Some(try_out(&repository, which, data, progress, stop)?)
        } else {
            None
        };
        if let Some(rule) = self.rule {
            prune(&repository, rule, false)?;
        }
        if !self.source.is_read_only()
            && let Err(e) = self.sweep_log(data, &repository)
        {
            log::warn!("the log of changes was not shortened: {e}");
        }
        Ok(Outcome { made, trial })
    }

    /// In a place that this machine has never used, there may be the backups of another site that goes on: two would push
    /// out each other's.
    fn refuse_unasked(&self, repository: &Repository, is_copy: bool) -> Result<()> {
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
        if let Err(e) = self.remember(|record| record.asks = true) {
            log::warn!("that the owner is asked is not remembered: {e}");
        }
        Err(Error::Invalid(format!(
            "{why}: webstead backup {place}, or the button under Backups in the browser; if not, choose another place"
        )))
    }

    /// Forgets the changes that no backup could use any more, in no place that this machine knows.
    fn sweep_log(&self, data: &Path, repository: &Repository) -> Result<()> {
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
        let state = State::update(data, |state| {
            let place = self.target.to_string();
            state.needed_changes.insert(place, needed);
        })?;
        let first = state.needed_changes.into_values().min().unwrap_or(needed);
        self.source
            .with_database(|database| database.sweep_log(first))
    }
}
