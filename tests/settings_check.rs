//! `webstead check`: settings that are fine one by one, and cannot work together.

use std::fs;

use crate::{
    backup::{run, text},
    site::Site,
};

const DNS: &str = "[dns]\nprovider = \"desec\"\nzone = \"example.org\"\n";

/// What `webstead check` says of these settings and this secret for the DNS, and whether that all is well.
fn check(site: &Site, settings: &str, secret: Option<&str>) -> (bool, String) {
    let kept = site.data().join("secrets");
    fs::create_dir_all(&kept).unwrap();
    fs::write(site.data().join("webstead.toml"), settings).unwrap();
    match secret {
        Some(secret) => fs::write(kept.join("dns"), secret).unwrap(),
        None => drop(fs::remove_file(kept.join("dns"))),
    }
    let output = run(site.data(), &["check", "--quick"]);
    (output.status.success(), text(&output))
}

#[test]
fn check_tells_what_keeps_a_name_from_its_certificate() {
    let mut site = Site::start();
    site.stop();
    let dns = DNS;
    let server = "[dns]\nprovider = \"rfc2136\"\nserver = \"192.0.2.1\"\nzone = \"example.org\"\nkey = \"a\"\n";
    let dns_01 = "[certificate]\nchallenge = \"dns-01\"\nagree_to_terms = true\n";
    for (settings, secret, words) in [
        (
            format!("domain = \"example.org\"\n{dns_01}{dns}"),
            None,
            "there is no secret for [dns] (token)",
        ),
        (
            format!("domain = \"example.org\"\n{dns_01}{dns}"),
            Some("a\nb"),
            "an end of a line",
        ),
        (
            format!("domain = \"example.org\"\n{dns_01}{server}"),
            Some("secret"),
            "it is not base64",
        ),
        (
            format!("domain = \"example.org\"\nalso = [\"example.net\"]\n{dns_01}{dns}"),
            Some("abc"),
            "example.net is to be proved through the DNS, and is not in zone",
        ),
        (
            "[certificate]\nnames = [\"foo.local\"]\n".to_owned(),
            None,
            "foo.local is a name of one's own network: no authority",
        ),
        (
            "domain = \"my_pi.example.org\"\n[certificate]\nagree_to_terms = true\n".to_owned(),
            None,
            "my_pi.example.org has a _ in it",
        ),
    ] {
        let (is_well, said) = check(&site, &settings, secret);
        assert!(!is_well && said.contains(words), "{settings}: {said}");
        assert!(!said.contains("All is well"), "{settings}: {said}");
        assert!(!said.contains("settings   fine"), "{settings}: {said}");
        assert_eq!(said.matches("problem: ").count(), 1, "{settings}: {said}");
    }
}

#[test]
fn check_tells_settings_that_are_fine_one_by_one_and_cannot_work_together() {
    let mut site = Site::start();
    site.stop();
    let dns = DNS;
    for (settings, is_wrong, words) in [
        (
            "[listen]\nhttps = 8443\nhttp = \":8443\"\n".to_owned(),
            true,
            "give each its own port",
        ),
        (
            "[listen]\nhttps = 80\n".to_owned(),
            true,
            "give each its own port",
        ),
        (
            format!("domain = \"example.com\"\n{dns}"),
            true,
            "none of the site's names is in it",
        ),
        // dns-persist-01 may prove it, where there is an authority that has that.
        (
            "[certificate]\nnames = [\"*.example.org\"]\n".to_owned(),
            false,
            "*.example.org is proved through the DNS alone",
        ),
        (
            format!("domain = \"www.example.org\"\n{dns}"),
            false,
            "All is well",
        ),
        (
            format!("[certificate]\nnames = [\"*.example.org\"]\n{dns}"),
            false,
            "All is well",
        ),
        (
            "[listen]\nhttps = 8443\nhttp = 8080\n".to_owned(),
            false,
            "All is well",
        ),
    ] {
        let (is_well, said) = check(&site, &settings, Some("abc"));
        assert_eq!(!is_well, is_wrong, "{settings}: {said}");
        assert!(said.contains(words), "{settings}: {said}");
        assert_eq!(
            said.contains("settings   fine"),
            !is_wrong,
            "{settings}: {said}"
        );
        let is_well = words == "All is well";
        assert_eq!(said.contains("All is well"), is_well, "{settings}: {said}");
    }
}
