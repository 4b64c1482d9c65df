//! Files of the folder `tls/`: written whole or not at all, and keys readable by nobody else.

use std::{
    fs::{self, DirBuilder},
    io::ErrorKind,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use crate::base::{Error, Result, files};

/// Read and write for the owner, nothing for others.
pub(in crate::net) const SECRET: u32 = 0o600;
/// Everybody may read it.
pub(in crate::net) const PUBLIC: u32 = 0o644;
/// Far more than any key or certificate of ours has.
const MAX_BYTES: u64 = 64 * 1024;

/// The folder of keys and certificates: `data_dir/tls`.
pub(in crate::net) fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join("tls")
}

/// Makes the folder, open to its owner only, if it is not there; else removes what interrupted writes left.
pub(in crate::net) fn create_folder(data_dir: &Path) -> Result<PathBuf> {
    let folder = folder(data_dir);
    make_closed(&folder, data_dir)?;
    Ok(folder)
}

/// Makes a folder that is open to its owner only; one that is there is swept.
fn make_closed(folder: &Path, above: &Path) -> Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => {
            fs::File::open(folder)
                .and_then(|made| files::give_to_owner_of(above, &made))
                .map_err(|e| Error::io("making the folder", folder, e))?;
            files::sync_folder(above).map_err(|e| Error::io("syncing", above, e))
        }
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {
            files::sweep_temporary(folder);
            Ok(())
        }
        Err(e) => Err(Error::io("making the folder", folder, e)),
    }
}

/// Makes `data_dir/tls/NAME`, open to its owner only, if it is not there.
pub(in crate::net) fn create_folder_in(data_dir: &Path, name: &str) -> Result<PathBuf> {
    let above = create_folder(data_dir)?;
    let folder = above.join(name);
    make_closed(&folder, &above)?;
    Ok(folder)
}

/// Writes a file of this mode, whole or not at all.
pub(in crate::net) fn write(path: &Path, content: &str, mode: u32) -> Result<()> {
    files::write_whole(path, content.as_bytes(), mode).map_err(|e| Error::io("writing", path, e))
}

/// The text of a file, or `None` if there is none.
pub(in crate::net) fn read(path: &Path) -> Result<Option<String>> {
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
pub(in crate::net) fn read_secret(path: &Path) -> Result<Option<String>> {
    let Some(text) = read(path)? else {
        return Ok(None);
    };
    let was_open =
        files::close_to_others(path).map_err(|e| Error::io("closing to others", path, e))?;
    if was_open {
        log::warn!(
            "{} could be read by others: now it is yours only (mode 0600). If somebody may have read it, \
             move the folder away to get a new key",
            path.display()
        );
    }
    Ok(Some(text))
}
