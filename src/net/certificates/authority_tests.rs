//! Tests of the local authority: its files, and what it may and may not speak for.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    process::Command,
    slice,
};

use super::*;
use crate::net::names::Name;

fn name(text: &str) -> Name {
    Name::try_from(text.to_owned()).unwrap()
}

fn authority_of(host: &str) -> (tempfile::TempDir, LocalAuthority) {
    let data = tempfile::tempdir().unwrap();
    let authority = LocalAuthority::open_or_create_for(data.path(), host).unwrap();
    (data, authority)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

#[test]
fn the_key_is_for_the_owner_only_and_survives_a_reopening() {
    let (data, first) = authority_of("pi");
    let folder = data.path().join("tls");
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&folder.join("authority-key.pem")), 0o600);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|f| f.unwrap().file_name())
        .collect();
    files.sort();
    assert_eq!(
        files,
        ["authority-cert.pem", "authority-key.pem"],
        "nothing temporary is left"
    );

    let again = LocalAuthority::open_or_create_for(data.path(), "renamed").unwrap();
    assert_eq!(again.pem(), first.pem());
    assert_eq!(
        again.issuer.key().serialize_der(),
        first.issuer.key().serialize_der()
    );
}

#[test]
fn a_key_that_others_can_read_is_closed_to_them() {
    let (data, _) = authority_of("pi");
    let key = data.path().join("tls/authority-key.pem");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    LocalAuthority::open_or_create_for(data.path(), "pi").unwrap();
    assert_eq!(mode(&key), 0o600);
}

#[test]
fn a_start_that_was_cut_off_is_finished_with_the_same_key() {
    let (data, first) = authority_of("pi");
    fs::remove_file(data.path().join("tls/authority-cert.pem")).unwrap();
    fs::write(
        data.path().join("tls/authority-cert.pem.new"),
        "half of a certif",
    )
    .unwrap();
    let again = LocalAuthority::open_or_create_for(data.path(), "pi").unwrap();
    assert_eq!(
        again.issuer.key().serialize_der(),
        first.issuer.key().serialize_der()
    );
}

#[test]
fn damaged_files_are_named_left_alone_and_the_remedy_told() {
    let (_other_data, other) = authority_of("pi");
    let other_key = other.issuer.key().serialize_pem();
    for (file, content) in [
        ("authority-key.pem", Some("")),
        (
            "authority-key.pem",
            Some("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
        ),
        ("authority-key.pem", Some(other_key.as_str())),
        ("authority-key.pem", None),
        ("authority-cert.pem", Some("\u{0}\u{1}binary")),
        (
            "authority-cert.pem",
            Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        ),
    ] {
        let (data, _) = authority_of("pi");
        let path = data.path().join("tls").join(file);
        match content {
            Some(content) => fs::write(&path, content).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let message = match LocalAuthority::open_or_create_for(data.path(), "pi") {
            Ok(_) => panic!("{file} with {content:?} was taken"),
            Err(e) => e.to_string(),
        };
        assert!(message.contains(&path.display().to_string()), "{message}");
        assert!(message.contains(AUTHORITY_FILES), "{message}");
        assert_eq!(
            fs::read_to_string(&path).ok().as_deref(),
            content,
            "it was changed"
        );
    }
}

/// What an authority of the machine `dev` may and may not speak for.
const PERMITTED: [&str; 14] = [
    "localhost",
    "dev",
    "dev.local",
    "printer.local",
    "127.0.0.1",
    "127.255.0.9",
    "10.1.2.3",
    "172.31.255.255",
    "192.168.1.20",
    "169.254.9.9",
    "100.127.0.1",
    "::1",
    "fe80::1",
    "fd12:3456::1",
];
const REFUSED: [&str; 12] = [
    "example.com",
    "com",
    "locals",
    "evillocalhost",
    "mydev",
    "example.dev",
    "a.b.dev",
    "8.8.8.8",
    "172.32.0.1",
    "100.128.0.1",
    "2001:db8::1",
    "::2",
];

#[test]
fn the_authority_speaks_for_this_machine_and_private_addresses_only() {
    let (_data, authority) = authority_of("dev");
    for (names, expected) in [(&PERMITTED[..], true), (&REFUSED[..], false)] {
        for text in names {
            assert_eq!(authority.permits(&name(text)), expected, "{text}");
        }
    }
}

#[test]
fn one_refused_name_spoils_a_certificate_and_so_is_left_out() {
    let (_data, authority) = authority_of("pi");
    let names = [name("localhost"), name("8.8.8.8"), name("old-name")];
    let spoiled = leaf::sign(&authority, &names, clock::now(), authority.issuer.key()).unwrap();
    assert!(
        authority
            .verify(spoiled.der(), &names[0], clock::now())
            .is_err()
    );

    let key = authority.certificate_for(&names).unwrap();
    authority
        .verify(&key.cert[0], &names[0], clock::now())
        .unwrap();
    assert!(
        authority
            .verify(&key.cert[0], &names[1], clock::now())
            .is_err()
    );

    let message = authority
        .certificate_for(&names[1..])
        .unwrap_err()
        .to_string();
    assert!(message.contains("may not speak for any"), "{message}");
}

#[test]
fn a_strange_host_name_does_not_keep_the_authority_from_working() {
    let long = "a".repeat(200);
    for host in [
        "",
        "mein rechner",
        "größe",
        "local",
        "localhost",
        "x.local",
        "1",
        "-",
        "a_b",
        "box.example.org",
        &long,
    ] {
        let (_data, authority) = authority_of(host);
        for text in ["localhost", "x.local", "192.168.1.20"] {
            assert!(authority.permits(&name(text)), "{text} on {host:?}");
        }
        assert!(!authority.permits(&name("example.org")), "{host:?}");
    }
    let (_data, authority) = authority_of("box.example.org");
    assert!(authority.permits(&name("box.example.org")));
    assert!(!authority.permits(&name("a.box.example.org")));
}

#[test]
fn the_authority_is_valid_for_ten_years() {
    let (_data, authority) = authority_of("pi");
    let year = clock::DAY * 365;
    assert!(authority.is_valid_at(clock::now() + year * 9));
    assert!(!authority.is_valid_at(clock::now() + year * 11));
}

#[test]
fn what_a_new_authority_would_permit_is_what_it_permits_once_it_is_there() {
    for host in ["pi", "box.example.org", "x.local", "localhost"] {
        let (_data, authority) = authority_of(host);
        for text in [
            "pi",
            "a.pi",
            "localhost",
            "x.local",
            "local.example",
            "nas.lan",
        ] {
            let is_permitted = authority.permits(&name(text));
            let would = constraints::would_permit(host, text);
            assert_eq!(would, is_permitted, "{text} on {host:?}");
        }
    }
}

/// OpenSSL is another implementation of the same rules, and stricter in places.
#[test]
fn openssl_agrees_on_what_the_authority_may_speak_for() {
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("SKIPPED: there is no openssl program here to ask");
        return;
    }
    let (data, authority) = authority_of("dev");
    let ca = data.path().join("tls/authority-cert.pem");
    let file = data.path().join("leaf.pem");
    for (names, expected) in [(&PERMITTED[..], true), (&REFUSED[..], false)] {
        for text in names {
            let name = name(text);
            let certificate = leaf::sign(
                &authority,
                slice::from_ref(&name),
                clock::now(),
                authority.issuer.key(),
            )
            .unwrap();
            fs::write(&file, certificate.pem()).unwrap();
            let option = if matches!(name, Name::IpAddress(_)) {
                "-verify_ip"
            } else {
                "-verify_hostname"
            };
            let output = Command::new("openssl")
                .args([
                    "verify",
                    "-x509_strict",
                    "-purpose",
                    "sslserver",
                    option,
                    text,
                    "-CAfile",
                ])
                .args([&ca, &file])
                .output()
                .unwrap();
            assert_eq!(
                output.status.success(),
                expected,
                "{text}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
}

#[test]
fn a_bit_that_flips_anywhere_in_the_certificate_of_the_authority_is_noticed() {
    let (data, authority) = authority_of("pi");
    let file = data.path().join("tls/authority-cert.pem");
    LocalAuthority::check(data.path()).unwrap();
    let whole = authority.certificate.to_vec();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        let text = data_encoding::BASE64.encode(&bytes);
        let pem = format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
        fs::write(&file, pem).unwrap();
        let checked = LocalAuthority::check(data.path());
        assert!(checked.is_err(), "byte {at} of {}", whole.len());
    }
}
