//! What must be known of a machine before something is changed on it. Looks, and changes nothing.

use std::{
    fs,
    io::ErrorKind,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use super::{
    DATA, PROGRAM,
    units::{self, Ports, SERVICE, SOCKET},
};
use crate::{
    base::{Error, Result},
    db::DataFolder,
    server::{self, control},
};

/// Where a program of the system is looked for; `sudo` may give us less.
pub(super) const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A machine on which systemd runs.
pub(super) struct Machine {
    /// The version of systemd.
    pub(super) systemd: u32,
    /// Whether the service's user exists.
    pub(super) has_user: bool,
    /// Whether the service runs.
    pub(super) service_is_active: bool,
    /// Whether our socket unit holds its ports.
    pub(super) socket_is_active: bool,
    /// The ports that are installed, or would be.
    pub(super) ports: Ports,
    /// What an interrupted installation has left to do.
    pub(super) undone: Undone,
}

/// Files that are installed and not in use yet.
pub(super) struct Undone {
    /// The service runs another program than the installed one.
    pub(super) program: bool,
    /// The service manager goes by other units than the installed ones.
    pub(super) units: bool,
}

impl Machine {
    /// Looks at this machine.
    ///
    /// # Errors
    /// [`Error::Invalid`] if systemd does not run on it, or if Webstead is there as a package.
    pub(super) fn look() -> Result<Self> {
        // sd_booted(3)
        if !Path::new("/run/systemd/system").is_dir() {
            return Err(Error::Invalid(
                "this machine is not run by systemd, and other service managers are set up by hand: the \
                 manual shows how for OpenRC, runit and others (/help/as-a-service)"
                    .into(),
            ));
        }
        if let Some(unit) = packaged_unit() {
            return Err(Error::Invalid(format!(
                "Webstead is on this machine as a package ({}): `sudo apt upgrade` brings a new version, and \
                 `sudo apt remove webstead` takes it away",
                unit.display()
            )));
        }
        let account = output_of("getent", &["passwd", "webstead"]).unwrap_or_default();
        let home = account.split(':').nth(5);
        if home.is_some_and(|home| home != DATA) {
            return Err(Error::Invalid(format!(
                "there is an account called webstead on this machine that is not the service's (its home is \
                 not {DATA}); give that account another name first"
            )));
        }
        let version = output_of("systemctl", &["--version"]).unwrap_or_default();
        let ports = fs::read_to_string(units::ports_file())
            .ok()
            .and_then(|text| units::ports_of(&text))
            .unwrap_or(Ports::USUAL);
        Ok(Self {
            systemd: version_of(&version).unwrap_or_default(),
            has_user: home.is_some(),
            service_is_active: is_active(SERVICE),
            socket_is_active: is_active(SOCKET),
            ports,
            undone: Undone {
                program: runs_another_program(),
                units: has_unread_unit() || serves_on_another_port(ports),
            },
        })
    }
}

/// Whether the program that runs can hand over to another one.
pub(super) fn hands_over() -> bool {
    DataFolder::open_existing(Path::new(DATA))
        .and_then(|folder| control::can_be_asked(&folder))
        .unwrap_or(false)
}

/// A property of a unit (systemctl(1), `show`).
fn property(unit: &str, name: &str) -> Option<String> {
    let arguments = ["show", "--value", "--property", name, unit];
    output_of("systemctl", &arguments).map(|value| value.trim().to_owned())
}

/// Whether a unit was changed since the service manager has read it.
fn has_unread_unit() -> bool {
    [SERVICE, SOCKET]
        .iter()
        .any(|unit| property(unit, "NeedDaemonReload").as_deref() == Some("yes"))
}

/// Whether the service's process came from another file than the one that is installed now. Without root
/// that cannot be seen.
fn runs_another_program() -> bool {
    let process = property(SERVICE, "MainPID").unwrap_or_default();
    let file = |path: &str| fs::metadata(path).map(|found| (found.dev(), found.ino()));
    match (file(&format!("/proc/{process}/exe")), file(PROGRAM)) {
        (Ok(running), Ok(installed)) => running != installed,
        _ => false,
    }
}

/// Whether the service listens where it was not told to.
fn serves_on_another_port(ports: Ports) -> bool {
    DataFolder::open_existing(Path::new(DATA))
        .and_then(|folder| server::running(&folder))
        .is_ok_and(|started| started.is_some_and(|s| s.https_address.port() != ports.https))
}

fn packaged_unit() -> Option<PathBuf> {
    ["/usr/lib/systemd/system", "/lib/systemd/system"]
        .iter()
        .map(|folder| Path::new(folder).join(SERVICE))
        .find(|path| path.exists())
}

/// The number in `systemd 252 (252.39-1~deb12u2)`.
fn version_of(text: &str) -> Option<u32> {
    let number = text.split_whitespace().nth(1)?;
    let digits = number
        .find(|c: char| !c.is_ascii_digit())
        .map_or(number, |end| &number[..end]);
    digits.parse().ok()
}

fn is_active(unit: &str) -> bool {
    output_of("systemctl", &["is-active", unit]).is_some()
}

/// The standard output of a program that succeeded.
fn output_of(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .env("PATH", SEARCH_PATH)
        .env("LC_ALL", "C")
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Refuses a port that another program has.
///
/// # Errors
/// [`Error::Invalid`] that names the program and what to do.
pub(super) fn refuse_taken(port: u16) -> Result<()> {
    let is_taken = [
        SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        SocketAddr::from((Ipv6Addr::LOCALHOST, port)),
    ]
    .iter()
    .any(|address| {
        // A socket that reached itself proves nothing: the system may have given it this very port.
        TcpStream::connect_timeout(address, Duration::from_secs(2))
            .is_ok_and(|socket| socket.local_addr().ok() != socket.peer_addr().ok())
    });
    if !is_taken && !is_held_somewhere(port) {
        return Ok(());
    }
    let filter = format!("sport = :{port}");
    let holder = output_of("ss", &["-Hltnp", &filter])
        .as_deref()
        .and_then(holder_of)
        .map_or_else(|| "another program".to_owned(), |name| format!("`{name}`"));
    Err(Error::Invalid(format!(
        "port {port} is taken by {holder}. Stop that program and keep it from starting again (as a service: \
         `sudo systemctl disable --now NAME`), or give Webstead other ports: \
         `sudo ./webstead install --https 8443 --http 8080`"
    )))
}

/// Whether somebody listens on one of this machine's addresses, so that our socket could not have all of
/// them. Without the right to listen on this port, that cannot be seen.
fn is_held_somewhere(port: u16) -> bool {
    let is_held = |address: SocketAddr| {
        TcpListener::bind(address).is_err_and(|e| e.kind() == ErrorKind::AddrInUse)
    };
    // The first takes both families, except where IPv6 is off.
    is_held((Ipv6Addr::UNSPECIFIED, port).into()) || is_held((Ipv4Addr::UNSPECIFIED, port).into())
}

/// The program's name in a line of ss(8): `users:(("nginx",pid=812,fd=6))`.
fn holder_of(line: &str) -> Option<String> {
    let rest = &line[line.find("users:((\"")? + "users:((\"".len()..];
    Some(rest[..rest.find('"')?].to_owned())
}

/// The last words of the service and of its socket, for an error message.
pub(super) fn last_words() -> String {
    output_of(
        "journalctl",
        &[
            "-u",
            SERVICE,
            "-u",
            SOCKET,
            "-n",
            "12",
            "-o",
            "cat",
            "--no-pager",
        ],
    )
    .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::{thread, time::Duration};

    use super::{holder_of, refuse_taken, version_of};

    #[test]
    fn versions_of_systemd_are_read() {
        for (text, expected) in [
            ("systemd 252 (252.39-1~deb12u2)\n+PAM", Some(252)),
            ("systemd 257~rc1", Some(257)),
            ("systemd v256", None),
            ("", None),
        ] {
            assert_eq!(version_of(text), expected, "{text}");
        }
    }

    #[test]
    fn a_port_that_is_taken_on_one_address_only_is_refused() {
        let listener = std::net::TcpListener::bind("127.0.0.9:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(refuse_taken(port).is_err());
    }

    #[test]
    fn a_port_that_somebody_has_is_refused_and_a_free_one_is_not() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let refusal = refuse_taken(port).unwrap_err().to_string();
        assert!(
            refusal.contains(&format!("port {port} is taken by")),
            "{refusal}"
        );
        drop(listener);
        // A process that another test is just starting may still have a copy of the socket.
        let is_free = (0..100).any(|_| {
            thread::sleep(Duration::from_millis(20));
            refuse_taken(port).is_ok()
        });
        assert!(is_free);
    }

    #[test]
    fn the_program_that_has_a_port_is_named() {
        let line = r#"LISTEN 0 511 0.0.0.0:80 0.0.0.0:* users:(("nginx",pid=812,fd=6),("nginx",pid=811,fd=6))"#;
        assert_eq!(holder_of(line).as_deref(), Some("nginx"));
        assert_eq!(holder_of("LISTEN 0 511 0.0.0.0:80 0.0.0.0:*"), None);
    }
}
