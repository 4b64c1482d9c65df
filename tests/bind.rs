//! BIND, a real DNS server with a zone that takes signed changes, on a free port of loopback.

use std::{
    fs,
    io::Write as _,
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;

use crate::{tools::is_there, waiting::wait_within};

/// A DNS server with the zone `dyn.test`, in which every name leads to this machine; ends when dropped.
pub(crate) struct Bind {
    _dir: TempDir,
    server: Child,
    /// The network namespace that it is in, if it is in one of its own.
    network: Option<String>,
    /// Where it listens.
    pub(crate) port: u16,
}

/// The secret of the key `home`, which may change the zone.
pub(crate) const SECRET: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

impl Bind {
    /// `None`, said aloud, if BIND is not installed.
    pub(crate) fn start() -> Option<Self> {
        Self::start_in(None)
    }

    /// [`Bind::start`] in a network namespace.
    pub(crate) fn start_in(network: Option<&str>) -> Option<Self> {
        let found = ["/usr/sbin/named", "/usr/bin/dig", "/usr/bin/nsupdate"]
            .iter()
            .all(|program| std::path::Path::new(program).exists());
        if !is_there("bind9", found) {
            return None;
        }
        let dir = TempDir::new().unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let at = dir.path().display();
        let config = format!(
            "options {{ directory \"{at}\"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};\n\
             recursion no; pid-file none; session-keyfile \"{at}/session.key\"; dnssec-validation no; }};\n\
             controls {{}};\n\
             key \"home\" {{ algorithm hmac-sha256; secret \"{SECRET}\"; }};\n\
             key \"home-384\" {{ algorithm hmac-sha384; secret \"{SECRET}\"; }};\n\
             key \"home-512\" {{ algorithm hmac-sha512; secret \"{SECRET}\"; }};\n\
             key \"other\" {{ algorithm hmac-sha256; secret \"{SECRET}\"; }};\n\
             zone \"dyn.test\" {{ type primary; file \"zone\"; allow-update {{ key \"home\"; key \"home-384\"; key \"home-512\"; }}; }};\n"
        );
        let zone = "$TTL 60\n@ SOA ns.dyn.test. root.dyn.test. 1 3600 600 86400 60\n@ NS ns\n@ A 127.0.0.1\n\
                    ns A 127.0.0.1\n* A 127.0.0.1\n";
        fs::write(dir.path().join("named.conf"), config).unwrap();
        fs::write(dir.path().join("zone"), zone).unwrap();
        let server = program(network, "/usr/sbin/named")
            .arg("-g")
            .arg("-c")
            .arg(dir.path().join("named.conf"))
            .stdout(Stdio::null())
            .stderr(fs::File::create(dir.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let log = || fs::read_to_string(dir.path().join("log")).unwrap();
        // It listens before it has its zones, and its first line says already that it is "running on Linux".
        let is_ready = || log().contains("all zones loaded");
        wait_within(Duration::from_secs(20), is_ready, || {
            format!("BIND: {}", log())
        });
        Some(Self {
            _dir: dir,
            server,
            network: network.map(str::to_owned),
            port,
        })
    }

    /// The section `[dns]` of a site that changes the zone with a key of this name.
    pub(crate) fn settings(&self, key: &str) -> String {
        format!(
            "[dns]\nprovider = \"rfc2136\"\nserver = \"127.0.0.1:{}\"\nzone = \"dyn.test\"\nkey = \"{key}\"\n",
            self.port
        )
    }

    /// What `dig` finds, a line each.
    pub(crate) fn dig(&self, name: &str, kind: &str) -> String {
        let asked = program(self.network.as_deref(), "/usr/bin/dig")
            .args([
                "@127.0.0.1",
                "-p",
                &self.port.to_string(),
                "+short",
                name,
                kind,
            ])
            .output()
            .unwrap();
        String::from_utf8(asked.stdout).unwrap()
    }
}

impl Bind {
    /// Changes the zone as somebody else, in the words of `nsupdate`.
    pub(crate) fn update(&self, changes: &str) {
        update_at(self.port, changes);
    }
}

/// Changes the zone of a server on this port, in the words of `nsupdate`.
pub(crate) fn update_at(port: u16, changes: &str) {
    let mut update = Command::new("/usr/bin/nsupdate")
        .args(["-y", &format!("hmac-sha256:home:{SECRET}")])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let text = format!("server 127.0.0.1 {port}\nzone dyn.test\n{changes}\nsend\n");
    update
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    assert!(update.wait().unwrap().success(), "{changes}");
}

/// A program, in a network namespace if one is given.
fn program(network: Option<&str>, path: &str) -> Command {
    match network {
        None => Command::new(path),
        Some(name) => {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", name, path]);
            command
        }
    }
}

impl Drop for Bind {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
