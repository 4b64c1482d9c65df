//! Names that are proved by a record that stays in the DNS (`dns-persist-01`), against acme2certifier and BIND.

use crate::{
    acme2certifier::{Acme2Certifier, ISSUER},
    bind::{Bind, SECRET},
    certificates::{certificate, keep_secret, set, shown},
    names_in_browser::{save, send},
    pebble::{Options, Pebble},
    site::{Site, command},
    waiting::until,
};

/// What a command says, and whether it is content.
fn said(site: &Site, args: &[&str]) -> (bool, String) {
    let output = certificate(site, args);
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

/// The record that the owner is told to make for a name.
pub(crate) fn told(site: &Site, name: &str) -> [String; 2] {
    let (_, text) = said(site, &["dns-records", name]);
    let after = |start: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(start));
        line.unwrap_or_else(|| panic!("{text}")).to_owned()
    };
    [after("  name  "), after("  text  ")]
}

fn await_certificate(site: &Site, authority: &Acme2Certifier, name: &str) -> Vec<u8> {
    until(site, name, || shown(site, name, &authority.root()).is_ok());
    shown(site, name, &authority.root()).unwrap().to_vec()
}

#[test]
fn a_record_made_once_by_hand_proves_a_name_and_all_below_it_for_ever() {
    let Some(bind) = Bind::start() else { return };
    let Some(authority) = Acme2Certifier::start(bind.port) else {
        return;
    };
    let site = Site::start();
    // No token on the machine: it can ask the DNS, and change nothing.
    let settings = format!(
        "domain = \"hand.dyn.test\"\n{}challenge = \"dns-persist-01\"\nnames = [\"*.hand.dyn.test\"]\n\
         [dns]\ncheck_at = [\"127.0.0.1:{}\"]\n",
        authority.settings(),
        bind.port
    );
    set(&site, &settings);
    until(&site, "the owner is told what to make", || {
        let log = site.log();
        log.contains("no certificate for hand.dyn.test: the DNS has no text")
            && log.contains("no certificate for *.hand.dyn.test: the DNS has no text")
    });
    let [at, text] = told(&site, "hand.dyn.test");
    assert_eq!(at, "_validation-persist.hand.dyn.test");
    assert!(
        text.starts_with(&format!("{ISSUER}; accounturi=https://localhost:")),
        "{text}"
    );
    assert!(text.ends_with("; policy=wildcard"), "one for both: {text}");
    assert!(site.log().contains(&text), "{}", site.log());
    assert_eq!(told(&site, "*.hand.dyn.test"), [at.clone(), text.clone()]);

    let bare = text.trim_end_matches("; policy=wildcard");
    for (there, name, words) in [
        (
            format!("{bare}0; policy=wildcard"),
            "hand.dyn.test",
            "is for another account",
        ),
        (
            format!("{text}; persistUntil=1500000000"),
            "hand.dyn.test",
            "was good until 2017-07-14",
        ),
        (
            format!("{text}; persistUntil=soon"),
            "hand.dyn.test",
            "not written as it must be",
        ),
        (
            text.replace(ISSUER, "else.test"),
            "hand.dyn.test",
            "no text for this authority",
        ),
        (bare.to_owned(), "*.hand.dyn.test", "for that name alone"),
    ] {
        bind.update(&format!(
            "update delete {at} TXT\nupdate add {at} 60 TXT \"{there}\""
        ));
        let (is_right, says) = said(&site, &["dns-records", name]);
        assert!(!is_right && says.contains(words), "{there}: {says}");
        let (is_renewed, says) = said(&site, &["renew", name]);
        assert!(
            !is_renewed && says.contains(words) && says.contains(&text),
            "{there}: {says}"
        );
    }
    assert_eq!(
        authority.orders(),
        0,
        "nothing is ordered before the record is seen"
    );

    bind.update(&format!(
        "update delete {at} TXT\nupdate add {at} 60 TXT \"{text}\""
    ));
    for name in ["hand.dyn.test", "*.hand.dyn.test"] {
        let (is_renewed, says) = said(&site, &["renew", name]);
        assert!(is_renewed, "{says}{}", authority.log());
    }
    let first = await_certificate(&site, &authority, "hand.dyn.test");
    await_certificate(&site, &authority, "below.hand.dyn.test");
    assert!(said(&site, &["dns-records"]).0);

    // The account's other key and a renewal change nothing in the DNS.
    let zone = bind.dig("dyn.test", "SOA");
    assert!(said(&site, &["new-account-key"]).0);
    let (is_renewed, says) = said(&site, &["renew", "hand.dyn.test"]);
    assert!(is_renewed, "{says}");
    until(&site, "another one", || {
        shown(&site, "hand.dyn.test", &authority.root()).is_ok_and(|now| now.to_vec() != first)
    });
    assert_eq!(bind.dig("dyn.test", "SOA"), zone);

    // One that ends is good until then, and its owner is told.
    bind.update(&format!(
        "update delete {at} TXT\nupdate add {at} 60 TXT \"{text}; persistUntil=4000000000\""
    ));
    let (is_renewed, says) = said(&site, &["renew", "hand.dyn.test"]);
    assert!(
        is_renewed && says.contains("is good until 2096-10-02"),
        "{says}"
    );
}

#[test]
fn a_record_that_is_there_is_taken_where_the_authority_offers_it() {
    let Some(bind) = Bind::start() else { return };
    let Some(authority) = Acme2Certifier::start(bind.port) else {
        return;
    };
    let site = Site::start();
    let settings = format!(
        "{}[dns]\ncheck_at = [\"127.0.0.1:{}\"]\n",
        authority.settings(),
        bind.port
    );
    set(&site, &settings);
    for name in ["auto.dyn.test", "*.more.dyn.test"] {
        let [at, text] = told(&site, name);
        bind.update(&format!("update add {at} 60 TXT \"{text}\""));
    }
    // Nobody can reach this machine, and no way was set.
    let more = settings.replace("[dns]", "names = [\"*.more.dyn.test\"]\n[dns]");
    set(&site, &format!("domain = \"auto.dyn.test\"\n{more}"));
    await_certificate(&site, &authority, "auto.dyn.test");
    await_certificate(&site, &authority, "below.more.dyn.test");
    assert_eq!(authority.orders(), 2, "{}", authority.log());
    let log = site.log();
    assert!(
        !log.contains("was not proved") && !log.contains("no certificate"),
        "{log}"
    );
}

#[test]
fn a_record_that_stays_proves_a_name_over_refused_nonces_and_pauses() {
    let Some(bind) = Bind::start() else { return };
    let moods = [("REFUSE_EACH", "2".into()), ("PAUSE_MS", "300".into())];
    let Some(authority) = Acme2Certifier::start_with(bind.port, 90, &moods) else {
        return;
    };
    let site = Site::start();
    let settings = format!(
        "{}challenge = \"dns-persist-01\"\n[dns]\ncheck_at = [\"127.0.0.1:{}\"]\n",
        authority.settings(),
        bind.port
    );
    let name = "moods.dyn.test";
    set(&site, &format!("domain = \"{name}\"\n{settings}"));
    let [at, text] = told(&site, name);
    bind.update(&format!("update add {at} 60 TXT \"{text}\""));
    let (is_renewed, says) = said(&site, &["renew", name]);
    assert!(is_renewed, "{says}{}", authority.log());
    let first = await_certificate(&site, &authority, name);
    let (is_renewed, says) = said(&site, &["renew", name]);
    assert!(is_renewed, "{says}{}", authority.log());
    until(&site, "another one", || {
        shown(&site, name, &authority.root()).is_ok_and(|now| now.to_vec() != first)
    });
    let refused = authority.log().matches("HTTP/1.1\" 400").count();
    assert!(refused > 5, "{refused}: {}", authority.log());
}

#[test]
fn where_names_may_be_changed_the_record_is_put_once_and_a_spent_one_goes() {
    let Some(bind) = Bind::start() else { return };
    let Some(authority) = Acme2Certifier::start(bind.port) else {
        return;
    };
    let site = Site::start();
    keep_secret(&site, SECRET);
    let settings = format!(
        "{}challenge = \"dns-persist-01\"\n{}check_at = [\"127.0.0.1:{}\"]\n",
        authority.settings(),
        bind.settings("home"),
        bind.port
    );
    set(&site, &settings);
    let [at, text] = told(&site, "put.dyn.test");
    let spent = format!("{text}; persistUntil=1500000000");
    let others = "other.test; accounturi=https://other.test/1";
    bind.update(&format!(
        "update add {at} 60 TXT \"{spent}\"\nupdate add {at} 60 TXT \"{others}\""
    ));
    set(&site, &format!("domain = \"put.dyn.test\"\n{settings}"));
    let first = await_certificate(&site, &authority, "put.dyn.test");
    let mut there: Vec<String> = bind.dig(&at, "TXT").lines().map(str::to_owned).collect();
    there.sort();
    assert_eq!(there, [format!("\"{text}\""), format!("\"{others}\"")]);
    let zone = bind.dig("dyn.test", "SOA");
    let (is_renewed, says) = said(&site, &["renew", "put.dyn.test"]);
    assert!(is_renewed, "{says}");
    until(&site, "another one", || {
        shown(&site, "put.dyn.test", &authority.root()).is_ok_and(|now| now.to_vec() != first)
    });
    assert_eq!(bind.dig("dyn.test", "SOA"), zone);
}

#[test]
fn an_authority_that_does_not_offer_it_is_named() {
    let site = Site::start();
    let Some(pebble) = Pebble::start(&site, Options::default()) else {
        return;
    };
    let settings = pebble.settings();
    set(
        &site,
        &format!("domain = \"site.test\"\n{settings}challenge = \"dns-persist-01\"\n"),
    );
    until(&site, "a refusal in words", || {
        site.log()
            .contains("the authority does not offer dns-persist-01")
    });
    let (is_right, says) = said(&site, &["dns-records"]);
    assert!(
        !is_right && says.contains("does not say beforehand"),
        "{says}"
    );
}

#[test]
fn settings_that_cannot_work_are_found_before_an_authority_is_asked() {
    let site = Site::start();
    let data = site.data();
    std::fs::write(data.join("roots.pem"), "no certificate").unwrap();
    for (settings, words) in [
        (
            "challenge = \"dns-01\"",
            "nothing says where they are changed",
        ),
        (
            "challenge = \"http-01\"\nnames = [\"*.a.test\"]",
            "*.a.test cannot be proved by http-01",
        ),
        (
            "authority_roots = \"roots.pem\"",
            "there is no certificate of an authority in this file",
        ),
        (
            "authority_roots = \"nowhere.pem\"",
            "nowhere.pem: there is no such file",
        ),
        ("key = \"rsa\"\nkey_file = \"own.pem\"", "take key away"),
    ] {
        std::fs::write(
            data.join("webstead.toml"),
            format!("[certificate]\n{settings}\n"),
        )
        .unwrap();
        let output = command(data).args(["check", "--quick"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && said.contains(words),
            "{settings}: {said}"
        );
    }
    std::fs::write(
        data.join("webstead.toml"),
        "[certificate]\nnames = [\"*.example.org\"]\n",
    )
    .unwrap();
    let output = command(data).args(["check", "--quick"]).output().unwrap();
    assert!(
        output.status.success(),
        "a record by hand may prove it: {output:?}"
    );
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("nothing says where names are changed"),
        "{said}"
    );
}

#[test]
fn the_owner_chooses_it_in_the_browser_and_the_page_shows_which_record_to_make() {
    let Some(bind) = Bind::start() else { return };
    let Some(authority) = Acme2Certifier::start(bind.port) else {
        return;
    };
    let (site, owner) = Site::with_owner();
    let roots = authority.settings();
    let roots = roots
        .lines()
        .find(|line| line.starts_with("authority_roots"));
    let (roots, port) = (roots.unwrap(), bind.port);
    set(
        &site,
        &format!("[certificate]\n{roots}\n[dns]\ncheck_at = [\"127.0.0.1:{port}\"]\n"),
    );
    let directory = authority.directory();
    let mut fields = vec![
        ("domain", "page.dyn.test"),
        ("more_names", "*.page.dyn.test"),
        ("agree", "on"),
        ("authority", directory.as_str()),
        ("contact", "ada@site.test"),
        ("action", "look"),
    ];
    let (status, html) = send(&site, &owner, "/admin/name", &fields);
    assert!(
        status == 200 && html.contains("*.page.dyn.test is proved through the DNS alone"),
        "{html}"
    );
    fields.pop();
    fields.extend([("challenge", "dns-01"), ("action", "look")]);
    let (_, html) = send(&site, &owner, "/admin/name", &fields);
    assert!(
        html.contains("nothing says where they are changed"),
        "{html}"
    );
    fields.truncate(5);
    fields.push(("challenge", "dns-persist-01"));
    assert_eq!(save(&site, &owner, &fields).0, 303);
    let page = || site.text(&owner, "/admin/name/progress").1;
    until(&site, "the record", || {
        page().contains("_validation-persist.page.dyn.test</code>")
    });
    let [at, text] = told(&site, "page.dyn.test");
    assert!(
        page().contains(&format!("<code>{text}</code>")),
        "{}",
        page()
    );
    assert!(page().contains("waits for a record"), "{}", page());
    let (_, listed) = said(&site, &["list"]);
    assert!(
        listed.contains("waits: the DNS has no text") && listed.contains(&text),
        "{listed}"
    );
    bind.update(&format!("update add {at} 60 TXT \"{text}\""));
    let asked = send(
        &site,
        &owner,
        "/admin/name/renew",
        &[("name", "page.dyn.test")],
    );
    assert_eq!(asked.0, 303);
    await_certificate(&site, &authority, "page.dyn.test");
}
