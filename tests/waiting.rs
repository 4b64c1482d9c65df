//! Waiting for what comes soon, and signals to processes.

use std::{
    net::TcpStream,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use crate::site::Site;

/// How often it is looked.
const EVERY: Duration = Duration::from_millis(50);

/// Looks again and again until there is something. If there is nothing within this time, the test fails with what the last
/// look has said.
#[track_caller]
pub(crate) fn found_within<T>(time: Duration, mut look: impl FnMut() -> Result<T, String>) -> T {
    let end = Instant::now() + time;
    loop {
        match look() {
            Ok(found) => return found,
            Err(why) => assert!(Instant::now() < end, "{why}"),
        }
        thread::sleep(EVERY);
    }
}

/// Looks again and again until it is so. If it is not within this time, the test fails with what `why` says.
#[track_caller]
pub(crate) fn wait_within(
    time: Duration,
    mut is_so: impl FnMut() -> bool,
    why: impl Fn() -> String,
) {
    let end = Instant::now() + time;
    while !is_so() {
        assert!(Instant::now() < end, "{}", why());
        thread::sleep(EVERY);
    }
}

/// The same, within a time that is enough for everything but what is told to take longer.
#[track_caller]
pub(crate) fn wait_until(what: &str, is_so: impl FnMut() -> bool) {
    let why = || format!("it does not come to pass that {what}");
    wait_within(Duration::from_secs(45), is_so, why);
}

/// The same for what a site does; if it does not, its log says why.
#[track_caller]
pub(crate) fn until(site: &Site, what: &str, is_so: impl FnMut() -> bool) {
    let why = || format!("{what}: {}", site.log());
    wait_within(Duration::from_secs(90), is_so, why);
}

/// Waits until somebody listens at a port of this machine; else `why` says what the program has to say.
#[track_caller]
pub(crate) fn wait_for_port(port: u16, time: Duration, why: impl Fn() -> String) {
    let is_open = || TcpStream::connect(("127.0.0.1", port)).is_ok();
    wait_within(time, is_open, || format!("it does not start: {}", why()));
}

/// Sends a process a signal: `TERM`.
#[track_caller]
pub(crate) fn signal(process: u32, name: &str) {
    let mut kill = Command::new("kill");
    let sent = kill.args(["-s", name, &process.to_string()]).status();
    assert!(sent.unwrap().success());
}
