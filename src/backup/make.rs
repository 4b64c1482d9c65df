//! Makes a backup: whatever is in the repository already is not written again.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use data_encoding::HEXLOWER;
use ring::digest::{Context, SHA256};

use super::{
    ahead::{self, Read, changed},
    gather::named_by,
    manifest::{self, BLOCK_BYTES, BLOCKS_IN_LIST, DatabaseEntry, FileEntry, Manifest},
    object::{self, Reference},
    repository::{Known, Repository, Unpublished},
    source::Source,
    walk::walk,
};
use crate::{
    base::{Error, Result, Timestamp, Verdict},
    db::{Health, Snapshot, end_of_log, look_at_pages},
};

/// Files that one list names, at most.
const MOST_FILES_IN_LIST: usize = 4096;
/// Parts of files that one list names, at most, more or less.
const MOST_PARTS_IN_LIST: usize = 16 * 1024;
/// Warnings that are kept word for word.
const MOST_WARNINGS: usize = 50;

/// How it goes on: what is being done, how much of it is done, and of how much.
pub type Progress<'a> = &'a dyn Fn(&str, usize, usize);

/// A backup that was made.
#[derive(Clone, Debug)]
pub struct Made {
    /// 1, 2, 3 …
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// Bytes of the site.
    pub bytes: u64,
    /// Bytes that the repository has more than before.
    pub new_bytes: u64,
    /// Posts and pages.
    pub posts: u64,
    /// Files beside the database.
    pub files: u64,
    /// What the site had lost already, and what was left out.
    pub warnings: Vec<String>,
}

/// Makes a backup. Until this returns, the repository has the backups that it had before.
///
/// # Errors
/// [`Error::Invalid`] if somebody else is busy with the repository, [`Error::CannotSave`] if there is no room,
/// [`Error::Busy`] if `stop` was set; nothing is left behind then.
pub fn make(
    source: &Source,
    repository: &Repository,
    progress: Progress<'_>,
    stop: &AtomicBool,
) -> Result<Made> {
    refuse_damaged(source)?;
    let _lock = repository.store.lock(true)?;
    source.begin_log();
    repository.write_format()?;
    repository.store.sweep();
    let contents = repository.contents()?;
    let there = repository.store.list("objects")?;
    let (mut known, unread) = repository.named(&contents.kept);
    let is_whole = unread.is_empty() && contents.unreadable.is_empty();
    // Whatever becomes of them, nothing that an older backup names is removed.
    let named = known.objects.clone();
    // What is named but not there, or damaged, is written once more: that heals older backups too.
    let files = there.iter().filter_map(|f| Reference::of_file(&f.name));
    let files: HashSet<Reference> = files.collect();
    known.objects.retain(|named| files.contains(named));
    let (mut healed, all_tried) = (Vec::new(), repository.all_tried()?);
    for kept in &contents.kept {
        let tried = repository.tried_among(&all_tried, &kept.name)?;
        let damaged = tried.map(|tried| tried.damaged).unwrap_or_default();
        for reference in &damaged {
            known.objects.remove(reference);
        }
        if !damaged.is_empty() {
            healed.push((&kept.name, damaged));
        }
    }
    let last = contents.kept.last().map(|kept| &kept.manifest);
    let number = contents.last_number() + 1;
    let mut work = Work {
        repository,
        known,
        written: Vec::new(),
        new_bytes: 0,
        warnings: Vec::new(),
        untold: 0,
        lost_media: 0,
        progress,
        stop,
    };
    let made = work.manifest(source, number, last);
    let made = made.map_err(|why| Unpublished { why, is_away: true });
    let made = made.and_then(|manifest| repository.publish(&manifest).map(|()| manifest));
    let manifest = match made {
        Ok(manifest) => manifest,
        // A manifest that may be there needs them.
        Err(Unpublished {
            why,
            is_away: false,
        }) => return Err(why),
        Err(Unpublished { why: e, .. }) => {
            // What no manifest names is rubbish. If this is interrupted too, the next backup sweeps it.
            // Where the place is gone, so is the way to remove them.
            let remove = |written: Reference| repository.store.remove(&written.file());
            let new = |written: &Reference| !named.contains(written);
            let _ = work.written.into_iter().filter(new).try_for_each(remove);
            return Err(e);
        }
    };
    let written: HashSet<Reference> = work.written.into_iter().collect();
    for (name, damaged) in healed {
        // What the site does not have any more is not healed by it.
        if damaged.iter().all(|reference| written.contains(reference)) {
            repository.forget_tried(name)?;
        }
    }
    if is_whole {
        repository.sweep(&there, &named.union(&written).cloned().collect())?;
    }
    Ok(Made {
        number,
        at: manifest.made_at,
        bytes: manifest.database.bytes + manifest.file_bytes,
        new_bytes: manifest.new_bytes,
        posts: manifest.rows("posts"),
        files: manifest.file_count,
        warnings: manifest.warnings,
    })
}

/// A copy of damaged data would pass every trial, and push out those that are sound.
fn refuse_damaged(source: &Source) -> Result<()> {
    let mut found = Health::known_damage(source.folder.root());
    if found.unseen().is_some() {
        return found.insist();
    }
    // Before SQLite stumbles over it, which would be no word of damage, and before the log of changes is begun on top of it.
    // Not in the process that serves: to close a file of SQLite's would take its locks away. It compares what it copies.
    if found == Verdict::Sound && source.database.is_none() {
        found = look_at_pages(&source.folder.database());
        if let Some(damage) = found.damage() {
            tell(source, damage);
        }
    }
    found.damage().map_or(Ok(()), |damage| Err(refusal(damage)))
}

/// Tells whoever serves the site that nothing may be saved on top of damage.
fn tell(source: &Source, damage: &str) {
    if let Some(database) = &source.database {
        return database.health().note_damage(damage);
    }
    if let Err(e) = Health::tell_server(&source.folder, damage) {
        log::error!("{e}");
    }
}

fn refusal(damage: &str) -> Error {
    Error::Damaged(format!(
        "the data of this site are damaged ({damage}), and a backup of them would push out a sound one; see `webstead repair`, \
         or restore an earlier backup"
    ))
}

struct Work<'a> {
    repository: &'a Repository,
    known: Known,
    written: Vec<Reference>,
    new_bytes: u64,
    warnings: Vec<String>,
    /// Warnings that are not kept word for word.
    untold: u64,
    /// Media files that the site had lost.
    lost_media: u64,
    progress: Progress<'a>,
    stop: &'a AtomicBool,
}

impl Work<'_> {
    /// Backups of two sites in one place would push each other out.
    fn refuse_another_site(
        &self,
        last: Option<&Manifest>,
        first_account: Option<i64>,
    ) -> Result<()> {
        let Some(last) = last.filter(|last| last.first_account.is_some()) else {
            return Ok(());
        };
        if last.first_account == first_account {
            return Ok(());
        }
        Err(Error::Invalid(format!(
            "the backups in {} are of another site, {:?}; choose another folder for this one",
            self.repository.store.place(),
            last.site
        )))
    }

    fn manifest(
        &mut self,
        source: &Source,
        number: u64,
        last: Option<&Manifest>,
    ) -> Result<Manifest> {
        // Before, so that nothing is missing that was there at this time.
        let made_at = Timestamp::now();
        let snapshot = source.snapshot()?;
        let changes = end_of_log(snapshot.connection())?;
        let first_account = "SELECT min(id) FROM users";
        let first_account = snapshot
            .connection()
            .query_row(first_account, [], |row| row.get(0))?;
        self.refuse_another_site(last, first_account)?;
        let (database, verdict) = self.database(&snapshot)?;
        if let Some(damage) = verdict.damage() {
            tell(source, damage);
            return Err(refusal(damage));
        }
        if let Some(why) = verdict.unseen() {
            self.warn(why.to_owned());
        }
        let media: Vec<_> = named_by(snapshot.connection())?.into_iter().collect();
        let title = "SELECT value FROM settings WHERE name = 'title'";
        let title = snapshot.connection().query_row(title, [], |row| row.get(0));
        snapshot.insist_on_one_moment()?;
        // While it is there, the log of the database grows with every save. Files that are never changed need none.
        drop(snapshot);
        let files = self.files(source, &media)?;
        let (file_count, file_bytes) = (files.len() as u64, files.iter().map(|f| f.bytes).sum());
        if self.untold > 0 {
            self.warnings.push(format!("and {} more", self.untold));
        }
        let has_secrets = files.iter().any(|file| file.path.starts_with("secrets/"));
        let files = self.lists_of_files(files)?;
        Ok(Manifest {
            format: 1,
            repository: self.repository.id.clone(),
            number,
            made_at,
            webstead: env!("CARGO_PKG_VERSION").to_owned(),
            site: title.unwrap_or_default(),
            first_account,
            changes,
            database,
            files,
            file_count,
            file_bytes,
            new_bytes: self.new_bytes,
            has_secrets,
            key_files: self.repository.key_files()?,
            warnings: std::mem::take(&mut self.warnings),
            lost_media: Some(self.lost_media),
        })
    }

    /// The database, block by block, and whether it is what was written.
    fn database(&mut self, snapshot: &Snapshot) -> Result<(DatabaseEntry, Verdict)> {
        let blocks = snapshot.blocks(BLOCK_BYTES);
        let (mut lists, mut list, mut number) = (Vec::new(), Vec::new(), 0);
        let verdict = snapshot.each_block(BLOCK_BYTES, |block| {
            (self.progress)("database", number, blocks);
            list.push(self.keep(block)?);
            number += 1;
            if list.len() == BLOCKS_IN_LIST || number == blocks {
                lists.push(self.keep(&manifest::write_list(&list))?);
                list.clear();
            }
            Ok(())
        })?;
        let entry = DatabaseEntry {
            bytes: snapshot.bytes(),
            lists,
            rows: snapshot.rows()?,
        };
        Ok((entry, verdict))
    }

    /// Every file, by path.
    fn files(&mut self, source: &Source, media: &[(String, String)]) -> Result<Vec<FileEntry>> {
        let root = source.folder.root();
        let mut files = self.media(&source.folder.media(), media)?;
        let mut others = vec![("webstead.toml".to_owned(), source.settings.clone())];
        for folder in ["public", "tls", "secrets"] {
            if folder != "secrets" || source.with_secrets {
                walk(&root.join(folder), folder, &mut others, &mut |told| {
                    self.warn(told);
                })?;
            }
        }
        for (done, (path, file)) in others.iter().enumerate() {
            (self.progress)("other files", done, others.len());
            files.extend(self.file(path, file)?);
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }

    /// Files that never change: what an earlier backup has is not even opened.
    fn media(&mut self, folder: &Path, media: &[(String, String)]) -> Result<Vec<FileEntry>> {
        let (mut files, mut unread) = (Vec::new(), Vec::new());
        for medium in media {
            match self.kept_entry(&format!("media/{}", medium.0)) {
                Some(entry) => files.push(entry),
                None => unread.push(medium),
            }
        }
        let paths: Vec<PathBuf> = unread.iter().map(|(hash, _)| folder.join(hash)).collect();
        let (repository, kept) = (self.repository, files.len());
        ahead::each(&paths, repository.key.as_ref(), |number, read| {
            (self.progress)("pictures, files", kept + number, media.len());
            let (hash, name) = unread[number];
            files.extend(self.medium(&paths[number], read?, hash, name)?);
            Ok(())
        })?;
        Ok(files)
    }

    /// One of them that was read; if it is not what its name says, it is left out.
    fn medium(
        &mut self,
        file: &Path,
        read: Read,
        hash: &str,
        name: &str,
    ) -> Result<Option<FileEntry>> {
        let path = format!("media/{hash}");
        let before = self.written.len();
        let what = match read {
            Read::Missing => "missing",
            Read::Whole(whole) if HEXLOWER.encode(&whole.sha256) == hash => {
                let (reference, bytes) = whole.packed;
                let part = match self.known_as(whole.digest)? {
                    Some(there) => there,
                    None => self.put(reference, &bytes)?,
                };
                return Ok(Some(FileEntry {
                    path,
                    bytes: whole.bytes,
                    changed: whole.changed,
                    parts: vec![part],
                }));
            }
            Read::Whole(_) => "damaged",
            Read::Large => match self.read(&path, file)? {
                Some((entry, digest)) if digest == hash => return Ok(Some(entry)),
                Some(_) => "damaged",
                None => "missing",
            },
        };
        self.warn(format!(
            "the file {name} ({path}) is {what} on the site, so it is not in this backup"
        ));
        self.lost_media += 1;
        for wrong in self.written.split_off(before) {
            self.known.objects.remove(&wrong);
            self.repository.store.remove(&wrong.file())?;
        }
        Ok(None)
    }

    /// A file that may change: it is read if it looks as if it had.
    fn file(&mut self, path: &str, file: &Path) -> Result<Option<FileEntry>> {
        let found = match fs::metadata(file) {
            Ok(found) => found,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io("reading", file, e)),
        };
        if let Some(entry) = self.kept_entry(path)
            && entry.bytes == found.len()
            && entry.changed == changed(&found)
        {
            return Ok(Some(entry));
        }
        Ok(self.read(path, file)?.map(|(entry, _)| entry))
    }

    /// What an earlier backup has of a file, if all of it is still there.
    fn kept_entry(&self, path: &str) -> Option<FileEntry> {
        let entry = self.known.files.get(path)?;
        let is_there = entry
            .parts
            .iter()
            .all(|part| self.known.objects.contains(part));
        is_there.then(|| entry.clone())
    }

    /// Reads a file and keeps it; with the SHA-256 of all of it. `None` if it is not there.
    fn read(&mut self, path: &str, file: &Path) -> Result<Option<(FileEntry, String)>> {
        let reading = |e| Error::io("reading", file, e);
        let mut open = match File::open(file) {
            Ok(open) => open,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(reading(e)),
        };
        let found = open.metadata().map_err(reading)?;
        let mut entry = FileEntry {
            path: path.to_owned(),
            bytes: 0,
            changed: changed(&found),
            parts: Vec::new(),
        };
        let (mut whole, mut part) = (Context::new(&SHA256), Vec::new());
        loop {
            part.clear();
            let most = object::MAX_BYTES as u64;
            let read = io::Read::by_ref(&mut open)
                .take(most)
                .read_to_end(&mut part);
            if read.map_err(reading)? == 0 {
                return Ok(Some((entry, HEXLOWER.encode(whole.finish().as_ref()))));
            }
            entry.bytes += part.len() as u64;
            if entry.parts.is_empty() && part.len() < object::MAX_BYTES {
                // Nearly every file is one part: its hash serves for both.
                let sha256 = object::sha256(&part);
                let key = self.repository.key.as_ref();
                let name = key.map_or(sha256, |key| key.name(&part));
                entry.parts.push(self.keep_named(&part, name)?);
                return Ok(Some((entry, HEXLOWER.encode(&sha256))));
            }
            whole.update(&part);
            entry.parts.push(self.keep(&part)?);
        }
    }

    /// Cuts the list of files where a path says so, so that one more file changes one list only.
    fn lists_of_files(&mut self, files: Vec<FileEntry>) -> Result<Vec<Reference>> {
        let (mut lists, mut list, mut parts) = (Vec::new(), Vec::new(), 0);
        let total = files.len();
        for (number, file) in files.into_iter().enumerate() {
            let is_cut = object::sha256(file.path.as_bytes())[0] == 0;
            parts += file.parts.len();
            list.push(file);
            let is_full = list.len() == MOST_FILES_IN_LIST || parts >= MOST_PARTS_IN_LIST;
            if is_cut || is_full || number + 1 == total {
                lists.push(self.keep(&manifest::write_files(&list)?)?);
                list.clear();
                parts = 0;
            }
        }
        Ok(lists)
    }

    /// Writes content, if it is not there.
    fn keep(&mut self, content: &[u8]) -> Result<Reference> {
        let digest = object::digest_of(content, self.repository.key.as_ref());
        self.keep_named(content, digest)
    }

    /// [`Self::keep`] for content whose name is known.
    fn keep_named(&mut self, content: &[u8], digest: [u8; 32]) -> Result<Reference> {
        if let Some(there) = self.known_as(digest)? {
            return Ok(there);
        }
        let key = self.repository.key.as_ref();
        let (reference, bytes) = object::pack(content, digest, key)?;
        self.put(reference, &bytes)
    }

    /// What is there of content with this digest.
    fn known_as(&self, digest: [u8; 32]) -> Result<Option<Reference>> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Error::Busy("the backup was stopped"));
        }
        let mut candidates = object::candidates(digest).into_iter();
        Ok(candidates.find(|one| self.known.objects.contains(one)))
    }

    fn put(&mut self, reference: Reference, bytes: &[u8]) -> Result<Reference> {
        self.repository.store.put(&reference.file(), bytes)?;
        self.new_bytes += bytes.len() as u64;
        self.known.objects.insert(reference.clone());
        self.written.push(reference.clone());
        Ok(reference)
    }

    fn warn(&mut self, text: String) {
        if self.warnings.len() < MOST_WARNINGS {
            self.warnings.push(text);
        } else {
            self.untold += 1;
        }
    }
}
