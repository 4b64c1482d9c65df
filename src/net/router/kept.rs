//! What was asked of the router, in a small file: so that it is taken back when it is not wanted any more, also by a
//! later start or when the program is removed.

use std::{
    fs,
    io::ErrorKind,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{Forward, Protocol, pcp::Nonce};
use crate::base::{Error, Result, Timestamp, files};

/// In the data folder.
const FILE: &str = "router.json";

/// A port that the router was asked to pass on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapped {
    /// At the router.
    pub external: u16,
    /// At this machine.
    pub internal: u16,
    /// What this machine was called on the router's side.
    pub own: Ipv4Addr,
    /// The router.
    pub router: Ipv4Addr,
    /// How it was asked.
    pub protocol: Protocol,
    /// Seconds of Unix time when it ends by itself; without, it never does.
    pub until: Option<i64>,
    /// Seconds for which it was granted last.
    #[serde(default)]
    pub(super) lease_s: u32,
    pub(super) nonce: Nonce,
}

impl Mapped {
    /// Both ports.
    pub fn forward(&self) -> Forward {
        Forward {
            external: self.external,
            internal: self.internal,
        }
    }

    /// Whether it has ended by itself.
    pub fn is_over(&self) -> bool {
        self.until.is_some_and(|until| until < Timestamp::now().0)
    }
}

/// What is remembered of the router.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    /// What it was asked for, and perhaps granted.
    pub mapped: Vec<Mapped>,
    /// What is wrong now, as sentences.
    pub trouble: Vec<String>,
}

impl Kept {
    /// Of this data folder. A file that cannot be read counts as none.
    pub fn load(data: &Path) -> Self {
        let path = path(data);
        match fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text).unwrap_or_else(|e| {
                log::warn!("{} cannot be read and is not used: {e}", path.display());
                Self::default()
            }),
            Err(e) if e.kind() == ErrorKind::NotFound => Self::default(),
            Err(e) => {
                log::warn!("{} cannot be read and is not used: {e}", path.display());
                Self::default()
            }
        }
    }

    /// Writes it, or removes the file if there is nothing to remember.
    pub(super) fn save(&self, data: &Path) -> Result<()> {
        let path = path(data);
        if *self == Self::default() {
            return match fs::remove_file(&path) {
                Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::io("removing", path, e)),
                _ => Ok(()),
            };
        }
        let text = serde_json::to_string_pretty(self).map_err(Error::internal)?;
        let written = files::write_whole(&path, text.as_bytes(), 0o600);
        written.map_err(|e| Error::io("writing", path, e))
    }

    /// What is remembered of an external port.
    pub(super) fn of(&self, external: u16) -> Option<&Mapped> {
        self.mapped.iter().find(|one| one.external == external)
    }

    pub(super) fn forget(&mut self, external: u16) {
        self.mapped.retain(|one| one.external != external);
    }

    pub(super) fn remember(&mut self, mapped: Mapped) {
        self.forget(mapped.external);
        self.mapped.push(mapped);
    }
}

fn path(data: &Path) -> PathBuf {
    data.join(FILE)
}
