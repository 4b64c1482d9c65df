//! Pebble, an authority for tests, with the DNS server that comes with it: real ACME, on free ports of loopback.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use reqwest::{Certificate, blocking::Client};
use rustls::crypto::ring;
use tempfile::TempDir;

use crate::{
    bind::Bind,
    site::Site,
    tools::{free_port, is_there},
    waiting::wait_for_port,
};

/// An authority and a DNS server; both end when this is dropped.
pub(crate) struct Pebble {
    dir: TempDir,
    authority: Child,
    dns: Child,
    ports: Ports,
    site_ports: [u16; 2],
    options: Options,
}

/// How the authority behaves.
#[derive(Clone, Copy)]
pub(crate) struct Options {
    /// How long its certificates are valid, in seconds.
    pub(crate) validity_s: u64,
    /// How many of its answers refuse a good nonce, in percent.
    pub(crate) refused_nonces: u8,
    /// Whether it waits before it looks at a proof.
    pub(crate) is_slow: bool,
    /// Whether an account must be bound to another one.
    pub(crate) is_external: bool,
    /// The port of the DNS server that it asks; its own, unless this is another one.
    pub(crate) dns_port: Option<u16>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            validity_s: 90 * 24 * 3600,
            refused_nonces: 20,
            is_slow: false,
            is_external: false,
            dns_port: None,
        }
    }
}

#[derive(Clone, Copy)]
struct Ports {
    acme: u16,
    management: u16,
    dns: u16,
    dns_management: u16,
}

/// The key of the one external account that the authority knows, and its name.
pub(crate) const EXTERNAL: (&str, &str) = (
    "kid-1",
    "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W",
);

impl Pebble {
    /// An authority that asks this site for proofs; `None`, said aloud, if Pebble is not installed.
    pub(crate) fn start(site: &Site, options: Options) -> Option<Self> {
        let found = ["pebble", "pebble-challtestsrv"].iter().all(|program| {
            let help = Command::new(program).arg("-help").output();
            help.is_ok()
        });
        if !is_there("pebble", found) {
            return None;
        }
        let dir = TempDir::new().unwrap();
        let ports = Ports {
            acme: free_port(),
            management: free_port(),
            dns: free_port(),
            dns_management: free_port(),
        };
        let https_port = site.base.rsplit(':').next().unwrap().parse().unwrap();
        make_certificate(&dir, "localhost");
        let dns = Command::new("pebble-challtestsrv")
            .args(["-http01", "", "-https01", "", "-tlsalpn01", ""])
            .args(["-defaultIPv4", "127.0.0.1", "-defaultIPv6", ""])
            .args(["-dns01", &format!("127.0.0.1:{}", ports.dns)])
            .args([
                "-management",
                &format!("127.0.0.1:{}", ports.dns_management),
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let site_ports = [site.http_port, https_port];
        let authority = run(&dir, ports, site_ports, options);
        let pebble = Self {
            dir,
            authority,
            dns,
            ports,
            site_ports,
            options,
        };
        pebble.wait();
        Some(pebble)
    }

    /// The address of its directory.
    pub(crate) fn directory(&self) -> String {
        format!("https://localhost:{}/dir", self.ports.acme)
    }

    /// The line of `[certificate]` by which it is believed that the authority is who it says.
    pub(crate) fn roots(&self) -> String {
        roots_line(&self.dir.path().join("ca.pem"))
    }

    /// The section `[certificate]` of a site that asks this authority.
    pub(crate) fn settings(&self) -> String {
        section(&self.directory(), &self.dir.path().join("ca.pem"))
    }

    /// The certificate that everything is signed with that it issues now, in PEM.
    pub(crate) fn root(&self) -> Vec<u8> {
        let url = format!("https://localhost:{}/roots/0", self.ports.management);
        self.client()
            .get(url)
            .send()
            .unwrap()
            .bytes()
            .unwrap()
            .to_vec()
    }

    /// Lets names lead somewhere else, by the DNS server's own interface: `add-a`, `{"host": ...}`.
    pub(crate) fn tell_dns(&self, what: &str, json: &str) {
        let url = format!("http://127.0.0.1:{}/{what}", self.ports.dns_management);
        let answer = self
            .client()
            .post(url)
            .body(json.to_owned())
            .send()
            .unwrap();
        assert!(answer.status().is_success());
    }

    /// Ends the authority.
    pub(crate) fn stop(&mut self) {
        let _ = self.authority.kill();
        let _ = self.authority.wait();
    }

    /// One that asks a BIND of its own for names; `None`, said aloud, if one of them is not installed.
    pub(crate) fn with_bind(site: &Site, options: Options) -> Option<(Self, Bind)> {
        let bind = Bind::start()?;
        let options = Options {
            dns_port: Some(bind.port),
            ..options
        };
        Some((Self::start(site, options)?, bind))
    }

    /// Starts it again; it has forgotten everything, and has another key.
    pub(crate) fn start_again(&mut self) {
        self.authority = run(&self.dir, self.ports, self.site_ports, self.options);
        self.wait();
    }

    /// Whether the authority says that this certificate was revoked: `Valid`, `Revoked`.
    pub(crate) fn status_of(&self, serial: &str) -> String {
        let url = format!(
            "https://localhost:{}/cert-status-by-serial/{serial}",
            self.ports.management
        );
        self.client().get(url).send().unwrap().text().unwrap()
    }

    /// The certificate of its own HTTPS and the key of that.
    pub(crate) fn identity(&self) -> [PathBuf; 2] {
        ["cert.pem", "key.pem"].map(|name| self.dir.path().join(name))
    }

    /// Who believes that it is who it says.
    pub(crate) fn client(&self) -> Client {
        let _ = ring::default_provider().install_default();
        let pem = fs::read(self.dir.path().join("ca.pem")).unwrap();
        Client::builder()
            .tls_certs_only([Certificate::from_pem(&pem).unwrap()])
            .http1_only()
            .build()
            .unwrap()
    }

    fn wait(&self) {
        let Ports {
            acme,
            management,
            dns_management,
            ..
        } = self.ports;
        for port in [acme, management, dns_management] {
            wait_for_port(port, Duration::from_secs(20), || "the authority".into());
        }
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        for child in [&mut self.authority, &mut self.dns] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn run(dir: &TempDir, ports: Ports, [http, https]: [u16; 2], options: Options) -> Child {
    let path = |name: &str| -> PathBuf { dir.path().join(name) };
    let config = Config {
        listens: [ports.acme, ports.management].map(|port| format!("127.0.0.1:{port}")),
        knocks_at: [http, https],
        blocked: "blocked.test",
        options,
    };
    let config = config.write(dir);
    let mut command = Command::new("pebble");
    if options.is_slow {
        command.env("PEBBLE_VA_SLEEPTIME", "2");
    } else {
        command.env("PEBBLE_VA_NOSLEEP", "1");
    }
    let log = fs::File::options()
        .create(true)
        .append(true)
        .open(path("pebble.log"))
        .unwrap();
    command
        .arg("-config")
        .arg(config)
        .arg("-strict")
        .arg("-dnsserver")
        .arg(format!(
            "127.0.0.1:{}",
            options.dns_port.unwrap_or(ports.dns)
        ))
        .env("PEBBLE_WFE_NONCEREJECT", options.refused_nonces.to_string())
        .env("PEBBLE_AUTHZREUSE", "0")
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// What an authority is started with, but for what it is told by its environment.
pub(crate) struct Config<'a> {
    /// Where it is asked, and where it is managed.
    pub(crate) listens: [String; 2],
    /// The ports at which it looks for proofs over HTTP and TLS.
    pub(crate) knocks_at: [u16; 2],
    /// The name that it refuses.
    pub(crate) blocked: &'a str,
    /// What else may differ.
    pub(crate) options: Options,
}

impl Config<'_> {
    /// Writes it into a folder, in which the authority's own certificate is too; says where.
    pub(crate) fn write(&self, dir: &TempDir) -> PathBuf {
        let path = |name: &str| dir.path().join(name);
        let config = serde_json::json!({ "pebble": {
            "listenAddress": self.listens[0],
            "managementListenAddress": self.listens[1],
            "certificate": path("cert.pem"),
            "privateKey": path("key.pem"),
            "httpPort": self.knocks_at[0],
            "tlsPort": self.knocks_at[1],
            "ocspResponderURL": "",
            "externalAccountBindingRequired": self.options.is_external,
            "externalAccountMACKeys": { EXTERNAL.0: EXTERNAL.1 },
            "domainBlocklist": [self.blocked],
            "certificateValidityPeriod": self.options.validity_s,
        }});
        fs::write(path("pebble.json"), config.to_string()).unwrap();
        path("pebble.json")
    }
}

/// The section `[certificate]` of a site that asks the authority with this directory, which is believed by these roots.
pub(crate) fn section(directory: &str, roots: &Path) -> String {
    let line = roots_line(roots);
    format!("[certificate]\nagree_to_terms = true\nauthority = \"{directory}\"\n{line}")
}

fn roots_line(roots: &Path) -> String {
    format!("authority_roots = \"{}\"\n", roots.display())
}

/// The certificate of the authority's own HTTPS.
pub(crate) fn make_certificate(dir: &TempDir, name: &str) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new([name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let write = |name: &str, text: String| fs::write(dir.path().join(name), text).unwrap();
    write("ca.pem", issuer.pem());
    write("cert.pem", certificate.pem());
    write("key.pem", key.serialize_pem());
}
