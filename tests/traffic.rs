//! Who is limited, and what the owner sees of it.

use std::{
    io::{Read as _, Write as _},
    time::Duration,
};

use reqwest::StatusCode;

use crate::{
    site::{Site, between},
    tools::html_errors,
};

/// Few pages at once, so that a test need not ask for many.
const FEW_PAGES: &str = "[pages]\nat_once = 20\nper_second = 1\n";

/// Whether the HTML checker finds nothing, or is not there.
fn is_valid(html: String) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("page.html");
    std::fs::write(&file, html).unwrap();
    html_errors(&[file]).is_none_or(|errors| errors.is_empty())
}

#[test]
fn whoever_asks_for_page_after_page_is_slowed_down_and_cached_pages_go_on() {
    let site = Site::with_settings(FEW_PAGES);
    let owner = site.set_up();
    site.publish(&owner, &[("title", "Kept"), ("markdown", "a page")]);
    let visitor = site.client();
    assert_eq!(site.text(&visitor, "/kept").0, 200);
    let mut refused = None;
    for n in 0..60 {
        let answer = site.get(&visitor, &format!("/nothing-{n}"));
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            refused = Some(answer);
            break;
        }
        assert_eq!(answer.status(), 404);
    }
    let refused = refused.expect("nobody was slowed down");
    let wait: u64 = refused.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=5).contains(&wait));
    let page = refused.text().unwrap();
    assert!(is_valid(page));
    for _ in 0..100 {
        assert_eq!(site.text(&visitor, "/kept").0, 200, "it is kept ready");
    }
    let style = site.text(&visitor, "/kept").1;
    let style = format!("/assets/{}", between(&style, "href=\"/assets/", "\""));
    assert_eq!(site.text(&visitor, &style).0, 200);

    std::thread::sleep(Duration::from_secs(3));
    let traffic = site.text(&owner, "/admin/traffic").1;
    assert!(traffic.contains(">127.0.0.1</a>"), "{traffic}");
    let found = between(&traffic, "href=\"/admin/traffic?q=", "\"");
    let found = site
        .text(&owner, &format!("/admin/traffic?q={found}+nothing-"))
        .1;
    assert!(found.contains("GET /nothing-"), "{found}");
    assert!(traffic.contains("too many pages"), "{traffic}");
    let metrics = site.text(&site.client(), "/metrics").1;
    let limited = between(&metrics, "webstead_limited_total{kind=\"pages\"} ", "\n");
    assert!(limited.parse::<f64>().unwrap() >= 1.0, "{limited}");
}

/// Asks for addresses where nothing is until that is too much, and gives the answer that says so.
fn asked_too_much(site: &Site, below: &str) -> reqwest::blocking::Response {
    let visitor = site.client();
    let refused = (0..600).find_map(|n| {
        let answer = site.get(&visitor, &format!("{below}/nothing-{n}"));
        (answer.status() == StatusCode::TOO_MANY_REQUESTS).then_some(answer)
    });
    refused.unwrap_or_else(|| panic!("nobody was slowed down below {below}"))
}

#[test]
fn who_is_signed_in_is_never_slowed_down_and_who_pretends_to_be_is() {
    let site = Site::with_settings(FEW_PAGES);
    let owner = site.set_up();
    let refused = asked_too_much(&site, "");
    assert_eq!(refused.headers()["x-content-type-options"], "nosniff");
    assert!(refused.headers().contains_key("referrer-policy"));
    for path in ["/admin", "/admin/traffic", "/not-there"].repeat(15) {
        assert_ne!(site.text(&owner, path).0, 429, "{path}");
    }
    let pretending = (0..60).any(|n| {
        let request = site.client().get(site.url(&format!("/made-up-{n}")));
        let answer = request.header("Cookie", "__Host-session=AAAA").send();
        answer.unwrap().status() == StatusCode::TOO_MANY_REQUESTS
    });
    assert!(pretending, "a made-up session is a way around the limit");
}

#[test]
fn addresses_of_files_count_less_than_pages_and_not_for_nothing() {
    let site = Site::with_settings(FEW_PAGES);
    let visitor = site.client();
    for n in 0..100 {
        let path = format!("/media/none/{n}.jpg");
        assert_eq!(
            site.text(&visitor, &path).0,
            404,
            "{n}: one page may have many"
        );
    }
    for below in ["/media/none", "/assets"] {
        asked_too_much(&site, below);
    }
}

#[test]
fn whoever_begins_and_does_not_go_on_is_named() {
    let site = Site::start();
    let port: u16 = site.base.rsplit(':').next().unwrap().parse().unwrap();
    let silent = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut half = site.connect("127.0.0.1");
    half.write_all(b"GET /half HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        .unwrap();
    // As browsers open them before they know what for.
    let mut in_reserve = site.connect("127.0.0.1");
    in_reserve.conn.complete_io(&mut in_reserve.sock).unwrap();
    let mut rest = Vec::new();
    let _ = (&silent).read_to_end(&mut rest);
    assert_eq!(slow_ones(&site), 1, "the one that said nothing at all");
    let _ = half.read_to_end(&mut rest);
    drop(half);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(slow_ones(&site), 2, "the one that said half of it");
    let _ = in_reserve.read_to_end(&mut rest);
    drop(in_reserve);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(slow_ones(&site), 2, "a reserve is not slow");
}

/// How often somebody was too slow.
fn slow_ones(site: &Site) -> u32 {
    let metrics = site.text(&site.client(), "/metrics").1;
    let slow = between(&metrics, "webstead_limited_total{kind=\"slow\"} ", ".");
    slow.parse().unwrap()
}

#[test]
fn connections_guesses_and_forms_that_are_too_many_are_named() {
    let site = Site::with_settings("[limits]\nconnections_per_network = 30\n");
    let owner = site.set_up();
    let guesser = site.client();
    for _ in 0..12 {
        let form = [("name", "ada"), ("password", "wrong")];
        site.post(&guesser, "/sign-in").form(&form).send().unwrap();
    }
    let large = vec![b'x'; 9 << 20];
    let answer = site.post(&site.client(), "/sign-in").body(large).send();
    assert!(answer.is_err() || answer.is_ok_and(|a| a.status() == StatusCode::PAYLOAD_TOO_LARGE));
    let port: u16 = site.base.rsplit(':').next().unwrap().parse().unwrap();
    let held: Vec<_> = (0..60)
        .map(|_| std::net::TcpStream::connect(("127.0.0.1", port)).unwrap())
        .collect();
    std::thread::sleep(Duration::from_millis(500));
    drop(held);
    std::thread::sleep(Duration::from_millis(500));
    let traffic = site.text(&owner, "/admin/traffic").1;
    assert!(traffic.contains("tries to sign in"), "{traffic}");
    assert!(traffic.contains("too many connections"), "{traffic}");
    assert!(traffic.contains("forms that are too much"), "{traffic}");
}

#[test]
fn a_request_is_found_by_the_id_that_its_error_page_shows() {
    let (site, owner) = Site::with_owner();
    let visitor = site.client();
    let hostile = "/nothing?<script>alert(1)</script>&\"onload=\"x";
    site.text(&visitor, hostile);
    let misdirected = b"GET /astray HTTP/1.1\r\nHost: other.localhost\r\nConnection: close\r\n\r\n";
    let page = site.raw_to("localhost", misdirected);
    let id = between(&page, "<code>", "</code>");
    site.text(&visitor, "/another");
    let found = site.text(&owner, &format!("/admin/traffic?q={id}")).1;
    assert!(found.contains("GET /astray"), "{found}");
    assert!(!found.contains("GET /another"), "{found}");
    let found = site
        .text(&owner, "/admin/traffic?q=127.0.0.1+404+NOTHING")
        .1;
    assert!(found.contains("GET /nothing?"), "{found}");
    assert!(!found.contains("GET /another"), "{found}");
    assert!(!found.contains("<script>alert"), "{found}");
    assert!(is_valid(found));
    let hostile = "\"><img src=x onerror=alert(1)>".repeat(50);
    let query: String = url::form_urlencoded::byte_serialize(hostile.as_bytes()).collect();
    let text = site.text(&owner, &format!("/admin/traffic?q={query}")).1;
    assert!(
        text.contains("None of the last requests") && !text.contains("<img"),
        "{text}"
    );
}

#[test]
fn what_is_not_remembered_is_not_shown() {
    let site = Site::with_settings("[log]\naccess = \"off\"\n");
    let owner = site.set_up();
    let traffic = site.text(&owner, "/admin/traffic").1;
    assert!(traffic.contains("not remembered"), "{traffic}");
    assert!(traffic.contains("Nobody was limited"), "{traffic}");
    let answer = site.get(&owner, "/admin/traffic");
    assert_eq!(answer.headers()["cache-control"], "no-store");
}
