//! Every kind of answer, also to what no browser would ask.

use std::fs;

use reqwest::{StatusCode, blocking::Client};

use crate::site::{Site, between, command};

/// A picture of one pixel.
const SVG: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1\" height=\"1\"><script>alert(1)</script></svg>";

/// A site with a post that has a picture, a film and a document, and where the post shows them.
fn with_media() -> (Site, [String; 3]) {
    let mut site = Site::start();
    site.stop();
    let folder = site.data().with_extension("in");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("dot.svg"), SVG).unwrap();
    fs::write(folder.join("page.html"), "<script>alert(1)</script>").unwrap();
    fs::write(folder.join("film.mp4"), "0123456789").unwrap();
    fs::write(
        folder.join("pic.md"),
        "---\ntitle: Pic\ndate: 2020-01-01\n---\n![A dot](dot.svg)\n\n[page](page.html) [film](film.mp4)\n",
    )
    .unwrap();
    let import = command(site.data())
        .arg("import")
        .arg(&folder)
        .output()
        .unwrap();
    assert!(import.status.success());
    let site = site.restart_stopped();
    let html = site.text(&site.client(), "/pic").1;
    let html = html[html.find("<main").unwrap()..].to_owned();
    let href = |name: &str| {
        let end = html.find(&format!("/{name}\"")).unwrap() + name.len() + 1;
        html[html[..end].rfind('"').unwrap() + 1..end].to_owned()
    };
    let hrefs = ["dot.svg", "film.mp4", "page.html"].map(href);
    (site, hrefs)
}

#[test]
fn media_come_whole_in_parts_or_not_again_and_can_do_nothing() {
    let (site, [href, film, document]) = with_media();
    let client = site.client();
    let whole = site.get(&client, &href);
    assert_eq!(whole.status(), StatusCode::OK);
    let headers = whole.headers().clone();
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("sandbox") && policy.contains("default-src 'none'"));
    assert!(
        headers["cache-control"]
            .to_str()
            .unwrap()
            .contains("immutable")
    );
    assert_eq!(headers["content-type"], "image/svg+xml");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert_eq!(whole.text().unwrap(), SVG);

    let head = client.head(site.url(&href)).send().unwrap();
    assert_eq!(
        head.headers()["content-length"],
        SVG.len().to_string().as_str()
    );
    assert!(head.bytes().unwrap().is_empty());

    let part = |range: &str| {
        let ask = client.get(site.url(&film)).header("Range", range);
        ask.send().unwrap()
    };
    let some = part("bytes=1-3");
    assert_eq!(some.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(some.headers()["content-range"], "bytes 1-3/10");
    assert_eq!(some.text().unwrap(), "123");
    assert_eq!(part("bytes=-2").text().unwrap(), "89");
    let beyond = part("bytes=9999-");
    assert_eq!(beyond.status(), StatusCode::RANGE_NOT_SATISFIABLE);

    let again = client
        .get(site.url(&href))
        .header("If-None-Match", headers["etag"].clone())
        .send()
        .unwrap();
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);

    // A document of somebody's is saved, not run.
    let answer = site.get(&client, &document);
    assert_eq!(answer.status(), StatusCode::OK);
    let disposition = answer.headers()["content-disposition"].to_str().unwrap();
    assert!(disposition.starts_with("attachment"), "{disposition}");
}

#[test]
fn a_media_address_that_is_not_exact_finds_nothing() {
    let (site, [href, _, _]) = with_media();
    let client = site.client();
    let hash = href.split('/').nth(2).unwrap();
    for path in [
        "/media/".to_owned(),
        format!("/media/{}/dot.svg", &hash[..31]),
        format!("/media/{}0/dot.svg", &hash[..31]),
        format!("/media/{}/dot.svg", hash.to_uppercase()),
        "/media/..%2f..%2fsite.db/x".into(),
        "/media/%2e%2e/site.db".into(),
        "/assets/..%2f..%2fCargo.toml".into(),
        "/assets/%2e%2e/%2e%2e/etc/passwd".into(),
    ] {
        let (status, html) = site.text(&client, &path);
        assert!(
            matches!(status, 301 | 404) || hash.to_uppercase() == hash,
            "{path} gives {status}: {html}"
        );
    }
}

#[test]
fn the_security_headers_are_on_answers_of_every_status() {
    let (site, editor) = Site::with_owner();
    let edit = site.publish(&editor, &[("title", "Post"), ("markdown", "x")]);
    site.post(&editor, &format!("{edit}/trash")).send().unwrap();
    site.publish(&editor, &[("title", "Other"), ("markdown", "x")]);
    let stranger = site.client();
    let etag = site.get(&stranger, "/").headers()["etag"].clone();
    let not_again = stranger
        .get(site.url("/"))
        .header("If-None-Match", etag)
        .send()
        .unwrap();
    let forged = stranger.post(site.url("/sign-in")).send().unwrap();
    let unsigned = site.post(&stranger, &edit).form(&[("title", "x")]);
    let damaged = site.post(&editor, &edit).body("no form");
    let invalid = site
        .post(&editor, "/admin/posts")
        .form(&[("title", ""), ("markdown", "x")]);
    let large = site
        .post(&editor, "/admin/posts")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(vec![b'a'; 9 << 20]);
    let second = site.publish(&editor, &[("title", "Twice"), ("markdown", "x")]);
    let conflict =
        site.post(&editor, &second)
            .form(&[("title", "x"), ("markdown", "y"), ("revision", "0")]);
    let mut seen = Vec::new();
    for answer in [
        not_again,
        forged,
        unsigned.send().unwrap(),
        damaged.send().unwrap(),
        invalid.send().unwrap(),
        large.send().unwrap(),
        conflict.send().unwrap(),
        site.get(&stranger, "/nope"),
        site.get(&stranger, "/post"),
        site.get(&stranger, "/admin"),
        site.get(&stranger, "/archive/"),
        site.get(&stranger, "/robots.txt"),
        stranger.head(site.url("/")).send().unwrap(),
        stranger.put(site.url("/")).send().unwrap(),
    ] {
        let status = answer.status().as_u16();
        for name in [
            "content-security-policy",
            "x-content-type-options",
            "referrer-policy",
            "permissions-policy",
        ] {
            assert!(
                answer.headers().contains_key(name),
                "{status} without {name}"
            );
        }
        seen.push(status);
    }
    for status in [200, 301, 303, 304, 401, 403, 404, 409, 410, 413, 422] {
        assert!(seen.contains(&status), "{status} is not in {seen:?}");
    }
}

#[test]
fn what_no_browser_sends_is_refused_and_the_site_goes_on() {
    let (site, editor) = Site::with_owner();
    site.publish(&editor, &[("title", "Post"), ("markdown", "x")]);
    let long = format!("/{}", "a".repeat(7000));
    let endless = format!("/{}", "a".repeat(300_000));
    for (path, expected) in [
        ("/%00", "4"),
        ("/%ff%fe", "4"),
        ("/%", "4"),
        ("/%zz", "4"),
        ("/post%00", "4"),
        ("/a%2f..%2f..%2fetc", "4"),
        ("/?before=%00", "4"),
        ("/?before=99999999999999999999999", "4"),
        ("/?before=-1.x&after=zzz", "4"),
        ("/archive/99999999999999999999", "4"),
        ("/archive/-1", "4"),
        ("/sitemap-99999999999-9999999999.xml", "4"),
        ("/admin/posts/99999999999999999999", "3"),
        ("/tags/%f0%9f%a6%80", "4"),
        (long.as_str(), "4"),
        (endless.as_str(), "4"),
        ("no-slash", "4"),
        ("http://other.example/post", "2"),
    ] {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
        let answer = site.raw(request.as_bytes());
        let status = answer.strip_prefix("HTTP/1.1 ").unwrap_or(&answer);
        // A request line without end may also be met with a closed door.
        let is_closed = path.len() > 100_000 && answer.is_empty();
        assert!(
            status.starts_with(expected) || is_closed,
            "{path:.60} gives {answer:.300}"
        );
    }
    for junk in [
        "\0\0\0\0\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
    ] {
        let request = junk.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
        let answer = site.raw(request.as_bytes());
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
            "{junk:?} gives {answer:.200}"
        );
    }
    assert_eq!(site.text(&site.client(), "/post").0, 200);
    assert!(!site.log().contains("panic"), "{}", site.log());
}

#[test]
fn an_address_with_any_query_shows_the_page_and_does_not_fill_the_memory() {
    let site = Site::with_settings("[pages]\nper_second = 0\n");
    let editor = site.set_up();
    site.publish(
        &editor,
        &[("title", "Post"), ("markdown", &"text ".repeat(20_000))],
    );
    let visitor = site.client();
    for number in 0..800 {
        let path = format!("/post?nonsense={number}");
        assert_eq!(site.get(&visitor, &path).status(), StatusCode::OK);
    }
    let usage = fs::read_to_string(format!("/proc/{}/status", site.process_id())).unwrap();
    let resident_kib: u64 = between(&usage, "VmRSS:", "kB").trim().parse().unwrap();
    // All of them would be 80 MB, without what the program has besides.
    assert!(resident_kib < 80 * 1024, "{resident_kib} KiB");
}

#[test]
fn a_cached_page_changes_at_once_whatever_changes() {
    let (site, editor) = Site::with_owner();
    let edit = site.publish(
        &editor,
        &[("title", "First"), ("markdown", "one"), ("tags", "old tag")],
    );
    let visitor = site.client();
    let save = |revision: &str, fields: &[(&str, &str)]| {
        let mut form = fields.to_vec();
        form.extend([("revision", revision), ("action", "save")]);
        let answer = site.post(&editor, &edit).form(&form).send().unwrap();
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    };
    let shows = |client: &Client, path: &str, text: &str| {
        for _ in 0..2 {
            let html = site.text(client, path).1;
            assert!(html.contains(text), "{text} is not in {path}: {html}");
        }
    };
    for path in ["/", "/first", "/tags/old-tag", "/archive", "/feed.xml"] {
        site.text(&visitor, path);
    }
    shows(&visitor, "/first", "one");
    let text = [
        ("title", "Second title"),
        ("address", "/first"),
        ("markdown", "two"),
        ("tags", "new tag"),
        ("published", "2020-02-02 10:00"),
    ];
    save("1", &text);
    shows(&visitor, "/first", "two");
    for path in ["/", "/tags/new-tag", "/archive/2020", "/feed.xml"] {
        shows(&visitor, path, "Second title");
    }
    assert_eq!(site.text(&visitor, "/tags/old-tag").0, 404);
    site.post(&editor, "/admin/settings")
        .form(&[
            ("title", "Another name"),
            ("tagline", ""),
            ("language", "en"),
            ("time_zone", "UTC"),
            ("posts_per_page", "10"),
        ])
        .send()
        .unwrap();
    shows(&visitor, "/first", "Another name");
    shows(&visitor, "/feed.xml", "Another name");
}

#[test]
fn the_feed_and_the_sitemap_are_well_formed_whatever_is_in_a_post() {
    let (site, editor) = Site::with_owner();
    let odd = "]]> & <b> \u{1}\u{b}\u{fffe} \u{202e}rtl 🦀 &amp; \"quotes\"";
    let fields = [
        ("title", odd),
        ("description", odd),
        ("markdown", odd),
        ("authors", "A & B; <c>"),
        ("tags", "x & y"),
    ];
    let form: Vec<_> = fields.into_iter().chain([("action", "publish")]).collect();
    let answer = site
        .post(&editor, "/admin/posts")
        .form(&form)
        .send()
        .unwrap();
    // Characters that XML cannot carry are either refused here or left out there.
    if answer.status() == StatusCode::UNPROCESSABLE_ENTITY {
        let clean: String = odd
            .chars()
            .filter(|c| *c >= ' ' && *c != '\u{fffe}')
            .collect();
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (*name, if *value == odd { clean.as_str() } else { value }))
            .collect();
        site.publish(&editor, &fields);
    }
    let visitor = site.client();
    let index = site.text(&visitor, "/sitemap.xml").1;
    let mut documents = vec![
        ("/feed.xml".to_owned(), site.text(&visitor, "/feed.xml").1),
        ("/sitemap.xml".to_owned(), index.clone()),
    ];
    for part in index.split("<loc>").skip(1) {
        let path = reqwest::Url::parse(&part[..part.find('<').unwrap()])
            .unwrap()
            .path()
            .to_owned();
        let text = site.text(&visitor, &path).1;
        documents.push((path, text));
    }
    assert!(documents.len() > 2);
    for (path, text) in documents {
        let mut reader = quick_xml::Reader::from_str(&text);
        reader.config_mut().check_end_names = true;
        let mut depth = 0_i32;
        loop {
            match reader.read_event() {
                Ok(quick_xml::events::Event::Start(_)) => depth += 1,
                Ok(quick_xml::events::Event::End(_)) => depth -= 1,
                Ok(quick_xml::events::Event::Eof) => break,
                Ok(_) => {}
                Err(e) => panic!("{path}: {e} in {text}"),
            }
        }
        assert_eq!(depth, 0, "{path}");
        let bad = text
            .chars()
            .find(|c| (*c < ' ' && !"\t\r\n".contains(*c)) || matches!(c, '\u{fffe}' | '\u{ffff}'));
        assert_eq!(bad, None, "{path} has a character that XML cannot carry");
    }
    let robots = site.text(&visitor, "/robots.txt").1;
    assert!(
        robots.contains("/sitemap.xml") && robots.contains("Disallow: /admin"),
        "{robots}"
    );
}
