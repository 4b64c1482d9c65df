//! Tries a backup: restores it into a folder of its own, looks at everything, and throws it away.

use std::{io::ErrorKind, path::Path, sync::atomic::AtomicBool};

use super::{
    folder::SCRATCH,
    list::{self, Which},
    make::Progress,
    repository::{Repository, Tried},
    writer::{Writer, problems_of},
};
use crate::base::{
    Error, Result, Timestamp, Verdict,
    scratch::{self, Scratch},
    verdict::look_surely,
};

/// Problems that are kept word for word.
const MOST_PROBLEMS: usize = 50;

/// What came of it.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The number of the backup.
    pub number: u64,
    /// What is wrong with it; nothing if it can be relied on.
    pub problems: Vec<String>,
}

/// Tries a backup and writes down what came of it. Where the repository has no disk of its own, `scratch` has
/// room for the database and the largest file.
///
/// # Errors
/// If there is no such backup, or no room to try it. What is wrong with the backup is no error.
pub fn try_out(
    repository: &Repository,
    which: Which,
    scratch: &Path,
    progress: Progress<'_>,
    stop: &AtomicBool,
) -> Result<Trial> {
    let _reading = repository.store.lock(false)?;
    let kept = list::find(repository, which)?;
    let own = repository.store.scratch();
    if own.is_none() {
        scratch::sweep(scratch, &[SCRATCH]);
    }
    let folder_in = |dir: &Path| Scratch::in_folder(dir, SCRATCH);
    // A disk that nobody can write to can still be tried.
    let made = own.map(folder_in).and_then(std::io::Result::ok);
    let dir = match made.map_or_else(|| folder_in(scratch), Ok) {
        // That of the site may be such a disk, too.
        Err(e) if e.kind() == ErrorKind::ReadOnlyFilesystem => folder_in(&std::env::temp_dir()),
        made => made,
    };
    let dir = dir.map_err(|e| Error::io("making a folder in", scratch, e))?;
    let root = dir.path().join("site");
    let mut writer = Writer::new(repository, &root, progress, stop)?;
    writer.is_trial = true;
    let mut problems = match writer.everything(&kept.manifest) {
        Ok(()) => std::mem::take(&mut writer.damaged),
        Err(e) => damage_of(e)?,
    };
    if problems.is_empty() {
        let look =
            || problems_of(&root, &kept.manifest, &writer.media, progress).or_else(damage_of);
        problems = look_surely(look, |found| {
            found.as_ref().is_ok_and(|all| !all.is_empty())
        })?;
    }
    let there = repository.key_files()?;
    for file in kept
        .manifest
        .key_files
        .iter()
        .filter(|file| !there.contains(file))
    {
        problems.push(format!(
            "{} is damaged, and without this machine nobody could open the backups; begin anew in another folder",
            file.0
        ));
    }
    if problems.len() > MOST_PROBLEMS {
        problems.truncate(MOST_PROBLEMS);
        problems.push("and more".into());
    }
    let tried = Tried {
        at: Timestamp::now(),
        problems: problems.clone(),
        damaged: writer.damaged_objects,
    };
    if let Err(e) = repository.write_tried(&kept.name, &tried) {
        log::warn!("what came of trying the backup cannot be written down: {e}");
    }
    Ok(Trial {
        number: kept.manifest.number,
        problems,
    })
}

/// Removes what trials have left in a data folder that were interrupted.
pub fn sweep_trials(data: &Path) {
    scratch::sweep(data, &[SCRATCH]);
}

/// What is wrong with the backup, where it is that which ended the trial, and not this machine.
fn damage_of(e: Error) -> Result<Vec<String>> {
    let verdict = Verdict::of(&e);
    verdict.damage().map(|what| vec![what.to_owned()]).ok_or(e)
}
