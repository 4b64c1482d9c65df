//! A list of steps that is shown or performed, and taken back where the old version can go on.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    DATA, PROGRAM, machine, replacement,
    step::{self, Step},
    units::{SERVICE, SOCKET},
};
use crate::{
    base::{Error, Result},
    db::DataFolder,
};

/// The steps to a goal. Until it is performed, nothing is changed.
#[derive(Debug)]
pub struct Plan {
    pub(super) steps: Vec<Step>,
    /// What is put back if a step fails; empty where no program was there before.
    pub(super) before: Vec<Before>,
}

/// A file as it was.
#[derive(Debug)]
pub(super) struct Before {
    pub(super) path: PathBuf,
    /// `None` if it was not there.
    pub(super) content: Option<Vec<u8>>,
    pub(super) mode: u32,
}

/// What became of the version that was there before.
enum Was {
    /// It has not handed over.
    Running,
    /// It has handed over, and lies in its place as before.
    HandedOver,
    /// It was put back.
    StartedAgain,
}

impl Plan {
    /// The steps, in their order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Does every step, each after `tell` was called with it; `progress` hears how a step gets on.
    ///
    /// If a step fails after something was changed, and there was a program before, it and its units are put
    /// back, and the service is started with them.
    ///
    /// # Errors
    /// What the step that failed says, with the last words of the service.
    pub fn perform(
        &self,
        mut tell: impl FnMut(&Step),
        mut progress: impl FnMut(&str),
    ) -> Result<()> {
        let mut changed = false;
        for step in &self.steps {
            tell(step);
            match step.perform_telling(&mut progress) {
                Ok(()) => changed |= !step.is_harmless(),
                Err(e) if changed => return Err(self.put_back(&e)),
                Err(e) => return Err(Error::Internal(format!("{e}\nNothing was changed."))),
            }
        }
        Ok(())
    }

    fn put_back(&self, cause: &Error) -> Error {
        let words = machine::last_words();
        let log = if words.is_empty() {
            String::new()
        } else {
            format!("\n\nThe last lines of its log:\n{}\n", words.trim_end())
        };
        let outcome = if self.before.is_empty() {
            "What was done so far stays. When the cause is mended, the same command goes on from here."
                .to_owned()
        } else {
            match self.restore() {
                Ok(Was::Running) => {
                    "The version that was there before goes on serving, as if nothing had been."
                        .to_owned()
                }
                Ok(Was::HandedOver) => format!(
                    "The new program serves now, from {PROGRAM}.new, because it could not be put in its place. At the \
                     next start, the version that was there before starts. When the cause is mended, say the same \
                     command again."
                ),
                Ok(Was::StartedAgain) => {
                    "The version that was there before is running again.".to_owned()
                }
                Err(e) => format!(
                    "The version that was there before was put back, but it does not run either: {e}"
                ),
            }
        };
        Error::Internal(format!("{cause}{log}\n{outcome}"))
    }

    fn restore(&self) -> Result<Was> {
        let (mut of_socket, mut of_units) = (false, false);
        for file in &self.before {
            if fs::read(&file.path).ok() == file.content {
                continue;
            }
            of_units |= file.path != Path::new(PROGRAM);
            of_socket |= file.path.to_string_lossy().contains(SOCKET);
            match &file.content {
                Some(bytes) => step::write(&file.path, bytes, file.mode)?,
                None => step::remove(&file.path)?,
            }
        }
        if !of_units && serves_from_beside() {
            return Ok(Was::HandedOver);
        }
        if !of_units && step::answers(Path::new(DATA)) {
            // It has not handed over, so it is the one before that answers.
            return Ok(Was::Running);
        }
        Step::run(&["systemctl", "daemon-reload"]).perform()?;
        if of_socket {
            // It goes on listening on the ports that it was started with.
            Step::attempt(&["systemctl", "stop", SERVICE, SOCKET]).perform()?;
        }
        Step::run(&["systemctl", "start", SOCKET]).perform()?;
        Step::run(&["systemctl", "restart", SERVICE]).perform()?;
        Ok(Was::StartedAgain)
    }
}

/// Whether the program that serves is the new one, which has not come to its place.
fn serves_from_beside() -> bool {
    let running = DataFolder::open_existing(Path::new(DATA)).and_then(|data| data.running_server());
    running
        .ok()
        .flatten()
        .is_some_and(|server| replacement::is_waiting_run_by(server.process, Path::new(PROGRAM)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Before, Plan};
    use crate::install::step::{Action, Step, owned};

    #[test]
    fn a_look_that_fails_stops_before_anything_is_changed_or_put_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("program");
        fs::write(&path, "running").unwrap();
        let plan = Plan {
            steps: vec![
                Step::new("look", Action::Look(owned(&["false"]))),
                Step::remove(path.clone()),
            ],
            before: vec![Before {
                path: path.clone(),
                content: Some(b"older".to_vec()),
                mode: 0o644,
            }],
        };
        let refusal = plan.perform(|_| (), |_| ()).unwrap_err().to_string();
        assert!(refusal.ends_with("Nothing was changed."), "{refusal}");
        assert_eq!(fs::read_to_string(path).unwrap(), "running");
    }

    #[test]
    fn every_step_is_told_before_it_is_done_and_none_after_one_that_failed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/file");
        let plan = Plan {
            steps: vec![
                Step::new(
                    "write",
                    Action::Write {
                        path: path.clone(),
                        bytes: b"x".to_vec(),
                        mode: 0o644,
                    },
                ),
                Step::attempt(&["false"]),
                Step::run(&["cat", "/no/such/file"]),
                Step::run(&["true"]),
            ],
            before: Vec::new(),
        };
        let mut told = Vec::new();
        let refusal = plan
            .perform(|step| told.push(step.what.clone()), |_| ())
            .unwrap_err();
        assert_eq!(told, ["write", "false", "cat /no/such/file"]);
        assert!(path.exists());
        let refusal = refusal.to_string();
        for words in [
            "`cat /no/such/file` failed",
            "No such file",
            "goes on from here",
        ] {
            assert!(refusal.contains(words), "{refusal}");
        }
    }
}
