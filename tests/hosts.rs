//! Several hosts on one machine: the site, folders of files, other programs.

use std::{
    fs,
    io::{Read, Write},
    sync::atomic::Ordering,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use reqwest::blocking::Body;
use tempfile::TempDir;

use crate::{
    site::Site,
    tools::html_errors,
    upstream::{Upstream, start_websocket},
};

const FILES: &str = "files.localhost";
const APP: &str = "app.localhost";

/// So many pieces of up to 1,000 bytes, slowly.
struct Drip(usize);

impl Read for Drip {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.0 == 0 {
            return Ok(0);
        }
        self.0 -= 1;
        std::thread::sleep(Duration::from_millis(100));
        let length = buffer.len().min(1000);
        buffer[..length].fill(b'x');
        Ok(length)
    }
}

/// A site with a host of files, with more keys for it; and the folder.
fn with_files(keys: &str, files: &[(&str, &str)]) -> (Site, TempDir) {
    let folder = TempDir::new().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let toml = format!(
        "[hosts.\"{FILES}\"]\nfiles = \"{}\"\n{keys}",
        folder.path().display()
    );
    (Site::with_settings(&toml), folder)
}

/// A site with a host that is these programs.
fn with_proxy(upstreams: &[String], keys: &str) -> Site {
    Site::with_settings(&format!("[hosts.\"{APP}\"]\nproxy = {upstreams:?}\n{keys}"))
}

#[test]
fn the_name_chooses_the_host_and_handshake_and_head_must_agree() {
    let (site, _folder) = with_files("", &[("index.html", "the files")]);
    let client = site.client_for(&[FILES, "other.localhost"]);
    let text = |host| {
        client
            .get(site.url_of(host, "/"))
            .send()
            .unwrap()
            .text()
            .unwrap()
    };
    assert_eq!(text(FILES), "the files");
    assert_ne!(text("127.0.0.1"), "the files");
    let get = |host: &str| format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    for (server_name, host, status) in [
        ("localhost", "localhost", "HTTP/1.1 200"),
        (FILES, FILES, "HTTP/1.1 200"),
        (FILES, "FILES.localhost.:8443", "HTTP/1.1 200"),
        (FILES, "localhost", "HTTP/1.1 421"),
        ("localhost", FILES, "HTTP/1.1 421"),
        // Without a name in the handshake there is nothing to disagree with.
        ("127.0.0.1", FILES, "HTTP/1.1 200"),
    ] {
        let answer = site.raw_to(server_name, get(host).as_bytes());
        assert!(answer.starts_with(status), "{server_name} {host}: {answer}");
    }
}

#[test]
fn a_host_of_files_has_its_own_errors_methods_and_policy() {
    let (site, folder) = with_files("", &[("a/page.html", "<p>page"), ("index.html", "first")]);
    let client = site.client_for(&[FILES]);
    let get = |path: &str| client.get(site.url_of(FILES, path)).send().unwrap();
    assert_eq!(get("/a/page").text().unwrap(), "<p>page");
    assert!(
        !get("/a/page")
            .headers()
            .contains_key("content-security-policy")
    );
    let missing = get("/nothing");
    assert_eq!(missing.status(), 404);
    assert!(
        missing
            .text()
            .unwrap()
            .contains("There is nothing at this address")
    );
    assert_eq!(get("/a/").status(), 404, "no list unless it is asked for");
    fs::write(folder.path().join("404.html"), "my own").unwrap();
    // That there was none is believed for a second.
    std::thread::sleep(Duration::from_millis(1100));
    let missing = get("/nothing");
    assert_eq!(
        (missing.status().as_u16(), missing.text().unwrap().as_str()),
        (404, "my own")
    );
    let post = client
        .post(site.url_of(FILES, "/index.html"))
        .body("x")
        .send()
        .unwrap();
    assert_eq!(post.status(), 405);
    assert_eq!(post.headers()["allow"], "GET, HEAD, OPTIONS");
    let head = client
        .head(site.url_of(FILES, "/index.html"))
        .send()
        .unwrap();
    assert_eq!(
        (head.status().as_u16(), &head.headers()["content-length"]),
        (200, &"5".parse().unwrap())
    );
}

#[test]
fn a_folder_is_listed_where_its_owner_asked_for_that_and_hidden_files_are_not() {
    let files = [
        ("b.txt", "12345"),
        ("a:b <i>.txt", "x"),
        (".secret", "x"),
        ("folder/c.txt", "x"),
    ];
    let (site, folder) = with_files("listing = true", &files);
    std::os::unix::fs::symlink("/etc/passwd", folder.path().join("passwd")).unwrap();
    std::os::unix::fs::symlink("b.txt", folder.path().join("link.txt")).unwrap();
    let client = site.client_for(&[FILES]);
    let get = |path: &str| client.get(site.url_of(FILES, path)).send().unwrap();
    let list = get("/");
    let policy = list.headers()["content-security-policy"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(
        policy.starts_with("default-src 'none'; style-src 'sha256-"),
        "{policy}"
    );
    let text = list.text().unwrap();
    for shown in [
        "./b.txt\"",
        "5 bytes",
        "./a%3Ab%20%3Ci%3E.txt",
        "a:b &#60;i&#62;.txt",
        "./folder/\"",
        "link.txt",
    ] {
        assert!(text.contains(shown), "{shown} is not in {text}");
    }
    for hidden in [".secret", "passwd"] {
        assert!(!text.contains(hidden), "{hidden} is in {text}");
    }
    assert!(
        text.find("folder/").unwrap() < text.find("b.txt").unwrap(),
        "folders come first"
    );
    assert_eq!(get("/folder").headers()["location"], "/folder/");
    assert!(get("/folder/").text().unwrap().contains("../"));
    assert_eq!(get("/a%3Ab%20%3Ci%3E.txt").text().unwrap(), "x");
}

#[test]
fn a_single_page_application_answers_every_address_and_files_are_kept_as_long_as_was_said() {
    let keys = "single_page = true\n[hosts.\"files.localhost\".cache]\n\"/assets/*\" = \"forever\"";
    let (site, _folder) = with_files(keys, &[("index.html", "app"), ("assets/a.js", "js")]);
    let client = site.client_for(&[FILES]);
    let get = |path: &str| client.get(site.url_of(FILES, path)).send().unwrap();
    let deep = get("/any/where?x=1");
    assert_eq!(deep.headers()["cache-control"], "public, no-cache");
    assert_eq!(
        (deep.status().as_u16(), deep.text().unwrap().as_str()),
        (200, "app")
    );
    let asset = get("/assets/a.js");
    assert_eq!(
        asset.headers()["cache-control"],
        "public, max-age=31536000, immutable"
    );
    let gone = get("/assets/gone.js");
    assert_eq!(
        gone.headers()["cache-control"],
        "public, no-cache",
        "the page that answers instead is not kept as the script"
    );
}

#[test]
fn a_file_with_an_impossible_date_is_sent_with_a_possible_one() {
    let (site, folder) = with_files("", &[("old.txt", "old"), ("new.txt", "new")]);
    let date = |name: &str, time| {
        let file = fs::File::open(folder.path().join(name)).unwrap();
        file.set_modified(time).unwrap();
    };
    let hour = Duration::from_hours(1);
    date("old.txt", UNIX_EPOCH - hour);
    date("new.txt", SystemTime::now() + 1000 * hour);
    let client = site.client_for(&[FILES]);
    let dated = |path: &str| {
        let response = client.get(site.url_of(FILES, path)).send().unwrap();
        assert_eq!(response.status(), 200);
        ["last-modified", "date"].map(|name| response.headers()[name].to_str().unwrap().to_owned())
    };
    assert_eq!(dated("/old.txt")[0], "Thu, 01 Jan 1970 00:00:00 GMT");
    let [modified, now] = dated("/new.txt");
    assert_eq!(modified[..16], now[..16], "not later than the answer");
}

#[test]
fn a_program_behind_is_asked_what_the_visitor_asked_and_who_asks() {
    let upstream = Upstream::start("one");
    let site = with_proxy(&[upstream.url()], "");
    let client = site.client_for(&[APP]);
    let asked = client
        .post(site.url_of(APP, "/a/../b%2Fc?q=%20"))
        .header("x-forwarded-for", "1.2.3.4")
        .header("x-mine", "kept")
        .body(vec![b'x'; 300_000])
        .send()
        .unwrap();
    assert_eq!(asked.headers()["x-upstream"], "one");
    assert!(
        !asked.headers().contains_key("content-security-policy"),
        "nothing is added"
    );
    let text = asked.text().unwrap();
    let port = site.base.rsplit(':').next().unwrap();
    for line in [
        "POST /b%2Fc?q=%20".to_owned(),
        format!("host: {APP}:{port}"),
        "x-mine: kept".into(),
        "x-forwarded-for: 127.0.0.1".into(),
        "x-forwarded-proto: https".into(),
        format!("x-forwarded-host: {APP}:{port}"),
        "x-real-ip: 127.0.0.1".into(),
        "content-length: 300000".into(),
        "body: 300000 bytes".into(),
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in {text}");
    }
    let mut chunked = site.connect(APP);
    let request = format!(
        "POST /in HTTP/1.1\r\nHost: {APP}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
         3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    );
    chunked.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    let _ = chunked.read_to_string(&mut answer);
    assert!(answer.contains("body: 5 bytes"), "{answer}");
    let head = client.head(site.url_of(APP, "/")).send().unwrap();
    assert!(head.status() == 200 && head.headers()["content-length"] != "0");
    for _ in 0..20 {
        client
            .get(site.url_of(APP, "/"))
            .send()
            .unwrap()
            .text()
            .unwrap();
    }
    let connections = upstream.connections.load(Ordering::Relaxed);
    assert!(
        connections <= 4,
        "connections are used again, and there were {connections}"
    );
}

#[test]
fn an_answer_comes_piece_by_piece_and_without_what_is_between_neighbours() {
    let upstream = Upstream::start("one");
    let site = with_proxy(&[upstream.url()], "");
    let client = site.client_for(&[APP]);
    let start = Instant::now();
    let mut events = client.get(site.url_of(APP, "/events")).send().unwrap();
    let mut first = [0; 9];
    events.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"data: 0\n\n");
    assert!(
        start.elapsed() < Duration::from_millis(850),
        "the first piece waits for no other"
    );
    let mut rest = String::new();
    events.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "data: 1\n\ndata: 2\n\n");
    let hop = client.get(site.url_of(APP, "/hop")).send().unwrap();
    assert!(!hop.headers().contains_key("x-secret") && !hop.headers().contains_key("keep-alive"));
    assert_eq!(hop.headers().get_all("set-cookie").iter().count(), 2);
    let broken = client.get(site.url_of(APP, "/break")).send().unwrap();
    let (status, text) = (broken.status(), broken.text());
    assert!(
        text.is_err(),
        "half an answer is not taken for a whole one: {status} {text:?}"
    );
}

#[test]
fn a_program_that_is_down_gets_a_page_of_ours_and_another_one_takes_its_place() {
    let (one, two) = (Upstream::start("one"), Upstream::start("two"));
    let address = one.address;
    let site = with_proxy(&[one.url(), two.url()], "");
    let client = site.client_for(&[APP]);
    let get = || client.get(site.url_of(APP, "/")).send().unwrap();
    let names = |n: usize| -> std::collections::BTreeSet<String> {
        (0..n)
            .map(|_| get().headers()["x-upstream"].to_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(6).len(), 2, "both are asked");
    drop(one);
    assert_eq!(
        names(6).into_iter().collect::<Vec<_>>(),
        ["two"],
        "nobody notices"
    );
    let form = client
        .post(site.url_of(APP, "/"))
        .body("form")
        .send()
        .unwrap();
    assert!(
        form.text().unwrap().contains("body: 4 bytes"),
        "also not who sends a form"
    );
    drop(two);
    let down = get();
    assert_eq!(down.status(), 502);
    assert_eq!(down.headers()["retry-after"], "10");
    let page = down.text().unwrap();
    assert!(page.contains("gives no answer at the moment"), "{page}");
    let id = crate::site::between(&page, "<code>", "</code>");
    assert!(site.log().contains(id), "the log has the id of the page");
    let _one = Upstream::start_on("one", address);
    assert_eq!(
        get().headers()["x-upstream"],
        "one",
        "it is asked again as soon as there is no other"
    );
}

#[test]
fn a_program_that_is_unwell_is_left_out_and_one_that_is_slow_is_not_waited_for() {
    let (one, two) = (Upstream::start("one"), Upstream::start("two"));
    // "two" has no such page and answers everything; "one" is unwell from the start.
    let site = with_proxy(
        &[format!("http://{}", one.address)],
        "health = \"/unwell\"\nanswer_timeout_s = 1",
    );
    let client = site.client_for(&[APP]);
    let slow = client.get(site.url_of(APP, "/slow")).send().unwrap();
    assert_eq!(slow.status(), 504);
    let upload = client.post(site.url_of(APP, "/")).body(Body::new(Drip(20)));
    let taken = upload.send().unwrap();
    assert_eq!(taken.status(), 200, "an upload may take its time");
    drop(two);
    let deadline = Instant::now() + Duration::from_secs(20);
    while !site.log().contains("is not well") {
        assert!(Instant::now() < deadline, "{}", site.log());
        std::thread::sleep(Duration::from_millis(200));
    }
    let alone = client.get(site.url_of(APP, "/")).send().unwrap();
    assert_eq!(alone.status(), 200, "the only one is asked all the same");
}

#[test]
fn websockets_go_through() {
    let site = with_proxy(&[format!("http://{}", start_websocket())], "");
    let stream = site.connect(APP);
    let (mut socket, answer) = tungstenite::client(format!("wss://{APP}/live"), stream).unwrap();
    assert_eq!(answer.status(), 101);
    for text in ["hello", "again", &"long ".repeat(20_000)] {
        socket.send(text.into()).unwrap();
        assert_eq!(
            socket.read().unwrap().to_text().unwrap(),
            text.to_uppercase()
        );
    }
    socket.close(None).unwrap();
    while socket.read().is_ok() {}
}

#[test]
fn another_webstead_can_be_behind_over_its_own_https() {
    let (behind, _folder) = with_files("", &[("index.html", "from behind")]);
    let certificate = behind.data().join("tls/authority-cert.pem");
    let keys = format!(
        "certificate = \"{}\"\nkeep_host = false",
        certificate.display()
    );
    let upstream = behind.url_of(FILES, "");
    // The name below `localhost` is found by every resolver (RFC 6761 section 6.3), or else by its address.
    let upstream = if std::net::ToSocketAddrs::to_socket_addrs(&(FILES, 1)).is_ok() {
        upstream
    } else {
        behind.base.clone()
    };
    let by_name = upstream.contains(FILES);
    let site = with_proxy(&[upstream], &keys);
    let client = site.client_for(&[APP]);
    let answer = client.get(site.url_of(APP, "/")).send().unwrap();
    assert!(
        answer.status().as_u16() < 400,
        "{}: {}",
        answer.status(),
        site.log()
    );
    assert!(!by_name || answer.text().unwrap() == "from behind");
}

#[test]
fn settings_are_read_again_without_a_dropped_connection() {
    let (site, folder) = with_files("", &[("index.html", "files")]);
    let client = site.client_for(&[FILES, "late.localhost"]);
    let text = |host: &str| {
        client
            .get(site.url_of(host, "/"))
            .send()
            .unwrap()
            .text()
            .unwrap()
    };
    assert_eq!(text(FILES), "files");
    let mut kept = site.connect(FILES);
    kept.conn.complete_io(&mut kept.sock).unwrap();
    let toml = site.data().join("webstead.toml");
    fs::write(&toml, "[hosts.\"late.localhost\"]\nfls = 1").unwrap();
    site.signal("HUP");
    let wait_for = |word: &str| {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !site.log().contains(word) {
            assert!(Instant::now() < deadline, "{word}: {}", site.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    wait_for("not reloaded, everything stays as it was");
    assert_eq!(text(FILES), "files");
    fs::write(
        &toml,
        format!("[hosts.\"late.localhost\"]\nfiles = {:?}", folder.path()),
    )
    .unwrap();
    site.signal("HUP");
    wait_for("reloaded: the hosts");
    assert_eq!(
        text("late.localhost"),
        "files",
        "with a certificate for its name"
    );
    assert_ne!(text(FILES), "files");
    let request = format!("GET / HTTP/1.1\r\nHost: {FILES}\r\nConnection: close\r\n\r\n");
    kept.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    let _ = kept.read_to_string(&mut answer);
    assert!(
        answer.starts_with("HTTP/1.1 "),
        "the open connection goes on: {answer}"
    );
}

#[test]
fn pages_of_the_edges_own_are_valid_html() {
    let files = [("a & b.txt", "x"), ("folder/.hidden", "x")];
    let (site, folder) = with_files("listing = true", &files);
    let toml = site.data().join("webstead.toml");
    let text = fs::read_to_string(&toml).unwrap();
    let down = format!("{text}\n[hosts.\"{APP}\"]\nproxy = \"http://127.0.0.1:1\"");
    fs::write(&toml, down).unwrap();
    let site = site.restart();
    let client = site.client_for(&[FILES, APP]);
    let pages: Vec<_> = [
        (FILES, "/"),
        (FILES, "/folder/"),
        (FILES, "/nothing"),
        (APP, "/"),
    ]
    .iter()
    .enumerate()
    .map(|(n, (host, path))| {
        let page = client
            .get(site.url_of(host, path))
            .send()
            .unwrap()
            .text()
            .unwrap();
        let file = folder.path().join(format!(".{n}.html"));
        fs::write(&file, page).unwrap();
        file
    })
    .collect();
    if let Some(errors) = html_errors(&pages) {
        assert_eq!(errors, "", "{errors}");
    }
}
