//! The units of systemd, as they are in `cross/systemd/`, and what the machine adds to them.

use std::path::{Path, PathBuf};

/// Where the administrator's units are (systemd.unit(5)).
pub(super) const FOLDER: &str = "/etc/systemd/system";
/// Holds the ports.
pub(super) const SOCKET: &str = "webstead.socket";
/// Runs the program.
pub(super) const SERVICE: &str = "webstead.service";
/// Longer pauses between restarts are known since this version of systemd (systemd.service(5)).
const BACK_OFF_SINCE: u32 = 254;

/// The ports of the site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ports {
    /// Where the site is served.
    pub(super) https: u16,
    /// Where visitors are sent on to HTTPS.
    pub(super) http: u16,
}

impl Ports {
    /// Those that the socket unit has by itself.
    pub(super) const USUAL: Self = Self {
        https: 443,
        http: 80,
    };
}

/// A file that the service manager reads.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

/// The units for this version of systemd and these ports.
pub(super) fn wanted(systemd: u32, ports: Ports) -> Vec<Unit> {
    let folder = Path::new(FOLDER);
    let mut units = vec![
        Unit {
            path: folder.join(SOCKET),
            text: include_str!("../../cross/systemd/webstead.socket").to_owned(),
        },
        Unit {
            path: folder.join(SERVICE),
            text: include_str!("../../cross/systemd/webstead.service").to_owned(),
        },
    ];
    if systemd >= BACK_OFF_SINCE {
        units.push(Unit {
            path: drop_ins(SERVICE).join("back-off.conf"),
            text: include_str!("../../cross/systemd/back-off.conf").to_owned(),
        });
    }
    if ports != Ports::USUAL {
        units.push(Unit {
            path: ports_file(),
            text: ports_text(ports),
        });
    }
    units
}

/// The folder of what is added to a unit.
pub(super) fn drop_ins(unit: &str) -> PathBuf {
    Path::new(FOLDER).join(format!("{unit}.d"))
}

/// Where other ports than the usual ones are set.
pub(super) fn ports_file() -> PathBuf {
    drop_ins(SOCKET).join("ports.conf")
}

fn ports_text(ports: Ports) -> String {
    format!(
        "# Other ports than 443 and 80: first HTTPS, then plain HTTP.\n[Socket]\nListenStream=\n\
         ListenStream={}\nListenStream={}\n",
        ports.https, ports.http
    )
}

/// The ports that a file of [`ports_file`] sets.
pub(super) fn ports_of(text: &str) -> Option<Ports> {
    let mut found = text
        .lines()
        .filter_map(|line| line.strip_prefix("ListenStream="))
        .filter_map(|port| port.parse().ok());
    Some(Ports {
        https: found.next()?,
        http: found.next()?,
    })
}

#[cfg(test)]
mod tests {
    use super::{Ports, ports_of, ports_text, wanted};

    #[test]
    fn other_ports_are_read_as_they_were_written() {
        let ports = Ports {
            https: 8443,
            http: 8080,
        };
        assert_eq!(ports_of(&ports_text(ports)), Some(ports));
        assert_eq!(ports_of("[Socket]\nListenStream=\n"), None);
    }

    #[test]
    fn an_older_service_manager_gets_no_setting_that_it_does_not_know() {
        let has_back_off = |systemd| {
            wanted(systemd, Ports::USUAL)
                .iter()
                .any(|unit| unit.text.contains("RestartSteps"))
        };
        assert!(!has_back_off(252));
        assert!(has_back_off(254));
    }
}
