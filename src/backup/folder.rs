//! A repository in a folder: on another disk, a stick, or a share of another machine that is mounted here.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::Advice;

use super::store::{Held, KEEP_FEWER, Store, Stored, no_room};
use crate::base::{Error, Id, Result, files, scratch};

/// The file whose lock keeps others out.
const LOCK: &str = "lock";
/// Files of this size and more are sent to the disk as soon as they are written.
const WRITTEN_AT_ONCE_BYTES: usize = 256 * 1024;
/// What folders begin with in which backups are tried.
pub(super) const SCRATCH: &str = ".tried-";

/// A repository in a folder.
pub(super) struct FolderStore {
    root: PathBuf,
    /// Whose backups they are: who has this folder.
    site: Option<PathBuf>,
}

impl FolderStore {
    /// In this folder, which need not be there yet.
    pub(super) fn new(root: &Path) -> Self {
        Self {
            root: root.to_path_buf(),
            site: None,
        }
    }

    /// The same for the site in a data folder: where root makes the folder of the backups, it is its owner's.
    pub(super) fn of_site(self, data: &Path) -> Self {
        Self {
            site: Some(data.to_path_buf()),
            ..self
        }
    }

    /// Makes a folder of the repository. What root makes by hand, the service must be able to go on with.
    fn make(&self, folder: &Path) -> io::Result<()> {
        if folder.is_dir() {
            return Ok(());
        }
        let above = folder.parent().unwrap_or(&self.root);
        let owners = if folder == self.root {
            make_all(above)?;
            self.site.as_deref().unwrap_or(above)
        } else {
            self.make(above)?;
            above
        };
        make_all(folder)?;
        files::give_to_owner_of(owners, &File::open(folder)?)
    }

    fn write(&self, name: &str, bytes: &[u8], is_last: bool) -> io::Result<()> {
        let path = self.root.join(name);
        let folder = path.parent().unwrap_or(&self.root);
        if is_last {
            // One call for all the files before: an fsync for each would take minutes on a stick.
            self.make(folder)?;
            rustix::fs::syncfs(File::open(&self.root)?)?;
            return files::write_whole(&path, bytes, 0o600);
        }
        let temporary = folder.join(format!(".{}.tmp", Id::new()));
        let create = || {
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).mode(0o600);
            options.open(&temporary)
        };
        let made = match create() {
            Err(e) if e.kind() == ErrorKind::NotFound => {
                self.make(folder)?;
                create()
            }
            made => made,
        };
        let written = made.and_then(|mut file| {
            files::give_to_owner_of(folder, &file)?;
            file.write_all(bytes)?;
            if bytes.len() >= WRITTEN_AT_ONCE_BYTES {
                // So the disk is at work while the next one is hashed, and what nobody reads soon leaves the memory.
                // It is advice: who does not take it writes everything at the end.
                let _ = rustix::fs::fadvise(&file, 0, None, Advice::DontNeed);
            }
            Ok(())
        });
        let written = written.and_then(|()| fs::rename(&temporary, &path));
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    fn cannot_save(&self, e: &io::Error) -> Error {
        let place = self.root.display();
        if matches!(e.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) {
            return no_room(
                place.to_string(),
                &format!("its disk is full; {KEEP_FEWER}"),
            );
        }
        Error::CannotSave(match e.kind() {
            ErrorKind::ReadOnlyFilesystem => format!(
                "nothing may be written to {place}: its disk is mounted read-only, or, for a service, the folder must \
                 be allowed first, as the manual says under /help/backups"
            ),
            _ => format!(
                "{place} cannot be written to ({e}); check its owner and whether its disk is there"
            ),
        })
    }
}

fn make_all(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// The files below a folder; temporary ones only if `hidden`.
fn walk(root: &Path, folder: &str, hidden: bool, found: &mut Vec<Stored>) -> io::Result<()> {
    let entries = match fs::read_dir(root.join(folder)) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let below = format!("{folder}/{name}");
        let kind = entry.file_type()?;
        if kind.is_dir() && !name.starts_with('.') {
            walk(root, &below, hidden, found)?;
        } else if kind.is_file() && name.starts_with('.') == hidden {
            let bytes = entry.metadata()?.len();
            found.push(Stored { name: below, bytes });
        }
    }
    Ok(())
}

struct Lock(#[allow(dead_code)] Option<File>); // the lock lasts for as long as the file is open

impl Held for Lock {}

impl Store for FolderStore {
    fn place(&self) -> String {
        self.root.display().to_string()
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.write(name, bytes, false)
            .map_err(|e| self.cannot_save(&e))
    }

    fn publish(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.write(name, bytes, true)
            .map_err(|e| self.cannot_save(&e))
    }

    fn get(&self, name: &str, max_bytes: usize) -> Result<Option<Vec<u8>>> {
        let path = self.root.join(name);
        let file = match File::open(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            file => file.map_err(|e| Error::io("reading", &path, e))?,
        };
        // What was written is in memory, too, and a stick that lies gives back something else. It was synced before, so
        // nothing is lost by forgetting it, and a trial reads what the disk has. (What a disk keeps in a memory of its own
        // is out of reach.) It is advice: a system that does not take it reads from memory.
        let _ = rustix::fs::fadvise(&file, 0, None, Advice::DontNeed);
        let mut bytes = Vec::new();
        let most = max_bytes as u64 + 1;
        let read = file.take(most).read_to_end(&mut bytes);
        read.map_err(|e| Error::io("reading", &path, e))?;
        if bytes.len() > max_bytes {
            let shown = path.display();
            return Err(Error::Damaged(format!("{shown} is larger than it can be")));
        }
        Ok(Some(bytes))
    }

    fn list(&self, folder: &str) -> Result<Vec<Stored>> {
        let mut found = Vec::new();
        walk(&self.root, folder, false, &mut found)
            .map_err(|e| Error::io("looking through", self.root.join(folder), e))?;
        Ok(found)
    }

    fn remove(&self, name: &str) -> Result<()> {
        let path = self.root.join(name);
        files::remove_if_there(&path).map_err(|e| Error::io("removing", path, e))
    }

    fn lock(&self, to_change: bool) -> Result<Box<dyn Held>> {
        if to_change {
            self.make(&self.root).map_err(|e| self.cannot_save(&e))?;
        }
        let path = self.root.join(LOCK);
        let mut options = OpenOptions::new();
        options.read(true).write(to_change).create(to_change);
        let opened = options.truncate(false).mode(0o600).open(&path);
        let file = match opened {
            Ok(file) => {
                if to_change {
                    files::give_to_owner_of(&self.root, &file).map_err(|e| self.cannot_save(&e))?;
                }
                file
            }
            // Who only reads may read a disk that nobody can write to.
            Err(_) if !to_change => return Ok(Box::new(Lock(None))),
            Err(e) => return Err(self.cannot_save(&e)),
        };
        let taken = if to_change {
            file.try_lock()
        } else {
            file.try_lock_shared()
        };
        match taken {
            Ok(()) => Ok(Box::new(Lock(Some(file)))),
            Err(TryLockError::WouldBlock) => Err(Error::Invalid(format!(
                "another Webstead is busy with the backups in {} at this moment; try again when it is done",
                self.root.display()
            ))),
            Err(TryLockError::Error(e)) => {
                let shown = self.root.display();
                log::warn!("{shown} has no locks ({e}): let only one machine use it at a time");
                Ok(Box::new(Lock(None)))
            }
        }
    }

    fn sweep(&self) {
        let mut left = Vec::new();
        for folder in ["objects", "backups", "tried"] {
            // What cannot be looked through is swept another time.
            let _ = walk(&self.root, folder, true, &mut left);
        }
        for file in left {
            let _ = fs::remove_file(self.root.join(file.name));
        }
        files::sweep_temporary(&self.root);
        scratch::sweep(&self.root, &[SCRATCH]);
    }

    fn scratch(&self) -> Option<&Path> {
        Some(&self.root)
    }
}
