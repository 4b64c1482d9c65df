//! What is true of the site when another program did not take over: whether somebody serves, and who.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    db::DataFolder,
    install,
    server::{self, control},
};

/// Time for who starts the site anew, and for a process that is about to end.
const SETTLED_WITHIN: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Time for each step of an answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// A sentence for the owner. `before`: the process that served when all began.
pub(super) fn who_serves_after(folder: &DataFolder, before: Option<u32>) -> String {
    let until = Instant::now() + SETTLED_WITHIN;
    loop {
        match who_answers(folder) {
            Some(process) if Some(process) == before => {
                return "The program before goes on serving, as if nothing had been.".into();
            }
            Some(process) => {
                return format!(
                    "The server that ran has ended meanwhile, and another one was started: process {process} serves the \
                     site now."
                );
            }
            None if Instant::now() < until => thread::sleep(LOOK_EVERY),
            None => return nobody_serves(folder),
        }
    }
}

/// The process that serves, if it can be asked and shows a page.
fn who_answers(folder: &DataFolder) -> Option<u32> {
    let running = folder.running_server().ok()??;
    let started = server::running(folder).ok()??;
    let can_be_asked = control::can_be_asked(folder).unwrap_or(false);
    let answer = || started.ask(folder.root(), ANSWERS_WITHIN);
    let answers = || answer().is_ok_and(|status| status < 500);
    (can_be_asked && answers()).then_some(running.process)
}

fn nobody_serves(folder: &DataFolder) -> String {
    let of_service = folder.root() == std::path::Path::new(install::DATA);
    let held = folder.running_server().ok().flatten().is_some();
    let what = if held {
        "The site does not answer now, though a process has its data folder still open; end that first, if it does not \
         end by itself."
    } else {
        "Nobody serves the site now: the server has ended meanwhile, and its log may say why."
    };
    let how = if of_service {
        "Its program and its data are as they were: sudo systemctl restart webstead"
    } else {
        "Its program and its data are as they were: start it as you did before."
    };
    format!("{what} {how}")
}
