//! What browsers are told of HTTPS (RFC 6797), when, and how it is taken back.

use reqwest::blocking::Client;

use crate::{
    certificates::{await_certificate, set, shown},
    names_in_browser::send,
    pebble::{Options, Pebble},
    site::{PASSWORD, Site},
    waiting::until,
};

/// What a name tells browsers of HTTPS.
fn told(site: &Site, name: &str) -> Option<String> {
    let client = site
        .client_builder_for(&[name])
        .tls_danger_accept_invalid_certs(true)
        .build();
    let answer = client.unwrap().get(site.url_of(name, "/")).send().unwrap();
    let told = answer.headers().get("strict-transport-security");
    told.map(|told| told.to_str().unwrap().to_owned())
}

#[test]
fn browsers_are_told_to_come_over_https_alone_once_the_certificate_has_renewed_and_are_told_to_forget_it()
 {
    const PAGE: &str = "/admin/name/https-only";
    let (site, owner) = Site::with_owner();
    // A life of half a minute: what takes months otherwise.
    let options = Options {
        validity_s: 45,
        ..Options::default()
    };
    let Some(mut pebble) = Pebble::start(&site, options) else {
        return;
    };
    let settings = format!("domain = \"site.test\"\n{}", pebble.settings());
    set(&site, &settings);
    await_certificate(&site, &pebble, "site.test");
    let html = site.text(&owner, PAGE).1;
    assert!(
        html.contains("has not been renewed by itself yet"),
        "{html}"
    );
    let choose = |fields: &[(&str, &str)]| {
        let fields: Vec<_> = fields.iter().chain(&[("password", PASSWORD)]).collect();
        send(
            &site,
            &owner,
            PAGE,
            &fields.into_iter().copied().collect::<Vec<_>>(),
        )
    };
    let (status, html) = choose(&[("age", "day")]);
    assert!(
        status == 422 && html.contains("It is not offered yet"),
        "{html}"
    );
    assert_eq!(told(&site, "site.test"), None);
    until(&site, "renewed by itself", || {
        !site.text(&owner, PAGE).1.contains("Not offered yet")
    });
    let (status, html) = send(&site, &owner, PAGE, &[("age", "day"), ("password", "x")]);
    assert!(
        status == 422 && html.contains("id=\"_password-error\""),
        "{html}"
    );
    assert_eq!(choose(&[("age", "ever")]).0, 422);
    assert_eq!(told(&site, "site.test"), None);
    assert_eq!(choose(&[("age", "day"), ("subdomains", "on")]).0, 303);
    let on = "max-age=86400; includeSubDomains";
    assert_eq!(told(&site, "site.test").as_deref(), Some(on));
    for other in ["localhost", "www.site.test", "pi.local"] {
        assert_eq!(told(&site, other), None, "{other}");
    }
    let html = site.text(&owner, PAGE).1;
    assert!(html.contains("for 1 days from each visit"), "{html}");
    let plain = Client::new().get(format!("http://127.0.0.1:{}/", site.http_port));
    let plain = plain.header("Host", "site.test").send();
    assert!(
        plain.is_err()
            || !plain
                .unwrap()
                .headers()
                .contains_key("strict-transport-security")
    );
    // The authority is away until the end is near.
    pebble.stop();
    until(&site, "taken back before the end", || {
        told(&site, "site.test").as_deref() == Some("max-age=0")
    });
    pebble.start_again();
    // It has forgotten the account too; by itself it is asked again later.
    until(&site, "another account", || {
        let name = [("name", "site.test")];
        let asked = send(&site, &owner, "/admin/name/renew", &name);
        assert_eq!(asked.0, 303);
        std::thread::sleep(std::time::Duration::from_secs(1));
        shown(&site, "site.test", &pebble.root()).is_ok()
    });
    until(&site, "promised anew", || {
        told(&site, "site.test").as_deref() == Some(on)
    });
    assert_eq!(choose(&[("age", "off")]).0, 303);
    assert_eq!(told(&site, "site.test").as_deref(), Some("max-age=0"));
}
