//! HTTP as it should be.

use std::io::{Read, Write};

use reqwest::{StatusCode, Version};

use crate::{site::Site, waiting::until};

#[test]
fn head_is_get_without_its_body_on_both_versions_of_http() {
    let (site, editor) = Site::with_owner();
    site.publish(
        &editor,
        &[("title", "Post"), ("markdown", &"text ".repeat(500))],
    );
    for client in [
        site.client(),
        site.client_builder().http1_only().build().unwrap(),
    ] {
        for path in ["/", "/post", "/feed.xml", "/nope", "/favicon.ico"] {
            let get = site.get(&client, path);
            let head = client.head(site.url(path));
            // Only GET has ranges (RFC 9110 section 14.2).
            let head = head.header("range", "bytes=0-0").send().unwrap();
            assert_eq!(head.status(), get.status(), "{path}");
            for name in ["content-type", "etag", "content-length"] {
                assert_eq!(
                    head.headers().get(name),
                    get.headers().get(name),
                    "{path} {name}"
                );
            }
            assert!(head.bytes().unwrap().is_empty());
        }
    }
}

#[test]
fn http_2_is_spoken_where_the_client_can() {
    let site = Site::start();
    assert_eq!(site.get(&site.client(), "/").version(), Version::HTTP_2);
    let old = site.client_builder().http1_only().build().unwrap();
    assert_eq!(site.get(&old, "/").version(), Version::HTTP_11);
}

#[test]
fn a_page_that_the_visitor_has_is_not_sent_again_until_something_changes() {
    let (site, editor) = Site::with_owner();
    site.publish(&editor, &[("title", "Post"), ("markdown", "x")]);
    let visitor = site.client();
    let etag = site.get(&visitor, "/").headers()["etag"].clone();
    let ask = |tag: &str| {
        visitor
            .get(site.url("/"))
            .header("If-None-Match", tag)
            .send()
            .unwrap()
    };
    for tag in [
        etag.to_str().unwrap().to_owned(),
        "*".into(),
        format!("\"other\", {}", etag.to_str().unwrap()),
    ] {
        let answer = ask(&tag);
        assert_eq!(answer.status(), StatusCode::NOT_MODIFIED, "{tag}");
        assert_eq!(answer.headers()["etag"], etag);
        assert!(answer.bytes().unwrap().is_empty());
    }
    site.publish(&editor, &[("title", "Another"), ("markdown", "x")]);
    let answer = ask(etag.to_str().unwrap());
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(
        answer.text().unwrap().contains("Another"),
        "a cached page changes with the next save"
    );
}

#[test]
fn pages_are_compressed_as_the_visitor_accepts_and_come_back_the_same() {
    let (site, editor) = Site::with_owner();
    site.publish(
        &editor,
        &[("title", "Post"), ("markdown", &"many words ".repeat(400))],
    );
    let plain = site.client_builder().no_gzip().no_brotli().build().unwrap();
    let body = site.get(&plain, "/post").bytes().unwrap();
    for encoding in ["br", "gzip"] {
        let raw = plain
            .get(site.url("/post"))
            .header("Accept-Encoding", encoding)
            .send()
            .unwrap();
        assert_eq!(raw.headers()["content-encoding"], encoding);
        assert!(
            raw.headers()["vary"]
                .to_str()
                .unwrap()
                .contains("Accept-Encoding")
        );
        let compressed = raw.bytes().unwrap();
        assert!(compressed.len() < body.len() / 2);
        let mut back = Vec::new();
        match encoding {
            "br" => brotli::Decompressor::new(&compressed[..], 4096)
                .read_to_end(&mut back)
                .unwrap(),
            _ => flate2::read::GzDecoder::new(&compressed[..])
                .read_to_end(&mut back)
                .unwrap(),
        };
        assert_eq!(back, body);
    }
}

#[test]
fn plain_http_only_redirects_and_only_to_this_host() {
    let site = Site::start();
    let ask = |path: &str, host: &str| -> String {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", site.http_port)).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.to_lowercase()
    };
    let port = site.base.rsplit(':').next().unwrap();
    let answer = ask("/a?b=c", "example.org:8080");
    assert!(answer.starts_with("http/1.1 308"), "{answer}");
    assert!(
        answer.contains(&format!("location: https://example.org:{port}/a?b=c\r\n")),
        "{answer}"
    );
    let answer = ask("//evil.example/x", "example.org");
    assert!(
        answer.contains(&format!(
            "location: https://example.org:{port}/evil.example/x\r\n"
        )),
        "{answer}"
    );
    assert!(ask("/", "bad host<>").starts_with("http/1.1 400"));
}

#[test]
fn untidy_addresses_redirect_within_the_site() {
    let site = Site::start();
    let client = site.client_builder().http1_only().build().unwrap();
    for (path, to) in [
        ("/archive/", "/archive"),
        ("/archive//?x=1", "/archive?x=1"),
        ("//evil.example/", "/evil.example"),
    ] {
        let answer = site.get(&client, path);
        assert_eq!(answer.status(), StatusCode::MOVED_PERMANENTLY, "{path}");
        assert_eq!(answer.headers()["location"], to, "{path}");
    }
}

#[test]
fn every_answer_has_the_security_headers_and_no_page_needs_inline_code() {
    let (site, editor) = Site::with_owner();
    site.publish(&editor, &[("title", "Post"), ("markdown", "x")]);
    let client = site.client();
    for path in [
        "/",
        "/post",
        "/nope",
        "/archive/",
        "/admin",
        "/sign-in",
        "/feed.xml",
        "/favicon.ico",
        "/setup?token=x",
    ] {
        let answer = site.get(&client, path);
        let headers = answer.headers().clone();
        for (name, expected) in [
            ("content-security-policy", "default-src 'none'"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "strict-origin-when-cross-origin"),
            ("content-security-policy", "frame-ancestors 'none'"),
        ] {
            let value = headers
                .get(name)
                .unwrap_or_else(|| panic!("{path} has no {name}"));
            assert!(value.to_str().unwrap().contains(expected), "{path} {name}");
        }
        assert!(
            !headers["content-security-policy"]
                .to_str()
                .unwrap()
                .contains("unsafe-inline"),
            "{path}"
        );
    }
    for path in [
        "/",
        "/post",
        "/admin",
        "/admin/posts/new",
        "/admin/settings",
    ] {
        let html = site.text(&editor, path).1;
        assert!(
            !html.contains(" style=") && !html.contains("<style") && !html.contains(" onclick"),
            "{path}"
        );
        assert!(!html.contains("<script>"), "{path}");
    }
}

#[test]
fn assets_are_kept_for_ever_under_an_address_that_changes_with_them() {
    let site = Site::start();
    let client = site.client();
    let html = site.text(&client, "/").1;
    let href = crate::site::between(&html, "<link rel=\"stylesheet\" href=\"", "\"").to_owned();
    let answer = site.get(&client, &href);
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(
        answer.headers()["cache-control"]
            .to_str()
            .unwrap()
            .contains("immutable")
    );
    assert!(
        answer.headers()["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/css")
    );
    assert_eq!(
        site.text(&client, "/assets/css/site.0000000000000000.css")
            .0,
        404
    );
}

#[test]
fn an_error_is_logged_once_with_the_id_that_the_visitor_was_shown() {
    let (site, editor) = Site::with_owner();
    let edit = site.publish(&editor, &[("title", "Post"), ("markdown", "x")]);
    // A table that is gone: every question to it fails.
    let database = rusqlite::Connection::open(site.data().join("site.db")).unwrap();
    database
        .execute_batch("ALTER TABLE addresses RENAME TO gone")
        .unwrap();
    let (status, html) = site.text(&editor, &edit);
    assert_eq!(status, 500);
    assert!(
        !html.contains("addresses") && !html.contains("SELECT"),
        "no cause is shown: {html}"
    );
    let id = crate::site::between(&html, "<code>", "</code>");
    assert_eq!(site.log().matches(id).count(), 1, "{}", site.log());
}

#[test]
fn an_answer_that_comes_before_the_body_is_read_reaches_who_still_sends() {
    let site = Site::start();
    if !crate::tools::is_there("curl", std::path::Path::new("/usr/bin/curl").exists()) {
        return;
    }
    let large = site.data().join("large");
    std::fs::write(&large, vec![b'x'; 20_000_000]).unwrap();
    let large = format!("@{}", large.display());
    for (path, data, status) in [
        ("/feed.xml", "x", "404"),
        ("/feed.xml", large.as_str(), "413"),
        ("/sign-in", &large, "413"),
    ] {
        for _ in 0..5 {
            let asked = std::process::Command::new("/usr/bin/curl")
                .args(["-sk", "--http2", "-o", "/dev/null", "-w", "%{http_code}"])
                .args(["-X", "POST", "--data-binary", data])
                .args(["-H", &format!("Origin: {}", site.base)])
                .arg(site.url(path))
                .output()
                .unwrap();
            assert_eq!(
                String::from_utf8_lossy(&asked.stdout),
                status,
                "{path} {}",
                data.len()
            );
        }
    }
}

#[test]
fn what_has_no_body_says_no_wrong_length_and_reads_no_file() {
    let site = Site::start();
    let public = site.data().join("public");
    std::fs::create_dir(&public).unwrap();
    let huge = std::fs::File::create(public.join("huge.bin")).unwrap();
    huge.set_len(40 << 30).unwrap();
    let of_http1 = site.client_builder().http1_only().build().unwrap();
    for client in [of_http1, site.client()] {
        let began = std::time::Instant::now();
        let head = client.head(site.url("/huge.bin")).send().unwrap();
        assert_eq!(
            head.headers()["content-length"],
            (40u64 << 30).to_string().as_str()
        );
        assert!(
            began.elapsed() < std::time::Duration::from_secs(5),
            "it was read"
        );
        let known = head.headers()["etag"].clone();
        let again = client
            .get(site.url("/huge.bin"))
            .header("if-none-match", known);
        let again = again.send().unwrap();
        assert_eq!(again.status(), 304);
        assert!(!again.headers().contains_key("content-length"), "{again:?}");
    }
}

#[test]
fn a_request_for_no_path_is_refused_over_http_2_too() {
    let site = Site::start();
    let mut stream = site.connect_for("127.0.0.1", b"h2");
    let mut frames = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    let mut head = vec![0x82, 0x87, 0x04, 7];
    head.extend(b"@evil/x");
    head.extend([0x41, 9]);
    head.extend(b"127.0.0.1");
    frames.extend([0, 0, u8::try_from(head.len()).unwrap(), 1, 5, 0, 0, 0, 1]);
    frames.extend(head);
    stream.write_all(&frames).unwrap();
    until(&site, "it is not served", || {
        let metrics = site.text(&site.client(), "/metrics").1;
        metrics.contains("host=\"none\",status=\"4xx\"} 1")
    });
}
