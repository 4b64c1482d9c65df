//! Files that are written whole or not at all, and that belong to whom their folder belongs to.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{Error, Id, Result, Timestamp};

/// A temporary file of this age belongs to nobody: no file takes an hour to write.
const ABANDONED_AFTER: Duration = Duration::from_hours(1);

/// The folder that a file is in: this one, if its path is only a name.
pub fn folder_of(file: &Path) -> &Path {
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// A file that lies beside another one, under its name and more.
pub fn beside(file: &Path, end: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// Gives a file a second name; a copy of it, on the disk when this returns, where there are no such names.
///
/// # Errors
/// What the disk says; something has the name already, or there is no room.
pub fn second_name(file: &Path, name: &Path) -> io::Result<()> {
    fs::hard_link(file, name).or_else(|e| match e.kind() {
        // A copy would go into what is there, which may be this very file.
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound => Err(e),
        _ => {
            fs::copy(file, name)?;
            File::open(name)?.sync_all()
        }
    })
}

/// Refuses what cannot be read as a whole: a folder, a device, or a pipe, for whose writer would be waited without end.
///
/// # Errors
/// [`Error::Invalid`] if it is one, [`Error::Io`] if there is nothing.
pub fn refuse_irregular(path: &Path) -> Result<()> {
    let found = fs::metadata(path).map_err(|e| Error::io("reading", path, e))?;
    if found.is_file() {
        return Ok(());
    }
    let what = if found.is_dir() {
        "folder"
    } else {
        "pipe, a device or the like"
    };
    let path = path.display();
    Err(Error::Invalid(format!(
        "{path} is no file, but a {what}; give the file itself"
    )))
}

/// Removes a file; that there is none is as good.
///
/// # Errors
/// What the disk says.
pub fn remove_if_there(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Writes a file so that a pulled plug leaves the old one, or none, or the new one whole. When it
/// returns, the new one is on the disk, and nothing is left behind if it fails.
///
/// The file has `mode` from its creation, less what the umask takes away: there is no moment in which
/// others can open a key. It belongs to the owner of its folder.
pub fn write_whole(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let folder = folder_of(path);
    let temporary = folder.join(temporary_name(Id::new()));
    let written = create(&temporary, bytes, mode)
        .and_then(|file| file.sync_all())
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written?;
    super::written::count_file(path, bytes.len() as u64);
    sync_folder(folder)
}

/// Makes a file of these bytes that belongs to the owner of its folder; it is not on the disk yet.
///
/// # Errors
/// What the disk says; something has the name already.
pub fn create(path: &Path, bytes: &[u8], mode: u32) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(mode).open(path)?;
    give_to_owner_of(folder_of(path), &file)?;
    file.write_all(bytes)?;
    Ok(file)
}

/// A name that nothing has: this one, or the first of `NAME-2`, `NAME-3` … that is free.
pub fn free_name(wanted: &Path) -> PathBuf {
    let numbered = |number: u32| beside(wanted, &format!("-{number}"));
    let is_free = |path: &PathBuf| fs::symlink_metadata(path).is_err();
    std::iter::once(wanted.to_path_buf())
        .chain((2..1000).map(numbered))
        .find(is_free)
        .unwrap_or_else(|| numbered(1000))
}

/// A name that nothing has, with the time behind it: `NAME-20261126-193000`.
pub fn dated_name(name: &Path) -> PathBuf {
    let now = Timestamp::now().to_jiff().strftime("-%Y%m%d-%H%M%S");
    free_name(&beside(name, &now.to_string()))
}

fn temporary_name(id: Id) -> String {
    format!(".{id}.tmp")
}

/// Whether [`write_whole`] makes files of this name. Others have temporary files too.
fn is_temporary(name: &str) -> bool {
    name.strip_prefix('.')
        .and_then(|rest| rest.strip_suffix(".tmp"))
        .is_some_and(|id| id.parse::<Id>().is_ok())
}

/// Makes the names in a folder durable: after a file was made, renamed or removed in it.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Gives a new file to the owner of its folder.
///
/// What root brings in by hand must stay readable to the service, which is another user. Nobody but root
/// can give files away: for others this does nothing. `file` must have been opened without following a
/// link; one that has a second name is not given away, because it may lie elsewhere.
pub fn give_to_owner_of(folder: &Path, file: &File) -> io::Result<()> {
    let (wanted, made) = (fs::metadata(folder)?, file.metadata()?);
    let has_other_names = made.is_file() && made.nlink() != 1;
    if wanted.uid() == made.uid() || has_other_names {
        return Ok(());
    }
    match fchown(file, Some(wanted.uid()), Some(wanted.gid())) {
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        outcome => outcome,
    }
}

/// Takes every right of others away from a file; says whether they had any. Follows no link.
pub fn close_to_others(path: &Path) -> io::Result<bool> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)?;
    let is_open = file.metadata()?.permissions().mode() & 0o077 != 0;
    if is_open {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(is_open)
}

/// Removes what interrupted calls of [`write_whole`] left in a folder, over an hour ago.
pub fn sweep_temporary(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let is_temporary = entry.file_name().to_str().is_some_and(is_temporary);
        let age = entry
            .metadata()
            .and_then(|m| m.modified())
            .map(|t| t.elapsed().unwrap_or_default());
        if is_temporary && age.is_ok_and(|age| age > ABANDONED_AFTER) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{MetadataExt, PermissionsExt, chown},
        path::Path,
        time::{Duration, SystemTime},
    };

    use super::{
        beside, close_to_others, free_name, give_to_owner_of, second_name, sweep_temporary,
        temporary_name, write_whole,
    };
    use crate::base::Id;

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_file_is_replaced_whole_with_its_mode_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        for (content, mode) in [("first", 0o644), ("second", 0o600)] {
            write_whole(&path, content.as_bytes(), mode).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
            let found = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            assert_eq!(found, mode);
            assert_eq!(names(dir.path()), ["key"]);
        }
    }

    #[test]
    fn what_an_interrupted_write_left_goes_after_an_hour_and_nothing_else_does() {
        let dir = tempfile::tempdir().unwrap();
        let (old, new) = (temporary_name(Id::new()), temporary_name(Id::new()));
        let others = ["site.db", ".other.tmp", "x.tmp", ".tmp"];
        for name in [&*old, &*new].into_iter().chain(others) {
            fs::write(dir.path().join(name), "x").unwrap();
        }
        for name in std::iter::once(&*old).chain(others) {
            let file = fs::File::options().write(true).open(dir.path().join(name));
            let long_ago = SystemTime::now() - Duration::from_hours(2);
            file.unwrap().set_modified(long_ago).unwrap();
        }
        sweep_temporary(dir.path());
        let mut left = names(dir.path());
        left.sort();
        let mut expected: Vec<_> = others.map(String::from).into();
        expected.push(new);
        expected.sort();
        assert_eq!(left, expected);
    }

    #[test]
    fn a_second_name_is_one_that_nothing_has() {
        let dir = tempfile::tempdir().unwrap();
        let (file, name) = (dir.path().join("site.db"), dir.path().join("kept"));
        fs::write(&file, "posts").unwrap();
        second_name(&file, &name).unwrap();
        // Of the file itself as of another one.
        second_name(&file, &name).unwrap_err();
        fs::write(dir.path().join("other"), "x").unwrap();
        second_name(&file, &dir.path().join("other")).unwrap_err();
        second_name(&dir.path().join("missing"), &dir.path().join("free")).unwrap_err();
        for (file, content) in [("site.db", "posts"), ("kept", "posts"), ("other", "x")] {
            assert_eq!(fs::read_to_string(dir.path().join(file)).unwrap(), content);
        }
        assert!(!dir.path().join("free").exists());
    }

    #[test]
    fn a_name_that_something_has_gets_a_number() {
        let dir = tempfile::tempdir().unwrap();
        let wanted = dir.path().join("site.db.damaged-20261127-140200");
        for name in ["", "-2", "-3"] {
            let free = free_name(&wanted);
            assert_eq!(free, beside(&wanted, name));
            fs::write(free, "x").unwrap();
        }
        std::os::unix::fs::symlink("nowhere", beside(&wanted, "-4")).unwrap();
        assert_eq!(free_name(&wanted), beside(&wanted, "-5"));
    }

    #[test]
    fn what_cannot_be_written_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("taken")).unwrap();
        write_whole(&dir.path().join("taken"), b"x", 0o600).unwrap_err();
        assert_eq!(names(dir.path()), ["taken"]);
        write_whole(&dir.path().join("no/file"), b"x", 0o600).unwrap_err();
    }

    #[test]
    fn no_link_is_followed_and_no_file_with_a_second_name_is_given_away() {
        let dir = tempfile::tempdir().unwrap();
        let victim = dir.path().join("victim");
        write_whole(&victim, b"x", 0o644).unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&victim, &link).unwrap();
        assert!(close_to_others(&link).is_err());
        let mode = fs::metadata(&victim).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o644);

        let folder = dir.path().join("folder");
        fs::create_dir(&folder).unwrap();
        fs::hard_link(&victim, folder.join("name")).unwrap();
        if chown(&folder, Some(65534), Some(65534)).is_ok() {
            let before = fs::metadata(&victim).unwrap().uid();
            let file = fs::File::open(folder.join("name")).unwrap();
            give_to_owner_of(&folder, &file).unwrap();
            assert_eq!(fs::metadata(&victim).unwrap().uid(), before);
        }
    }

    #[test]
    fn a_file_that_others_could_read_is_closed_to_them_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        write_whole(&path, b"x", 0o644).unwrap();
        assert!(close_to_others(&path).unwrap());
        assert!(!close_to_others(&path).unwrap());
    }
}
