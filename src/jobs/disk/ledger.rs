//! What is remembered of the disk: `disk.json`. Its first line is JSON, and the second what the first one adds up to
//! ([`hash_of`]); a program that reads the JSON takes the first line.

use std::{collections::BTreeMap, fs, io, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    base::{Error, Result, Timestamp, files},
    db::{KnownFile, hash_of},
};

/// This machine's own numbers, beside the database.
pub(super) const FILE: &str = "disk.json";
/// Days that are kept.
pub(super) const MAX_DAYS: usize = 31;
/// Checks that are kept.
const MAX_CHECKS: usize = 20;

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
    /// Whether it was made at all, and did not end before it could say something.
    #[serde(default = "yes")]
    pub is_made: bool,
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

/// Whether something was written since `before`, but for the ledger: otherwise it would be written because it was
/// written.
pub(super) fn is_news(before: &BTreeMap<String, u64>, now: &BTreeMap<String, u64>) -> bool {
    now.iter()
        .any(|(name, sum)| name != FILE && before.get(name) != Some(sum))
}

/// Before that was noted, it was not asked.
fn yes() -> bool {
    true
}

/// What is remembered from one start to the next.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Ledger {
    /// The last days, oldest first.
    pub days: Vec<Day>,
    /// The last checks, oldest first.
    pub checks: Vec<Check>,
    /// Files beside the database and media as they were when everything was looked at.
    #[serde(rename = "small")]
    pub known_files: BTreeMap<String, KnownFile>,
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
        if !sum.is_empty() && sum != format!("{}\n", hash_of(ledger.as_bytes())) {
            return Err(damaged());
        }
        serde_json::from_str(ledger).map_err(|_| damaged())
    }

    /// The last check of everything, made or not: it says what is known to be wrong.
    pub(super) fn last_full(&self) -> Option<&Check> {
        self.checks.iter().rev().find(|check| check.is_full)
    }

    /// The last time that everything was looked at.
    pub fn last_made_full(&self) -> Option<&Check> {
        let mut checks = self.checks.iter().rev();
        checks.find(|check| check.is_full && check.is_made)
    }

    /// Adds a check, and forgets old ones; but not the last one of everything, which says when the next is due.
    pub(super) fn add_check(&mut self, check: Check) {
        self.checks.push(check);
        while self.checks.len() > MAX_CHECKS {
            let last = self.last_made_full().map(|check| check.at);
            let is_other = |check: &Check| !check.is_full || Some(check.at) != last;
            let oldest = self.checks.iter().position(is_other).unwrap_or(0);
            self.checks.remove(oldest);
        }
    }

    /// Writes it down, with its sum in a second line.
    pub(super) fn save(&self, folder: &Path) -> Result<()> {
        let ledger = serde_json::to_string(self).map_err(Error::internal)?;
        let text = format!("{ledger}\n{}\n", hash_of(ledger.as_bytes()));
        let path = folder.join(FILE);
        files::write_whole(&path, text.as_bytes(), 0o600).map_err(|e| Error::io("writing", path, e))
    }

    /// Adds what was written since `before`.
    pub(super) fn add(
        &mut self,
        today: String,
        before: &BTreeMap<String, u64>,
        now: &BTreeMap<String, u64>,
    ) {
        let new: Vec<(&String, u64)> = now
            .iter()
            .map(|(name, sum)| {
                let before = before.get(name).copied().unwrap_or(0);
                (name, sum.saturating_sub(before))
            })
            .filter(|(_, bytes)| *bytes > 0)
            .collect();
        let is_new_day = self.days.last().is_none_or(|day| day.day != today);
        if new.is_empty() {
            return;
        }
        if is_new_day {
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
    }
}
