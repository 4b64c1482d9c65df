//! Where backups go, set in the browser.

use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

use reqwest::blocking::Client;

use crate::{
    site::{OWNER, PASSWORD, Site, between},
    sshd::{Machine, WORD},
    stores::done,
    waiting::found_within,
};

const PAGE: &str = "/admin/backups/place";

/// What a form of this page would send, with `more` in its fields.
fn send(site: &Site, client: &Client, html: &str, more: &[(&str, &str)]) -> (u16, String) {
    let mut fields: Vec<(&str, &str)> = more.to_vec();
    let seen = between(html, "name=\"seen\" value=\"", "\"");
    let looked = between(html, "name=\"looked\" value=\"", "\"");
    fields.extend([("seen", seen), ("looked", looked)]);
    let answer = site.post(client, PAGE).form(&fields).send().unwrap();
    if let Some(to) = answer.headers().get("location") {
        return site.text(client, to.to_str().unwrap());
    }
    (answer.status().as_u16(), answer.text().unwrap())
}

fn wait_for(site: &Site, client: &Client, word: &str) -> String {
    found_within(Duration::from_mins(1), || {
        let (_, html) = site.text(client, "/admin/backups");
        if html.contains(word) {
            return Ok(html);
        }
        Err(format!("no {word}: {html}"))
    })
}

#[test]
fn a_folder_is_looked_at_chosen_used_and_taken_back() {
    let (site, client) = Site::with_owner();
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("backups").display().to_string();
    let (_, html) = site.text(&client, "/admin/backups");
    assert!(html.contains(PAGE), "{html}");
    let (_, html) = site.text(&client, &format!("{PAGE}?kind=folder"));
    // What cannot be is told beside its field, and nothing is changed.
    let inside = site.data().join("x").display().to_string();
    for (wrong, word) in [
        ("backups", "whole path"),
        ("", "Fill this in"),
        (&inside, "inside of"),
    ] {
        let form = [
            ("kind", "folder"),
            ("folder", wrong),
            ("password", PASSWORD),
        ];
        let (status, told) = send(&site, &client, &html, &form);
        assert!(status == 422 && told.contains(word), "{word}: {told}");
    }
    let form = |password| {
        [
            ("kind", "folder"),
            ("folder", &*folder),
            ("password", password),
        ]
    };
    let mut look = form("").to_vec();
    look.push(("action", "look"));
    let (status, told) = send(&site, &client, &html, &look);
    assert!(status == 200 && told.contains("no backups in"), "{told}");
    assert!(!dir.path().join("backups").exists(), "a look makes nothing");
    let (status, told) = send(&site, &client, &html, &form("not it"));
    assert!(
        status == 422 && told.contains("not your password"),
        "{told}"
    );
    let (status, told) = send(&site, &client, &html, &form(PASSWORD));
    assert!(status == 200 && told.contains("It is saved"), "{told}");
    site.post(&client, "/admin/backups").send().unwrap();
    let html = wait_for(&site, &client, ">proven<");
    assert!(html.contains(&folder), "{html}");
    // Behind the trial, the place is thinned out.
    wait_for(&site, &client, "Back up now");
    // The command line knows it too, and so does the next start.
    let told = done(site.data(), &["backup"], "");
    assert!(
        told.contains(&folder) && told.contains("Backup 2"),
        "{told}"
    );
    let site = site.restart();
    let client = site.sign_in(OWNER, PASSWORD);
    wait_for(&site, &client, "Backup 2");
    // Somebody who had the page open before changes nothing by mistake.
    let (_, old) = site.text(&client, PAGE);
    site.post(&client, &format!("{PAGE}/remove"))
        .send()
        .unwrap();
    let (_, html) = site.text(&client, "/admin/backups");
    assert!(html.contains("There are none yet"), "{html}");
    let (status, told) = send(&site, &client, &old, &form(PASSWORD));
    assert!(
        status == 422 && told.contains("changed elsewhere"),
        "{told}"
    );
    site.post(&client, &format!("{PAGE}/undo")).send().unwrap();
    wait_for(&site, &client, "Backup 2");
    // What the file says counts more.
    let other = dir.path().join("other").display().to_string();
    fs::write(
        site.data().join("webstead.toml"),
        format!("[backup]\nto = \"{other}\"\n"),
    )
    .unwrap();
    let site = site.restart();
    let client = site.sign_in(OWNER, PASSWORD);
    wait_for(&site, &client, &other);
    let (_, html) = site.text(&client, PAGE);
    assert!(html.contains("set in webstead.toml"), "{html}");
    let (status, _) = send(&site, &client, &old, &form(PASSWORD));
    assert_eq!(status, 422);
}

#[test]
fn another_machine_is_met_lets_us_in_and_keeps_the_backups() {
    let Some(machine) = Machine::start() else {
        return;
    };
    let (site, client) = Site::with_owner();
    let (_, html) = site.text(&client, &format!("{PAGE}?kind=sftp"));
    let line = between(&html, "machine\"><code>", "</code></pre>").to_owned();
    assert!(line.starts_with("ssh-ed25519 "), "{line}");
    let port = machine.port().to_string();
    let form = |key| {
        let place = [
            ("host", "127.0.0.1"),
            ("port", &*port),
            ("user", "ada"),
            ("folder", "~/x"),
        ];
        let mut form = place.to_vec();
        form.extend([("kind", "sftp"), ("action", "look"), ("host_key", key)]);
        form
    };
    // It shows its key, which stands in the form then; and it does not let us in yet.
    let key = machine.host_key("ed25519");
    let (_, told) = send(&site, &client, &html, &form(""));
    assert_eq!(between(&told, "name=\"host_key\" value=\"", "\""), key);
    let (_, told) = send(&site, &client, &html, &form(&key));
    assert!(
        told.contains("does not let ada in") && told.contains("authorized_keys"),
        "{told}"
    );
    machine.allow(&line);
    let (_, told) = send(&site, &client, &html, &form(&key));
    assert!(
        told.contains("no backups in sftp://ada@127.0.0.1"),
        "{told}"
    );
    // By password it goes too, and the password is in no database and on no page.
    machine.allow("");
    let mut by_password = form(&key);
    by_password.push(("secret", WORD));
    let (_, told) = send(&site, &client, &html, &by_password);
    assert!(
        told.contains("no backups in sftp://ada@127.0.0.1"),
        "{told}"
    );
    by_password.retain(|(name, _)| *name != "action");
    by_password.push(("password", PASSWORD));
    let (status, told) = send(&site, &client, &html, &by_password);
    assert!(status == 200 && told.contains("It is saved"), "{told}");
    assert!(!told.contains(WORD));
    // It goes to that machine alone, whatever is typed into the form: another would let us in with it.
    let elsewhere = form(&key).into_iter().map(|(name, text)| match name {
        "host" => (name, "localhost"),
        _ => (name, text),
    });
    let (_, html) = site.text(&client, PAGE);
    let (_, shown) = send(&site, &client, &html, &elsewhere.collect::<Vec<_>>());
    assert!(shown.contains("does not let ada in"), "{shown}");
    let word = WORD.as_bytes();
    for file in ["site.db", "site.db-wal"] {
        let bytes = fs::read(site.data().join(file)).unwrap();
        assert!(
            !bytes.windows(word.len()).any(|part| part == word),
            "{file}"
        );
    }
    site.post(&client, "/admin/backups").send().unwrap();
    wait_for(&site, &client, ">proven<");
}

#[test]
fn a_share_that_hangs_holds_up_neither_its_page_nor_others() {
    let (site, client) = Site::with_owner();
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("backups");
    let settings = format!("[backup]\nto = \"{}\"\n", folder.display());
    fs::write(site.data().join("webstead.toml"), settings).unwrap();
    let site = site.restart();
    let client_of = |site: &Site| site.sign_in(OWNER, PASSWORD);
    drop(client);
    let client = client_of(&site);
    done(site.data(), &["backup"], "");
    wait_for(&site, &client, ">proven<");
    // Who opens a pipe waits for somebody to write into it, as who opens a file of a server that is gone.
    let first = folder.join("webstead-backups.json");
    fs::remove_file(&first).unwrap();
    assert!(
        Command::new("mkfifo")
            .arg(&first)
            .status()
            .unwrap()
            .success()
    );
    let begun = Instant::now();
    for _ in 0..3 {
        let (status, html) = site.text(&client, "/admin/backups");
        assert!(
            status == 200 && html.contains("has not answered for"),
            "{html}"
        );
        assert!(html.contains(">proven<"), "what was there before is shown");
    }
    assert!(
        begun.elapsed() < Duration::from_secs(30),
        "{:?}",
        begun.elapsed()
    );
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (client, url) = (client.clone(), site.url("/admin/backups"));
            std::thread::spawn(move || client.get(url).send().unwrap().status().as_u16())
        })
        .collect();
    let begun = Instant::now();
    assert_eq!(site.text(&site.client(), "/").0, 200);
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "{:?}",
        begun.elapsed()
    );
    for thread in threads {
        assert_eq!(thread.join().unwrap(), 200);
    }
    // It ends at once, too.
    let begun = Instant::now();
    let mut site = site;
    site.stop();
    assert!(
        begun.elapsed() < Duration::from_secs(25),
        "{:?}",
        begun.elapsed()
    );
}
