//! Media files: stored under the hash of their content, written once, never changed.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
    time::Duration,
};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::folder::{DataFolder, remove_if_there, sync_folder};
use crate::base::{Error, Id, Result};

/// SHA-256 of `bytes`, 64 lower-case hex digits: the name of a media file.
pub fn hash_of(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

/// A temporary file of this age belongs to nobody: no file takes an hour to write.
const ABANDONED_AFTER: Duration = Duration::from_hours(1);

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
        // A damaged one is replaced.
        if self.is_sound(&hash) {
            sync_folder(&self.dir)?;
            return Ok(hash);
        }
        let temporary = self.dir.join(format!(".{}.tmp", Id::new()));
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)
            .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&temporary, &path));
        if let Err(e) = written {
            remove_if_there(&temporary);
            let why = if e.kind() == io::ErrorKind::StorageFull {
                "the disk is full"
            } else {
                "the disk said no"
            };
            return Err(Error::CannotSave(format!(
                "a file could not be stored in {}: {why} ({e})",
                self.dir.display()
            )));
        }
        sync_folder(&self.dir)?;
        Ok(hash)
    }

    /// Whether the file with this hash is there and its content still has this hash.
    pub fn is_sound(&self, hash: &str) -> bool {
        let Ok(mut file) = fs::File::open(self.path(hash)) else {
            return false;
        };
        let (mut digest, mut buffer) = (Sha256::new(), vec![0u8; 64 * 1024]);
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return HEXLOWER.encode(&digest.finalize()) == hash,
                Ok(n) => digest.update(&buffer[..n]),
                Err(_) => return false,
            }
        }
    }

    /// Removes what an interrupted [`MediaStore::store`] left behind, over an hour ago.
    pub fn sweep_temporary(&self) {
        let Ok(entries) = fs::read_dir(&self.dir) else {
            return;
        };
        for entry in entries.flatten() {
            let is_temporary = entry.path().extension().is_some_and(|e| e == "tmp");
            let age = entry
                .metadata()
                .and_then(|m| m.modified())
                .map(|t| t.elapsed().unwrap_or_default());
            if is_temporary && age.is_ok_and(|age| age > ABANDONED_AFTER) {
                remove_if_there(&entry.path());
            }
        }
    }
}
