//! Set-up, signing in and out, sessions, passwords.

use reqwest::StatusCode;

use crate::site::{OWNER, PASSWORD, Site};

#[test]
fn the_one_time_link_makes_the_owner_once() {
    let (site, _) = Site::with_owner();
    let stranger = site.client();
    let used = site.get(&stranger, site.setup_path.as_ref().unwrap());
    assert_eq!(used.status(), StatusCode::FORBIDDEN);
    let site = site.restart();
    assert!(
        site.setup_path.is_none(),
        "a site with an owner prints no link"
    );
}

#[test]
fn a_wrong_token_or_a_weak_password_makes_no_owner_and_the_form_comes_back_filled_in() {
    let site = Site::start();
    let client = site.client();
    assert_eq!(
        site.get(&client, "/setup?token=guess").status(),
        StatusCode::FORBIDDEN
    );
    let token = site.setup_token();
    let form = [
        ("token", token.as_str()),
        ("site_title", "Mine & yours"),
        ("display_name", "A"),
        ("name", "a b"),
        ("password", "short"),
    ];
    let answer = site.post(&client, "/setup").form(&form).send().unwrap();
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let html = answer.text().unwrap();
    for expected in ["Mine &#38; yours", "10 or more", "cannot have &#39; &#39;"] {
        assert!(html.contains(expected), "{expected} is not in {html}");
    }
}

#[test]
fn a_session_survives_a_restart_and_ends_when_it_is_revoked_or_signed_out() {
    let (site, first) = Site::with_owner();
    let cookie = site.get(&first, "/admin").status();
    assert_eq!(cookie, StatusCode::OK);
    let second = site.sign_in(OWNER, PASSWORD);
    let answer = site
        .post(&second, "/admin/sessions/revoke-others")
        .send()
        .unwrap();
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(
        site.get(&first, "/admin").status(),
        StatusCode::SEE_OTHER,
        "the first is signed out"
    );
    assert_eq!(site.get(&second, "/admin").status(), StatusCode::OK);
    assert_eq!(
        site.post(&second, "/sign-out").send().unwrap().status(),
        StatusCode::SEE_OTHER
    );
    assert_eq!(site.get(&second, "/admin").status(), StatusCode::SEE_OTHER);
}

#[test]
fn a_session_cookie_is_still_good_after_a_restart() {
    let (site, _) = Site::with_owner();
    let client = site.client();
    let answer = site
        .post(&client, "/sign-in")
        .form(&[("name", OWNER), ("password", PASSWORD)])
        .send()
        .unwrap();
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
    for attribute in [
        "__Host-session=",
        "HttpOnly",
        "Secure",
        "SameSite=Lax",
        "Path=/",
    ] {
        assert!(cookie.contains(attribute), "{attribute} is not in {cookie}");
    }
    let site = site.restart();
    let pair = cookie.split(';').next().unwrap();
    let answer = site
        .client()
        .get(site.url("/admin"))
        .header("Cookie", pair)
        .send()
        .unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
}

#[test]
fn guessing_a_password_is_slowed_down_and_says_how_long() {
    let (site, _) = Site::with_owner();
    let client = site.client();
    let guess = || {
        site.post(&client, "/sign-in")
            .form(&[("name", OWNER), ("password", "wrong wrong wrong")])
            .send()
            .unwrap()
    };
    let statuses: Vec<u16> = (0..11).map(|_| guess().status().as_u16()).collect();
    assert_eq!(statuses[..10], [422; 10]);
    let refused = guess();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait: u64 = refused.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=31).contains(&wait), "{wait}");
}

#[test]
fn a_changed_password_ends_other_sessions_and_needs_the_old_one() {
    let (site, first) = Site::with_owner();
    let second = site.sign_in(OWNER, PASSWORD);
    let change = |current: &str| {
        site.post(&second, "/admin/account/password")
            .form(&[("current", current), ("new", "another good password")])
            .send()
            .unwrap()
            .status()
    };
    assert_eq!(change("not the password"), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(change(PASSWORD), StatusCode::SEE_OTHER);
    assert_eq!(site.get(&first, "/admin").status(), StatusCode::SEE_OTHER);
    assert_eq!(site.get(&second, "/admin").status(), StatusCode::OK);
    site.sign_in(OWNER, "another good password");
}

#[test]
fn a_form_without_its_guard_or_from_another_site_does_nothing() {
    let (site, client) = Site::with_owner();
    let send = |headers: &[(&str, &str)]| {
        let mut request = client
            .post(site.url("/admin/posts"))
            .form(&[("title", "Forged"), ("action", "publish")]);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().unwrap().status()
    };
    for headers in [
        &[][..],
        &[("Sec-Fetch-Site", "cross-site")],
        &[("Sec-Fetch-Site", "same-site")],
        &[("Origin", "https://evil.example")],
        &[("Origin", "null")],
    ] {
        assert_eq!(send(headers), StatusCode::FORBIDDEN, "{headers:?}");
    }
    assert!(!site.text(&client, "/admin").1.contains("Forged"));
    let origin = site.base.clone();
    assert_eq!(send(&[("Origin", &origin)]), StatusCode::SEE_OTHER);
}
