//! What this machine remembers of its backups: `backups.json` in the data folder.

use std::{collections::BTreeMap, fs, io::ErrorKind, path::Path};

use serde::{Deserialize, Serialize};

use crate::base::{Error, Result, Timestamp, files};

/// The file's name in the data folder.
const FILE: &str = "backups.json";

/// What is remembered. It is for this machine alone, and a loss of it costs little.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// Each place that was used, as people write it.
    pub places: BTreeMap<String, Record>,
    /// The first row of the log of changes that a backup in each place could need.
    pub needed_changes: BTreeMap<String, i64>,
    /// The keys by which other machines are known, since somebody said that they are right.
    pub host_keys: BTreeMap<String, String>,
}

/// What is remembered of one place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// The id of the repository that was there.
    pub repository: Option<String>,
    /// When the server last began one by itself.
    pub last_begun: Option<Timestamp>,
    /// When the last one was made.
    pub last_made: Option<Timestamp>,
    /// When the last one was made that was tried and sound.
    pub last_proven: Option<Timestamp>,
    /// When one last failed, and why; nothing once another succeeded.
    pub failed: Option<(Timestamp, String)>,
}

/// The file as it was before places were remembered one by one.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Former {
    repositories: BTreeMap<String, String>,
    #[serde(flatten)]
    record: Record,
}

impl State {
    /// What is remembered in a data folder.
    pub fn load(data: &Path) -> Self {
        let path = data.join(FILE);
        let begin_anew = |e: String| {
            let what = "what is remembered of backups begins anew";
            log::warn!("{} cannot be read, so {what}: {e}", path.display());
            Self::default()
        };
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == ErrorKind::NotFound => return Self::default(),
            Err(e) => return begin_anew(e.to_string()),
        };
        let state = serde_json::from_slice(&text);
        let mut state: Self = state.unwrap_or_else(|e| begin_anew(e.to_string()));
        let former: Former = serde_json::from_slice(&text).unwrap_or_default();
        // Of several places it is not known to which the moments belong.
        let is_one = former.repositories.len() == 1;
        for (place, id) in former.repositories {
            let record = if is_one {
                former.record.clone()
            } else {
                Record::default()
            };
            let record = Record {
                repository: Some(id),
                ..record
            };
            state.places.entry(place).or_insert(record);
        }
        state
    }

    /// What is remembered of a place.
    pub fn of(&self, place: &str) -> Record {
        self.places.get(place).cloned().unwrap_or_default()
    }

    /// Remembers something else.
    ///
    /// # Errors
    /// [`Error::CannotSave`] if it cannot be written.
    pub fn update(data: &Path, change: impl FnOnce(&mut Self)) -> Result<Self> {
        let before = Self::load(data);
        let mut state = before.clone();
        change(&mut state);
        if state == before {
            return Ok(state);
        }
        let text = serde_json::to_vec_pretty(&state).map_err(Error::internal)?;
        let path = data.join(FILE);
        let written = files::write_whole(&path, &text, 0o600);
        written.map_err(|e| {
            Error::CannotSave(format!("{} cannot be written ({e})", path.display()))
        })?;
        Ok(state)
    }

    /// Remembers something else of a place.
    ///
    /// # Errors
    /// As [`State::update`].
    pub fn update_place(
        data: &Path,
        place: &str,
        change: impl FnOnce(&mut Record),
    ) -> Result<Self> {
        Self::update(data, |state| {
            change(state.places.entry(place.to_owned()).or_default());
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_has_a_history_of_its_own_and_the_former_file_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let made = Timestamp(1_800_000_000);
        State::update_place(dir.path(), "/mnt/a", |record| record.last_made = Some(made)).unwrap();
        let state = State::load(dir.path());
        assert_eq!(state.of("/mnt/a").last_made, Some(made));
        assert_eq!(state.of("/mnt/b"), Record::default());

        let at = serde_json::to_string(&made).unwrap();
        let former = format!(r#"{{"repositories":{{"/mnt/c":"ab"}},"last_proven":{at}}}"#);
        fs::write(dir.path().join(FILE), former).unwrap();
        let record = State::load(dir.path()).of("/mnt/c");
        assert_eq!(record.repository.as_deref(), Some("ab"));
        assert_eq!(record.last_proven, Some(made));
        fs::write(dir.path().join(FILE), "{").unwrap();
        assert_eq!(State::load(dir.path()), State::default());
    }
}
