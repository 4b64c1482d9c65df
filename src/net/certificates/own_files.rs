//! Certificates of the owner's own: two files that something else renews, read again when they change.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use serde::{Deserialize, Serialize};

use super::{Chain, files};
use crate::base::{Error, Result, paths};

/// `files = [{ certificate = "FILE.pem", key = "FILE.pem" }]`; paths that are not absolute are below the data folder.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnFiles {
    /// The certificate and those that lead to its authority, in PEM.
    #[serde(deserialize_with = "paths::written")]
    pub certificate: PathBuf,
    /// Its private key, in PEM; may be in the same file.
    #[serde(deserialize_with = "paths::written")]
    pub key: PathBuf,
}

impl OwnFiles {
    /// What is in the files.
    ///
    /// # Errors
    /// [`Error::Invalid`] or [`Error::Io`] with the file and what is wrong with it.
    pub fn read(&self, data: &Path) -> Result<Chain> {
        let (certificate, key) = (data.join(&self.certificate), data.join(&self.key));
        let read = |file: &Path| {
            let missing = || Error::Invalid(format!("there is no file {}", file.display()));
            files::read(file)?.ok_or_else(missing)
        };
        Chain::parse(&read(&certificate)?, &read(&key)?).map_err(|e| {
            let (certificate, key) = (certificate.display(), key.display());
            Error::Invalid(format!("{certificate} with {key}: {e}"))
        })
    }
}

/// Two files, and what they held when they were sound last.
pub struct Watched {
    files: OwnFiles,
    seen: Option<[Option<SystemTime>; 2]>,
    chain: Option<Arc<Chain>>,
    problem: Option<String>,
}

impl Watched {
    /// Nothing was read yet.
    pub fn new(files: OwnFiles) -> Self {
        Self {
            files,
            seen: None,
            chain: None,
            problem: None,
        }
    }

    /// Reads the files if they have changed; says whether there is another certificate now.
    ///
    /// What is not sound is not taken: what was read before stays. It is tried again each time, because two
    /// files change one after the other.
    pub fn look(&mut self, data: &Path) -> bool {
        let changed_at = |file: &Path| {
            fs::metadata(data.join(file))
                .and_then(|m| m.modified())
                .ok()
        };
        let seen = [
            changed_at(&self.files.certificate),
            changed_at(&self.files.key),
        ];
        if self.seen == Some(seen) && self.problem.is_none() {
            return false;
        }
        self.seen = Some(seen);
        match self.files.read(data) {
            Ok(chain) => {
                self.problem = None;
                let is_same = |old: &Arc<Chain>| old.leaf() == chain.leaf();
                if self.chain.as_ref().is_some_and(is_same) {
                    return false;
                }
                log::info!(
                    "the certificate of {} is shown from now on",
                    self.files.certificate.display()
                );
                self.chain = Some(Arc::new(chain));
                true
            }
            Err(e) => {
                let problem = e.to_string();
                if self.problem.as_ref() != Some(&problem) {
                    log::error!("a certificate is not taken, what is shown stays: {problem}");
                }
                self.problem = Some(problem);
                false
            }
        }
    }

    /// Which files they are.
    pub fn files(&self) -> &OwnFiles {
        &self.files
    }

    /// The certificate, if there was a sound one.
    pub fn chain(&self) -> Option<&Arc<Chain>> {
        self.chain.as_ref()
    }

    /// What is wrong with the files now.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }
}
