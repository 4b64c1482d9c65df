//! What was asked of the router, in a small file: so that it is taken back when it is not wanted any more, also by a
//! later start or when the program is removed.

use std::{
    fs,
    io::ErrorKind,
    net::{Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{Forward, Gateway, Protocol, pcp::Nonce};
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
    /// The router's address on its other side, where it was told with this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) outside: Option<Ipv4Addr>,
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

/// A port of this machine that the router was asked to let visitors through to, over IPv6.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hole {
    /// At this machine.
    pub port: u16,
    /// The address of this machine.
    pub own: Ipv6Addr,
    /// The router.
    pub router: Ipv6Addr,
    /// How it was asked.
    pub protocol: Protocol,
    /// Seconds of Unix time when it ends by itself.
    pub until: i64,
    /// Seconds for which it was granted last.
    pub(super) lease_s: u32,
    /// What the router calls it over UPnP.
    pub(super) number: Option<u16>,
    pub(super) nonce: Nonce,
    /// It is not wanted any more, and was shortened because the router did not close it.
    #[serde(default)]
    pub(super) is_ending: bool,
}

impl Hole {
    /// Whether it has ended by itself.
    pub fn is_over(&self) -> bool {
        self.until < Timestamp::now().0
    }

    /// Time until half of its lifetime is over.
    pub(super) fn renewal_in(&self) -> Duration {
        half_of(self.until, self.lease_s)
    }
}

/// Time until half of a lifetime is over (RFC 6887 section 11.2.1).
pub(super) fn half_of(until: i64, lease_s: u32) -> Duration {
    let half = i64::from(lease_s / 2);
    let rest = until - Timestamp::now().0 - half;
    // When the clock was set back since, more would be left than there ever was.
    Duration::from_secs(rest.clamp(0, half.max(1)).unsigned_abs())
}

/// What is remembered of the router.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    /// What it was asked for, and perhaps granted.
    pub mapped: Vec<Mapped>,
    /// The same, over IPv6.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub holes: Vec<Hole>,
    /// What it was asked for over IPv6 and did not answer: it may have been granted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) unsure: Vec<Hole>,
    /// What is wrong now, as sentences.
    pub trouble: Vec<String>,
    /// The same of IPv6.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trouble6: Vec<String>,
}

impl Kept {
    /// Whether nothing was asked for.
    pub fn is_empty(&self) -> bool {
        self.mapped.is_empty() && self.holes.is_empty() && self.unsure.is_empty()
    }

    /// Of this data folder. A file that cannot be read counts as none.
    pub fn load(data: &Path) -> Self {
        Self::read(data).unwrap_or_else(|e| {
            log::warn!("{e}, and is not used");
            Self::default()
        })
    }

    /// Of this data folder.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there is a file that cannot be read, so that nobody knows what the router was asked for.
    pub fn read(data: &Path) -> Result<Self> {
        let path = path(data);
        let wrong = |e: &dyn std::fmt::Display| {
            Error::Invalid(format!("{} cannot be read ({e})", path.display()))
        };
        match fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text).map_err(|e| wrong(&e)),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(e) => Err(wrong(&e)),
        }
    }

    /// Writes it, or removes the file if there is nothing to remember.
    pub(super) fn save(&self, data: &Path) -> Result<()> {
        let path = path(data);
        if *self == Self::default() {
            return files::remove_if_there(&path).map_err(|e| Error::io("removing", path, e));
        }
        let text = serde_json::to_string_pretty(self).map_err(Error::internal)?;
        let written = files::write_whole(&path, text.as_bytes(), 0o600);
        written.map_err(|e| Error::io("writing", path, e))
    }

    /// The address of this router on its other side, if it was told with something that still holds.
    pub(super) fn outside(&self, gateway: Gateway) -> Option<Ipv4Addr> {
        let mut mapped = self.mapped.iter();
        mapped.find_map(|one| {
            let is_its = (one.router, one.own) == (gateway.address, gateway.own);
            one.outside.filter(|_| is_its && !one.is_over())
        })
    }

    /// Whether the same is remembered, but for how long it holds.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let mapped = |kept: &Self| -> Vec<_> {
            let all = kept.mapped.iter();
            all.map(|one| (one.forward(), one.own, one.router, one.protocol))
                .collect()
        };
        let holes = |kept: &Self| -> Vec<_> {
            let all = kept.holes.iter();
            all.map(|one| (one.port, one.own, one.router, one.protocol))
                .collect()
        };
        mapped(self) == mapped(other)
            && holes(self) == holes(other)
            && (&self.trouble, &self.trouble6) == (&other.trouble, &other.trouble6)
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

    /// What is remembered of a port of this machine, over IPv6.
    pub(super) fn hole(&self, port: u16) -> Option<&Hole> {
        self.holes.iter().find(|one| one.port == port)
    }

    pub(super) fn forget_hole(&mut self, port: u16) {
        self.holes.retain(|one| one.port != port);
    }

    /// One that the router has not answered, for this port of this machine.
    pub(super) fn unsure(&self, port: u16, own: Ipv6Addr) -> Option<&Hole> {
        let mut all = self.unsure.iter();
        all.find(|hole| hole.port == port && hole.own == own)
    }

    /// It is known now, or not known, what became of a hole.
    pub(super) fn note_unsure(&mut self, hole: Hole, is_unsure: bool) {
        let is_same = |one: &Hole| {
            (one.port, one.own, one.router, one.protocol)
                == (hole.port, hole.own, hole.router, hole.protocol)
        };
        self.unsure.retain(|one| !is_same(one));
        if is_unsure {
            self.unsure.push(hole);
        }
    }

    pub(super) fn remember_hole(&mut self, hole: Hole) {
        self.forget_hole(hole.port);
        self.holes.push(hole);
    }
}

fn path(data: &Path) -> PathBuf {
    data.join(FILE)
}
