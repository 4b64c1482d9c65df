//! An authority that cannot be asked as it is set: the owner is told what is wrong and what to do, in plain words.

use crate::{
    ari::Ari,
    certificates::{await_certificate, certificate, set},
    pebble::{Options, Pebble},
    site::Site,
    tools::free_port,
    waiting::until,
};

#[test]
#[allow(clippy::too_many_lines)] // a table
fn an_authority_that_is_set_wrongly_is_told_in_plain_words_with_the_remedy() {
    let (site, owner) = Site::with_owner();
    let Some(pebble) = Pebble::start(&site, Options::default()) else {
        return;
    };
    let ari = Ari::start(&pebble);
    let roots = pebble.roots();
    let right = pebble.directory();
    let own = format!(
        "authority_roots = \"{}/tls/authority-cert.pem\"\n",
        site.data().display()
    );
    std::fs::write(site.data().join("garbage.pem"), "no certificate").unwrap();
    let nobody = format!("https://localhost:{}/dir", free_port());
    let plain = format!("https://localhost:{}/dir", site.http_port);
    let elsewhere = right.replace("/dir", "/directory");
    let page = format!("{}/", site.base.replace("127.0.0.1", "localhost"));
    for (authority, more, words, advice) in [
        (
            &*elsewhere,
            &*roots,
            "not the directory of an authority: it answered 404",
            "Correct the address",
        ),
        (
            &page,
            &own,
            "it answered with a web page",
            "Correct the address",
        ),
        (&nobody, &roots, "nobody listens there", "its port too"),
        (
            &plain,
            &roots,
            "at this port nobody speaks HTTPS",
            "something else",
        ),
        (
            "https://ca.invalid/dir",
            &roots,
            "the DNS knows no such name",
            "written right",
        ),
        (
            &right,
            "",
            "an authority that this machine does not know",
            "authority_roots",
        ),
        (
            &right,
            &own,
            "an authority that this machine does not know",
            "it is of another one",
        ),
        (
            &right,
            "authority_roots = \"gone.pem\"\n",
            "gone.pem: there is no such file",
            "Let it name a file",
        ),
        (
            &right,
            "authority_roots = \"garbage.pem\"\n",
            "there is no certificate of an authority in this file",
            "Let it name a file",
        ),
        (
            &ari.directory(),
            &format!("{roots}profile = \"shortlifed\"\n"),
            "offers classic, shortlived; set one of these, or none",
            "Set one of these",
        ),
        (
            &right,
            &format!("{roots}profile = \"shortlived\"\n"),
            "has no kinds to choose from",
            "Set one of these",
        ),
    ] {
        set(
            &site,
            &format!(
                "domain = \"site.test\"\n[certificate]\nagree_to_terms = true\nauthority = \"{authority}\"\n{more}"
            ),
        );
        until(&site, words, || {
            let listed = certificate(&site, &["list"]);
            String::from_utf8_lossy(&listed.stdout).contains(words)
        });
        let listed = certificate(&site, &["list"]);
        let text = String::from_utf8_lossy(&listed.stdout);
        assert!(
            !text.contains("os error") && !text.contains("UnknownIssuer"),
            "{text}"
        );
        until(&site, advice, || {
            site.text(&owner, "/admin/name").1.contains(advice)
        });
    }
    assert!(
        ari.said(|said| said.orders.is_empty()),
        "nothing was ordered"
    );
    let front = ari.settings(&pebble);
    set(
        &site,
        &format!("domain = \"site.test\"\n{front}profile = \"shortlived\"\n"),
    );
    await_certificate(&site, &pebble, "site.test");
}

#[test]
fn an_authority_that_is_busy_is_told_in_its_words_and_asked_again_when_it_says() {
    let (site, _) = Site::with_owner();
    let Some(pebble) = Pebble::start(&site, Options::default()) else {
        return;
    };
    let ari = Ari::start(&pebble);
    let front = ari.settings(&pebble);
    let limited = r#"{"type":"urn:ietf:params:acme:error:rateLimited","detail":"come back later"}"#;
    for (at, (path, status, words, after_s, told)) in [
        ("/dir", 429, limited, 5400, "come back later"),
        ("/dir", 503, "", 3600, "answered 503 Service Unavailable"),
        ("/nonce", 429, "", 7200, "answered 429 Too Many Requests"),
        ("/nonce", 503, "", 4000, "/nonce-plz answered 503"),
    ]
    .into_iter()
    .enumerate()
    {
        ari.said(|said| said.busy = Some((path, status, words, after_s)));
        set(
            &site,
            &format!("domain = \"site.test\"\n{front}contact = \"a{at}@site.test\"\n"),
        );
        until(&site, told, || {
            let listed = certificate(&site, &["list"]);
            String::from_utf8_lossy(&listed.stdout).contains(told)
        });
        let state = std::fs::read(site.data().join("tls/public/site.test.json")).unwrap();
        let state: serde_json::Value = serde_json::from_slice(&state).unwrap();
        let wait = state["next_try"].as_i64().unwrap() - jiff::Timestamp::now().as_second();
        let asked = i64::from(after_s);
        assert!(
            (asked - 60..=asked).contains(&wait),
            "{path} {status}: {state}"
        );
        assert_eq!(state["failures"], 1, "what the owner changes begins anew");
    }
    ari.said(|said| said.busy = None);
    set(&site, &format!("domain = \"site.test\"\n{front}"));
    await_certificate(&site, &pebble, "site.test");
}
