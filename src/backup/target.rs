//! Where backups go, as people write it.

use std::{
    fmt, fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{
    folder::FolderStore,
    keys::{Encryption, Keys},
    repository::Repository,
    store::Store,
};
use crate::base::{Error, Result, secrets};

/// Where disks are put that come and go.
const FOR_DISKS: [&str; 3] = ["/mnt", "/media", "/run/media"];

/// A place for backups: a folder.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Target(PathBuf);

impl TryFrom<String> for Target {
    type Error = String;
    fn try_from(text: String) -> std::result::Result<Self, String> {
        text.parse()
    }
}

impl std::str::FromStr for Target {
    type Err = String;
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        if text.trim().is_empty() {
            return Err("a place for backups is a folder, such as \"/mnt/stick/backups\"".into());
        }
        if text.contains("://") {
            return Err(format!(
                "{text:?} is not a folder; write its path, such as \"/mnt/stick/backups\""
            ));
        }
        Ok(Self(PathBuf::from(text)))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

impl Target {
    /// A relative folder, seen from the data folder.
    #[must_use]
    pub fn seen_from(&self, data: &Path) -> Self {
        Self(data.join(&self.0))
    }

    fn store(&self) -> Box<dyn Store> {
        Box::new(FolderStore::new(&self.0))
    }

    /// The repository that is there.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there is none.
    pub fn open(&self, keys: &Keys<'_>) -> Result<Repository> {
        self.find(keys)?.ok_or_else(|| {
            Error::Invalid(format!(
                "there are no backups in {self}; is its disk there, and is it the right folder?"
            ))
        })
    }

    /// The repository that is there, if there is one.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it cannot be read.
    pub fn find(&self, keys: &Keys<'_>) -> Result<Option<Repository>> {
        Repository::open(self.store(), keys)
    }

    /// The repository that is there, or a new one. `known` is the one that was there the last time: another one
    /// in its place, or none, is the sign of a disk that is not there.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the remedy if a backup would go to the wrong place.
    pub fn open_or_create(
        &self,
        data: &Path,
        known: Option<&str>,
        keys: &Keys<'_>,
        encryption: &Encryption,
    ) -> Result<Repository> {
        self.refuse_inside(data)?;
        let repository = match (self.find(keys)?, known) {
            (Some(found), Some(known)) if found.id() != known => {
                return Err(Error::Invalid(format!(
                    "{self} has other backups than the last time; is another disk there? To use it from now on, make one \
                 backup by hand: webstead backup {self}"
                )));
            }
            (Some(found), _) if encryption.is_wanted() && found.key.is_none() => {
                return Err(Error::Invalid(format!(
                    "the backups in {self} are not encrypted; choose another folder for encrypted ones"
                )));
            }
            (Some(found), _) => found,
            (None, Some(_)) => {
                return Err(Error::Invalid(format!(
                    "the backups that were in {self} are not there, so none was made; is the disk there? (`mount` shows \
                 it.) To begin anew in this folder: webstead backup {self}"
                )));
            }
            (None, None) => {
                self.refuse_empty_mount_point()?;
                self.refuse_other_content()?;
                Repository::create(self.store(), encryption)?
            }
        };
        if let Some(key) = &repository.key {
            secrets::write(data, &repository.key_name(), &key.text())?;
        }
        Ok(repository)
    }

    /// Backups inside of what they are backups of would be lost with it.
    fn refuse_inside(&self, data: &Path) -> Result<()> {
        let is_inside = |path: &Path| {
            let there = path.ancestors().find_map(|path| path.canonicalize().ok());
            there.is_some_and(|path| data.canonicalize().is_ok_and(|data| path.starts_with(data)))
        };
        if is_inside(&self.0) {
            return Err(Error::Invalid(format!(
                "{self} is inside of the data folder, and would be lost with it; choose a folder on another disk"
            )));
        }
        Ok(())
    }

    /// Where disks are mounted, a folder that lies on the disk of the system itself waits for a disk.
    fn refuse_empty_mount_point(&self) -> Result<()> {
        let is_for_disks = FOR_DISKS.iter().any(|place| self.0.starts_with(place));
        let device = |path: &Path| fs::metadata(path).ok().map(|found| found.dev());
        let there = self.0.ancestors().find_map(device);
        if is_for_disks && there == device(Path::new("/")) {
            return Err(Error::Invalid(format!(
                "no disk is mounted at {self}: the backups would go to the disk of the system itself; mount the disk \
                 first, or choose a folder elsewhere"
            )));
        }
        Ok(())
    }

    /// A folder that has something else in it is not filled with backups.
    fn refuse_other_content(&self) -> Result<()> {
        let entries = fs::read_dir(&self.0).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let of_ours = ["lock", "READ-ME.txt", "lost+found"];
        let mut others = names.filter(|name| !of_ours.contains(&&**name) && !name.starts_with('.'));
        if let Some(name) = others.next() {
            return Err(Error::Invalid(format!(
                "there is something else in {self} ({name}); choose a folder for the backups alone, such as {self}/backups"
            )));
        }
        Ok(())
    }

    /// Whether the backups lie on the same disk as the site.
    pub fn is_on_disk_of(&self, data: &Path) -> bool {
        let device = |path: &Path| fs::metadata(path).ok().map(|found| found.dev());
        device(&self.0).is_some_and(|there| device(data) == Some(there))
    }
}
