//! A disk that gives back something else than was written to it: it is always noticed, nothing is saved on top
//! of it, and what can be read is saved by `webstead repair`.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Output,
    time::Duration,
};

use super::decay::{decay, flip};
use crate::{
    site::{OWNER, PASSWORD, Site, command},
    waiting::found_within,
};

/// Bytes of a page of a site's database, as its header has it.
fn page_bytes(data: &Path) -> u64 {
    let mut said = [0; 2];
    let file = File::open(data.join("site.db")).unwrap();
    file.read_exact_at(&mut said, 16).unwrap();
    u64::from(u16::from_be_bytes(said))
}

/// Whether a page, counted from 0, says which tables there are, and where.
fn is_of_table_list(database: &Path, page_bytes: u64) -> impl Fn(u64) -> bool {
    let bytes = fs::read(database).unwrap();
    let open = rusqlite::Connection::open(database).unwrap();
    let all = "SELECT group_concat(sql, '') FROM sqlite_schema";
    let sql: String = open.query_row(all, [], |row| row.get(0)).unwrap();
    let two = |at: usize| usize::from(bytes[at]) << 8 | usize::from(bytes[at + 1]);
    let four = |at: usize| (two(at) << 16 | two(at + 2)) as u64;
    // The first page is an inner one, or a leaf itself (<https://www.sqlite.org/fileformat2.html>, 1.6).
    let cells = if bytes[100] == 5 { two(103) } else { 0 };
    let leaves = (0..cells).map(|n| four(two(112 + 2 * n)));
    let leaves: Vec<u64> = leaves.chain([four(108)]).collect();
    move |page| {
        let at = usize::try_from(page * page_bytes).unwrap();
        let goes_on = std::str::from_utf8(&bytes[at + 4..at + 40]);
        leaves.contains(&(page + 1)) || goes_on.is_ok_and(|text| sql.contains(text))
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn run(data: &Path, arguments: &[&str]) -> (bool, String) {
    let output = command(data).args(arguments).output().unwrap();
    (output.status.success(), said(&output))
}

/// Files beside the database that do not change by themselves: each with a line of it, and how often that is in it.
const BESIDE: [(&str, &str, usize); 10] = [
    ("webstead.toml", "# settings\n", 1),
    ("backups.json", "{\"repositories\": {}}\n", 1),
    ("dns/state.json", "{\"names\": {}}\n", 1),
    ("secrets/token", "a secret\n", 1),
    ("tls/public/example.org.pem", "what is kept for a name\n", 1),
    ("tls/acme/account-0.json", "what opens an account\n", 1),
    ("public/tools/clock.html", "<p>12:00\n", 1),
    ("public/.well-known/film", "a picture\n", 150_000),
    ("large.txt", "a line of more than a mebibyte\n", 40_000),
    ("site.db.before-upgrade", "the way back\n", 100_000),
];

/// Where they are, and the ledger of the disk.
fn beside(data: &Path) -> Vec<PathBuf> {
    let files = BESIDE.iter().map(|(name, ..)| data.join(name));
    files.chain([data.join("disk.json")]).collect()
}

/// A stopped site with posts, a picture and a secret, that was checked once.
fn a_site() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("site");
    let mut site = Site::start_on(&data);
    let client = site.set_up();
    for n in 0..60 {
        let title = format!("Post {n}");
        let text = format!("The words of post {n}. ").repeat(40 + 20 * (n % 7));
        site.publish(&client, &[("title", &title), ("markdown", &text)]);
    }
    let folder = dir.path().join("in");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("picture.gif"), b"GIF89a ".repeat(2000)).unwrap();
    fs::write(
        folder.join("a.md"),
        "---\ntitle: A\ndate: 2024-02-01\n---\n![](picture.gif)\n",
    )
    .unwrap();
    assert!(run(&data, &["import", folder.to_str().unwrap()]).0);
    for (name, line, times) in BESIDE {
        let path = data.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, line.repeat(times)).unwrap();
    }
    check_by_the_server(&site, true);
    assert!(site.stop().success());
    (dir, data)
}

/// Asks for a check in the browser, and waits for its end.
fn check_by_the_server(site: &Site, is_well: bool) {
    let client = site.sign_in(OWNER, PASSWORD);
    let before = site
        .text(&client, "/admin/disk")
        .1
        .matches("everything, ")
        .count();
    let asked = site.post(&client, "/admin/disk/check").send().unwrap();
    assert_eq!(asked.status(), 303);
    let html = found_within(Duration::from_mins(1), || {
        let html = site.text(&client, "/admin/disk").1;
        if html.matches("everything, ").count() > before {
            return Ok(html);
        }
        Err(format!("the check did not end: {}", site.log()))
    });
    assert_eq!(!html.contains("badge draft"), is_well, "{html}");
}

#[test]
fn a_bit_that_flips_in_any_file_is_noticed() {
    let (_dir, data) = a_site();
    assert!(run(&data, &["check"]).0, "{}", run(&data, &["check"]).1);
    let page_bytes = page_bytes(&data);
    let pages = fs::metadata(data.join("site.db")).unwrap().len() / page_bytes;
    let mut places: Vec<(PathBuf, u64)> = Vec::new();
    // The header, and in each page its head, its list of cells, its middle and its end.
    places.extend((0..100).step_by(9).map(|at| (data.join("site.db"), at)));
    let step = if std::env::var_os("WEBSTEAD_FAULTS").is_some() {
        1
    } else {
        28
    };
    for page in (0..pages).step_by(step) {
        let inside = [0, 9, page_bytes / 2, page_bytes - 6]
            .map(|at| (data.join("site.db"), page * page_bytes + at));
        places.extend(inside);
    }
    let mut others = beside(&data);
    for folder in ["tls", "media"] {
        let files = fs::read_dir(data.join(folder)).unwrap();
        others.extend(
            files
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.is_file()),
        );
    }
    assert!(others.len() > 13, "{others:?}");
    for path in others {
        let length = fs::metadata(&path).unwrap().len();
        places.extend([0, length / 2, length - 1].map(|at| (path.clone(), at)));
    }
    for (number, (path, at)) in places.iter().enumerate() {
        let bit = u8::try_from(number % 8).unwrap();
        decay(&data, path, *at, bit);
        let (is_well, said) = run(&data, &["check"]);
        assert!(!is_well, "{} at {at}: {said}", path.display());
        flip(path, *at, bit);
    }
    assert!(run(&data, &["check"]).0);
    eprintln!("{} flipped bits, all noticed", places.len());
}

#[test]
fn a_file_beside_the_database_that_is_damaged_keeps_no_site_from_starting_or_is_named() {
    let (_dir, data) = a_site();
    let mut files = beside(&data);
    let tls = fs::read_dir(data.join("tls")).unwrap();
    files.extend(
        tls.map(|entry| entry.unwrap().path())
            .filter(|path| path.is_file()),
    );
    for path in files {
        let before = fs::read(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let mut serve = command(&data);
        serve.args(["--https", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
        flip(&path, 0, 4);
        // What is the owner's own, and cannot be made anew, is not replaced by anything.
        let is_needed = name == "webstead.toml" || name.starts_with("authority-");
        if is_needed {
            let output = serve.output().unwrap();
            let text = said(&output);
            assert!(
                !output.status.success() && text.contains(name),
                "{name}: {text}"
            );
        } else {
            let site = Site::start_on(&data);
            assert_eq!(site.text(&site.client(), "/post-1").0, 200, "{name}");
            assert!(!site.log().contains("panic"), "{name}: {}", site.log());
        }
        fs::write(&path, before).unwrap();
    }
}

#[test]
fn a_damaged_database_is_served_and_not_written_to_until_it_was_repaired() {
    let (_dir, data) = a_site();
    let pages = fs::metadata(data.join("site.db")).unwrap().len() / page_bytes(&data);
    // Somewhere in a text: SQLite itself does not notice that.
    let bytes = fs::read(data.join("site.db")).unwrap();
    let words = b"The words of post 33.";
    let at = bytes
        .windows(words.len())
        .position(|window| window == words)
        .unwrap();
    assert!(pages > 40);
    flip(&data.join("site.db"), at as u64 + 5, 1);

    let site = Site::start_on(&data);
    check_by_the_server(&site, false);
    assert_eq!(
        site.text(&site.client(), "/post-1").0,
        200,
        "it goes on serving"
    );
    assert!(site.text(&site.client(), "/readyz").1.contains("damaged"));
    let log = site.log();
    assert!(log.contains("webstead repair"), "{log}");
    assert!(run(&data, &["status"]).1.contains("webstead repair"));
    // Also after a restart.
    let site = site.restart();
    assert!(site.log().contains("damaged"));
    let (is_done, said) = run(&data, &["repair"]);
    assert!(!is_done && said.contains("already serves"), "{said}");
    drop(site);

    let before = fs::read(data.join("site.db")).unwrap();
    let (_, said) = run(&data, &["repair"]);
    assert!(
        said.contains("/post-33") && said.contains("Nothing was changed"),
        "{said}"
    );
    assert_eq!(fs::read(data.join("site.db")).unwrap(), before);
    let (_, said) = run(&data, &["repair", "--replace"]);
    assert!(
        said.contains("/post-33") && said.contains("is kept as"),
        "{said}"
    );
    assert!(run(&data, &["check"]).0, "{}", run(&data, &["check"]).1);
    // The checksums of the new database are there before anybody serves it.
    flip(&data.join("site.db"), 5000, 1);
    let (is_well, said) = run(&data, &["check"]);
    assert!(!is_well && said.contains("not what was written"), "{said}");
    flip(&data.join("site.db"), 5000, 1);
    let site = Site::start_on(&data);
    let client = site.sign_in(OWNER, PASSWORD);
    // What was repaired is told no more, before the next check either.
    let page = site.text(&client, "/admin/disk").1;
    assert!(page.contains("<p>All is well.</p>"), "{page}");
    site.publish(&client, &[("title", "After"), ("markdown", "x")]);
    assert_eq!(site.text(&site.client(), "/post-59").0, 200);
}

#[test]
fn a_repair_leaves_a_sound_database_and_its_log_of_changes_as_they_are() {
    let (dir, data) = a_site();
    let store = dir.path().join("backups");
    assert!(run(&data, &["backup", store.to_str().unwrap()]).0);
    let files = || {
        let found = fs::read_dir(&data).unwrap();
        let mut names: Vec<_> = found.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let (before, there) = (fs::read(data.join("site.db")).unwrap(), files());
    for _ in 0..2 {
        let (is_well, said) = run(&data, &["repair", "--replace"]);
        assert!(is_well && said.contains("nothing was changed"), "{said}");
        assert_eq!(fs::read(data.join("site.db")).unwrap(), before);
        assert_eq!(files(), there);
    }
    // Another program has been at it.
    let open = rusqlite::Connection::open(data.join("site.db")).unwrap();
    open.execute_batch("DELETE FROM guard").unwrap();
    drop(open);
    let (_, said) = run(&data, &["repair", "--replace"]);
    assert!(said.contains("is kept as"), "{said}");
    assert!(run(&data, &["check"]).0);
}

#[test]
fn nothing_is_saved_on_top_of_damage_and_what_was_written_stays_in_the_form() {
    let (_dir, data) = a_site();
    fs::write(data.join("damaged.txt"), "page 7 is not what was written\n").unwrap();
    let site = Site::start_on(&data);
    // A session is a change too: this one is in memory.
    let client = site.sign_in(OWNER, PASSWORD);
    let (status, page) = site.text(&client, "/admin/disk");
    assert!(status == 200 && page.contains("webstead repair"), "{page}");
    let form = [
        ("title", "New"),
        ("markdown", "words that are not lost"),
        ("action", "publish"),
    ];
    let post = site.post(&client, "/admin/posts").form(&form);
    let answer = post.send().unwrap();
    assert_eq!(answer.status(), 422);
    let html = answer.text().unwrap();
    assert!(
        html.contains("webstead repair") && html.contains("words that are not lost"),
        "{html}"
    );
    assert_eq!(site.text(&site.client(), "/").0, 200);
    assert_eq!(
        site.post(&client, "/sign-out").send().unwrap().status(),
        303
    );
    assert_eq!(site.text(&client, "/admin/disk").0, 303, "to the form");
}

#[test]
fn what_can_be_read_of_a_broken_database_is_saved() {
    for (seed, broken) in [(1u64, 1u64), (2, 3), (3, 8)] {
        let (_dir, data) = a_site();
        let path = data.join("site.db");
        let page_bytes = page_bytes(&data);
        let is_of_table_list = is_of_table_list(&path, page_bytes);
        let pages = fs::metadata(&path).unwrap().len() / page_bytes;
        let bytes = fs::read(&path).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        let mut chance = super::crash::Chance(seed);
        for _ in 0..broken {
            // Leaves and what belongs to one row. Without a page of the list of tables, nothing is found.
            let page = std::iter::repeat_with(|| 1 + chance.below(pages - 1))
                .find(|page| {
                    let kind = bytes[usize::try_from(page * page_bytes).unwrap()];
                    [0, 10, 13].contains(&kind) && !is_of_table_list(*page)
                })
                .unwrap();
            let broken = vec![0xa5; usize::try_from(page_bytes).unwrap()];
            file.write_all_at(&broken, page * page_bytes).unwrap();
        }
        let (_, said) = run(&data, &["repair", "--replace"]);
        assert!(said.contains("is kept as"), "{seed}: {said}");
        let (is_well, checked) = run(&data, &["check", "--without-media"]);
        assert!(is_well, "{seed}: {checked}");
        let database = rusqlite::Connection::open(&path).unwrap();
        let posts: i64 = database
            .query_row("SELECT count(*) FROM posts", [], |r| r.get(0))
            .unwrap();
        assert!(
            posts >= 61 - 20 * i64::try_from(broken).unwrap() && posts > 0,
            "{posts}: {said}"
        );
        if posts < 61 {
            let is_told = said.contains("rows of posts are lost")
                || said.contains("rows of posts were found is not known");
            assert!(is_told, "{seed}: {said}");
        }
        drop(database);
        drop(Site::start_on(&data));
    }
}

#[test]
fn rows_are_saved_also_when_every_page_that_leads_to_them_is_broken() {
    let (_dir, data) = a_site();
    let path = data.join("site.db");
    let all = |sql: &str| -> Vec<String> {
        let database = rusqlite::Connection::open(&path).unwrap();
        let mut rows = database.prepare(sql).unwrap();
        let rows = rows.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let posts = "SELECT title || markdown || coalesce(html, hex(packed)) || revision || published_at \
                 FROM posts ORDER BY id";
    let others = "SELECT path FROM addresses UNION ALL SELECT name FROM users UNION ALL SELECT hash FROM media";
    let before = (all(posts), all(others));
    // One that was deleted for good does not come back.
    let database = rusqlite::Connection::open(&path).unwrap();
    database.pragma_update(None, "foreign_keys", true).unwrap();
    let delete = "DELETE FROM posts WHERE title = 'Post 17'";
    assert_eq!(database.execute(delete, []).unwrap(), 1);
    drop(database);
    fs::remove_file(data.join("site.db-sums2")).unwrap();
    let bytes = fs::read(&path).unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    let mut broken = 0;
    let page_bytes = usize::try_from(page_bytes(&data)).unwrap();
    for page in 1..bytes.len() / page_bytes {
        if bytes[page * page_bytes] == 5 {
            file.write_all_at(&vec![0xa5; page_bytes], (page * page_bytes) as u64)
                .unwrap();
            broken += 1;
        }
    }
    assert!(broken > 0);
    let (_, said) = run(&data, &["repair", "--replace"]);
    assert!(
        said.contains("rows of posts is damaged") && said.contains("found"),
        "{said}"
    );
    assert!(!said.contains("rows of posts are lost"), "{said}");
    assert!(run(&data, &["check"]).0, "{}", run(&data, &["check"]).1);
    let kept = |lines: &[String], without: &str| -> Vec<String> {
        let lines = lines.iter().filter(|line| !line.starts_with(without));
        lines.cloned().collect()
    };
    assert_eq!(all(posts), kept(&before.0, "Post 17"), "{said}");
    assert_eq!(all(others), kept(&before.1, "/post-17"), "{said}");
}

#[test]
fn a_log_that_was_damaged_is_noticed_at_the_start_and_its_rest_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("site");
    let mut site = Site::start_on(&data);
    let client = site.set_up();
    for n in 0..10 {
        site.publish(
            &client,
            &[("title", &format!("Post {n}")), ("markdown", "x")],
        );
    }
    site.signal("KILL");
    site.wait_for_end();
    let log = fs::read(data.join("site.db-wal")).unwrap();
    flip(&data.join("site.db-wal"), log.len() as u64 / 2, 3);
    let (is_well, said) = run(&data, &["check"]);
    assert!(!is_well && said.contains("log"), "{said}");
    let (_, said) = run(&data, &["repair"]);
    assert!(said.contains("1 page of the log could not"), "{said}");
    drop(site);
    let site = Site::start_on(&data);
    assert!(site.log().contains("was copied to"), "{}", site.log());
    let kept = fs::read_dir(&data)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    assert!(
        kept.into_iter()
            .any(|name| name.to_string_lossy().starts_with("site.db-wal.damaged-"))
    );
}

#[test]
fn a_site_whose_first_page_is_gone_is_the_same_after_it_was_repaired() {
    let (_dir, data) = a_site();
    let path = data.join("site.db");
    let posts = || -> Vec<String> {
        let database = rusqlite::Connection::open(&path).unwrap();
        let mut rows = database
            .prepare("SELECT title || coalesce(html, hex(packed)) FROM posts ORDER BY id")
            .unwrap();
        let rows = rows.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let before = posts();
    let file = File::options().write(true).open(&path).unwrap();
    file.write_all_at(&[0; 512], 0).unwrap();
    let (is_well, said) = run(&data, &["check"]);
    assert!(!is_well && said.contains("webstead repair"), "{said}");
    let output = command(&data)
        .args(["--https", "127.0.0.1:0", "--http", "127.0.0.1:0"])
        .output()
        .unwrap();
    assert!(
        self::said(&output).contains("webstead repair"),
        "{output:?}"
    );
    let (_, said) = run(&data, &["repair", "--replace"]);
    assert!(
        said.contains("first page") && !said.contains("lost"),
        "{said}"
    );
    assert_eq!(posts(), before);
    assert!(run(&data, &["check"]).0, "{}", run(&data, &["check"]).1);
    // Who writes first changes no page behind the back of the checksums.
    let place = tempfile::tempdir().unwrap();
    let place = place.path().to_str().unwrap();
    let (is_well, said) = run(&data, &["backup", place]);
    assert!(is_well, "{said}");
    assert!(run(&data, &["check"]).0, "{}", run(&data, &["check"]).1);
    // A dry run is wanted most where the site is damaged.
    let file = File::options().write(true).open(&path).unwrap();
    file.write_all_at(&[0; 512], 0).unwrap();
    let (is_well, said) = run(&data, &["restore", "latest", "--from", place, "--dry-run"]);
    assert!(is_well && said.contains("cannot be compared"), "{said}");
    let (is_well, said) = run(&data, &["restore", "latest", "--from", place]);
    assert!(is_well, "{said}");
    let site = Site::start_on(&data);
    assert_eq!(site.text(&site.client(), "/post-59").0, 200);
}
