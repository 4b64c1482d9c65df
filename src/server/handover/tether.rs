//! Ties a new process to the one that has started it, until it leads: if that one is killed before, the new one has
//! the lock and the sockets in its hands and may never look up, so somebody has to end it.
//!
//! A process of its own does, which waits for nothing else. The system's own way (`PR_SET_PDEATHSIG`) would end the
//! new one also when it leads and the one before has done its work. Under a service manager none is needed: that ends
//! all processes of a service whose main process was killed.

use std::{
    io::{self, Read as _, Write as _},
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
};

use rustix::{
    io::Errno,
    process::{Pid, Signal, kill_process, pidfd_send_signal},
};

use crate::{base::child::handle_of, jobs::service_manager};

/// The command, which nobody types.
pub const COMMAND: &str = "tether";
/// The exit code of who has ended the other, so that nobody takes that for a good end.
const HAS_ENDED_IT: u8 = 137;

/// The process that waits. It lets go when this is untied, and ends the other one if this process ends before.
pub(super) struct Tether(Option<Child>);

impl Tether {
    /// Ties a process that this one has started, if nobody else does.
    pub(super) fn tie(process: u32) -> Self {
        if service_manager::is_there() {
            return Self(None);
        }
        let waiting = Command::new("/proc/self/exe")
            .arg0("webstead")
            .arg(COMMAND)
            .arg(process.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn();
        match waiting {
            Ok(child) => Self(Some(child)),
            Err(e) => {
                log::warn!("should this process be killed now, the new one may stay: {e}");
                Self(None)
            }
        }
    }

    /// Lets go.
    pub(super) fn untie(&mut self) {
        let Some(mut child) = self.0.take() else {
            return;
        };
        // It may have been ended.
        if let Some(mut stdin) = child.stdin.take() {
            let _ = stdin.write_all(b"\n");
        }
        let _ = child.wait();
    }
}

impl Drop for Tether {
    /// Without a word, it ends the other process, and then itself.
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            drop(child.stdin.take());
            let _ = child.wait();
        }
    }
}

/// Waits for the word to let go; without it, ends the process. Gives the exit code.
pub fn run(process: u32) -> u8 {
    let Some(number) = i32::try_from(process).ok().and_then(Pid::from_raw) else {
        return 1;
    };
    let handle = handle_of(process);
    if io::stdin().read(&mut [0; 1]).is_ok_and(|bytes| bytes > 0) {
        return 0;
    }
    let ended = match handle {
        Ok(handle) => pidfd_send_signal(handle, Signal::KILL),
        Err(Errno::NOSYS) => kill_process(number, Signal::KILL),
        Err(_) => return 0,
    };
    if ended.is_ok() { HAS_ENDED_IT } else { 0 }
}
