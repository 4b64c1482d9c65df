//! Where backups go, as people write it.

use std::{
    fmt, fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Deserialize;

use super::{
    folder::FolderStore,
    keys::{Encryption, Keys},
    repository::Repository,
    s3::{self, Access, Bucket, S3Store},
    store::Store,
};
use crate::base::{Error, Result, secrets};

/// Where disks are put that come and go.
const FOR_DISKS: [&str; 3] = ["/mnt", "/media", "/run/media"];

/// A place for backups: a folder, or a bucket of a store.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub struct Target {
    kind: Kind,
    way: Way,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Folder(PathBuf),
    Bucket(Bucket),
}

/// Finds out how to get at a bucket, when somebody has to.
#[derive(Clone, Default)]
struct Way(Option<Arc<dyn Fn() -> Result<Access> + Send + Sync>>);

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "known" } else { "unknown" })
    }
}

impl PartialEq for Way {
    /// It makes no other place of it.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

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
            return Err(
                "a place for backups is a folder, such as \"/mnt/stick/backups\", or a bucket, such as \"s3://my-bucket/site\"".into(),
            );
        }
        let kind = if text.starts_with(s3::SCHEME) {
            Kind::Bucket(text.parse()?)
        } else if text.contains("://") {
            return Err(format!(
                "{text:?} is neither a folder nor a bucket; write a path, such as \"/mnt/stick/backups\", or \
                 \"s3://my-bucket/site\""
            ));
        } else {
            Kind::Folder(PathBuf::from(text))
        };
        Ok(Self {
            kind,
            way: Way::default(),
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Folder(path) => path.display().fmt(f),
            Kind::Bucket(bucket) => bucket.fmt(f),
        }
    }
}

impl Target {
    /// A relative folder, seen from the data folder.
    #[must_use]
    pub fn seen_from(&self, data: &Path) -> Self {
        match &self.kind {
            Kind::Folder(path) => Self {
                kind: Kind::Folder(data.join(path)),
                way: self.way.clone(),
            },
            Kind::Bucket(_) => self.clone(),
        }
    }

    /// The same, with a way to it, if it needs one. It is asked for only when something is wanted from there.
    #[must_use]
    pub fn reached_by(self, way: impl Fn() -> Result<Access> + Send + Sync + 'static) -> Self {
        Self {
            way: Way(Some(Arc::new(way))),
            ..self
        }
    }

    fn store(&self) -> Result<Box<dyn Store>> {
        match &self.kind {
            Kind::Folder(path) => Ok(Box::new(FolderStore::new(path))),
            Kind::Bucket(bucket) => {
                let way = self.way.0.as_ref();
                let way = way.ok_or_else(|| Error::Internal(format!("no way to {self}")))?;
                Ok(Box::new(S3Store::new(bucket.clone(), way()?)?))
            }
        }
    }

    /// The repository that is there.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there is none.
    pub fn open(&self, keys: &Keys<'_>) -> Result<Repository> {
        self.find(keys)?.ok_or_else(|| {
            Error::Invalid(match self.kind {
                Kind::Folder(_) => format!(
                    "there are no backups in {self}; is its disk there, and is it the right folder?"
                ),
                Kind::Bucket(_) => {
                    format!("there are no backups in {self}; is it the right bucket, and what follows it?")
                }
            })
        })
    }

    /// The repository that is there, if there is one.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it cannot be read.
    pub fn find(&self, keys: &Keys<'_>) -> Result<Option<Repository>> {
        Repository::open(self.store()?, keys)
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
                let where_to_look = match self.kind {
                    Kind::Folder(_) => {
                        "is the disk there? (`mount` shows it.) To begin anew in this folder"
                    }
                    Kind::Bucket(_) => "were they removed? To begin anew there",
                };
                return Err(Error::Invalid(format!(
                    "the backups that were in {self} are not there, so none was made; {where_to_look}: webstead backup {self}"
                )));
            }
            (None, None) => {
                let store = self.store()?;
                match &self.kind {
                    Kind::Folder(path) => {
                        self.refuse_empty_mount_point(path)?;
                        self.refuse_other_content(path)?;
                    }
                    Kind::Bucket(_) => self.refuse_other_objects(&*store)?,
                }
                Repository::create(store, encryption)?
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
        if let Kind::Folder(path) = &self.kind
            && is_inside(path)
        {
            return Err(Error::Invalid(format!(
                "{self} is inside of the data folder, and would be lost with it; choose a folder on another disk"
            )));
        }
        Ok(())
    }

    /// Where disks are mounted, a folder that lies on the disk of the system itself waits for a disk.
    fn refuse_empty_mount_point(&self, folder: &Path) -> Result<()> {
        let is_for_disks = FOR_DISKS.iter().any(|place| folder.starts_with(place));
        let device = |path: &Path| fs::metadata(path).ok().map(|found| found.dev());
        let there = folder.ancestors().find_map(device);
        if is_for_disks && there == device(Path::new("/")) {
            return Err(Error::Invalid(format!(
                "no disk is mounted at {self}: the backups would go to the disk of the system itself; mount the disk \
                 first, or choose a folder elsewhere"
            )));
        }
        Ok(())
    }

    /// A folder that has something else in it is not filled with backups.
    fn refuse_other_content(&self, folder: &Path) -> Result<()> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
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

    /// What else is where parts of backups go would be swept away.
    fn refuse_other_objects(&self, store: &dyn Store) -> Result<()> {
        for folder in ["objects", "backups", "tried"] {
            if let Some(other) = store.list(folder)?.first() {
                return Err(Error::Invalid(format!(
                    "there is something else in {self} ({}); choose a place for the backups alone, such as {self}/backups",
                    other.name
                )));
            }
        }
        Ok(())
    }

    /// Whether the backups lie on the same disk as the site.
    pub fn is_on_disk_of(&self, data: &Path) -> bool {
        let device = |path: &Path| fs::metadata(path).ok().map(|found| found.dev());
        match &self.kind {
            Kind::Folder(path) => device(path).is_some_and(|there| device(data) == Some(there)),
            Kind::Bucket(_) => false,
        }
    }
}
