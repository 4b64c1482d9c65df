//! The folder `public/` beside the site: its files are served as they lie there.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::Command,
    time::{Duration, SystemTime},
};

use reqwest::{StatusCode, blocking::Response};

use crate::site::Site;

/// Writes files below `public/`.
fn put(site: &Site, files: &[(&str, &[u8])]) {
    for (name, content) in files {
        let path = site.data().join("public").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer
        .headers()
        .get(name)
        .map_or("", |value| value.to_str().unwrap())
}

/// What is known of a file is believed for a second.
fn a_second_later() {
    std::thread::sleep(Duration::from_millis(1100));
}

#[test]
fn a_file_wins_over_the_application_from_the_second_that_it_is_there_until_it_is_gone() {
    let (site, editor) = Site::with_owner();
    site.publish(&editor, &[("title", "About"), ("markdown", "a post")]);
    let visitor = site.client();
    assert!(site.text(&visitor, "/about").1.contains("a post"));
    put(
        &site,
        &[("about.html", b"a file"), ("index.html", b"<h1>mine</h1>")],
    );
    a_second_later();
    assert_eq!(site.text(&visitor, "/about"), (200, "a file".into()));
    assert_eq!(site.text(&visitor, "/").1, "<h1>mine</h1>");
    assert_eq!(site.text(&editor, "/").1, "<h1>mine</h1>", "signed in too");
    assert_eq!(
        site.text(&visitor, "/archive").0,
        200,
        "the application answers the rest"
    );
    fs::remove_dir_all(site.data().join("public")).unwrap();
    a_second_later();
    assert!(site.text(&visitor, "/about").1.contains("a post"));
}

#[test]
fn addresses_lead_to_files_folders_and_pages() {
    let site = Site::start();
    put(
        &site,
        &[
            ("docs/index.html", b"index"),
            ("docs/page.html", b"page"),
            ("a b/ä.txt", b"text"),
            ("data.unknown", b"data"),
            ("style.css", b"a {}"),
            (".well-known/security.txt", b"Contact:"),
            ("empty", b""),
        ],
    );
    let visitor = site.client();
    for (path, status, kind, body) in [
        ("/docs/", 200, "text/html; charset=utf-8", "index"),
        ("/docs/page", 200, "text/html; charset=utf-8", "page"),
        ("/docs/page.html", 200, "text/html; charset=utf-8", "page"),
        (
            "/a%20b/%C3%A4.txt",
            200,
            "text/plain; charset=utf-8",
            "text",
        ),
        ("/data.unknown", 200, "application/octet-stream", "data"),
        ("/style.css", 200, "text/css; charset=utf-8", "a {}"),
        (
            "/.well-known/security.txt",
            200,
            "text/plain; charset=utf-8",
            "Contact:",
        ),
        ("/empty", 200, "application/octet-stream", ""),
    ] {
        let answer = site.get(&visitor, path);
        assert_eq!(answer.status(), status, "{path}");
        assert_eq!(header(&answer, "content-type"), kind, "{path}");
        assert_eq!(header(&answer, "x-content-type-options"), "nosniff");
        assert_eq!(answer.text().unwrap(), body, "{path}");
    }
    let to_folder = site.get(&visitor, "/docs?a=b");
    assert_eq!(to_folder.status(), StatusCode::MOVED_PERMANENTLY);
    assert_eq!(header(&to_folder, "location"), "/docs/?a=b");
}

#[test]
fn nothing_hidden_outside_or_unreadable_is_served() {
    let site = Site::start();
    put(
        &site,
        &[
            ("file.txt", b"file"),
            (".env", b"SECRET"),
            (".git/config", b"SECRET"),
            ("closed.txt", b"SECRET"),
            ("within/real.txt", b"real"),
        ],
    );
    let public = site.data().join("public");
    symlink("../site.db", public.join("out.db")).unwrap();
    symlink("/etc/passwd", public.join("passwd")).unwrap();
    symlink(site.data(), public.join("up")).unwrap();
    symlink("within/real.txt", public.join("link.txt")).unwrap();
    let made = Command::new("mkfifo").arg(public.join("pipe")).status();
    assert!(made.unwrap().success());
    fs::set_permissions(public.join("closed.txt"), fs::Permissions::from_mode(0o000)).unwrap();
    for (path, expected) in [
        ("/file.txt", "200"),
        ("/link.txt", "200"),
        ("/file.txt/", "404"),
        ("/.env", "404"),
        ("/%2eenv", "404"),
        ("/.git/config", "404"),
        ("/out.db", "404"),
        ("/passwd", "404"),
        ("/up/site.db", "404"),
        ("/pipe", "404"),
        ("/within", "404"),
        ("/../site.db", "404"),
        ("/within/../../site.db", "404"),
        ("/%2e%2e/site.db", "404"),
        ("/within/..%2f..%2fsite.db", "404"),
        ("/..%5csite.db", "404"),
        ("/file.txt%00", "404"),
    ] {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let answer = site.raw(request.as_bytes());
        let status = answer.split(' ').nth(1).unwrap_or_default();
        // An untidy address may be redirected within the site instead.
        assert!(
            status == expected || (expected == "404" && status == "301"),
            "{path}: {status}"
        );
    }
    let closed = site.get(&site.client(), "/closed.txt");
    // Root may read everything.
    if closed.status() == StatusCode::FORBIDDEN {
        assert!(site.log().contains("make it readable"));
    }
}

#[test]
fn parts_of_a_file_are_sent_as_asked() {
    let site = Site::start();
    let content: Vec<u8> = (0..200_000u32).map(|i| (i % 251) as u8).collect();
    put(&site, &[("film.mp4", &content)]);
    let visitor = site.client();
    let ask = |headers: &[(&str, &str)]| {
        let request = visitor.get(site.url("/film.mp4"));
        headers
            .iter()
            .fold(request, |request, (name, value)| {
                request.header(*name, *value)
            })
            .send()
            .unwrap()
    };
    let whole = ask(&[]);
    assert_eq!(header(&whole, "accept-ranges"), "bytes");
    assert_eq!(header(&whole, "content-length"), "200000");
    let etag = header(&whole, "etag").to_owned();
    assert_eq!(whole.bytes().unwrap(), content);

    let part = ask(&[("Range", "bytes=100000-100099"), ("If-Range", &etag)]);
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(header(&part, "content-range"), "bytes 100000-100099/200000");
    assert_eq!(header(&part, "content-type"), "video/mp4");
    assert_eq!(part.bytes().unwrap(), content[100_000..100_100]);

    let beyond = ask(&[("Range", "bytes=200000-")]);
    assert_eq!(beyond.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(header(&beyond, "content-range"), "bytes */200000");

    let other_version = ask(&[("Range", "bytes=0-1"), ("If-Range", "\"other\"")]);
    assert_eq!(other_version.status(), StatusCode::OK);

    let several = ask(&[("Range", "bytes=0-9,-5")]);
    assert_eq!(several.status(), StatusCode::PARTIAL_CONTENT);
    let kind = header(&several, "content-type").to_owned();
    let boundary = kind
        .strip_prefix("multipart/byteranges; boundary=")
        .unwrap();
    let body = several.bytes().unwrap();
    let expected = [
        format!("\r\n--{boundary}\r\nContent-Type: video/mp4\r\nContent-Range: bytes 0-9/200000\r\n\r\n").as_bytes(),
        &content[..10],
        format!("\r\n--{boundary}\r\nContent-Type: video/mp4\r\nContent-Range: bytes 199995-199999/200000\r\n\r\n").as_bytes(),
        &content[199_995..],
        format!("\r\n--{boundary}--\r\n").as_bytes(),
    ]
    .concat();
    assert_eq!(body, expected);

    let has_it = ask(&[("If-None-Match", &etag)]);
    assert_eq!(has_it.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(header(&has_it, "etag"), etag);
    let wrong = ask(&[("If-Match", "\"other\"")]);
    assert_eq!(wrong.status(), StatusCode::PRECONDITION_FAILED);
}

#[test]
fn a_compressed_neighbour_is_sent_to_who_accepts_it_unless_it_is_older() {
    let site = Site::start();
    put(
        &site,
        &[
            ("a.css", b"plain"),
            ("a.css.br", b"brotli"),
            ("a.css.gz", b"gzip"),
            ("b.css", b"plain"),
            ("b.css.zst", b"zstd"),
            ("photo.jpg", b"photo"),
            ("photo.jpg.br", b"brotli"),
        ],
    );
    let visitor = site
        .client_builder()
        .gzip(false)
        .brotli(false)
        .build()
        .unwrap();
    let ask = |path: &str, accepted: &str| {
        let request = visitor
            .get(site.url(path))
            .header("Accept-Encoding", accepted);
        let answer = request.send().unwrap();
        let encoding = header(&answer, "content-encoding").to_owned();
        let vary = header(&answer, "vary").to_owned();
        (encoding, vary, answer.text().unwrap())
    };
    let is_sent = |path, accepted, encoding: &str, vary: &str, body: &str| {
        let expected = (encoding.to_owned(), vary.to_owned(), body.to_owned());
        assert_eq!(ask(path, accepted), expected, "{path} for {accepted}");
    };
    let by_encoding = "Accept-Encoding";
    is_sent("/a.css", "gzip, br", "br", by_encoding, "brotli");
    is_sent("/a.css", "gzip", "gzip", by_encoding, "gzip");
    is_sent("/a.css", "br;q=0", "", by_encoding, "plain");
    is_sent("/b.css", "br, zstd", "zstd", by_encoding, "zstd");
    is_sent("/photo.jpg", "br", "", "", "photo");
    make_older(&site.data().join("public/a.css.br"));
    // A small file that was asked for is believed to be as it was for a second.
    std::thread::sleep(Duration::from_millis(1100));
    is_sent("/a.css", "gzip, br", "gzip", by_encoding, "gzip");
}

fn make_older(path: &Path) {
    let file = fs::File::options().write(true).open(path).unwrap();
    let before = SystemTime::now() - Duration::from_mins(1);
    file.set_modified(before).unwrap();
}
