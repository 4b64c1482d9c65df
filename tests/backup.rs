//! Backups of a site that is being written to, and the site that comes of one.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use crate::{
    site::{OWNER, PASSWORD, Site, command},
    tools::SmallDisk,
    waiting::{found_within, until},
};

/// Rounds of killing; `WEBSTEAD_KILL_ROUNDS=100` runs the long form.
const ROUNDS: usize = 8;

pub(crate) fn rounds() -> usize {
    let asked = std::env::var("WEBSTEAD_KILL_ROUNDS").ok();
    asked.and_then(|n| n.parse().ok()).unwrap_or(ROUNDS)
}

pub(crate) fn run(data: &Path, arguments: &[&str]) -> Output {
    command(data).args(arguments).output().unwrap()
}

pub(crate) fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

pub(crate) fn done(output: Output) -> String {
    let text = text(&output);
    assert!(output.status.success(), "{text}");
    text
}

/// A site with posts and pictures, and a folder for its backups.
pub(crate) fn site_with_posts(
    posts: usize,
) -> (Site, reqwest::blocking::Client, tempfile::TempDir) {
    let (site, client) = Site::with_owner();
    let dir = tempfile::tempdir().unwrap();
    let blog = dir.path().join("blog");
    fs::create_dir(&blog).unwrap();
    for n in 0..posts {
        let mut picture = vec![0; 20_000];
        getrandom::fill(&mut picture).unwrap();
        fs::write(blog.join(format!("picture-{n}.png")), picture).unwrap();
        let post = format!(
            "---\ntitle: Post {n}\ndate: 2024-01-01\n---\n![x](picture-{n}.png)\n\nText of {n}.\n"
        );
        fs::write(blog.join(format!("post-{n}.md")), post).unwrap();
    }
    done(run(site.data(), &["import", blog.to_str().unwrap()]));
    (site, client, dir)
}

/// What visitors get of a page, and of the picture in it.
pub(crate) fn page(site: &Site, path: &str) -> (String, Vec<u8>) {
    let client = site.client();
    let (status, html) = site.text(&client, path);
    assert_eq!(status, 200, "{path}");
    let article = html
        .split("<article")
        .nth(1)
        .unwrap()
        .split("</article>")
        .next()
        .unwrap();
    let picture = article
        .split("src=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let picture = site.get(&client, picture).bytes().unwrap().to_vec();
    (article.to_owned(), picture)
}

#[test]
fn a_restored_site_is_the_same_to_its_visitors_its_owner_and_their_browsers() {
    let (site, client, dir) = site_with_posts(5);
    let (store, to) = (dir.path().join("backups"), dir.path().join("restored"));
    let (store, new) = (store.to_str().unwrap(), to.to_str().unwrap());
    let told = done(run(site.data(), &["backup", store]));
    assert!(
        told.contains("Backup 1") && told.contains("sound") && told.contains("same disk"),
        "{told}"
    );
    site.publish(&client, &[("title", "Since then"), ("markdown", "x")]);
    let told = done(run(
        site.data(),
        &["restore", "latest", "--from", store, "--dry-run"],
    ));
    assert!(
        told.contains("Since then") && told.contains("Nothing was changed"),
        "{told}"
    );
    let refused = run(site.data(), &["restore", "1", "--from", store]);
    assert!(
        !refused.status.success() && text(&refused).contains("is running"),
        "{}",
        text(&refused)
    );
    // A new machine has the program and the backups, and nothing else.
    let told = done(run(&to, &["restore", "latest", "--from", store]));
    assert!(told.contains("5 posts"), "{told}");
    assert!(told.contains("makes no backups of its own"), "{told}");
    let restored = Site::start_on(Path::new(new));
    for n in 0..5 {
        assert_eq!(
            page(&site, &format!("/post-{n}")),
            page(&restored, &format!("/post-{n}"))
        );
    }
    assert_eq!(restored.text(&restored.client(), "/since-then").0, 404);
    restored.sign_in(OWNER, PASSWORD);
    let authority = |site: &Site| fs::read(site.data().join("tls/authority-cert.pem")).unwrap();
    assert_eq!(
        authority(&site),
        authority(&restored),
        "who trusted it does so still"
    );
    let told = done(run(site.data(), &["backup", "list", "--from", store]));
    assert!(
        told.contains("sound") && told.lines().count() == 1,
        "{told}"
    );
    let none = run(site.data(), &["backup", "list", "--from", new]);
    assert!(text(&none).contains("no backups"), "{}", text(&none));
}

#[test]
fn backups_that_are_made_while_people_save_are_sound_and_nobody_waits_for_them() {
    let (site, _, dir) = site_with_posts(3);
    let store = dir.path().join("backups").display().to_string();
    let client = site.sign_in(OWNER, PASSWORD);
    let (stop, saved) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for number in 0..4 {
            let (site, client, stop, saved) = (&site, &client, &stop, &saved);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let title = format!("client {number} save {}", saved.load(Ordering::Relaxed));
                    let begun = Instant::now();
                    site.publish(
                        client,
                        &[("title", &title), ("markdown", &"words ".repeat(500))],
                    );
                    assert!(
                        begun.elapsed() < Duration::from_secs(20),
                        "{:?}",
                        begun.elapsed()
                    );
                    saved.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for _ in 0..3 {
            let told = run(site.data(), &["backup", &store]);
            stop.store(!told.status.success(), Ordering::Relaxed);
            done(told);
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(saved.load(Ordering::Relaxed) > 10);
    done(run(
        site.data(),
        &["backup", "verify", "--all", "--from", &store],
    ));
}

/// Runs a command and kills it after some time; says whether it was done before.
pub(crate) fn killed(data: &Path, arguments: &[&str], after: Duration) -> bool {
    let mut command = command(data);
    let command = command
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let until = Instant::now() + after;
    while Instant::now() < until {
        if child.try_wait().unwrap().is_some() {
            return true;
        }
        std::thread::sleep(Duration::from_micros(500));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    false
}

#[test]
fn a_backup_that_is_killed_leaves_those_before_it_and_the_next_one_is_whole() {
    let (site, client, dir) = site_with_posts(40);
    let store = dir.path().join("backups").display().to_string();
    done(run(site.data(), &["backup", &store]));
    let (mut whole, mut time) = (1, Duration::from_millis(8));
    for round in 0..rounds() {
        let title = format!("round {round}");
        site.publish(
            &client,
            &[("title", &title), ("markdown", &"words ".repeat(3000))],
        );
        if killed(site.data(), &["backup", &store, "--without-verify"], time) {
            whole += 1;
            time = Duration::from_millis(8);
        }
        time += Duration::from_millis(11);
        let list = done(run(site.data(), &["backup", "list", "--from", &store]));
        let lines = list.lines().count();
        // It may have been there before it was killed.
        assert!(
            lines == whole || lines == whole + 1,
            "round {round}: {list}"
        );
        whole = lines;
    }
    done(run(site.data(), &["backup", &store]));
    done(run(
        site.data(),
        &["backup", "verify", "--all", "--from", &store],
    ));
}

#[test]
fn a_restore_that_is_killed_leaves_the_site_as_it_was_or_as_it_is_to_be() {
    let (mut site, client, dir) = site_with_posts(40);
    let store = dir.path().join("backups").display().to_string();
    done(run(site.data(), &["backup", &store]));
    site.publish(&client, &[("title", "Since then"), ("markdown", "x")]);
    site.stop();
    let posts = |data: &Path| -> i64 {
        let database = rusqlite::Connection::open(data.join("site.db")).unwrap();
        let count = "SELECT count(*) FROM posts";
        database.query_row(count, [], |row| row.get(0)).unwrap()
    };
    let copy = dir.path().join("copy/data");
    let mut time = Duration::from_millis(10);
    for round in 0..rounds() {
        // Each round begins with the whole site.
        let _ = fs::remove_dir_all(copy.parent().unwrap());
        copy_folder(site.data(), &copy);
        if killed(&copy, &["restore", "latest", "--from", &store], time) {
            time = Duration::from_millis(10);
        }
        time += Duration::from_millis(13);
        let found = posts(&copy);
        // Before it has its dated name, the other one is between two places, and the next start knows which it is.
        let aside = beside(&copy, &[".before-", ".exchanging-"]);
        match found {
            41 => assert!(aside.iter().all(|path| posts(path) == 40), "round {round}"),
            40 => assert!(aside.iter().any(|path| posts(path) == 41), "round {round}"),
            _ => panic!("round {round}: {found} posts"),
        }
        done(run(&copy, &["check"]));
    }
}

/// Folders beside a site, with one of these in their names.
pub(crate) fn beside(site: &Path, named: &[&str]) -> Vec<PathBuf> {
    let entries = fs::read_dir(site.parent().unwrap()).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let is_one = |path: &PathBuf| {
        let path = path.display().to_string();
        named.iter().any(|name| path.contains(name))
    };
    paths.filter(is_one).collect()
}

#[test]
fn a_backup_over_a_damaged_site_is_a_sound_site_that_saves_and_the_damaged_one_is_kept() {
    let (mut site, client, dir) = site_with_posts(3);
    let store = dir.path().join("backups").display().to_string();
    done(run(site.data(), &["backup", &store]));
    site.publish(&client, &[("title", "Since then"), ("markdown", "x")]);
    site.stop();
    let data = site.data().to_path_buf();
    // A bit flips in what was stored, which only the checksums show; and the site knows that it is damaged.
    let database = data.join("site.db");
    let changed = fs::metadata(&database).unwrap().modified().unwrap();
    let mut bytes = fs::read(&database).unwrap();
    let last = bytes.len() - 10;
    bytes[last] ^= 1;
    let file = fs::File::options().write(true).open(&database).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &bytes, 0).unwrap();
    file.set_modified(changed).unwrap();
    assert!(!run(&data, &["check"]).status.success());
    fs::write(data.join("damaged.txt"), "page 7 is not what was written\n").unwrap();
    fs::write(data.join("site.db-wal"), "the rest of a log").unwrap();
    let told = done(run(&data, &["restore", "latest", "--from", &store]));
    let aside = told.split("before is in ").nth(1).unwrap();
    let aside = Path::new(aside.split("; remove").next().unwrap());
    for name in ["site.db", "site.db-sums2", "site.db-wal", "damaged.txt"] {
        assert!(aside.join(name).exists(), "{name} is kept");
        let is_new = name.starts_with("site.db") && name != "site.db-wal";
        assert_eq!(data.join(name).exists(), is_new, "{name}");
    }
    assert_eq!(fs::read(aside.join("site.db")).unwrap(), bytes);
    let mut site = site.restart_stopped();
    let client = site.sign_in(OWNER, PASSWORD);
    site.publish(&client, &[("title", "After"), ("markdown", "x")]);
    assert_eq!(site.text(&site.client(), "/after").0, 200);
    assert_eq!(site.text(&site.client(), "/since-then").0, 404);
    done(run(&data, &["check"]));
    site.stop();
    done(run(&data, &["check"]));
}

pub(crate) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_full_disk_fails_the_backup_with_a_clear_message_and_those_before_it_stay() {
    let (site, client, dir) = site_with_posts(3);
    let mount = dir.path().join("small");
    let Some(_small) = SmallDisk::at(mount.clone(), "1m") else {
        return;
    };
    let store = mount.join("backups").display().to_string();
    done(run(site.data(), &["backup", &store, "--without-verify"]));
    for n in 0..3 {
        let mut noise = vec![0; 330_000];
        getrandom::fill(&mut noise).unwrap();
        let (title, words) = (format!("large {n}"), data_encoding::BASE64.encode(&noise));
        site.publish(&client, &[("title", &title), ("markdown", &words)]);
    }
    let full = run(site.data(), &["backup", &store, "--without-verify"]);
    let told = text(&full);
    assert!(!full.status.success() && told.contains("is full"), "{told}");
    let list = done(run(site.data(), &["backup", "list", "--from", &store]));
    assert_eq!(list.lines().count(), 1, "{list}");
    let to = dir.path().join("restored");
    done(run(&to, &["restore", "latest", "--from", &store]));
    assert_eq!(site.text(&site.client(), "/large-0").0, 200);
}

#[test]
fn the_owner_makes_a_backup_in_the_browser_and_sees_that_it_is_proven() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("backups");
    let site = Site::with_settings(&format!(
        "[backup]\nto = \"{}\"\nat = \"12:00\"\n",
        store.display()
    ));
    let owner = site.set_up();
    let (_, page) = site.text(&owner, "/admin/backups");
    assert!(
        page.contains("Every day at 12:00") && page.contains("There is none yet"),
        "{page}"
    );
    let answer = site.post(&owner, "/admin/backups").send().unwrap();
    assert_eq!(answer.status(), 303);
    // A backup gives way to everything else that the machine does.
    let page = found_within(Duration::from_mins(3), || {
        let (_, page) = site.text(&owner, "/admin/backups");
        let has_ended = page.contains("Back up now");
        if has_ended && page.contains("Backup 1") && page.contains("proven</span>") {
            return Ok(page);
        }
        Err(format!("{page}\n{}", site.log()))
    });
    assert!(
        page.contains("brought back to any moment since") && page.contains("restore --at"),
        "{page}"
    );
    // The disk is pulled out.
    fs::remove_dir_all(&store).unwrap();
    until(&site, "the owner is told", || {
        // Nothing more is begun until the one before has ended, which is a moment after it is shown.
        site.post(&owner, "/admin/backups").send().unwrap();
        let (_, page) = site.text(&owner, "/admin/backups");
        page.contains("is the disk there?")
    });
    assert!(!store.exists());
}

#[test]
fn a_copy_beside_a_site_asks_its_owner_before_it_goes_on_with_that_ones_backups() {
    let dir = tempfile::tempdir().unwrap();
    let (store, copy) = (dir.path().join("backups"), dir.path().join("copy"));
    let store = store.to_str().unwrap();
    let site = Site::with_settings(&format!("[backup]\nto = \"{store}\"\nat = \"12:00\"\n"));
    site.set_up();
    done(run(site.data(), &["backup", store]));
    let inside = site.data().join("copy");
    let refused = run(
        site.data(),
        &["restore", "1", "--to", inside.to_str().unwrap()],
    );
    assert!(
        text(&refused).contains("inside of the site"),
        "{}",
        text(&refused)
    );
    let to = ["restore", "1", "--to", copy.to_str().unwrap()];
    let told = done(run(site.data(), &to));
    assert!(told.contains("It is a copy"), "{told}");
    // Also who names the place has to say that the copy is to go on there.
    for by_hand in [&["backup"][..], &["backup", store]] {
        let refused = text(&run(&copy, by_hand));
        let is_asked = refused.contains("restored beside another one");
        assert!(is_asked && refused.contains("--take-over"), "{refused}");
    }
    let copy = Site::start_on(&copy);
    let owner = copy.sign_in(OWNER, PASSWORD);
    let press = |fields: &[(&str, &str)], wanted: &str| {
        found_within(Duration::from_mins(3), || {
            let pressed = copy.post(&owner, "/admin/backups").form(fields).send();
            assert_eq!(pressed.unwrap().status(), 303);
            std::thread::sleep(Duration::from_millis(200));
            let (_, page) = copy.text(&owner, "/admin/backups");
            if page.contains(wanted) {
                return Ok(page);
            }
            Err(format!("{page}\n{}", copy.log()))
        })
    };
    let page = press(&[], "Go on with the backups there");
    assert!(page.contains("restored beside another one"), "{page}");
    assert!(
        !page.contains("Back up now") && !page.contains("Backup 2"),
        "{page}"
    );
    // While it is being made, the page says what was before.
    let page = press(&[("take_over", "yes")], "Back up now");
    assert!(page.contains("sound was made on"), "{page}");
    assert!(!page.contains("restored beside another one"), "{page}");
}

#[test]
fn a_backup_that_was_not_tried_does_not_look_as_if_it_were_proven() {
    let (site, client, dir) = site_with_posts(1);
    let store = dir.path().join("backups").display().to_string();
    let settings = site.data().join("webstead.toml");
    fs::write(
        &settings,
        format!("[backup]\nto = {store:?}\nevery = \"31 days\"\n"),
    )
    .unwrap();
    done(run(site.data(), &["backup", "--without-verify"]));
    let site = site.restart();
    drop(client);
    let client = site.sign_in(OWNER, PASSWORD);
    let page = site.text(&client, "/admin/backups").1;
    assert!(page.contains(">not tried</span>"), "{page}");
    assert!(page.contains("None is known to be sound yet"), "{page}");
    done(run(site.data(), &["backup", "verify"]));
    let page = site.text(&client, "/admin/backups").1;
    assert!(page.contains(">proven</span>"), "{page}");
    // One that cannot be read is named on the page, with what to do, and can be removed.
    done(run(site.data(), &["backup", "--without-verify"]));
    let manifests = fs::read_dir(dir.path().join("backups/backups")).unwrap();
    let mut manifests: Vec<_> = manifests.map(|entry| entry.unwrap().path()).collect();
    manifests.sort();
    fs::write(&manifests[1], "{").unwrap();
    let name = manifests[1].file_stem().unwrap().to_str().unwrap();
    let forget = format!("webstead backup forget {name}");
    let page = site.text(&client, "/admin/backups").1;
    assert!(page.contains(&forget), "{page}");
    let pruned = run(site.data(), &["backup", "prune"]);
    assert!(
        !pruned.status.success() && text(&pruned).contains(name),
        "{pruned:?}"
    );
    let asked = run(site.data(), &["backup", "forget", name]);
    assert!(
        !asked.status.success() && text(&asked).contains("--yes"),
        "{asked:?}"
    );
    done(run(site.data(), &["backup", "forget", name, "--yes"]));
    done(run(site.data(), &["backup", "prune"]));
    let sound = run(site.data(), &["backup", "forget", "1", "--yes"]);
    assert!(
        text(&sound).contains("last one that is known to be sound"),
        "{sound:?}"
    );
}
