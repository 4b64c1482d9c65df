//! The life of a certificate at high speed: the clock of the site is turned on, the authority's is not.

use std::{
    io::{Read as _, Write as _},
    process::Command,
    time::Duration,
};

use data_encoding::BASE64URL_NOPAD;
use tempfile::TempDir;

use crate::{
    acme2certifier::Acme2Certifier,
    ari::{Ari, Replacing},
    bind::Bind,
    certificates::{await_certificate, certificate, set, shown, shown_at, shown_to},
    faketime::Clock,
    pebble::{Options, Pebble},
    persist::told,
    site::Site,
    tools::is_there,
    waiting::until,
};

#[test]
fn a_certificate_lives_from_a_clock_in_1970_over_advice_and_weeks_without_an_authority_to_another_name()
 {
    let dir = TempDir::new().unwrap();
    let Some(clock) = Clock::saying("-20700d") else {
        return;
    };
    let mut site = Site::start_with(&dir.path().join("data"), &clock.environment());
    // Every order counts here, also one that is made again because a nonce was refused once too often.
    let options = Options {
        refused_nonces: 0,
        ..Options::default()
    };
    let Some(mut pebble) = Pebble::start(&site, options) else {
        return;
    };
    let ari = Ari::start(&pebble);
    let settings = ari.settings(&pebble);
    set(&site, &format!("domain = \"site.test\"\n{settings}"));
    until(&site, "the owner is told of the clock", || {
        site.log().contains("the clock of this machine says 1970-")
    });
    assert!(shown(&site, "site.test", &pebble.root()).is_err());
    assert!(
        ari.said(|said| said.orders.is_empty()),
        "nobody is asked before"
    );
    clock.set("+0d");
    let first = await_certificate(&site, &pebble, "site.test");
    until(&site, "advice", || ari.said(|said| said.asked.len() == 1));

    // The authority has something against it, and says so when it is asked the next time.
    ari.said(|said| said.early = 1);
    clock.set("+7h");
    until(&site, "replaced early", || {
        shown(&site, "site.test", &pebble.root()).is_ok_and(|other| other != first)
    });
    let second = shown(&site, "site.test", &pebble.root()).unwrap();
    let (asked, orders) = ari.said(|said| (said.asked.clone(), said.orders.clone()));
    assert_eq!(orders, [[None, None], [Some(asked[0].clone()), None]]);
    until(&site, "advice", || ari.said(|said| said.asked.len() == 2));

    // It is away from before the time of the renewal until three weeks later.
    let root = pebble.root();
    pebble.stop();
    for day in [62, 63, 70, 82] {
        let failed = site.log().matches("no certificate for site.test").count();
        clock.set(&format!("+{day}d"));
        until(&site, "tried again", || {
            site.log().matches("no certificate for site.test").count() > failed
        });
        assert_eq!(shown(&site, "site.test", &root).unwrap(), second);
    }
    pebble.start_again();
    ari.said(|said| said.ahead_h = 83 * 24);
    // It does not know the account any more, which is no reason to wait for another time.
    clock.set("+83d");
    await_certificate(&site, &pebble, "site.test");
    // The authority lives in another time: what it signs today would be due again at once.
    ari.said(|said| said.ahead_h = 0);
    clock.set("+0d");
    std::thread::sleep(Duration::from_secs(7));
    let third = shown(&site, "site.test", &pebble.root()).unwrap();

    // Another name has its own, and whoever is there does not notice.
    let mut standing = site.connect("localhost");
    standing.write_all(b"GET /healthz HTTP/1.1\r\n").unwrap();
    set(
        &site,
        &format!("domain = \"site.test\"\nalso = [\"more.test\"]\n{settings}"),
    );
    let more = await_certificate(&site, &pebble, "more.test");
    assert_ne!(more, third);
    assert_eq!(shown(&site, "site.test", &pebble.root()).unwrap(), third);
    let rest = b"Host: localhost\r\nConnection: close\r\n\r\n";
    standing.write_all(rest).unwrap();
    let mut answer = String::new();
    let _ = standing.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    // It starts without a clock: what works stays, and nobody is asked for anything.
    let orders = ari.said(|said| said.orders.len());
    assert!(site.stop().success());
    clock.set("-20700d");
    let site = Site::start_with(site.data(), &clock.environment());
    assert_eq!(shown(&site, "site.test", &pebble.root()).unwrap(), third);
    std::thread::sleep(Duration::from_secs(7));
    clock.set("+0d");
    std::thread::sleep(Duration::from_secs(7));
    assert_eq!(shown(&site, "more.test", &pebble.root()).unwrap(), more);
    assert_eq!(ari.said(|said| said.orders.len()), orders);
}

#[test]
fn an_authority_that_does_not_take_a_replacement_is_asked_for_a_new_certificate() {
    let site = Site::start();
    let options = Options {
        validity_s: 6 * 24 * 3600,
        // Every order counts here.
        refused_nonces: 0,
        ..Options::default()
    };
    let Some(pebble) = Pebble::start(&site, options) else {
        return;
    };
    let (ari, other) = (Ari::start(&pebble), Ari::start(&pebble));
    let settings = |ari: &Ari| {
        let settings = ari.settings(&pebble);
        format!("domain = \"site.test\"\n{settings}profile = \"shortlived\"\n")
    };
    set(&site, &settings(&ari));
    let mut last = await_certificate(&site, &pebble, "site.test");
    let id = |der: &[u8]| {
        let (_, parsed) = x509_parser::parse_x509_certificate(der).unwrap();
        BASE64URL_NOPAD.encode(parsed.tbs_certificate.raw_serial())
    };
    let mut expected = 1;
    for (replacing, more) in [
        (Replacing::Taken, 1),
        (Replacing::Refused("alreadyReplaced"), 1),
        (Replacing::Refused("malformed"), 1),
        (Replacing::Refused("unauthorized"), 1),
        // It was taken, but not as what it was meant to be.
        (Replacing::Ignored, 2),
    ] {
        ari.said(|said| said.replacing = replacing);
        let renewed = certificate(&site, &["renew", "site.test"]);
        assert!(renewed.status.success(), "{replacing:?}: {renewed:?}");
        // It is on the disk, and about to be shown.
        until(&site, "another one", || {
            shown(&site, "site.test", &pebble.root()).is_ok_and(|now| now != last)
        });
        let now = shown(&site, "site.test", &pebble.root()).unwrap();
        expected += more;
        let orders = ari.said(|said| said.orders.clone());
        assert_eq!(orders.len(), expected, "{replacing:?}");
        assert!(
            orders
                .iter()
                .all(|[_, profile]| profile.as_deref() == Some("shortlived"))
        );
        if replacing == Replacing::Taken {
            let [replaced, _] = orders.last().unwrap();
            let serial = replaced.as_ref().and_then(|id| id.split('.').nth(1));
            assert_eq!(serial, Some(id(&last).as_str()));
        }
        last = now;
    }
    assert_eq!(ari.said(|said| said.refused), 3);
    // Another authority knows nothing of that one's.
    set(&site, &settings(&other));
    let renewed = certificate(&site, &["renew", "site.test"]);
    assert!(renewed.status.success(), "{renewed:?}");
    let orders = other.said(|said| said.orders.clone());
    assert_eq!(orders, [[None, Some("shortlived".to_owned())]]);
}

#[test]
fn an_address_of_each_kind_gets_a_certificate_and_visitors_see_that_of_the_one_they_came_to() {
    let has_v6 = std::net::TcpListener::bind("[::1]:0").is_ok();
    if !is_there("IPv6 (of loopback)", has_v6) {
        return;
    }
    for (challenge, key, bits) in [("http-01", "rsa", 2048), ("tls-alpn-01", "ecdsa", 256)] {
        let site = Site::on_all_addresses();
        let Some(pebble) = Pebble::start(&site, Options::default()) else {
            return;
        };
        set(
            &site,
            &format!(
                "{}challenge = \"{challenge}\"\nkey = \"{key}\"\nnames = [\"127.0.0.1\", \"[::1]\"]\n",
                pebble.settings()
            ),
        );
        let root = pebble.root();
        let seen = |at: &str| shown_at(&site, at, at, &root);
        until(&site, "both", || {
            seen("127.0.0.1").is_ok() && seen("::1").is_ok()
        });
        let (v4, v6) = (seen("127.0.0.1").unwrap(), seen("::1").unwrap());
        assert_ne!(v4, v6, "each has its own");
        assert!(shown_at(&site, "::1", "127.0.0.1", &root).is_err());
        let (_, parsed) = x509_parser::parse_x509_certificate(&v6).unwrap();
        assert_eq!(parsed.public_key().parsed().unwrap().key_size(), bits);
        let renewed = certificate(&site, &["renew", "[::1]"]);
        assert!(renewed.status.success(), "{renewed:?}");
        until(&site, "another one", || {
            seen("::1").is_ok_and(|now| now != v6)
        });
        assert_eq!(seen("127.0.0.1").unwrap(), v4);
    }
}

#[test]
fn a_certificate_of_six_days_is_renewed_again_and_again_when_its_authority_advises() {
    let Some(clock) = Clock::saying("+0d") else {
        return;
    };
    let Some(bind) = Bind::start() else { return };
    // It lives in the site's time, so that what it signs later holds later.
    let Some(authority) = Acme2Certifier::start_with(bind.port, 6, &clock.environment()) else {
        return;
    };
    let dir = TempDir::new().unwrap();
    let site = Site::start_with(&dir.path().join("data"), &clock.environment());
    let settings = format!(
        "{}challenge = \"dns-persist-01\"\nprofile = \"shortlived\"\n[dns]\ncheck_at = [\"127.0.0.1:{}\"]\n",
        authority.settings(),
        bind.port
    );
    set(&site, &settings);
    let [at, text] = told(&site, "six.dyn.test");
    bind.update(&format!("update add {at} 60 TXT \"{text}\""));
    set(&site, &format!("domain = \"six.dyn.test\"\n{settings}"));
    let root = authority.root();
    // As a visitor sees it who lives in the same time: until when it holds is judged too.
    let seen = |hours: u64| {
        let ahead = Duration::from_hours(hours);
        shown_to(&site, "127.0.0.1", "six.dyn.test", &root, ahead)
    };
    until(&site, "the first", || seen(0).is_ok());
    let mut last = seen(0).unwrap();
    let (_, parsed) = x509_parser::parse_x509_certificate(&last).unwrap();
    let life = parsed.validity().not_after.timestamp() - parsed.validity().not_before.timestamp();
    assert_eq!(life, 6 * 24 * 3600);
    // The advice is to renew when 85 % are over: after 122 hours.
    for (hours, is_due) in [
        (48, false),
        (110, false),
        (135, true),
        (180, false),
        (270, true),
        (400, true),
    ] {
        clock.set(&format!("+{hours}h"));
        if is_due {
            until(&site, "renewed", || {
                seen(hours).is_ok_and(|now| now != last)
            });
        } else {
            std::thread::sleep(Duration::from_secs(7));
        }
        let now = seen(hours).unwrap();
        assert_eq!(now != last, is_due, "{hours}: {}", site.log());
        last = now;
    }
    assert_eq!(authority.issued(), 4);
    assert!(
        authority.log().contains("/acme/renewal-info/"),
        "it was asked for its advice"
    );
    assert!(!site.log().contains("no certificate for"), "{}", site.log());
}

#[test]
fn an_address_gets_a_certificate_by_either_proof_and_with_the_owners_own_key() {
    for (challenge, kind) in [("http-01", "RSA"), ("tls-alpn-01", "EC")] {
        let site = Site::start();
        let Some(pebble) = Pebble::start(&site, Options::default()) else {
            return;
        };
        let key = site.data().join("own.pem");
        let how = match kind {
            "RSA" => "rsa_keygen_bits:2048",
            _ => "ec_paramgen_curve:P-384",
        };
        let make = [
            "genpkey",
            "-quiet",
            "-algorithm",
            kind,
            "-pkeyopt",
            how,
            "-out",
        ];
        let output = Command::new("openssl")
            .args(make)
            .arg(&key)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        set(
            &site,
            &format!(
                "domain = \"site.test\"\n{}challenge = \"{challenge}\"\nkey_file = \"own.pem\"\n\
                 names = [\"127.0.0.1\"]\n",
                pebble.settings()
            ),
        );
        let name = await_certificate(&site, &pebble, "site.test");
        let address = await_certificate(&site, &pebble, "127.0.0.1");
        assert_ne!(name, address, "each has its own");
        let key_of = |der: &[u8]| {
            let (_, parsed) = x509_parser::parse_x509_certificate(der).unwrap();
            let key = parsed.public_key().raw.to_vec();
            let bits = parsed.public_key().parsed().unwrap().key_size();
            (key, bits)
        };
        let (before, bits) = key_of(&name);
        assert_eq!(bits, if kind == "RSA" { 2048 } else { 384 });
        assert_eq!(key_of(&address).0, before);
        let renewed = certificate(&site, &["renew", "site.test"]);
        assert!(renewed.status.success(), "{renewed:?}");
        until(&site, "another one", || {
            shown(&site, "site.test", &pebble.root()).is_ok_and(|now| now != name)
        });
        let after = shown(&site, "site.test", &pebble.root()).unwrap();
        assert_eq!(key_of(&after).0, before, "the key stays");
    }
}
