//! The rules for writes.

use std::{fs, path::Path};

use webstead::{
    base::{Error, Id},
    db::{Change, Database, MAX_CHANGE_BYTES},
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
