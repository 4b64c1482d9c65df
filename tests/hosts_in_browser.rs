//! Other hosts, set by the owner in the browser and served at once.

use std::{fs, io::Read as _, io::Write as _, path::PathBuf};

use reqwest::blocking::Client;
use tempfile::TempDir;

use crate::{
    site::{PASSWORD, Site, between, command},
    upstream::Upstream,
    waiting::until,
};

const FILES: &str = "files.localhost";
const APP: &str = "app.localhost";

/// A folder with one page, outside of the data folder.
fn folder(text: &str) -> (TempDir, PathBuf) {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("index.html"), text).unwrap();
    let path = dir.path().to_owned();
    (dir, path)
}

/// Sends the form of a host; gives the status and the page, or where it leads to.
fn send(site: &Site, owner: &Client, to: &str, fields: &[(&str, &str)]) -> (u16, String) {
    let answer = site.post(owner, to).form(fields).send().unwrap();
    let status = answer.status().as_u16();
    match answer.headers().get("location") {
        Some(to) => (status, to.to_str().unwrap().to_owned()),
        None => (status, answer.text().unwrap()),
    }
}

fn serve_folder(site: &Site, owner: &Client, name: &str, folder: &str) -> (u16, String) {
    let fields = [("name", name), ("files", folder), ("password", PASSWORD)];
    send(site, owner, "/admin/hosts/new/files", &fields)
}

/// What is served under a name.
fn served(site: &Site, name: &str) -> String {
    let answer = site.client_for(&[name]).get(site.url_of(name, "/")).send();
    answer.unwrap().text().unwrap()
}

/// The form's address of the only host in the list.
fn form_of(site: &Site, owner: &Client) -> String {
    let list = site.text(owner, "/admin/hosts").1;
    let id = between(&list, "<a href=\"/admin/hosts/", "\">Change");
    format!("/admin/hosts/{id}")
}

#[test]
fn a_folder_is_served_changed_removed_and_brought_back_without_a_dropped_connection() {
    let (site, owner) = Site::with_owner();
    let (_one, one) = folder("the first folder");
    let (_two, two) = folder("the second folder");
    // It stands in the middle of a request all the time.
    let mut standing = site.connect("127.0.0.1");
    standing.write_all(b"GET /healthz HTTP/1.1\r\n").unwrap();

    let saved = serve_folder(&site, &owner, FILES, one.to_str().unwrap());
    assert_eq!(saved, (303, "/admin/hosts?done=saved".to_owned()));
    assert_eq!(served(&site, FILES), "the first folder");
    let list = site.text(&owner, "/admin/hosts").1;
    assert!(
        list.contains(FILES) && list.contains(one.to_str().unwrap()),
        "{list}"
    );

    let form = form_of(&site, &owner);
    let html = site.text(&owner, &form).1;
    let revision = between(&html, "name=\"revision\" value=\"", "\"");
    let fields = [
        ("name", FILES),
        ("files", two.to_str().unwrap()),
        ("cache", "* = 1 hour"),
        ("revision", revision),
        ("password", PASSWORD),
    ];
    assert_eq!(send(&site, &owner, &form, &fields).0, 303);
    assert_eq!(served(&site, FILES), "the second folder");
    // The same form once more is of an older revision.
    let (status, html) = send(&site, &owner, &form, &fields);
    assert!(
        status == 422 && html.contains("changed or removed elsewhere"),
        "{html}"
    );

    let (_, to) = send(&site, &owner, &format!("{form}/remove"), &[]);
    assert_ne!(served(&site, FILES), "the second folder");
    let list = site.text(&owner, &to).1;
    let undo = between(
        &list,
        "<form method=\"post\" action=\"",
        "\"><button class=\"quiet\">Undo",
    );
    let undo = undo.rsplit('"').next().unwrap();
    assert_eq!(send(&site, &owner, undo, &[]).0, 303);
    assert_eq!(served(&site, FILES), "the second folder");

    standing
        .write_all(b"Host: 127.0.0.1\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    let _ = standing.read_to_string(&mut answer);
    assert!(
        answer.starts_with("HTTP/1.1 200"),
        "the connection was dropped: {answer}"
    );

    let site = site.restart();
    assert_eq!(served(&site, FILES), "the second folder", "after a restart");
    site.signal("HUP");
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(served(&site, FILES), "the second folder", "after a reload");
}

#[test]
fn what_was_removed_long_ago_does_not_come_back() {
    let (mut site, owner) = Site::with_owner();
    let (_dir, path) = folder("the folder");
    serve_folder(&site, &owner, FILES, path.to_str().unwrap());
    let form = form_of(&site, &owner);
    assert_eq!(send(&site, &owner, &format!("{form}/remove"), &[]).0, 303);
    assert!(site.stop().success());
    let database = rusqlite::Connection::open(site.data().join("site.db")).unwrap();
    let long_ago = "UPDATE hosts SET removed_at = removed_at - 25 * 3600";
    database.execute(long_ago, []).unwrap();
    drop(database);
    let site = site.restart_stopped();
    let list = site.text(&owner, "/admin/hosts").1;
    assert!(!list.contains(FILES), "{list}");
    assert_eq!(send(&site, &owner, &format!("{form}/restore"), &[]).0, 404);
    let list = site.text(&owner, "/admin/hosts").1;
    assert!(list.contains("There is none yet"), "{list}");
}

#[test]
fn a_program_is_passed_on_to_and_one_that_is_silent_is_named() {
    let (site, owner) = Site::with_owner();
    let program = Upstream::start("the program");
    let fields = [
        ("name", APP),
        (
            "proxy",
            &format!("http://{}\r\nhttp://127.0.0.1:1\r\n", program.address),
        ),
        ("answer_timeout_s", "5"),
        ("keep_host", "yes"),
        ("password", PASSWORD),
    ];
    assert_eq!(
        send(&site, &owner, "/admin/hosts/new/proxy", &fields).0,
        303
    );
    let client = site.client_for(&[APP]);
    let answer = client.get(site.url_of(APP, "/")).send().unwrap();
    assert_eq!(answer.headers()["x-upstream"], "the program");
    let list = site.text(&owner, "/admin/hosts").1;
    assert!(
        list.contains("nothing answers at http://127.0.0.1:1 "),
        "{list}"
    );
    let form = form_of(&site, &owner);
    let html = site.text(&owner, &form).1;
    assert!(
        html.contains("value=\"5\"") && html.contains("\"yes\" selected"),
        "{html}"
    );
}

#[test]
fn what_a_stolen_session_must_not_publish_is_refused() {
    let (site, owner) = Site::with_owner();
    let (_dir, fine) = folder("fine");
    let data = site.data().to_owned();
    let link = fine.join("link");
    std::os::unix::fs::symlink(&data, &link).unwrap();
    for bad in [
        data.to_str().unwrap(),
        data.join("media").to_str().unwrap(),
        data.parent().unwrap().to_str().unwrap(),
        link.to_str().unwrap(),
        link.join("tls").to_str().unwrap(),
        "/",
        "/etc",
        "relative",
        "\u{0}",
    ] {
        let (status, html) = serve_folder(&site, &owner, FILES, bad);
        assert!(
            status == 422 && html.contains("id=\"_files-error\""),
            "{bad}: {html}"
        );
    }
    let fields = [("name", FILES), ("files", fine.to_str().unwrap())];
    for password in ["", "wrong"] {
        let fields = [fields[0], fields[1], ("password", password)];
        let (status, html) = send(&site, &owner, "/admin/hosts/new/files", &fields);
        assert!(
            status == 422 && html.contains("id=\"_password-error\""),
            "{html}"
        );
        assert!(
            html.contains(fine.to_str().unwrap()),
            "what was typed is kept"
        );
    }
    let again = (0..20).map(|_| send(&site, &owner, "/admin/hosts/new/files", &fields).1);
    let slowed = again
        .into_iter()
        .any(|html| html.contains("Too many tries"));
    assert!(slowed, "guesses are slowed down");
    let list = site.text(&owner, "/admin/hosts").1;
    assert!(list.contains("There is none yet"), "{list}");
}

#[test]
fn names_that_cannot_be_are_explained_and_those_of_the_file_win() {
    let (_in_file, in_file) = folder("of the file");
    let (_other, other) = folder("of the browser");
    let toml = format!("[hosts.\"{FILES}\"]\nfiles = {in_file:?}\n");
    let site = Site::with_settings(&toml);
    let owner = site.set_up();
    let other = other.to_str().unwrap();
    for (name, word) in [
        ("https://a.example", "an address"),
        ("a b", "DNS"),
        ("", "DNS"),
        ("192.168.1.1", "number"),
        ("a.example:443", "port"),
        ("localhost", "this site itself"),
        (FILES, "webstead.toml"),
        ("FILES.localhost.", "webstead.toml"),
        ("<script>", "DNS"),
    ] {
        let (status, html) = serve_folder(&site, &owner, name, other);
        assert_eq!(status, 422, "{name}");
        let error = between(&html, "id=\"_name-error\">", "</p>");
        assert!(error.contains(word), "{name}: {error}");
    }
    assert_eq!(serve_folder(&site, &owner, "Mine.localhost.", other).0, 303);
    let (status, html) = serve_folder(&site, &owner, "mine.localhost", other);
    assert!(
        status == 422 && html.contains("another host already"),
        "{html}"
    );
    // Later the file gets a host of the same name.
    let more = format!("{toml}[hosts.\"mine.localhost\"]\nfiles = {in_file:?}\n");
    fs::write(site.data().join("webstead.toml"), more).unwrap();
    site.signal("HUP");
    until(&site, "the file wins", || {
        served(&site, "mine.localhost") == "of the file"
    });
    let list = site.text(&owner, "/admin/hosts").1;
    assert!(
        list.contains("not served") && list.contains("set in webstead.toml"),
        "{list}"
    );
    let check = command(site.data()).arg("check").output().unwrap();
    let said = String::from_utf8_lossy(&check.stderr);
    assert!(
        !check.status.success() && said.contains("set in the browser"),
        "{said}"
    );
}

#[test]
fn a_host_that_cannot_be_read_any_more_does_not_keep_the_server_from_starting() {
    let (mut site, owner) = Site::with_owner();
    let (_dir, path) = folder("fine");
    assert_eq!(
        serve_folder(&site, &owner, FILES, path.to_str().unwrap()).0,
        303
    );
    assert!(site.stop().success());
    let database = rusqlite::Connection::open(site.data().join("site.db")).unwrap();
    let broken = "INSERT INTO hosts (id, name, keys, revision, updated_at) VALUES (1, 'b.localhost', ?1, 1, 0)";
    database.execute(broken, ["{\"files\": "]).unwrap();
    drop(database);
    let site = site.restart_stopped();
    assert_eq!(served(&site, FILES), "fine");
    let list = site.text(&owner, "/admin/hosts").1;
    assert!(
        list.contains("b.localhost") && list.contains("not served"),
        "{list}"
    );
}

#[test]
fn a_folder_can_be_taken_away_while_another_host_of_the_file_is_broken() {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    fs::create_dir_all(&data).unwrap();
    let authority = Site::start();
    fs::copy(
        authority.data().join("tls/authority-cert.pem"),
        data.join("nas.pem"),
    )
    .unwrap();
    let settings =
        "[hosts.\"nas.localhost\"]\nproxy = \"https://127.0.0.1:1\"\ncertificate = \"nas.pem\"";
    fs::write(data.join("webstead.toml"), settings).unwrap();
    let site = Site::start_on(&data);
    let owner = site.set_up();
    let (_dir, path) = folder("public");
    assert_eq!(
        serve_folder(&site, &owner, FILES, path.to_str().unwrap()).0,
        303
    );
    assert_eq!(served(&site, FILES), "public");
    fs::remove_file(data.join("nas.pem")).unwrap();
    let form = form_of(&site, &owner);
    assert_eq!(send(&site, &owner, &format!("{form}/remove"), &[]).0, 303);
    assert_ne!(served(&site, FILES), "public");
}
