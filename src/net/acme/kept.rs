//! What is kept of each certificate, in `tls/public/`: the certificate with its key, and when what is tried.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{Challenge, Failure, order::Issued, schedule, tried::Tried};
use crate::{
    base::{Error, Result, Timestamp},
    net::certificates::{Chain, files},
};

/// The folder below `tls/`.
const FOLDER: &str = "public";
/// A star is a nuisance in a shell.
const WILDCARD: &str = "_wildcard.";
/// What is written to see whether anything can be, and how much: as much as a certificate with its chain and key.
const PROBE: &str = ".probe";
const PROBE_BYTES: usize = 16 * 1024;

/// What is known of the certificate for a name.
#[derive(Default)]
pub(super) struct Kept {
    pub(super) chain: Option<Arc<Chain>>,
    pub(super) state: State,
    /// What was issued and the disk did not take: it is shown, and kept as soon as that is possible.
    pub(super) unsaved: Option<Issued>,
}

/// When what is tried; survives a restart.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct State {
    /// What has worked last.
    pub(super) challenge: Option<Challenge>,
    /// The directory of the authority that the certificate is from.
    pub(super) authority: Option<String>,
    /// Failures since it worked last.
    pub(super) failures: u32,
    pub(super) next_try: Option<Timestamp>,
    pub(super) failure: Option<Failure>,
    /// How many times a certificate was renewed by itself.
    pub(super) renewals: u32,
    /// Until when the record in the DNS is good that proved the name, if it says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) record_until: Option<Timestamp>,
    /// When the authority wants it to be renewed.
    pub(super) advised: Option<schedule::Window>,
    /// When the authority is asked for its advice again.
    pub(super) advice_until: Option<Timestamp>,
    /// What tries have taught.
    pub(super) tried: Tried,
}

impl Kept {
    /// What is kept for a name. What is damaged counts as not there, and the log says so.
    pub(super) fn load(data: &Path, name: &str) -> Self {
        let chain = read_chain(data, name).unwrap_or_else(|e| {
            log::warn!("the certificate of {name} in tls/{FOLDER} is not used: {e}");
            None
        });
        let state = files::read_secret(&path(data, name, "json"));
        let state = state.ok().flatten();
        let state = state.and_then(|text| serde_json::from_str(&text).ok());
        Self {
            chain: chain.map(Arc::new),
            state: state.unwrap_or_default(),
            unsaved: None,
        }
    }

    /// [`Kept::save_state`]; the log says if that failed.
    pub(super) fn keep_state(&self, data: &Path, name: &str) {
        if let Err(e) = self.save_state(data, name) {
            log::warn!("what is known of the certificate for {name} was not kept: {e}");
        }
    }

    /// Keeps when what is tried.
    pub(super) fn save_state(&self, data: &Path, name: &str) -> Result<()> {
        let text = serde_json::to_string_pretty(&self.state).map_err(Error::internal)?;
        files::create_folder_in(data, FOLDER)?;
        files::write(&path(data, name, "json"), &text, files::SECRET)
    }
}

/// Makes sure that a certificate can be kept before one is asked for: authorities give only so many in a week.
///
/// # Errors
/// What the disk says.
pub(super) fn probe(data: &Path) -> Result<()> {
    let folder = files::create_folder_in(data, FOLDER)?;
    let file = folder.join(PROBE);
    files::write(&file, &" ".repeat(PROBE_BYTES), files::SECRET)?;
    fs::remove_file(&file).map_err(|e| Error::io("removing", file, e))
}

/// Keeps a certificate with its key: in one file, so that they cannot come apart.
pub(super) fn save(data: &Path, name: &str, issued: &Issued) -> Result<()> {
    files::create_folder_in(data, FOLDER)?;
    let text = format!("{}{}", issued.key, issued.chain);
    files::write(&path(data, name, "pem"), &text, files::SECRET)
}

/// Removes the certificate for a name, such as one that was revoked.
pub(super) fn remove(data: &Path, name: &str) -> Result<()> {
    let file = path(data, name, "pem");
    fs::remove_file(&file).map_err(|e| Error::io("removing", file, e))
}

/// Removes everything that is kept for a name, such as one that is not the site's any more; says whether there was
/// something.
///
/// # Errors
/// [`Error::Io`].
pub fn forget(data: &Path, name: &str) -> Result<bool> {
    let mut was_there = false;
    for end in ["asked", "pem", "json"] {
        let file = path(data, name, end);
        match fs::remove_file(&file) {
            Ok(()) => was_there = true,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(Error::io("removing", file, e)),
        }
    }
    Ok(was_there)
}

/// Whether there is surely no certificate for a name any more.
pub(super) fn is_gone(data: &Path, name: &str) -> bool {
    matches!(path(data, name, "pem").try_exists(), Ok(false))
}

/// Why a certificate is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// The owner wants another one.
    Renew,
    /// The owner has changed something, and what failed may work now.
    TryAgain,
}

/// What is written where something has failed and is to be tried again.
const TRY_AGAIN: &str = "again";

/// Asks the server that runs on this folder, or will, for a new certificate for a name as soon as it can.
pub fn ask_to_renew(data: &Path, name: &str) -> Result<()> {
    ask(data, name, "")
}

/// Asks the server to try again what has failed for a name.
pub(super) fn ask_to_try_again(data: &Path, name: &str) -> Result<()> {
    ask(data, name, TRY_AGAIN)
}

fn ask(data: &Path, name: &str, what: &str) -> Result<()> {
    files::create_folder_in(data, FOLDER)?;
    files::write(&path(data, name, "asked"), what, files::SECRET)
}

/// Whether somebody has asked, and the server has not begun yet.
pub fn is_asked(data: &Path, name: &str) -> bool {
    path(data, name, "asked").exists()
}

/// A certificate and what is known of it are written one after the other within this time.
const BOTH_WITHIN: Duration = Duration::from_secs(20);

/// Whether there is another certificate for a name already, and what is known of it is still that of before: these are
/// two files, and the certificate is written first. After some seconds nothing more comes: the disk may have become full
/// between.
pub fn is_half_written(data: &Path, name: &str) -> bool {
    let written = |end: &str| fs::metadata(path(data, name, end)).and_then(|file| file.modified());
    let Ok(certificate) = written("pem") else {
        return false;
    };
    let is_new = certificate.elapsed().is_ok_and(|age| age < BOTH_WITHIN);
    is_new && written("json").map_or(true, |known| known < certificate)
}

/// Takes a request to meet it. One that cannot be taken away would be met for ever, and is none.
pub(super) fn take_request(data: &Path, name: &str) -> Option<Request> {
    let file = path(data, name, "asked");
    let what = fs::read_to_string(&file).unwrap_or_default();
    fs::remove_file(file).ok()?;
    Some(if what == TRY_AGAIN {
        Request::TryAgain
    } else {
        Request::Renew
    })
}

/// The certificate for a name, as it lies on the disk.
pub(super) fn read_chain(data: &Path, name: &str) -> Result<Option<Chain>> {
    let Some(text) = files::read_secret(&path(data, name, "pem"))? else {
        return Ok(None);
    };
    Chain::parse(&text, &text).map(Some)
}

/// The names of which something is kept, in order.
pub(super) fn names(data: &Path) -> Vec<String> {
    let entries = fs::read_dir(files::folder(data).join(FOLDER));
    let entries = entries.into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| {
            let file = entry.file_name().into_string().ok()?;
            let name = file.strip_suffix(".json")?;
            Some(name.replacen(WILDCARD, "*.", 1))
        })
        .collect();
    names.sort();
    names
}

fn path(data: &Path, name: &str, end: &str) -> PathBuf {
    let file = name.replacen("*.", WILDCARD, 1);
    files::folder(data)
        .join(FOLDER)
        .join(format!("{file}.{end}"))
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use super::{FOLDER, files, is_half_written, path};

    #[test]
    fn a_certificate_without_what_is_known_of_it_is_half_of_both() {
        let dir = tempfile::tempdir().unwrap();
        let (data, name) = (dir.path(), "example.org");
        files::create_folder_in(data, FOLDER).unwrap();
        assert!(!is_half_written(data, name), "there is nothing");
        let write = |end: &str, ago: u64| {
            let file = fs::File::create(path(data, name, end)).unwrap();
            let then = file.metadata().unwrap().modified().unwrap() - Duration::from_secs(ago);
            file.set_modified(then).unwrap();
        };
        for (end, ago, is_half) in [
            ("json", 90, false),
            ("pem", 60, false),
            ("pem", 7, true),
            ("json", 7, false),
            ("json", 6, false),
            ("pem", 5, true),
            ("json", 4, false),
        ] {
            write(end, ago);
            assert_eq!(is_half_written(data, name), is_half, "{end} {ago} s ago");
        }
        fs::remove_file(path(data, name, "json")).unwrap();
        assert!(is_half_written(data, name));
    }
}
