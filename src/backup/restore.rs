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
    list::{self, Which},
    make::Progress,
    manifest::Manifest,
    repository::{Kept, Repository},
    writer::{Writer, cannot_write, make_folder, problems_of},
};
use crate::{
    base::{Error, Id, Result, Timestamp, files, secrets},
    db::{DataFolder, ServerLock},
};

/// What the folder is called in which a site is being put together, before its id.
const UNFINISHED: &str = ".restoring-";

/// A site that was restored.
#[derive(Debug)]
pub struct Restored {
    /// The number of the backup.
    pub number: u64,
    /// When it was made.
    pub made_at: Timestamp,
    /// Posts and pages.
    pub posts: u64,
    /// Files beside the database.
    pub files: u64,
    /// Where the site is now that was there before.
    pub set_aside: Option<PathBuf>,
    /// What the backup does not have.
    pub warnings: Vec<String>,
}

/// Restores a backup to `to`. A site that is there is set aside, whole, under a dated name.
///
/// Until the last moment everything is as it was; interrupted, this leaves a folder beside `to` that the next
/// call removes.
///
/// # Errors
/// [`Error::Invalid`] if a server runs there, if the backup is damaged, or if `to` has something else in it;
/// [`Error::CannotSave`] if there is no room.
pub fn restore(
    repository: &Repository,
    which: Which,
    to: &Path,
    progress: Progress<'_>,
    stop: &AtomicBool,
) -> Result<Restored> {
    let _reading = repository.store.lock(false)?;
    let kept = list::find(repository, which)?;
    let target = Target::look(to)?;
    target.sweep();
    let unfinished = target.beside(&format!("{UNFINISHED}{}", Id::new()));
    let made = put_together(repository, &kept, &unfinished, &target, progress, stop);
    let set_aside = match made.and_then(|()| target.replace(&unfinished)) {
        Ok(set_aside) => set_aside,
        Err(e) => {
            let _ = fs::remove_dir_all(&unfinished);
            return Err(e);
        }
    };
    Ok(Restored {
        number: kept.manifest.number,
        made_at: kept.manifest.made_at,
        posts: kept.manifest.rows("posts"),
        files: kept.manifest.file_count,
        set_aside,
        warnings: kept.manifest.warnings,
    })
}

fn put_together(
    repository: &Repository,
    kept: &Kept,
    unfinished: &Path,
    target: &Target,
    progress: Progress<'_>,
    stop: &AtomicBool,
) -> Result<()> {
    let manifest = &kept.manifest;
    room_for(manifest, target.parent())?;
    let mut writer = Writer::new(repository, unfinished, progress, stop)?;
    writer.everything(manifest)?;
    if let Some(problem) = writer.damaged.first() {
        return Err(Error::Damaged(format!(
            "the backup {} is damaged ({problem}); nothing was changed. `webstead backup list` shows the others",
            manifest.number
        )));
    }
    let problems = problems_of(unfinished, manifest, &writer.media, progress)?;
    if let Some(problem) = problems.first() {
        return Err(Error::Damaged(format!(
            "the backup {} is not sound ({problem}); nothing was changed. `webstead backup list` shows the others",
            manifest.number
        )));
    }
    if !manifest.has_secrets {
        target.keep_secrets(unfinished)?;
    }
    if let Some(key) = &repository.key {
        // Later backups of the restored site go on in the same place.
        secrets::write(unfinished, &repository.key_name(), &key.text())?;
    }
    target.give_away(unfinished)?;
    let sync = File::open(unfinished).and_then(|folder| Ok(rustix::fs::syncfs(folder)?));
    sync.map_err(|e| cannot_write(unfinished, &e))
}

/// Whether there is room for a backup on a disk.
fn room_for(manifest: &Manifest, folder: &Path) -> Result<()> {
    let Ok(disk) = rustix::fs::statvfs(folder) else {
        return Ok(());
    };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let wanted = manifest.database.bytes.saturating_add(manifest.file_bytes);
    if wanted > free {
        return Err(Error::CannotSave(format!(
            "there is no room for the backup in {}: it takes {} MB, and {} are free; nothing was changed",
            folder.display(),
            wanted / 1_000_000,
            free / 1_000_000
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
            let is_ours = id.is_some_and(|id| id.parse::<Id>().is_ok());
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
        let is_there = self.path.exists();
        if !is_there {
            fs::rename(new, &self.path).map_err(moving)?;
            let _ = files::sync_folder(&self.parent);
            return Ok(None);
        }
        if self.old.is_none() {
            // An empty folder, which a rename replaces.
            fs::rename(new, &self.path).map_err(moving)?;
            let _ = files::sync_folder(&self.parent);
            return Ok(None);
        }
        let aside = self.aside();
        // The new site takes the name first that the old one is to have, and both change places in one step.
        fs::rename(new, &aside).map_err(moving)?;
        let exchanged = renameat_with(CWD, &aside, CWD, &self.path, RenameFlags::EXCHANGE);
        if exchanged.is_err() {
            // A disk that cannot do that: for a moment there is no site, and nothing is lost.
            fs::rename(&aside, new).map_err(moving)?;
            fs::rename(&self.path, &aside).map_err(moving)?;
            if let Err(e) = fs::rename(new, &self.path) {
                let _ = fs::rename(&aside, &self.path);
                return Err(moving(e));
            }
        }
        let _ = files::sync_folder(&self.parent);
        Ok(Some(aside))
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
