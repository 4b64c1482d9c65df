//! Tests of the site's own certificate: when it is kept, when it is made anew, and a real handshake.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    sync::Arc,
    thread,
    time::UNIX_EPOCH,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConnection, StreamOwned, version,
};

use super::{
    super::shown::{Kind, Shown},
    *,
};
use crate::net::names::{LocalName, local_names};

fn names(texts: &[&str]) -> Vec<Name> {
    texts
        .iter()
        .map(|text| Name::try_from((*text).to_owned()).unwrap())
        .collect()
}

struct Machine {
    data: tempfile::TempDir,
    authority: LocalAuthority,
}

impl Machine {
    fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let authority = LocalAuthority::open_or_create_for(data.path(), "pi").unwrap();
        Self { data, authority }
    }

    /// The certificate that this machine shows at a time (since 1970).
    fn certificate(&self, texts: &[&str], at: Duration) -> CertificateDer<'static> {
        local_certificate_at(
            self.data.path(),
            &self.authority,
            &names(texts),
            (UNIX_EPOCH + at, clock::believable(UNIX_EPOCH + at)),
        )
        .unwrap()
        .cert[0]
            .clone()
    }

    fn accepts(&self, certificate: &CertificateDer<'_>, text: &str, at: Duration) -> bool {
        self.authority
            .verify(certificate, &names(&[text])[0], at)
            .is_ok()
    }

    fn cert_file(&self) -> PathBuf {
        self.data.path().join("tls/local-cert.pem")
    }

    fn key_file(&self) -> PathBuf {
        self.data.path().join("tls/local-key.pem")
    }
}

#[test]
fn a_certificate_is_kept_while_it_is_good() {
    let machine = Machine::new();
    let now = clock::now();
    let first = machine.certificate(&["localhost", "pi", "192.168.1.20"], now);
    assert_eq!(
        fs::metadata(machine.key_file()).unwrap().mode() & 0o777,
        0o600
    );
    let day = clock::DAY;
    for (texts, at, is_kept) in [
        (&["localhost", "pi", "192.168.1.20"][..], now, true),
        (&["localhost", "pi", "192.168.1.20"], now + day * 260, true),
        (&["localhost", "pi", "192.168.1.20"], now + day * 270, false),
        (&["localhost", "pi", "192.168.1.20"], now + day * 500, false),
        (
            &["localhost", "pi", "192.168.1.20", "2001:db8::5"],
            now,
            true,
        ), // it never has public addresses
        (&["localhost", "pi", "192.168.1.21"], now, false),
        (&["localhost", "pi"], now, true), // one name too many harms nobody
        (&["localhost", "pi", "192.168.1.20", "10.0.0.1"], now, false),
    ] {
        let before = [machine.cert_file(), machine.key_file()].map(|f| (fs::read(&f).unwrap(), f));
        let certificate = machine.certificate(texts, at);
        assert_eq!(certificate == first, is_kept, "{texts:?}");
        assert!(
            texts
                .iter()
                .all(|t| machine.accepts(&certificate, t, at) != t.starts_with("2001")),
            "{texts:?}"
        );
        for (content, file) in before {
            fs::write(file, content).unwrap();
        }
    }
}

#[test]
fn a_machine_without_a_clock_keeps_its_certificate_and_makes_a_believable_one() {
    let machine = Machine::new();
    let nineteen_seventy = Duration::from_secs(7);
    let without_clock = machine.certificate(&["localhost"], nineteen_seventy);
    assert!(machine.accepts(&without_clock, "localhost", clock::EARLIEST));
    assert!(!machine.accepts(
        &without_clock,
        "localhost",
        clock::EARLIEST.saturating_sub(clock::DAY * 2)
    ));
    assert_eq!(
        machine.certificate(&["localhost"], nineteen_seventy),
        without_clock
    );

    let later = clock::EARLIEST + clock::DAY * 1000;
    let with_clock = machine.certificate(&["localhost"], later);
    assert_ne!(with_clock, without_clock);
    assert_eq!(
        machine.certificate(&["localhost"], nineteen_seventy),
        with_clock
    );
}

#[test]
fn a_damaged_certificate_is_made_anew() {
    let machine = Machine::new();
    let now = clock::now();
    machine.certificate(&["localhost"], now);
    let foreign = Machine::new();
    foreign.certificate(&["localhost"], now);
    let [foreign_cert, foreign_key] =
        [foreign.cert_file(), foreign.key_file()].map(|f| fs::read_to_string(f).unwrap());
    let good = fs::read_to_string(machine.cert_file()).unwrap();
    for (file, damaged) in [
        (machine.cert_file(), Some(String::new())),
        (machine.cert_file(), Some("\u{0}\u{fffd}".to_owned())),
        (machine.cert_file(), Some(good[..good.len() / 2].to_owned())),
        (
            machine.cert_file(),
            Some(good.replace("Made: ", "Made: 99999999999999999999")),
        ),
        (
            machine.cert_file(),
            Some(good.replace("Names: localhost", "Names: localhost ...")),
        ),
        (machine.cert_file(), Some(foreign_cert)),
        (machine.cert_file(), None),
        (machine.key_file(), Some(String::new())),
        (machine.key_file(), Some(foreign_key)), // as after a plug was pulled between the two
        (machine.key_file(), None),
    ] {
        match &damaged {
            Some(content) => fs::write(&file, content).unwrap(),
            None => fs::remove_file(&file).unwrap(),
        }
        let certificate = machine.certificate(&["localhost"], now);
        assert!(
            machine.accepts(&certificate, "localhost", now),
            "{damaged:?}"
        );
        assert_ne!(fs::read_to_string(&file).ok(), damaged);
        assert_eq!(machine.certificate(&["localhost"], now), certificate);
    }
}

#[test]
fn a_bit_that_flips_in_the_certificate_or_its_key_is_told_and_what_was_there_is_kept_aside() {
    let machine = Machine::new();
    let now = clock::now();
    machine.certificate(&["localhost"], now);
    let data = machine.data.path();
    let nothing = (Vec::new(), Vec::new());
    assert_eq!(decayed::look_at_local(data).unwrap(), nothing);
    let files = [machine.cert_file(), machine.key_file()];
    for file in &files {
        let length = fs::read(file).unwrap().len();
        for at in (0..length).step_by(23).chain([length - 1]) {
            let mut bytes = fs::read(file).unwrap();
            // Each is a little longer or shorter.
            let at = at.min(bytes.len() - 1);
            bytes[at] ^= 1 << (at % 8);
            fs::write(file, &bytes).unwrap();
            let (problems, warnings) = decayed::look_at_local(data).unwrap();
            assert_eq!((problems.len(), warnings.len()), (1, 0), "{at}");
            let certificate = machine.certificate(&["localhost"], now);
            assert!(machine.accepts(&certificate, "localhost", now));
            let (problems, warnings) = decayed::look_at_local(data).unwrap();
            assert_eq!((problems.len(), warnings.len()), (0, 1), "{at}");
            assert!(warnings[0].contains("/trust"), "{warnings:?}");
            let aside = |file: &PathBuf| file.with_added_extension("damaged");
            assert_eq!(fs::read(aside(file)).unwrap(), bytes);
            for file in &files {
                fs::remove_file(aside(file)).unwrap();
            }
        }
    }
    // That of a program before has no sum, and is good as it is.
    let certificate = machine.certificate(&["localhost"], now);
    let former = fs::read_to_string(machine.cert_file()).unwrap();
    let former: Vec<&str> = former
        .split_inclusive('\n')
        .filter(|line| !line.starts_with(SUM))
        .collect();
    fs::write(machine.cert_file(), former.concat()).unwrap();
    assert_eq!(machine.certificate(&["localhost"], now), certificate);
    assert_eq!(decayed::look_at_local(data).unwrap(), nothing);
}

#[test]
fn two_certificates_never_have_one_number() {
    assert_ne!(random_serial().unwrap(), random_serial().unwrap());
}

/// Shakes hands over a real socket and sends a word each way.
fn talk(
    config: &Arc<rustls::ServerConfig>,
    authority_pem: &str,
    name: Name,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> std::io::Result<Vec<CertificateDer<'static>>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let config = Arc::clone(config);
    let server = thread::spawn(move || -> std::io::Result<()> {
        let (socket, _) = listener.accept()?;
        let connection = ServerConnection::new(config).map_err(std::io::Error::other)?;
        let mut stream = StreamOwned::new(connection, socket);
        let mut word = [0; 4];
        stream.read_exact(&mut word)?;
        stream.write_all(&word)
    });
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(authority_pem.as_bytes()).unwrap())
        .unwrap();
    let client = ClientConfig::builder_with_provider(tls::provider())
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connection =
        ClientConnection::new(Arc::new(client), name).map_err(std::io::Error::other)?;
    let mut stream = StreamOwned::new(connection, TcpStream::connect(address)?);
    let outcome = stream.write_all(b"ping").and_then(|()| {
        let mut word = [0; 4];
        stream.read_exact(&mut word)?;
        assert_eq!(&word, b"ping");
        Ok(stream
            .conn
            .peer_certificates()
            .unwrap()
            .iter()
            .map(|c| c.clone().into_owned())
            .collect())
    });
    drop(stream);
    let _ = server.join().unwrap();
    outcome
}

fn shown(key: CertifiedKey) -> Arc<Shown> {
    Shown::new(key, Arc::default())
}

#[test]
fn a_client_that_trusts_the_authority_is_served_by_name_and_by_address() {
    let data = tempfile::tempdir().unwrap();
    let key = local_certificate(data.path(), &local_names(&LocalName::new(None))).unwrap();
    let authority = LocalAuthority::open_or_create(data.path()).unwrap();
    let config = Arc::new(tls::server_config(shown(key).over(Kind::ALL[0])).unwrap());
    for versions in [&[&version::TLS13][..], &[&version::TLS12]] {
        for name in names(&["localhost", "127.0.0.1", "::1"]) {
            talk(&config, authority.pem(), name, versions).unwrap();
        }
    }
    let [other] = <[Name; 1]>::try_from(names(&["example.com"])).unwrap();
    let message = talk(&config, authority.pem(), other, &[&version::TLS13])
        .unwrap_err()
        .to_string();
    assert!(message.contains("not valid for name"), "{message}");
}

#[test]
fn a_certificate_outside_of_the_constraints_fails_in_a_real_handshake() {
    let machine = Machine::new();
    let outside = names(&["example.com", "localhost"]);
    let leaf = Leaf::issue(&machine.authority, &outside, clock::now()).unwrap();
    let config = Arc::new(
        tls::server_config(shown(leaf.certified_key().unwrap()).over(Kind::ALL[0])).unwrap(),
    );
    for name in outside {
        let message = talk(&config, machine.authority.pem(), name, &[&version::TLS13])
            .unwrap_err()
            .to_string();
        assert!(message.contains("NameConstraint"), "{message}");
    }
}

#[test]
fn a_replaced_certificate_is_shown_from_the_next_handshake_on() {
    let machine = Machine::new();
    let issue = || {
        machine
            .authority
            .certificate_for(&names(&["localhost"]))
            .unwrap()
    };
    let (first, second) = (issue(), issue());
    let (first_der, second_der) = (first.cert.clone(), second.cert.clone());
    let store = shown(first);
    let config = Arc::new(tls::server_config(store.over(Kind::ALL[0])).unwrap());
    let seen = || {
        let [name] = <[Name; 1]>::try_from(names(&["localhost"])).unwrap();
        talk(&config, machine.authority.pem(), name, &[&version::TLS13]).unwrap()
    };
    assert_eq!(seen(), first_der);
    store.replace_local(second);
    assert_eq!(seen(), second_der);
}

#[test]
fn a_name_that_the_authority_does_not_have_is_told_only_where_something_helps_and_that_harms_nothing()
 {
    for (name, words) in [
        ("files.example.net", None),
        ("example.org", None),
        ("pi", Some(AUTHORITY_FILES)),
        ("pi.local", Some("nothing else")),
        ("files.lan", Some("ends with .local")),
        ("nas", Some("ends with .local")),
    ] {
        let told = unpermitted("pi", name);
        assert_eq!(told.is_some(), words.is_some(), "{name}");
        let told = told.unwrap_or_default();
        assert!(told.contains(words.unwrap_or_default()), "{told}");
        assert!(!told.contains("move the folder"), "{told}");
    }
    // It helps, and what a public authority gave stays.
    let data = tempfile::tempdir().unwrap();
    let wanted = names(&["new", "localhost"]);
    let before = LocalAuthority::open_or_create_for(data.path(), "old").unwrap();
    assert!(!before.permits(&wanted[0]));
    let public = data.path().join("tls/public");
    fs::create_dir(&public).unwrap();
    for file in AUTHORITY_FILES.split(" and ") {
        fs::remove_file(data.path().join("tls").join(file)).unwrap();
    }
    let after = LocalAuthority::open_or_create_for(data.path(), "new").unwrap();
    assert!(after.permits(&wanted[0]) && public.exists());
}
