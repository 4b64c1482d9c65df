//! What is done to take the service away.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    DATA, PROGRAM,
    machine::Machine,
    plan::Plan,
    replacement::previous_of,
    step::{Action, Step, owned},
    units::{self, SERVICE, SOCKET},
};
use crate::{
    base::{Error, Result},
    net::router,
};

/// What becomes of the data when the service is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    /// They stay where they are.
    Keep,
    /// They are deleted.
    Delete,
}

/// The plan to take the service away.
///
/// # Errors
/// [`Error::Invalid`] if nothing is installed, or if it is a package.
pub fn uninstall(data: Data) -> Result<Plan> {
    let machine = Machine::look()?;
    let files: Vec<PathBuf> = [SOCKET, SERVICE]
        .iter()
        .flat_map(|unit| [Path::new(units::FOLDER).join(unit), units::drop_ins(unit)])
        .chain([previous_of(Path::new(PROGRAM)), PROGRAM.into()])
        .filter(|path| path.exists())
        .collect();
    let has_data = fs::symlink_metadata(DATA).is_ok();
    let is_nothing_left = files.is_empty() && !(has_data && data == Data::Delete);
    if is_nothing_left {
        return Err(Error::Invalid(format!(
            "Webstead is not installed on this machine: there is no {PROGRAM} and no {SERVICE}"
        )));
    }
    let mut steps = vec![Step::attempt(&[
        "systemctl",
        "disable",
        "--now",
        SERVICE,
        SOCKET,
    ])];
    if !router::Kept::load(Path::new(DATA)).is_empty() {
        steps.push(Step::new(
            "have the router close what it was asked to open",
            Action::CloseRouter,
        ));
    }
    let (program, units): (Vec<PathBuf>, Vec<PathBuf>) = files
        .into_iter()
        .partition(|path| path.starts_with("/usr/local/bin"));
    steps.extend(units.into_iter().map(Step::remove));
    steps.push(Step::run(&["systemctl", "daemon-reload"]));
    steps.push(Step::attempt(&[
        "systemctl",
        "reset-failed",
        SERVICE,
        SOCKET,
    ]));
    if has_data {
        steps.extend(match data {
            Data::Keep => vec![keep_site()],
            Data::Delete => delete_site(),
        });
    }
    if machine.has_user {
        steps.push(Step::new(
            "remove the user webstead",
            // Somebody may be signed in as that user; nothing depends on it.
            Action::Try(owned(&["userdel", "webstead"])),
        ));
    }
    // At last, so that what was interrupted can be taken up again.
    steps.extend(program.into_iter().map(Step::remove));
    Ok(Plan {
        steps,
        before: Vec::new(),
    })
}

fn keep_site() -> Step {
    Step::new(
        format!("keep the site in {DATA}, and give it to root"),
        // The number of a removed user may be given to another one, who would own the site. Goes through a
        // link to the site, and through none that is in it (chown(1)).
        Action::Run(owned(&["chown", "-R", "-H", "-h", "root:root", DATA])),
    )
}

/// Deletes the folder, and what it leads to where it is a link to another disk.
fn delete_site() -> Vec<Step> {
    let real = fs::canonicalize(DATA).unwrap_or_else(|_| DATA.into());
    [real.as_path(), Path::new(DATA)]
        .into_iter()
        .take(if real == Path::new(DATA) { 1 } else { 2 })
        .map(|path| {
            Step::new(
                format!("DELETE the site in {}", path.display()),
                Action::Remove(path.into()),
            )
        })
        .collect()
}
