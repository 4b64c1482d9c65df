//! Writes what a backup has into a folder, and looks whether it is a site.

use std::{
    collections::{BTreeMap, HashSet},
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, UNIX_EPOCH},
};

use data_encoding::HEXLOWER;
use ring::digest::{Context, SHA256};

use super::{
    gather::named_by,
    make::Progress,
    manifest::{BLOCK_BYTES, FileEntry, Manifest},
    object::{self, Reference},
    repository::Repository,
    store::no_room,
};
use crate::{
    base::{Error, Result, Verdict},
    db::{integrity_problems, open_to_look, rows_of_tables},
};

/// Writes a backup into a folder of its own.
pub(super) struct Writer<'a> {
    repository: &'a Repository,
    root: &'a Path,
    progress: Progress<'a>,
    stop: &'a AtomicBool,
    /// Bytes that may still be written.
    left: u64,
    /// Files are looked at and removed again, so that a backup can be tried where there is little room.
    pub(super) is_trial: bool,
    /// The hashes of the media files that are there.
    pub(super) media: HashSet<String>,
    /// How many of them the backup had.
    pub(super) media_of_backup: u64,
    /// What could not be read.
    pub(super) damaged: Vec<String>,
    /// The objects that are the reason.
    pub(super) damaged_objects: Vec<Reference>,
}

impl<'a> Writer<'a> {
    /// Makes the folder.
    pub(super) fn new(
        repository: &'a Repository,
        root: &'a Path,
        progress: Progress<'a>,
        stop: &'a AtomicBool,
    ) -> Result<Self> {
        make_folder(&root.join("media")).map_err(|e| cannot_write(root, &e))?;
        Ok(Self {
            repository,
            root,
            progress,
            stop,
            left: 0,
            is_trial: false,
            media: HashSet::new(),
            media_of_backup: 0,
            damaged: Vec::new(),
            damaged_objects: Vec::new(),
        })
    }

    /// The folder.
    pub(super) fn root(&self) -> &'a Path {
        self.root
    }

    /// Writes everything. What is damaged is noted, and the rest goes on if this is a trial.
    pub(super) fn everything(&mut self, manifest: &Manifest) -> Result<()> {
        self.database(manifest)?;
        self.left = manifest.file_bytes;
        let (mut done, total) = (
            0,
            usize::try_from(manifest.file_count).unwrap_or(usize::MAX),
        );
        for (list, files) in self.repository.files(manifest.files.iter()) {
            let files = match files {
                Ok(files) => files,
                Err(e) => {
                    self.note(list, e)?;
                    continue;
                }
            };
            for file in files {
                if done == total {
                    // Each makes a file, also where it has no content.
                    self.damaged.push("it has more files than it says".into());
                    return Ok(());
                }
                (self.progress)("files", done, total);
                done += 1;
                self.file(&file)?;
            }
        }
        self.media_of_backup = self.media.len() as u64;
        if self.damaged.is_empty() && (self.left > 0 || done != total) {
            self.damaged.push("it has other files than it says".into());
        }
        Ok(())
    }

    /// Writes the database.
    pub(super) fn database(&mut self, manifest: &Manifest) -> Result<()> {
        self.left = manifest.database.bytes;
        let path = self.root.join("site.db");
        let mut file = create(&path).map_err(|e| cannot_write(&path, &e))?;
        let total = usize::try_from(manifest.database.bytes.div_ceil(BLOCK_BYTES as u64));
        let (mut done, total) = (0, total.unwrap_or(usize::MAX));
        for (list, blocks) in self.repository.blocks(manifest.database.lists.iter()) {
            let blocks = match blocks {
                Ok(blocks) => blocks,
                Err(e) => {
                    self.note(list, e)?;
                    continue;
                }
            };
            for block in blocks {
                (self.progress)("database", done, total);
                done += 1;
                self.part(&block, BLOCK_BYTES, &path, &mut file)?;
            }
        }
        if self.damaged.is_empty() && self.left > 0 {
            self.damaged.push("its database is not whole".into());
        }
        Ok(())
    }

    /// Writes one more file, which may be of another backup.
    pub(super) fn one_more(&mut self, entry: &FileEntry) -> Result<()> {
        self.left = entry.bytes;
        self.file(entry)
    }

    fn file(&mut self, entry: &FileEntry) -> Result<()> {
        let path = self.root.join(&entry.path);
        let folder = path.parent().unwrap_or(self.root);
        make_folder(folder).map_err(|e| cannot_write(folder, &e))?;
        let mut file = create(&path).map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => Error::Damaged(format!(
                "{} is twice in the backup; nothing was changed",
                entry.path
            )),
            _ => cannot_write(&path, &e),
        })?;
        let (mut bytes, mut whole) = (0, Context::new(&SHA256));
        let media = entry.path.strip_prefix("media/");
        let before = self.damaged.len();
        for part in &entry.parts {
            let content = self.part(part, object::MAX_BYTES, &path, &mut file)?;
            bytes += content.len() as u64;
            if media.is_some() {
                whole.update(&content);
            }
        }
        let is_whole = bytes == entry.bytes
            && media.is_none_or(|hash| HEXLOWER.encode(whole.finish().as_ref()) == hash);
        if !is_whole && before == self.damaged.len() {
            self.damaged
                .push(format!("{} is not what it should be", entry.path));
        }
        if is_whole && let Some(hash) = media {
            self.media.insert(hash.to_owned());
        }
        let (seconds, nanoseconds) = entry.changed;
        if let Ok(seconds) = u64::try_from(seconds) {
            // A date that the disk does not know is no reason to fail.
            let at = UNIX_EPOCH.checked_add(Duration::new(seconds, nanoseconds % 1_000_000_000));
            let _ = at.map(|at| file.set_modified(at));
        }
        if self.is_trial {
            let _ = fs::remove_file(&path);
        }
        Ok(())
    }

    /// Writes the content of an object.
    fn part(
        &mut self,
        part: &Reference,
        max_bytes: usize,
        path: &Path,
        file: &mut File,
    ) -> Result<Vec<u8>> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Error::Busy("it was stopped"));
        }
        let content = match self.repository.object(part, max_bytes) {
            Ok(content) => content,
            Err(e) => {
                self.note(part, e)?;
                return Ok(Vec::new());
            }
        };
        let too_much =
            || Error::Damaged("the backup is larger than it says; nothing was changed".into());
        self.left = self
            .left
            .checked_sub(content.len() as u64)
            .ok_or_else(too_much)?;
        file.write_all(&content)
            .map_err(|e| cannot_write(path, &e))?;
        Ok(content)
    }

    /// Notes what is damaged; a trial goes on to find everything.
    fn note(&mut self, what: &Reference, e: Error) -> Result<()> {
        if Verdict::of(&e).damage().is_none() {
            return Err(e);
        }
        if !self.is_trial {
            return Err(Error::Damaged(format!(
                "the backup is damaged ({e}); nothing was changed. `webstead backup list` shows the others"
            )));
        }
        self.damaged.push(e.to_string());
        self.damaged_objects.push(what.clone());
        Ok(())
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// What is wrong with a site that was put together in `root`.
pub(super) fn problems_of(
    root: &Path,
    manifest: &Manifest,
    media: &HashSet<String>,
    progress: Progress<'_>,
) -> Result<Vec<String>> {
    let mut problems = row_problems(root, manifest)?;
    let lost = (&manifest.warnings[..], manifest.lost_media);
    problems.extend(site_problems(root, lost, media, progress)?);
    Ok(problems)
}

/// The tables whose rows are not as many as the site had.
pub(super) fn row_problems(root: &Path, manifest: &Manifest) -> Result<Vec<String>> {
    let connection = open_to_look(&root.join("site.db"))?;
    let mut problems = Vec::new();
    for (table, rows) in rows_of_tables(&connection)? {
        let wanted = manifest.rows(&table);
        if rows != wanted {
            problems.push(format!(
                "the table {table} has {rows} rows, and the site had {wanted}"
            ));
        }
    }
    Ok(problems)
}

/// What is wrong with the database in `root`, and which media are missing: but what the site had lost before is no fault
/// of the backup. `lost` has the warnings that speak of it, and how many such files there are.
pub(super) fn site_problems(
    root: &Path,
    lost: (&[String], Option<u64>),
    media: &HashSet<String>,
    progress: Progress<'_>,
) -> Result<Vec<String>> {
    progress("looking", 0, 1);
    let connection = open_to_look(&root.join("site.db"))?;
    let mut problems = integrity_problems(&connection)?;
    let mut missing = named_by(&connection)?;
    missing.retain(|hash, _| !media.contains(hash));
    problems.extend(unexcused(missing, lost));
    Ok(problems)
}

/// What is said of missing files, by hash, that the site had not lost. Of many that it had, not each has a warning; but
/// then their number is known. (Backups of before say only that there were more.)
fn unexcused(
    missing: BTreeMap<String, String>,
    (warnings, lost): (&[String], Option<u64>),
) -> Vec<String> {
    let count = missing.len() as u64;
    let (told, untold): (Vec<_>, Vec<_>) = missing
        .into_iter()
        .partition(|(hash, _)| warnings.iter().any(|warning| warning.contains(hash)));
    let is_excused = match lost {
        Some(lost) => count <= lost.max(told.len() as u64),
        None => warnings.iter().any(|warning| warning == "and more"),
    };
    if is_excused {
        return Vec::new();
    }
    let line = |(hash, name)| format!("the file {name} (media/{hash}) is missing");
    untold.into_iter().map(line).collect()
}

/// Makes a folder that is closed to others, with its parents.
pub(super) fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// What is said where a site cannot be put together.
pub(super) fn cannot_write(path: &Path, e: &io::Error) -> Error {
    let shown = path.display();
    if e.kind() == io::ErrorKind::StorageFull {
        return no_room(shown.to_string(), "its disk is full; nothing was changed");
    }
    Error::CannotSave(format!(
        "{shown} cannot be written to ({e}); nothing was changed"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_site_had_lost_excuses_so_many_files_and_not_one_more() {
        let files = |count: usize| -> BTreeMap<String, String> {
            (0..count)
                .map(|n| (format!("hash-{n:02}"), format!("{n}.jpg")))
                .collect()
        };
        let told: Vec<String> = (0..3).map(|n| format!("hash-{n:02} is missing")).collect();
        let mut of_before = told.clone();
        of_before.push("and more".to_owned());
        for (missing, warnings, lost, problems) in [
            (3, &told, Some(3), 0),
            (4, &told, Some(3), 1),
            (9, &told, Some(9), 0),
            (10, &told, Some(9), 7),
            // A moment, where each that is lost is told.
            (3, &told, Some(0), 0),
            (4, &told, Some(0), 1),
            // Backups of before.
            (3, &told, None, 0),
            (4, &told, None, 1),
            (9, &of_before, None, 0),
        ] {
            let said = unexcused(files(missing), (warnings, lost));
            assert_eq!(said.len(), problems, "{missing} {lost:?} {said:?}");
        }
    }
}
