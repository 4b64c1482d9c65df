//! What this machine remembers of its backups: `backups.json` in the data folder.

use std::{collections::BTreeMap, fs, path::Path};

use serde::{Deserialize, Serialize};

use crate::base::{Error, Result, Timestamp, files};

/// The file's name in the data folder.
const FILE: &str = "backups.json";

/// What is remembered. It is for this machine alone, and a loss of it costs little.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// The id of the repository in each place that was used.
    pub repositories: BTreeMap<String, String>,
    /// The first row of the log of changes that a backup in each place could need.
    pub needed_changes: BTreeMap<String, i64>,
    /// When the server last began one by itself.
    pub last_begun: Option<Timestamp>,
    /// When the last one was made.
    pub last_made: Option<Timestamp>,
    /// When the last one was made that was tried and sound.
    pub last_proven: Option<Timestamp>,
    /// When one last failed, and why; nothing once another succeeded.
    pub failed: Option<(Timestamp, String)>,
}

impl State {
    /// What is remembered in a data folder.
    pub fn load(data: &Path) -> Self {
        let text = fs::read(data.join(FILE)).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
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
}
