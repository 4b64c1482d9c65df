//! Bad input: a clear error, and nothing lost.

use std::{
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::StatusCode;

use crate::site::{OWNER, PASSWORD, Site};

#[test]
fn script_in_every_field_never_reaches_a_page() {
    let (site, editor) = Site::with_owner();
    let evil = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'><svg onload=alert(1)>";
    let fields = [
        ("title", evil),
        ("description", evil),
        ("tags", evil),
        ("authors", evil),
        (
            "markdown",
            &format!(
                "{evil}\n\n[x](javascript:alert(1)) <a href=\"javascript:x\">y</a>\n\n```{evil}\n{evil}\n```"
            ),
        ),
    ];
    let edit = site.publish(&editor, &fields);
    let view = site.text(&editor, &edit).1;
    let address = crate::site::between(&view, "name=\"address\"", ">");
    let address = crate::site::between(address, "value=\"", "\"").to_owned();
    for path in [
        "/",
        &address,
        "/tags",
        "/archive",
        "/admin",
        "/feed.xml",
        &edit,
        "/admin?q=<script>alert(1)</script>",
    ] {
        let (status, html) = site.text(&editor, path);
        assert_eq!(status, 200, "{path}");
        for bad in [
            "<script>",
            "<img src=x",
            "onerror=alert(1)>",
            "<svg",
            "href=\"javascript:",
        ] {
            assert!(!html.contains(bad), "{bad} is in {path}: {html}");
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_with_the_text_given_back() {
    let (site, editor) = Site::with_owner();
    let long = "x".repeat(10_000);
    let huge = "word ".repeat(120_000);
    for (field, value, message) in [
        (
            "title",
            long.as_str(),
            "10000 characters; shorten it to 300",
        ),
        ("title", " \t ", "Give it a title"),
        ("address", "/a/../b", "has “..” between its slashes"),
        ("address", "/admin/x", "addresses that begin with /admin"),
        ("published", "yesterday", "“yesterday” is not a date"),
        ("tags", "!!!", "needs a letter or a digit"),
        ("markdown", huge.as_str(), "split it into parts"),
        ("markdown", "a\0b", "NUL"),
    ] {
        let mut form = vec![
            ("title", "Fine"),
            ("markdown", "kept text"),
            ("action", "publish"),
        ];
        form.retain(|(name, _)| *name != field);
        form.push((field, value));
        let answer = site
            .post(&editor, "/admin/posts")
            .form(&form)
            .send()
            .unwrap();
        assert_eq!(
            answer.status(),
            StatusCode::UNPROCESSABLE_ENTITY,
            "{field}={value:.20}"
        );
        let html = answer.text().unwrap();
        assert!(
            html.contains(message),
            "{message} is not in the page for {field}"
        );
        assert!(field == "markdown" || html.contains("kept text"), "{field}");
    }
    assert!(!site.text(&editor, "/admin").1.contains("Fine"));
}

#[test]
fn strange_but_valid_text_is_kept_as_it_is() {
    let (site, editor) = Site::with_owner();
    let text = "emoji 🦀, right-to-left שלום, combining e\u{301}, zero-width a\u{200d}b";
    let edit = site.publish(&editor, &[("title", "🦀"), ("markdown", text)]);
    assert!(site.text(&editor, &edit).1.contains(text));
    let edit = site.publish(&editor, &[("title", "שלום עולם"), ("markdown", text)]);
    assert!(site.text(&editor, &edit).1.contains("/שלום-עולם"));
    site.publish(&editor, &[("title", "Admin"), ("markdown", text)]);
    assert_eq!(
        site.text(&editor, "/admin-post").0,
        200,
        "a reserved address is not taken"
    );
}

#[test]
fn damaged_and_oversized_forms_get_a_page_that_says_so() {
    let (site, editor) = Site::with_owner();
    let send = |body: Vec<u8>| {
        site.post(&editor, "/admin/posts")
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(body)
            .send()
            .unwrap()
    };
    let answer = send(b"title=%ff%fe&markdown=x".to_vec());
    // What is not text is shown as such, and can be corrected.
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    let edit = answer.headers()["location"].to_str().unwrap();
    assert!(
        site.text(&editor, edit)
            .1
            .contains("value=\"\u{fffd}\u{fffd}\"")
    );
    let answer = send(vec![0xff, 0xfe, 0x00]);
    assert!(answer.status().is_client_error(), "{}", answer.status());
    let answer = send(b"revision=abc&title=x".to_vec());
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let answer = send(vec![b'a'; 20 << 20]);
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(answer.text().unwrap().contains("Nothing was saved"));
}

#[test]
fn a_cookie_that_only_decodes_to_the_sessions_name_neither_signs_in_nor_out() {
    let (site, _) = Site::with_owner();
    let signed_in = site
        .post(&site.client(), "/sign-in")
        .form(&[("name", OWNER), ("password", PASSWORD)])
        .send()
        .unwrap();
    let cookie = signed_in.headers()["set-cookie"].to_str().unwrap();
    let cookie = cookie.split(';').next().unwrap();
    let status = |cookies: &str| {
        let client = site.client();
        let answer = client.get(site.url("/admin")).header("Cookie", cookies);
        answer.send().unwrap().status()
    };
    assert_eq!(status(cookie), StatusCode::OK);
    // Anybody on the network may set a cookie of this name, with a longer path, so that it comes first.
    let planted = format!("__Host%2Dsession=AAAA; {cookie}");
    assert_eq!(status(&planted), StatusCode::OK);
    let stolen = cookie.replace("__Host-", "__Host%2D");
    assert_eq!(status(&stolen), StatusCode::SEE_OTHER);
}

#[test]
fn who_holds_many_large_forms_back_is_refused_more_and_small_ones_go_on() {
    let (site, _) = Site::with_owner();
    let (release, waiting) = (Arc::new(Barrier::new(3)), Arc::new(AtomicUsize::new(0)));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let (site, release, waiting) = (&site, Arc::clone(&release), Arc::clone(&waiting));
            scope.spawn(move || {
                let body = HeldBack {
                    left: 8_000_000,
                    release,
                    waiting,
                };
                let _ = site
                    .post(&site.client(), "/sign-in")
                    .body(reqwest::blocking::Body::sized(body, 8_000_001))
                    .send();
            });
        }
        while waiting.load(Ordering::Relaxed) < 2 {
            std::thread::sleep(Duration::from_millis(10));
        }
        // What was sent has arrived when a third one of this size is refused.
        let send = |bytes: usize| {
            let answer = site
                .post(&site.client(), "/sign-in")
                .header("Content-Type", "application/x-www-form-urlencoded")
                .body("x".repeat(bytes))
                .send();
            answer.map_or(StatusCode::SERVICE_UNAVAILABLE, |answer| answer.status())
        };
        let until = Instant::now() + Duration::from_secs(20);
        while send(8_000_000) != StatusCode::SERVICE_UNAVAILABLE {
            assert!(Instant::now() < until, "a third large form was taken too");
        }
        assert_ne!(send(1000), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(site.text(&site.client(), "/").0, 200);
        release.wait();
    });
}

/// A body that comes at once but for its last byte.
struct HeldBack {
    left: usize,
    release: Arc<Barrier>,
    waiting: Arc<AtomicUsize>,
}

impl std::io::Read for HeldBack {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 {
            self.waiting.fetch_add(1, Ordering::Relaxed);
            self.release.wait();
            return Ok(0);
        }
        let now = into.len().min(self.left);
        into[..now].fill(b'x');
        self.left -= now;
        Ok(now)
    }
}

#[test]
fn a_stolen_or_made_up_session_is_nobody() {
    let (site, _) = Site::with_owner();
    let client = site.client();
    for cookie in [
        "__Host-session=",
        "__Host-session=AAAA",
        "__Host-session=' OR 1=1 --",
        "__Host-session=%00%ff",
        "__host-session=AAAA",
    ] {
        let answer = client
            .get(site.url("/admin"))
            .header("Cookie", cookie)
            .send()
            .unwrap();
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{cookie}");
        assert_eq!(
            client
                .get(site.url("/"))
                .header("Cookie", cookie)
                .send()
                .unwrap()
                .status(),
            StatusCode::OK
        );
    }
}
