//! Certificates of the owner's own: two files that something else renews, read again when they change.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use serde::{Deserialize, Serialize};

use super::{Chain, chain::key_in, files};
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
        let (of_certificate, of_key) = (read(&certificate)?, read(&key)?);
        let (certificate, key) = (certificate.display(), key.display());
        // Which of the two it is that has nothing in it.
        if let Err(e) = key_in(&of_key) {
            return Err(Error::Invalid(format!("{key}: {e}")));
        }
        Chain::parse(&of_certificate, &of_key)
            .map_err(|e| Error::Invalid(format!("{certificate} with {key}: {e}")))
    }
}

/// What to do about files that are not taken.
pub const FILES_REMEDY: &str = "Put the certificate with its chain into the one file and the key that it was made for into \
                                the other, both in PEM and readable for the user that the site runs as. They are looked at \
                                every few seconds; until they fit, what was shown before stays.";

/// How it stands with two files of the owner's.
#[derive(Clone, Debug)]
pub struct FilesState {
    /// Which files they are.
    pub files: OwnFiles,
    /// The certificate, if there was a sound one.
    pub chain: Option<Arc<Chain>>,
    /// What is wrong with the files now.
    pub problem: Option<String>,
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

    /// What is in the files now, told to nobody.
    pub fn read(files: OwnFiles, data: &Path) -> Self {
        let mut watched = Self::new(files);
        watched.seen = Some(watched.changed_at(data));
        match watched.files.read(data) {
            Ok(chain) => watched.chain = Some(Arc::new(chain)),
            Err(e) => watched.problem = Some(e.to_string()),
        }
        watched
    }

    /// Reads the files if they have changed; says whether there is another certificate now.
    ///
    /// What is not sound is not taken: what was read before stays. It is tried again each time, because two
    /// files change one after the other.
    pub fn look(&mut self, data: &Path) -> bool {
        let seen = self.changed_at(data);
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

    fn changed_at(&self, data: &Path) -> [Option<SystemTime>; 2] {
        [&self.files.certificate, &self.files.key].map(|file| {
            let metadata = fs::metadata(data.join(file));
            metadata.and_then(|m| m.modified()).ok()
        })
    }

    /// Which files they are.
    pub fn files(&self) -> &OwnFiles {
        &self.files
    }

    /// The certificate, if there was a sound one.
    pub fn chain(&self) -> Option<&Arc<Chain>> {
        self.chain.as_ref()
    }

    /// How it stands with them.
    pub fn state(&self) -> FilesState {
        FilesState {
            files: self.files.clone(),
            chain: self.chain.clone(),
            problem: self.problem.clone(),
        }
    }
}
