//! A clock that is wrong, and jumps: a Raspberry Pi has none that goes on while it is off.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use reqwest::blocking::Client;

use crate::{
    faketime::Clock,
    site::{OWNER, PASSWORD, Site},
    waiting::until,
};

/// 2026-01-01T00:00:00Z: the program is younger.
const EARLIEST: i64 = 1_767_225_600;
const DAY: i64 = 24 * 3600;

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs()).unwrap()
}

/// A browser whose clock is right, and that takes any certificate: those of a wrong clock may be over.
fn lenient(site: &Site) -> Client {
    let builder = site.client_builder();
    builder
        .tls_danger_accept_invalid_certs(true)
        .build()
        .unwrap()
}

fn sign_in(site: &Site) -> Client {
    let client = lenient(site);
    let form = [("name", OWNER), ("password", PASSWORD)];
    let answer = site.post(&client, "/sign-in").form(&form).send().unwrap();
    assert_eq!(answer.status(), 303);
    client
}

fn rows(data: &Path, sql: &str) -> Vec<i64> {
    let database = rusqlite::Connection::open(data.join("site.db")).unwrap();
    let mut statement = database.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

fn is_signed_in(site: &Site, client: &Client) -> bool {
    site.text(client, "/admin").0 == 200
}

#[test]
fn a_site_that_starts_in_1970_and_learns_the_time_later_is_right_in_the_end() {
    let Some(clock) = Clock::saying("@1970-01-01 12:00:10") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("site");
    let store = dir.path().join("backups");
    fs::create_dir(&data).unwrap();
    let text = format!("[backup]\nto = \"{}\"\nat = \"12:00\"\n", store.display());
    fs::write(data.join("webstead.toml"), text).unwrap();
    let mut site = Site::start_with(&data, &clock.environment());
    let owner = lenient(&site);
    site.set_up_with(&owner);
    site.publish(
        &owner,
        &[("title", "Before"), ("markdown", "x"), ("tags", "t")],
    );
    assert!(site.log().contains("was never set"), "{}", site.log());
    let (_, page) = site.text(&owner, "/admin");
    assert!(
        page.contains("clock of this machine was never set"),
        "{page}"
    );
    let before = rows(&data, "SELECT published_at FROM posts")[0];
    assert!((EARLIEST..EARLIEST + DAY).contains(&before), "{before}");
    until(&site, "a first backup", || {
        site.log().contains("backup 1 was made")
    });

    // The time comes from the network.
    clock.set("+0");
    until(&site, "noticed", || site.log().contains("was set, from"));
    // A certificate that browsers with the right time accept.
    let strict = site.client();
    let url = site.url("/before");
    until(&site, "a certificate", || strict.get(&url).send().is_ok());
    assert!(is_signed_in(&site, &owner), "{}", site.log());
    let (_, page) = site.text(&owner, "/admin");
    assert!(!page.contains("was never set"), "{page}");
    for column in ["published_at", "created_at", "updated_at"] {
        let at = rows(&data, &format!("SELECT {column} FROM posts"))[0];
        assert!((now() - 300..=now()).contains(&at), "{column} {at}");
    }
    let listed = rows(&data, "SELECT listed_at FROM post_tags")[0];
    assert_eq!(listed, rows(&data, "SELECT published_at FROM posts")[0]);
    site.publish(&owner, &[("title", "After"), ("markdown", "x")]);
    let ids = rows(&data, "SELECT id FROM posts ORDER BY published_at, id");
    assert!(ids.is_sorted(), "{ids:?}");
    // One backup is made up for, and no more.
    std::thread::sleep(Duration::from_secs(7));
    let made = site.log().matches("was made and is sound").count();
    assert!((1..=2).contains(&made), "{}", site.log());

    // And then it is off, and starts in 1970 again: nothing that it knows is forgotten.
    clock.set("@1970-01-01 12:00:10");
    assert!(site.stop().success());
    drop(site);
    let site = Site::start_with(&data, &clock.environment());
    let guest = lenient(&site);
    assert_eq!(site.text(&guest, "/after").0, 200);
    site.publish(&sign_in(&site), &[("title", "Later"), ("markdown", "x")]);
    let dates = rows(&data, "SELECT published_at FROM posts ORDER BY id");
    assert!(dates.is_sorted() && dates[2] - now() < 300, "{dates:?}");
    assert!(!site.log().contains("panic"), "{}", site.log());
}

#[test]
fn a_clock_that_jumps_ahead_and_back_ends_no_session_and_lets_none_last_for_ever() {
    let Some(clock) = Clock::saying("+0") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("site");
    let site = Site::start_with(&data, &clock.environment());
    let owner = lenient(&site);
    site.set_up_with(&owner);
    site.publish(&owner, &[("title", "One"), ("markdown", "x")]);
    clock.set("+12000d");
    until(&site, "noticed", || {
        site.log().matches("was set, from").count() == 1
    });
    until(&site, "follows", || is_signed_in(&site, &owner));
    let there = sign_in(&site);
    site.publish(&there, &[("title", "Two"), ("markdown", "x")]);
    let ids = rows(&data, "SELECT id FROM posts ORDER BY id");
    clock.set("+0");
    until(&site, "noticed", || {
        site.log().matches("was set, from").count() == 2
    });
    until(&site, "follows", || is_signed_in(&site, &owner));
    assert!(is_signed_in(&site, &there), "{}", site.log());
    let ends = rows(&data, "SELECT expires_at FROM sessions");
    assert!(ends.iter().all(|end| end - now() <= 30 * DAY), "{ends:?}");
    site.publish(&there, &[("title", "Three"), ("markdown", "x")]);
    let later = rows(&data, "SELECT id FROM posts ORDER BY id");
    assert_eq!(later[..2], ids);
    let newest = rows(&data, "SELECT id FROM posts WHERE title = 'Three'");
    assert_eq!(later[2..], newest, "ids rise");

    // A session of a clock that was ahead, and has not been there since.
    let database = rusqlite::Connection::open(data.join("site.db")).unwrap();
    let ahead = "UPDATE sessions SET created_at = created_at + 1000000000, expires_at = expires_at + 1000000000";
    database.execute(ahead, []).unwrap();
    drop(database);
    let site = site.restart();
    assert!(!is_signed_in(&site, &there), "{}", site.log());
    sign_in(&site);
}
