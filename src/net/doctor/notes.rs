//! The addresses under which the internet found this home, and what the router said of port 443, in `doctor.json`: so
//! that the doctor knows later, and after a restart, that they changed. Written only when something is new.

use std::{fs, net::IpAddr, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    base::{Error, Result, Timestamp, files},
    net::{
        dns::follow::Report,
        doctor::facts::{Mapping, Router},
        last_addresses::put_in_front,
    },
};

/// In the data folder.
const FILE: &str = "doctor.json";
/// Far more than it has.
const MAX_BYTES: u64 = 64 * 1024;
/// Addresses of either kind that are remembered.
const PLACES: usize = 4;

/// What the doctor keeps for itself.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Notes {
    /// Newest first, each with the moment since which it is known.
    homes: Vec<(IpAddr, Timestamp)>,
    /// Where the router passes port 443 on to, in a word, and since when it says so.
    router: Option<(String, Timestamp)>,
}

/// The addresses that this home had and has: those that were noted, and those that dynamic DNS knows.
pub(super) fn homes(data: &Path, report: &Report) -> Vec<(IpAddr, Timestamp)> {
    let noted = load(data).homes;
    report.addresses.iter().copied().chain(noted).collect()
}

/// Since when the router says this: from now on, if it said something else when it was asked last.
pub(super) fn said_since(data: &Path, mapping: Mapping, now: Timestamp) -> Option<Timestamp> {
    let word = word(mapping)?;
    match load(data).router {
        // The clock may have been set back.
        Some((before, since)) if before == word && since.0 <= now.0 => Some(since),
        _ => Some(now),
    }
}

/// A router that says nothing may say the same as before when it is asked again.
fn word(mapping: Mapping) -> Option<String> {
    match mapping {
        Mapping::Untold => None,
        Mapping::Nobody => Some("nobody".into()),
        Mapping::To(to) => Some(to.to_string()),
    }
}

/// Notes that this home has these addresses, and that the router says this since then.
pub(super) fn note(data: &Path, homes: &[IpAddr], router: &Router) -> Result<()> {
    let mut notes = load(data);
    let now = Timestamp::now();
    let mut is_new = false;
    let said = word(router.mapping).zip(router.since);
    if said.is_some() && notes.router != said {
        notes.router = said;
        is_new = true;
    }
    for home in homes {
        is_new |= put_in_front(&mut notes.homes, *home, now, PLACES);
    }
    if !is_new {
        return Ok(());
    }
    let path = data.join(FILE);
    let text = serde_json::to_string_pretty(&notes).map_err(Error::internal)?;
    let written = files::write_whole(&path, text.as_bytes(), 0o600);
    written.map_err(|e| Error::io("writing", path, e))
}

/// Nothing, if there is no such file or it is damaged: it is a note, and is made again.
fn load(data: &Path) -> Notes {
    let path = data.join(FILE);
    let is_fine =
        fs::metadata(&path).is_ok_and(|found| found.is_file() && found.len() <= MAX_BYTES);
    let text = is_fine.then(|| fs::read_to_string(&path).ok()).flatten();
    let notes = text.and_then(|text| serde_json::from_str(&text).ok());
    notes.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{FILE, Mapping, Report, Router, Timestamp, fs, homes, note, said_since};

    #[test]
    fn an_address_is_written_down_when_it_is_new_and_only_then() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path();
        let known = || {
            homes(data, &Report::default())
                .into_iter()
                .map(|(ip, _)| ip.to_string())
        };
        let at = |text: &str| text.parse().unwrap();
        note(data, &[], &Router::default()).unwrap();
        assert!(!data.join(FILE).exists());
        note(data, &[at("8.8.8.8")], &Router::default()).unwrap();
        fs::remove_file(data.join(FILE)).unwrap();
        note(data, &[at("8.8.8.8"), at("2a00::1")], &Router::default()).unwrap();
        let written = || fs::metadata(data.join(FILE)).unwrap().modified().unwrap();
        let before = written();
        note(data, &[at("8.8.8.8"), at("2a00::1")], &Router::default()).unwrap();
        assert_eq!(written(), before);
        note(data, &[at("9.9.9.9")], &Router::default()).unwrap();
        assert_eq!(
            known().collect::<Vec<_>>(),
            ["9.9.9.9", "2a00::1", "8.8.8.8"]
        );
        fs::write(data.join(FILE), "{").unwrap();
        assert_eq!(known().count(), 0);
    }

    #[test]
    fn what_the_router_says_counts_from_when_it_said_something_else() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path();
        let here = Mapping::To("192.168.1.20:443".parse().unwrap());
        for (now, mapping, since) in [
            (10, Mapping::Nobody, Some(10)),
            (20, Mapping::Nobody, Some(10)),
            (30, Mapping::Untold, None),
            (40, Mapping::Nobody, Some(10)),
            (50, here, Some(50)),
            (60, here, Some(50)),
            (70, Mapping::Nobody, Some(70)),
            (60, Mapping::Nobody, Some(60)),
        ] {
            let found = said_since(data, mapping, Timestamp(now));
            assert_eq!(found, since.map(Timestamp), "{now} {mapping:?}");
            let router = Router {
                mapping,
                since: found,
                ..Router::default()
            };
            note(data, &[], &router).unwrap();
        }
    }
}
