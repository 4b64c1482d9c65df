//! Puts another program in the place of one, so that there is always one whole, and keeps the one before.

use std::{
    ffi::OsString,
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::base::{Error, Result, files};

/// Where the program is kept that was in a place before.
pub fn previous_of(place: &Path) -> PathBuf {
    beside(place, ".previous")
}

fn beside(place: &Path, end: &str) -> PathBuf {
    let mut path = OsString::from(place);
    path.push(end);
    path.into()
}

/// A program that lies beside the one that it is to replace; removed when this is dropped.
pub struct Staged {
    place: PathBuf,
    path: PathBuf,
}

impl Staged {
    /// Writes it.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder may not be written to, or the disk is full.
    pub fn new(place: &Path, bytes: &[u8]) -> Result<Self> {
        let path = beside(place, ".new");
        let staged = Self {
            place: place.to_path_buf(),
            path,
        };
        files::write_whole(&staged.path, bytes, 0o755)
            // Whatever the umask is: the service's user must be able to run it.
            .and_then(|()| fs::set_permissions(&staged.path, Permissions::from_mode(0o755)))
            .map_err(|e| Error::io("writing", &staged.path, e))?;
        Ok(staged)
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts it into the place. The one before is still there, and can be put back.
    ///
    /// # Errors
    /// [`Error::Io`]; then everything is as before.
    pub fn put(self) -> Result<Placed> {
        let kept = beside(&self.place, ".undo");
        keep(&self.place, &kept)
            .and_then(|()| fs::rename(&self.path, &self.place))
            .and_then(|()| sync_folder_of(&self.place))
            .map_err(|e| Error::io("replacing", &self.place, e))?;
        Ok(Placed {
            place: self.place.clone(),
            kept,
        })
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // It is in its place, or nobody needs it.
        let _ = fs::remove_file(&self.path);
    }
}

/// A program in the place of another one, which lies beside it.
pub struct Placed {
    place: PathBuf,
    kept: PathBuf,
}

impl Placed {
    /// It stays. The one before is kept for the way back.
    ///
    /// # Errors
    /// [`Error::Io`]
    pub fn confirm(self) -> Result<()> {
        let previous = previous_of(&self.place);
        fs::rename(&self.kept, &previous)
            .and_then(|()| sync_folder_of(&previous))
            .map_err(|e| Error::io("keeping the program before as", &previous, e))
    }

    /// The one before comes back: the very same file, so that the one that runs lies in its place again.
    ///
    /// # Errors
    /// [`Error::Io`]
    pub fn take_back(self) -> Result<()> {
        fs::rename(&self.kept, &self.place)
            .and_then(|()| sync_folder_of(&self.place))
            .map_err(|e| Error::io("putting back", &self.place, e))
    }
}

/// Gives a file a second name, or copies it where there are no such names.
pub(super) fn keep(file: &Path, kept: &Path) -> io::Result<()> {
    match fs::remove_file(kept) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    fs::hard_link(file, kept).or_else(|_| fs::copy(file, kept).map(|_| ()))
}

fn sync_folder_of(file: &Path) -> io::Result<()> {
    files::sync_folder(file.parent().unwrap_or(Path::new(".")))
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{MetadataExt, PermissionsExt},
    };

    use super::{Staged, previous_of};

    #[test]
    fn a_program_is_replaced_and_comes_back_as_the_very_same_file() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("webstead");
        fs::write(&place, "old").unwrap();
        let file = fs::metadata(&place).unwrap().ino();
        let placed = Staged::new(&place, b"bad").unwrap().put().unwrap();
        assert_eq!(fs::read_to_string(&place).unwrap(), "bad");
        placed.take_back().unwrap();
        assert_eq!(fs::metadata(&place).unwrap().ino(), file);
        let placed = Staged::new(&place, b"new").unwrap().put().unwrap();
        placed.confirm().unwrap();
        assert_eq!(fs::read_to_string(&place).unwrap(), "new");
        let mode = fs::metadata(&place).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755);
        assert_eq!(fs::read_to_string(previous_of(&place)).unwrap(), "old");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_was_not_put_in_place_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("webstead");
        fs::write(&place, "old").unwrap();
        drop(Staged::new(&place, b"new").unwrap());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
