//! What is known of the addresses and names, in `dns/state.json`; written only when something of it changes.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder},
    io::ErrorKind,
    net::{IpAddr, Ipv6Addr},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{found::Found, pause};
use crate::{
    base::{Error, Result, Timestamp, files},
    net::{
        dns::{Failure, FailureKind},
        last_addresses::put_in_front,
    },
};

/// The folder in the data folder.
const FOLDER: &str = "dns";
/// Far more than all names of a site need.
const MAX_BYTES: u64 = 1024 * 1024;
/// Addresses of either kind that are remembered.
const REMEMBERED: usize = 4;

/// How it stands with the names that follow this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// Its IPv4 address, or why there is none.
    pub v4: Found,
    /// Its IPv6 address, or why there is none.
    pub v6: Found,
    /// Each name that follows, with what it has.
    pub names: BTreeMap<String, NameState>,
    /// The addresses that this machine had, those that it has first, each since when it was known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<(IpAddr, Timestamp)>,
}

/// How it stands with one name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NameState {
    /// The addresses that it had when it was looked at last.
    pub has: Vec<IpAddr>,
    /// Whether anybody has said yet what it has.
    #[serde(skip_serializing_if = "is_false")]
    pub is_asked: bool,
    /// Those of them that were set here.
    pub published: Vec<IpAddr>,
    /// Since when it is known to have just these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Why the last try failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Failures since it worked last; that nobody could be asked is none.
    #[serde(skip_serializing_if = "is_zero")]
    pub failures: u32,
    /// When it is tried again; `None` if nothing failed, if it is tried all the time because nobody can be asked, or if
    /// it is not tried again ([`NameState::is_stopped`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_try: Option<Timestamp>,
    /// The settings and the secret with which the last try failed, without saying anything of them.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) failed_with: String,
    /// The addresses with which it failed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) failed_for: Vec<IpAddr>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's form
fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's form
fn is_false(is: &bool) -> bool {
    !is
}

impl NameState {
    /// Whether it is known what it has. What an earlier version kept does not say whether anybody was asked.
    pub fn is_known(&self) -> bool {
        self.is_asked || !self.has.is_empty() || self.since.is_some()
    }

    /// Whether it is not tried again before the settings or the secret change, or the owner asks for it.
    pub fn is_stopped(&self) -> bool {
        self.has_failed_as(FailureKind::Final)
    }

    /// Whether it is not tried again before the address changes too.
    pub fn waits_for_address(&self) -> bool {
        self.has_failed_as(FailureKind::Address)
    }

    pub(super) fn has_failed_as(&self, kind: FailureKind) -> bool {
        let failure = self.failure.as_ref();
        failure.is_some_and(|failure| failure.kind == kind)
    }

    /// Notes that it worked.
    pub(super) fn forget_failure(&mut self) {
        self.failure = None;
        self.failures = 0;
        self.next_try = None;
        self.failed_with.clear();
        self.failed_for.clear();
    }

    /// Notes a failure with these addresses, settings and secret.
    ///
    /// While nobody can be asked, the first time is kept: what is tried twice a minute is not written as often.
    pub(super) fn note(&mut self, failure: Failure, wanted: &[IpAddr], with: &str) {
        let is_unreachable = failure.kind == FailureKind::Unreachable;
        let is_same_with = self.failed_with == with;
        wanted.clone_into(&mut self.failed_for);
        with.clone_into(&mut self.failed_with);
        if is_unreachable && is_same_with && self.has_failed_as(FailureKind::Unreachable) {
            return;
        }
        if !is_same_with {
            self.failures = 0;
        }
        if !is_unreachable {
            self.failures = self.failures.saturating_add(1);
        }
        self.next_try = pause::next_try(self.failures, &failure, Timestamp::now(), pause::chance());
        self.failure = Some(failure);
    }
}

impl Report {
    /// The addresses that every name should have, as far as they are known.
    pub fn wanted(&self) -> Vec<IpAddr> {
        self.v4.address.into_iter().chain(self.v6.address).collect()
    }

    /// Remembers the addresses that were found.
    pub(super) fn remember(&mut self, now: Timestamp) {
        for address in self.wanted() {
            put_in_front(&mut self.addresses, address, now, REMEMBERED);
        }
    }
}

/// What the server that runs on this data folder, or ran last, knows; nothing if it knows nothing.
pub fn kept(data: &Path) -> Report {
    let path = path(data);
    let is_fine =
        fs::metadata(&path).is_ok_and(|found| found.is_file() && found.len() <= MAX_BYTES);
    let text = is_fine.then(|| fs::read_to_string(&path).ok()).flatten();
    let report = text.and_then(|text| serde_json::from_str(&text).ok());
    if report.is_none() && path.exists() {
        log::warn!("{} cannot be read; it is found out again", path.display());
    }
    report.unwrap_or_default()
}

/// The IPv6 address of this machine that its names have or are to have, if that is known.
pub fn published_v6(data: &Path) -> Option<Ipv6Addr> {
    match kept(data).v6.address? {
        IpAddr::V6(address) => Some(address),
        IpAddr::V4(_) => None,
    }
}

/// Keeps it.
pub(super) fn keep(data: &Path, report: &Report) -> Result<()> {
    let text = serde_json::to_string_pretty(report).map_err(Error::internal)?;
    write(data, &path(data), &text)
}

/// Writes a file of the folder, which is made if it is not there.
pub(super) fn write(data: &Path, file: &Path, text: &str) -> Result<()> {
    let folder = folder(data);
    match DirBuilder::new().mode(0o700).create(&folder) {
        Ok(()) => fs::File::open(&folder)
            .and_then(|made| files::give_to_owner_of(data, &made))
            .map_err(|e| Error::io("making the folder", &folder, e))?,
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
        Err(e) => return Err(Error::io("making the folder", folder, e)),
    }
    files::write_whole(file, text.as_bytes(), 0o600).map_err(|e| Error::io("writing", file, e))
}

pub(super) fn folder(data: &Path) -> PathBuf {
    data.join(FOLDER)
}

fn path(data: &Path) -> PathBuf {
    folder(data).join("state.json")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{NameState, Report, keep, kept, path};

    #[test]
    fn what_is_kept_is_read_again_and_what_is_damaged_counts_as_nothing() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(kept(data.path()), Report::default());
        let mut report = Report::default();
        report.v4.address = Some("8.8.4.4".parse().unwrap());
        let name = NameState {
            has: vec!["8.8.4.4".parse().unwrap()],
            failures: 2,
            ..NameState::default()
        };
        report.names.insert("a.example".into(), name);
        keep(data.path(), &report).unwrap();
        assert_eq!(kept(data.path()), report);
        for damaged in [
            "",
            "{",
            "[]",
            "{\"names\": 3}",
            "{\"v4\":{\"address\":\"x\"}}",
        ] {
            fs::write(path(data.path()), damaged).unwrap();
            assert_eq!(kept(data.path()), Report::default(), "{damaged}");
        }
    }
}
