//! A repository of backups: its format, its key, and what is in it.

use std::collections::{HashMap, HashSet};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{
    keys::{self, Encryption, Keys},
    manifest::{self, FileEntry, Manifest},
    object::{self, Reference},
    rebuild,
    seal::Key,
    store::{Store, Stored, is_out_of_reach},
};
use crate::base::{Error, Result, Timestamp};

/// What a folder of backups is known by.
pub(super) const FORMAT_FILE: &str = "webstead-backups.json";
/// For who finds the folder and does not know what it is.
const READ_ME_FILE: &str = "READ-ME.txt";
const READ_ME: &str = include_str!("read_me.txt");
/// The most bytes of a small file.
const SMALL: usize = 64 * 1024;

/// The first file of a repository.
#[derive(Serialize, Deserialize)]
struct Format {
    /// The form of everything; 1.
    #[serde(rename = "format")]
    number: u32,
    /// A name that no other repository has.
    repository: String,
    /// Whether everything else is encrypted.
    sealed: bool,
}

/// A repository of backups.
pub struct Repository {
    pub(super) store: Box<dyn Store>,
    pub(super) id: String,
    pub(super) key: Option<Key>,
    /// Whether its first file is damaged or gone: it is written anew before the next backup.
    pub(super) is_without_format: bool,
}

/// A backup that is in a repository.
pub(super) struct Kept {
    /// Its file, without folder and ending.
    pub(super) name: String,
    pub(super) manifest: Manifest,
}

/// All the backups of a repository.
#[derive(Default)]
pub(super) struct Contents {
    /// Those that can be read, oldest first.
    pub(super) kept: Vec<Kept>,
    /// Files of those that cannot, and why.
    pub(super) unreadable: Vec<(String, String)>,
}

impl Contents {
    /// The highest number that a backup has, also one that cannot be read: no number is given twice.
    pub(super) fn last_number(&self) -> u64 {
        let unreadable = self.unreadable.iter();
        let unreadable = unreadable.filter_map(|(file, _)| number_of(file));
        let kept = self.kept.iter().map(|kept| kept.manifest.number);
        kept.chain(unreadable).max().unwrap_or(0)
    }

    /// The last of those that cannot be read and are newer than all that can, or may be; nothing if there is none.
    pub(super) fn newer_unreadable(&self) -> Option<&(String, String)> {
        let last = self.kept.last().map_or(0, |kept| kept.manifest.number);
        let newer = |(file, _): &&(String, String)| number_of(file).is_none_or(|n| n > last);
        let newer = self.unreadable.iter().filter(newer);
        newer.max_by_key(|(file, _)| number_of(file))
    }
}

/// Why a backup was not published.
#[derive(Debug)]
pub(super) struct Unpublished {
    pub(super) why: Error,
    /// Whether its manifest is surely not there. Otherwise nothing that it names may go.
    pub(super) is_away: bool,
}

/// What came of trying a backup.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Tried {
    /// When.
    pub(super) at: Timestamp,
    /// What was wrong; nothing if all was well.
    pub(super) problems: Vec<String>,
    /// Objects that were damaged or missing: the next backup writes them anew.
    pub(super) damaged: Vec<Reference>,
}

/// What need not be written again.
#[derive(Default)]
pub(super) struct Known {
    pub(super) objects: HashSet<Reference>,
    /// The files of earlier backups, by path.
    pub(super) files: HashMap<String, FileEntry>,
}

impl Repository {
    /// The repository in a place, if there is one.
    ///
    /// # Errors
    /// [`Error::Invalid`] if something else is there or its key is not known, [`Error::Damaged`] if its first file is
    /// damaged and there are no backups.
    pub(super) fn open(store: Box<dyn Store>, keys: &Keys<'_>) -> Result<Option<Self>> {
        let bytes = store.get(FORMAT_FILE, SMALL)?;
        let place = store.place();
        let format = bytes.as_deref().map(serde_json::from_slice::<Format>);
        let Some(Ok(format)) = format else {
            let found = rebuild::find_id(&*store, keys)?;
            if found.is_none() && bytes.is_some() {
                return Err(Error::Damaged(format!(
                    "{FORMAT_FILE} in {place} is damaged, and there are no backups; remove it to begin anew there"
                )));
            }
            return Ok(found.map(|(id, key)| {
                log::warn!(
                    "{FORMAT_FILE} in {place} is damaged or gone; the backups are used all the same"
                );
                Self {
                    store,
                    id,
                    key,
                    is_without_format: true,
                }
            }));
        };
        let is_id = format.repository.len() == 16
            && format.repository.bytes().all(|b| b.is_ascii_hexdigit());
        if format.number != 1 || !is_id {
            return Err(Error::Invalid(format!(
                "the backups in {place} were made by a newer Webstead; use that one"
            )));
        }
        let key = if format.sealed {
            Some(keys.find(&*store, &format.repository)?)
        } else {
            keys.refuse_plain(&*store, &format.repository)?;
            None
        };
        Ok(Some(Self {
            store,
            id: format.repository,
            key,
            is_without_format: false,
        }))
    }

    /// A new repository in a place that has none.
    pub(super) fn create(store: Box<dyn Store>, encryption: &Encryption) -> Result<Self> {
        let lock = store.lock(true)?;
        if store.get(FORMAT_FILE, SMALL)?.is_some() {
            return Err(Error::Invalid(format!(
                "somebody else has begun with backups in {} just now; try again",
                store.place()
            )));
        }
        let key = encryption.new_key(&*store)?;
        let mut id = [0; 8];
        getrandom::fill(&mut id).map_err(Error::internal)?;
        let id = HEXLOWER.encode(&id);
        let this = Self {
            store,
            id,
            key,
            is_without_format: true,
        };
        this.write_format()?;
        drop(lock);
        Ok(this)
    }

    /// Writes the first file anew if it is damaged or gone. Only with the lock for changing.
    pub(super) fn write_format(&self) -> Result<()> {
        if !self.is_without_format {
            return Ok(());
        }
        let format = Format {
            number: 1,
            repository: self.id.clone(),
            sealed: self.key.is_some(),
        };
        self.store.put(READ_ME_FILE, READ_ME.as_bytes())?;
        let format = serde_json::to_vec_pretty(&format).map_err(Error::internal)?;
        self.store.publish(FORMAT_FILE, &format)
    }

    /// What people call the place.
    pub fn place(&self) -> String {
        self.store.place()
    }

    /// Its own name, which no other has.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What its key is called among the secrets of a machine.
    pub(super) fn key_name(&self) -> String {
        keys::secret_name(&self.id)
    }

    /// The files that open it without this machine, each with its SHA-256.
    pub(super) fn key_files(&self) -> Result<Vec<(String, String)>> {
        let mut files = Vec::new();
        for name in keys::FILES {
            if let Some(bytes) = self.store.get(name, SMALL)? {
                let digest = HEXLOWER.encode(&Sha256::digest(&bytes));
                files.push((name.to_owned(), digest));
            }
        }
        Ok(files)
    }

    /// Every backup.
    ///
    /// # Errors
    /// If the place does not answer. A backup that is damaged is no error.
    pub(super) fn contents(&self) -> Result<Contents> {
        let mut contents = Contents::default();
        for file in self.store.list("backups")? {
            match self.read_manifest(&file) {
                Ok(kept) => contents.kept.push(kept),
                Err(e) if is_out_of_reach(&e) => return Err(e),
                Err(why) => contents.unreadable.push((file.name, why.to_string())),
            }
        }
        // Two of the same number can only come of two machines that knew nothing of each other.
        let order = |kept: &Kept| (kept.manifest.number, kept.name.clone());
        contents.kept.sort_by_key(order);
        Ok(contents)
    }

    fn read_manifest(&self, file: &Stored) -> Result<Kept> {
        let damaged = || Error::Damaged("it is damaged".into());
        let name = file.name.strip_prefix("backups/");
        let name = name.and_then(|name| name.strip_suffix(".json"));
        let name = name.ok_or_else(damaged)?;
        let (number, check) = name.split_once('-').ok_or_else(damaged)?;
        let most = object::most_stored(manifest::MAX_MANIFEST_BYTES);
        let bytes = self.store.get(&file.name, most)?.ok_or_else(damaged)?;
        if check_of(&bytes) != check {
            return Err(damaged());
        }
        let bytes = self.opened(number, bytes).ok_or_else(damaged)?;
        let manifest = Manifest::parse(&bytes, &self.id)?;
        if manifest_number(manifest.number) != number {
            return Err(damaged());
        }
        Ok(Kept {
            name: name.to_owned(),
            manifest,
        })
    }

    /// Writes a manifest: from now on the backup exists.
    pub(super) fn publish(&self, manifest: &Manifest) -> Result<(), Unpublished> {
        let (name, bytes) = self
            .written(manifest)
            .map_err(|why| Unpublished { why, is_away: true })?;
        let file = format!("backups/{name}.json");
        match self.store.publish(&file, &bytes) {
            Ok(()) => Ok(()),
            // It may be there all the same, and only the answer was lost.
            Err(why) => Err(Unpublished {
                is_away: self.store.remove(&file).is_ok(),
                why,
            }),
        }
    }

    /// A manifest as it is stored, and its name.
    fn written(&self, manifest: &Manifest) -> Result<(String, Vec<u8>)> {
        let bytes = serde_json::to_vec_pretty(manifest).map_err(Error::internal)?;
        if bytes.len() > manifest::MAX_MANIFEST_BYTES {
            let what =
                "this site is too large for a backup: more than a terabyte or a million files";
            return Err(Error::TooLarge(what.into()));
        }
        let number = manifest_number(manifest.number);
        let bytes = self.sealed(&number, bytes)?;
        Ok((format!("{number}-{}", check_of(&bytes)), bytes))
    }

    /// The files of all results: a list takes its time where the place is far away.
    pub(super) fn all_tried(&self) -> Result<Vec<Stored>> {
        self.store.list("tried")
    }

    /// The last result of trying a backup, among these files.
    pub(super) fn tried_among(&self, files: &[Stored], name: &str) -> Result<Option<Tried>> {
        let mut last: Option<Tried> = None;
        for file in files {
            let tried = self.read_tried(&file.name, name)?;
            if let Some(tried) = tried
                && last.as_ref().is_none_or(|last| last.at < tried.at)
            {
                last = Some(tried);
            }
        }
        Ok(last)
    }

    fn read_tried(&self, file: &str, of: &str) -> Result<Option<Tried>> {
        let check = file.strip_prefix("tried/").and_then(|f| f.strip_prefix(of));
        let check = check.and_then(|rest| rest.strip_prefix('-')?.strip_suffix(".json"));
        let Some(check) = check else {
            return Ok(None);
        };
        // What is damaged says nothing: the backup is tried once more.
        let bytes = or_damaged(self.store.get(file, object::most_stored(SMALL)))?;
        let bytes = bytes.filter(|bytes| check_of(bytes) == check);
        let bytes = bytes.and_then(|bytes| self.opened(of, bytes));
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Writes down what came of trying a backup.
    pub(super) fn write_tried(&self, name: &str, tried: &Tried) -> Result<()> {
        self.forget_tried(name)?;
        let bytes = serde_json::to_vec_pretty(tried).map_err(Error::internal)?;
        let bytes = self.sealed(name, bytes)?;
        let file = format!("tried/{name}-{}.json", check_of(&bytes));
        self.store.publish(&file, &bytes)
    }

    /// Forgets what came of trying a backup.
    pub(super) fn forget_tried(&self, name: &str) -> Result<()> {
        let start = format!("tried/{name}-");
        for file in self.store.list("tried")? {
            if file.name.starts_with(&start) {
                self.store.remove(&file.name)?;
            }
        }
        Ok(())
    }

    /// Removes objects that nothing names; says how many bytes they had.
    pub(super) fn sweep(&self, there: &[Stored], named: &HashSet<Reference>) -> Result<u64> {
        let mut freed = 0;
        for file in there {
            let is_named =
                Reference::of_file(&file.name).is_some_and(|found| named.contains(&found));
            if !is_named {
                self.store.remove(&file.name)?;
                freed += file.bytes;
            }
        }
        Ok(freed)
    }

    /// The content of an object.
    ///
    /// # Errors
    /// [`Error::Damaged`] if it is damaged or not there.
    pub(super) fn object(&self, reference: &Reference, max_bytes: usize) -> Result<Vec<u8>> {
        let most = object::most_stored(max_bytes);
        let stored = self.store.get(&reference.file(), most)?;
        let stored =
            stored.ok_or_else(|| Error::Damaged(format!("the object {reference} is not there")))?;
        object::unpack(reference, stored, max_bytes, self.key.as_ref())
    }

    /// Files that lists name, a list at a time.
    pub(super) fn files<'a>(
        &'a self,
        lists: impl Iterator<Item = &'a Reference>,
    ) -> impl Iterator<Item = (&'a Reference, Result<Vec<FileEntry>>)> {
        lists.map(|list| {
            let read = self.object(list, manifest::MAX_FILES_BYTES);
            (list, read.and_then(|bytes| manifest::parse_files(&bytes)))
        })
    }

    /// Blocks of a database that lists name, a list at a time.
    pub(super) fn blocks<'a>(
        &'a self,
        lists: impl Iterator<Item = &'a Reference>,
    ) -> impl Iterator<Item = (&'a Reference, Result<Vec<Reference>>)> {
        lists.map(|list| {
            let read = self.object(list, manifest::MAX_LIST_BYTES);
            (list, read.and_then(|bytes| manifest::parse_list(&bytes)))
        })
    }

    /// Everything that backups name, and what of it could not be read.
    pub(super) fn named(&self, backups: &[Kept]) -> (Known, Vec<String>) {
        let (mut known, mut problems) = (Known::default(), Vec::new());
        for Kept { manifest, .. } in backups {
            let of = |e: Error| format!("backup {}: {e}", manifest.number);
            // Lists that other backups have too are read once.
            let mut lists = manifest.database.lists.clone();
            lists.retain(|list| known.objects.insert(list.clone()));
            for (_, blocks) in self.blocks(lists.iter()) {
                match blocks {
                    Ok(blocks) => known.objects.extend(blocks),
                    Err(e) => problems.push(of(e)),
                }
            }
            let mut lists = manifest.files.clone();
            lists.retain(|list| known.objects.insert(list.clone()));
            for (_, files) in self.files(lists.iter()) {
                match files {
                    Ok(files) => files.into_iter().for_each(|file| {
                        known.objects.extend(file.parts.iter().cloned());
                        known.files.insert(file.path.clone(), file);
                    }),
                    Err(e) => problems.push(of(e)),
                }
            }
        }
        (known, problems)
    }

    fn sealed(&self, name: &str, bytes: Vec<u8>) -> Result<Vec<u8>> {
        match &self.key {
            Some(key) => key.seal(name.as_bytes(), bytes),
            None => Ok(bytes),
        }
    }

    fn opened(&self, name: &str, bytes: Vec<u8>) -> Option<Vec<u8>> {
        match &self.key {
            Some(key) => key.open(name.as_bytes(), bytes),
            None => Some(bytes),
        }
    }
}

/// What was read; nothing if it is damaged.
pub(super) fn or_damaged(read: Result<Option<Vec<u8>>>) -> Result<Option<Vec<u8>>> {
    match read {
        Err(Error::Damaged(_)) => Ok(None),
        read => read,
    }
}

/// The number of a backup by the name of its file, which says it also where the file cannot be read.
pub(super) fn number_of(file: &str) -> Option<u64> {
    let name = file.strip_prefix("backups/")?.strip_suffix(".json")?;
    let (number, _) = name.split_once('-')?;
    let read: u64 = number.parse().ok()?;
    // No site has made so many; a name that says so is a mistake, and leaves no room for the next one.
    (manifest_number(read) == number && read < u64::from(u32::MAX)).then_some(read)
}

/// A number as names of files have it: in the order of numbers.
fn manifest_number(number: u64) -> String {
    format!("{number:08}")
}

/// Shows that a small file is as it was written.
pub(super) fn check_of(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes)[..8])
}
