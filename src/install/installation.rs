//! What is done to install the program as a service, or to bring an installed one to this version.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use super::{
    DATA, PROGRAM, copy_site,
    machine::{self, Machine},
    plan::{Before, Plan},
    replacement::previous_of,
    step::{Action, Step, owned},
    units::{self, Ports, SERVICE, SOCKET},
};
use crate::base::{Error, Result};

/// What may be chosen when the service is installed.
#[derive(Debug, Default)]
pub struct Choices {
    /// The port for HTTPS; if `None`, the one that is installed, or 443.
    pub https: Option<u16>,
    /// The port for plain HTTP; if `None`, the one that is installed, or 80.
    pub http: Option<u16>,
    /// The data folder of a site that the service shall begin with.
    pub from: Option<PathBuf>,
}

/// The plan to install the program that is running now.
///
/// # Errors
/// [`Error::Invalid`] if this machine is not one for it: no systemd, a package, a taken port, or a site to
/// begin with where there is one already.
pub fn install(choices: &Choices) -> Result<Plan> {
    let machine = Machine::look()?;
    let own = std::env::current_exe().map_err(Error::internal)?;
    let program = fs::read(&own).map_err(|e| Error::io("reading", &own, e))?;
    let ports = Ports {
        https: choices.https.unwrap_or(machine.ports.https),
        http: choices.http.unwrap_or(machine.ports.http),
    };
    refuse_ports(&machine, ports)?;
    let had_program = Path::new(PROGRAM).exists();
    // Who may not look into it, in a dry run, sees that there is a folder of the service.
    let has_site = Path::new(DATA).join("site.db").try_exists().unwrap_or(true);
    if let Some(from) = &choices.from {
        if has_site {
            return Err(Error::Invalid(format!(
                "there is a site in {DATA} already, and it is not replaced. Without --from it is kept; to \
                 begin with another one, move that folder away first"
            )));
        }
        copy_site::look(from)?;
    }

    let mut files = Files::default();
    let size_mb = program.len() / 1_000_000;
    let what = format!("copy this program to {PROGRAM} ({size_mb} MB)");
    let is_other = fs::read(PROGRAM).is_ok_and(|there| there != program);
    let new_program = files.write(what, PROGRAM.into(), program, 0o755);
    let mut new_units = machine.undone.units;
    let mut new_socket = machine.undone.units;
    for unit in units::wanted(machine.systemd, ports) {
        let is_of_socket = unit.path.to_string_lossy().contains(SOCKET);
        let what = format!("write {}", unit.path.display());
        let is_new = files.write(what, unit.path, unit.text.into_bytes(), 0o644);
        new_units |= is_new;
        new_socket |= is_new && is_of_socket;
    }
    if ports == Ports::USUAL && units::ports_file().exists() {
        files.remove(units::ports_file());
        (new_units, new_socket) = (true, true);
    }

    let runs = machine.service_is_active && machine.socket_is_active;
    let only_program = runs && !new_units && choices.from.is_none();
    let can_hand_over = only_program && machine::hands_over();
    let takes_over = can_hand_over && new_program && had_program;
    // What is to prove itself first is not put into its place before.
    let program = if takes_over {
        files.take_back_write(Path::new(PROGRAM))
    } else {
        None
    };

    let mut steps = Vec::new();
    if has_site && new_program {
        steps.push(check_site(&own));
        // Who takes over does so before it changes anything.
        steps.extend((!takes_over).then(rehearse_form));
    }
    if is_other && !takes_over {
        let previous = previous_of(Path::new(PROGRAM));
        let what = format!("keep the program before as {}", previous.display());
        steps.push(Step::new(what, Action::Keep));
    }
    steps.append(&mut files.steps);
    steps.push(make_user(&machine));
    if let Some(from) = &choices.from {
        // Else the first visitor would make a new site in the same place.
        if machine.service_is_active || machine.socket_is_active {
            steps.push(Step::run(&["systemctl", "stop", SERVICE, SOCKET]));
        }
        let what = format!("copy the site in {} to {DATA}", from.display());
        steps.push(Step::new(what, Action::CopySite(from.clone())));
    }
    if new_units {
        steps.push(Step::run(&["systemctl", "daemon-reload"]));
    }
    steps.push(Step::run(&["systemctl", "enable", SOCKET, SERVICE]));
    if new_socket && (machine.service_is_active || machine.socket_is_active) {
        steps.push(Step::run(&["systemctl", "stop", SERVICE, SOCKET]));
    }
    steps.push(Step::run(&["systemctl", "start", SOCKET]));
    if let Some(program) = program {
        let previous = previous_of(Path::new(PROGRAM));
        let what = format!(
            "let the running program hand over to this one, put it in the place of {PROGRAM} ({size_mb} MB), and keep \
             the one before as {}",
            previous.display()
        );
        steps.push(Step::new(what, Action::HandOver(program)));
    } else if can_hand_over && machine.undone.program {
        let what = "let the running program hand over to the one that is installed";
        steps.push(Step::new(what, Action::HandOverToInstalled));
    } else if new_program || new_units || machine.undone.program || !runs || choices.from.is_some()
    {
        steps.push(Step::run(&["systemctl", "restart", SERVICE]));
    }
    let what = "wait until the site answers over HTTPS";
    steps.push(Step::new(what, Action::AwaitAnswer));
    Ok(Plan {
        steps,
        before: if had_program {
            files.before
        } else {
            Vec::new()
        },
    })
}

/// Files to write and to remove, and how they were.
#[derive(Default)]
struct Files {
    steps: Vec<Step>,
    before: Vec<Before>,
}

impl Files {
    /// Plans to write a file; whether that changes it.
    fn write(&mut self, what: String, path: PathBuf, bytes: Vec<u8>, mode: u32) -> bool {
        let has_mode =
            fs::metadata(&path).is_ok_and(|found| found.permissions().mode() & 0o777 == mode);
        let is_new = self.remember(&path, mode) != Some(bytes.as_slice()) || !has_mode;
        let action = if is_new {
            Action::Write { path, bytes, mode }
        } else {
            Action::Already
        };
        self.steps.push(Step::new(what, action));
        is_new
    }

    /// Plans not to write a file after all; gives what would have been written.
    fn take_back_write(&mut self, file: &Path) -> Option<Vec<u8>> {
        let is_it =
            |step: &Step| matches!(&step.action, Action::Write { path, .. } if path == file);
        let at = self.steps.iter().position(is_it)?;
        match self.steps.remove(at).action {
            Action::Write { bytes, .. } => Some(bytes),
            _ => None,
        }
    }

    fn remove(&mut self, path: PathBuf) {
        self.remember(&path, 0o644);
        self.steps.push(Step::remove(path));
    }

    fn remember(&mut self, path: &Path, mode: u32) -> Option<&[u8]> {
        self.before.push(Before {
            path: path.to_path_buf(),
            content: fs::read(path).ok(),
            mode,
        });
        self.before.last()?.content.as_deref()
    }
}

fn check_site(own: &Path) -> Step {
    Step::new(
        format!("look whether the site in {DATA} is sound and fits this version"),
        // A damaged picture is no reason to keep an old version.
        Action::Look(owned(&[
            &own.to_string_lossy(),
            "check",
            "--without-media",
            "--data",
            DATA,
        ])),
    )
}

fn rehearse_form() -> Step {
    let what = "try on a copy what changes of the form of the database, if anything does";
    Step::new(what, Action::Rehearse)
}

fn make_user(machine: &Machine) -> Step {
    let line = format!("u webstead - \"Webstead\" {DATA}");
    Step::new(
        "make the user webstead, as whom the service runs",
        if machine.has_user {
            Action::Already
        } else {
            Action::Run(owned(&["systemd-sysusers", "--inline", &line]))
        },
    )
}

/// Refuses ports that cannot be had.
fn refuse_ports(machine: &Machine, ports: Ports) -> Result<()> {
    if ports.https == ports.http {
        return Err(Error::Invalid(format!(
            "HTTPS and plain HTTP cannot both have port {}; name two different ones",
            ports.https
        )));
    }
    let ours = [machine.ports.https, machine.ports.http];
    [ports.https, ports.http]
        .iter()
        .filter(|port| !(machine.socket_is_active && ours.contains(port)))
        .try_for_each(|&port| machine::refuse_taken(port))
}
