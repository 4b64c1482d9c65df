//! Folders in which something is put together and thrown away. One that was left, because its process was killed or the
//! power failed, is swept: a lock tells whether somebody uses it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use tempfile::TempDir;

use super::files;

/// A folder of this process, which goes when this is dropped.
pub struct Scratch {
    dir: TempDir,
    /// Held for as long as the file is open; the system ends it with the process.
    _lock: File,
}

impl Scratch {
    /// Makes one in `folder`, with a name that begins with `prefix`.
    ///
    /// # Errors
    /// What the disk says.
    pub fn in_folder(folder: &Path, prefix: &str) -> io::Result<Self> {
        // Who sweeps may come before the lock is there; then there is another one.
        for _ in 0..10 {
            let dir = tempfile::Builder::new().prefix(prefix).tempdir_in(folder)?;
            let opened = OpenOptions::new()
                .read(true)
                .custom_flags(libc::O_NOFOLLOW | libc::O_DIRECTORY)
                .open(dir.path());
            let lock = match opened {
                Err(e) if e.kind() == ErrorKind::NotFound => continue,
                lock => lock?,
            };
            // A disk without locks has none that is swept either.
            let _ = lock.lock_shared();
            // What root leaves in the folder of the service, the service sweeps.
            let _ = files::give_to_owner_of(folder, &lock);
            if dir.path().exists() {
                return Ok(Self { dir, _lock: lock });
            }
        }
        Err(io::Error::other("it was removed as soon as it was made"))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// Removes the folders with such names that no living process uses.
pub fn sweep(folder: &Path, prefixes: &[&str]) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_ours = prefixes.iter().any(|prefix| name.starts_with(prefix))
            && entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_ours
            && let Err(e) = remove_unused(&entry.path())
            && e.kind() != ErrorKind::ReadOnlyFilesystem
        {
            let path = entry.path();
            log::warn!(
                "{} was left by a command that was interrupted, takes room and cannot be removed ({e}); if no command is at \
                 work there: sudo rm -r {}",
                path.display(),
                path.display()
            );
        }
    }
}

/// Removes a folder, if nobody uses it.
fn remove_unused(path: &Path) -> io::Result<()> {
    let lock = match File::open(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        lock => lock?,
    };
    if lock.try_lock().is_err() {
        return Ok(());
    }
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, chown};

    use super::*;

    #[test]
    fn what_root_makes_in_the_folder_of_a_service_belongs_to_the_service() {
        let dir = tempfile::tempdir().unwrap();
        // Nobody but root can give files away.
        if chown(dir.path(), Some(65_534), Some(65_534)).is_ok() {
            let made = Scratch::in_folder(dir.path(), ".tried-").unwrap();
            let found = fs::metadata(made.path()).unwrap();
            assert_eq!((found.uid(), found.gid()), (65_534, 65_534));
        }
    }

    #[test]
    fn what_a_process_has_left_is_swept_and_what_one_uses_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let used = Scratch::in_folder(dir.path(), ".tried-").unwrap();
        for left in [".tried-abc", ".salvage-abc", ".other-abc"] {
            fs::create_dir_all(dir.path().join(left).join("site")).unwrap();
            fs::write(dir.path().join(left).join("site/site.db"), "x").unwrap();
        }
        fs::write(dir.path().join(".tried-file"), "x").unwrap();
        sweep(dir.path(), &[".tried-", ".salvage-"]);
        let names = || -> Vec<String> {
            let mut names: Vec<String> = fs::read_dir(dir.path())
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        assert_eq!(names().len(), 3, "{:?}", names());
        assert!(used.path().exists());
        drop(used);
        assert_eq!(names(), [".other-abc", ".tried-file"]);
    }
}
