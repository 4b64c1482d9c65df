//! What was acknowledged is on the disk, whatever happens next.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use crate::site::{OWNER, PASSWORD, Site};

/// Clients that save at the same time.
const CLIENTS: usize = 16;
/// Rounds of killing; `WEBSTEAD_KILL_ROUNDS=100` runs the long form.
const ROUNDS: usize = 4;

#[test]
fn what_was_acknowledged_before_a_kill_is_there_after_it() {
    let rounds = std::env::var("WEBSTEAD_KILL_ROUNDS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(ROUNDS);
    let (mut site, _) = Site::with_owner();
    let acknowledged = Mutex::new(Vec::new());
    for round in 0..rounds {
        let client = site.sign_in(OWNER, PASSWORD);
        let (saved, until) = (
            AtomicUsize::new(0),
            Instant::now() + Duration::from_millis(1500),
        );
        std::thread::scope(|scope| {
            for number in 0..CLIENTS {
                let (site, client, saved, acknowledged) = (&site, &client, &saved, &acknowledged);
                scope.spawn(move || {
                    for count in 0.. {
                        let title = format!("round {round} client {number} save {count}");
                        let form = [
                            ("title", title.as_str()),
                            ("markdown", "x"),
                            ("action", "publish"),
                        ];
                        // An error is what the kill looks like to a client: then nothing was promised.
                        match site.post(client, "/admin/posts").form(&form).send() {
                            Ok(answer) if answer.status() == 303 => {
                                saved.fetch_add(1, Ordering::Relaxed);
                                acknowledged.lock().unwrap().push(title);
                            }
                            Ok(answer) => panic!("{}", answer.status()),
                            Err(_) => break,
                        }
                    }
                });
            }
            // Another moment each round, but always in the middle of the saving.
            while Instant::now() < until && saved.load(Ordering::Relaxed) < 20 + round % 60 {
                std::thread::sleep(Duration::from_millis(1));
            }
            site.signal("KILL");
        });
        site = site.kill_and_restart();
        let database = rusqlite::Connection::open(site.data().join("site.db")).unwrap();
        let state: String = database
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(state, "ok", "round {round}");
        let mut statement = database.prepare("SELECT title FROM posts").unwrap();
        let there: std::collections::HashSet<String> = statement
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let lost: Vec<_> = acknowledged
            .lock()
            .unwrap()
            .iter()
            .filter(|title| !there.contains(*title))
            .cloned()
            .collect();
        assert!(lost.is_empty(), "round {round} lost {lost:?}");
    }
    let count = acknowledged.lock().unwrap().len();
    assert!(
        count > rounds * 10,
        "only {count} saves in {rounds} rounds: nothing was tested"
    );
    eprintln!("{rounds} kills, {count} acknowledged saves, none lost");
}

#[test]
fn a_full_disk_fails_saves_with_a_clear_message_and_keeps_serving() {
    let dir = tempfile::tempdir().unwrap();
    let mount = dir.path().join("small");
    std::fs::create_dir(&mount).unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
        .arg(&mount)
        .output()
        .is_ok_and(|output| output.status.success());
    if !mounted {
        eprintln!("SKIPPED: a small disk cannot be mounted here (it needs root)");
        return;
    }
    let _unmount = Unmount(mount.clone());
    let data = mount.join("data");
    let site = Site::start_on(&data);
    let client = site.client();
    let token = site.setup_token();
    let form = [
        ("token", token.as_str()),
        ("site_title", "S"),
        ("display_name", "A"),
        ("name", OWNER),
        ("password", PASSWORD),
    ];
    assert_eq!(
        site.post(&client, "/setup")
            .form(&form)
            .send()
            .unwrap()
            .status(),
        303
    );
    let text = "words that are not lost ".repeat(2000);
    let mut saved = 0;
    let refused = loop {
        let title = format!("post {saved}");
        let form = [
            ("title", title.as_str()),
            ("markdown", text.as_str()),
            ("action", "publish"),
        ];
        let answer = site
            .post(&client, "/admin/posts")
            .form(&form)
            .send()
            .unwrap();
        if answer.status() != 303 {
            break answer;
        }
        saved += 1;
        assert!(saved < 1000, "the disk never filled up");
    };
    assert_eq!(refused.status(), 422);
    let html = refused.text().unwrap();
    assert!(
        html.contains("disk is full") && html.contains("words that are not lost"),
        "{html:.2000}"
    );
    assert_eq!(
        site.text(&site.client(), "/post-0").0,
        if saved > 0 { 200 } else { 404 },
        "it goes on serving"
    );
    let remounted = std::process::Command::new("mount")
        .args(["-o", "remount,size=32m"])
        .arg(&mount)
        .status()
        .unwrap();
    assert!(remounted.success());
    let form = [
        ("title", "with room"),
        ("markdown", text.as_str()),
        ("action", "publish"),
    ];
    let answer = site
        .post(&client, "/admin/posts")
        .form(&form)
        .send()
        .unwrap();
    assert_eq!(answer.status(), 303, "it recovers by itself");
    drop(site);
}

struct Unmount(std::path::PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount")
            .arg("-l")
            .arg(&self.0)
            .status();
    }
}
