//! Power cuts: below the program, at any moment, with any part of what was not synced.

use std::{fs, path::Path, sync::Mutex};

use super::{
    crash::{Chance, Log},
    shim::{Disk, Kind},
};
use crate::site::{OWNER, PASSWORD, Site, command};

/// Power cuts in each test; `WEBSTEAD_POWER_CUTS=500` runs the long form.
const CUTS: usize = 40;
const EIO: i32 = 5;

/// What somebody was told is saved, and how long the log was then.
struct Promise {
    at: u64,
    what: What,
}

enum What {
    Owner,
    /// A title that a post has.
    Post(String),
    /// A file of these bytes.
    File(Vec<u8>),
}

fn cuts() -> usize {
    let asked = std::env::var("WEBSTEAD_POWER_CUTS").ok();
    asked.and_then(|n| n.parse().ok()).unwrap_or(CUTS)
}

/// A site that is set up, written to by several at once, imported into and stopped, on a disk that remembers.
fn a_busy_day(disk: &Disk, is_ill: bool) -> Vec<Promise> {
    let data = disk.root.join("site");
    let mut site = Site::start_with(&data, &disk.environment());
    let promises = Mutex::new(Vec::new());
    let promise = |what| {
        let at = disk.log_length();
        promises.lock().unwrap().push(Promise { at, what });
    };
    site.set_up();
    promise(What::Owner);
    let rounds = 3;
    for round in 0..rounds {
        let client = site.sign_in(OWNER, PASSWORD);
        std::thread::scope(|scope| {
            for number in 0..4 {
                let (site, client, promise) = (&site, &client, &promise);
                scope.spawn(move || {
                    for count in 0..12u8 {
                        if is_ill && number == 0 && count % 4 == 1 {
                            disk.fail(&[Kind::Sync], "", u64::from(count % 3), 1 + round % 2, EIO);
                        }
                        let title = format!("round {round} client {number} save {count}");
                        let text = format!("{title} ").repeat(20 + 40 * usize::from(count % 5));
                        let form = [
                            ("title", title.as_str()),
                            ("markdown", text.as_str()),
                            ("action", "publish"),
                        ];
                        let answer = site.post(client, "/admin/posts").form(&form).send();
                        if answer.unwrap().status() == 303 {
                            promise(What::Post(title));
                        }
                    }
                });
            }
            let (data, promise) = (&data, &promise);
            scope.spawn(move || import(disk, data, round, promise));
        });
        disk.mend();
        if round == 0 {
            assert!(site.stop().success());
        } else {
            site.signal("KILL");
            site.wait_for_end();
        }
        if round + 1 < rounds {
            drop(site);
            site = Site::start_with(&data, &disk.environment());
        }
    }
    promises.into_inner().unwrap()
}

/// Imports a post with a picture beside the running server.
fn import(disk: &Disk, data: &Path, round: u64, promise: &impl Fn(What)) {
    let folder = tempfile::tempdir().unwrap();
    let title = format!("imported in round {round}");
    let picture: Vec<u8> = format!("GIF89a {round}").into_bytes().repeat(900);
    fs::write(folder.path().join("picture.gif"), &picture).unwrap();
    let text = format!(
        "---\ntitle: {title}\ndate: 2024-02-0{}\n---\n![](picture.gif)\n",
        round + 1
    );
    fs::write(folder.path().join("post.md"), text).unwrap();
    let mut import = command(data);
    import.arg("import").arg(folder.path());
    let output = import.envs(disk.environment()).output().unwrap();
    if output.status.success() {
        promise(What::Post(title));
        promise(What::File(picture));
    }
}

fn cut_the_power(disk: &Disk, promises: &[Promise], seed: u64) {
    let log = Log::read(&disk.log());
    let folder = tempfile::tempdir().unwrap();
    let mut chance = Chance(seed);
    for number in 0..cuts() {
        let count = usize::try_from(chance.below(log.len() as u64 + 1)).unwrap();
        let target = folder.path().join(number.to_string());
        let how = log.crash(count, &mut chance, &target);
        let how = format!("cut {number} of seed {seed}, {how}");
        let until = log.length_at(count);
        let kept: Vec<&What> = promises
            .iter()
            .filter(|promise| promise.at <= until)
            .map(|promise| &promise.what)
            .collect();
        look(&target.join("site"), &kept, number, &how);
        fs::remove_dir_all(&target).unwrap();
    }
    eprintln!(
        "{} power cuts in {} changes with {} promises, none broken",
        cuts(),
        log.len(),
        promises.len()
    );
}

/// Whether what was promised is there, and the site works.
fn look(data: &Path, kept: &[&What], number: usize, how: &str) {
    // A start in which nothing was promised must not keep the next one from starting.
    if kept.is_empty() || number.is_multiple_of(8) {
        fs::create_dir_all(data.parent().unwrap()).unwrap();
        let site = Site::start_on(data);
        if !kept.is_empty() {
            let client = site.sign_in(OWNER, PASSWORD);
            site.publish(&client, &[("title", "afterwards"), ("markdown", "x")]);
        }
    }
    let check = command(data).arg("check").output().unwrap();
    let said = String::from_utf8_lossy(&check.stderr);
    assert!(check.status.success(), "{how}: {said}");
    let database = rusqlite::Connection::open(data.join("site.db")).unwrap();
    let count = |sql: &str, value: &str| -> i64 {
        let value: &[&dyn rusqlite::ToSql] = if sql.contains('?') { &[&value] } else { &[] };
        database.query_row(sql, value, |row| row.get(0)).unwrap()
    };
    for what in kept {
        match what {
            What::Owner => assert_eq!(count("SELECT count(*) FROM users", ""), 1, "{how}"),
            What::Post(title) => assert_eq!(
                count("SELECT count(*) FROM posts WHERE title = ?1", title),
                1,
                "{how}: {title} is lost"
            ),
            What::File(bytes) => {
                let path = data.join("media").join(webstead::db::hash_of(bytes));
                assert_eq!(&fs::read(path).unwrap(), bytes, "{how}");
            }
        }
    }
}

#[test]
fn a_power_cut_loses_nothing_that_was_acknowledged() {
    let Some(disk) = Disk::remembering() else {
        return;
    };
    let promises = a_busy_day(&disk, false);
    cut_the_power(&disk, &promises, 1);
}

#[test]
fn a_power_cut_after_syncs_that_failed_loses_nothing_that_was_acknowledged() {
    let Some(disk) = Disk::remembering() else {
        return;
    };
    let promises = a_busy_day(&disk, true);
    cut_the_power(&disk, &promises, 2);
}

#[test]
fn a_disk_that_lies_about_syncs_is_caught_by_these_tests() {
    let Some(disk) = Disk::remembering() else {
        return;
    };
    let promises = a_busy_day(&disk, false);
    let mut log = Log::read(&disk.log());
    log.lies = true;
    let folder = tempfile::tempdir().unwrap();
    let mut chance = Chance(3);
    let lost = (0..10).filter(|number| {
        let target = folder.path().join(number.to_string());
        log.crash(log.len(), &mut chance, &target);
        let Ok(database) = rusqlite::Connection::open(target.join("site/site.db")) else {
            return true;
        };
        let posts = promises
            .iter()
            .filter(|promise| matches!(promise.what, What::Post(_)));
        let count =
            database.query_row("SELECT count(*) FROM posts", [], |row| row.get::<_, i64>(0));
        count.map_or(true, |count| count < i64::try_from(posts.count()).unwrap())
    });
    assert!(lost.count() > 2);
}

#[test]
fn a_start_makes_sure_of_a_log_that_was_left_by_a_sync_that_failed_before_it_builds_on_it() {
    let Some(disk) = Disk::remembering() else {
        return;
    };
    let data = disk.root.join("site");
    let save = |site: &Site, client: &reqwest::blocking::Client, title: &str| {
        let form = [
            ("title", title),
            ("markdown", "words"),
            ("action", "publish"),
        ];
        let answer = site.post(client, "/admin/posts").form(&form).send();
        answer.unwrap().status().as_u16()
    };
    let mut site = Site::start_with(&data, &disk.environment());
    let client = site.set_up();
    assert_eq!(save(&site, &client, "before"), 303);
    // It is in the log, as everybody reads it, and the kernel has forgotten to write it to the disk.
    disk.fail(&[Kind::Sync], "-wal", 0, 1000, EIO);
    assert_ne!(save(&site, &client, "refused"), 303);
    site.signal("KILL");
    site.wait_for_end();
    drop(site);
    assert!(disk.mend().0 > 0, "no sync has failed");
    // The next process takes it for saved, and what it saves comes behind.
    let mut site = Site::start_with(&data, &disk.environment());
    let client = site.sign_in(OWNER, PASSWORD);
    assert_eq!(save(&site, &client, "after"), 303);
    let promised = disk.log_length();
    site.signal("KILL");
    site.wait_for_end();
    let log = Log::read(&disk.log());
    let count = (0..=log.len()).find(|count| log.length_at(*count) >= promised);
    let folder = tempfile::tempdir().unwrap();
    let mut chance = Chance(4);
    let kept = [
        What::Owner,
        What::Post("before".into()),
        What::Post("after".into()),
    ];
    let kept: Vec<&What> = kept.iter().collect();
    for number in 0..cuts() {
        let target = folder.path().join(number.to_string());
        let how = log.crash(count.unwrap(), &mut chance, &target);
        look(&target.join("site"), &kept, number, &how);
    }
}
