//! Removes one backup, whatever the rule says: one that cannot be read and keeps everything else from being tidied up.

use super::{
    list::{Trust, list, name_of},
    prune::sweep,
    repository::Repository,
};
use crate::base::{Error, Result};

/// A backup that somebody does not want any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unwanted {
    /// Its file.
    file: String,
    /// What it is, for who is asked whether they are sure.
    pub what: String,
}

/// The backup of this number, or with this file.
///
/// # Errors
/// [`Error::Invalid`] if there is none, or if it is the last one that is known to be sound.
pub fn find_unwanted(repository: &Repository, wanted: &str) -> Result<Unwanted> {
    let contents = repository.contents()?;
    let name = name_of(wanted);
    let unreadable = contents.unreadable.iter();
    if let Some((file, why)) = unreadable
        .into_iter()
        .find(|(file, _)| name_of(file) == name)
    {
        let what = format!(
            "{file} is a backup that cannot be read: {why}. If a part of it can still be read, that goes too."
        );
        let file = file.clone();
        return Ok(Unwanted { file, what });
    }
    let number: Option<u64> = name.parse().ok();
    let found = contents
        .kept
        .iter()
        .find(|kept| kept.name == name || Some(kept.manifest.number) == number);
    let Some(found) = found else {
        return Err(Error::Invalid(format!(
            "there is no backup {wanted} in {}; `webstead backup list` shows those that there are",
            repository.place()
        )));
    };
    let number = found.manifest.number;
    let listed = list(repository)?;
    let last_proven = listed
        .iter()
        .find(|backup| matches!(backup.trust, Trust::Proven(_)));
    if last_proven.is_some_and(|last| last.number == number) {
        return Err(Error::Invalid(format!(
            "backup {number} is the last one that is known to be sound, so it stays; make another one first"
        )));
    }
    Ok(Unwanted {
        file: format!("backups/{}.json", found.name),
        what: format!(
            "Backup {number} of {} can be read.",
            found.manifest.made_at.rfc3339()
        ),
    })
}

/// Removes it, and what no other backup names; says how many bytes that frees, and why nothing could be told apart, if that
/// is so.
///
/// # Errors
/// [`Error::Invalid`] if it is not what it was any more, or somebody else is busy with the backups.
pub fn forget(repository: &Repository, unwanted: &Unwanted) -> Result<(u64, Vec<String>)> {
    let _lock = repository.store.lock(true)?;
    let name = name_of(&unwanted.file);
    if find_unwanted(repository, name)? != *unwanted {
        return Err(Error::Invalid(format!(
            "{} has changed meanwhile; nothing was removed",
            unwanted.file
        )));
    }
    repository.store.remove(&unwanted.file)?;
    repository.forget_tried(name)?;
    let contents = repository.contents()?;
    sweep(repository, &contents.kept, &contents.unreadable)
}
