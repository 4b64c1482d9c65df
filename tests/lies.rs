//! An authority that does what it must not: what it sends is no certificate, or not the one that was asked for.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, IsCa,
    KeyPair, SanType,
};
use time::{Duration, OffsetDateTime};

use crate::{
    ari::{Ari, Lie},
    certificates::{await_certificate, certificate, set, shown},
    pebble::{Options, Pebble},
    site::Site,
    waiting::until,
};

/// An authority of the tests' own, which signs whatever it likes.
fn issuer() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for `name` and these days from today, for the key of a request; with who signed it.
fn signed(csr: &[u8], name: &str, (from, until): (i64, i64)) -> [String; 2] {
    let issuer = issuer();
    let mut request = CertificateSigningRequestParams::from_der(&csr.to_vec().into()).unwrap();
    request.params.subject_alt_names = vec![SanType::DnsName(name.try_into().unwrap())];
    let today = OffsetDateTime::now_utc();
    request.params.not_before = today + Duration::days(from);
    request.params.not_after = today + Duration::days(until);
    let certificate = request.signed_by(&issuer).unwrap();
    [certificate.pem(), issuer.pem()]
}

fn lie(make: impl Fn(&[u8]) -> String + Send + Sync + 'static) -> Lie {
    Arc::new(make)
}

#[test]
fn what_an_authority_sends_that_is_no_good_never_takes_the_place_of_what_works() {
    let site = Site::start();
    let Some(pebble) = Pebble::start(&site, Options::default()) else {
        return;
    };
    let ari = Ari::start(&pebble);
    set(
        &site,
        &format!("domain = \"site.test\"\n{}", ari.settings(&pebble)),
    );
    let first = await_certificate(&site, &pebble, "site.test");
    let (name, dates) = ("site.test", (-1, 90));
    for (words, lie) in [
        (
            "is for other.test, not for site.test",
            lie(move |csr| signed(csr, "other.test", dates).concat()),
        ),
        (
            "not the one of the certificate",
            lie(move |_| {
                let key = KeyPair::generate().unwrap();
                let request = CertificateParams::new([name.to_owned()]).unwrap();
                let request = request.serialize_request(&key).unwrap();
                signed(request.der(), name, dates).concat()
            }),
        ),
        (
            "the certificate ended at",
            lie(move |csr| signed(csr, name, (-90, -1)).concat()),
        ),
        (
            "that is not yet",
            lie(move |csr| signed(csr, name, (3, 90)).concat()),
        ),
        (
            "does not fit those with it",
            lie(move |csr| {
                let [leaf, _] = signed(csr, name, dates);
                format!("{leaf}{}", issuer().pem())
            }),
        ),
        (
            "the certificate is not PEM",
            lie(|_| "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n".into()),
        ),
        (
            "the certificate is damaged",
            lie(|_| "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".into()),
        ),
        (
            "there is no certificate in it",
            lie(|_| "<html>Welcome</html>".into()),
        ),
    ] {
        ari.said(|said| said.lie = Some(lie));
        let renewed = certificate(&site, &["renew", name]);
        let said = [renewed.stdout, renewed.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        assert!(!renewed.status.success(), "{words}: {said}");
        let is_told = said.contains("a certificate that is not used") && said.contains(words);
        assert!(is_told, "{words}: {said}");
        let now = shown(&site, name, &pebble.root());
        assert_eq!(now.as_ref(), Ok(&first), "{words}");
    }
    ari.said(|said| said.lie = None);
    let renewed = certificate(&site, &["renew", name]);
    assert!(renewed.status.success(), "{renewed:?}");
    until(&site, "another one", || {
        shown(&site, name, &pebble.root()).is_ok_and(|now| now != first)
    });
    let second = shown(&site, name, &pebble.root()).unwrap();
    let site = site.restart();
    assert_eq!(shown(&site, name, &pebble.root()), Ok(second));
}
