//! A list of steps that is shown or performed, and taken back where the old version can go on.

use std::path::PathBuf;

use super::{
    machine,
    step::{self, Step},
    units::{SERVICE, SOCKET},
};
use crate::base::{Error, Result};

/// The steps to a goal. Until it is performed, nothing is changed.
#[derive(Debug)]
pub struct Plan {
    pub(super) steps: Vec<Step>,
    /// What is put back if a step fails; empty where nothing ran before.
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

impl Plan {
    /// The steps, in their order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Does every step, each after `tell` was called with it.
    ///
    /// If a service that ran before does not come up again, the program and the units that it had are put
    /// back, and it is started with them.
    ///
    /// # Errors
    /// What the step that failed says, with the last words of the service.
    pub fn perform(&self, mut tell: impl FnMut(&Step)) -> Result<()> {
        for step in &self.steps {
            tell(step);
            if let Err(e) = step.perform() {
                return Err(self.put_back(&e));
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
                Ok(()) => "The version that was there before is running again.".to_owned(),
                Err(e) => format!(
                    "The version that was there before was put back, but it does not run either: {e}"
                ),
            }
        };
        Error::Internal(format!("{cause}{log}\n{outcome}"))
    }

    fn restore(&self) -> Result<()> {
        for file in &self.before {
            match &file.content {
                Some(bytes) => step::write(&file.path, bytes, file.mode)?,
                None => step::remove(&file.path)?,
            }
        }
        let commands: [&[&str]; 3] = [
            &["systemctl", "daemon-reload"],
            &["systemctl", "start", SOCKET],
            &["systemctl", "restart", SERVICE],
        ];
        commands
            .iter()
            .try_for_each(|command| Step::run(command).perform())
    }
}
