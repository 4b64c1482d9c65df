//! What was acknowledged is on the disk, whatever happens next.

use std::{
    collections::HashMap,
    io::Read,
    path::Path,
    process::{Child, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::blocking::{Body, Client};
use webstead::text::packed::unpack;

use crate::{
    site::{OWNER, PASSWORD, Site, command},
    tools::SmallDisk,
};

/// Clients that save at the same time.
const CLIENTS: usize = 16;
/// Clients that send large texts slowly beside them.
const UPLOADS: usize = 2;
/// Rounds of killing; `WEBSTEAD_KILL_ROUNDS=100` runs the long form.
const ROUNDS: usize = 4;
/// After so many rounds another site is killed.
const ROUNDS_OF_A_SITE: usize = 25;
/// Bytes of a text that comes slowly, and of a part of it.
const LARGE: usize = 200_000;
const PART: usize = 4_000;
/// Posts of one import, each with a picture.
const IMPORTED: usize = 12;

#[test]
fn what_was_acknowledged_before_a_kill_is_there_after_it() {
    let rounds = std::env::var("WEBSTEAD_KILL_ROUNDS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(ROUNDS);
    let (mut site, _) = Site::with_owner();
    let mut day = Day::default();
    for round in 0..rounds {
        // A site that grew for hundreds of rounds would be slow to look through, and prove no more.
        if round % ROUNDS_OF_A_SITE == 0 && round > 0 {
            day.end(&site);
            site = Site::with_owner().0;
        }
        site = day.kill_everything(site, round);
    }
    day.end(&site);
    let Day { saves, others, .. } = day;
    assert!(
        saves > rounds * 10,
        "only {saves} saves in {rounds} rounds: nothing was tested"
    );
    eprintln!(
        "{rounds} kills of everything, {saves} acknowledged saves, none lost; {} imports and {} backups were done \
         before, {} and {} were killed",
        others[0].0, others[1].0, others[0].1, others[1].1
    );
}

/// What is known of a site whose programs are killed again and again.
#[derive(Default)]
struct Day {
    acknowledged: Vec<String>,
    store: Option<tempfile::TempDir>,
    /// Backups of this site that were acknowledged.
    backups: usize,
    saves: usize,
    /// Imports and backups: how many were done, and how many were killed.
    others: [(usize, usize); 2],
}

impl Day {
    /// Lets clients save beside an import and a backup, and kills all three programs in the middle of it.
    fn kill_everything(&mut self, site: Site, round: usize) -> Site {
        if self.store.is_none() {
            self.store = Some(tempfile::tempdir().unwrap());
        }
        let store = self.store.as_ref().unwrap().path().join("backups");
        let blog = tempfile::tempdir().unwrap();
        write_blog(blog.path(), round);
        let mut others = [
            vec!["import".into(), blog.path().as_os_str().to_owned()],
            vec!["backup".into(), store.into(), "--without-verify".into()],
        ]
        .map(|arguments| {
            let mut program = command(site.data());
            let program = program.args(arguments);
            let program = program.stdout(Stdio::null()).stderr(Stdio::null());
            program.spawn().unwrap()
        });
        let saved = save_until_the_kill(&site, round, &mut others);
        self.saves += saved.len();
        self.acknowledged.extend(saved);
        for (number, other) in others.iter_mut().enumerate() {
            let is_done = other.wait().unwrap().success();
            let count = &mut self.others[number];
            *(if is_done { &mut count.0 } else { &mut count.1 }) += 1;
            if is_done && number == 0 {
                self.acknowledged.extend(imported(round));
            }
            self.backups += usize::from(is_done && number == 1);
        }
        let site = site.kill_and_restart();
        self.look(&site, round);
        site
    }

    fn look(&self, site: &Site, round: usize) {
        let database = rusqlite::Connection::open(site.data().join("site.db")).unwrap();
        let state: String = database
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(state, "ok", "round {round}");
        let all = "SELECT title, markdown, packed FROM posts";
        let mut statement = database.prepare(all).unwrap();
        let rows = statement.query_map([], |row| {
            let packed: Option<Vec<u8>> = row.get(2)?;
            let markdown = packed.map(|packed| unpack(&packed).unwrap().0);
            Ok((row.get(0)?, markdown.map_or_else(|| row.get(1), Ok)?))
        });
        let there: HashMap<String, String> = rows.unwrap().map(Result::unwrap).collect();
        let is_whole = |title: &String| {
            let text = there.get(title);
            text.is_some_and(|text| title.starts_with("import") || *text == text_of(title))
        };
        let mut lost = self.acknowledged.iter().filter(|title| !is_whole(title));
        assert_eq!(
            lost.next(),
            None,
            "round {round}, and {} more",
            lost.count()
        );
        let came_in = imported(round).filter(|title| there.contains_key(title));
        let came_in = came_in.count();
        assert!(
            came_in == 0 || came_in == IMPORTED,
            "round {round}: {came_in} of {IMPORTED} came in"
        );
        let mut media = database.prepare("SELECT hash FROM media").unwrap();
        let hashes = media.query_map([], |row| row.get::<_, String>(0)).unwrap();
        for hash in hashes.map(Result::unwrap) {
            let bytes = std::fs::read(site.data().join("media").join(&hash)).unwrap();
            assert_eq!(webstead::db::hash_of(&bytes), hash, "round {round}");
        }
    }

    /// The next import and the next backup work, and every backup that was acknowledged is sound.
    fn end(&mut self, site: &Site) {
        let blog = tempfile::tempdir().unwrap();
        write_blog(blog.path(), usize::MAX);
        let store = self.store.take().unwrap();
        let place = store.path().join("backups");
        let run = |arguments: &[&std::ffi::OsStr]| {
            let output = command(site.data()).args(arguments).output().unwrap();
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{arguments:?}: {text}");
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        run(&["import".as_ref(), blog.path().as_ref()]);
        run(&["backup".as_ref(), place.as_ref()]);
        let from = ["--from".as_ref(), place.as_os_str()];
        let listed = run(&[&["backup".as_ref(), "list".as_ref()], &from[..]].concat());
        let verify = ["backup".as_ref(), "verify".as_ref(), "--all".as_ref()];
        run(&[&verify, &from[..]].concat());
        assert!(
            listed.lines().count() > self.backups,
            "{} were made: {listed}",
            self.backups
        );
        self.acknowledged.extend(imported(usize::MAX));
        self.look(site, usize::MAX);
        self.acknowledged.clear();
        self.backups = 0;
    }
}

fn imported(round: usize) -> impl Iterator<Item = String> {
    (0..IMPORTED).map(move |number| format!("import {round} post {number}"))
}

fn write_blog(folder: &Path, round: usize) {
    for (number, title) in imported(round).enumerate() {
        let picture = format!("GIF89a {round} {number}").repeat(500);
        std::fs::write(folder.join(format!("{number}.gif")), picture).unwrap();
        let text = format!("---\ntitle: {title}\ndate: 2024-02-01\n---\n![]({number}.gif)\n");
        std::fs::write(folder.join(format!("{round}-{number}.md")), text).unwrap();
    }
}

/// The text of a post that a client saves.
fn text_of(title: &str) -> String {
    let length = if title.contains("slowly") { LARGE } else { 1 };
    format!("{title} ").repeat(length.div_ceil(title.len()))[..]
        .trim_end()
        .to_owned()
}

/// The body of a form that takes about a second on its way.
struct Slowly(std::io::Cursor<String>);

impl Read for Slowly {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        std::thread::sleep(Duration::from_millis(20));
        let most = into.len().min(PART);
        self.0.read(&mut into[..most])
    }
}

/// Sends a large text slowly; whether it was acknowledged.
fn upload(site: &Site, client: &Client, title: &str) -> bool {
    let form = [
        ("title", title),
        ("action", "publish"),
        ("markdown", &text_of(title)),
    ];
    let body = serde_urlencoded::to_string(form).unwrap();
    let length = body.len() as u64;
    let body = Body::sized(Slowly(std::io::Cursor::new(body)), length);
    let request = site.post(client, "/admin/posts");
    let request = request.header("Content-Type", "application/x-www-form-urlencoded");
    match request.body(body).send() {
        Ok(answer) => {
            assert_eq!(answer.status(), 303);
            true
        }
        Err(_) => false,
    }
}

/// What clients were told is saved, until the server and the other programs were killed.
fn save_until_the_kill(site: &Site, round: usize, others: &mut [Child]) -> Vec<String> {
    let client = site.sign_in(OWNER, PASSWORD);
    let acknowledged = Mutex::new(Vec::new());
    let (saved, until) = (
        AtomicUsize::new(0),
        Instant::now() + Duration::from_millis(1500),
    );
    std::thread::scope(|scope| {
        for number in 0..CLIENTS {
            let (client, saved, acknowledged) = (&client, &saved, &acknowledged);
            scope.spawn(move || {
                for count in 0.. {
                    let title = format!("round {round} client {number} save {count}");
                    let text = text_of(&title);
                    let form = [
                        ("title", title.as_str()),
                        ("markdown", &text),
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
        for number in 0..UPLOADS {
            let (client, acknowledged) = (&client, &acknowledged);
            scope.spawn(move || {
                for count in 0.. {
                    let title = format!("round {round} slowly {number} upload {count}");
                    if !upload(site, client, &title) {
                        break;
                    }
                    acknowledged.lock().unwrap().push(title);
                }
            });
        }
        // Another moment each round, but always in the middle of the saving.
        while Instant::now() < until && saved.load(Ordering::Relaxed) < 20 + round % 60 {
            std::thread::sleep(Duration::from_millis(1));
        }
        for other in others {
            let _ = other.kill();
        }
        site.signal("KILL");
    });
    acknowledged.into_inner().unwrap()
}

#[test]
fn a_full_disk_fails_saves_with_a_clear_message_and_keeps_serving() {
    let dir = tempfile::tempdir().unwrap();
    let mount = dir.path().join("small");
    let Some(_small) = SmallDisk::at(mount.clone(), "1m") else {
        return;
    };
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
