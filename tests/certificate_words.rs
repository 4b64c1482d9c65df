//! What the owner is told of certificates: those of names that went, and files of the owner's own that do not fit.

use std::fs;

use crate::{
    backup::{run, text},
    certificates::{await_certificate, issuer, set, shown},
    pebble::{Options, Pebble},
    site::Site,
    waiting::until,
};

/// What a command beside the site says, and how it ends.
fn said(site: &Site, words: &[&str]) -> (Option<i32>, String) {
    let output = run(site.data(), words);
    (output.status.code(), text(&output))
}

#[test]
fn a_name_that_was_taken_out_is_no_failure_is_not_renewed_and_can_be_forgotten() {
    let site = Site::start();
    let Some(pebble) = Pebble::start(&site, Options::default()) else {
        return;
    };
    let settings = pebble.settings();
    set(
        &site,
        &format!("domain = \"site.test\"\nalso = [\"blocked.test\", \"old.test\"]\n{settings}"),
    );
    for name in ["site.test", "old.test"] {
        await_certificate(&site, &pebble, name);
    }
    until(&site, "a refusal", || {
        site.log().contains("no certificate for blocked.test")
    });
    let (code, text) = said(&site, &["certificate", "list"]);
    assert!(code == Some(1) && !text.contains("not needed"), "{text}");
    let (code, text) = said(&site, &["certificate", "forget", "blocked.test"]);
    assert!(
        code == Some(1) && text.contains("take it out of the settings first"),
        "{text}"
    );

    set(&site, &format!("domain = \"site.test\"\n{settings}"));
    let (code, text) = said(&site, &["certificate", "list"]);
    assert_eq!(code, Some(0), "{text}");
    let (needed, kept) = text.split_once("Kept, and not needed:").unwrap();
    assert!(needed.contains("site.test  of Pebble"), "{text}");
    for words in [
        "blocked.test  none: no longer in the settings",
        "old.test  until 20",
        "webstead certificate forget",
    ] {
        assert!(
            kept.contains(words) && !needed.contains(words),
            "{words}: {text}"
        );
    }
    let (code, text) = said(&site, &["certificate", "renew"]);
    assert!(code == Some(0) && !text.contains("old.test"), "{text}");
    for words in [
        &["certificate", "renew", "old.test"][..],
        &["certificate", "dns-records", "bank.example"],
    ] {
        let (code, text) = said(&site, words);
        let is_told = text.contains("no name of this site (its names are site.test)");
        assert!(code == Some(1) && is_told, "{words:?}: {text}");
    }
    for name in ["blocked.test", "old.test"] {
        let (code, text) = said(&site, &["certificate", "forget", name]);
        assert_eq!(code, Some(0), "{text}");
        assert!(!site.data().join(format!("tls/public/{name}.json")).exists());
    }
    let (code, text) = said(&site, &["certificate", "list"]);
    assert!(code == Some(0) && !text.contains("not needed"), "{text}");
    let (code, text) = said(&site, &["certificate", "forget", "old.test"]);
    assert!(
        code == Some(1) && text.contains("nothing is kept"),
        "{text}"
    );
}

#[test]
fn own_files_that_do_not_fit_are_told_wherever_their_owner_looks_and_the_old_one_goes_on() {
    let (site, owner) = Site::with_owner();
    let (root, make) = issuer();
    let write = |file: &str, text: &str| fs::write(site.data().join(file), text).unwrap();
    let (own, key) = make(&["own.test"]);
    write("own.pem", &own);
    write("own-key.pem", &key);
    set(
        &site,
        "domain = \"own.test\"\n[certificate]\nfiles = [{ certificate = \"own.pem\", key = \"own-key.pem\" }]\n",
    );
    until(&site, "shown", || {
        shown(&site, "own.test", root.as_bytes()).is_ok()
    });
    let first = shown(&site, "own.test", root.as_bytes()).unwrap();
    let (code, text) = said(&site, &["certificate", "list"]);
    assert!(
        code == Some(0) && text.contains("from your own files"),
        "{text}"
    );
    assert!(text.contains("for own.test"), "{text}");
    let (_, text) = said(&site, &["certificate", "renew", "own.test"]);
    assert!(text.contains("what makes those renews it"), "{text}");

    let (other, other_key) = make(&["own.test"]);
    for (certificate, of_key, words) in [
        (
            &*own,
            &*other_key,
            "the key is not the one of the certificate",
        ),
        (
            &own,
            "nonsense",
            "own-key.pem: there is no private key in it",
        ),
        ("nonsense", &key, "own.pem with "),
        (
            "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n",
            &key,
            "the certificate is not PEM",
        ),
    ] {
        write("own.pem", certificate);
        write("own-key.pem", of_key);
        let (code, text) = said(&site, &["reload"]);
        assert_eq!(code, Some(0), "the settings are taken: {text}");
        let told = |what: &str, text: &str| {
            assert!(text.contains(words), "{what}: {words}: {text}");
            assert!(
                text.contains("readable for the user"),
                "{what}: a remedy: {text}"
            );
        };
        told("reload", &text);
        let (code, text) = said(&site, &["certificate", "list"]);
        assert_eq!(code, Some(1), "{text}");
        told("list", &text);
        until(&site, "the page", || {
            site.text(&owner, "/admin/name").1.contains(words)
        });
        let html = site.text(&owner, "/admin/name").1;
        told("page", &html);
        assert!(html.contains("The one before holds until"), "{html}");
        let html = site.text(&owner, "/admin/name/progress").1;
        assert!(
            html.contains("<h1>Your own certificate is not used</h1>"),
            "{html}"
        );
        assert_eq!(shown(&site, "own.test", root.as_bytes()).unwrap(), first);
    }
    write("own.pem", &other);
    write("own-key.pem", &other_key);
    until(&site, "the new one", || {
        shown(&site, "own.test", root.as_bytes()).is_ok_and(|now| now != first)
    });
    let (code, text) = said(&site, &["reload"]);
    assert!(
        code == Some(0) && text.contains("everything is as"),
        "{text}"
    );
    let html = site.text(&owner, "/admin/name").1;
    assert!(!html.contains("certificate is not used"), "{html}");
}
