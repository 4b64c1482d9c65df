//! `/trust`: the page by which a computer or a telephone learns to believe the machine's own authority.

use std::io::{Read as _, Write as _};

use data_encoding::BASE64;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};

use crate::{
    site::{Site, between, command},
    tools::html_errors,
};

/// The whole answer to a request over plain HTTP.
fn plain(site: &Site, head: &str) -> (String, Vec<u8>) {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", site.http_port)).unwrap();
    let request = format!("{head}\r\nHost: pi.local:8080\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer
        .windows(4)
        .position(|bytes| bytes == b"\r\n\r\n")
        .unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    (head, answer[end + 4..].to_vec())
}

#[test]
fn the_authority_is_explained_and_given_over_plain_http_and_nothing_else_is() {
    let site = Site::start();
    let (head, page) = plain(&site, "GET /trust HTTP/1.1");
    let html = String::from_utf8(page).unwrap();
    assert!(
        head.starts_with("HTTP/1.1 200") && head.contains("style-src 'sha256-"),
        "{head}"
    );
    // It listens on the loopback alone, so there is nothing to point a telephone at.
    assert!(
        html.contains("No telephone finds this page") && !html.contains("<svg"),
        "{html}"
    );
    let file = site.data().join("trust.html");
    std::fs::write(&file, &html).unwrap();
    if let Some(errors) = html_errors(&[file]) {
        assert_eq!(errors, "");
    }
    let pem = std::fs::read(site.data().join("tls/authority-cert.pem")).unwrap();
    let authority = CertificateDer::from_pem_slice(&pem).unwrap();
    let (head, certificate) = plain(&site, "GET /trust/webstead.crt HTTP/1.1");
    assert!(head.contains("application/x-x509-ca-cert"), "{head}");
    assert_eq!(certificate, authority.to_vec());
    let (head, profile) = plain(&site, "GET /trust/webstead.mobileconfig HTTP/1.1");
    assert!(head.contains("application/x-apple-aspen-config"), "{head}");
    let profile = String::from_utf8(profile).unwrap();
    let data = between(&profile, "<data>", "</data>");
    assert_eq!(BASE64.decode(data.as_bytes()).unwrap(), authority.to_vec());
    let mut reader = quick_xml::Reader::from_str(&profile);
    while reader.read_event().expect("it is XML") != quick_xml::events::Event::Eof {}
    // The machine itself says the same numbers.
    let status = command(site.data()).arg("status").output().unwrap();
    let status = String::from_utf8(status.stdout).unwrap();
    let said = between(&status, "to compare with /trust: ", "\n");
    let shown = between(&html, "<p class=\"numbers\"><code>", "</code>").replace("<wbr>", "");
    assert_eq!(said, shown);
    for (head, status) in [
        ("GET / HTTP/1.1", "308"),
        ("GET /trust/other HTTP/1.1", "308"),
        ("POST /trust HTTP/1.1", "308"),
        ("GET /trust/../sign-in HTTP/1.1", "308"),
    ] {
        let (answer, _) = plain(&site, head);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{head}: {answer}"
        );
    }
}

#[test]
fn who_comes_from_the_internet_does_not_see_the_authority() {
    let settings = "[trusted_proxies]\naddresses = [\"127.0.0.1\"]";
    let site = Site::with_settings(settings);
    for (from, status) in [("192.168.1.9", 200), ("8.8.8.8", 404)] {
        let request = site.client().get(site.url("/trust"));
        let answer = request.header("x-forwarded-for", from).send().unwrap();
        assert_eq!(answer.status(), status, "{from}");
    }
}
