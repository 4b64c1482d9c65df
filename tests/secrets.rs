//! `webstead secret`: what is no secret is refused before it is kept.

use std::{fs, process::Output};

use crate::{
    backup::{run, text},
    site::Site,
    stores::fed,
};

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
        fed(site.data(), &[&["secret"], arguments].concat(), typed)
    };
    let long = "a".repeat(20_000);
    let kept = || fs::read_to_string(site.data().join("secrets/dns")).unwrap();
    let first = set(SERVER, &["set", "dns"], "c2VjcmV0\n");
    assert!(first.status.success(), "{first:?}");
    for (dns, arguments, typed, words) in [
        (SERVER, &["set", "dns"][..], "secret\n", "it is not base64"),
        (GANDI, &["set", "dns"], "", "is empty"),
        (GANDI, &["set", "dns"], "\n", "is empty"),
        (GANDI, &["set", "dns"], "abc\ndef\n", "more than one line"),
        (GANDI, &["set", &long], "x\n", "no use for a secret"),
        (
            GANDI,
            &["set", "dns"],
            &long,
            "and this one for dns has 20000",
        ),
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
            !output.status.success() && said.contains(words) && said.len() < 1000,
            "{arguments:?} {typed:?}: {said}"
        );
        assert_eq!(kept(), "c2VjcmV0", "{arguments:?} {typed:?}");
    }
    let done = set(OVH, &["set", "dns"], " a  b\tc\n");
    assert!(done.status.success(), "{done:?}");
    assert_eq!(kept(), "a b c");
    // What is in the place of their folder is not taken for no secrets.
    fs::remove_dir_all(site.data().join("secrets")).unwrap();
    let none = set(OVH, &["list"], "");
    assert!(none.status.success() && none.stdout.is_empty(), "{none:?}");
    assert!(String::from_utf8_lossy(&none.stderr).contains("no secret yet"));
    fs::write(site.data().join("secrets"), "x").unwrap();
    let list = set(OVH, &["list"], "");
    let said = String::from_utf8_lossy(&list.stderr);
    assert!(!list.status.success() && said.contains("secrets"), "{said}");
}

#[test]
fn commands_about_the_way_to_the_site_say_what_is_wrong_and_fail() {
    let mut site = Site::start();
    site.stop();
    let follow = "follow = [\"a.net\"]";
    for (settings, file, arguments, words) in [
        ("", None, &["dns", "update"][..], "No name follows"),
        (
            "[dns]\nprovider = \"gandi\"\nzone = \"a.net\"\nfollow = true\n",
            None,
            &["dns"],
            "no name of the site is in zone = \"a.net\"",
        ),
        (
            &format!("[dns]\n{GANDI}\n{follow}\n"),
            None,
            &["dns"],
            "a.net  not asked yet",
        ),
        (
            &format!("[dns]\n{GANDI}\n{follow}\n"),
            None,
            &["dns", "update"],
            "does not run",
        ),
        (
            "",
            Some("router.json"),
            &["router", "close"],
            "nobody knows what the router was asked for",
        ),
        (
            "",
            None,
            &["dns", "--config", "/no\u{1b}[2J"],
            "No such file",
        ),
        (
            "[certificate]\nagree_to_terms = true\nauthority = \"https://127.0.0.1:1/dir\"\n",
            None,
            &["certificate", "new-account-key"],
            "look whether this machine reaches the internet",
        ),
    ] {
        fs::write(site.data().join("webstead.toml"), settings).unwrap();
        if let Some(file) = file {
            fs::write(site.data().join(file), "garbage\u{1b}").unwrap();
        }
        let output = run(site.data(), arguments);
        let said = text(&output);
        assert!(!output.status.success(), "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
        assert!(!said.contains('\u{1b}'), "{arguments:?}: {said}");
    }
}
