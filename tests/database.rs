//! The rules for writes.

use std::{fs, path::Path};

use webstead::{
    app::posts::{
        changes::{insert_post, update_post},
        post::{Content, Kind, Rendered},
        queries::find_post,
    },
    base::{Error, Id, Timestamp},
    db::{Change, Database, MAX_CHANGE_BYTES},
    text::address::Address,
};

fn open() -> (tempfile::TempDir, Database) {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::open(&dir.path().join("site.db")).unwrap();
    (dir, database)
}

fn setting(name: &str, guard_holds: bool) -> Change {
    let mut change = Change::new();
    change.push(
        "INSERT INTO settings (id, name, value) VALUES (?1, ?2, 'x')",
        vec![Id::new().into(), name.into()],
    );
    change.guard(
        "holds",
        "UPDATE guard SET ok = ?1",
        vec![guard_holds.into()],
    );
    change
}

fn count(database: &Database) -> i64 {
    database
        .read_blocking(|c| Ok(c.query_row("SELECT count(*) FROM settings", [], |row| row.get(0))?))
        .unwrap()
}

#[test]
fn of_changes_that_are_committed_together_only_those_with_a_failed_guard_are_undone() {
    let (_dir, database) = open();
    std::thread::scope(|scope| {
        for number in 0..64 {
            let database = &database;
            scope.spawn(move || {
                let outcome =
                    database.apply_blocking(setting(&format!("s{number}"), number % 3 != 0));
                match outcome {
                    Ok(()) => assert!(number % 3 != 0),
                    Err(Error::Conflict(name)) => assert!(name == "holds" && number % 3 == 0),
                    Err(e) => panic!("{e}"),
                }
            });
        }
    });
    assert_eq!(count(&database), 42);
    let stats = database.writer_stats();
    assert_eq!(stats.changes, 42);
    assert!(
        stats.commits < 42,
        "they were not committed together: {stats:?}"
    );
}

#[test]
fn a_change_that_is_sent_twice_is_applied_once() {
    let (_dir, database) = open();
    let change = setting("once", true);
    database.apply_blocking(change.clone()).unwrap();
    database.apply_blocking(change).unwrap();
    assert_eq!(count(&database), 1);
}

#[test]
fn a_unique_constraint_is_a_conflict_that_names_its_columns_and_undoes_everything() {
    let (_dir, database) = open();
    database.apply_blocking(setting("taken", true)).unwrap();
    let mut change = setting("new", true);
    change.extend(setting("taken", true));
    let error = database.apply_blocking(change).unwrap_err();
    assert!(
        matches!(&error, Error::Conflict(columns) if columns == "settings.name"),
        "{error:?}"
    );
    assert_eq!(count(&database), 1);
}

#[test]
fn a_change_that_is_too_large_is_refused_before_it_is_queued() {
    let (_dir, database) = open();
    let error = database
        .apply_blocking(setting(&"x".repeat(MAX_CHANGE_BYTES), true))
        .unwrap_err();
    assert!(matches!(error, Error::TooLarge(_)), "{error:?}");
}

#[test]
fn readers_cannot_write() {
    let (_dir, database) = open();
    let outcome =
        database.read_blocking(|connection| Ok(connection.execute("DELETE FROM settings", [])?));
    assert!(outcome.is_err());
}

#[test]
fn the_version_rises_with_every_change_and_with_one_by_another_process() {
    let (dir, database) = open();
    let before = database.version();
    database.apply_blocking(setting("a", true)).unwrap();
    assert!(database.version() > before);
    let before = database.version();
    let other = Database::open(&dir.path().join("site.db")).unwrap();
    other.apply_blocking(setting("b", true)).unwrap();
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert!(database.version() > before);
}

#[test]
fn a_guard_whose_row_is_gone_says_no() {
    let (_dir, database) = open();
    let mut lost = Change::new();
    lost.push("DELETE FROM guard", vec![]);
    database.apply_blocking(lost).unwrap();
    database.apply_blocking(setting("a", true)).unwrap_err();
    assert_eq!(count(&database), 0);
}

#[test]
fn ids_go_on_from_the_last_change_of_the_database() {
    let (dir, database) = open();
    let future = Id(Id::new().0 + (1 << 45));
    let mut sent = Change::new();
    sent.push(
        "INSERT INTO applied_changes (id) VALUES (?1)",
        vec![future.into()],
    );
    database.apply_blocking(sent).unwrap();
    drop(database);
    let database = Database::open(&dir.path().join("site.db")).unwrap();
    assert!(Id::new() > future);
    database
        .apply_blocking(webstead::db::sweep_applied_changes(
            i64::MAX / 1_000_000_000,
        ))
        .unwrap();
}

#[test]
fn the_database_can_be_read_by_its_owner_only_in_whatever_folder_it_is() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let file = dir.path().join("site.db");
    let mode = |name: &str| {
        fs::metadata(dir.path().join(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    let database = Database::open(&file).unwrap();
    for name in ["site.db", "site.db-wal", "site.db-shm"] {
        assert_eq!(mode(name), 0o600, "{name} has {:o}", mode(name));
    }
    drop(database);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let _database = Database::open(&file).unwrap();
    assert_eq!(mode("site.db"), 0o600);
}

#[test]
fn nothing_that_is_written_depends_on_the_clock_or_chance_of_the_database() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let schema = fs::read_to_string(root.join("schema.sql")).unwrap();
    let without_comments: String = schema
        .lines()
        .map(|line| line.split("--").next().unwrap_or(""))
        .collect::<Vec<_>>()
        .join("\n");
    for table in without_comments.split("CREATE TABLE ").skip(1) {
        let (name, rest) = table.split_once(' ').unwrap();
        let end = rest.find(';').unwrap();
        assert!(
            rest[..end].trim_end().ends_with("STRICT"),
            "{name} is not STRICT"
        );
        assert!(
            rest.contains("INTEGER PRIMARY KEY"),
            "{name} has no id of its own"
        );
    }
    let mut sources = vec![("schema.sql".to_owned(), without_comments)];
    for file in crate::architecture::rust_files(&root.join("src")) {
        sources.push((
            file.display().to_string(),
            fs::read_to_string(&file).unwrap(),
        ));
    }
    for (name, source) in sources {
        for word in [
            "CURRENT_TIMESTAMP",
            "CURRENT_DATE",
            "CURRENT_TIME",
            "RANDOM()",
            "RANDOMBLOB(",
            "DATETIME(",
            "STRFTIME('%",
            "JULIANDAY(",
            "UNIXEPOCH(",
            "LAST_INSERT_ROWID",
            "ATTACH DATABASE",
            "CHANGES()",
        ] {
            assert!(
                !source.contains(word) && !source.contains(&word.to_lowercase()),
                "{name} has {word}"
            );
        }
    }
}

/// A post with a text of this many bytes, and what is made of it.
fn a_post(number: usize, bytes: usize) -> (Content, Rendered) {
    let word = |n: usize| format!("word{} ", (number * 7919 + n * n * 104_729) % 99_991);
    let mut markdown: String = (0..bytes).map(word).collect();
    markdown.truncate(bytes);
    let rendered = Rendered::from_markdown(&markdown).packed_with(&markdown);
    let content = Content {
        kind: Kind::Post,
        title: format!("Post {number}"),
        description: String::new(),
        markdown,
        tags: vec!["news".into()],
        authors: vec!["Ada".into()],
        address: Address::from_stored(format!("/post-{number}")),
        published_at: Some(Timestamp(1_800_000_000 + i64::try_from(number).unwrap())),
        draft_at: None,
    };
    (content, rendered)
}

#[test]
fn a_save_writes_few_pages_to_the_log() {
    let (dir, database) = open();
    assert!(database.takes_packed());
    let frames = || -> i64 {
        let other = rusqlite::Connection::open(dir.path().join("site.db")).unwrap();
        let sql = "PRAGMA wal_checkpoint(NOOP)";
        other.query_row(sql, [], |row| row.get(1)).unwrap()
    };
    let ids: Vec<Id> = (0..100).map(|_| Id::new()).collect();
    let before = frames();
    for (number, id) in ids.iter().enumerate() {
        let (content, rendered) = a_post(number, 4000);
        assert!(rendered.packed.as_ref().unwrap().len() < 2500);
        let now = content.published_at.unwrap();
        let change = insert_post(*id, &content, &rendered, now);
        database.apply_blocking(change).unwrap();
    }
    let saved = frames();
    for (number, id) in ids.iter().enumerate() {
        let (mut content, _) = a_post(number, 4000);
        content.markdown.replace_range(2000..2004, "other");
        let rendered = Rendered::from_markdown(&content.markdown).packed_with(&content.markdown);
        let now = Timestamp(1_900_000_000 + i64::try_from(number).unwrap());
        let change = update_post(*id, 1, &content, &rendered, now);
        database.apply_blocking(change).unwrap();
    }
    let edited = frames();
    // Of 512 bytes each, with those that fill up a sector. They were 18 of 4 KiB, and for an edit 14.
    assert!(saved - before < 100 * 32, "{}", saved - before);
    assert!(edited - saved < 100 * 19, "{}", edited - saved);
}

#[test]
fn a_save_writes_only_those_tags_and_authors_that_have_changed() {
    let (_dir, database) = open();
    let id = Id::new();
    let (mut content, _) = a_post(1, 3000);
    let rows = |table: &str| -> Vec<(i64, i64)> {
        let sql = format!("SELECT id, position FROM {table} ORDER BY position");
        let read = |connection: &rusqlite::Connection| {
            let mut rows = connection.prepare(&sql)?;
            let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        };
        database.read_blocking(read).unwrap()
    };
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let lists: [(&[&str], &[&str]); 7] = [
        (&["a", "b", "c"], &["Ada", "Bob"]),
        (&["a", "b", "c"], &["Ada", "Bob"]),
        (&["a", "B", "c"], &["Ada", "Cy"]),
        (&["c", "a"], &["Cy", "Ada", "Bob"]),
        (&["d", "a", "e, f"], &["Cy"]),
        (&[], &[]),
        (&["quote \"'"], &["O'Hara"]),
    ];
    let mut before = (Vec::new(), Vec::new());
    for (number, (tags, authors)) in lists.into_iter().enumerate() {
        (content.tags, content.authors) = (names(tags), names(authors));
        let rendered = Rendered::from_markdown(&content.markdown).packed_with(&content.markdown);
        let now = Timestamp(1_800_000_000);
        let revision = i64::try_from(number).unwrap();
        let change = match number {
            0 => insert_post(id, &content, &rendered, now),
            _ => update_post(id, revision, &content, &rendered, now),
        };
        database.apply_blocking(change).unwrap();
        let found = database.read_blocking(|connection| find_post(connection, id));
        let found = found.unwrap();
        assert_eq!(found.content, content, "{number}");
        assert_eq!(
            found.html(),
            Rendered::from_markdown(&content.markdown).html.unwrap()
        );
        let now = (rows("post_tags"), rows("post_authors"));
        match number {
            1 => assert_eq!(now, before, "nothing was written"),
            2 => assert_eq!((&now.0, now.1[0]), (&before.0, before.1[0])),
            _ => {}
        }
        before = now;
    }
}
