//! `webstead secret`: what is no secret is refused before it is kept.

use std::{
    fs,
    io::Write as _,
    process::{Output, Stdio},
};

use crate::site::{Site, command};

const SERVER: &str =
    "provider = \"rfc2136\"\nserver = \"192.0.2.1\"\nzone = \"a.net\"\nkey = \"home_key\"";
const GANDI: &str = "provider = \"gandi\"\nzone = \"a.net\"";
const OVH: &str = "provider = \"ovh\"\nzone = \"a.net\"";

#[test]
fn what_cannot_be_a_secret_is_refused_and_the_one_before_stays() {
    let mut site = Site::start();
    site.stop();
    let set = |dns: &str, arguments: &[&str], typed: &str| -> Output {
        fs::write(site.data().join("webstead.toml"), format!("[dns]\n{dns}\n")).unwrap();
        let mut child = command(site.data())
            .arg("secret")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Who is refused before it reads does not take it.
        let _ = child.stdin.take().unwrap().write_all(typed.as_bytes());
        child.wait_with_output().unwrap()
    };
    let kept = || fs::read_to_string(site.data().join("secrets/dns")).unwrap();
    let first = set(SERVER, &["set", "dns"], "c2VjcmV0\n");
    assert!(first.status.success(), "{first:?}");
    for (dns, arguments, typed, words) in [
        (SERVER, &["set", "dns"][..], "secret\n", "it is not base64"),
        (GANDI, &["set", "dns"], "", "is empty"),
        (GANDI, &["set", "dns"], "\n", "is empty"),
        (GANDI, &["set", "dns"], "abc\ndef\n", "more than one line"),
        (GANDI, &["set", "dns"], "a\u{1b}b\n", "cannot be seen"),
        (GANDI, &["set", "dns"], "a b\n", "a space in it"),
        (OVH, &["set", "dns"], "a b\n", "3 parts and not 2"),
        (GANDI, &["set", "s3"], "a\0b\n", "cannot be seen"),
        (GANDI, &["set", "external-account"], " \n", "is empty"),
        (GANDI, &["set", "sftp"], "x\n", "say for which machine"),
        (
            GANDI,
            &["set", "sftp", "--for", "nowhere"],
            "x\n",
            "sftp://",
        ),
        (
            GANDI,
            &["set", "dns", "--for", "sftp://a@b.example/c"],
            "x\n",
            "--for",
        ),
        (GANDI, &["set", "../dns"], "x\n", "no use for a secret"),
        (GANDI, &["remove", "../dns"], "", "no name of a secret"),
        (GANDI, &["remove", "s3"], "", "there is no secret named"),
    ] {
        let output = set(dns, arguments, typed);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && said.contains(words),
            "{arguments:?} {typed:?}: {said}"
        );
        assert_eq!(kept(), "c2VjcmV0", "{arguments:?} {typed:?}");
    }
    let done = set(OVH, &["set", "dns"], " a  b\tc\n");
    assert!(done.status.success(), "{done:?}");
    assert_eq!(kept(), "a b c");
}
