//! The addresses under which the internet found this home, in `doctor.json`: so that the doctor knows later, and after a
//! restart, that they changed. Written only when one is new.

use std::{fs, net::IpAddr, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    base::{Error, Result, Timestamp, files},
    net::{dns::follow::Report, last_addresses::put_in_front},
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
}

/// The addresses that this home had and has: those that were noted, and those that dynamic DNS knows.
pub(super) fn homes(data: &Path, report: &Report) -> Vec<(IpAddr, Timestamp)> {
    let noted = load(data).homes;
    report.addresses.iter().copied().chain(noted).collect()
}

/// Notes that this home has these.
pub(super) fn note(data: &Path, homes: &[IpAddr]) -> Result<()> {
    let mut notes = load(data);
    let now = Timestamp::now();
    let mut is_new = false;
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
    use super::{FILE, Report, fs, homes, note};

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
        note(data, &[]).unwrap();
        assert!(!data.join(FILE).exists());
        note(data, &[at("8.8.8.8")]).unwrap();
        fs::remove_file(data.join(FILE)).unwrap();
        note(data, &[at("8.8.8.8"), at("2a00::1")]).unwrap();
        let written = || fs::metadata(data.join(FILE)).unwrap().modified().unwrap();
        let before = written();
        note(data, &[at("8.8.8.8"), at("2a00::1")]).unwrap();
        assert_eq!(written(), before);
        note(data, &[at("9.9.9.9")]).unwrap();
        assert_eq!(
            known().collect::<Vec<_>>(),
            ["9.9.9.9", "2a00::1", "8.8.8.8"]
        );
        fs::write(data.join(FILE), "{").unwrap();
        assert_eq!(known().count(), 0);
    }
}
