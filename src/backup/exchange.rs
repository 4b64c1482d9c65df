//! Puts a restored site in the place of the one that is there. Power that fails at any moment leaves both, and the next
//! start knows which is which.
//!
//! The new site has a note in it ([`NOTE`]). Until both have changed places, the new one lies beside under a name of its
//! own, and from that step on the old one does, until it gets its dated name. So the note tells the two apart, and neither
//! has a name that says something wrong or is swept.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde::{Deserialize, Serialize};

use crate::base::{Error, Result, files};

/// In the new site, until all is done.
const NOTE: &str = ".restored";
/// What stands before the date in the name of a site that was set aside.
pub(super) const BEFORE: &str = ".before-";
/// The same while the two change places.
const MEANTIME: &str = ".exchanging-";

#[derive(Serialize, Deserialize)]
struct Note {
    /// What the other one is called until all is done.
    meantime: String,
    /// What the old one is called then.
    aside: String,
}

impl Note {
    /// Whether it names what an exchange of this folder names. The user of the service can write into the folder, and root
    /// reads it there: no other folder of the machine is renamed by what it says.
    fn is_of(&self, path: &Path) -> bool {
        let own = path.file_name().unwrap_or_default().to_string_lossy();
        self.meantime.starts_with(&format!("{own}{MEANTIME}"))
            && self.aside.starts_with(&format!("{own}{BEFORE}"))
    }
}

type Step<'a> = &'a mut dyn FnMut() -> io::Result<()>;

/// Puts the folder `new` in the place of `path`, and calls what is there `aside`. All are in the same folder.
pub(super) fn exchange(new: &Path, path: &Path, aside: &Path) -> io::Result<()> {
    exchange_by(new, path, aside, &mut || Ok(()))
}

/// `step` is asked before each.
fn exchange_by(new: &Path, path: &Path, aside: &Path, step: Step<'_>) -> io::Result<()> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    let name_of = |path: &Path| {
        path.file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    let own = name_of(path);
    let aside_name = name_of(aside);
    let dated = aside_name.strip_prefix(&format!("{own}{BEFORE}"));
    let name = format!("{own}{MEANTIME}{}", dated.unwrap_or(&aside_name));
    let meantime = parent.join(&name);
    let note = Note {
        meantime: name,
        aside: aside_name,
    };
    let note = serde_json::to_vec(&note).map_err(io::Error::other)?;
    step()?;
    files::write_whole(&new.join(NOTE), &note, 0o600)?;
    step()?;
    fs::rename(new, &meantime)?;
    step()?;
    let ready = files::sync_folder(parent);
    step()?;
    let exchanged =
        ready.is_ok() && renameat_with(CWD, &meantime, CWD, path, RenameFlags::EXCHANGE).is_ok();
    if !exchanged {
        let back = |e: io::Error| {
            let _ = fs::rename(&meantime, new);
            e
        };
        ready.map_err(back)?;
        // A disk that cannot do that: for a moment there is no site, and the next start puts the new one there.
        fs::rename(path, aside).map_err(back)?;
        step()?;
        if let Err(e) = fs::rename(&meantime, path) {
            let _ = fs::rename(aside, path);
            return Err(back(e));
        }
    }
    let settled = files::sync_folder(parent).and_then(|()| settle(path, step));
    if let Err(e) = settled {
        // It is in its place, and the next start goes on.
        log::warn!(
            "the site that was there may be in {} until the next start: {e}",
            meantime.display()
        );
    }
    Ok(())
}

/// Gives the old site its name, once the new one is in its place; and takes the note away.
fn settle(path: &Path, step: Step<'_>) -> io::Result<()> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    let note = path.join(NOTE);
    let Some(Note { meantime, aside }) = read(&note)?.filter(|note| note.is_of(path)) else {
        return Ok(());
    };
    let meantime = parent.join(meantime);
    if meantime.exists() {
        step()?;
        fs::rename(&meantime, parent.join(aside))?;
    }
    step()?;
    files::sync_folder(parent)?;
    step()?;
    fs::remove_file(note)?;
    files::sync_folder(path)
}

/// The note of a site that was restored; names with a folder in them are none of ours.
fn read(note: &Path) -> io::Result<Option<Note>> {
    let text = match fs::read(note) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text?,
    };
    let note: Option<Note> = serde_json::from_slice(&text).ok();
    let is_name = |name: &str| Path::new(name).file_name().is_some_and(|file| file == name);
    Ok(note.filter(|note| is_name(&note.meantime) && is_name(&note.aside)))
}

/// Goes on with a restore that was interrupted while the restored site and the one before it changed places.
///
/// # Errors
/// [`Error::CannotSave`] if the site is not in its place and cannot be put there: another one must not be begun.
pub fn finish_exchange(path: &Path) -> Result<()> {
    let Ok(path) = std::path::absolute(path) else {
        return Ok(());
    };
    if path.join(NOTE).exists() {
        if let Err(e) = settle(&path, &mut || Ok(())) {
            log::warn!("what was there before the restore has no dated name yet: {e}");
        }
        return Ok(());
    }
    let is_there = fs::read_dir(&path).is_ok_and(|mut files| files.next().is_some());
    for new in unplaced(&path) {
        if is_there {
            log::warn!(
                "a restore was interrupted, and the site is as it was before; what was restored is in {}: remove it, or \
                 restore once more",
                new.display()
            );
            continue;
        }
        let parent = path.parent().unwrap_or(Path::new("/"));
        let placed = fs::rename(&new, &path).and_then(|()| files::sync_folder(parent));
        placed.map_err(|e| {
            Error::CannotSave(format!(
                "a restore was interrupted: the restored site is in {}, and cannot be put in its place ({e}); rename that \
                 folder to {} and start again",
                new.display(),
                path.display()
            ))
        })?;
        log::warn!("a restore that was interrupted is finished");
        return settle(&path, &mut || Ok(())).map_err(|e| Error::io("finishing", path, e));
    }
    Ok(())
}

/// Restored sites beside `path` that did not get its place.
pub(super) fn unplaced(path: &Path) -> Vec<PathBuf> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let start = format!("{name}{MEANTIME}");
    let mut found = Vec::new();
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let note = read(&entry.path().join(NOTE)).ok().flatten();
        if name.starts_with(&start) && note.is_some_and(|note| note.meantime == name) {
            found.push(entry.path());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_site(folder: &Path, what: &str) {
        fs::create_dir(folder).unwrap();
        fs::write(folder.join("site.db"), what).unwrap();
    }

    fn what_is(folder: &Path) -> String {
        fs::read_to_string(folder.join("site.db")).unwrap()
    }

    #[test]
    fn power_that_fails_at_any_moment_leaves_both_sites_under_names_that_are_true() {
        let (mut olds, mut news) = (0, 0);
        for until in 0.. {
            let dir = tempfile::tempdir().unwrap();
            let at = |name: &str| dir.path().join(name);
            let (new, path, aside) = (at(".restoring-1"), at("data"), at("data.before-1"));
            a_site(&new, "new");
            a_site(&path, "old");
            let mut left = until;
            let mut step = || {
                left -= 1;
                if left < 0 {
                    return Err(io::Error::other("the power fails"));
                }
                Ok(())
            };
            let _ = exchange_by(&new, &path, &aside, &mut step);
            let is_done = left >= 0;
            finish_exchange(&path).unwrap();
            if what_is(&path) == "new" {
                assert_eq!(what_is(&aside), "old", "{until}");
                assert!(!path.join(NOTE).exists() && unplaced(&path).is_empty());
                news += 1;
            } else {
                assert!(!aside.exists() && news == 0, "{until}");
                let restored = if new.exists() {
                    vec![new]
                } else {
                    unplaced(&path)
                };
                assert_eq!(what_is(&restored[0]), "new", "{until}");
                olds += 1;
            }
            if is_done {
                break;
            }
        }
        assert!(olds >= 4 && news >= 4, "{olds} {news}");
    }

    #[test]
    fn a_note_that_names_anything_but_this_folder_and_its_dates_renames_nothing() {
        for (meantime, aside, is_ours) in [
            ("dpkg", "x", false),
            ("dpkg", "data.before-1", false),
            ("data.exchanging-1", "dpkg", false),
            ("other.exchanging-1", "other.before-1", false),
            ("../dpkg", "data.before-1", false),
            ("data.exchanging-1/../../dpkg", "data.before-1", false),
            ("data.exchanging-1", "data.before-1", true),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let inner = dir.path().join("lib");
            fs::create_dir(&inner).unwrap();
            let path = inner.join("data");
            a_site(&path, "new");
            for other in [
                dir.path().join("dpkg"),
                inner.join("dpkg"),
                inner.join("other.exchanging-1"),
            ] {
                a_site(&other, "other");
            }
            a_site(&inner.join("data.exchanging-1"), "old");
            let note = format!(r#"{{"meantime":"{meantime}","aside":"{aside}"}}"#);
            fs::write(path.join(NOTE), note).unwrap();
            finish_exchange(&path).unwrap();
            for other in [
                dir.path().join("dpkg"),
                inner.join("dpkg"),
                inner.join("other.exchanging-1"),
            ] {
                assert!(other.exists(), "{meantime} {aside}");
            }
            assert_eq!(
                inner.join("data.before-1").exists(),
                is_ours,
                "{meantime} {aside}"
            );
        }
    }

    #[test]
    fn a_folder_with_the_name_of_one_that_was_set_aside_can_be_restored_too() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let (new, path, aside) = (
            at(".restoring-1"),
            at("data.before-1"),
            at("data.before-1.before-2"),
        );
        a_site(&new, "new");
        a_site(&path, "old");
        exchange(&new, &path, &aside).unwrap();
        assert_eq!(
            (what_is(&path), what_is(&aside)),
            ("new".into(), "old".into())
        );
        assert!(!path.join(NOTE).exists());
    }

    #[test]
    fn where_both_cannot_change_places_at_once_the_next_start_puts_the_restored_site_there() {
        for is_empty_folder in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let at = |name: &str| dir.path().join(name);
            let (meantime, path, aside) =
                (at("data.exchanging-1"), at("data"), at("data.before-1"));
            a_site(&meantime, "new");
            let note = r#"{"meantime":"data.exchanging-1","aside":"data.before-1"}"#;
            fs::write(meantime.join(NOTE), note).unwrap();
            a_site(&aside, "old");
            if is_empty_folder {
                // As a service manager makes it.
                fs::create_dir(&path).unwrap();
            }
            finish_exchange(&path).unwrap();
            assert_eq!(
                (what_is(&path), what_is(&aside)),
                ("new".into(), "old".into())
            );
            assert!(!path.join(NOTE).exists() && !meantime.exists());
        }
    }
}
