//! TLS as testssl.sh sees it: <https://testssl.sh>.

use std::process::{Command, Stdio};

use crate::{site::Site, tools::is_there};

#[test]
fn testssl_finds_modern_protocols_and_no_known_weakness() {
    let version = Command::new("testssl")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !is_there("testssl.sh", version.is_ok()) {
        return;
    }
    let site = Site::start();
    let address = site.base.strip_prefix("https://").unwrap();
    let judged = |what: [&str; 2]| {
        let output = Command::new("testssl")
            .args(["--quiet", "--color", "0", "--warnings", "batch"])
            .args(what)
            .arg(address)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let text = judged(["-p", "-f"]) + &judged(["-S", "-U"]);
    let said = |name: &str| -> String {
        let line = text
            .lines()
            .find(|line| line.trim_start().starts_with(name));
        let line = line.unwrap_or_else(|| panic!("{name} is not in {text}"));
        line.trim_start()[name.len()..].trim().to_owned()
    };
    for (name, expected) in [
        ("SSLv2 ", "not offered"),
        ("SSLv3 ", "not offered"),
        ("TLS 1 ", "not offered"),
        ("TLS 1.1 ", "not offered"),
        ("TLS 1.2 ", "offered (OK)"),
        ("TLS 1.3 ", "offered (OK)"),
        ("ALPN/HTTP2", "h2, http/1.1"),
        ("PFS is offered", "(OK)"),
        ("Secure Renegotiation (RFC 5746)", "supported (OK)"),
    ] {
        assert!(said(name).starts_with(expected), "{name}: {}", said(name));
    }
    // What is compressed is public and the same for all, so nothing secret is beside what an attacker
    // chooses (BREACH); testssl cannot know that.
    let weak: Vec<_> = text
        .lines()
        .filter(|line| line.contains("VULNERABLE") && !line.contains("BREACH"))
        .collect();
    assert!(weak.is_empty(), "{weak:?}");
}
