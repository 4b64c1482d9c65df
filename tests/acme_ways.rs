//! Each way of proving a name, against an authority that refuses nonces, takes its time, and does not find what it looks
//! for before something was put right.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    acme2certifier::Acme2Certifier,
    ari::Ari,
    bind::{Bind, SECRET},
    certificates::{await_certificate, certificate, keep_secret, set, shown},
    pebble::{Options, Pebble},
    persist::told,
    site::{PASSWORD, Site, command},
    waiting::until,
};

/// What is kept of a name.
fn kept(site: &Site, name: &str) -> Value {
    let file = site.data().join(format!("tls/public/{name}.json"));
    let text = fs::read_to_string(file).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

#[test]
fn each_way_gets_over_refused_nonces_pauses_and_a_proof_that_was_not_found() {
    let site = Site::start();
    let Some(bind) = Bind::start() else { return };
    let options = Options {
        refused_nonces: 30,
        is_slow: true,
        ..Options::default()
    };
    let right = Options {
        dns_port: Some(bind.port),
        ..options
    };
    // One asks a DNS server that leads it astray, and the other the one that is right.
    let (Some(astray), Some(right)) = (Pebble::start(&site, options), Pebble::start(&site, right))
    else {
        return;
    };
    keep_secret(&site, SECRET);
    for (way, name, problem, words) in [
        ("http-01", "a.dyn.test", "connection", "127.0.0.2"),
        // Pebble does not tell them apart; others say "connection".
        ("tls-alpn-01", "b.dyn.test", "unauthorized", "127.0.0.2"),
        ("dns-01", "c.dyn.test", "unauthorized", "TXT record"),
    ] {
        let lead = format!("{{\"host\": \"{name}\", \"addresses\": [\"127.0.0.2\"]}}");
        astray.tell_dns("add-a", &lead);
        let settings = |authority: &Pebble| {
            format!(
                "domain = \"{name}\"\n{}{}challenge = \"{way}\"\n",
                bind.settings("home"),
                authority.settings()
            )
        };
        set(&site, &settings(&astray));
        until(&site, "a proof that was not found", || {
            kept(&site, name)["failure"]["problem"].is_string()
        });
        let seen = kept(&site, name);
        assert_eq!(seen["failure"]["problem"], problem, "{way}: {seen}");
        assert_eq!(seen["tried"]["failed"][0]["challenge"], way, "{seen}");
        let text = seen["failure"]["text"].as_str().unwrap();
        assert!(text.contains(words), "{way}: {text}");
        set(&site, &settings(&right));
        await_certificate(&site, &right, name);
        until(&site, "kept", || kept(&site, name)["challenge"] == way);
        let seen = kept(&site, name);
        assert_eq!(seen["tried"]["failed"], Value::Array(vec![]), "{seen}");
    }
    assert_eq!(
        bind.dig("_acme-challenge.c.dyn.test", "TXT"),
        "",
        "no proof stays"
    );
}

#[test]
fn where_the_dns_cannot_be_changed_the_next_way_is_tried() {
    let site = Site::start();
    let Some((pebble, bind)) = Pebble::with_bind(&site, Options::default()) else {
        return;
    };
    let right = bind.settings("home");
    let nobody = right.replace(&format!(":{}\"", bind.port), ":1\"");
    assert_ne!(right, nobody);
    for (name, wrong, is_secret_there) in [
        ("refused.dyn.test", bind.settings("other"), true),
        ("unreachable.dyn.test", nobody, true),
        ("setup.dyn.test", right.clone(), false),
    ] {
        keep_secret(&site, SECRET);
        let settings = |dns: &str| format!("domain = \"{name}\"\n{dns}{}", pebble.settings());
        set(
            &site,
            &format!("{}challenge = \"dns-01\"\n", settings(&right)),
        );
        await_certificate(&site, &pebble, name);
        until(&site, "kept", || kept(&site, name)["challenge"] == "dns-01");
        // It has worked, and so it comes first.
        set(&site, &settings(&wrong));
        if !is_secret_there {
            let removed = command(site.data())
                .args(["secret", "remove", "dns"])
                .output();
            assert!(removed.unwrap().status.success());
        }
        let renewed = certificate(&site, &["renew", name]);
        assert!(renewed.status.success(), "{name}: {renewed:?}");
        let seen = kept(&site, name);
        assert_eq!(seen["challenge"], "http-01", "{seen}");
        let told = format!("{name} was not proved by dns-01");
        assert!(site.log().contains(&told), "{}", site.log());
    }
}

#[test]
fn a_record_that_the_authority_does_not_see_is_refused_and_taken_when_it_does() {
    let (Some(bind), Some(other)) = (Bind::start(), Bind::start()) else {
        return;
    };
    let Some(authority) = Acme2Certifier::start(other.port) else {
        return;
    };
    let site = Site::start();
    let settings = format!(
        "{}challenge = \"dns-persist-01\"\n[dns]\ncheck_at = [\"127.0.0.1:{}\"]\n",
        authority.settings(),
        bind.port
    );
    set(&site, &settings);
    let name = "seen.dyn.test";
    let [at, text] = told(&site, name);
    bind.update(&format!("update add {at} 60 TXT \"{text}\""));
    set(&site, &format!("domain = \"{name}\"\n{settings}"));
    until(&site, "refused", || {
        kept(&site, name)["failure"]["kind"] == "validation"
    });
    assert!(authority.orders() > 0, "it was asked: {}", authority.log());
    assert!(shown(&site, name, &authority.root()).is_err());
    other.update(&format!("update add {at} 60 TXT \"{text}\""));
    let renewed = certificate(&site, &["renew", name]);
    assert!(renewed.status.success(), "{renewed:?}{}", authority.log());
    until(&site, name, || {
        shown(&site, name, &authority.root()).is_ok()
    });
}

#[test]
fn a_name_that_does_not_exist_is_asked_for_as_soon_as_it_does() {
    let site = Site::start();
    let Some((pebble, bind)) = Pebble::with_bind(&site, Options::default()) else {
        return;
    };
    let ari = Ari::start(&pebble);
    // What is below a name that is there is no name, in a zone that has a star.
    let name = "x.ns.dyn.test";
    set(
        &site,
        &format!(
            "domain = \"{name}\"\n{}[dns]\ncheck_at = [\"127.0.0.1:{}\"]\n",
            ari.settings(&pebble),
            bind.port
        ),
    );
    until(&site, "why", || {
        let log = site.log();
        log.contains("no certificate for x.ns.dyn.test: there is no name x.ns.dyn.test in the DNS")
    });
    assert!(ari.said(|said| said.orders.is_empty()), "nobody was asked");
    bind.update(&format!("update add {name} 60 A 127.0.0.1"));
    let renewed = certificate(&site, &["renew", name]);
    assert!(renewed.status.success(), "{renewed:?}");
    await_certificate(&site, &pebble, name);
}

#[test]
fn other_hosts_of_the_file_and_of_the_browser_get_certificates() {
    let (site, owner) = Site::with_owner();
    let Some(pebble) = Pebble::start(&site, Options::default()) else {
        return;
    };
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("index.html"), "a host").unwrap();
    let at = folder.path().display().to_string();
    set(
        &site,
        &format!(
            "domain = \"site.test\"\n{}[hosts.\"file.test\"]\nfiles = \"{at}\"\n",
            pebble.settings()
        ),
    );
    let fields = [
        ("name", "browser.test"),
        ("files", &*at),
        ("password", PASSWORD),
    ];
    let form = site.post(&owner, "/admin/hosts/new/files").form(&fields);
    assert_eq!(form.send().unwrap().status(), 303);
    let all = ["site.test", "file.test", "browser.test"]
        .map(|name| await_certificate(&site, &pebble, name));
    assert!(all[0] != all[1] && all[1] != all[2], "each has its own");
}
