//! Where a restored site is to be, and what is there before.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::{
    exchange::{BEFORE, exchange, finish_exchange, unplaced},
    owned::OwnedFiles,
    repository::FORMAT_FILE,
    restore::UNFINISHED,
    state,
    target::by_name,
    writer::{cannot_write, make_folder},
};
use crate::{
    base::{
        Error, Result, files,
        scratch::{self, Scratch},
    },
    db::{DataFolder, ServerLock},
};

/// Where a site is to be, and what is there.
pub(super) struct Destination {
    path: PathBuf,
    parent: PathBuf,
    name: String,
    /// Kept locked while the site is replaced.
    old: Option<(DataFolder, ServerLock)>,
}

impl Destination {
    /// Looks at a folder, and takes it if there is a site.
    ///
    /// # Errors
    /// [`Error::Invalid`] if a server runs there, or if something else is there.
    pub(super) fn look(to: &Path) -> Result<Self> {
        refuse_inside(to)?;
        let path = std::path::absolute(to).map_err(|e| Error::io("looking for", to, e))?;
        finish_exchange(&path)?;
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

    /// Whether there was a site before.
    pub(super) fn has_site(&self) -> bool {
        self.old.is_some()
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

    /// The folder, of those above it, that is there.
    pub(super) fn parent(&self) -> &Path {
        let mut there = self.parent.as_path();
        while !there.exists() {
            there = there.parent().unwrap_or(Path::new("/"));
        }
        there
    }

    /// A folder beside it, in which the site is put together.
    pub(super) fn scratch(&self) -> Result<Scratch> {
        let made = make_folder(&self.parent);
        let made = made.and_then(|()| Scratch::in_folder(&self.parent, UNFINISHED));
        made.map_err(|e| cannot_write(&self.parent, &e))
    }

    /// Removes what interrupted restores have left.
    pub(super) fn sweep(&self) {
        // This has the lock of the site, so nobody is about to exchange it.
        for restored in self.old.iter().flat_map(|_| unplaced(&self.path)) {
            let _ = fs::remove_dir_all(restored);
        }
        scratch::sweep(&self.parent, &[UNFINISHED]);
    }

    /// What no backup has unasked stays on its machine.
    pub(super) fn keep_secrets(&self, new: &Path) -> Result<()> {
        let Some((old, _)) = &self.old else {
            return Ok(());
        };
        let (from, to) = (old.root().join("secrets"), new.join("secrets"));
        let copying = |e| Error::io("copying", &from, e);
        let Some(secrets) = OwnedFiles::below(old.root(), "secrets").map_err(copying)? else {
            return Ok(());
        };
        for name in secrets.names().map_err(copying)? {
            if let Some(bytes) = secrets.read(&name).map_err(copying)? {
                make_folder(&to).map_err(copying)?;
                files::write_whole(&to.join(name), &bytes, 0o600).map_err(copying)?;
            }
        }
        Ok(())
    }

    /// What the machine remembers of its backups, such as the keys of other machines, is in none of them.
    pub(super) fn keep_state(&self, new: &Path) -> Result<()> {
        let Some((old, _)) = &self.old else {
            return Ok(());
        };
        let (from, to) = (state::file_in(old.root()), state::file_in(new));
        let name = from.file_name().unwrap_or_default();
        let read = OwnedFiles::of(old.root()).and_then(|files| files.read(name));
        match read.map_err(|e| Error::io("copying", &from, e))? {
            Some(bytes) => {
                let written = files::write_whole(&to, &bytes, 0o600);
                written.map_err(|e| Error::io("writing", to, e))
            }
            None => Ok(()),
        }
    }

    /// Gives everything to the owner of the site that was there, such as the user of the service.
    pub(super) fn give_away(&self, new: &Path) -> Result<()> {
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
    pub(super) fn replace(&self, new: &Path) -> Result<Option<PathBuf>> {
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
        exchange(new, &self.path, &aside).map_err(moving)?;
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
        let name = format!("{}{BEFORE}", self.name);
        files::dated_name(&self.parent.join(name))
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

/// Inside of a site, another one would be served, set aside and removed along with it. In a place of backups, it would be in
/// the way of those.
///
/// # Errors
/// [`Error::Invalid`] with the site or the place.
pub(super) fn refuse_inside(to: &Path) -> Result<()> {
    let to = std::path::absolute(to).map_err(|e| Error::io("looking for", to, e))?;
    // As the system finds it, through links, and, where nothing is there yet, as it is written.
    let real = to
        .ancestors()
        .skip(1)
        .find_map(|path| path.canonicalize().ok());
    let written = by_name(&to).parent().map(Path::to_path_buf);
    let above =
        |path: &PathBuf| -> Vec<PathBuf> { path.ancestors().map(Path::to_path_buf).collect() };
    let is_site =
        |path: &PathBuf| path.join("site.db").exists() || path.join("server.lock").exists();
    let all: Vec<PathBuf> = [real, written].into_iter().flatten().collect();
    if let Some(site) = all.iter().flat_map(above).find(is_site) {
        return Err(Error::Invalid(format!(
            "{} is inside of the site in {}, and would be set aside or lost with it, so nothing was changed; choose a \
             folder elsewhere with --to DIR",
            to.display(),
            site.display()
        )));
    }
    let is_place = |path: &PathBuf| {
        let has = |name: &str| path.join(name).exists();
        // Its first file may be lost.
        has(FORMAT_FILE) || has("READ-ME.txt") && has("objects")
    };
    let itself = to.canonicalize().unwrap_or_else(|_| to.clone());
    let all = std::iter::once(itself).chain(all.iter().flat_map(above));
    if let Some(place) = all.into_iter().find(is_place) {
        return Err(Error::Invalid(format!(
            "{} has backups, and a site in there would be in their way, so nothing was changed; choose a folder elsewhere \
             with --to DIR",
            place.display()
        )));
    }
    Ok(())
}
