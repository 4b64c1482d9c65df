//! Whether what is on the disk is what was written there. It writes nothing.

mod beside;

use std::{collections::BTreeMap, path::Path, sync::mpsc, thread, time::Duration};

use rusqlite::{Connection, ErrorCode, ffi};
use serde::{Deserialize, Serialize};

pub use self::beside::KnownFile;
use self::beside::look_beside;
use super::{
    DataFolder, MediaStore,
    door::open_to_look,
    health::Health,
    page_sums::{Uncompared, look_at_sums},
    wal_verdict::look_at_end_of_log,
};
use crate::base::{
    Error, Result, Verdict,
    verdict::{is_damage, look_surely},
};

/// How much is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// What `SQLite` says of its structures.
    Quick,
    /// Everything but media, the owner's own files and other large ones.
    WithoutMedia,
    /// Everything.
    Full,
}

/// What a check has found. What is sound is not in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Of the database and its log.
    pub database: Vec<Verdict>,
    /// Of media files.
    pub media: Vec<Verdict>,
    /// Of keys, certificates, settings, the owner's own files and databases that are kept.
    pub files: Vec<Verdict>,
    /// What is no damage, and good to know; a line each.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Whether no page of the database could be compared with what was written.
    #[serde(default)]
    pub is_uncompared: bool,
    /// Posts and pages.
    pub posts: u64,
    /// Media files.
    pub media_files: u64,
    /// The files beside the database and media as they are now, by their path in the data folder; one that has decayed or cannot be read
    /// as it was before.
    #[serde(rename = "small")]
    pub known_files: BTreeMap<String, KnownFile>,
}

impl Found {
    fn all(&self) -> impl Iterator<Item = &Verdict> {
        self.database.iter().chain(&self.media).chain(&self.files)
    }

    /// Everything that is wrong, a line each.
    pub fn damage(&self) -> impl Iterator<Item = &str> {
        self.all().filter_map(Verdict::damage)
    }

    /// Everything that could not be looked at, a line each.
    pub fn unseen(&self) -> impl Iterator<Item = &str> {
        self.all().filter_map(Verdict::unseen)
    }

    /// What is wrong beside the database, a line each.
    pub fn bad_files(&self) -> impl Iterator<Item = &str> {
        let beside = self.media.iter().chain(&self.files);
        beside.filter_map(Verdict::damage)
    }

    fn leave_out_what_is_sound(&mut self) {
        for verdicts in [&mut self.database, &mut self.media, &mut self.files] {
            verdicts.retain(|verdict| !verdict.is_sound());
        }
    }
}

/// Looks at a data folder. `before` has the files beside it as they were when they were last looked at;
/// `rest` is called now and then, for who wants to leave the disk to others.
///
/// Not for a process that has the database open: see [`look_at_pages`].
pub fn check(
    folder: &DataFolder,
    depth: Depth,
    before: &BTreeMap<String, KnownFile>,
    rest: impl Fn(),
) -> Found {
    let mut found = Found {
        known_files: before.clone(),
        ..Found::default()
    };
    if let Err(e) = DataFolder::open_existing(folder.root()) {
        found.database.push(Verdict::of(&e));
        return found;
    }
    let file = folder.database();
    found.database.push(known_damage(folder.root()));
    let (log, unfinished) = look_at_end_of_log(&file);
    let is_log_damaged = log.damage().is_some();
    found.database.push(log);
    found.notes.extend(unfinished);
    if depth != Depth::Quick {
        let (verdict, uncompared) = compared(&file);
        found.database.push(verdict);
        found.is_uncompared = matches!(
            uncompared,
            Some(Uncompared::Missing | Uncompared::OfAnother)
        );
        found.notes.extend(uncompared.map(in_words));
        let beside = look_beside(folder.root(), depth, before, &rest);
        found.notes.extend(beside.notes);
        (found.known_files, found.files) = (beside.files, beside.verdicts);
    }
    if is_log_damaged {
        // Whoever opens the database makes the index of its log anew, and with that the damage is seen no more.
        found.leave_out_what_is_sound();
        return found;
    }
    found.database.extend(look_at_structures(&file, depth));
    if depth != Depth::Quick
        && let Err(e) = look_at_contents(folder, depth, &rest, &mut found)
    {
        let verdict = Verdict::of(&e);
        if !found.database.contains(&verdict) {
            found.database.push(verdict);
        }
    }
    found.leave_out_what_is_sound();
    found
}

fn known_damage(root: &Path) -> Verdict {
    match Health::known_damage(root) {
        Verdict::Damaged(what) => Verdict::Damaged(format!(
            "damage that was found before, and not repaired since: {what}"
        )),
        verdict => verdict,
    }
}

/// Whether the pages of a database are what was written there. Not for a process that has it open: closing it takes away
/// all locks of that process.
pub fn look_at_pages(file: &Path) -> Verdict {
    compared(file).0
}

/// The same, and what there was nothing to compare with.
fn compared(file: &Path) -> (Verdict, Option<Uncompared>) {
    match look_at_sums(file) {
        Ok(seen) => (seen.verdict(), seen.uncompared),
        Err(e) => (
            Verdict::NotSeen(format!("reading {}: {e}", file.display())),
            None,
        ),
    }
}

fn in_words(uncompared: Uncompared) -> String {
    let when = "They are made at the next start of the site; in one of more than 64 MB, each when its page is written next.";
    match uncompared {
        Uncompared::Missing => format!(
            "the pages of the database could not be compared with what was written: their checksums, site.db-sums2, are not \
             there, as in a folder that was copied without them. {when}"
        ),
        Uncompared::OfAnother => format!(
            "the pages of the database could not be compared with what was written: site.db-sums2 has the checksums of \
             another file, as in a folder that was copied, or after another program has written to site.db. {when}"
        ),
        Uncompared::Partly(pages, of) => format!(
            "{pages} of the {of} pages of the database could not be compared with what was written: they have no checksum \
             yet, as after the folder was copied. Each gets one when it is written next."
        ),
    }
}

/// What `SQLite` says of a database.
fn look_at_structures(file: &Path, depth: Depth) -> Vec<Verdict> {
    let look = || {
        let connection = open_to_look(file)?;
        match depth {
            Depth::Quick => pragma_problems(&connection, "PRAGMA quick_check(20)"),
            Depth::WithoutMedia | Depth::Full => integrity_problems(&connection),
        }
    };
    match look_surely(look, |looked| !looked.as_ref().is_ok_and(Vec::is_empty)) {
        Ok(problems) => problems.into_iter().map(Verdict::Damaged).collect(),
        Err(e) => vec![Verdict::of(&e)],
    }
}

fn look_at_contents(
    folder: &DataFolder,
    depth: Depth,
    rest: &impl Fn(),
    found: &mut Found,
) -> Result<()> {
    let connection = open_to_look(&folder.database())?;
    found.posts = count(&connection, "SELECT count(*) FROM posts")?;
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
        found.media.push(match store.look(hash) {
            Verdict::Damaged(what) => Verdict::Damaged(format!(
                "the file {name}: {what}; restore it from a backup or import it again"
            )),
            verdict => verdict,
        });
        rest();
    }
    Ok(())
}

/// What is wrong with a database file at first sight, a line each: `SQLite`'s own quick check, which reads everything
/// and compares less. `None` if it takes longer than that.
///
/// # Errors
/// What keeps it from looking.
pub fn quick_problems(connection: &Connection, within: Duration) -> Result<Option<Vec<String>>> {
    let interrupt = connection.get_interrupt_handle();
    let (done, is_done) = mpsc::channel::<()>();
    thread::spawn(move || {
        if is_done.recv_timeout(within) == Err(mpsc::RecvTimeoutError::Timeout) {
            interrupt.interrupt();
        }
    });
    let problems = pragma_problems(connection, "PRAGMA quick_check(3)");
    drop(done);
    match problems {
        Err(Error::Database(e))
            if e.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) =>
        {
            Ok(None)
        }
        problems => problems.map(Some),
    }
}

/// Whether the database file is sound: `SQLite`'s own full check, then every reference.
///
/// Returns what is wrong, a line each; empty when all is well.
///
/// # Errors
/// What keeps it from looking, which says nothing of the file.
pub fn integrity_problems(connection: &Connection) -> Result<Vec<String>> {
    let mut problems = pragma_problems(connection, "PRAGMA integrity_check")?;
    if !problems.is_empty() {
        return Ok(problems);
    }
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

/// What one of `SQLite`'s checks says. That it cannot go on because of damage is a problem too, not an error.
fn pragma_problems(connection: &Connection, pragma: &str) -> Result<Vec<String>> {
    let look = || -> rusqlite::Result<Vec<String>> {
        let mut statement = connection.prepare(pragma)?;
        let lines = statement.query_map([], |row| row.get::<_, String>(0))?;
        lines.collect()
    };
    let lines = match look() {
        Err(e) if is_damage(&e) => vec![e.to_string()],
        lines => lines?,
    };
    let (unread, problems): (Vec<String>, Vec<String>) = lines
        .into_iter()
        .filter(|line| line != "ok")
        .partition(|line| is_of_the_disk(line));
    match unread.first() {
        Some(line) if problems.is_empty() => Err(Error::Internal(format!(
            "the disk does not give all of the database: {line}"
        ))),
        _ => Ok(problems),
    }
}

/// Whether a line of `SQLite`'s check says that the disk did not give a page (`checkTreePage` and `checkList` in its
/// btree.c). The code is one of <https://www.sqlite.org/rescode.html>.
fn is_of_the_disk(line: &str) -> bool {
    let code = line.rsplit_once("unable to get the page. error code=");
    let code = code.and_then(|(_, code)| code.trim().parse::<i32>().ok());
    line.contains("failed to get page") || code.is_some_and(|code| code & 0xff == ffi::SQLITE_IOERR)
}

fn count(connection: &Connection, sql: &str) -> Result<u64> {
    let count: i64 = connection.query_row(sql, [], |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or(0))
}
