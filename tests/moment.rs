//! Back to a moment between two backups.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use reqwest::blocking::Client;
use rusqlite::{Connection, types::Value};

use crate::{
    backup::{beside, copy_folder, done, killed, page, rounds, run, site_with_posts, text},
    site::{OWNER, PASSWORD, Site},
};

/// Now, as `--at` takes it. Moments are whole seconds, so that what is done in the next one is after it.
fn now() -> String {
    std::thread::sleep(Duration::from_millis(1100));
    let now = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second()).unwrap();
    std::thread::sleep(Duration::from_millis(1100));
    now.to_string()
}

/// Every row of every table.
fn rows(data: &Path) -> BTreeMap<String, Vec<Vec<Value>>> {
    let database = Connection::open(data.join("site.db")).unwrap();
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name";
    let mut tables = database.prepare(sql).unwrap();
    let tables: Vec<String> = tables
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<rusqlite::Result<_>>()
        .unwrap();
    let all = |table: String| {
        let sql = format!("SELECT * FROM {table} ORDER BY id");
        let mut statement = database.prepare(&sql).unwrap();
        let columns = statement.column_count();
        let rows = statement
            .query_map([], |row| (0..columns).map(|n| row.get(n)).collect())
            .unwrap();
        (table, rows.collect::<rusqlite::Result<_>>().unwrap())
    };
    tables.into_iter().map(all).collect()
}

fn number(data: &Path, sql: &str) -> i64 {
    let database = Connection::open(data.join("site.db")).unwrap();
    database.query_row(sql, [], |row| row.get(0)).unwrap()
}

fn execute(data: &Path, sql: &str) {
    let database = Connection::open(data.join("site.db")).unwrap();
    database.execute_batch(sql).unwrap();
}

/// Every post goes to the trash, and from there for ever.
fn remove_everything(site: &Site, owner: &Client) {
    let database = Connection::open(site.data().join("site.db")).unwrap();
    let mut ids = database.prepare("SELECT id FROM posts").unwrap();
    let ids: Vec<i64> = ids
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<rusqlite::Result<_>>()
        .unwrap();
    for id in ids {
        for what in ["trash", "delete"] {
            let answer = site
                .post(owner, &format!("/admin/posts/{id}/{what}"))
                .send()
                .unwrap();
            assert_eq!(answer.status(), 303);
        }
    }
}

/// A post with a picture that no backup has.
fn import_late(site: &Site, dir: &Path) {
    let late = dir.join("late");
    fs::create_dir(&late).unwrap();
    let mut picture = vec![7; 20_000];
    getrandom::fill(&mut picture).unwrap();
    fs::write(late.join("late.png"), picture).unwrap();
    let post = "---\ntitle: Late\ndate: 2024-02-02\n---\n![x](late.png)\n\nIt came later.\n";
    fs::write(late.join("late.md"), post).unwrap();
    done(run(site.data(), &["import", late.to_str().unwrap()]));
}

#[test]
fn a_site_whose_posts_were_all_deleted_comes_back_as_it_was_a_moment_before() {
    let (mut site, owner, dir) = site_with_posts(3);
    let store = dir.path().join("backups").display().to_string();
    done(run(site.data(), &["backup", &store]));
    site.publish(
        &owner,
        &[("title", "Since then"), ("markdown", "x"), ("tags", "new")],
    );
    import_late(&site, dir.path());
    let pages: Vec<_> = (0..3)
        .map(|n| page(&site, &format!("/post-{n}")))
        .chain([page(&site, "/late")])
        .collect();
    let at = now();
    remove_everything(&site, &owner);
    site.publish(&owner, &[("title", "Afterwards"), ("markdown", "x")]);
    let restore = |arguments: &[&str]| {
        let all = [&["restore", "--from", &store], arguments].concat();
        run(site.data(), &all)
    };
    // All of the log leads to what is there, while the site runs.
    let copy = dir.path().join("copy");
    let here = ["--at", &now(), "--to", copy.to_str().unwrap()];
    done(restore(&here));
    let (mut there, live) = (rows(&copy), rows(site.data()));
    let last = there.get_mut("change_log").unwrap().pop().unwrap();
    assert_eq!(last[2], Value::Text("restored".into()));
    assert_eq!(there, live);
    // What would happen.
    let told = done(restore(&["--at", &at, "--dry-run"]));
    for word in [
        "Nothing was changed",
        "5 posts and pages would come back",
        "Late",
        "Since then",
        "1 post or page would be gone",
        "Afterwards",
        "Any moment since",
        "backup 1",
        "changes since",
    ] {
        assert!(told.contains(word), "{word}: {told}");
    }
    let refused = restore(&["--at", &at]);
    assert!(text(&refused).contains("is running"), "{}", text(&refused));
    site.stop();
    let told = done(run(
        site.data(),
        &["restore", "--at", &at, "--from", &store],
    ));
    assert!(told.contains("5 posts"), "{told}");
    let aside = told.split("before is in ").nth(1).unwrap();
    let aside = Path::new(aside.split("; remove").next().unwrap());
    assert_eq!(number(aside, "SELECT count(*) FROM posts"), 1);
    let site = site.restart_stopped();
    for (n, there) in pages.iter().enumerate().take(3) {
        assert_eq!(&page(&site, &format!("/post-{n}")), there);
    }
    assert_eq!(
        page(&site, "/late"),
        pages[3],
        "a picture that no backup has"
    );
    assert_eq!(site.text(&site.client(), "/tags/new").0, 200);
    assert_eq!(site.text(&site.client(), "/afterwards").0, 404);
}

#[test]
fn a_restored_site_goes_on_and_what_was_in_between_is_with_what_was_set_aside() {
    let (mut site, owner, dir) = site_with_posts(1);
    let store = dir.path().join("backups").display().to_string();
    let publish = |site: &Site, title: &str| {
        let owner = site.sign_in(OWNER, PASSWORD);
        site.publish(&owner, &[("title", title), ("markdown", "x")]);
        now()
    };
    done(run(site.data(), &["backup", &store]));
    let early = now();
    let then = publish(&site, "Since then");
    remove_everything(&site, &owner);
    let between = now();
    site.stop();
    let told = done(run(
        site.data(),
        &["restore", "--at", &then, "--from", &store],
    ));
    let aside = told.split("before is in ").nth(1).unwrap();
    let aside = Path::new(aside.split("; remove").next().unwrap());
    let mut site = site.restart_stopped();
    let on = publish(&site, "And on");
    publish(&site, "And on and on");
    site.stop();
    done(run(site.data(), &["check"]));
    let restore = |data: &Path, at: &str, to: &Path| {
        let to = to.to_str().unwrap();
        run(data, &["restore", "--at", at, "--from", &store, "--to", to])
    };
    for (number_of, (data, at, posts)) in [
        (site.data(), &early, 1),
        (site.data(), &then, 2),
        (site.data(), &on, 3),
        (aside, &between, 0),
    ]
    .into_iter()
    .enumerate()
    {
        let to = dir.path().join(format!("to-{number_of}"));
        done(restore(data, at, &to));
        assert_eq!(number(&to, "SELECT count(*) FROM posts"), posts, "{at}");
    }
    let to = dir.path().join("none");
    let told = text(&restore(site.data(), &between, &to));
    assert!(
        told.contains("set aside") && told.contains("--data") && told.contains("restore 1"),
        "{told}"
    );
    assert!(!to.exists());
}

#[test]
fn a_later_backup_leads_to_a_moment_before_it_on_a_machine_that_has_nothing() {
    let (site, owner, dir) = site_with_posts(2);
    let store = dir.path().join("backups").display().to_string();
    done(run(site.data(), &["backup", &store]));
    import_late(&site, dir.path());
    let at = now();
    remove_everything(&site, &owner);
    let after = now();
    done(run(site.data(), &["backup", &store]));
    drop(site);
    let new = dir.path().join("new/data");
    let restore = |at: &str| run(&new, &["restore", "--at", at, "--from", &store]);
    let told = done(restore(&at));
    assert!(
        told.contains("backup 1") && told.contains("3 posts"),
        "{told}"
    );
    // The picture came after that backup. The later one has it.
    page(&Site::start_on(&new), "/late");
    // Of the time after the last backup nothing is left.
    fs::remove_dir_all(&new).unwrap();
    fs::create_dir_all(&new).unwrap();
    let told = text(&restore(&now()));
    assert!(
        told.contains("no log of changes that goes as far"),
        "{told}"
    );
    let told = done(restore(&after));
    assert!(told.contains(": 0 posts"), "{told}");
    assert_eq!(number(&new, "SELECT count(*) FROM posts"), 0);
}

#[test]
fn a_restore_to_a_moment_that_is_killed_leaves_the_site_as_it_was_or_as_it_is_to_be() {
    let (mut site, owner, dir) = site_with_posts(40);
    let store = dir.path().join("backups").display().to_string();
    done(run(site.data(), &["backup", &store]));
    for n in 0..20 {
        let title = format!("Since {n}");
        site.publish(&owner, &[("title", &title), ("markdown", "words")]);
    }
    let at = now();
    remove_everything(&site, &owner);
    site.stop();
    let posts = |data: &Path| number(data, "SELECT count(*) FROM posts");
    let copy = dir.path().join("copy/data");
    let mut time = Duration::from_millis(10);
    for round in 0..rounds() {
        let _ = fs::remove_dir_all(copy.parent().unwrap());
        copy_folder(site.data(), &copy);
        if killed(&copy, &["restore", "--at", &at, "--from", &store], time) {
            time = Duration::from_millis(10);
        }
        time += Duration::from_millis(37);
        // Before it has its dated name, the other one is between two places, and the next start knows which it is.
        let aside = beside(&copy, &[".before-", ".exchanging-"]);
        match posts(&copy) {
            0 => assert!(aside.iter().all(|path| posts(path) == 60), "round {round}"),
            60 => assert!(aside.iter().any(|path| posts(path) == 0), "round {round}"),
            n => panic!("round {round}: {n} posts"),
        }
        done(run(&copy, &["check"]));
    }
    done(run(&copy, &["restore", "--at", &at, "--from", &store]));
    assert_eq!(posts(&copy), 60);
    assert!(beside(&copy, &[".exchanging-"]).is_empty());
}

#[test]
fn where_a_moment_cannot_be_had_nothing_changes_and_it_says_why() {
    let (mut site, owner, dir) = site_with_posts(1);
    let (empty, store) = (dir.path().join("empty"), dir.path().join("backups"));
    let store = store.display().to_string();
    let before = now();
    done(run(site.data(), &["backup", &store]));
    site.publish(&owner, &[("title", "First"), ("markdown", "x")]);
    let between = now();
    site.publish(&owner, &[("title", "Second"), ("markdown", "x")]);
    let at = now();
    site.stop();
    fs::create_dir(&empty).unwrap();
    let gap = "INSERT INTO applied_changes (id) VALUES (77)";
    let cut = "DELETE FROM change_log WHERE id < (SELECT max(id) FROM change_log)";
    let none = "DELETE FROM change_log";
    let newer = "UPDATE change_log SET schema = 99 WHERE id = (SELECT max(id) FROM change_log)";
    let damaged =
        "UPDATE change_log SET content = x'0109' WHERE id = (SELECT max(id) FROM change_log)";
    for (what, at, words) in [
        ("", "2999-01-01", &["in the future"][..]),
        ("", "soon", &["is no moment", "10 minutes ago"]),
        ("", &before, &["no backup from before", "the oldest is of"]),
        (gap, &between, &[]),
        (gap, &at, &["keeps no log", "`webstead restore 1`"]),
        (
            cut,
            &at,
            &["goes back to", "changes_mib", "`webstead restore 1`"],
        ),
        (none, &at, &["no log of changes", "`webstead restore 1`"]),
        (newer, &at, &["newer Webstead"]),
        (newer, &between, &[]),
        (damaged, &at, &["is damaged"]),
        (damaged, &between, &[]),
    ] {
        let copy = dir.path().join("copy/data");
        let _ = fs::remove_dir_all(copy.parent().unwrap());
        copy_folder(site.data(), &copy);
        execute(&copy, what);
        let posts = number(&copy, "SELECT count(*) FROM posts");
        let restore = run(&copy, &["restore", "--at", at, "--from", &store]);
        let told = text(&restore);
        assert_eq!(
            restore.status.success(),
            words.is_empty(),
            "{what} {at}: {told}"
        );
        for word in words {
            assert!(told.contains(word), "{what} {at}, {word}: {told}");
        }
        let there = fs::read_dir(copy.parent().unwrap()).unwrap().count();
        if words.is_empty() {
            assert_eq!(number(&copy, "SELECT count(*) FROM posts"), 2);
        } else {
            assert_eq!(number(&copy, "SELECT count(*) FROM posts"), posts);
            assert_eq!(there, 1, "nothing is left behind: {told}");
        }
    }
    let none = run(
        site.data(),
        &["restore", "--at", &at, "--from", empty.to_str().unwrap()],
    );
    assert!(text(&none).contains("no backups"), "{}", text(&none));
}

#[test]
fn a_file_that_is_nowhere_any_more_is_named_and_the_rest_comes_back() {
    let (mut site, _, dir) = site_with_posts(1);
    let store = dir.path().join("backups").display().to_string();
    done(run(site.data(), &["backup", &store]));
    import_late(&site, dir.path());
    let at = now();
    site.stop();
    let find = "SELECT hash FROM media WHERE name = 'late.png'";
    let database = Connection::open(site.data().join("site.db")).unwrap();
    let hash: String = database.query_row(find, [], |row| row.get(0)).unwrap();
    drop(database);
    fs::remove_file(site.data().join("media").join(&hash)).unwrap();
    for dry_run in [true, false] {
        let mut arguments = vec!["restore", "--at", &at, "--from", &store];
        arguments.extend(dry_run.then_some("--dry-run"));
        let told = done(run(site.data(), &arguments));
        assert!(
            told.contains("late.png") && told.contains("cannot be had any more"),
            "{told}"
        );
    }
    let site = site.restart_stopped();
    assert_eq!(site.text(&site.client(), "/late").0, 200);
    page(&site, "/post-0");
}

#[test]
fn without_a_backup_nothing_is_kept_and_what_no_backup_needs_any_more_goes() {
    let (site, owner, dir) = site_with_posts(1);
    let store = dir.path().join("backups").display().to_string();
    let kept = || number(site.data(), "SELECT count(*) FROM change_log");
    assert_eq!(kept(), 0);
    done(run(site.data(), &["backup", &store]));
    assert_eq!(kept(), 1);
    for round in 0..3 {
        let title = format!("round {round}");
        site.publish(&owner, &[("title", &title), ("markdown", "x")]);
        done(run(site.data(), &["backup", &store]));
    }
    assert_eq!(kept(), 4, "the first backup is still there");
    // Of one day the last backup stays, where no hours are kept, and the one before is not needed.
    let settings = site.data().join("webstead.toml");
    fs::write(settings, "[backup]\nkeep_hours = 0\n").unwrap();
    done(run(site.data(), &["backup", "prune", "--from", &store]));
    site.publish(&owner, &[("title", "more"), ("markdown", "x")]);
    done(run(site.data(), &["backup", &store]));
    assert!(kept() < 4, "{}", kept());
}
