//! Tests of what a certificate of somebody else says, and of what is refused.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};

use super::Chain;
use crate::base::Timestamp;

/// 2026-06-01.
const NOW: Timestamp = Timestamp(1_780_272_000);

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2036, 1, 1);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate of a year and its key.
fn signed_by(issuer: &CertifiedIssuer<'static, KeyPair>, names: &[&str]) -> (String, String) {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = params.not_before + Duration::from_hours(365 * 24);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    (certificate.pem(), key.serialize_pem())
}

#[test]
fn a_certificate_is_for_its_names_and_for_what_its_wildcard_covers() {
    let issuer = authority("Somebody");
    let (pem, key) = signed_by(&issuer, &["example.org", "*.example.org", "203.0.113.7"]);
    let chain = Chain::parse(&pem, &key).unwrap();
    assert_eq!(chain.issuer(), "Somebody");
    for (name, expected) in [
        ("example.org", true),
        ("blog.example.org", true),
        ("a.blog.example.org", false),
        ("example.com", false),
        ("203.0.113.7", true),
        ("1.0.113.7", false),
        ("org", false),
        ("", false),
    ] {
        assert_eq!(chain.covers(name), expected, "{name}");
    }
}

#[test]
fn only_what_is_whole_now_for_the_name_and_signed_by_its_own_chain_passes() {
    let (right, wrong) = (authority("A"), authority("B"));
    let (pem, key) = signed_by(&right, &["example.org"]);
    let names = ["example.org".to_owned()];
    let with = |other: &str| Chain::parse(&format!("{pem}{other}"), &key).unwrap();
    with("").check(&names, NOW).unwrap();
    with(&right.pem()).check(&names, NOW).unwrap();
    let message = |result: crate::base::Result<()>| result.expect_err("it was taken").to_string();
    let year = 365 * 24 * 3600;
    for (got, word) in [
        (with(&wrong.pem()).check(&names, NOW), "does not fit"),
        (
            with("").check(&["example.com".into()], NOW),
            "not for example.com",
        ),
        (
            with("").check(&names, Timestamp(NOW.0 + year)),
            "ended at 2027",
        ),
        (with("").check(&names, Timestamp(NOW.0 - year)), "not yet"),
    ] {
        let text = message(got);
        assert!(text.contains(word), "{text}");
    }
}

#[test]
fn files_that_do_not_belong_together_are_refused_in_words() {
    let issuer = authority("A");
    let (pem, key) = signed_by(&issuer, &["a.example"]);
    let (_, other_key) = signed_by(&issuer, &["b.example"]);
    let cut = &pem[..pem.len() / 2];
    for (certificate, key, word) in [
        (pem.as_str(), other_key.as_str(), "not the one"),
        (&pem, "", "no private key"),
        (&pem, &pem, "no private key"),
        ("", &key, "no certificate"),
        (&key, &key, "no certificate"),
        (cut, &key, "PEM"),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            &key,
            "damaged",
        ),
    ] {
        let text = Chain::parse(certificate, key).expect_err(word).to_string();
        assert!(text.contains(word), "{word}: {text}");
    }
}
