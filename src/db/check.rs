//! Whether what is on the disk is what was written there. It writes nothing.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::mpsc,
    time::Duration,
};

use rusqlite::{Connection, ErrorCode};
use serde::{Deserialize, Serialize};

use super::{
    DataFolder, MediaStore, hash_of,
    health::Health,
    page_sums::damaged_pages,
    pool::open_to_look,
    wal::{log_of, state_of_log},
};
use crate::base::{Error, Result};

/// Far more than any of the small files has that are looked at.
const MAX_SMALL_BYTES: u64 = 1024 * 1024;
/// Folders of small files, and the data folder itself.
const SMALL_FILES_IN: [&str; 4] = ["", "tls", "tls/public", "secrets"];

/// How much is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// What `SQLite` says of its structures.
    Quick,
    /// Everything but media.
    WithoutMedia,
    /// Everything.
    Full,
}

/// A small file as it was: time of change in nanoseconds, size, SHA-256.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmallFile(i64, u64, String);

/// What a check has found: lines that say what is wrong; empty where all is well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// In the database and its log.
    pub database: Vec<String>,
    /// In media files.
    pub media: Vec<String>,
    /// In keys, certificates and settings.
    pub files: Vec<String>,
    /// Posts and pages.
    pub posts: u64,
    /// Media files.
    pub media_files: u64,
    /// The small files as they are now, by their path in the data folder.
    pub small: BTreeMap<String, SmallFile>,
}

impl Found {
    /// Everything that is wrong.
    pub fn problems(&self) -> impl Iterator<Item = &String> {
        self.database.iter().chain(&self.media).chain(&self.files)
    }
}

/// Looks at a data folder. `before` has the small files as they were when they were last looked at;
/// `rest` is called now and then, for who wants to leave the disk to others.
///
/// Not for a process that has the database open: see [`damaged_pages`].
///
/// # Errors
/// What keeps it from looking at all, such as a database that cannot be opened.
pub fn check(
    folder: &DataFolder,
    depth: Depth,
    before: &BTreeMap<String, SmallFile>,
    rest: impl Fn(),
) -> Result<Found> {
    let file = folder.database();
    let mut found = Found::default();
    let known = Health::known_damage(folder.root());
    found.database.extend(known.map(|what| {
        format!(
            "damage that was found before, and not repaired since: {}",
            what.trim()
        )
    }));
    let log = state_of_log(&log_of(&file)).map_err(|e| Error::io("reading", log_of(&file), e))?;
    if log.has_lost {
        found.database.push(format!(
            "the log of the last changes is damaged: {} pages behind page {} cannot be read; `webstead repair` \
             saves what can be read",
            log.behind, log.committed
        ));
    }
    if depth != Depth::Quick {
        let pages = damaged_pages(&file).map_err(|e| Error::io("reading", &file, e))?;
        if !pages.is_empty() {
            found.database.push(format!(
                "{} of its pages are not what was written to the disk ({}); `webstead repair` says what is on them",
                pages.len(),
                numbers(&pages)
            ));
        }
        found.small = small_files(folder.root());
        found.files = decayed(before, &found.small);
    }
    let connection = open_to_look(&file)?;
    if depth == Depth::Quick {
        found
            .database
            .extend(pragma_problems(&connection, "PRAGMA quick_check(20)")?);
        return Ok(found);
    }
    found.database.extend(integrity_problems(&connection)?);
    media(folder, &connection, depth, rest, &mut found)?;
    found.posts = count(&connection, "SELECT count(*) FROM posts")?;
    Ok(found)
}

fn media(
    folder: &DataFolder,
    connection: &Connection,
    depth: Depth,
    rest: impl Fn(),
    found: &mut Found,
) -> Result<()> {
    let store = MediaStore::new(folder);
    let mut statement = connection.prepare("SELECT hash, name FROM media ORDER BY id")?;
    let files: Vec<(String, String)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    found.media_files = files.len() as u64;
    if depth != Depth::Full {
        return Ok(());
    }
    for (hash, name) in &files {
        if !store.is_sound(hash) {
            found.media.push(format!(
                "the file {name} ({}) is missing or damaged; restore it from a backup or import it again",
                store.path(hash).display()
            ));
        }
        rest();
    }
    Ok(())
}

/// What is wrong with a database file at first sight, a line each: `SQLite`'s own quick check, which reads everything
/// and compares less. `None` if it takes longer than that.
///
/// # Errors
/// [`Error::Database`] if it is so damaged that it cannot be asked.
pub fn quick_problems(connection: &Connection, within: Duration) -> Result<Option<Vec<String>>> {
    let interrupt = connection.get_interrupt_handle();
    let (done, is_done) = mpsc::channel::<()>();
    std::thread::spawn(move || {
        if is_done.recv_timeout(within) == Err(mpsc::RecvTimeoutError::Timeout) {
            interrupt.interrupt();
        }
    });
    let problems = connection
        .prepare("PRAGMA quick_check(3)")
        .and_then(|mut check| check.query_map([], |row| row.get(0))?.collect());
    drop(done);
    let mut problems: Vec<String> = match problems {
        Err(e) if e.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {
            return Ok(None);
        }
        problems => problems?,
    };
    problems.retain(|line| line != "ok");
    Ok(Some(problems))
}

/// Whether the database file is sound: `SQLite`'s own full check, then every reference.
///
/// Returns what is wrong, a line each; empty when all is well.
pub fn integrity_problems(connection: &Connection) -> Result<Vec<String>> {
    let mut problems = pragma_problems(connection, "PRAGMA integrity_check")?;
    if count(connection, "SELECT count(*) FROM guard")? != 1 {
        problems.push("the row that guards changes is missing; restore a backup".into());
    }
    let mut statement = connection.prepare("PRAGMA foreign_key_check")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (table, id): (String, Option<i64>) = (row.get(0)?, row.get(1)?);
        problems.push(format!(
            "row {} of {table} refers to a row that is not there",
            id.unwrap_or(0)
        ));
    }
    Ok(problems)
}

/// What one of `SQLite`'s checks says. That it cannot go on is a problem too, not an error.
fn pragma_problems(connection: &Connection, pragma: &str) -> Result<Vec<String>> {
    let look = || -> rusqlite::Result<Vec<String>> {
        let mut statement = connection.prepare(pragma)?;
        let lines = statement.query_map([], |row| row.get::<_, String>(0))?;
        lines.collect()
    };
    let mut problems = match look() {
        Err(e) if e.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => {
            vec![e.to_string()]
        }
        lines => lines?,
    };
    problems.retain(|line| line != "ok");
    Ok(problems)
}

fn count(connection: &Connection, sql: &str) -> Result<u64> {
    let count: i64 = connection.query_row(sql, [], |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Keys, certificates, secrets and settings, by their path in the data folder.
fn small_files(root: &Path) -> BTreeMap<String, SmallFile> {
    let mut small = BTreeMap::new();
    for folder in SMALL_FILES_IN {
        let Ok(entries) = fs::read_dir(root.join(folder)) else {
            continue;
        };
        for entry in entries.flatten() {
            let name = Path::new(folder).join(entry.file_name());
            let name = name.to_string_lossy().into_owned();
            // What changes by itself, and what is looked at in other ways.
            let is_other = ["site.db", "server.lock", "disk.json", "damaged.txt", "."];
            if is_other.iter().any(|start| name.starts_with(start)) {
                continue;
            }
            if let Some(file) = look_at(entry.path()) {
                small.insert(name, file);
            }
        }
    }
    small
}

fn look_at(path: PathBuf) -> Option<SmallFile> {
    let known = fs::symlink_metadata(&path).ok()?;
    if !known.is_file() || known.len() > MAX_SMALL_BYTES {
        return None;
    }
    // One that cannot be read has no hash of any content.
    let hash = fs::read(path).map_or_else(|e| e.to_string(), |bytes| hash_of(&bytes));
    let changed = known.mtime().saturating_mul(1_000_000_000) + known.mtime_nsec();
    Some(SmallFile(changed, known.len(), hash))
}

/// Files with another content than before that nobody has written to since: media that decay do not set the
/// time of change.
fn decayed(before: &BTreeMap<String, SmallFile>, now: &BTreeMap<String, SmallFile>) -> Vec<String> {
    let has_decayed = |(name, file): &(&String, &SmallFile)| {
        before
            .get(*name)
            .is_some_and(|before| (before.0, before.1) == (file.0, file.1) && before.2 != file.2)
    };
    now.iter()
        .filter(has_decayed)
        .map(|(name, _)| {
            format!(
                "{name} is not what it was, and nobody has written to it; restore it from a backup"
            )
        })
        .collect()
}

/// Some numbers, and how many more.
fn numbers(pages: &[u32]) -> String {
    let shown: Vec<String> = pages.iter().take(8).map(u32::to_string).collect();
    let more = pages.len().saturating_sub(shown.len());
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    format!("{}{more}", shown.join(", "))
}
