//! Makes a site of a backup: beside what is there, and in its place only when it is whole.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
    time::Duration,
};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::{
    gather::{self, Whence, named_by},
    list::{self, Which},
    make::Progress,
    manifest::Manifest,
    moment::{Moment, Way},
    repository::{Kept, Repository},
    state,
    writer::{Writer, cannot_write, make_folder, problems_of, row_problems, site_problems},
};
use crate::{
    base::{Error, Id, Result, Timestamp, files, secrets},
    db::{
        DataFolder, MediaStore, ServerLock, note_page_sums, note_restored, open_to_look,
        rows_of_tables,
    },
};

/// What the folder is called in which a site is being put together, before its id.
const UNFINISHED: &str = ".restoring-";
/// What the folder is called for the database of another backup, before a random name.
pub(super) const SCRATCH_LOG: &str = ".restoring-log-";

/// What is to be restored.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    /// A backup.
    Backup(Which),
    /// The site as it was at a moment.
    Moment(Moment<'a>),
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
}

/// Restores a backup or a moment to `to`. A site that is there is set aside, whole, under a dated name.
///
/// Until the last moment everything is as it was; interrupted, this leaves a folder beside `to`, which a later call
/// removes once it is an hour old.
///
/// # Errors
/// [`Error::Invalid`] if a server runs there or `to` has something else in it, [`Error::Damaged`] if the backup is
/// damaged, [`Error::CannotSave`] if there is no room.
pub fn restore(
    repository: &Repository,
    wanted: Wanted<'_>,
    to: &Path,
    progress: Progress<'_>,
    stop: &AtomicBool,
) -> Result<Restored> {
    let _reading = repository.store.lock(false)?;
    // Locked before the log is read, so that nothing comes to it any more.
    let target = Target::look(to)?;
    target.sweep();
    let from = match wanted {
        Wanted::Backup(which) => Origin::Backup(Box::new(list::find(repository, which)?)),
        Wanted::Moment(moment) => {
            let scratch = target.parent();
            let way = Way::find(repository, moment, scratch, (progress, stop))?;
            Origin::Moment(Box::new(way), moment)
        }
    };
    let unfinished = target.beside(&format!("{UNFINISHED}{}", Id::new()));
    let made = put_together(repository, &from, &unfinished, &target, (progress, stop));
    let replaced = made.and_then(|made| Ok((made, target.replace(&unfinished)?)));
    let (made, set_aside) = match replaced {
        Ok(replaced) => replaced,
        Err(e) => {
            let _ = fs::remove_dir_all(&unfinished);
            return Err(e);
        }
    };
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
    target: &Target,
    (progress, stop): (Progress<'_>, &AtomicBool),
) -> Result<Put> {
    let manifest = &from.base().manifest;
    room_for(manifest, target.parent())?;
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
                problems = site_problems(unfinished, &warnings, &writer.media, progress)?;
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
    target.give_away(unfinished)?;
    let sync = File::open(unfinished).and_then(|folder| Ok(rustix::fs::syncfs(folder)?));
    sync.map_err(|e| cannot_write(unfinished, &e))?;
    Ok(put)
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
    let Ok(disk) = rustix::fs::statvfs(folder) else {
        return Ok(());
    };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    // A file without content takes its place, too, and there may be room for so many names only.
    let of_names = manifest.file_count.saturating_mul(NAME_BYTES);
    let wanted = manifest.database.bytes.saturating_add(manifest.file_bytes);
    let has_names = disk.f_files == 0 || manifest.file_count <= disk.f_favail;
    if wanted.saturating_add(of_names) > free || !has_names {
        return Err(Error::CannotSave(format!(
            "there is no room for the backup in {}: it takes {} MB in {} files, and there is room for {} MB in {} files; \
             nothing was changed",
            folder.display(),
            wanted.div_ceil(1_000_000),
            manifest.file_count,
            free / 1_000_000,
            disk.f_favail
        )));
    }
    Ok(())
}

/// Where a site is to be, and what is there.
struct Target {
    path: PathBuf,
    parent: PathBuf,
    name: String,
    /// Kept locked while the site is replaced.
    old: Option<(DataFolder, ServerLock)>,
}

impl Target {
    fn look(to: &Path) -> Result<Self> {
        let path = std::path::absolute(to).map_err(|e| Error::io("looking for", to, e))?;
        let shown = path.display();
        let name = path.file_name().and_then(|name| name.to_str());
        let (Some(parent), Some(name)) = (path.parent(), name) else {
            return Err(Error::Invalid(format!(
                "{shown} cannot be the folder of a site; choose another with --to DIR"
            )));
        };
        let mut old = None;
        match fs::symlink_metadata(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(Error::io("looking into", &path, e)),
            Ok(found) if !found.is_dir() => {
                return Err(Error::Invalid(format!(
                    "{shown} is not a folder; choose another with --to DIR"
                )));
            }
            Ok(_) => {
                let is_empty = fs::read_dir(&path)
                    .map_err(|e| Error::io("looking into", &path, e))?
                    .next()
                    .is_none();
                if !is_empty {
                    old = Some(Self::lock(&path)?);
                }
            }
        }
        Ok(Self {
            parent: parent.to_path_buf(),
            name: name.to_owned(),
            path,
            old,
        })
    }

    /// Takes a folder that has a site, or the rest of one.
    fn lock(path: &Path) -> Result<(DataFolder, ServerLock)> {
        let is_site = ["site.db", "media", "server.lock", "webstead.toml", "tls"];
        if !is_site.iter().any(|name| path.join(name).exists()) {
            return Err(Error::Invalid(format!(
                "{} is not empty and not a data folder; choose another with --to DIR",
                path.display()
            )));
        }
        let folder = DataFolder::at(path);
        let lock = folder.lock_for_server().map_err(|e| match e {
            Error::Invalid(_) => Error::Invalid(format!(
                "the site in {} is running, so nothing was changed; stop it first (a service with `sudo systemctl \
                 stop webstead.socket webstead.service`) and try again",
                path.display()
            )),
            e => e,
        })?;
        Ok((folder, lock))
    }

    fn parent(&self) -> &Path {
        let mut there = self.parent.as_path();
        while !there.exists() {
            there = there.parent().unwrap_or(Path::new("/"));
        }
        there
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.parent.join(name)
    }

    /// Removes what interrupted restores have left.
    fn sweep(&self) {
        for entry in fs::read_dir(&self.parent).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let id = name.to_str().and_then(|name| name.strip_prefix(UNFINISHED));
            let is_ours = id.is_some_and(|id| id.parse::<Id>().is_ok())
                || name.to_string_lossy().starts_with(SCRATCH_LOG);
            // Another restore may be at work beside this one.
            let is_old = entry.metadata().and_then(|found| found.modified());
            let is_old =
                is_old.is_ok_and(|at| at.elapsed().unwrap_or_default() > Duration::from_hours(1));
            if is_ours && is_old {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }

    /// What no backup has unasked stays on its machine.
    fn keep_secrets(&self, new: &Path) -> Result<()> {
        let Some((old, _)) = &self.old else {
            return Ok(());
        };
        let (from, to) = (old.root().join("secrets"), new.join("secrets"));
        let copying = |e| Error::io("copying", &from, e);
        for entry in fs::read_dir(&from).into_iter().flatten() {
            let entry = entry.map_err(copying)?;
            if entry.file_type().map_err(copying)?.is_file() {
                let bytes = fs::read(entry.path()).map_err(copying)?;
                make_folder(&to).map_err(copying)?;
                let path = to.join(entry.file_name());
                files::write_whole(&path, &bytes, 0o600).map_err(copying)?;
            }
        }
        Ok(())
    }

    /// What the machine remembers of its backups, such as the keys of other machines, is in none of them.
    fn keep_state(&self, new: &Path) -> Result<()> {
        let Some((old, _)) = &self.old else {
            return Ok(());
        };
        let (from, to) = (state::file_in(old.root()), state::file_in(new));
        match fs::read(&from) {
            Ok(bytes) => {
                let written = files::write_whole(&to, &bytes, 0o600);
                written.map_err(|e| Error::io("writing", to, e))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(Error::io("copying", from, e)),
        }
    }

    /// Gives everything to the owner of the site that was there, such as the user of the service.
    fn give_away(&self, new: &Path) -> Result<()> {
        let Ok(owner) = fs::metadata(&self.path) else {
            return Ok(());
        };
        let (user, group) = (owner.uid(), owner.gid());
        if fs::metadata(new).is_ok_and(|made| made.uid() == user) {
            return Ok(());
        }
        give(new, user, group).map_err(|e| Error::io("giving to the owner of the site", new, e))
    }

    /// Puts the new site in the place of the old one, in one step where the disk can do that.
    fn replace(&self, new: &Path) -> Result<Option<PathBuf>> {
        let moving = |e: io::Error| {
            Error::CannotSave(format!(
                "the restored site cannot be put in the place of {} ({e}); nothing was changed. If that folder is a \
                 disk of its own, restore to a new folder with --to DIR",
                self.path.display()
            ))
        };
        if self.old.is_none() {
            // Nothing, or an empty folder, which a rename replaces.
            fs::rename(new, &self.path).map_err(moving)?;
            self.settle("the restored site is in its place")?;
            return Ok(None);
        }
        let aside = self.aside();
        // The new site takes the name first that the old one is to have, and both change places in one step. This is on
        // the disk before that step, so that after a power cut neither has a name that is swept.
        fs::rename(new, &aside).map_err(moving)?;
        let ready = files::sync_folder(&self.parent);
        let exchanged = ready.is_ok()
            && renameat_with(CWD, &aside, CWD, &self.path, RenameFlags::EXCHANGE).is_ok();
        if !exchanged {
            fs::rename(&aside, new).map_err(moving)?;
            ready.map_err(moving)?;
            // A disk that cannot do that: for a moment there is no site, and nothing is lost.
            fs::rename(&self.path, &aside).map_err(moving)?;
            if let Err(e) = fs::rename(new, &self.path) {
                let _ = fs::rename(&aside, &self.path);
                return Err(moving(e));
            }
        }
        self.settle(&format!(
            "the restored site is in its place, and what was there is in {}",
            aside.display()
        ))?;
        Ok(Some(aside))
    }

    /// Makes sure that names are on the disk.
    fn settle(&self, done: &str) -> Result<()> {
        files::sync_folder(&self.parent).map_err(|e| {
            Error::CannotSave(format!(
                "{done}, but the disk does not say that this is on it ({e}); look after the disk before you go on"
            ))
        })
    }

    /// A name that nothing has yet: `webstead-data.before-20261126-193000`.
    fn aside(&self) -> PathBuf {
        let now = Timestamp::now().to_jiff();
        let dated = format!("{}.before-{}", self.name, now.strftime("%Y%m%d-%H%M%S"));
        let mut aside = self.beside(&dated);
        for n in 2..1000 {
            if !aside.exists() {
                break;
            }
            aside = self.beside(&format!("{dated}-{n}"));
        }
        aside
    }
}

fn give(path: &Path, user: u32, group: u32) -> io::Result<()> {
    std::os::unix::fs::lchown(path, Some(user), Some(group))?;
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), user, group)?;
        }
    }
    Ok(())
}
