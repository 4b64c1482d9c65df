//! Makes a site of a backup: beside what is there, and in its place only when it is whole.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

use super::{
    destination::Destination,
    gather::{self, Whence, named_by},
    list::{self, Which},
    make::Progress,
    manifest::Manifest,
    moment::{Moment, Way},
    repository::{Kept, Repository},
    state::State,
    writer::{Writer, cannot_write, problems_of, row_problems, site_problems},
};
use crate::{
    base::{Error, Result, Space, Timestamp, secrets},
    db::{DataFolder, MediaStore, note_page_sums, note_restored, open_to_look, rows_of_tables},
};

/// What the folder is called in which a site is being put together, before its id.
pub(super) const UNFINISHED: &str = ".webstead-restoring-";
/// What the folder is called for the database of another backup, before a random name.
pub(super) const SCRATCH_LOG: &str = ".webstead-restoring-log-";

/// What is to be restored.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    /// A backup.
    Backup(Which),
    /// The site as it was at a moment.
    Moment(Moment<'a>),
}

/// Where it is restored to.
#[derive(Clone, Copy, Debug)]
pub struct To<'a> {
    /// The folder for the site.
    pub folder: &'a Path,
    /// Whether it is to be beside the site whose backup it is, to be looked at: such a copy goes on with the backups of
    /// that site only when a person says so. What takes the place of a site is none.
    pub is_copy: bool,
}

/// What a file takes that has no content, about.
const NAME_BYTES: u64 = 512;

/// A site that was restored.
#[derive(Debug)]
pub struct Restored {
    /// The number of the backup.
    pub number: u64,
    /// When it was made.
    pub made_at: Timestamp,
    /// Changes that were replayed, if it is a moment.
    pub changes: Option<u64>,
    /// Posts and pages.
    pub posts: u64,
    /// Files beside the database.
    pub files: u64,
    /// Where the site is now that was there before.
    pub set_aside: Option<PathBuf>,
    /// What the backup does not have.
    pub warnings: Vec<String>,
    /// Whether it is beside the site whose backup it is.
    pub is_copy: bool,
}

/// Restores a backup or a moment to `to`. A site that is there is set aside, whole, under a dated name.
///
/// Until the last moment everything is as it was; interrupted, this leaves a folder beside `to`, which a later call
/// removes.
///
/// # Errors
/// [`Error::Invalid`] if a server runs there or `to` has something else in it, [`Error::Damaged`] if the backup is
/// damaged, [`Error::CannotSave`] if there is no room.
pub fn restore(
    repository: &Repository,
    wanted: Wanted<'_>,
    to: To<'_>,
    progress: Progress<'_>,
    stop: &AtomicBool,
) -> Result<Restored> {
    let _reading = repository.store.lock(false)?;
    // Locked before the log is read, so that nothing comes to it any more.
    let target = Destination::look(to.folder)?;
    target.sweep();
    let from = match wanted {
        Wanted::Backup(which) => Origin::Backup(Box::new(list::find(repository, which)?)),
        Wanted::Moment(moment) => {
            let scratch = target.parent();
            let way = Way::find(repository, moment, scratch, (progress, stop))?;
            Origin::Moment(Box::new(way), moment)
        }
    };
    room_for(&from.base().manifest, target.parent())?;
    let scratch = target.scratch()?;
    // Within it, because others lock the folder of a site.
    let unfinished = &scratch.path().join("site");
    let is_copy = to.is_copy && !target.has_site();
    let made = put_together(repository, &from, unfinished, &target, (progress, stop))?;
    remember(repository, unfinished, is_copy)?;
    target.give_away(unfinished)?;
    let sync = File::open(unfinished).and_then(|folder| Ok(rustix::fs::syncfs(folder)?));
    sync.map_err(|e| cannot_write(unfinished, &e))?;
    let set_aside = target.replace(unfinished)?;
    let manifest = &from.base().manifest;
    Ok(Restored {
        number: manifest.number,
        made_at: manifest.made_at,
        changes: match &from {
            Origin::Backup(_) => None,
            Origin::Moment(way, _) => Some(way.cut.changes),
        },
        posts: made.posts,
        files: made.files,
        set_aside,
        warnings: made.warnings,
        is_copy,
    })
}

/// Where everything comes from.
enum Origin<'a> {
    Backup(Box<Kept>),
    Moment(Box<Way>, Moment<'a>),
}

impl Origin<'_> {
    /// The backup with which it begins.
    fn base(&self) -> &Kept {
        match self {
            Self::Backup(kept) => kept,
            Self::Moment(way, _) => &way.base,
        }
    }

    /// From when the site is.
    fn as_of(&self) -> Timestamp {
        match self {
            Self::Backup(kept) => kept.manifest.made_at,
            Self::Moment(_, moment) => moment.at,
        }
    }
}

/// What was put together.
struct Put {
    posts: u64,
    files: u64,
    warnings: Vec<String>,
}

fn put_together(
    repository: &Repository,
    from: &Origin<'_>,
    unfinished: &Path,
    target: &Destination,
    (progress, stop): (Progress<'_>, &AtomicBool),
) -> Result<Put> {
    let manifest = &from.base().manifest;
    let mut writer = Writer::new(repository, unfinished, progress, stop)?;
    writer.everything(manifest)?;
    if let Some(problem) = writer.damaged.first() {
        return Err(Error::Damaged(format!(
            "the backup {} is damaged ({problem}); nothing was changed. `webstead backup list` shows the others",
            manifest.number
        )));
    }
    let mut warnings = manifest.warnings.clone();
    let database = unfinished.join("site.db");
    let problems = match from {
        Origin::Backup(_) => problems_of(unfinished, manifest, &writer.media, progress)?,
        Origin::Moment(way, moment) => {
            let mut problems = row_problems(unfinished, manifest)?;
            if problems.is_empty() {
                way.go(&database, progress, stop)?;
                warnings.extend(gather_media(&mut writer, way, moment.data, repository)?);
                problems =
                    site_problems(unfinished, (&warnings, Some(0)), &writer.media, progress)?;
            }
            problems
        }
    };
    if let Some(problem) = problems.first() {
        return Err(Error::Damaged(format!(
            "the backup {} is not sound ({problem}); nothing was changed. `webstead backup list` shows the others",
            manifest.number
        )));
    }
    note_restored(&database, from.as_of())?;
    let posts = rows_of_tables(&open_to_look(&database)?)?;
    let posts = posts.into_iter().find(|(table, _)| table == "posts");
    let others = manifest.file_count - writer.media_of_backup;
    let put = Put {
        posts: posts.map_or(0, |(_, rows)| rows),
        files: others + writer.media.len() as u64,
        warnings,
    };
    note_page_sums(&database)?;
    if !manifest.has_secrets {
        target.keep_secrets(unfinished)?;
    }
    target.keep_state(unfinished)?;
    if let Some(key) = &repository.key {
        // Later backups of the restored site go on in the same place.
        secrets::write(unfinished, &repository.key_name(), &key.text())?;
    }
    Ok(put)
}

/// What the machine is to remember of the backups of the restored site, beside what it did before.
fn remember(repository: &Repository, unfinished: &Path, is_copy: bool) -> Result<()> {
    let met = repository.store.met();
    State::update(unfinished, |state| {
        state.host_keys.extend(met);
        state.is_copy |= is_copy;
    })?;
    Ok(())
}

/// Brings in the media that the moment names and the backup does not have, and removes those that it does not name; says
/// which cannot be had.
fn gather_media(
    writer: &mut Writer<'_>,
    way: &Way,
    data: &Path,
    repository: &Repository,
) -> Result<Vec<String>> {
    let root = writer.root();
    let named = named_by(&open_to_look(&root.join("site.db"))?)?;
    for hash in writer
        .media
        .iter()
        .filter(|hash| !named.contains_key(*hash))
    {
        let file = root.join("media").join(hash);
        fs::remove_file(&file).map_err(|e| cannot_write(&file, &e))?;
    }
    writer.media.retain(|hash| named.contains_key(hash));
    let mut wanted = named;
    wanted.retain(|hash, _| !writer.media.contains(hash));
    let site = MediaStore::new(&DataFolder::at(data));
    let mut lost = Vec::new();
    for (hash, name, whence) in gather::find(wanted, data, repository, &way.others)? {
        match whence {
            Whence::Site => {
                let to = root.join("media").join(&hash);
                fs::copy(site.path(&hash), &to).map_err(|e| cannot_write(&to, &e))?;
                writer.media.insert(hash);
            }
            Whence::Backup(entry) => writer.one_more(&entry)?,
            Whence::Nowhere => lost.push(gather::lost(&hash, &name)),
        }
    }
    if let Some(problem) = writer.damaged.first() {
        return Err(Error::Damaged(format!(
            "a file of a later backup is damaged ({problem}); nothing was changed"
        )));
    }
    Ok(lost)
}

/// Whether there is room for a backup on a disk.
fn room_for(manifest: &Manifest, folder: &Path) -> Result<()> {
    let Ok(space) = Space::of(folder) else {
        return Ok(());
    };
    // A file without content takes its place, too, and there may be room for so many names only.
    let of_names = manifest.file_count.saturating_mul(NAME_BYTES);
    let wanted = manifest.database.bytes.saturating_add(manifest.file_bytes);
    let has_names = space
        .free_files
        .is_none_or(|free| manifest.file_count <= free);
    let in_files = space.free_files.map(|free| format!(" in {free} files"));
    let in_files = in_files.unwrap_or_default();
    if wanted.saturating_add(of_names) > space.free || !has_names {
        return Err(Error::CannotSave(format!(
            "there is no room for the backup in {}: it takes {} MB in {} files, and there is room for {} MB{}; nothing \
             was changed",
            folder.display(),
            wanted.div_ceil(1_000_000),
            manifest.file_count,
            space.free / 1_000_000,
            in_files,
        )));
    }
    Ok(())
}
