//! One step of a plan: what it says, and what it does.

use std::{
    fs::{self, Permissions},
    io::{self, ErrorKind},
    os::unix::{fs::PermissionsExt, process::CommandExt as _},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use super::{
    DATA, PROGRAM, copy_site, machine,
    replacement::{Staged, keep, previous_of},
};
use crate::{
    base::{Error, Result, files},
    db::{DataFolder, Pace, rehearse},
    net::{probe, router},
    server::{
        self,
        control::{self, Request},
    },
};

/// How long a started service may take until it answers, on the slowest board.
const ANSWERS_WITHIN: Duration = Duration::from_mins(1);

/// One step: a sentence for people, and what is done.
#[derive(Debug)]
pub struct Step {
    /// What is done, as a line for people.
    pub what: String,
    pub(super) action: Action,
}

/// What a step does.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Nothing, because it is so already.
    Already,
    /// Writes a file, with the folder that it is in.
    Write {
        path: PathBuf,
        bytes: Vec<u8>,
        mode: u32,
    },
    /// Removes a file or a folder with all that is in it.
    Remove(PathBuf),
    /// Runs a program that only looks.
    Look(Vec<String>),
    /// Runs a program of the system.
    Run(Vec<String>),
    /// As [`Action::Run`], but failing is no matter.
    Try(Vec<String>),
    /// Tries on a copy what this program would change of the form of the site's database.
    Rehearse,
    /// Copies a site into the service's data folder.
    CopySite(PathBuf),
    /// Keeps the program of the service for the way back.
    Keep,
    /// Lets the running server hand over to this program, which takes the place of the service's if it is fit.
    HandOver(Vec<u8>),
    /// Lets the running server hand over to the program that lies on the disk already.
    HandOverToInstalled,
    /// Waits until the site answers.
    AwaitAnswer,
    /// Has the router close what it was asked to open; failing is no matter, and is said.
    CloseRouter,
}

impl Step {
    pub(super) fn new(what: impl Into<String>, action: Action) -> Self {
        Self {
            what: what.into(),
            action,
        }
    }

    /// A step that runs a program of the system, and says so.
    pub(super) fn run(command: &[&str]) -> Self {
        Self::new(command.join(" "), Action::Run(owned(command)))
    }

    /// As [`Step::run`], but failing is no matter.
    pub(super) fn attempt(command: &[&str]) -> Self {
        Self::new(command.join(" "), Action::Try(owned(command)))
    }

    /// A step that removes a file or a folder.
    pub(super) fn remove(path: PathBuf) -> Self {
        Self::new(format!("remove {}", path.display()), Action::Remove(path))
    }

    /// Whether it leaves everything as it is.
    pub(super) fn is_harmless(&self) -> bool {
        matches!(
            self.action,
            Action::Already | Action::Look(_) | Action::Rehearse
        )
    }

    /// Whether there is nothing to do.
    pub fn is_done_already(&self) -> bool {
        self.action == Action::Already
    }

    /// Does it.
    pub(super) fn perform(&self) -> Result<()> {
        self.perform_telling(&mut |_| ())
    }

    /// Does it; `tell` hears how it gets on.
    pub(super) fn perform_telling(&self, tell: &mut dyn FnMut(&str)) -> Result<()> {
        match &self.action {
            Action::Already => Ok(()),
            Action::Write { path, bytes, mode } => write(path, bytes, *mode),
            Action::Remove(path) => remove(path),
            Action::Look(command) | Action::Run(command) => run(command),
            Action::Try(command) => {
                let _ = run(command);
                Ok(())
            }
            Action::CopySite(from) => copy_site::copy(from, Path::new(DATA)),
            Action::Keep => {
                let previous = previous_of(Path::new(PROGRAM));
                keep(Path::new(PROGRAM), &previous)
                    .map_err(|e| Error::io("keeping the program before as", &previous, e))
            }
            Action::HandOver(bytes) => {
                let (place, folder) = (Path::new(PROGRAM), data_folder()?);
                let mut staged = Staged::new(place, bytes)?;
                let request = Request::Upgrade {
                    program: Some(staged.path().into()),
                    place: Some(place.into()),
                    // It is calm from its beginning on.
                    confirms: false,
                };
                staged.prepare()?;
                control::ask(&folder, &request, tell)?;
                staged.put()
            }
            Action::HandOverToInstalled => {
                control::ask(&data_folder()?, &Request::Reload, tell).map(|_| ())
            }
            Action::Rehearse => {
                let folder = data_folder()?;
                let rehearsal = rehearse(&folder, Pace::unwatched())?;
                tell(&format!("database: {rehearsal}"));
                rehearsal.refuse_without_room(&folder)
            }
            Action::AwaitAnswer => await_answer(Path::new(DATA)),
            Action::CloseRouter => {
                let closed = actix_web::rt::System::new().block_on(router::close(Path::new(DATA)));
                for sentence in closed.err().unwrap_or_default() {
                    log::warn!("{sentence}");
                }
                Ok(())
            }
        }
    }
}

fn data_folder() -> Result<DataFolder> {
    DataFolder::open_existing(Path::new(DATA))
}

pub(super) fn owned(command: &[&str]) -> Vec<String> {
    command.iter().map(|&word| word.to_owned()).collect()
}

pub(super) fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    path.parent()
        .map_or(Ok(()), create_folder)
        .and_then(|()| files::write_whole(path, bytes, mode))
        // Whatever root's umask is: the service's user must be able to run the program.
        .and_then(|()| fs::set_permissions(path, Permissions::from_mode(mode)))
        .map_err(|e| Error::io("writing", path, e))
}

/// Makes a folder that everybody may look into, with its parents, whatever root's umask is; in one that is
/// there, removes what an interrupted write has left.
fn create_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        files::sweep_temporary(folder);
        return Ok(());
    }
    folder.parent().map_or(Ok(()), create_folder)?;
    fs::create_dir(folder)?;
    fs::set_permissions(folder, Permissions::from_mode(0o755))
}

pub(super) fn remove(path: &Path) -> Result<()> {
    remove_all(path).map_err(|e| Error::io("removing", path, e))
}

/// Removes a file, a link, or a folder with all that is in it. Where a disk of its own is mounted, it is
/// empty afterwards, and the place stays.
fn remove_all(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(e) => Err(e),
    };
    match removed {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        Err(e) if e.kind() == ErrorKind::ResourceBusy => {
            // It stopped at the mounted disk, which may be further down.
            for entry in fs::read_dir(path)? {
                remove_all(&entry?.path())?;
            }
            Ok(())
        }
        outcome => outcome,
    }
}

fn run(command: &[String]) -> Result<()> {
    let shown = command.join(" ");
    let output = Command::new(&command[0])
        .args(&command[1..])
        .env("PATH", machine::SEARCH_PATH)
        // Ctrl-C at the terminal does not end it half-way.
        .process_group(0)
        .output()
        .map_err(|e| Error::Internal(format!("`{shown}` could not be run: {e}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Error::Internal(format!(
        "`{shown}` failed ({}): {}",
        output.status,
        said.trim()
    )))
}

/// Whether the server of a data folder answers now.
pub(super) fn answers(data: &Path) -> bool {
    DataFolder::open_existing(data)
        .and_then(|folder| server::running(&folder))
        .is_ok_and(|started| {
            let status = started.map(|started| started.ask(data, probe::PATIENCE));
            status.is_some_and(|status| status.is_ok_and(|status| status < 500))
        })
}

/// Waits until the server of a data folder has told that it is ready and answers over HTTPS.
///
/// # Errors
/// What is wrong when it does not within a minute.
pub fn await_answer(data: &Path) -> Result<()> {
    let until = Instant::now() + ANSWERS_WITHIN;
    loop {
        let outcome = DataFolder::open_existing(data)
            .and_then(|folder| server::running(&folder))
            .and_then(|started| match started {
                Some(started) => started.ask(data, probe::PATIENCE),
                None => Err(Error::Internal("it has not started yet".into())),
            });
        match outcome {
            Ok(status) if status < 500 => return Ok(()),
            _ if Instant::now() < until => thread::sleep(Duration::from_millis(200)),
            Ok(status) => {
                return Err(Error::Internal(format!(
                    "the site answers with an error ({status})"
                )));
            }
            Err(e) => return Err(e),
        }
    }
}
