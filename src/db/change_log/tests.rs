//! What is replayed is what was there.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

use proptest::{collection::vec, prelude::*};
use rusqlite::types::Value as Cell;

use super::*;
use crate::db::{Database, Value};

static NEVER: AtomicBool = AtomicBool::new(false);

fn quiet(_: usize, _: usize) {}

/// Every row of every table.
type Rows = BTreeMap<String, Vec<Vec<Cell>>>;

fn rows(database: &Path) -> Rows {
    let connection = door::open(database, Purpose::Build).unwrap();
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name";
    let mut tables = connection.prepare(sql).unwrap();
    let tables: Vec<String> = tables
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<rusqlite::Result<_>>()
        .unwrap();
    let all = |table: String| {
        let sql = format!("SELECT * FROM {table} ORDER BY id");
        let mut statement = connection.prepare(&sql).unwrap();
        let columns = statement.column_count();
        let rows = statement
            .query_map([], |row| (0..columns).map(|n| row.get(n)).collect())
            .unwrap();
        (table, rows.collect::<rusqlite::Result<_>>().unwrap())
    };
    tables.into_iter().map(all).collect()
}

/// What may happen to a site.
#[derive(Clone, Debug)]
enum Act {
    /// A post with an address, which may be taken.
    Post(i64, String),
    Edit(i64, String),
    /// With it go its addresses and tags.
    Remove(i64),
    Tag(i64, i64),
    Setting(u8, Option<Vec<u8>>),
    Account(i64),
    /// With it go its sessions.
    Close(i64),
    Session(i64, i64),
    /// Sessions that have had their time.
    Sweep(i64),
    /// Many at once, some of which are refused.
    Together(Vec<(i64, bool)>),
    /// The server starts anew.
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    let id = 1..12i64;
    prop_oneof![
        4 => (id.clone(), "[a-c]{1,2}").prop_map(|(id, path)| Act::Post(id, path)),
        3 => (id.clone(), "\\PC{0,200}").prop_map(|(id, text)| Act::Edit(id, text)),
        1 => id.clone().prop_map(Act::Remove),
        3 => (id.clone(), 1..5i64).prop_map(|(post, tag)| Act::Tag(post, tag)),
        2 => (0..4u8, proptest::option::of(vec(any::<u8>(), 0..3000))).prop_map(|(n, v)| Act::Setting(n, v)),
        1 => (1..4i64).prop_map(Act::Account),
        1 => (1..4i64).prop_map(Act::Close),
        2 => (1..4i64, 1..100i64).prop_map(|(user, ends)| Act::Session(user, ends)),
        1 => (1..100i64).prop_map(Act::Sweep),
        1 => vec((100..130i64, any::<bool>()), 1..8).prop_map(Act::Together),
        1 => Just(Act::Restart),
    ]
}

/// Changes of the kind that the features make. Some of them are refused, because of what is there.
fn change_of(act: &Act) -> Change {
    let mut change = Change::new();
    match act {
        Act::Post(id, path) => {
            change.push(
                "INSERT INTO posts (id, kind, title, description, excerpt, words, created_at, updated_at, revision, \
                 extra, renderer, markdown) VALUES (?1, 'post', ?2, '', '', 1, 5, 5, 1, '{}', 1, ?2)",
                vec![(*id).into(), path.into()],
            );
            change.push(
                "INSERT INTO addresses (id, path, post_id, is_current) VALUES (?1, '/' || ?2, ?3, 1)",
                vec![Id::new().into(), path.into(), (*id).into()],
            );
        }
        Act::Edit(id, text) => {
            change.guard(
                "there",
                "UPDATE guard SET ok = EXISTS (SELECT 1 FROM posts WHERE id = ?1)",
                vec![(*id).into()],
            );
            change.push(
                "UPDATE posts SET markdown = ?2, html = upper(?2), revision = revision + 1 WHERE id = ?1",
                vec![(*id).into(), text.into()],
            );
        }
        Act::Remove(id) => change.push("DELETE FROM posts WHERE id = ?1", vec![(*id).into()]),
        Act::Tag(post, tag) => {
            change.push(
                "INSERT INTO tags (id, slug, name) VALUES (?1, 's' || ?1, 'n') ON CONFLICT DO NOTHING",
                vec![(*tag).into()],
            );
            change.push(
                "INSERT INTO post_tags (id, post_id, tag_id, position) VALUES (?1, ?2, ?3, 0)",
                vec![Id::new().into(), (*post).into(), (*tag).into()],
            );
        }
        Act::Setting(name, None) => change.push(
            "DELETE FROM settings WHERE name = ?1",
            vec![i64::from(*name).to_string().into()],
        ),
        Act::Setting(name, Some(value)) => change.push(
            "INSERT INTO settings (id, name, value) VALUES (?1, ?2, hex(?3)) \
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            vec![
                Id::new().into(),
                i64::from(*name).to_string().into(),
                Value::Blob(value.clone()),
            ],
        ),
        Act::Account(id) => change.push(
            "INSERT INTO users (id, name, display_name, password_hash, role, created_at) \
             VALUES (?1, 'u' || ?1, 'U', 'x', 'owner', 1)",
            vec![(*id).into()],
        ),
        Act::Close(id) => change.push("DELETE FROM users WHERE id = ?1", vec![(*id).into()]),
        Act::Session(user, ends) => change.push(
            "INSERT INTO sessions (id, token_hash, user_id, user_agent, created_at, expires_at) \
             VALUES (?1, ?2, ?3, 'x', 1, ?4)",
            vec![
                Id::new().into(),
                Value::Blob(
                    Id::new()
                        .0
                        .to_le_bytes()
                        .iter()
                        .cycle()
                        .take(32)
                        .copied()
                        .collect(),
                ),
                (*user).into(),
                (*ends).into(),
            ],
        ),
        Act::Sweep(ends) => {
            change = Change::upkeep();
            change.push(
                "DELETE FROM sessions WHERE expires_at <= ?1",
                vec![(*ends).into()],
            );
        }
        Act::Together(_) | Act::Restart => {}
    }
    change
}

/// A site, and what was in it after each act.
struct Site {
    _dir: tempfile::TempDir,
    file: PathBuf,
    database: Option<Database>,
    states: BTreeMap<i64, Rows>,
}

impl Site {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("site.db");
        let database = Database::open(&file).unwrap();
        Self {
            _dir: dir,
            file,
            database: Some(database),
            states: BTreeMap::new(),
        }
    }

    fn database(&self) -> &Database {
        self.database.as_ref().unwrap()
    }

    fn end(&self) -> i64 {
        let end = self.database().read_blocking(end_of_log).unwrap();
        end.map_or(0, |end| end.number)
    }

    fn act(&mut self, act: &Act) {
        let database = self.database.take().unwrap();
        match act {
            Act::Restart => {
                database.close();
                self.database = Some(Database::open(&self.file).unwrap());
            }
            Act::Together(all) => {
                std::thread::scope(|scope| {
                    for (id, holds) in all {
                        let mut change = change_of(&Act::Post(*id, format!("x{id}")));
                        let ok = "UPDATE guard SET ok = ?1";
                        change.guard("holds", ok, vec![(*holds).into()]);
                        let database = &database;
                        // Of two with one id, one is refused.
                        scope.spawn(move || drop(database.apply_blocking(change)));
                    }
                });
                self.database = Some(database);
            }
            act => {
                // Refused or not, the log says what came of it.
                let _ = database.apply_blocking(change_of(act));
                self.database = Some(database);
            }
        }
        self.states.insert(self.end(), rows(&self.file));
    }

    /// A copy of the database as it is.
    fn copy(&mut self, name: &str) -> PathBuf {
        self.database.take().unwrap().close();
        let copy = self.file.with_file_name(name);
        fs::copy(&self.file, &copy).unwrap();
        self.database = Some(Database::open(&self.file).unwrap());
        copy
    }

    fn replay(&self, base: &Path, up_to: i64) -> Result<PathBuf> {
        let copy = self.file.with_file_name(format!("copy-{}.db", Id::new()));
        fs::copy(base, &copy).unwrap();
        let log = KeptChanges::open(&self.file).unwrap().unwrap();
        replay(&log, &copy, up_to, &quiet, &NEVER).map(|()| copy)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn what_is_replayed_is_what_was_there_row_by_row(
        before in vec(act(), 0..12),
        since in vec(act(), 0..40),
    ) {
        let mut site = Site::new();
        for act in &before {
            site.act(act);
        }
        prop_assert!(site.end() == 0, "nothing is kept before there is a backup");
        site.database().begin_log().unwrap();
        let base = site.copy("base.db");
        site.states.clear();
        site.states.insert(site.end(), rows(&site.file));
        for act in &since {
            site.act(act);
        }
        for (number, there) in &site.states {
            let copy = site.replay(&base, *number).unwrap();
            prop_assert_eq!(&rows(&copy), there, "after row {}", number);
            prop_assert!(crate::db::integrity_problems(&door::open(&copy, Purpose::Build).unwrap()).unwrap().is_empty());
        }
        // In two steps it comes to the same.
        let (first, last) = (*site.states.keys().nth(site.states.len() / 2).unwrap(), site.end());
        let half = site.replay(&base, first).unwrap();
        let whole = site.replay(&half, last).unwrap();
        prop_assert_eq!(rows(&whole), rows(&site.file));
    }
}

#[test]
fn changes_of_a_program_that_keeps_none_are_known_to_be_missing() {
    let mut site = Site::new();
    site.database().begin_log().unwrap();
    let base = site.copy("base.db");
    site.act(&Act::Account(1));
    let other = door::open(&site.file, Purpose::Build).unwrap();
    other
        .execute_batch("INSERT INTO applied_changes (id) VALUES (77)")
        .unwrap();
    site.act(&Act::Account(2));
    let log = KeptChanges::open(&site.file).unwrap().unwrap();
    let kinds: Vec<LogKind> = log.after(0).unwrap().iter().map(|e| e.kind).collect();
    assert_eq!(
        kinds,
        [
            LogKind::Begin,
            LogKind::Change,
            LogKind::Unknown,
            LogKind::Change
        ]
    );
    let marks: Vec<i64> = log.marks().unwrap().iter().map(|e| e.number).collect();
    assert_eq!(marks, [1, 3]);
    site.replay(&base, 2).unwrap();
    let error = site.replay(&base, 4).unwrap_err().to_string();
    assert!(error.contains("not known"), "{error}");
}

#[test]
fn the_log_stays_as_small_as_it_may_be_and_what_is_left_of_it_can_be_replayed() {
    let mut site = Site::new();
    site.database().limit_log(100_000);
    site.database().begin_log().unwrap();
    let base = site.copy("base.db");
    site.database().limit_log(100_000);
    let mut later = None;
    for n in 0..200 {
        let mut noise = vec![0; 2000];
        getrandom::fill(&mut noise).unwrap();
        let text = data_encoding::BASE64.encode(&noise);
        let act = Act::Setting(u8::try_from(n % 3).unwrap(), Some(text.into_bytes()));
        site.act(&act);
        if n == 180 {
            later = Some(site.copy("later.db"));
            site.database().limit_log(100_000);
        }
    }
    let sum = |database: &Path, sql: &str| -> i64 {
        let connection = door::open(database, Purpose::Build).unwrap();
        connection.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let bytes = sum(&site.file, "SELECT sum(length(content)) FROM change_log");
    assert!((80_000..103_000).contains(&bytes), "{bytes}");
    let error = site.replay(&base, site.end()).unwrap_err().to_string();
    assert!(error.contains("another site"), "{error}");
    let copy = site.replay(&later.unwrap(), site.end()).unwrap();
    let mut there = (rows(&copy), rows(&site.file));
    // How much of the log is left is a thing of its own.
    there.0.remove("change_log");
    there.1.remove("change_log");
    assert_eq!(there.0, there.1);
    let needed = site.end() - 3;
    site.database().sweep_log(needed).unwrap();
    assert_eq!(
        sum(&site.file, "SELECT min(id) FROM change_log"),
        needed,
        "what no backup needs goes"
    );
    site.database().end_log().unwrap();
    site.act(&Act::Account(1));
    assert_eq!(site.end(), 0, "nothing is kept any more");
    // And begun anew.
    site.database().begin_log().unwrap();
    let base = site.copy("again.db");
    site.act(&Act::Account(2));
    let copy = site.replay(&base, site.end()).unwrap();
    assert_eq!(rows(&copy), rows(&site.file));
}

#[test]
fn two_sites_that_were_one_do_not_take_what_was_written_to_the_other() {
    let mut site = Site::new();
    site.database().begin_log().unwrap();
    let base = site.copy("base.db");
    site.act(&Act::Account(1));
    let mine = site.copy("mine.db");
    let other = site.file.with_file_name("other.db");
    fs::copy(&base, &other).unwrap();
    note_restored(&other, Timestamp(5)).unwrap();
    let database = Database::open(&other).unwrap();
    database
        .apply_blocking(change_of(&Act::Account(2)))
        .unwrap();
    database.close();
    let log = KeptChanges::open(&other).unwrap().unwrap();
    let as_of = log.after(1).unwrap()[0].kind;
    assert_eq!(as_of, LogKind::Restored(Timestamp(5)));
    let error = replay(&log, &mine, 9, &quiet, &NEVER).unwrap_err();
    assert!(error.to_string().contains("another site"), "{error}");
    let copy = site.file.with_file_name("copy.db");
    fs::copy(&base, &copy).unwrap();
    replay(&log, &copy, 9, &quiet, &NEVER).unwrap();
    assert_eq!(rows(&copy), rows(&other));
}

#[test]
fn a_log_from_elsewhere_does_nothing_but_write_rows() {
    let dir = tempfile::tempdir().unwrap();
    for (sql, fits) in [
        ("DELETE FROM tags WHERE id = ?1", true),
        ("ATTACH 'evil.db' AS evil", false),
        ("PRAGMA writable_schema = 1", false),
        ("DROP TABLE posts", false),
        ("UPDATE sqlite_schema SET sql = ''", false),
        ("UPDATE sqlite_dbpage SET data = zeroblob(4096)", false),
        ("DELETE FROM tags; DROP TABLE posts", false),
    ] {
        let file = dir.path().join(format!("{}.db", Id::new()));
        let database = Database::open(&file).unwrap();
        database.begin_log().unwrap();
        database.close();
        let base = file.with_extension("base");
        fs::copy(&file, &base).unwrap();
        let values = [Value::Integer(1)];
        let values = if fits { &values[..] } else { &[] };
        let number = number_of_text(sql);
        let content = record::encode([(number, false, values)].into_iter()).unwrap();
        let connection = door::open(&file, Purpose::Build).unwrap();
        connection
            .execute(
                "INSERT INTO change_log_sql (id, sql) VALUES (?1, ?2)",
                params![number, sql],
            )
            .unwrap();
        let row = "INSERT INTO change_log VALUES (2, 9, 'change', 0, 4, 0, ?1)";
        connection.execute(row, [content]).unwrap();
        drop(connection);
        let log = KeptChanges::open(&file).unwrap().unwrap();
        let outcome = replay(&log, &base, 2, &quiet, &NEVER);
        assert_eq!(outcome.is_ok(), fits, "{sql}: {outcome:?}");
        assert!(!Path::new("evil.db").exists());
    }
}
