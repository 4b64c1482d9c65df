//! Where backups go, as people write it.

use std::{
    fmt, fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use rustix::fs::Access;
use serde::Deserialize;

use super::{
    folder::FolderStore,
    keys::{Encryption, Keys},
    repository::Repository,
    s3::{self, Bucket},
    sftp::{self, Place},
    store::Store,
};
use crate::{
    base::{Error, Result, paths, secrets},
    db::DataFolder,
};

/// Where disks are put that come and go.
const FOR_DISKS: [&str; 3] = ["/mnt", "/media", "/run/media"];

/// A place for backups: a folder, a bucket of a store, or a folder on another machine.
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
    Machine(Place),
}

/// Finds out how to get at a place on the network.
pub trait Network: Send + Sync {
    /// The way to a bucket.
    ///
    /// # Errors
    /// [`Error::Invalid`] with what is missing.
    fn to_bucket(&self) -> Result<s3::Access>;

    /// The way to another machine.
    ///
    /// # Errors
    /// [`Error::Invalid`] with what is missing.
    fn to_machine(&self, place: &Place) -> Result<sftp::Access>;
}

/// Who knows the way, and is asked when somebody has to get there.
#[derive(Clone, Default)]
struct Way(Option<Arc<dyn Network>>);

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
                "a place for backups is a folder, such as \"/mnt/stick/backups\", a bucket, such as \
                 \"s3://my-bucket/site\", or a folder on another machine, such as \"sftp://ada@nas.example/backups\"".into(),
            );
        }
        let kind = if text.starts_with(s3::SCHEME) {
            Kind::Bucket(text.parse()?)
        } else if text.starts_with(sftp::SCHEME) {
            Kind::Machine(text.parse()?)
        } else if text.contains("://") {
            return Err(format!(
                "{text:?} is no place for backups; write a path, such as \"/mnt/stick/backups\", or \
                 \"s3://my-bucket/site\", or \"sftp://ada@nas.example/backups\""
            ));
        } else {
            Kind::Folder(paths::whole(text)?)
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
            Kind::Machine(place) => place.fmt(f),
        }
    }
}

impl Target {
    /// A relative folder, seen from another one, such as the data folder.
    #[must_use]
    pub fn seen_from(&self, folder: &Path) -> Self {
        match &self.kind {
            Kind::Folder(path) => Self {
                // Without `.` and a slash at the end, which lead nowhere else.
                kind: Kind::Folder(folder.join(path).components().collect()),
                way: self.way.clone(),
            },
            Kind::Bucket(_) | Kind::Machine(_) => self.clone(),
        }
    }

    /// What it is really called: one folder, through whatever links and `..` it is written. Asks the disk, which may hang.
    pub fn name(&self) -> String {
        match &self.kind {
            Kind::Folder(path) => real(path).display().to_string(),
            Kind::Bucket(_) | Kind::Machine(_) => self.to_string(),
        }
    }

    /// The same, with a way to it, if it needs one. It is asked for only when something is wanted from there.
    #[must_use]
    pub fn reached_by(self, network: Arc<dyn Network>) -> Self {
        Self {
            way: Way(Some(network)),
            ..self
        }
    }

    /// Where it is on another machine, if it is there.
    pub fn on_machine(&self) -> Option<&Place> {
        match &self.kind {
            Kind::Machine(place) => Some(place),
            _ => None,
        }
    }

    /// Whether it is in a bucket of a store.
    pub fn is_bucket(&self) -> bool {
        matches!(self.kind, Kind::Bucket(_))
    }

    /// The store, for the site in a data folder if it is to be written to.
    fn store(&self, site: Option<&Path>) -> Result<Box<dyn Store>> {
        self.refuse_file()?;
        let network = || {
            let network = self.way.0.as_ref();
            network.ok_or_else(|| Error::Internal(format!("no way to {self}")))
        };
        Ok(match &self.kind {
            Kind::Folder(path) => {
                let store = FolderStore::new(path);
                Box::new(match site {
                    Some(data) => store.of_site(data),
                    None => store,
                })
            }
            Kind::Bucket(bucket) => s3::store(bucket.clone(), network()?.to_bucket()?)?,
            Kind::Machine(place) => sftp::store(place.clone(), network()?.to_machine(place)?),
        })
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
                Kind::Machine(_) => {
                    format!("there are no backups in {self}; is it the right folder?")
                }
            })
        })
    }

    /// The repository that is there, if there is one.
    ///
    /// # Errors
    /// As [`Repository::open`].
    pub fn find(&self, keys: &Keys<'_>) -> Result<Option<Repository>> {
        Repository::open(self.store(None)?, keys)
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
        let repository = match (Repository::open(self.store(Some(data))?, keys)?, known) {
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
                    Kind::Bucket(_) | Kind::Machine(_) => "were they removed? To begin anew there",
                };
                return Err(Error::Invalid(format!(
                    "the backups that were in {self} are not there, so none was made; {where_to_look}: webstead backup {self}"
                )));
            }
            (None, None) => {
                let store = self.store(Some(data))?;
                self.refuse_taken(&*store)?;
                Repository::create(store, encryption)?
            }
        };
        if let Some(key) = &repository.key {
            keep_key(data, &repository.key_name(), &key.text())?;
        }
        Ok(repository)
    }

    /// What is there for the site in a data folder; nothing if a new repository could be begun. Writes nothing.
    ///
    /// # Errors
    /// Why backups cannot go there.
    pub fn look(&self, data: &Path, keys: &Keys<'_>) -> Result<Option<Repository>> {
        self.refuse_inside(data)?;
        let found = self.find(keys)?;
        if found.is_none() {
            self.refuse_taken(&*self.store(None)?)?;
        }
        if let Kind::Folder(path) = &self.kind {
            self.refuse_unwritable(path)?;
        }
        Ok(found)
    }

    /// A new repository begins only where nothing else is.
    fn refuse_taken(&self, store: &dyn Store) -> Result<()> {
        match &self.kind {
            Kind::Folder(path) => {
                self.refuse_empty_mount_point(path)?;
                self.refuse_other_content(path)
            }
            Kind::Bucket(_) | Kind::Machine(_) => self.refuse_other_objects(store),
        }
    }

    /// A folder in which this program may not write is none for backups.
    fn refuse_unwritable(&self, folder: &Path) -> Result<()> {
        let there = folder.ancestors().find(|path| path.is_dir());
        let may = there.map(|path| rustix::fs::access(path, Access::WRITE_OK));
        match (there, may) {
            (Some(_), Some(Ok(()))) => Ok(()),
            (Some(there), Some(Err(e))) => Err(Error::Invalid(format!(
                "nothing may be written to {} ({}); check its owner, and, for a service, allow the folder first, as the \
                 manual says under /help/backups",
                there.display(),
                io::Error::from(e)
            ))),
            _ => Err(Error::Invalid(format!("{self} is nowhere on this machine"))),
        }
    }

    /// What of it cannot work for the site in a data folder, seen from which it is. Only the names are compared: a share
    /// that hangs is asked nothing.
    pub fn problem(&self, data: &Path) -> Option<String> {
        let Kind::Folder(path) = &self.seen_from(data).kind else {
            return None;
        };
        let (path, named) = (by_name(path), by_name(data));
        let real = data.canonicalize().unwrap_or_else(|_| named.clone());
        if !path.starts_with(named) && !path.starts_with(real) {
            return None;
        }
        let inside = self.is_inside();
        Some(match &self.kind {
            Kind::Folder(path) if path.is_relative() => format!(
                "to = \"{self}\" is seen from the data folder, and so it is inside of that and would be lost with it; \
                 write the whole path of a folder on another disk, such as \"/mnt/stick/backups\""
            ),
            _ => inside.to_string(),
        })
    }

    /// A file is no place, and has none in it.
    fn refuse_file(&self) -> Result<()> {
        let Kind::Folder(path) = &self.kind else {
            return Ok(());
        };
        let is_file = |path: &&Path| fs::metadata(path).is_ok_and(|found| !found.is_dir());
        match path.ancestors().find(is_file) {
            None => Ok(()),
            Some(file) => Err(Error::Invalid(format!(
                "{} is not a folder, and backups need one; choose another place",
                file.display()
            ))),
        }
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
            return Err(self.is_inside());
        }
        Ok(())
    }

    fn is_inside(&self) -> Error {
        Error::Invalid(format!(
            "{self} is inside of the data folder, and would be lost with it; choose a folder on another disk"
        ))
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
            Kind::Bucket(_) | Kind::Machine(_) => false,
        }
    }
}

/// Keeps the key of encrypted backups among the secrets of a machine.
fn keep_key(data: &Path, name: &str, text: &str) -> Result<()> {
    if secrets::read(data, name)?.as_deref() == Some(text) {
        return Ok(());
    }
    match secrets::write(data, name, text) {
        // Whoever may open the backups finds it beside them.
        Err(e) if DataFolder::at(data).is_on_read_only_disk() => {
            log::warn!("the key of these backups is not kept on this machine: {e}");
            Ok(())
        }
        written => written,
    }
}

/// A folder as the system finds it; what is not there yet is below what is.
fn real(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let there = path.ancestors().find_map(|above| {
        let rest = path.strip_prefix(above).ok()?;
        Some((above.canonicalize().ok()?, rest))
    });
    match there {
        Some((above, rest)) if rest.as_os_str().is_empty() => above,
        Some((above, rest)) => by_name(&above.join(rest)),
        None => by_name(&path),
    }
}

/// A path without `.` and `..`, as far as its name says where it leads.
pub(super) fn by_name(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}
