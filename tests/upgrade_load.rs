//! One upgrade after the other under load, and one that changes the form of the database: nobody may notice.
//!
//! The long form: `WEBSTEAD_UPGRADES=50 cargo test --test site upgrade_load -- --nocapture`

use std::{
    fs,
    io::{Read, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::{
    StatusCode,
    blocking::{Client, RequestBuilder, Response},
};

use crate::{
    rollback::{SCHEMA, make_older_with_its_pages, number},
    site::{OWNER, PASSWORD, Site, between},
    tools::is_there,
    upgrade::{broken, run, serving},
};

/// Bytes of the file that is read slowly.
const SLOW_FILE: usize = 24 * 1024 * 1024;

/// Whether a client was told that the connection has ended, in the moment in which it was about to ask on it: then it
/// has not asked (RFC 9113 section 6.8). A stream that was refused is none of that.
fn is_of_a_leaving_connection(error: &str) -> bool {
    error.contains("GoAway(b\"\", NO_ERROR, Remote)")
}

/// Asks; once more where nothing was asked yet.
fn asked(request: impl Fn() -> RequestBuilder) -> reqwest::Result<Response> {
    match request().send() {
        Err(e) if is_of_a_leaving_connection(&format!("{e:?}")) => request().send(),
        answer => answer,
    }
}

/// One who edits. What the server refuses is not to be tried again unseen.
fn editor(site: &Site) -> Client {
    let builder = site.client_builder().retry(reqwest::retry::never());
    site.sign_in_by(builder.build().unwrap(), OWNER, PASSWORD)
}

/// What everybody who takes part has seen.
#[derive(Default)]
struct Seen {
    is_over: AtomicBool,
    saved: AtomicUsize,
    read: AtomicUsize,
    failed: Mutex<Vec<String>>,
    times: Mutex<Vec<Duration>>,
}

impl Seen {
    fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::Relaxed)
    }

    fn fail(&self, what: String) {
        self.failed.lock().unwrap().push(what);
    }

    /// Asks for a page and looks at it.
    fn read(&self, site: &Site, client: &Client, path: &str, wanted: &str) {
        let began = Instant::now();
        let answer = asked(|| client.get(site.url(path)));
        match answer.and_then(|answer| Ok((answer.status(), answer.text()?))) {
            Ok((StatusCode::OK, text)) if text.contains(wanted) => {
                self.read.fetch_add(1, Ordering::Relaxed);
                self.times.lock().unwrap().push(began.elapsed());
            }
            Ok((status, _)) => self.fail(format!("{path}: {status}, or without {wanted:?}")),
            Err(e) => self.fail(format!("{path}: {e:?}")),
        }
    }
}

#[test]
fn upgrades_under_load_lose_no_request_and_no_save_and_show_no_old_page() {
    let rounds: usize = std::env::var("WEBSTEAD_UPGRADES").map_or(4, |n| n.parse().unwrap());
    let (site, program, editor) = Site::of_own_program();
    let path = prepare(&site, &program, &editor);
    let dir = tempfile::tempdir().unwrap();
    let broken = broken(dir.path());
    under_load(&site, &path, || {
        for round in 0..rounds {
            let before = serving(&site);
            let bad = &broken[round / 3 % broken.len()];
            let newer = if round % 3 == 2 { &bad.1 } else { &program };
            let fit = Path::new(env!("CARGO_BIN_EXE_webstead"));
            exchange(newer, &program);
            let (code, text) = run(fit, &site, &["reload"]);
            if round % 3 == 2 {
                assert_eq!(code, Some(1), "one that {}: {text}", bad.0);
                assert_eq!(serving(&site), before, "one that {}", bad.0);
                exchange(fit, &program);
            } else {
                assert_eq!(code, Some(0), "{text}\n{}", site.log());
                assert_ne!(serving(&site), before);
            }
            std::thread::sleep(Duration::from_millis(1500));
        }
        println!("{rounds} upgrades");
    });
}

/// Posts of a site whose indexes a migration makes anew: for some seconds nobody else can write.
const POSTS: usize = 60_000;

#[test]
fn a_migration_under_load_fails_no_request_and_no_save_either() {
    let (site, program, editor) = Site::of_program(make_older_with_its_pages);
    let path = prepare(&site, &program, &editor);
    let database = site.data().join("site.db");
    fill(&database);
    let old = number(&database, SCHEMA);
    under_load(&site, &path, || {
        let newer = Path::new(env!("CARGO_BIN_EXE_webstead"));
        exchange(newer, &program);
        let began = Instant::now();
        let (code, text) = run(newer, &site, &["reload"]);
        assert_eq!(code, Some(0), "{text}\n{}", site.log());
        assert_eq!(number(&database, SCHEMA), old + 1);
        println!("a migration, {:?} in all:\n{text}", began.elapsed());
        std::thread::sleep(Duration::from_secs(2));
    });
}

/// Makes many posts of the one that is there.
fn fill(database: &Path) {
    let database = rusqlite::Connection::open(database).unwrap();
    database.busy_timeout(Duration::from_mins(1)).unwrap();
    let columns: String = {
        let sql =
            "SELECT group_concat(name, ', ') FROM pragma_table_info('posts') WHERE name <> 'id'";
        database.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let taken = columns.replace("import_key", "NULL");
    let numbers = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {POSTS})"
    );
    let made = format!(
        "{numbers} INSERT INTO posts (id, {columns}) SELECT i, {taken} FROM n, (SELECT * FROM posts LIMIT 1);
         {numbers} INSERT INTO addresses (id, path, post_id, is_current) SELECT i, '/old-' || i, i, 1 FROM n;"
    );
    database.execute_batch(&made).unwrap();
}

/// A site with a file that is read slowly and a post that is saved again and again; gives the path of its editor.
fn prepare(site: &Site, program: &Path, editor: &Client) -> String {
    let settings = "[upgrade]\nready_s = 5\n[pages]\nper_second = 0\n";
    fs::write(site.data().join("webstead.toml"), settings).unwrap();
    let (code, text) = run(program, site, &["reload"]);
    assert_eq!(code, Some(0), "{text}");
    fs::create_dir_all(site.data().join("public")).unwrap();
    fs::write(site.data().join("public/large.bin"), vec![7; SLOW_FILE]).unwrap();
    site.publish(editor, &[("title", "Counter"), ("markdown", "number 0")])
}

/// Puts a program in the place of another one.
fn exchange(newer: &Path, place: &Path) {
    let aside = place.with_extension("aside");
    fs::copy(newer, &aside).unwrap();
    fs::rename(&aside, place).unwrap();
}

/// Upgrades while others read and save, and looks that none of them has noticed.
fn under_load(site: &Site, path: &str, upgrade: impl FnOnce()) {
    let seen = Seen::default();
    let editors = [editor(site), editor(site)];
    let wrk = wrk(site);
    std::thread::scope(|scope| {
        let (seen, [saves, sends]) = (&seen, &editors);
        scope.spawn(move || save_and_look(site, seen, saves, path));
        for is_http1 in [true, false] {
            let builder = site.client_builder();
            let builder = if is_http1 {
                builder.http1_only()
            } else {
                builder
            };
            // What the server refuses is not to be tried again unseen.
            let builder = builder.retry(reqwest::retry::never());
            let client = builder.build().unwrap();
            for _ in 0..3 {
                let client = client.clone();
                scope.spawn(move || {
                    while seen.goes_on() {
                        seen.read(site, &client, "/", "Test site");
                        std::thread::sleep(Duration::from_millis(3));
                    }
                });
            }
        }
        scope.spawn(move || h2load(site, seen));
        scope.spawn(move || while seen.goes_on() && slow_download(site, seen) {});
        scope.spawn(move || slow_uploads(site, seen, sends));
        std::thread::sleep(Duration::from_secs(1));
        // Whatever comes of it: else the others would go on for ever.
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(upgrade));
        seen.is_over.store(true, Ordering::Relaxed);
        if let Err(panic) = done {
            std::panic::resume_unwind(panic);
        }
    });
    if let Some(mut wrk) = wrk {
        // At SIGINT it says what it has seen.
        let process = wrk.id().to_string();
        let _ = Command::new("kill").args(["-INT", &process]).status();
        let mut said = String::new();
        let mut out = wrk.stdout.take().unwrap();
        out.read_to_string(&mut said).unwrap();
        wrk.wait().unwrap();
        println!("{said}");
        for bad in ["Socket errors", "Non-2xx"] {
            assert!(!said.contains(bad), "{said}");
        }
        assert!(said.contains("requests in"), "{said}");
    }
    let failed = seen.failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{failed:#?}\n{}", site.log());
    let mut times = seen.times.into_inner().unwrap();
    times.sort();
    let at = |share: usize| times[(times.len() * share / 1000).min(times.len() - 1)];
    println!(
        "{} saves, {} reads; median {:?}, p99 {:?}, p99.9 {:?}, longest {:?}",
        seen.saved.into_inner(),
        seen.read.into_inner(),
        at(500),
        at(990),
        at(999),
        at(1000)
    );
}

/// wrk over HTTP/1.1, for longer than the test takes.
fn wrk(site: &Site) -> Option<Child> {
    let found = Command::new("wrk").arg("--version").output().is_ok();
    is_there("wrk", found).then(|| {
        Command::new("wrk")
            .args(["-t1", "-c4", "-d3600s", "--latency", "--timeout", "30s"])
            .arg(site.url("/"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    })
}

/// Time for two seconds of h2load.
const H2LOAD_WITHIN: Duration = Duration::from_secs(20);

/// Whether a process ends within some time; if not, it is ended.
fn ends_within(process: &mut Child, time: Duration) -> bool {
    let end = Instant::now() + time;
    while process.try_wait().unwrap().is_none() {
        if Instant::now() > end {
            process.kill().unwrap();
            process.wait().unwrap();
            return false;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    true
}

/// h2load over HTTP/1.1, again and again. Over HTTP/2 it does not open another connection when one is ended, so that
/// protocol is spoken by clients that do, several requests at the same time on one connection. A client of h2load that
/// opens its next connection in the moment in which its time is over never hears of that, and goes on for ever; what such
/// a run has counted is not known.
fn h2load(site: &Site, seen: &Seen) {
    if !is_there(
        "h2load",
        Command::new("h2load").arg("--version").output().is_ok(),
    ) {
        return;
    }
    while seen.goes_on() {
        let mut h2load = Command::new("h2load")
            .args(["--h1", "-c4", "-D2"])
            .arg(site.url("/"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        if !ends_within(&mut h2load, H2LOAD_WITHIN) {
            continue;
        }
        let output = h2load.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let counts = said.lines().find(|line| line.starts_with("requests:"));
        let codes = said.lines().find(|line| line.starts_with("status codes:"));
        let is_well = counts.is_some_and(|line| line.contains(" 0 failed, 0 errored"))
            && codes.is_some_and(|line| line.contains("0 3xx, 0 4xx, 0 5xx"));
        if !is_well {
            seen.fail(format!("h2load: {counts:?} {codes:?}"));
        }
    }
}

/// Saves one post again and again, and looks from another connection whether it is seen at once.
fn save_and_look(site: &Site, seen: &Seen, editor: &Client, path: &str) {
    let mut revision = revision(site, editor, path);
    for number in 1.. {
        if !seen.goes_on() {
            break;
        }
        let text = format!("number {number}.");
        let form = [
            ("title", "Counter"),
            ("markdown", text.as_str()),
            ("revision", revision.as_str()),
            ("action", "save"),
        ];
        match asked(|| site.post(editor, path).form(&form)) {
            Ok(answer) if answer.status() == StatusCode::SEE_OTHER => {}
            Ok(answer) => return seen.fail(format!("saving: {}", answer.status())),
            Err(e) => return seen.fail(format!("saving: {e:?}")),
        }
        seen.saved.fetch_add(1, Ordering::Relaxed);
        // Whoever takes the new connection.
        let visitor = site.client();
        seen.read(site, &visitor, "/counter", &text);
        revision = self::revision(site, editor, path);
    }
}

fn revision(site: &Site, editor: &Client, path: &str) -> String {
    let (status, html) = site.text(editor, path);
    assert_eq!(status, 200);
    between(&html, "name=\"revision\" value=\"", "\"").to_owned()
}

/// Reads a large file slowly, in some eight seconds; whether that went well.
fn slow_download(site: &Site, seen: &Seen) -> bool {
    let mut stream = site.connect("127.0.0.1");
    let request = b"GET /large.bin HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).unwrap();
    let (mut got, mut buffer) = (0, vec![0; 64 * 1024]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(bytes) => got += bytes,
            Err(e) => {
                seen.fail(format!("the slow download, after {got} bytes: {e}"));
                return false;
            }
        }
        if seen.goes_on() {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    if got < SLOW_FILE {
        seen.fail(format!("the slow download ended after {got} bytes"));
    }
    got >= SLOW_FILE
}

/// Sends forms slowly, one after the other, and looks whether they were saved.
fn slow_uploads(site: &Site, seen: &Seen, editor: &Client) {
    /// Bytes that come slowly, and then all others.
    const SLOW: usize = 120;
    const ALL: usize = 60_000;
    struct Body(String, usize);
    impl Read for Body {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            let now = if self.1 < SLOW {
                std::thread::sleep(Duration::from_millis(50));
                1
            } else {
                (ALL - self.1).min(into.len())
            };
            for (at, byte) in into[..now].iter_mut().enumerate() {
                *byte = self.0.as_bytes().get(self.1 + at).copied().unwrap_or(b'x');
            }
            self.1 += now;
            Ok(now)
        }
    }
    for number in 0.. {
        if !seen.goes_on() {
            break;
        }
        let head = format!("title=Slow+{number}&action=publish&markdown=");
        let sent = asked(|| {
            let body = reqwest::blocking::Body::sized(Body(head.clone(), 0), ALL as u64);
            site.post(editor, "/admin/posts")
                .header("Content-Type", "application/x-www-form-urlencoded")
                .body(body)
        });
        match sent {
            Ok(answer) if answer.status() == StatusCode::SEE_OTHER => {
                seen.read(site, &site.client(), &format!("/slow-{number}"), "xxx");
            }
            Ok(answer) => seen.fail(format!("a slow upload: {}", answer.status())),
            Err(e) => seen.fail(format!("a slow upload: {e:?}")),
        }
    }
}
