//! From the first start to the last: set-up links, stopping, folders that cannot be used.

use std::{
    fs,
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{
        Barrier,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::StatusCode;

use crate::{
    site::{OWNER, PASSWORD, Site, command},
    tools::is_possible,
    waiting::{until, wait_until, wait_within},
};

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn a_link_that_nobody_used_is_another_one_after_a_restart() {
    let site = Site::start();
    let old = site.setup_path.clone().unwrap();
    let site = site.restart();
    let new = site.setup_path.clone().unwrap();
    assert_ne!(old, new);
    let client = site.client();
    assert_eq!(site.get(&client, &old).status(), StatusCode::FORBIDDEN);
    assert_eq!(site.get(&client, &new).status(), StatusCode::OK);
}

#[test]
fn of_eight_who_use_the_link_at_once_one_becomes_the_owner() {
    let site = Site::start();
    let (token, together) = (site.setup_token(), Barrier::new(8));
    let (made, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for number in 0..8 {
            let (site, token, together, made, refused) =
                (&site, &token, &together, &made, &refused);
            scope.spawn(move || {
                let (client, name) = (site.client(), format!("owner{number}"));
                together.wait();
                let answer = site
                    .post(&client, "/setup")
                    .form(&[
                        ("token", token.as_str()),
                        ("site_title", "Mine"),
                        ("display_name", "Me"),
                        ("name", &name),
                        ("password", PASSWORD),
                    ])
                    .send()
                    .unwrap();
                match answer.status() {
                    StatusCode::SEE_OTHER => made.fetch_add(1, Ordering::Relaxed),
                    StatusCode::FORBIDDEN => refused.fetch_add(1, Ordering::Relaxed),
                    other => panic!("{other}: {}", answer.text().unwrap()),
                };
            });
        }
    });
    assert_eq!((made.into_inner(), refused.into_inner()), (1, 7));
    let users = command(site.data())
        .args(["user", "list"])
        .output()
        .unwrap();
    assert_eq!(
        said(&users).matches("owner ").count(),
        1,
        "{}",
        said(&users)
    );
}

/// Asked to stop while 12 clients save: each gets its whole answer, and stops too.
#[test]
fn asked_to_stop_it_finishes_what_is_in_flight_and_leaves_no_log_behind() {
    let (mut site, _) = Site::with_owner();
    let client = site.sign_in(OWNER, PASSWORD);
    let (saved, is_stopping) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for number in 0..12 {
            let (site, client, saved, is_stopping) = (&site, &client, &saved, &is_stopping);
            scope.spawn(move || {
                for count in 0.. {
                    let title = format!("client {number} save {count}");
                    let form = [
                        ("title", title.as_str()),
                        ("markdown", "x"),
                        ("action", "publish"),
                    ];
                    match site.post(client, "/admin/posts").form(&form).send() {
                        Ok(answer) if answer.status() == StatusCode::SEE_OTHER => {
                            saved.fetch_add(1, Ordering::Relaxed);
                        }
                        Ok(answer) => panic!("{}", answer.status()),
                        Err(e) => panic!("a request in flight failed: {e:?}"),
                    }
                    if is_stopping.load(Ordering::Relaxed) {
                        break;
                    }
                }
            });
        }
        wait_until("saves are on their way", || {
            saved.load(Ordering::Relaxed) >= 30
        });
        // The requests that are on their way now are the ones that the signal finds.
        is_stopping.store(true, Ordering::Relaxed);
        site.signal("TERM");
    });
    assert_eq!(site.wait_for_end().code(), Some(0), "{}", site.log());
    for left in ["site.db-wal", "site.db-shm"] {
        assert!(!site.data().join(left).exists(), "{left} is left behind");
    }
    let kept: u32 = rusqlite::Connection::open(site.data().join("site.db"))
        .unwrap()
        .query_row("SELECT count(*) FROM posts", [], |row| row.get(0))
        .unwrap();
    assert!(
        kept as usize >= saved.into_inner(),
        "an acknowledged save is lost"
    );
}

#[test]
fn a_browser_that_only_shows_the_site_does_not_keep_it_from_stopping() {
    let mut site = Site::start();
    let clients = [
        site.client(),
        site.client_builder().http1_only().build().unwrap(),
    ];
    for client in &clients {
        assert_eq!(site.text(client, "/").0, 200);
    }
    let began = Instant::now();
    assert_eq!(site.stop().code(), Some(0));
    let took = began.elapsed();
    assert!(took < Duration::from_secs(8), "it took {took:?}");
}

/// A form that is still on its way over a slow line is waited for.
#[test]
fn a_slow_form_is_read_to_its_end_before_the_server_stops() {
    let (mut site, _) = Site::with_owner();
    let client = site.client_builder().http1_only().build().unwrap();
    let answer = site
        .post(&client, "/sign-in")
        .form(&[("name", OWNER), ("password", PASSWORD)])
        .send()
        .unwrap();
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    let body = Slow::new(b"title=Slow+line&action=publish&markdown=to+the+end");
    let started = body.started.clone();
    std::thread::scope(|scope| {
        let (site, client) = (&site, &client);
        let sending = scope.spawn(move || {
            let length = body.bytes.len() as u64;
            site.post(client, "/admin/posts")
                .header("Content-Type", "application/x-www-form-urlencoded")
                .body(reqwest::blocking::Body::sized(body, length))
                .send()
        });
        wait_until("it is on its way", || started.load(Ordering::Relaxed) >= 10);
        site.signal("TERM");
        let answer = sending.join().unwrap().unwrap();
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    });
    assert_eq!(site.wait_for_end().code(), Some(0));
    let site = site.restart_stopped();
    assert_eq!(site.text(&site.client(), "/slow-line").0, 200);
}

/// A body that comes byte by byte.
struct Slow {
    bytes: &'static [u8],
    at: usize,
    started: std::sync::Arc<AtomicUsize>,
}

impl Slow {
    fn new(bytes: &'static [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            started: std::sync::Arc::default(),
        }
    }
}

impl std::io::Read for Slow {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        std::thread::sleep(Duration::from_millis(30));
        let Some(byte) = self.bytes.get(self.at) else {
            return Ok(0);
        };
        into[0] = *byte;
        self.at += 1;
        self.started.fetch_add(1, Ordering::Relaxed);
        Ok(1)
    }
}

/// How the site was left before its disk became read-only.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Left {
    /// Stopped as it should be.
    AtRest,
    /// As a pulled plug leaves it: with a log, and with what says where in it everything is, or without.
    WithLog { is_told_where: bool },
}

#[test]
fn a_site_on_a_disk_that_is_read_only_is_served_and_takes_changes_as_soon_as_the_disk_does() {
    for left in [
        Left::AtRest,
        Left::WithLog {
            is_told_where: true,
        },
        Left::WithLog {
            is_told_where: false,
        },
    ] {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let mut site = Site::start_on(&data);
        let editor = site.set_up();
        site.publish(&editor, &[("title", "Before"), ("markdown", "x")]);
        if left == Left::AtRest {
            site.stop();
        } else {
            site.signal("KILL");
            site.wait_for_end();
            assert!(data.join("site.db-wal").exists());
        }
        if left
            == (Left::WithLog {
                is_told_where: false,
            })
        {
            fs::remove_file(data.join("site.db-shm")).unwrap();
        }
        fs::remove_file(data.join("server.lock")).unwrap();
        let Some(mount) = ReadOnly::over(&data) else {
            return;
        };
        let can_read = |when: &str| {
            can_be_read(
                &data,
                &dir.path().join(format!("out {when}")),
                &format!("{left:?} {when}"),
            );
        };
        can_read("at rest");
        let site = Site::start_on(&data);
        can_read("while it is served");
        assert_eq!(site.text(&site.client(), "/before").0, 200, "{left:?}");
        assert!(site.log().contains("mounted read-only"), "{}", site.log());
        let editor = site.sign_in(OWNER, PASSWORD);
        let (status, page) = site.text(&editor, "/admin");
        assert!(
            status == 200 && page.contains("read-only"),
            "{left:?}: {page}"
        );
        let save = |title: &str| {
            let form = [("title", title), ("markdown", "x"), ("action", "publish")];
            let answer = site
                .post(&editor, "/admin/posts")
                .form(&form)
                .send()
                .unwrap();
            (answer.status(), answer.text().unwrap())
        };
        let (status, page) = save("Refused");
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{left:?}");
        assert!(page.contains("read-only"), "{page}");
        let other = command(&data)
            .args(["--https", "127.0.0.1:0", "--http", "127.0.0.1:0"])
            .output();
        assert!(said(&other.unwrap()).contains("already serves"));
        mount.allow_writes();
        until(&site, &format!("{left:?}"), || {
            site.log().contains("takes changes again")
        });
        let editor = site.sign_in(OWNER, PASSWORD);
        site.publish(&editor, &[("title", "After"), ("markdown", "x")]);
        for path in ["/before", "/after"] {
            assert_eq!(site.text(&site.client(), path).0, 200, "{left:?}: {path}");
        }
        for arguments in ["status", "reload"] {
            let ask = || command(&data).arg(arguments).output().unwrap();
            let is_done = || ask().status.success();
            wait_within(Duration::from_secs(30), is_done, || {
                format!("{left:?}: {}", said(&ask()))
            });
        }
        let site = site.restart();
        assert_eq!(site.text(&site.client(), "/after").0, 200, "{left:?}");
        drop(site);
        drop(mount);
    }
}

/// What can be read on a disk that is read-only; the check says so too.
fn can_be_read(data: &Path, out: &Path, when: &str) {
    for arguments in [
        &["user", "list"][..],
        &["check"],
        &["export", out.to_str().unwrap()],
    ] {
        let output = command(data).args(arguments).output().unwrap();
        let told = said(&output);
        assert!(output.status.success(), "{when} {arguments:?}: {told}");
        let is_warned = told.contains("nothing can be saved");
        assert_eq!(
            is_warned,
            arguments == ["check"],
            "{when} {arguments:?}: {told}"
        );
        assert!(!told.contains("All is well"), "{when}: {told}");
    }
    assert!(fs::read_dir(out).unwrap().count() > 0);
}

#[test]
fn where_nothing_can_be_written_no_site_is_begun_and_the_remedy_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let Some(_mount) = ReadOnly::over(dir.path()) else {
        return;
    };
    for data in [dir.path().to_owned(), dir.path().join("new")] {
        let fresh = command(&data).output().unwrap();
        assert_eq!(fresh.status.code(), Some(1));
        assert!(said(&fresh).contains("--data DIR"), "{}", said(&fresh));
        assert!(!said(&fresh).contains("os error"), "{}", said(&fresh));
    }
}

/// A folder that is mounted read-only over itself, until dropped.
pub(crate) struct ReadOnly(PathBuf);

impl ReadOnly {
    pub(crate) fn over(folder: &Path) -> Option<Self> {
        let mount = |args: &[&str]| {
            Command::new("mount")
                .args(args)
                .arg(folder)
                .output()
                .is_ok_and(|output| output.status.success())
        };
        let shown = folder.to_str().unwrap();
        let this = mount(&["--bind", shown]).then(|| Self(folder.to_owned()));
        let this = this.filter(|_| mount(&["-o", "remount,ro,bind"]));
        is_possible("a disk that is mounted read-only", this.is_some());
        this
    }

    fn allow_writes(&self) {
        let mount = Command::new("mount")
            .args(["-o", "remount,rw,bind"])
            .arg(&self.0)
            .status();
        assert!(mount.unwrap().success());
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_damaged_database_is_named_by_check_and_is_not_touched() {
    let (mut site, editor) = Site::with_owner();
    for number in 0..20 {
        let title = format!("Post {number}");
        site.publish(
            &editor,
            &[("title", &title), ("markdown", &"words ".repeat(2000))],
        );
    }
    site.stop();
    let path = site.data().join("site.db");
    let length = fs::metadata(&path).unwrap().len();
    let mut file = fs::File::options().write(true).open(&path).unwrap();
    // From the third page on, half of the file.
    file.seek(SeekFrom::Start(8192)).unwrap();
    file.write_all(&vec![0x5a; usize::try_from(length / 2).unwrap()])
        .unwrap();
    drop(file);
    let check = command(site.data()).arg("check").output().unwrap();
    assert_eq!(check.status.code(), Some(1), "{}", said(&check));
    assert!(
        said(&check).contains("problem:") && !said(&check).contains("All is well"),
        "{}",
        said(&check)
    );
    assert!(!said(&check).contains("panicked"), "{}", said(&check));
}

#[test]
fn check_makes_and_changes_no_file() {
    let mut site = Site::start();
    site.stop();
    fs::remove_dir_all(site.data().join("tls")).unwrap();
    let files = || {
        let mut files: Vec<_> = fs::read_dir(site.data())
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                (
                    entry.file_name(),
                    entry.metadata().unwrap().modified().unwrap(),
                )
            })
            .collect();
        files.sort();
        files
    };
    let before = files();
    let check = command(site.data()).arg("check").output().unwrap();
    assert!(said(&check).contains("All is well"), "{}", said(&check));
    assert_eq!(files(), before);
}

#[test]
fn a_database_that_was_lost_is_not_replaced_by_an_empty_one() {
    let mut site = Site::start();
    site.stop();
    fs::write(site.data().join("media/0"), "a file").unwrap();
    let database = site.data().join("site.db");
    let folder = site.data().with_extension("in");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("a.md"), "# A").unwrap();
    for what in ["is empty", "is not there"] {
        if what == "is empty" {
            fs::write(&database, "").unwrap();
        } else {
            fs::remove_file(&database).unwrap();
        }
        for args in [
            &["serve"][..],
            &["import", folder.to_str().unwrap()],
            &["user", "list"],
            &["check"],
        ] {
            let output = command(site.data()).args(args).output().unwrap();
            assert_eq!(output.status.code(), Some(1), "{args:?}");
            assert!(
                said(&output).contains(what) && said(&output).contains("was lost"),
                "{args:?}: {}",
                said(&output)
            );
        }
        assert_eq!(fs::metadata(&database).map_or(0, |file| file.len()), 0);
    }
}

#[test]
fn check_names_a_media_file_that_is_gone() {
    let mut site = Site::start();
    site.stop();
    let folder = site.data().with_extension("in");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("p.png"), "picture").unwrap();
    let import = command(site.data()).arg("import").arg(&folder).output();
    assert!(import.unwrap().status.success());
    for file in fs::read_dir(site.data().join("media")).unwrap() {
        fs::remove_file(file.unwrap().path()).unwrap();
    }
    let check = command(site.data()).arg("check").output().unwrap();
    assert_eq!(check.status.code(), Some(1));
    assert!(
        said(&check).contains("p.png") && said(&check).contains("restore it"),
        "{}",
        said(&check)
    );
}
