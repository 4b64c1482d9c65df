//! A disk that fails at one operation after the other: what was acknowledged stays, what was not is said, and
//! the site goes on by itself as soon as the disk does.

use std::{
    collections::HashSet,
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::Stdio,
    time::Duration,
};

use super::shim::{Disk, Kind};
use crate::site::{Site, command};

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const EROFS: i32 = 30;

/// What fails, and how.
pub(super) const FAULTS: [(Kind, i32); 8] = [
    (Kind::Write, EIO),
    (Kind::Write, ENOSPC),
    (Kind::Sync, EIO),
    (Kind::Read, EIO),
    (Kind::Name, EIO),
    (Kind::Name, ENOSPC),
    (Kind::Name, EROFS),
    (Kind::Open, EIO),
];

/// Every how manieth operation fails in turn; `WEBSTEAD_FAULTS=all` lets each fail, which takes a while.
pub(super) fn step(short: usize) -> usize {
    if std::env::var_os("WEBSTEAD_FAULTS").is_some() {
        1
    } else {
        short
    }
}

pub(super) fn titles(data: &Path) -> HashSet<String> {
    let database = rusqlite::Connection::open(data.join("site.db")).unwrap();
    let mut statement = database.prepare("SELECT title FROM posts").unwrap();
    let titles = statement.query_map([], |row| row.get(0)).unwrap();
    titles.map(Result::unwrap).collect()
}

pub(super) fn check(data: &Path, when: &str) {
    let look = || command(data).arg("check").output().unwrap();
    let mut check = look();
    let mut said = String::from_utf8_lossy(&check.stderr).into_owned();
    // The entry of a page that was half written proves that it is; the next start makes it anew.
    if check.status.code() == Some(4) && said.contains("site.db-sums2") {
        drop(Site::start_with(data, &[]));
        check = look();
        said = String::from_utf8_lossy(&check.stderr).into_owned();
    }
    assert!(check.status.success(), "{when}: {said}");
}

#[test]
fn whatever_fails_while_saving_nothing_acknowledged_is_lost_and_the_site_recovers() {
    let Some(disk) = Disk::new() else {
        return;
    };
    let data = disk.root.join("site");
    // All of this comes from one address, and faster than people ask.
    fs::create_dir_all(&data).unwrap();
    fs::write(data.join("webstead.toml"), "[pages]\nper_second = 0\n").unwrap();
    let site = Site::start_with(&data, &disk.environment());
    let client = site.set_up();
    let (mut acknowledged, mut refused, mut tried) = (Vec::new(), 0, 0);
    // Large, so that the log is written back now and then.
    let words = "words that are not lost ".repeat(2500);
    for (kind, errno) in FAULTS {
        for after in (0..60u64).step_by(step(5)) {
            let when = format!("{kind:?} {errno} after {after}");
            let title = format!("save with {when}");
            let form = |title: &str| {
                [
                    ("title", title.to_owned()),
                    ("markdown", words.clone()),
                    ("action", "publish".into()),
                ]
            };
            let times = 1 + after % 3;
            disk.fail(&[kind], "", after, times, errno);
            let answer = site
                .post(&client, "/admin/posts")
                .form(&form(&title))
                .send();
            let answer = answer.unwrap();
            tried += 1;
            let status = answer.status().as_u16();
            let html = answer.text().unwrap();
            if status == 303 {
                acknowledged.push(title);
            } else {
                refused += 1;
                let is_said =
                    html.contains("not saved") && html.contains("words that are not lost");
                let is_no_page = status == 500 || status == 507 || status == 503;
                assert!(
                    status == 422 && is_said || is_no_page,
                    "{when}: {status} {html:.900}"
                );
            }
            disk.mend();
            assert_eq!(
                site.text(&site.client(), "/").0,
                200,
                "{when}: it goes on serving"
            );
            let title = format!("save after {when}");
            let answer = site
                .post(&client, "/admin/posts")
                .form(&form(&title))
                .send();
            let status = answer.unwrap().status();
            assert_eq!(status, 303, "{when}: it recovers; {}", site.log());
            acknowledged.push(title);
        }
    }
    assert!(
        refused * 10 > tried,
        "only {refused} of {tried} were refused: nothing was tested"
    );
    let log = site.log();
    assert!(!log.contains("panic"), "{log}");
    let site = site.kill_and_restart();
    let there = titles(&data);
    let lost: Vec<_> = acknowledged
        .iter()
        .filter(|title| !there.contains(*title))
        .collect();
    assert!(lost.is_empty(), "{lost:?}");
    drop(site);
    check(&data, "at the end");
    eprintln!(
        "{tried} saves with a fault, {refused} refused, {} acknowledged, none lost",
        acknowledged.len()
    );
}

#[test]
fn whatever_fails_while_importing_all_of_it_comes_in_or_nothing() {
    let Some(disk) = Disk::new() else {
        return;
    };
    let data = disk.root.join("site");
    drop(Site::start_with(&data, &[]));
    let (mut failed, mut came_in) = (0, 0);
    for (number, (kind, errno)) in FAULTS.into_iter().enumerate() {
        let mut after = number;
        loop {
            let when = format!("{kind:?} {errno} after {after}");
            let folder = tempfile::tempdir().unwrap();
            let name = format!("import-{number}-{after}");
            let picture: Vec<u8> = format!("GIF89a {name}").into_bytes().repeat(300);
            fs::write(folder.path().join("picture.gif"), &picture).unwrap();
            for part in ["a", "b"] {
                let text =
                    format!("---\ntitle: {name} {part}\ndate: 2024-02-01\n---\n![](picture.gif)\n");
                fs::write(folder.path().join(format!("{name}-{part}.md")), text).unwrap();
            }
            disk.fail(&[kind], "", after as u64, 1, errno);
            let before = disk.mend().0;
            disk.fail(&[kind], "", after as u64, 1, errno);
            let mut import = command(&data);
            import
                .arg("import")
                .arg(folder.path())
                .envs(disk.environment());
            let output = import.output().unwrap();
            let was_hit = disk.mend().0 > before;
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!said.contains("panicked"), "{when}: {said}");
            let there = titles(&data);
            let count = ["a", "b"]
                .iter()
                .filter(|part| there.contains(&format!("{name} {part}")))
                .count();
            if output.status.success() {
                assert_eq!(count, 2, "{when}: {said}");
                let path = data.join("media").join(webstead::db::hash_of(&picture));
                assert_eq!(fs::read(path).unwrap(), picture, "{when}");
                came_in += 1;
            } else {
                assert!(count == 0 || count == 2, "{when}: {count} of 2 came in");
                assert!(said.contains("webstead: "), "{when}: {said}");
                failed += 1;
            }
            check(&data, &when);
            if !was_hit {
                break;
            }
            after += step(13);
        }
    }
    assert!(failed > 10, "{failed} imports failed");
    eprintln!("{failed} imports failed, {came_in} came in");
}

#[test]
fn whatever_fails_at_a_start_the_next_start_works() {
    let Some(disk) = Disk::new() else {
        return;
    };
    let (mut failed, mut started) = (0, 0);
    for (number, (kind, errno)) in FAULTS.into_iter().enumerate() {
        let mut after = number % 3;
        loop {
            let when = format!("{kind:?} {errno} after {after}");
            // Every other time the folder is new.
            let data = disk.root.join(if after % 2 == 0 {
                format!("{number}-{after}")
            } else {
                "old".into()
            });
            let before = disk.mend().0;
            disk.fail(&[kind], "", after as u64, 1, errno);
            let mut serve = command(&data);
            serve.args(["--https", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
            serve
                .envs(disk.environment())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped());
            let mut child = serve.spawn().unwrap();
            let mut line = String::new();
            let out = BufReader::new(child.stdout.take().unwrap()).read_line(&mut line);
            let was_hit = disk.mend().0 > before;
            out.unwrap();
            if line.is_empty() {
                failed += 1;
            } else {
                started += 1;
                std::thread::sleep(Duration::from_millis(20));
                child.kill().unwrap();
            }
            let output = child.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!said.contains("panicked"), "{when}: {said}");
            assert!(
                !line.is_empty() || said.contains("webstead: "),
                "{when}: {said}"
            );
            drop(Site::start_on(&data));
            check(&data, &when);
            if !was_hit {
                break;
            }
            after += step(11);
        }
    }
    assert!(failed > 5, "{failed} starts failed");
    eprintln!("{failed} starts failed, {started} did not");
}

#[test]
fn nothing_is_written_because_somebody_reads() {
    let Some(disk) = Disk::new() else {
        return;
    };
    let views = if step(2) == 1 { 10_000 } else { 1_000 };
    let site = Site::start_with(&disk.root.join("site"), &disk.environment());
    let editor = site.set_up();
    site.publish(&editor, &[("title", "Post"), ("markdown", "text")]);
    let visitor = site.client();
    let before = (
        disk.written(),
        disk.seen(Kind::Write),
        disk.seen(Kind::Name),
    );
    let pages = [
        "/",
        "/post",
        "/archive",
        "/tags",
        "/feed.xml",
        "/nowhere",
        "/help",
    ];
    for n in 0..views {
        let client = if n % 10 == 0 { &editor } else { &visitor };
        // Another query each time, so that the page cache does not answer all.
        let page = format!("{}?n={}", pages[n % pages.len()], n / 50);
        assert!(site.get(client, &page).status().as_u16() < 500);
    }
    let after = (
        disk.written(),
        disk.seen(Kind::Write),
        disk.seen(Kind::Name),
    );
    assert_eq!(after, before, "bytes, writes, names");
    eprintln!("{views} views wrote nothing");
}
