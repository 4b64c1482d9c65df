//! Media files: stored under the hash of their content, written once, never changed.

use std::{
    fs,
    io::{self, Read},
    path::PathBuf,
};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::folder::DataFolder;
use crate::base::{Error, Result, Verdict, files};

/// How much is read at once by who leaves the disk to others.
const REST_AFTER_BYTES: usize = 1024 * 1024;

/// SHA-256 of `bytes`, 64 lower-case hex digits: the name of a media file.
pub fn hash_of(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

/// The same of what is read, a piece at a time; `rest` is called after each MiB.
pub(super) fn hash_of_all(mut from: impl Read, rest: impl Fn()) -> io::Result<String> {
    let (mut digest, mut buffer) = (Sha256::new(), vec![0u8; 64 * 1024]);
    let mut unrested = 0;
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(HEXLOWER.encode(&digest.finalize())),
            n => {
                digest.update(&buffer[..n]);
                unrested += n;
            }
        }
        if unrested >= REST_AFTER_BYTES {
            unrested = 0;
            rest();
        }
    }
}

/// The folder of media files.
#[derive(Clone, Debug)]
pub struct MediaStore {
    dir: PathBuf,
}

impl MediaStore {
    /// The media of a data folder.
    pub fn new(folder: &DataFolder) -> Self {
        Self {
            dir: folder.media(),
        }
    }

    /// Where the file with this hash is, or would be. `hash` must be one of [`hash_of`].
    pub fn path(&self, hash: &str) -> PathBuf {
        debug_assert!(hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit()));
        self.dir.join(hash)
    }

    /// Stores bytes and returns their hash; when it returns they are on the disk, whole.
    ///
    /// # Errors
    /// [`Error::CannotSave`] if there is no room or permission; then nothing is left behind.
    pub fn store(&self, bytes: &[u8]) -> Result<String> {
        let hash = hash_of(bytes);
        let path = self.path(&hash);
        // A damaged one is replaced, and one of which nobody knows.
        if self.look(&hash).is_sound() {
            files::sync_folder(&self.dir).map_err(|e| Error::io("syncing", &self.dir, e))?;
            return Ok(hash);
        }
        files::write_whole(&path, bytes, 0o600).map_err(|e| {
            let why = if e.kind() == io::ErrorKind::StorageFull {
                "the disk is full"
            } else {
                "the disk said no"
            };
            Error::CannotSave(format!(
                "a file could not be stored in {}: {why} ({e})",
                self.dir.display()
            ))
        })?;
        Ok(hash)
    }

    /// Whether the file with this hash is there and its content still has this hash.
    pub fn look(&self, hash: &str) -> Verdict {
        let path = self.path(hash);
        match fs::File::open(&path).and_then(|file| hash_of_all(file, || ())) {
            Ok(found) if found == hash => Verdict::Sound,
            Ok(_) => Verdict::Damaged(format!("{} is damaged", path.display())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                Verdict::Damaged(format!("{} is missing", path.display()))
            }
            Err(e) => Verdict::NotSeen(format!("{} cannot be read: {e}", path.display())),
        }
    }

    /// Removes what an interrupted [`MediaStore::store`] left behind, over an hour ago.
    pub fn sweep_temporary(&self) {
        files::sweep_temporary(&self.dir);
    }
}
