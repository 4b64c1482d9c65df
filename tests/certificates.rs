//! Certificates of a public authority, of the owner's own files, and the names that they are for.

use std::{
    fs,
    io::Read as _,
    net::TcpStream,
    process::{Output, Stdio},
    sync::Arc,
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
    time_provider::TimeProvider,
};

use crate::{
    bind::SECRET,
    pebble::{EXTERNAL, Options, Pebble},
    site::{Site, command},
    waiting::until,
};

/// Writes `webstead.toml` and has it read.
pub(crate) fn set(site: &Site, toml: &str) {
    fs::write(site.data().join("webstead.toml"), toml).unwrap();
    let before = site.log().matches("reloaded").count();
    site.signal("HUP");
    until(site, "the settings are read", || {
        site.log().matches("reloaded").count() > before
    });
    assert!(!site.log().contains("not reloaded"), "{}", site.log());
}

/// The certificate that is shown for a name, if it leads to one of these roots.
pub(crate) fn shown(
    site: &Site,
    name: &str,
    roots: &[u8],
) -> Result<CertificateDer<'static>, String> {
    shown_at(site, "127.0.0.1", name, roots)
}

/// [`shown`] at one of the machine's addresses.
pub(crate) fn shown_at(
    site: &Site,
    at: &str,
    name: &str,
    roots: &[u8],
) -> Result<CertificateDer<'static>, String> {
    shown_to(site, at, name, roots, Duration::ZERO)
}

/// A visitor's clock that is ahead by so much.
#[derive(Debug)]
struct Ahead(Duration);

impl TimeProvider for Ahead {
    fn current_time(&self) -> Option<UnixTime> {
        let now = UnixTime::now().as_secs() + self.0.as_secs();
        Some(UnixTime::since_unix_epoch(Duration::from_secs(now)))
    }
}

/// [`shown_at`] to a visitor whose clock is ahead.
pub(crate) fn shown_to(
    site: &Site,
    at: &str,
    name: &str,
    roots: &[u8],
    ahead: Duration,
) -> Result<CertificateDer<'static>, String> {
    let mut store = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(roots) {
        store.add(root.unwrap()).unwrap();
    }
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_details(provider, Arc::new(Ahead(ahead)))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(store)
        .with_no_client_auth();
    let port = site.base.rsplit(':').next().unwrap();
    let at: std::net::IpAddr = at.parse().unwrap();
    let socket = TcpStream::connect((at, port.parse().unwrap())).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let tls = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(tls, socket);
    stream
        .conn
        .complete_io(&mut stream.sock)
        .map_err(|e| e.to_string())?;
    Ok(stream.conn.peer_certificates().unwrap()[0]
        .clone()
        .into_owned())
}

/// Waits until a name has a certificate of the authority.
pub(crate) fn await_certificate(
    site: &Site,
    pebble: &Pebble,
    name: &str,
) -> CertificateDer<'static> {
    until(site, name, || shown(site, name, &pebble.root()).is_ok());
    shown(site, name, &pebble.root()).unwrap()
}

#[test]
fn names_get_certificates_by_either_proof_while_a_connection_goes_on() {
    for challenge in ["http-01", "tls-alpn-01"] {
        let mut site = Site::start();
        let Some(pebble) = Pebble::start(&site, Options::default()) else {
            return;
        };
        let local = shown(
            &site,
            "localhost",
            &fs::read(site.data().join("tls/authority-cert.pem")).unwrap(),
        );
        let standing = site.connect("localhost");
        set(
            &site,
            &format!(
                "domain = \"site.test\"\nalso = [\"bücher.test\"]\n{}challenge = \"{challenge}\"\n\
                 contact = \"ada@site.test\"\n",
                pebble.settings()
            ),
        );
        let first = await_certificate(&site, &pebble, "site.test");
        await_certificate(&site, &pebble, "xn--bcher-kva.test");
        assert!(local.is_ok() && shown(&site, "localhost", &pebble.root()).is_err());
        let mut standing = standing;
        std::io::Write::write_all(
            &mut standing,
            b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        )
        .unwrap();
        let mut answer = String::new();
        let _ = standing.read_to_string(&mut answer);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        // A restart asks for nothing, and shows what is there.
        site = site.restart();
        assert_eq!(shown(&site, "site.test", &pebble.root()).unwrap(), first);
        assert!(!site.log().contains("no certificate for"), "{}", site.log());
    }
}

#[test]
fn an_authority_that_is_slow_refuses_nonces_and_wants_an_external_account_is_satisfied() {
    let site = Site::start();
    let options = Options {
        is_slow: true,
        refused_nonces: 40,
        is_external: true,
        ..Options::default()
    };
    let Some(pebble) = Pebble::start(&site, options) else {
        return;
    };
    let (id, key) = EXTERNAL;
    let settings = format!("domain = \"site.test\"\n{}", pebble.settings());
    set(&site, &settings);
    until(&site, "a refusal in words", || {
        site.log().contains("no certificate for site.test")
    });
    assert!(
        site.log().contains("externalAccountBinding"),
        "{}",
        site.log()
    );
    set(
        &site,
        &format!("{settings}external_account = {{ id = \"{id}\" }}\n"),
    );
    until(&site, "what is missing", || {
        site.log().contains("webstead secret set external-account")
    });
    // It is tried at once: also with a key in the file, which every backup takes along.
    keep(&site, "external-account", key);
    await_certificate(&site, &pebble, "site.test");
    let other = Site::start();
    let pebble = Pebble::start(&other, options).unwrap();
    let external = format!("external_account = {{ id = \"{id}\", key = \"{key}\" }}\n");
    let settings = format!("domain = \"site.test\"\n{}", pebble.settings());
    set(&other, &(settings + &external));
    await_certificate(&other, &pebble, "site.test");
}

#[test]
fn a_name_that_leads_elsewhere_keeps_no_other_from_its_certificate_and_is_explained() {
    let site = Site::start();
    let Some(pebble) = Pebble::start(&site, Options::default()) else {
        return;
    };
    pebble.tell_dns(
        "add-a",
        "{\"host\": \"away.test\", \"addresses\": [\"127.0.0.2\"]}",
    );
    let settings = format!(
        "domain = \"away.test\"\nalso = [\"blocked.test\", \"site.test\"]\n{}",
        pebble.settings()
    );
    set(&site, &settings);
    await_certificate(&site, &pebble, "site.test");
    until(&site, "why", || {
        site.log().contains("no certificate for blocked.test")
            && site.log().contains("no certificate for away.test")
    });
    let listed = certificate(&site, &["list"]);
    assert_eq!(listed.status.code(), Some(1), "something is wrong");
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    for word in [
        "site.test  of Pebble",
        "127.0.0.2",
        "away.test  none yet",
        "policy",
        "tried again 20",
    ] {
        assert!(text.contains(word), "{word} is not in {text}");
    }
}

#[test]
fn a_certificate_is_renewed_and_revoked_by_hand_and_the_account_gets_another_key() {
    let site = Site::start();
    let Some(pebble) = Pebble::start(&site, Options::default()) else {
        return;
    };
    let none = certificate(&site, &["list"]);
    let said = String::from_utf8_lossy(&none.stdout);
    assert!(
        none.status.success() && said.contains("no certificate"),
        "{said}"
    );
    // Nobody is asked for consent to nothing.
    let early = certificate(&site, &["revoke", "site.test"]);
    let said = String::from_utf8_lossy(&early.stderr);
    assert_eq!(early.status.code(), Some(1), "{said}");
    assert!(
        said.contains("nothing to revoke") && !said.contains("--yes"),
        "{said}"
    );
    set(
        &site,
        &format!("domain = \"site.test\"\n{}", pebble.settings()),
    );
    let first = await_certificate(&site, &pebble, "site.test");
    let account = || {
        let files = fs::read_dir(site.data().join("tls/acme")).unwrap();
        let texts = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
        texts.collect::<String>()
    };
    let before = account();
    let changed = certificate(&site, &["new-account-key"]);
    assert!(changed.status.success(), "{changed:?}");
    assert_ne!(before, account());
    let renewed = certificate(&site, &["renew", "site.test"]);
    assert!(renewed.status.success(), "{renewed:?}");
    let second = shown(&site, "site.test", &pebble.root()).unwrap();
    assert_ne!(first, second, "with the account's other key");
    let unasked = certificate(&site, &["revoke", "site.test"]);
    assert!(String::from_utf8_lossy(&unasked.stderr).contains("--yes"));
    let because = ["revoke", "Site.test", "--reason", "key-compromise", "--yes"];
    let revoked = certificate(&site, &because);
    assert!(revoked.status.success(), "{revoked:?}");
    let said = String::from_utf8_lossy(&revoked.stdout).into_owned();
    assert!(said.contains("another one now"), "it runs: {said}");
    let (_, parsed) = x509_parser::parse_x509_certificate(&second).unwrap();
    let serial = parsed
        .tbs_certificate
        .raw_serial_as_string()
        .replace(':', "");
    let status = pebble.status_of(&serial);
    assert!(status.contains("Revoked"), "{status}");
    until(&site, "another one", || {
        shown(&site, "site.test", &pebble.root()).is_ok_and(|third| third != second)
    });
    let other = certificate(&site, &["revoke", "other.test", "--yes"]);
    assert!(String::from_utf8_lossy(&other.stderr).contains("no certificate for other.test"));
}

#[test]
fn the_owners_own_files_are_shown_read_again_and_refused_if_they_do_not_fit() {
    let site = Site::start();
    let (issuer, make) = issuer();
    let write = |(certificate, key): (String, String)| {
        fs::write(site.data().join("own.pem"), certificate).unwrap();
        fs::write(site.data().join("own-key.pem"), key).unwrap();
    };
    write(make(&["own.test", "*.own.test"]));
    set(
        &site,
        "domain = \"own.test\"\n[certificate]\nfiles = [{ certificate = \"own.pem\", key = \"own-key.pem\" }]\n",
    );
    until(&site, "shown", || {
        shown(&site, "own.test", issuer.as_bytes()).is_ok()
    });
    let first = shown(&site, "own.test", issuer.as_bytes()).unwrap();
    assert_eq!(
        shown(&site, "sub.own.test", issuer.as_bytes()).unwrap(),
        first
    );
    fs::write(site.data().join("own-key.pem"), make(&["own.test"]).1).unwrap();
    until(&site, "a refusal", || {
        site.log().contains("not the one of the certificate")
    });
    assert_eq!(shown(&site, "own.test", issuer.as_bytes()).unwrap(), first);
    write(make(&["own.test"]));
    until(&site, "the new one", || {
        shown(&site, "own.test", issuer.as_bytes()).is_ok_and(|now| now != first)
    });
    fs::write(site.data().join("own-key.pem"), "nonsense").unwrap();
    let check = command(site.data()).arg("check").output().unwrap();
    let said = String::from_utf8_lossy(&check.stderr);
    assert!(
        !check.status.success() && said.contains("no private key"),
        "{said}"
    );
}

#[test]
fn other_names_lead_to_the_domain() {
    let site = Site::with_settings("domain = \"Site.localhost\"\nalso = [\"old.localhost\"]\n");
    let names = [
        "site.localhost",
        "www.site.localhost",
        "old.localhost",
        "else.localhost",
    ];
    let client = site.client_builder_for(&names);
    let client = client
        .tls_danger_accept_invalid_certs(true)
        .build()
        .unwrap();
    let port = site.base.rsplit(':').next().unwrap();
    for (name, leads) in [
        ("site.localhost", false),
        ("www.site.localhost", true),
        ("old.localhost", true),
        ("else.localhost", false),
    ] {
        let answer = client
            .get(site.url_of(name, "/archive?x=1"))
            .send()
            .unwrap();
        let to = answer
            .headers()
            .get("location")
            .map(|to| to.to_str().unwrap());
        let expected = format!("https://site.localhost:{port}/archive?x=1");
        assert_eq!(to, leads.then_some(expected.as_str()), "{name}");
        assert_eq!(answer.status(), if leads { 308 } else { 200 }, "{name}");
    }
}

#[test]
fn all_names_below_one_get_a_certificate_through_a_dns_server_that_takes_changes() {
    let site = Site::start();
    let Some((pebble, bind)) = Pebble::with_bind(&site, Options::default()) else {
        return;
    };
    let settings = |key: &str| {
        format!(
            "domain = \"dyn.test\"\n{}{}names = [\"*.dyn.test\"]\nchallenge = \"dns-01\"\n",
            bind.settings(key),
            pebble.settings()
        )
    };
    set(&site, &settings("home"));
    until(&site, "no secret", || {
        site.log().contains("webstead secret set dns")
    });
    fs::create_dir_all(site.data().join("secrets")).unwrap();
    for (secret, key, word) in [
        ("not-base64!", "home", "it is not base64"),
        ("YWJjZA==", "home", "does not accept the key home"),
        (SECRET, "nobody", "does not accept the key nobody"),
        (SECRET, "other", "may not change this name"),
    ] {
        // Another secret is tried at once, and so are other settings. One that is none is not kept by the command.
        fs::write(site.data().join("secrets/dns"), secret).unwrap();
        set(&site, &settings(key));
        until(&site, word, || site.log().contains(word));
    }
    assert!(shown(&site, "a.dyn.test", &pebble.root()).is_err());
    keep_secret(&site, SECRET);
    set(&site, &settings("home"));
    let wildcard = await_certificate(&site, &pebble, "a.dyn.test");
    assert_eq!(
        shown(&site, "b.dyn.test", &pebble.root()).unwrap(),
        wildcard
    );
    assert_ne!(await_certificate(&site, &pebble, "dyn.test"), wildcard);
    assert_eq!(
        bind.dig("_acme-challenge.dyn.test", "TXT"),
        "",
        "the proofs are taken away"
    );
    assert!(!site.log().contains(SECRET), "no secret in a log");
    let listed = command(site.data())
        .args(["secret", "list"])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&listed.stdout), "dns\n");
}

/// `webstead secret set dns`
pub(crate) fn keep_secret(site: &Site, secret: &str) {
    keep(site, "dns", secret);
}

/// `webstead secret set NAME`
fn keep(site: &Site, name: &str, secret: &str) {
    let mut set = command(site.data())
        .args(["secret", "set", name])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = set.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, format!("{secret}\n").as_bytes()).unwrap();
    drop(input);
    assert!(set.wait().unwrap().success());
}

/// `webstead certificate ...` beside the running site.
pub(crate) fn certificate(site: &Site, arguments: &[&str]) -> Output {
    let mut command = command(site.data());
    command.arg("certificate").args(arguments).output().unwrap()
}

/// A certificate and its key, in PEM.
pub(crate) type Pair = (String, String);

/// The certificate of an authority in PEM, and what makes a certificate and its key for names.
pub(crate) fn issuer() -> (String, impl Fn(&[&str]) -> Pair) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let pem = issuer.pem();
    let make = move |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(names).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    };
    (pem, make)
}
