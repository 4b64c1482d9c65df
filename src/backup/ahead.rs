//! Reads files one ahead of the one that is being written: to hash and to compress takes as long as to write.

use std::{
    borrow::Cow,
    fs::{File, Metadata},
    io::{ErrorKind, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::mpsc::sync_channel,
    thread,
};

use super::{
    object::{self, Reference},
    seal::Key,
};
use crate::base::{Error, Result};

/// What became of reading a file.
pub(super) enum Read {
    /// It is not there.
    Missing,
    /// It is too large for one object, and was not read.
    Large,
    /// All of it.
    Whole(Whole),
}

/// A file that is one object.
pub(super) struct Whole {
    /// Its size.
    pub(super) bytes: u64,
    /// When it was changed.
    pub(super) changed: (i64, u32),
    /// The SHA-256 of it.
    pub(super) sha256: [u8; 32],
    /// The digest that it is named by.
    pub(super) digest: [u8; 32],
    /// The object that it becomes, and what that has.
    pub(super) packed: (Reference, Vec<u8>),
}

/// Reads files in order, and gives each to `take` with its number while the next one is being read.
///
/// # Errors
/// What `take` says.
pub(super) fn each(
    files: &[PathBuf],
    key: Option<&Key>,
    mut take: impl FnMut(usize, Result<Read>) -> Result<()>,
) -> Result<()> {
    thread::scope(|scope| {
        // None waits between the two: a small board has room for two of them.
        let (sender, read) = sync_channel(0);
        let reader = move || {
            for file in files {
                if sender.send(read_whole(file, key)).is_err() {
                    return;
                }
            }
        };
        let name = thread::Builder::new().name("backup-reader".into());
        name.spawn_scoped(scope, reader).map_err(Error::internal)?;
        for number in 0..files.len() {
            let read = read.recv().map_err(Error::internal)?;
            take(number, read)?;
        }
        Ok(())
    })
}

fn read_whole(path: &Path, key: Option<&Key>) -> Result<Read> {
    let reading = |e| Error::io("reading", path, e);
    let file = match File::open(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Read::Missing),
        file => file.map_err(reading)?,
    };
    let found = file.metadata().map_err(reading)?;
    let most = object::MAX_BYTES as u64;
    if found.len() >= most {
        return Ok(Read::Large);
    }
    let mut content = Vec::with_capacity(usize::try_from(found.len() + 1).unwrap_or(0));
    file.take(most).read_to_end(&mut content).map_err(reading)?;
    if content.len() as u64 == most {
        return Ok(Read::Large);
    }
    let sha256 = object::sha256(&content);
    let digest = key.map_or(sha256, |key| key.name(&content));
    let (reference, packed) = object::pack(&content, digest, key)?;
    let packed = match packed {
        Cow::Owned(packed) => Some(packed),
        Cow::Borrowed(_) => None,
    };
    Ok(Read::Whole(Whole {
        bytes: content.len() as u64,
        changed: changed(&found),
        sha256,
        digest,
        packed: (reference, packed.unwrap_or(content)),
    }))
}

/// When a file was changed, in seconds since 1970 and nanoseconds.
pub(super) fn changed(found: &Metadata) -> (i64, u32) {
    let nanoseconds = u32::try_from(found.mtime_nsec()).unwrap_or(0);
    (found.mtime(), nanoseconds)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Read, each};
    use crate::{
        backup::object::{MAX_BYTES, sha256},
        base::Error,
    };

    #[test]
    fn files_come_in_order_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| dir.path().join(name);
        let text = "all work and no play ".repeat(1000);
        fs::write(file("text"), &text).unwrap();
        fs::write(file("empty"), "").unwrap();
        fs::write(file("large"), vec![7; MAX_BYTES]).unwrap();
        let files = ["text", "none", "empty", "large", "text"].map(file);
        let mut seen = Vec::new();
        each(&files, None, |number, read| {
            seen.push(match read? {
                Read::Missing => format!("{number} missing"),
                Read::Large => format!("{number} large"),
                Read::Whole(whole) => {
                    let content = fs::read(&files[number]).unwrap();
                    assert_eq!(whole.sha256, sha256(&content));
                    assert_eq!(whole.digest, whole.sha256);
                    assert!(whole.packed.1.len() <= content.len());
                    format!("{number} {}", whole.bytes)
                }
            });
            Ok(())
        })
        .unwrap();
        let size = text.len();
        assert_eq!(
            seen,
            [
                format!("0 {size}"),
                "1 missing".into(),
                "2 0".into(),
                "3 large".into(),
                format!("4 {size}")
            ]
        );
    }

    #[test]
    fn the_first_error_ends_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a");
        fs::write(&file, "a").unwrap();
        let mut count = 0;
        let outcome = each(&vec![file; 100], None, |_, _| {
            count += 1;
            Err(Error::Busy("enough"))
        });
        assert!(matches!(outcome, Err(Error::Busy(_))) && count == 1);
        // A folder cannot be read as a file.
        let outcome = each(&[dir.path().to_path_buf()], None, |_, read| {
            read.map(|_| ())
        });
        assert!(matches!(outcome, Err(Error::Io { .. })));
    }
}
