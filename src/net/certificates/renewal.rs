//! Keeps the shown certificate up to date: with the names of the machine, with the clock, with its life.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use super::{leaf::local_certificate, shown::Shown};
use crate::net::names::{LocalName, Name, local_names};

/// A certificate nears its end slowly: once a day is often enough to look at it.
const LOOK_EVERY: Duration = Duration::from_hours(24);
/// A clock that moves by this much more or less than time itself was set.
const CLOCK_WAS_SET: Duration = Duration::from_hours(1);

/// What a certificate depends on.
#[derive(Clone)]
struct Seen {
    names: Vec<Name>,
    clock: SystemTime,
    uptime: Instant,
}

/// Shows a new certificate from the next handshake on, when it is time.
pub struct Renewal {
    data_dir: PathBuf,
    shown: Arc<Shown>,
    /// What the machine is called on its own network.
    local: Arc<LocalName>,
    /// Names of hosts, beside those of the machine.
    hosts: Mutex<Vec<Name>>,
    last: Mutex<Seen>,
}

impl Renewal {
    /// Of the certificate that `shown` has for these names of the machine and of its hosts, from now on.
    pub fn new(
        data_dir: PathBuf,
        shown: Arc<Shown>,
        (local, names): (Arc<LocalName>, Vec<Name>),
        hosts: Vec<Name>,
    ) -> Self {
        Self {
            data_dir,
            shown,
            local,
            last: Mutex::new(seen([names, hosts.clone()].concat())),
            hosts: Mutex::new(hosts),
        }
    }

    /// There are other hosts from now on.
    pub fn replace_hosts(&self, names: Vec<Name>) {
        *self.hosts.lock().unwrap_or_else(PoisonError::into_inner) = names;
        self.look();
    }

    /// Looks whether it is time, which costs next to nothing; then looks at the certificate itself.
    pub fn look(&self) {
        let hosts = self
            .hosts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let now = seen([local_names(&self.local), hosts].concat());
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_time(&last, &now) {
            return;
        }
        match local_certificate(&self.data_dir, &now.names) {
            Ok(certificate) => {
                self.shown.replace_local(certificate);
                *last = now;
            }
            Err(e) => log::warn!("the certificate was not renewed, that is tried again: {e}"),
        }
    }
}

fn seen(names: Vec<Name>) -> Seen {
    Seen {
        names,
        clock: SystemTime::now(),
        uptime: Instant::now(),
    }
}

/// Whether the names have changed, the clock was set (a board without one starts in the past), or a day
/// has gone by.
fn is_time(last: &Seen, now: &Seen) -> bool {
    let passed = now.uptime.saturating_duration_since(last.uptime);
    let expected = last.clock + passed;
    let moved = now
        .clock
        .duration_since(expected)
        .unwrap_or_else(|earlier| earlier.duration());
    last.names != now.names || moved > CLOCK_WAS_SET || passed >= LOOK_EVERY
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_time_when_the_names_the_clock_or_the_day_have_changed() {
        let name = |text: &str| Name::try_from(text.to_owned()).unwrap();
        let last = seen(vec![name("localhost")]);
        let minute = Duration::from_mins(1);
        let after = |uptime: Duration, clock: Duration, names: &[&str]| Seen {
            names: names.iter().map(|text| name(text)).collect(),
            clock: last.clock + clock,
            uptime: last.uptime + uptime,
        };
        for (now, expected) in [
            (after(minute, minute, &["localhost"]), false),
            (after(minute, minute, &["localhost", "10.0.0.7"]), true),
            (
                after(minute, Duration::from_hours(400 * 24), &["localhost"]),
                true,
            ),
            (after(LOOK_EVERY, LOOK_EVERY, &["localhost"]), true),
            (after(Duration::from_hours(3), minute, &["localhost"]), true),
        ] {
            assert_eq!(is_time(&last, &now), expected);
        }
    }
}
