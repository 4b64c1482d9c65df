//! Pebble in the internet of a network (`netns.rs`): it asks the DNS of that, and knocks at ports 80 and 443.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command},
};

use tempfile::TempDir;

use crate::{
    netns::{AUTHORITY, Network, RESOLVER},
    pebble::{Config, Options, make_certificate, section},
    tools::is_there,
    waiting::{signal, wait_until},
};

/// What it is called: `ca A` of the zone leads to [`AUTHORITY`].
const NAME: &str = "ca.example.net";

/// The authority; ended when dropped.
pub(crate) struct PebbleOutside {
    dir: TempDir,
    process: Child,
}

impl PebbleOutside {
    /// One whose certificates hold for nine days; `None`, said aloud, if Pebble is not installed.
    pub(crate) fn start(network: &Network) -> Option<Self> {
        let found = Command::new("pebble").arg("-help").output().is_ok();
        if !is_there("pebble", found) {
            return None;
        }
        let dir = TempDir::new().unwrap();
        make_certificate(&dir, NAME);
        let process = run(&dir, network, "blocked.example.net");
        Some(Self { dir, process })
    }

    /// Ends it, and starts one that has forgotten everything and refuses this name.
    pub(crate) fn refuse(&mut self, network: &Network, name: &str) {
        self.stop();
        self.process = run(&self.dir, network, name);
    }

    /// The section `[certificate]` of a site that asks this authority.
    pub(crate) fn settings(&self) -> String {
        let roots = self.dir.path().join("ca.pem");
        section(&format!("https://{NAME}:14000/dir"), &roots)
    }

    /// A file with the certificate that it signs with now.
    pub(crate) fn root(&self, network: &Network) -> PathBuf {
        let url = format!("https://{AUTHORITY}:15000/roots/0");
        let root = network.run("net", &["curl", "-sSk", &url]);
        assert!(root.status.success(), "{root:?}");
        let file = self.dir.path().join("root.pem");
        fs::write(&file, root.stdout).unwrap();
        file
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(self.process.id(), name);
    }

    pub(crate) fn stop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for PebbleOutside {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(dir: &TempDir, network: &Network, blocked: &str) -> Child {
    let config = Config {
        listens: [14000, 15000].map(|port| format!("{AUTHORITY}:{port}")),
        knocks_at: [80, 443],
        blocked,
        options: Options {
            validity_s: 9 * 24 * 3600,
            ..Options::default()
        },
    };
    let config = config.write(dir).display().to_string();
    let server = format!("{RESOLVER}:53");
    let words = [
        "pebble",
        "-config",
        &config,
        "-strict",
        "-dnsserver",
        &server,
    ];
    let mut command = network.command("net", &words);
    command
        .env("PEBBLE_VA_NOSLEEP", "1")
        .env("PEBBLE_AUTHZREUSE", "0");
    let process = command.spawn().unwrap();
    wait_until("the authority answers", || {
        let url = format!("https://{AUTHORITY}:14000/dir");
        network.run("net", &["curl", "-sk", &url]).status.success()
    });
    process
}
