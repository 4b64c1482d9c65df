//! Files of the folder `tls/`: written whole or not at all, and keys readable by nobody else.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{ErrorKind, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use crate::base::{Error, Result};

/// Read and write for the owner, nothing for others.
pub(super) const SECRET: u32 = 0o600;
/// Everybody may read it.
pub(super) const PUBLIC: u32 = 0o644;
/// Far more than any key or certificate of ours has.
const MAX_BYTES: u64 = 64 * 1024;

/// The folder of keys and certificates: `data_dir/tls`.
pub(super) fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join("tls")
}

/// Makes the folder, open to its owner only, if it is not there.
pub(super) fn create_folder(data_dir: &Path) -> Result<PathBuf> {
    let folder = folder(data_dir);
    match DirBuilder::new().mode(0o700).create(&folder) {
        Ok(()) => sync_folder(data_dir)?,
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
        Err(e) => return Err(Error::io("making the folder", folder, e)),
    }
    Ok(folder)
}

/// Writes a file with this mode so that a pulled plug leaves the old one, or none, or the new one whole.
///
/// The mode is the file's from its creation (less what the umask takes): there is no moment in which
/// others can open a key.
pub(super) fn write(path: &Path, content: &str, mode: u32) -> Result<()> {
    let temporary = path.with_extension("pem.new");
    // What an interrupted write left. It was never used.
    match fs::remove_file(&temporary) {
        Err(e) if e.kind() != ErrorKind::NotFound => {
            return Err(Error::io("removing", temporary, e));
        }
        _ => {}
    }
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&temporary)
        .and_then(|mut file: File| {
            file.write_all(content.as_bytes())?;
            file.sync_all()
        });
    if let Err(e) = written {
        let _ = fs::remove_file(&temporary);
        return Err(Error::io("writing", temporary, e));
    }
    fs::rename(&temporary, path).map_err(|e| Error::io("writing", path, e))?;
    sync_folder(path.parent().unwrap_or(Path::new(".")))
}

/// Puts the names in a folder on the disk.
fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder)
        .and_then(|f| f.sync_all())
        .map_err(|e| Error::io("saving the folder", folder, e))
}

/// The text of a file, or `None` if there is none.
pub(super) fn read(path: &Path) -> Result<Option<String>> {
    match fs::metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Ok(found) if found.is_file() && found.len() > MAX_BYTES => {
            return Err(Error::Invalid(format!(
                "{} is too large to be a key or certificate",
                path.display()
            )));
        }
        _ => {}
    }
    let bytes = fs::read(path).map_err(|e| Error::io("reading", path, e))?;
    // What is not text is damaged, and the caller says so when nothing is found in it.
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// [`read`] for a key: if others may open it, warns and closes it to them.
pub(super) fn read_secret(path: &Path) -> Result<Option<String>> {
    let Some(text) = read(path)? else {
        return Ok(None);
    };
    let mode = fs::metadata(path)
        .map_err(|e| Error::io("reading", path, e))?
        .permissions()
        .mode()
        & 0o777;
    if mode & 0o077 != 0 {
        log::warn!(
            "{} could be read by others (mode {mode:04o}): now it is yours only (0600). If somebody may have \
             read it, move the folder away to get a new key",
            path.display()
        );
        fs::set_permissions(path, Permissions::from_mode(SECRET))
            .map_err(|e| Error::io("closing to others", path, e))?;
    }
    Ok(Some(text))
}
