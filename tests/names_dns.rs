//! Where names can be changed, set by the owner in the browser, with its token.

use reqwest::blocking::Client;
use serde_json::{Value, json};

use crate::{
    bind::{Bind, SECRET},
    certificates::{await_certificate, set},
    dns_api::{ApiServer, simple::Outside},
    names_in_browser::send,
    pebble::{Options, Pebble},
    site::{PASSWORD, Site, between, command},
    waiting::until,
};

const PAGE: &str = "/admin/name/dns";

fn provider<'a>(server: &'a str, token: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("provider", "rfc2136"),
        ("server", server),
        ("zone", "Dyn.test"),
        ("key", "home"),
        ("algorithm", "hmac-sha256"),
        ("token", token),
        ("password", PASSWORD),
    ]
}

/// Every byte of the data folder that is not below `secrets/`.
fn has_secret(site: &Site, secret: &str) -> bool {
    let database = std::fs::read(site.data().join("site.db")).unwrap();
    let log = std::fs::read(site.data().join("site.db-wal")).unwrap_or_default();
    [database, log, site.log().into_bytes()]
        .iter()
        .any(|bytes| {
            bytes
                .windows(secret.len())
                .any(|part| part == secret.as_bytes())
        })
}

#[test]
fn all_names_below_one_get_a_certificate_with_a_provider_that_was_set_in_the_browser() {
    let (site, owner) = Site::with_owner();
    let Some((pebble, bind)) = Pebble::with_bind(&site, Options::default()) else {
        return;
    };
    let settings = format!(
        "domain = \"dyn.test\"\n{}names = [\"*.dyn.test\"]\nchallenge = \"dns-01\"\n",
        pebble.settings()
    );
    set(&site, &settings);
    until(&site, "it fails without", || {
        site.log().contains("no certificate for *.dyn.test")
    });
    let server = format!("127.0.0.1:{}", bind.port);
    assert_eq!(send(&site, &owner, PAGE, &provider(&server, SECRET)).0, 303);
    await_certificate(&site, &pebble, "a.dyn.test");
    let html = site.text(&owner, PAGE).1;
    assert!(
        html.contains(&server) && html.contains("One is kept"),
        "{html}"
    );
    assert!(!html.contains(SECRET) && !has_secret(&site, SECRET));
    // The form with another place and no token: what was given to one is not sent to another.
    let (status, html) = send(&site, &owner, PAGE, &provider("127.0.0.9", ""));
    let why = between(&html, "id=\"_token-error\">", "</p>");
    assert!(status == 422 && why.contains("another place"), "{html}");
    let again = send(&site, &owner, PAGE, &provider(&server, ""));
    assert_eq!(again.0, 303, "the same place keeps the token");
    let mut elsewhere = provider(&server, SECRET);
    elsewhere.retain(|(name, _)| *name != "zone");
    elsewhere.push(("zone", "other.test"));
    let (status, html) = send(&site, &owner, PAGE, &elsewhere);
    let why = between(&html, "id=\"_zone-error\">", "</p>");
    assert!(status == 422 && why.contains("dyn.test is not"), "{why}");
    let remove = "/admin/name/dns/remove";
    let (status, html) = send(&site, &owner, remove, &[("password", "wrong")]);
    let why = between(&html, "id=\"_password-error\">", "</p>");
    assert!(status == 422 && why.contains("your password"), "{why}");
    let removed = send(&site, &owner, remove, &[("password", PASSWORD)]);
    assert_eq!(removed.1, "/admin/name/dns?done=removed");
    let listed = command(site.data())
        .args(["secret", "list"])
        .output()
        .unwrap();
    assert!(listed.stdout.is_empty(), "{listed:?}");
    let html = site.text(&owner, PAGE).1;
    assert!(!html.contains("name=\"zone\""), "{html}");
}

#[test]
fn what_no_provider_takes_is_explained_beside_its_field_and_a_token_never_comes_back() {
    let (site, owner) = Site::with_owner();
    let html = site.text(&owner, PAGE).1;
    assert!(html.contains("?provider=rfc2136"), "{html}");
    let change = |field: &'static str, value: &'static str| {
        let mut form = provider("192.0.2.1", SECRET);
        form.retain(|(name, _)| *name != field);
        form.push((field, value));
        form
    };
    for (field, value, word) in [
        ("server", "ns.example", "address"),
        ("server", "", "Fill this in"),
        ("zone", "a b", "DNS"),
        ("key", "a b", "DNS"),
        ("algorithm", "hmac-md5", "hmac-sha256"),
        ("token", "not base64!", "base64"),
        ("token", "", "Without it"),
        ("password", "wrong", "your password"),
    ] {
        let (status, html) = send(&site, &owner, PAGE, &change(field, value));
        assert_eq!(status, 422, "{field} {value}");
        let why = between(&html, &format!("id=\"_{field}-error\">"), "</p>");
        assert!(why.contains(word), "{field} {value}: {why}");
        let is_secret = field == "token" || field == "password" || field == "algorithm";
        assert!(
            is_secret || value.is_empty() || html.contains(value),
            "{html}"
        );
        assert!(
            !html.contains(SECRET) && !html.contains("not base64!"),
            "{html}"
        );
    }
    assert_eq!(
        send(&site, &owner, PAGE, &change("provider", "godaddy")).0,
        422
    );
    assert!(!site.data().join("secrets/dns").exists());
    // What the file says is shown as set there; its token can be given here.
    let bad = |client: &Client| send(&site, client, PAGE, &[("password", PASSWORD)]).0;
    assert_eq!(bad(&owner), 422);
    set(
        &site,
        "[dns]\nprovider = \"rfc2136\"\nserver = \"192.0.2.1\"\nzone = \"a.test\"\nkey = \"k\"\n",
    );
    let html = site.text(&owner, PAGE).1;
    assert!(
        html.contains("set in webstead.toml") && !html.contains("name=\"zone\""),
        "{html}"
    );
    let given = send(
        &site,
        &owner,
        PAGE,
        &[("token", SECRET), ("password", PASSWORD)],
    );
    assert_eq!(given.0, 303);
    assert!(site.text(&owner, PAGE).1.contains("One is kept"));
}

/// Does something with the row `dns` of a site that does not run.
fn stored_keys(site: &Site, change: impl FnOnce(&mut Value)) {
    let connection = rusqlite::Connection::open(site.data().join("site.db")).unwrap();
    let text: String = connection
        .query_row("SELECT value FROM settings WHERE name = 'dns'", [], |row| {
            row.get(0)
        })
        .unwrap();
    let mut keys = serde_json::from_str(&text).unwrap();
    change(&mut keys);
    connection
        .execute(
            "UPDATE settings SET value = ?1 WHERE name = 'dns'",
            [keys.to_string()],
        )
        .unwrap();
}

#[test]
fn names_follow_when_that_is_ticked_and_the_page_says_since_when_and_why_not() {
    let (mut site, owner) = Site::with_owner();
    let Some(bind) = Bind::start() else { return };
    let outside = ApiServer::start(Outside {
        says: "8.8.4.4".into(),
    });
    set(&site, "domain = \"dyn.test\"\n");
    let server = format!("127.0.0.1:{}", bind.port);
    assert_eq!(send(&site, &owner, PAGE, &provider(&server, SECRET)).0, 303);
    let html = site.text(&owner, PAGE).1;
    assert!(
        !html.contains("checked") && !html.contains("Names that follow"),
        "{html}"
    );
    let html = site.text(&owner, "/admin/name").1;
    assert!(html.contains("the name can follow it"), "{html}");

    // Where its address is known from is no field of the form, and stays as it is.
    site.stop();
    let roots = outside.roots_file();
    stored_keys(&site, |keys| {
        keys["addresses_from"] = json!([outside.base()]);
        keys["api_roots"] = json!(roots);
        keys["check_at"] = json!([server]);
    });
    site = site.restart_stopped();
    let with_tick = |token| [provider(&server, token), vec![("follow", "on")]].concat();
    assert_eq!(send(&site, &owner, PAGE, &with_tick("")).0, 303);
    until(&site, "it follows", || {
        bind.dig("dyn.test", "A") == "8.8.4.4\n"
    });
    let page = |word: &str| {
        until(&site, word, || site.text(&owner, PAGE).1.contains(word));
        let html = site.text(&owner, "/admin/name").1;
        assert!(html.contains(word), "{word}: {html}");
        html
    };
    let html = page(">follows</span> It leads to 8.8.4.4, since <time");
    assert!(
        html.contains("IPv4: 8.8.4.4, as https://localhost"),
        "{html}"
    );
    assert!(
        site.text(&owner, PAGE)
            .1
            .contains("name=\"follow\" checked")
    );

    // Another secret: the server refuses, and what to do is said.
    "8.8.8.8".clone_into(&mut outside.state().says);
    let other = "b3RoZXJzZWNyZXRvdGhlcnNlY3JldG90aGVyc2VjcmU=";
    assert_eq!(send(&site, &owner, PAGE, &with_tick(other)).0, 303);
    let html = page(">failed</span> It leads to 8.8.4.4");
    assert!(html.contains("Tried again"), "{html}");
    // The right one is tried by itself, at once.
    assert_eq!(send(&site, &owner, PAGE, &with_tick(SECRET)).0, 303);
    page(">follows</span> It leads to 8.8.8.8");
    let compared = send(&site, &owner, "/admin/name/dns/compare", &[]);
    assert_eq!(compared.1, "/admin/name/dns?done=compared");

    // Without the tick, nothing follows, and the rest is still there.
    assert_eq!(send(&site, &owner, PAGE, &provider(&server, "")).0, 303);
    let html = site.text(&owner, PAGE).1;
    assert!(
        !html.contains("Names that follow") && !html.contains("checked"),
        "{html}"
    );
    site.stop();
    stored_keys(&site, |keys| {
        assert_eq!(keys["addresses_from"], json!([outside.base()]));
        assert_eq!(keys["check_at"], json!([server]));
        assert!(keys.get("follow").is_none(), "{keys}");
    });
}
