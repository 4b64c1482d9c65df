//! Secrets of the owner's, such as what a DNS provider gave: a file each in `secrets/`, for its owner only.
//!
//! They are not in the database, so that no export or copy of that takes them along unasked.

use std::{
    fs::{self, DirBuilder},
    io::ErrorKind,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{Error, Result, files, one_line};

/// The folder in the data folder.
const FOLDER: &str = "secrets";
/// Characters that are shown of what is no name.
const MOST_SHOWN: usize = 64;
/// Far more than any token or key has.
const MAX_BYTES: u64 = 16 * 1024;

/// The secret of this name without white space around it, if there is one.
pub fn read(data: &Path, name: &str) -> Result<Option<String>> {
    let path = path(data, name)?;
    match fs::metadata(&path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Ok(found) if found.len() > MAX_BYTES => {
            let shown = path.display();
            return Err(Error::Invalid(format!("{shown} is too large for a secret")));
        }
        _ => {}
    }
    match files::close_to_others(&path) {
        // What nobody can change is read all the same.
        Err(e) if e.kind() == ErrorKind::ReadOnlyFilesystem => {}
        closed => drop(closed.map_err(|e| Error::io("closing to others", &path, e))?),
    }
    let text = fs::read_to_string(&path).map_err(|e| Error::io("reading", &path, e))?;
    Ok(Some(text.trim().to_owned()))
}

/// When the secret of this name was written, if there is one.
pub fn written_at(data: &Path, name: &str) -> Option<SystemTime> {
    let metadata = fs::metadata(path(data, name).ok()?);
    metadata.and_then(|metadata| metadata.modified()).ok()
}

/// Keeps a secret; the one that was there is gone.
///
/// # Errors
/// [`Error::Invalid`] if the secret is empty or too long, or the name is none; [`Error::Io`].
pub fn write(data: &Path, name: &str, secret: &str) -> Result<()> {
    let path = path(data, name)?;
    let secret = secret.trim();
    if secret.is_empty() || secret.len() as u64 > MAX_BYTES {
        return Err(Error::Invalid(format!(
            "a secret has from 1 to {MAX_BYTES} bytes, and this one for {name} has {}; nothing was changed",
            secret.len()
        )));
    }
    let folder = data.join(FOLDER);
    match DirBuilder::new().mode(0o700).create(&folder) {
        Ok(()) => fs::File::open(&folder)
            .and_then(|made| files::give_to_owner_of(data, &made))
            .and_then(|()| files::sync_folder(data))
            .map_err(|e| Error::io("making the folder", &folder, e))?,
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
        Err(e) => return Err(Error::io("making the folder", folder, e)),
    }
    let written = files::write_whole(&path, secret.as_bytes(), 0o600);
    written.map_err(|e| Error::io("writing", path, e))
}

/// Removes a secret; says whether there was one.
pub fn remove(data: &Path, name: &str) -> Result<bool> {
    let path = path(data, name)?;
    match fs::remove_file(&path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(Error::io("removing", path, e)),
    }
}

/// The names of the secrets that there are, in order.
///
/// # Errors
/// [`Error::Io`] if there is something in the place of their folder that cannot be read.
pub fn names(data: &Path) -> Result<Vec<String>> {
    let folder = data.join(FOLDER);
    let wrong = |e| Error::io("reading the folder", &folder, e);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(wrong(e)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(wrong)?.file_name().into_string();
        names.extend(name.ok().filter(|name| is_name(name)));
    }
    names.sort();
    Ok(names)
}

fn path(data: &Path, name: &str) -> Result<PathBuf> {
    if is_name(name) {
        return Ok(data.join(FOLDER).join(name));
    }
    Err(Error::Invalid(format!(
        "{:?} is no name of a secret; it has small letters, digits and dashes",
        one_line(name, MOST_SHOWN)
    )))
}

fn is_name(name: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=64).contains(&name.len()) && name.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::MetadataExt as _};

    use super::{names, read, remove, write};

    #[test]
    fn a_secret_is_kept_for_its_owner_only_replaced_and_removed() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(read(data.path(), "dns").unwrap(), None);
        write(data.path(), "dns", " abc\n").unwrap();
        write(data.path(), "dns", "def").unwrap();
        assert_eq!(read(data.path(), "dns").unwrap().as_deref(), Some("def"));
        let mode = |name: &str| fs::metadata(data.path().join(name)).unwrap().mode() & 0o777;
        assert_eq!((mode("secrets"), mode("secrets/dns")), (0o700, 0o600));
        assert_eq!(names(data.path()).unwrap(), ["dns"]);
        assert!(remove(data.path(), "dns").unwrap() && !remove(data.path(), "dns").unwrap());
        for (name, secret) in [
            ("../x", "a"),
            ("", "a"),
            ("A", "a"),
            ("dns", " \n"),
            ("dns", &"a".repeat(20_000)),
        ] {
            assert!(write(data.path(), name, secret).is_err(), "{name:?}");
        }
        assert!(names(data.path()).unwrap().is_empty());
        fs::remove_dir(data.path().join("secrets")).unwrap();
        assert!(names(data.path()).unwrap().is_empty());
        // What is in its place is not taken for no secrets.
        fs::write(data.path().join("secrets"), "x").unwrap();
        assert!(names(data.path()).is_err());
    }
}
