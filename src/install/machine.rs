//! What must be known of a machine before something is changed on it. Looks, and changes nothing.

use std::{
    fs,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use super::{
    DATA,
    units::{self, Ports, SERVICE, SOCKET},
};
use crate::base::{Error, Result};

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
        Ok(Self {
            systemd: version_of(&version).unwrap_or_default(),
            has_user: home.is_some(),
            service_is_active: is_active(SERVICE),
            socket_is_active: is_active(SOCKET),
            ports: fs::read_to_string(units::ports_file())
                .ok()
                .and_then(|text| units::ports_of(&text))
                .unwrap_or(Ports::USUAL),
        })
    }
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
    if !is_taken {
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

/// The program's name in a line of ss(8): `users:(("nginx",pid=812,fd=6))`.
fn holder_of(line: &str) -> Option<String> {
    let rest = &line[line.find("users:((\"")? + "users:((\"".len()..];
    Some(rest[..rest.find('"')?].to_owned())
}

/// The last words of the service, for an error message.
pub(super) fn last_words() -> String {
    output_of(
        "journalctl",
        &["-u", SERVICE, "-n", "12", "-o", "cat", "--no-pager"],
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
