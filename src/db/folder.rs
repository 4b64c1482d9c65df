//! The data folder: where everything of a site is.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{ErrorKind, Read, Seek, Write},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

use super::{read_only::is_on_read_only_disk, replacement};
use crate::base::{Error, Result, files};

/// A site's data folder: `site.db`, `media/`, `public/`, `tls/` and the lock of the running server.
#[derive(Clone, Debug)]
pub struct DataFolder {
    root: PathBuf,
}

/// Held by the running server; a second server on the same folder is refused. Freed when dropped, and
/// by the system when the process ends, however it ends.
#[derive(Debug)]
pub struct ServerLock {
    /// The lock's file; where that cannot be written or made, the same one only for reading, or the folder.
    file: File,
    /// Where notes are left.
    path: PathBuf,
    /// The same file for notes, if `file` cannot be written: the disk was read-only when it was locked.
    for_notes: Option<File>,
}

impl ServerLock {
    /// The lock of a folder that another process holds too, and has handed over: it is held until both have let go.
    pub fn shared(file: File, folder: &DataFolder) -> Self {
        Self {
            file,
            path: folder.lock_file(),
            for_notes: None,
        }
    }

    /// The same lock once more: it is held until both are dropped.
    pub fn copy(&self) -> Result<Self> {
        let copy = |file: &File| file.try_clone().map_err(Error::internal);
        Ok(Self {
            file: copy(&self.file)?,
            path: self.path.clone(),
            for_notes: self.for_notes.as_ref().map(copy).transpose()?,
        })
    }

    /// Leaves a line beside the lock, for who looks with [`DataFolder::running_server`], and says that this process
    /// is the one that serves. Says whether it could: on a disk that is read-only, nobody can.
    ///
    /// # Errors
    /// [`Error::CannotSave`] if something else is wrong.
    pub fn note(&mut self, line: &str) -> Result<bool> {
        debug_assert!(!line.contains('\n'));
        let text = format!("{}\n{line}\n", std::process::id());
        // At once, because somebody may be reading; what was longer before is cut off afterwards.
        let write = |file: &File| {
            file.write_all_at(text.as_bytes(), 0)
                .and_then(|()| file.set_len(text.len() as u64))
        };
        let failed = |e| Error::CannotSave(format!("server.lock: {e}"));
        if let Some(file) = &self.for_notes {
            return write(file).map(|()| true).map_err(failed);
        }
        let Err(first) = write(&self.file) else {
            return Ok(true);
        };
        match lock_options().write(true).create(true).open(&self.path) {
            Err(e) if e.kind() == ErrorKind::ReadOnlyFilesystem => Ok(false),
            Ok(file) if matches!(first.raw_os_error(), Some(libc::EBADF | libc::EROFS)) => {
                // If it was not there, nobody has it; else it is ours already, by the other descriptor.
                let _ = file.try_lock();
                write(&file).map_err(failed)?;
                self.for_notes = Some(file);
                Ok(true)
            }
            _ => Err(failed(first)),
        }
    }
}

/// Root may serve, or copy, a folder that is somebody else's: no link leads it out of there.
fn lock_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW);
    options
}

impl AsFd for ServerLock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// A server that runs on a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningServer {
    /// Its process id.
    pub process: u32,
    /// What it left with [`ServerLock::note`]; `None` while it is starting.
    pub note: Option<String>,
}

impl DataFolder {
    /// The folder at `root`; makes it (mode 0700) with its parents if it is not there.
    ///
    /// # Errors
    /// [`Error::CannotSave`] if it cannot be made or is not a folder, [`Error::Damaged`] if its database
    /// was lost.
    pub fn open_or_create(root: &Path) -> Result<Self> {
        let folder = Self {
            root: root.to_path_buf(),
        };
        folder.refuse_closed()?;
        replacement::finish(&folder)?;
        for dir in [folder.root.clone(), folder.media()] {
            folder.create(&dir).map_err(|e| {
                Error::CannotSave(format!(
                    "the data folder {} cannot be made or written to ({e}); check its owner and \
                     permissions, or choose another with --data DIR",
                    dir.display()
                ))
            })?;
        }
        folder.refuse_lost()?;
        folder
            .root
            .canonicalize()
            .map(|root| Self { root })
            .map_err(|e| Error::io("opening", root, e))
    }

    /// Makes a folder that is closed to others and belongs to whom the data folder belongs to.
    fn create(&self, dir: &Path) -> std::io::Result<()> {
        if dir.is_dir() {
            return Ok(());
        }
        let whole = std::path::absolute(dir)?;
        let new = whole
            .ancestors()
            .take_while(|above| !above.is_dir())
            .count();
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        // Without this, a power cut takes the folder away with all that is in it, synced or not.
        for above in whole.ancestors().skip(1).take(new) {
            files::sync_folder(above)?;
        }
        let made = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_DIRECTORY)
            .open(dir)?;
        files::give_to_owner_of(&self.root, &made)
    }

    /// The folder at `root`, which must hold a site.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there is no site.
    pub fn open_existing(root: &Path) -> Result<Self> {
        let folder = Self {
            root: root.to_path_buf(),
        };
        folder.refuse_closed()?;
        replacement::finish(&folder)?;
        folder.refuse_lost()?;
        if !folder.database().is_file() {
            return Err(Error::Invalid(format!(
                "there is no site in {}; name its data folder with --data DIR, or make a new site \
                 with `webstead serve --data {0}`",
                root.display()
            )));
        }
        Ok(folder)
    }

    /// A folder as it is, whatever is in it.
    pub fn at(root: &Path) -> Self {
        Self {
            root: root.to_path_buf(),
        }
    }

    /// Refuses a folder that this user may not look into, such as that of the service.
    fn refuse_closed(&self) -> Result<()> {
        match fs::read_dir(&self.root) {
            Err(e) if e.kind() == ErrorKind::PermissionDenied => Err(Error::Forbidden(format!(
                "you may not look into the data folder {}, which belongs to another user; try again \
                 with sudo in front, or choose another with --data DIR",
                self.root.display()
            ))),
            _ => Ok(()),
        }
    }

    /// Refuses a folder whose database is empty or gone while its media are still there: a new site in it
    /// would hide the loss.
    fn refuse_lost(&self) -> Result<()> {
        let what = match fs::metadata(self.database()) {
            Ok(file) if file.len() == 0 => "is empty",
            Err(e) if e.kind() == ErrorKind::NotFound => "is not there",
            _ => return Ok(()),
        };
        let has_media = fs::read_dir(self.media()).is_ok_and(|mut files| files.next().is_some());
        if has_media {
            return Err(Error::Damaged(format!(
                "{} {what}, but there are media files: the database was lost. Restore a backup of it; \
                 to begin anew, choose another folder with --data DIR",
                self.database().display()
            )));
        }
        Ok(())
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }
    /// The database file.
    pub fn database(&self) -> PathBuf {
        self.root.join("site.db")
    }
    /// Where plain files lie that are served beside the application, if there are any.
    pub fn public(&self) -> PathBuf {
        self.root.join("public")
    }
    /// Where media files are.
    pub fn media(&self) -> PathBuf {
        self.root.join("media")
    }

    /// Whether its disk is mounted read-only.
    pub fn is_on_read_only_disk(&self) -> bool {
        is_on_read_only_disk(&self.database())
    }

    /// What that means for a site in this folder, in a sentence.
    pub fn says_read_only(folder: &str) -> String {
        format!(
            "The disk of {folder} is read-only, as a worn-out SD card often is; pages are shown, but nothing can be saved."
        )
    }

    /// Claims the folder for one running server.
    ///
    /// # Errors
    /// [`Error::Invalid`] if another server runs on it, with its process id.
    pub fn lock_for_server(&self) -> Result<ServerLock> {
        let path = self.lock_file();
        let open = |e: std::io::Error| {
            if e.kind() != ErrorKind::ReadOnlyFilesystem {
                return Err(e);
            }
            // Nobody can write there. The lock's file serves to read too, and the folder itself where there is none.
            lock_options()
                .open(&path)
                .or_else(|_| File::open(&self.root))
        };
        let mut file = lock_options()
            .write(true)
            .create(true)
            .open(&path)
            .and_then(|file| files::give_to_owner_of(&self.root, &file).map(|()| file))
            .or_else(open)
            .map_err(|e| {
                Error::CannotSave(format!(
                    "{} cannot be written to ({e}); check the permissions of the data folder and \
                     whether the disk is mounted read-only",
                    path.display()
                ))
            })?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let _ = file.read_to_string(&mut text);
                let owner = text.lines().next().unwrap_or_default();
                return Err(Error::Invalid(format!(
                    "another Webstead (process {}) already serves {}; stop it first, or choose \
                     another folder with --data DIR",
                    owner.trim(),
                    self.root.display()
                )));
            }
            Err(TryLockError::Error(e)) => return Err(Error::io("locking", path, e)),
        }
        let is_other = |found: fs::Metadata| found.is_file() && found.nlink() != 1;
        let has_other_names = file.metadata().is_ok_and(is_other);
        if has_other_names {
            return Err(Error::Invalid(format!(
                "{} has a second name somewhere else, and what is written to it would be written there; remove \
                 it and try again",
                path.display()
            )));
        }
        // The process id is only for the message above.
        let _ = file.set_len(0);
        let _ = file.rewind();
        let _ = writeln!(file, "{}", std::process::id());
        Ok(ServerLock {
            file,
            path,
            for_notes: None,
        })
    }

    fn lock_file(&self) -> PathBuf {
        self.root.join("server.lock")
    }

    /// The server that runs on the folder, if there is one.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder may not be looked into.
    pub fn running_server(&self) -> Result<Option<RunningServer>> {
        let path = self.lock_file();
        let opened = match File::open(&path) {
            // A server on a disk that is read-only has the folder.
            Err(e) if e.kind() == ErrorKind::NotFound => File::open(&self.root),
            opened => opened,
        };
        let mut file = match opened {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io("opening", path, e)),
        };
        match file.try_lock_shared() {
            Ok(()) => return Ok(None),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(e)) => return Err(Error::io("looking at", path, e)),
        }
        let mut text = String::new();
        match file.read_to_string(&mut text) {
            Err(e) if e.kind() != ErrorKind::IsADirectory => {
                return Err(Error::io("reading", path, e));
            }
            _ => {}
        }
        let mut lines = text.lines();
        let process = lines.next().and_then(|line| line.trim().parse().ok());
        let process: u32 = process.unwrap_or_default();
        let note = lines.next().map(str::to_owned);
        if self.is_on_read_only_disk() && !Path::new("/proc").join(process.to_string()).exists() {
            // It could not write its own, and this is what another one has left.
            return Ok(Some(RunningServer {
                process: 0,
                note: None,
            }));
        }
        Ok(Some(RunningServer { process, note }))
    }
}
