//! One round: a backup is made and tried, what need not be kept goes, and this machine remembers how it went.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use super::{
    Encryption, Keys, Made, Progress, Repository, Rule, Source, State, Target, Trial, Which, make,
    prune, repository::Kept, try_out,
};
use crate::{
    base::{Result, Timestamp},
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
        let place = self.target.to_string();
        let remembered = State::update_place(data, &place, |record| match &outcome {
            Ok(Outcome { made, trial }) => {
                let now = Timestamp::now();
                record.last_made = Some(now);
                record.failed = None;
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

    fn go_on(&self, data: &Path, progress: Progress<'_>, stop: &AtomicBool) -> Result<Outcome> {
        let place = self.target.to_string();
        let known = State::load(data).of(&place).repository;
        let known = known.filter(|_| !self.takes_new_place);
        let repository =
            self.target
                .open_or_create(data, known.as_deref(), &self.keys, &self.encryption)?;
        let noted = State::update_place(data, &place, |record| {
            record.repository = Some(repository.id().to_owned());
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
        if let Err(e) = self.sweep_log(data, &repository) {
            log::warn!("the log of changes was not shortened: {e}");
        }
        Ok(Outcome { made, trial })
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
