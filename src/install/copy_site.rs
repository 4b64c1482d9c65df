//! Copies the site of a trial into the data folder of the service.

use std::{
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt,
    path::Path,
};

use crate::{
    base::{Error, Result, Verdict, files},
    db::{DataFolder, look_at_pages, note_page_sums},
};

/// Whether a site can be copied from this folder.
///
/// # Errors
/// [`Error::Invalid`] if there is none, or if a server runs on it.
pub(super) fn look(from: &Path) -> Result<()> {
    let folder = DataFolder::open_existing(from)?;
    if let Some(server) = folder.running_server()? {
        return Err(Error::Invalid(format!(
            "a Webstead (process {}) still serves {}; stop it first, with Ctrl-C where it runs",
            server.process,
            from.display()
        )));
    }
    Ok(())
}

/// Copies the site whole; the one that is copied stays as it is, and no server may run on it.
///
/// The service manager gives the copy to the service's user when it starts (`StateDirectory=`,
/// systemd.exec(5)).
///
/// # Errors
/// As [`look`], and [`Error::Io`] if something cannot be read or written.
pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    let folder = DataFolder::open_existing(from)?;
    let _lock = folder.lock_for_server()?;
    // Damage is known by checksums that are of this file alone: in the copy it would be taken for what was written.
    if let Verdict::Damaged(what) = look_at_pages(&folder.database()) {
        return Err(Error::Damaged(format!(
            "{} is damaged, so it is not copied: {what}",
            folder.database().display()
        )));
    }
    copy_folder(
        from,
        to,
        &["site.db", "site.db-sums", "site.db-sums2", "server.lock"],
    )?;
    // At last: as long as it is not there, there is no site, and a copy that was interrupted begins anew.
    let (whole, half) = (to.join("site.db"), to.join("site.db.copy"));
    if whole.exists() {
        return Err(Error::Invalid(format!(
            "a site was made in {} meanwhile, and it is not replaced",
            to.display()
        )));
    }
    copy_file(&folder.database(), &half)?;
    fs::rename(&half, &whole).map_err(|e| Error::io("renaming", &half, e))?;
    note_page_sums(&whole)?;
    sync(to)
}

fn copy_folder(from: &Path, to: &Path, left_out: &[&str]) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(to)
        .map_err(|e| Error::io("making", to, e))?;
    let reading = |e| Error::io("reading", from, e);
    for entry in fs::read_dir(from).map_err(reading)? {
        let entry = entry.map_err(reading)?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().map_err(reading)?;
        if kind.is_dir() {
            copy_folder(&source, &target, &[])?;
        } else if kind.is_file() && !left_out.iter().any(|name| entry.file_name() == *name) {
            copy_file(&source, &target)?;
        } else if kind.is_symlink() {
            return Err(Error::Invalid(format!(
                "{} is a link, and links are not copied; put what it leads to in its place",
                source.display()
            )));
        }
    }
    sync(to)
}

fn copy_file(from: &Path, to: &Path) -> Result<()> {
    let folder = to.parent().unwrap_or(Path::new("."));
    fs::copy(from, to)
        .and_then(|_| fs::File::open(to))
        .and_then(|file| {
            files::give_to_owner_of(folder, &file)?;
            file.sync_all()
        })
        .map_err(|e| Error::io("copying", from, e))
}

fn sync(folder: &Path) -> Result<()> {
    files::sync_folder(folder).map_err(|e| Error::io("syncing", folder, e))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{copy, look};
    use crate::db::DataFolder;

    #[test]
    fn a_site_is_copied_whole_but_not_while_a_server_runs_on_it() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        assert!(look(&from).is_err());
        let folder = DataFolder::open_or_create(&from).unwrap();
        fs::write(folder.database(), "posts").unwrap();
        fs::write(folder.media().join("picture"), "bytes").unwrap();
        let lock = folder.lock_for_server().unwrap();
        assert!(look(&from).is_err());
        assert!(copy(&from, &to).is_err());
        drop(lock);
        look(&from).unwrap();
        copy(&from, &to).unwrap();
        assert_eq!(fs::read_to_string(to.join("site.db")).unwrap(), "posts");
        assert_eq!(
            fs::read_to_string(to.join("media/picture")).unwrap(),
            "bytes"
        );
        assert!(!to.join("server.lock").exists());
    }
}
