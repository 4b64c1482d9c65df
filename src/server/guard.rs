//! The first process stays around those that go on in its place, where no service manager is told who they are.
//!
//! A terminal, a container, runit or a script that has started the server knows its process and no other: when that
//! ends, the server has ended for them, and what they signal reaches nobody. So it stays, as next to nothing: it
//! becomes the same program anew, waits for the one that serves, passes on what it is asked, and ends as that ends.

use std::{
    convert::Infallible, os::unix::process::CommandExt as _, process::Command, time::Duration,
};

use rustix::{
    io::Errno,
    process::{
        Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process, set_child_subreaper, wait,
    },
};
use tokio::signal::unix::{SignalKind, signal};

use super::signals::{Signals, Wish};
use crate::{
    base::{Error, Result},
    db::DataFolder,
};

/// The command, which nobody types.
pub const COMMAND: &str = "guard";

/// Lets the processes after the next one become children of this one when their parents end.
pub(super) fn prepare() -> Result<()> {
    set_child_subreaper(Some(getpid())).map_err(Error::internal)
}

/// Becomes the guard. Returns only if that is not possible.
pub(super) fn become_guard(folder: &DataFolder) -> Result<Infallible> {
    let failed = Command::new("/proc/self/exe")
        .arg0("webstead")
        .arg("--data")
        .arg(folder.root())
        .arg(COMMAND)
        .exec();
    Err(Error::Internal(format!("staying as a guard: {failed}")))
}

/// Asks a process to stop.
pub(super) fn stop(process: u32) {
    pass_on(process, Signal::TERM);
}

fn pass_on(process: u32, signal: Signal) {
    let process = i32::try_from(process).ok().and_then(Pid::from_raw);
    if let Some(process) = process {
        // It may have ended.
        let _ = kill_process(process, signal);
    }
}

/// Waits for the server that runs on the folder, and for those that go on in its place; gives the exit code of the
/// last one.
///
/// # Errors
/// If the system does not tell us of signals.
pub fn run(folder: &DataFolder) -> Result<u8> {
    actix_web::rt::System::new().block_on(async {
        let mut ended = signal(SignalKind::child()).map_err(Error::internal)?;
        // The server has no terminal of its own, and the guard hears when it closes.
        let mut signals = Signals::listen(false)?;
        let mut last = 0;
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((_, status))) => {
                    last = code_of(status);
                    continue;
                }
                Err(Errno::CHILD) => return Ok(last),
                Ok(None) | Err(_) => {}
            }
            let wish = tokio::select! {
                wish = signals.next() => wish,
                _ = ended.recv() => continue,
                // Whoever ended between the look and the wait.
                () = tokio::time::sleep(Duration::from_secs(5)) => continue,
            };
            if let Some(server) = folder.running_server()? {
                let signal = match wish {
                    Wish::Stop => Signal::TERM,
                    Wish::Reload => Signal::HUP,
                };
                pass_on(server.process, signal);
            }
        }
    })
}

/// As a shell has it.
fn code_of(status: WaitStatus) -> u8 {
    let code = status
        .exit_status()
        .or_else(|| status.terminating_signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}
