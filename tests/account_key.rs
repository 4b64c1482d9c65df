//! Another key for the account at an authority, where the answer gets lost or the disk takes nothing.

use std::{fs, path::PathBuf, process::Command};

use crate::{
    ari::{Ari, Cut},
    bind::SECRET,
    certificates::{await_certificate, certificate, keep_secret, set},
    pebble::{Options, Pebble},
    site::Site,
};

/// The files of accounts with this ending.
fn accounts(site: &Site, ending: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(site.data().join("tls/acme")).unwrap();
    let files = files.map(|file| file.unwrap().path());
    files
        .filter(|file| file.extension().is_some_and(|end| end == ending))
        .collect()
}

fn said(site: &Site, args: &[&str]) -> (bool, String) {
    let output = certificate(site, args);
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[test]
fn an_account_is_not_lost_when_its_new_key_gets_lost_on_the_way_or_cannot_be_kept() {
    let mut site = Site::start();
    // Through the DNS: the ports are others after each start.
    let options = Options {
        // What is refused and cut off is not taken.
        refused_nonces: 0,
        ..Options::default()
    };
    let Some((pebble, bind)) = Pebble::with_bind(&site, options) else {
        return;
    };
    let ari = Ari::start(&pebble);
    keep_secret(&site, SECRET);
    set(
        &site,
        &format!(
            "domain = \"a.dyn.test\"\n{}{}challenge = \"dns-01\"\n",
            bind.settings("home"),
            ari.settings(&pebble)
        ),
    );
    await_certificate(&site, &pebble, "a.dyn.test");
    let [account] = accounts(&site, "json").try_into().unwrap();
    let read = || fs::read_to_string(&account).unwrap();
    let renews = |site: &Site, what: &str| {
        let (is_renewed, text) = said(site, &["renew", "a.dyn.test"]);
        assert!(is_renewed, "{what}: {text}");
        let lost = accounts(site, "lost");
        assert!(lost.is_empty(), "{what}: the account was given up");
    };
    // With the running server, and with one that starts again in between.
    for is_restarted in [false, true] {
        for (cut, is_taken) in [(Cut::After, true), (Cut::Before, false)] {
            let what = format!("{cut:?}, restarted: {is_restarted}");
            let before = read();
            ari.said(|said| said.cut = Some(("rollover-account-key", cut)));
            let (is_changed, text) = said(&site, &["new-account-key"]);
            assert!(
                !is_changed && text.contains("both are kept"),
                "{what}: {text}"
            );
            assert_eq!(accounts(&site, "next").len(), 1, "{what}");
            assert_eq!(read(), before, "{what}");
            ari.said(|said| said.cut = None);
            if is_restarted {
                site = site.restart();
            }
            renews(&site, &what);
            assert_eq!(read() != before, is_taken, "{what}");
        }
    }
    // Nothing is asked for that cannot be kept: a disk that takes no byte, and a process that it kills.
    let (before, asked) = (read(), ari.said(|said| said.cuts));
    ari.said(|said| said.cut = Some(("rollover-account-key", Cut::After)));
    for trap in ["trap '' XFSZ; ", ""] {
        let full = Command::new("sh")
            .args(["-c", &format!("{trap}ulimit -f 0; exec \"$@\"")])
            .args(["sh", env!("CARGO_BIN_EXE_webstead"), "--data"])
            .arg(site.data())
            .args(["certificate", "new-account-key"])
            .output()
            .unwrap();
        assert!(!full.status.success(), "{full:?}");
        let said = String::from_utf8_lossy(&full.stderr).into_owned();
        assert!(trap.is_empty() || said.contains("writing"), "{said}");
    }
    assert_eq!(
        ari.said(|said| said.cuts),
        asked,
        "the authority is not asked"
    );
    ari.said(|said| said.cut = None);
    renews(&site, "a disk that takes nothing");
    assert_eq!(read(), before);
    let (is_changed, text) = said(&site, &["new-account-key"]);
    assert!(is_changed && read() != before, "{text}");
    assert!(accounts(&site, "next").is_empty());
    renews(&site, "at last");
}
