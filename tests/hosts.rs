//! Several hosts on one machine: the site, folders of files, other programs.

use std::{
    fs,
    io::{Read, Write},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tempfile::TempDir;

use crate::{site::Site, tools::html_errors, waiting::until};

/// The name of a host that is a folder.
pub(crate) const FILES: &str = "files.localhost";
/// The name of a host that is a program.
pub(crate) const APP: &str = "app.localhost";

/// A site with a host of files, with more keys for it; and the folder.
pub(crate) fn with_files(keys: &str, files: &[(&str, &str)]) -> (Site, TempDir) {
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
    let wait_for = |word: &str| until(&site, word, || site.log().contains(word));
    wait_for("not reloaded, everything stays as it was");
    assert_eq!(text(FILES), "files");
    fs::write(
        &toml,
        format!("[hosts.\"late.localhost\"]\nfiles = {:?}", folder.path()),
    )
    .unwrap();
    site.signal("HUP");
    wait_for("reloaded: everything is as webstead.toml has it");
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
