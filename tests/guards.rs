//! Who may do what: every door of the site, tried by everybody who should not come in.

use reqwest::{Method, StatusCode};

use crate::site::{OWNER, PASSWORD, Site, between};

/// Pages that only people who are signed in may see.
const PRIVATE: [&str; 19] = [
    "/admin",
    "/admin/trash",
    "/admin/posts/new",
    "/admin/account",
    "/admin/settings",
    "/admin/name",
    "/admin/name/progress",
    "/admin/name/https-only",
    "/admin/name/dns",
    "/admin/name/router",
    "/admin/hosts",
    "/admin/hosts/new/files",
    "/admin/hosts/1",
    "/admin/traffic",
    "/admin/disk",
    "/admin/backups",
    "/admin/backups/place",
    "/admin/doctor",
    "/admin?q=x",
];

/// Every address that takes a form; `{post}` is the editor of a post.
const FORMS: [&str; 34] = [
    "/admin/disk/check",
    "/admin/backups",
    "/admin/backups/place",
    "/admin/backups/place/remove",
    "/admin/backups/place/undo",
    "/admin/posts",
    "/admin/preview",
    "{post}",
    "{post}/trash",
    "{post}/restore",
    "{post}/delete",
    "/admin/account/password",
    "/admin/sessions/revoke-others",
    "/admin/sessions/1/revoke",
    "/admin/settings",
    "/admin/name",
    "/admin/name/https-only",
    "/admin/name/dns",
    "/admin/name/dns/remove",
    "/admin/name/dns/compare",
    "/admin/name/router",
    "/admin/name/router/look",
    "/admin/name/router/close",
    "/admin/name/undo",
    "/admin/name/switch",
    "/admin/name/renew",
    "/admin/hosts/new/files",
    "/admin/hosts/new/proxy",
    "/admin/hosts/1",
    "/admin/hosts/1/remove",
    "/admin/hosts/1/restore",
    "/admin/doctor",
    "/sign-in",
    "/sign-out",
];

const FORM: [(&str, &str); 10] = [
    ("title", "Forged"),
    ("markdown", "forged"),
    ("site_title", "Forged"),
    ("revision", "1"),
    ("action", "publish"),
    ("name", OWNER),
    ("password", PASSWORD),
    ("current", PASSWORD),
    ("new", "a forged password"),
    ("kind", "post"),
];

#[test]
fn nobody_who_is_not_signed_in_sees_or_changes_anything() {
    let (site, editor) = Site::with_owner();
    let edit = site.publish(&editor, &[("title", "Mine"), ("markdown", "my text")]);
    let stranger = site.client();
    for path in PRIVATE.iter().copied().chain([edit.as_str()]) {
        let answer = site.get(&stranger, path);
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{path}");
        let to = answer.headers()["location"].to_str().unwrap();
        assert!(
            to.starts_with("/sign-in?return_to="),
            "{path} leads to {to}"
        );
    }
    for path in FORMS {
        if path.starts_with("/sign-") {
            continue;
        }
        let path = path.replace("{post}", &edit);
        let answer = site.post(&stranger, &path).form(&FORM).send().unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{path}");
    }
    let html = site.text(&editor, "/mine").1;
    assert!(html.contains("my text"), "{html}");
    assert!(!site.text(&editor, "/admin").1.contains("Forged"));
}

#[test]
fn no_form_can_be_sent_for_somebody_from_another_site() {
    let (site, editor) = Site::with_owner();
    let edit = site.publish(&editor, &[("title", "Mine"), ("markdown", "my text")]);
    let fresh = Site::start();
    let setup = fresh
        .client()
        .post(fresh.url("/setup"))
        .header("Sec-Fetch-Site", "cross-site")
        .form(&[("token", fresh.setup_token().as_str()), ("name", "x")])
        .send()
        .unwrap();
    assert_eq!(setup.status(), StatusCode::FORBIDDEN);
    for path in FORMS {
        let path = path.replace("{post}", &edit);
        for (name, value) in [
            ("Sec-Fetch-Site", "cross-site"),
            ("Origin", "https://evil.example"),
            ("Origin", "http://127.0.0.1"),
            ("X-Nothing", "neither header"),
        ] {
            let answer = editor
                .post(site.url(&path))
                .header(name, value)
                .form(&FORM)
                .send()
                .unwrap();
            assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{path} {name}");
        }
    }
    assert!(site.text(&editor, "/mine").1.contains("my text"));
    assert_eq!(site.text(&editor, "/admin").0, 200, "still signed in");
}

#[test]
fn an_editor_cannot_do_what_is_the_owners_or_end_another_persons_session() {
    let (site, owner) = Site::with_owner();
    let mut add = crate::site::command(site.data())
        .args(["user", "add", "grace", "--password-stdin"])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut add.stdin.take().unwrap(), b"a fine password\n").unwrap();
    assert!(add.wait().unwrap().success());
    let grace = site.sign_in("grace", "a fine password");
    for path in [
        "/admin/settings",
        "/admin/name",
        "/admin/name/progress",
        "/admin/name/router",
        "/admin/hosts",
        "/admin/hosts/new/files",
        "/admin/traffic",
        "/admin/disk",
        "/admin/backups",
        "/admin/backups/place",
        "/admin/doctor",
    ] {
        assert_eq!(site.text(&grace, path).0, 403, "{path}");
    }
    for path in [
        "/admin/name",
        "/admin/name/undo",
        "/admin/name/switch",
        "/admin/name/renew",
        "/admin/name/dns/compare",
        "/admin/name/router",
        "/admin/name/router/look",
        "/admin/name/router/close",
        "/admin/hosts/new/files",
        "/admin/hosts/1",
        "/admin/hosts/1/remove",
        "/admin/backups/place",
        "/admin/backups/place/remove",
        "/admin/backups/place/undo",
        "/admin/doctor",
    ] {
        let form = [
            ("name", "a.localhost"),
            ("files", "/srv"),
            ("password", "a fine password"),
        ];
        let answer = site.post(&grace, path).form(&form).send().unwrap();
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{path}");
    }
    let answer = site
        .post(&grace, "/admin/settings")
        .form(&[
            ("title", "Taken over"),
            ("tagline", ""),
            ("language", "en"),
            ("time_zone", "UTC"),
            ("posts_per_page", "10"),
        ])
        .send()
        .unwrap();
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert!(!site.text(&grace, "/").1.contains("Taken over"));

    let sessions: Vec<i64> = rusqlite::Connection::open(site.data().join("site.db"))
        .unwrap()
        .prepare("SELECT s.id FROM sessions s JOIN users u ON u.id = s.user_id WHERE u.name = ?1")
        .unwrap()
        .query_map([OWNER], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(sessions.len(), 1);
    let revoke = format!("/admin/sessions/{}/revoke", sessions[0]);
    site.post(&grace, &revoke).send().unwrap();
    assert_eq!(
        site.text(&owner, "/admin").0,
        200,
        "the owner is still signed in"
    );
    site.post(&owner, &revoke).send().unwrap();
    assert_eq!(
        site.text(&owner, "/admin").0,
        303,
        "one's own session can be ended"
    );
    assert_eq!(site.text(&grace, "/admin").0, 200);
}

#[test]
fn what_an_editor_sees_is_never_kept_for_visitors() {
    let (site, editor) = Site::with_owner();
    let edit = site.publish(&editor, &[("title", "Post"), ("markdown", "x")]);
    let visitor = site.client();
    for _ in 0..3 {
        for path in ["/", "/post", "/tags", "/archive"] {
            let answer = site.get(&editor, path);
            let caching = answer.headers()["cache-control"]
                .to_str()
                .unwrap()
                .to_owned();
            assert!(
                caching.contains("private") || caching.contains("no-store"),
                "{path} {caching}"
            );
            assert!(answer.text().unwrap().contains("/admin"), "{path}");
            let answer = site.get(&visitor, path);
            let vary = answer.headers()["vary"].to_str().unwrap().to_owned();
            assert!(vary.contains("Cookie"), "{path} {vary}");
            let html = answer.text().unwrap();
            assert!(
                !html.contains("/admin") && !html.contains(&edit),
                "{path}: {html}"
            );
        }
    }
}

#[test]
fn guesses_from_one_place_are_slowed_down_even_if_each_is_for_another_name() {
    let (site, _) = Site::with_owner();
    let client = site.client();
    let statuses: Vec<u16> = (0..30)
        .map(|number| {
            site.post(&client, "/sign-in")
                .form(&[("name", format!("user{number}")), ("password", "x".into())])
                .send()
                .unwrap()
                .status()
                .as_u16()
        })
        .collect();
    assert_eq!(statuses[..20], [422; 20]);
    assert!(statuses.contains(&429), "{statuses:?}");
}

#[test]
fn the_answer_does_not_tell_whether_a_name_exists() {
    let (site, _) = Site::with_owner();
    let client = site.client();
    let refused = |name: &str| {
        let answer = site
            .post(&client, "/sign-in")
            .form(&[("name", name), ("password", "wrong wrong")])
            .send()
            .unwrap();
        let html = answer.text().unwrap();
        between(&html, "<main", "</main>").replace(name, "NAME")
    };
    assert_eq!(refused(OWNER), refused("xyz"));
}

#[test]
fn signing_in_never_leads_to_another_site() {
    let (site, _) = Site::with_owner();
    for target in [
        "//evil.example",
        "https://evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "/%0d%0aSet-Cookie:x=y",
        "javascript:alert(1)",
    ] {
        let client = site.client();
        let answer = site
            .post(&client, "/sign-in")
            .form(&[
                ("name", OWNER),
                ("password", PASSWORD),
                ("return_to", target),
            ])
            .send()
            .unwrap();
        let to = answer.headers()["location"].to_str().unwrap().to_owned();
        let joined = reqwest::Url::parse(&site.url("/sign-in"))
            .unwrap()
            .join(&to)
            .unwrap();
        assert_eq!(
            joined.origin().ascii_serialization(),
            site.base,
            "{target} leads to {to}"
        );
        assert!(answer.headers().get_all("set-cookie").iter().count() == 1);
    }
}

#[test]
fn methods_that_mean_nothing_here_are_refused_everywhere() {
    let (site, editor) = Site::with_owner();
    site.publish(&editor, &[("title", "Post"), ("markdown", "x")]);
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"] {
        for path in ["/", "/post", "/admin", "/feed.xml", "/nope", "/favicon.ico"] {
            let answer = editor
                .request(
                    Method::from_bytes(method.as_bytes()).unwrap(),
                    site.url(path),
                )
                .header("Sec-Fetch-Site", "same-origin")
                .send()
                .unwrap();
            let status = answer.status();
            // Asking what may be done does nothing (RFC 9110 section 9.3.7).
            let is_question = method == "OPTIONS" && status == StatusCode::NO_CONTENT;
            assert!(
                is_question || status.is_client_error(),
                "{method} {path} gives {status}"
            );
        }
    }
    assert_eq!(site.text(&site.client(), "/post").0, 200);
}
