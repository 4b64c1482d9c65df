//! The site's name and its certificate, set by the owner in the browser.

use std::{
    fs,
    io::{Read as _, Write as _},
};

use reqwest::blocking::Client;

use crate::{
    certificates::{await_certificate, set, shown},
    pebble::{Options, Pebble},
    site::{PASSWORD, Site, between, command},
    waiting::until,
};

/// Sends the form as the page has it, with these fields, and once more if it is shown first where the names lead; gives
/// the status and the page, or where it leads to.
pub(crate) fn save(site: &Site, owner: &Client, fields: &[(&str, &str)]) -> (u16, String) {
    let html = site.text(owner, "/admin/name").1;
    let hidden =
        |html: &str, of: &str| between(html, &format!("name=\"{of}\" value=\""), "\"").to_owned();
    let mut form = std::collections::BTreeMap::from([("password", PASSWORD)]);
    let seen = hidden(&html, "seen");
    form.insert("seen", &seen);
    form.extend(fields.iter().copied());
    let form: Vec<(&str, &str)> = form.into_iter().collect();
    let (status, html) = send(site, owner, "/admin/name", &form);
    if status != 200 {
        return (status, html);
    }
    assert!(html.contains("Nothing is changed yet"), "{html}");
    let looked = hidden(&html, "looked");
    let again: Vec<(&str, &str)> = form
        .into_iter()
        .chain([("looked", looked.as_str())])
        .collect();
    send(site, owner, "/admin/name", &again)
}

pub(crate) fn send(site: &Site, owner: &Client, to: &str, form: &[(&str, &str)]) -> (u16, String) {
    let answer = site.post(owner, to).form(form).send().unwrap();
    let status = answer.status().as_u16();
    match answer.headers().get("location") {
        Some(to) => (status, to.to_str().unwrap().to_owned()),
        None => (status, answer.text().unwrap()),
    }
}

/// Where the first page of a name leads to, if anywhere.
fn leads(site: &Site, name: &str) -> Option<String> {
    let client = site
        .client_builder_for(&[name])
        .tls_danger_accept_invalid_certs(true)
        .build();
    let answer = client.unwrap().get(site.url_of(name, "/")).send().unwrap();
    let to = answer.headers().get("location");
    to.map(|to| to.to_str().unwrap().to_owned())
}

#[test]
fn a_name_set_in_the_browser_gets_its_certificate_and_the_former_one_goes_on_until_then() {
    let (mut site, owner) = Site::with_owner();
    let Some(pebble) = Pebble::start(&site, Options::default()) else {
        return;
    };
    set(&site, &format!("[certificate]\n{}", pebble.roots()));
    // It stands in the middle of a request all the time.
    let mut standing = site.connect("127.0.0.1");
    standing.write_all(b"GET /healthz HTTP/1.1\r\n").unwrap();
    let authority = pebble.directory();
    let fields = |domain, also| {
        [
            ("domain", domain),
            ("also", also),
            ("agree", "on"),
            ("authority", authority.as_str()),
        ]
    };
    let saved = save(&site, &owner, &fields("Site.test.", "bücher.test"));
    assert_eq!(saved, (303, "/admin/name/progress?done=saved".to_owned()));
    await_certificate(&site, &pebble, "site.test");
    await_certificate(&site, &pebble, "xn--bcher-kva.test");
    let port = site.base.rsplit(':').next().unwrap().to_owned();
    let home = format!("https://site.test:{port}/");
    assert_eq!(leads(&site, "xn--bcher-kva.test"), Some(home.clone()));
    assert_eq!(leads(&site, "site.test"), None);
    let html = site.text(&owner, "/admin/name").1;
    assert!(
        html.contains("value=\"site.test\"") && html.contains("bücher.test"),
        "{html}"
    );
    until(&site, "who signed it is known to be unknown", || {
        let html = site.text(&owner, "/admin/name").1;
        html.contains(">not trusted</span> signed by Pebble") && !html.contains(">trusted</span>")
    });
    until(&site, "nothing is under way", || {
        let answer = site.get(&owner, "/admin/name/progress");
        let is_done = !answer.headers().contains_key("refresh");
        is_done && answer.text().unwrap().contains("<h1>Done</h1>")
    });
    standing
        .write_all(b"Host: 127.0.0.1\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    let _ = standing.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    // A name that leads elsewhere: everything stays as it is, and the page says why.
    let away = "{\"host\": \"new.test\", \"addresses\": [\"127.0.0.2\"]}";
    pebble.tell_dns("add-a", away);
    assert_eq!(
        save(&site, &owner, &fields("new.test", "www.new.test")).0,
        303
    );
    until(&site, "why", || {
        let html = site.text(&owner, "/admin/name/progress").1;
        html.contains("127.0.0.2")
            && html.contains("nobody opens there")
            && html.contains("<h1>A certificate is missing</h1>")
    });
    assert_eq!(leads(&site, "site.test"), None);
    assert_eq!(leads(&site, "new.test"), None);
    assert_eq!(leads(&site, "www.new.test"), Some(home));
    assert!(shown(&site, "site.test", &pebble.root()).is_ok());
    site = site.restart();
    assert_eq!(leads(&site, "site.test"), None, "after a restart too");
    let html = site.text(&owner, "/admin/name").1;
    assert!(
        html.contains("new.test takes the place of site.test"),
        "{html}"
    );
}

#[test]
fn a_new_domain_takes_its_place_by_itself_once_it_has_a_certificate_and_is_undone() {
    let (site, owner) = Site::with_owner();
    let Some(pebble) = Pebble::start(&site, Options::default()) else {
        return;
    };
    set(&site, &format!("[certificate]\n{}", pebble.roots()));
    let authority = pebble.directory();
    let fields = |domain| {
        [
            ("domain", domain),
            ("agree", "on"),
            ("authority", authority.as_str()),
        ]
    };
    assert_eq!(save(&site, &owner, &fields("old.test")).0, 303);
    await_certificate(&site, &pebble, "old.test");
    assert_eq!(save(&site, &owner, &fields("new.test")).0, 303);
    until(&site, "the old one leads to the new one", || {
        leads(&site, "old.test").is_some_and(|to| to.starts_with("https://new.test:"))
    });
    assert!(shown(&site, "old.test", &pebble.root()).is_ok());
    let html = site.text(&owner, "/admin/name/progress?done=saved").1;
    assert!(html.contains("action=\"/admin/name/undo\""), "{html}");
    let undone = send(&site, &owner, "/admin/name/undo", &[]);
    assert_eq!(undone.1, "/admin/name/progress?done=undone");
    until(&site, "the new one leads to the old one", || {
        leads(&site, "new.test").is_some_and(|to| to.starts_with("https://old.test:"))
    });
    assert_eq!(leads(&site, "old.test"), None);
    assert_eq!(send(&site, &owner, "/admin/name/undo", &[]).0, 404, "once");

    // "Get it now".
    let before = shown(&site, "old.test", &pebble.root()).unwrap();
    let renewed = send(&site, &owner, "/admin/name/renew", &[("name", "old.test")]);
    assert_eq!(renewed.1, "/admin/name/progress?done=asked");
    let answer = site.get(&owner, "/admin/name/progress");
    assert_eq!(answer.headers()["refresh"], "3");
    until(&site, "another one", || {
        shown(&site, "old.test", &pebble.root()).is_ok_and(|now| now != before)
    });
    let other = send(
        &site,
        &owner,
        "/admin/name/renew",
        &[("name", "other.test")],
    );
    assert_eq!(other.0, 404);
    // The commands know what was set in the browser.
    let mut revoke = command(site.data());
    revoke.args(["certificate", "revoke", "old.test", "--yes"]);
    let revoked = revoke.output().unwrap();
    assert!(revoked.status.success(), "{revoked:?}");
}

#[test]
fn nobody_is_sent_where_nothing_is_yet_unless_the_owner_says_so() {
    let (site, owner) = Site::with_owner();
    assert_eq!(
        save(
            &site,
            &owner,
            &[("domain", "old.localhost"), ("www", "bare")]
        )
        .0,
        303
    );
    let port = site.base.rsplit(':').next().unwrap().to_owned();
    let old = format!("https://old.localhost:{port}/");
    assert_eq!(leads(&site, "www.old.localhost"), Some(old.clone()));
    assert_eq!(
        save(
            &site,
            &owner,
            &[("domain", "old.localhost"), ("www", "www")]
        )
        .0,
        303
    );
    for _ in 0..2 {
        assert_eq!(leads(&site, "old.localhost"), None);
        assert_eq!(leads(&site, "www.old.localhost"), None);
        site.signal("HUP");
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
    let html = site.text(&owner, "/").1;
    assert!(html.contains("href=\"https://old.localhost/"), "{html}");
    let html = site.text(&owner, "/admin/name").1;
    assert!(
        html.contains("www.old.localhost takes the place of"),
        "{html}"
    );
    let switched = send(&site, &owner, "/admin/name/switch", &[]);
    assert_eq!(switched.1, "/admin/name/progress?done=switched");
    let new = format!("https://www.old.localhost:{port}/");
    assert_eq!(leads(&site, "old.localhost"), Some(new));
    let html = site.text(&site.client(), "/").1;
    assert!(
        html.contains("href=\"https://www.old.localhost/"),
        "no page has the former address: {html}"
    );

    // Who sees the page under the domain cannot take it away from under their own feet.
    let name = "www.old.localhost";
    let form = [("domain", ""), ("password", PASSWORD)];
    let client = site.client_builder_for(&[name]);
    let client = client
        .tls_danger_accept_invalid_certs(true)
        .build()
        .unwrap();
    let sign_in = [("name", crate::site::OWNER), ("password", PASSWORD)];
    let send_there = |to: &str, form: &[(&str, &str)]| {
        let request = client.post(site.url_of(name, to)).form(form);
        request
            .header("Sec-Fetch-Site", "same-origin")
            .send()
            .unwrap()
    };
    assert_eq!(send_there("/sign-in", &sign_in).status(), 303);
    let refused = send_there("/admin/name", &form);
    assert_eq!(refused.status(), 422);
    let html = refused.text().unwrap();
    assert!(html.contains("so that you are not locked out"), "{html}");
    // From home it can.
    assert_eq!(save(&site, &owner, &[("domain", "")]).0, 303);
    assert_eq!(leads(&site, "old.localhost"), None);
}

#[test]
fn where_a_name_leads_is_shown_before_anything_is_changed() {
    let (site, owner) = Site::with_owner();
    let html = site.text(&owner, "/admin").1;
    assert!(html.contains("no name of its own yet"), "{html}");
    let html = site.text(&owner, "/admin/name").1;
    let seen = between(&html, "name=\"seen\" value=\"", "\"").to_owned();
    let looked = [
        ("domain", "new.localhost"),
        ("seen", &seen),
        ("action", "look"),
    ];
    let (status, html) = send(&site, &owner, "/admin/name", &looked);
    assert_eq!(status, 200);
    for word in [
        "What will be",
        "127.0.0.1, where you see this page, goes on working",
        "before you agree",
        "Nothing is changed yet",
        "value=\"new.localhost\"",
    ] {
        assert!(html.contains(word), "{word} is not in {html}");
    }
    // Without having seen it, who saves is shown it once; a password is nothing that comes back.
    let form = [
        ("domain", "new.localhost"),
        ("seen", &seen),
        ("password", PASSWORD),
    ];
    let (status, html) = send(&site, &owner, "/admin/name", &form);
    assert!(
        status == 200 && html.contains("Nothing is changed yet"),
        "{html}"
    );
    assert!(!html.contains(PASSWORD), "{html}");
    let again = [form[0], form[1], form[2], ("looked", "new.localhost")];
    assert_eq!(send(&site, &owner, "/admin/name", &again).0, 303);
    let html = site.text(&owner, "/admin").1;
    assert!(!html.contains("no name of its own yet"), "{html}");
    // The same form once more is of what was before.
    let (status, html) = send(&site, &owner, "/admin/name", &again);
    assert!(
        status == 422 && html.contains("changed elsewhere"),
        "{html}"
    );
}

#[test]
fn what_cannot_be_is_explained_beside_its_field_and_nothing_typed_is_lost() {
    let (site, owner) = Site::with_owner();
    let dir = tempfile::tempdir().unwrap();
    let host = [
        ("name", "files.example.org"),
        ("files", dir.path().to_str().unwrap()),
        ("password", PASSWORD),
    ];
    assert_eq!(send(&site, &owner, "/admin/hosts/new/files", &host).0, 303);
    let many: String = (0..300).fold(String::new(), |all, n| all + &format!("n{n}.example.org\n"));
    let long = "x".repeat(20_000);
    for (field, value, word) in [
        ("domain", "https://example.org", "an address"),
        (
            "domain",
            "https://www.example.org/blog",
            "\"www.example.org\"",
        ),
        ("domain", "ada@example.org", "mail address"),
        ("domain", "my_pi.example.org", "has a _ in it"),
        ("domain", "a..b", "two in a row"),
        ("domain", "example.org/blog", "an address"),
        ("domain", "example.org:443", "port"),
        ("domain", "a b", "DNS"),
        ("domain", "192.168.1.1", "number"),
        ("domain", "localhost", "your own network"),
        ("domain", "pi.local", "your own network"),
        ("domain", "com", "no dot"),
        ("domain", "Files.example.ORG.", "other hosts"),
        ("domain", "a\u{7}.example", "cannot be seen"),
        ("domain", "xn--zzzzzzzzz", "DNS"),
        ("domain", "*.example.org", "DNS"),
        ("domain", &long, "too long"),
        ("also", "good.example, b..d.example", "DNS"),
        ("also", &many, "301 names"),
        ("also", "x.example", "Give the domain"),
        ("contact", "ada", "mail address"),
        ("authority", "letsencrypt", "directory"),
        ("profile", "short lived", "kind of certificate"),
        ("challenge", "mail-01", "list"),
        ("more_names", "*.*.example.org", "DNS"),
        ("more_names", "foo.local", "no authority of the internet"),
    ] {
        let mut form = vec![(field, value), ("password", PASSWORD), ("www", "bare")];
        if !["domain", "also"].contains(&field) || value == many {
            form.push(("domain", "fine.example"));
        }
        let (status, html) = save(&site, &owner, &form);
        assert_eq!(status, 422, "{field} {value:.40}: {html}");
        let at = if word == "Give the domain" {
            "domain"
        } else {
            field
        };
        let words = between(&html, &format!("id=\"_{at}-error\">"), "</p>");
        let words = words.replace("&quot;", "\"");
        assert!(words.contains(word), "{field} {value:.40}: {words}");
        let told = html.matches("<li><a href=\"#_").count();
        // That the domain is missing is another mistake.
        let mistakes = if field == "also" && value != many && at == "also" {
            2
        } else {
            1
        };
        assert_eq!(
            told, mistakes,
            "{field} {value:.40}: one mistake is told once"
        );
        let first = value.split(['\n', '\u{7}']).next().unwrap();
        // What is not in a list was not chosen from it.
        assert!(
            html.contains(first) || field == "challenge",
            "{value:.40} is lost"
        );
    }
    for password in ["", "wrong"] {
        let form = [("domain", "x.localhost"), ("password", password)];
        let (status, html) = save(&site, &owner, &form);
        assert!(
            status == 422 && html.contains("id=\"_password-error\""),
            "{html}"
        );
        assert!(html.contains("value=\"x.localhost\""), "{html}");
    }
    // Scripts that look alike are names like others, and are shown as requests have them.
    let saved = save(
        &site,
        &owner,
        &[("domain", "раураl.example"), ("www", "bare")],
    );
    assert_eq!(saved.0, 303);
    let html = site.text(&owner, "/admin/name").1;
    assert!(
        !html.contains("раураl.example") && html.contains("xn--"),
        "{html}"
    );
}

#[test]
fn what_the_file_sets_is_shown_as_set_there_and_wins() {
    let site = Site::with_settings(
        "domain = \"file.localhost\"\n[certificate]\ncontact = \"a@file.example\"\n",
    );
    let owner = site.set_up();
    let html = site.text(&owner, "/admin/name").1;
    assert!(html.contains("value=\"file.localhost\""), "{html}");
    assert_eq!(html.matches("Set in webstead.toml").count(), 2, "{html}");
    let form = [
        ("domain", "other.localhost"),
        ("contact", "b@other.example"),
        ("also", "more.localhost"),
    ];
    assert_eq!(save(&site, &owner, &form).0, 303);
    let port = site.base.rsplit(':').next().unwrap();
    let home = format!("https://file.localhost:{port}/");
    assert_eq!(leads(&site, "more.localhost"), Some(home));
    assert_eq!(leads(&site, "other.localhost"), None);
    let html = site.text(&owner, "/admin/name").1;
    assert!(
        !html.contains("other.localhost") && !html.contains("other.example"),
        "{html}"
    );
    // What was typed where the file says something else does not lie in wait.
    set(&site, "");
    let html = site.text(&owner, "/admin/name").1;
    assert!(!html.contains("other.localhost"), "{html}");
}

#[test]
fn settings_that_cannot_be_read_any_more_do_not_keep_the_server_from_starting() {
    let (mut site, owner) = Site::with_owner();
    assert_eq!(save(&site, &owner, &[("domain", "site.localhost")]).0, 303);
    assert!(site.stop().success());
    let database = rusqlite::Connection::open(site.data().join("site.db")).unwrap();
    let broken = "UPDATE settings SET value = '{\"domain\": \"site.localhost\", \"also\": 7}' WHERE name = 'names'";
    database.execute(broken, []).unwrap();
    drop(database);
    let check = command(site.data()).arg("check").output().unwrap();
    let said = String::from_utf8_lossy(&check.stderr);
    assert!(
        !check.status.success() && said.contains("set in the browser: also is not used"),
        "{said}"
    );
    let site = site.restart_stopped();
    assert!(leads(&site, "www.site.localhost").is_some());
    // A host of the file that has the name now wins.
    let toml = "[hosts.\"site.localhost\"]\nproxy = \"http://127.0.0.1:1\"\n";
    fs::write(site.data().join("webstead.toml"), toml).unwrap();
    site.signal("HUP");
    until(&site, "it is told", || {
        site.log()
            .contains("site.localhost is a host of webstead.toml")
    });
    assert_eq!(leads(&site, "www.site.localhost"), None);
}
