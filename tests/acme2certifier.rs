//! acme2certifier, another's authority that offers `dns-persist-01` (draft 01): Debian's Pebble does not have it.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

use crate::{
    pebble::section,
    tools::{free_port, is_there, node_modules},
    waiting::wait_for_port,
};

/// How it calls itself in records.
pub(crate) const ISSUER: &str = "ca.test";

/// An authority on a free port of loopback; ends when dropped.
pub(crate) struct Acme2Certifier {
    dir: TempDir,
    server: Child,
    port: u16,
}

impl Acme2Certifier {
    /// One that asks the DNS server on this port; `None`, said aloud, if it is not installed.
    pub(crate) fn start(dns_port: u16) -> Option<Self> {
        Self::start_with(dns_port, 90, &[])
    }

    /// [`Acme2Certifier::start`], with certificates that hold for so many days, and more in its environment.
    pub(crate) fn start_with(
        dns_port: u16,
        days: u32,
        environment: &[(&'static str, OsString)],
    ) -> Option<Self> {
        let python = std::env::var_os("WEBSTEAD_ACME2CERTIFIER").map_or_else(
            || {
                node_modules()
                    .with_file_name("acme2certifier")
                    .join("bin/python")
            },
            PathBuf::from,
        );
        if !is_there("acme2certifier (PyPI)", python.is_file()) {
            return None;
        }
        let dir = TempDir::new().unwrap();
        let port = free_port();
        let path = |name: &str| dir.path().join(name);
        make_authority(dir.path());
        fs::create_dir(path("issued")).unwrap();
        let settings = format!(
            "[DEFAULT]\ndebug: False\nserver_name: localhost:{port}\n\
             [CAhandler]\nhandler_module: acme2certifier.cahandlers.openssl_ca_handler\nissuing_ca_key: {key}\n\
             issuing_ca_cert: {certificate}\nissuing_ca_crl: {revoked}\ncert_save_path: {issued}\n\
             cert_validity_days: {days}\n\
             [DBhandler]\nhandler: wsgi\ndbfile: {database}\n\
             [Directory]\ncaaidentities: [\"{ISSUER}\", \"other.{ISSUER}\"]\n\
             [Challenge]\ndns_server_list: [\"127.0.0.1\"]\ndns_persist_01_support: True\n\
             dns_persist_allow_policy_wildcard: True\n\
             [Order]\nprofiles: {{\"shortlived\": \"https://localhost:{port}/shortlived\"}}\n",
            key = path("ca-key.pem").display(),
            certificate = path("ca.pem").display(),
            revoked = path("crl.pem").display(),
            issued = path("issued").display(),
            database = path("acme.db").display(),
        );
        fs::write(path("acme.cfg"), settings).unwrap();
        let log = fs::File::create(path("log")).unwrap();
        let server = Command::new(python)
            .arg(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/acme2certifier/serve.py"
            ))
            .args([port.to_string(), dns_port.to_string()])
            .args([path("cert.pem"), path("key.pem")])
            .env("ACME_SRV_CONFIGFILE", path("acme.cfg"))
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let authority = Self { dir, server, port };
        wait_for_port(port, Duration::from_mins(1), || authority.log());
        Some(authority)
    }

    /// The address of its directory.
    pub(crate) fn directory(&self) -> String {
        format!("https://localhost:{}/directory", self.port)
    }

    /// The section `[certificate]` of a site that asks this authority.
    pub(crate) fn settings(&self) -> String {
        let section = section(&self.directory(), &self.dir.path().join("ca.pem"));
        format!("{section}contact = \"ada@site.test\"\n")
    }

    /// The certificate that everything is signed with, in PEM.
    pub(crate) fn root(&self) -> Vec<u8> {
        fs::read(self.dir.path().join("ca.pem")).unwrap()
    }

    /// How many orders were made.
    pub(crate) fn orders(&self) -> usize {
        self.log().matches("POST /acme/neworders").count()
    }

    /// How many certificates were issued.
    pub(crate) fn issued(&self) -> usize {
        self.log().matches("/finalize HTTP/1.1\" 200").count()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap()
    }
}

impl Drop for Acme2Certifier {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// The authority's own certificate, and the one of its HTTPS.
fn make_authority(dir: &Path) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let own = KeyPair::generate().unwrap();
    let own_pem = own.serialize_pem();
    let issuer = CertifiedIssuer::self_signed(params, own).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let write = |name: &str, text: String| fs::write(dir.join(name), text).unwrap();
    write("ca.pem", issuer.pem());
    write("ca-key.pem", own_pem);
    write("cert.pem", certificate.pem());
    write("key.pem", key.serialize_pem());
}
