//! Files of a data folder as root reads them. The user of the service can put anything into that folder: no link is
//! followed, and only files are taken that belong to whom the folder belongs to.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Read as _},
    os::{
        fd::AsFd,
        unix::{
            ffi::OsStrExt as _,
            fs::{MetadataExt as _, OpenOptionsExt as _},
        },
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Dir, Mode, OFlags, openat},
    io::Errno,
};

/// A folder, and the user that its files must belong to.
pub(super) struct OwnedFiles {
    folder: File,
    owner: u32,
    /// For messages.
    path: PathBuf,
}

impl OwnedFiles {
    /// Those of a data folder itself.
    ///
    /// # Errors
    /// What the disk says.
    pub(super) fn of(data: &Path) -> io::Result<Self> {
        let folder = File::options()
            .read(true)
            .custom_flags(libc::O_DIRECTORY)
            .open(data)?;
        Ok(Self {
            owner: folder.metadata()?.uid(),
            folder,
            path: data.to_path_buf(),
        })
    }

    /// Those of a folder in a data folder; `None` if there is no such folder.
    ///
    /// # Errors
    /// What the disk says.
    pub(super) fn below(data: &Path, name: &str) -> io::Result<Option<Self>> {
        let Self {
            folder,
            owner,
            path,
        } = Self::of(data)?;
        let path = path.join(name);
        let found = open(&folder, OsStr::new(name), OFlags::DIRECTORY, &path)?;
        Ok(found.map(|folder| Self {
            folder,
            owner,
            path,
        }))
    }

    /// The names of all that is there.
    ///
    /// # Errors
    /// What the disk says.
    pub(super) fn names(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.folder)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." {
                names.push(name.to_os_string());
            }
        }
        Ok(names)
    }

    /// What is in a file; `None` if there is none, or none that is taken, which the log says.
    ///
    /// # Errors
    /// What the disk says.
    pub(super) fn read(&self, name: &OsStr) -> io::Result<Option<Vec<u8>>> {
        let path = self.path.join(name);
        // Who opens a pipe would wait.
        let Some(mut file) = open(&self.folder, name, OFlags::NONBLOCK, &path)? else {
            return Ok(None);
        };
        let found = file.metadata()?;
        if found.is_dir() {
            return Ok(None);
        }
        if !found.is_file() || found.uid() != self.owner {
            say_left_out(&path);
            return Ok(None);
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }
}

/// Opens what has a name in a folder, if it is no link.
fn open(folder: &File, name: &OsStr, kind: OFlags, path: &Path) -> io::Result<Option<File>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | kind;
    match openat(folder.as_fd(), name, flags, Mode::empty()) {
        Ok(found) => Ok(Some(found.into())),
        Err(Errno::NOENT) => Ok(None),
        // A link, a file in the place of a folder, a socket.
        Err(Errno::LOOP | Errno::NOTDIR | Errno::NXIO) => {
            say_left_out(path);
            Ok(None)
        }
        Err(e) => Err(e.into()),
    }
}

fn say_left_out(path: &Path) {
    log::warn!(
        "{} does not come along to the restored site: it is a link, no file, or does not belong to the owner of the data \
         folder",
        path.display()
    );
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{chown, symlink},
        process::Command,
    };

    use super::*;

    fn read_all(files: &OwnedFiles) -> Vec<(String, Vec<u8>)> {
        let mut names = files.names().unwrap();
        names.sort();
        let read = |name: OsString| Some((name.to_str()?.to_owned(), files.read(&name).unwrap()?));
        names.into_iter().filter_map(read).collect()
    }

    #[test]
    fn of_a_data_folder_only_files_of_its_owner_are_read_and_nothing_that_a_link_leads_to() {
        let dir = tempfile::tempdir().unwrap();
        let (data, foreign) = (dir.path().join("data"), dir.path().join("foreign"));
        let secrets = data.join("secrets");
        for folder in [&secrets.join("folder"), &foreign] {
            fs::create_dir_all(folder).unwrap();
        }
        fs::write(foreign.join("id_ed25519"), "of another").unwrap();
        fs::write(secrets.join("dns"), "own").unwrap();
        symlink(foreign.join("id_ed25519"), secrets.join("link")).unwrap();
        symlink("dns", secrets.join("near")).unwrap();
        let made = Command::new("mkfifo").arg(secrets.join("pipe")).status();
        assert!(made.unwrap().success());
        let is_root = chown(&data, Some(65_534), None).is_ok();
        if is_root {
            fs::write(secrets.join("others"), "of root").unwrap();
            for own in [secrets.clone(), secrets.join("dns")] {
                chown(own, Some(65_534), None).unwrap();
            }
        }
        let files = OwnedFiles::below(&data, "secrets").unwrap().unwrap();
        assert_eq!(read_all(&files), [("dns".to_owned(), b"own".to_vec())]);

        // The folder itself, and the file of the state.
        fs::remove_dir_all(&secrets).unwrap();
        assert!(OwnedFiles::below(&data, "secrets").unwrap().is_none());
        symlink(&foreign, &secrets).unwrap();
        assert!(OwnedFiles::below(&data, "secrets").unwrap().is_none());
        symlink(foreign.join("id_ed25519"), data.join("backups.json")).unwrap();
        let own = OwnedFiles::of(&data).unwrap();
        assert_eq!(own.read(OsStr::new("backups.json")).unwrap(), None);
        assert_eq!(own.read(OsStr::new("missing")).unwrap(), None);
    }
}
