//! Saves what can be read of a damaged database into a new file.
//!
//! First the database and its log are put together in a copy, where a damaged page of the log costs that page
//! only. If its first page is damaged, it is made anew. Then every table is read row by row, around what cannot be
//! read, and where the pages that lead to its rows are damaged, from its leaves. Nothing is written to the old files.

mod doubt;
mod first_page;
mod leaves;
mod pages;
mod rows;
#[cfg(test)]
mod tests;
mod whole;

use std::{
    collections::BTreeMap,
    fs::{self, File, Permissions},
    io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown},
    path::Path,
};

use rusqlite::Connection;

use self::{
    doubt::doubt,
    leaves::Leaves,
    pages::{Pages, find_page_bytes},
    rows::copy_table,
    whole::put_together,
};
use super::{
    DataFolder,
    check::{Depth, check, integrity_problems},
    door::{self, Purpose},
    migrations,
    page_sums::{look_at_sums, noted_page_bytes},
    wal_verdict::look_at_end_of_log,
};
use crate::base::{
    Error, Result, files,
    scratch::{self, Scratch},
};

pub(super) use self::whole::logs_put_aside;

/// What the folders begin with in which a database is put together.
pub(super) const SCRATCH: &str = ".salvage-";

/// What became of the tables.
#[derive(Debug, Default)]
pub struct Salvaged {
    /// Each table, the rows that were saved, and how many are known to be lost.
    pub tables: Vec<(String, u64, u64)>,
    /// What could not be saved, or may not be what it was; a line each.
    pub notes: Vec<String>,
    /// What is wrong with the log of the last changes, or odd about it, also where nothing of it is lost; a line each.
    pub of_log: Vec<String>,
    /// Whether nobody is left who may do everything.
    pub has_no_owner: bool,
}

impl Salvaged {
    /// Whether everything was saved, and nothing of it is in doubt.
    pub fn is_whole(&self) -> bool {
        self.notes.is_empty()
    }
}

/// Whether nothing is wrong with the database of a folder: nothing that was found before, nothing in what lies there now,
/// and no log that was put aside. Nobody has it open.
pub fn is_sound(folder: &DataFolder) -> bool {
    let nothing = BTreeMap::new();
    let found = check(folder, Depth::WithoutMedia, &nothing, || ());
    found.database.is_empty() && logs_put_aside(&folder.database()).is_empty()
}

/// Saves what can be read of `damaged` into `new`, which must not exist.
///
/// # Errors
/// [`Error::Damaged`] if nothing can be read, and what the disk says of the new file.
pub fn salvage(damaged: &Path, new: &Path) -> Result<Salvaged> {
    let mut salvaged = Salvaged::default();
    let reading = |e| Error::io("reading", damaged, e);
    let mut suspects = suspects(damaged, &mut salvaged.notes);
    let folder = files::folder_of(new);
    scratch::sweep(folder, &[SCRATCH]);
    let copy =
        Scratch::in_folder(folder, SCRATCH).map_err(|e| Error::io("writing to", folder, e))?;
    let whole = copy.path().join("whole.db");
    let page_bytes = noted_page_bytes(damaged)
        .and_then(|noted| find_page_bytes(damaged, noted))
        .map_err(reading)?;
    let (log, unfinished) = look_at_end_of_log(damaged);
    salvaged.of_log.extend(log.damage().map(str::to_owned));
    salvaged.of_log.extend(unfinished);
    let logged = put_together((damaged, &log), page_bytes, &whole, &mut salvaged.notes)?;
    // What is in the log counts.
    suspects.retain(|page| !logged.contains(page));
    // In the same folder until it is whole: who is interrupted leaves nothing that looks like a result.
    let building = copy.path().join("new.db");
    let mut into = door::open(&building, Purpose::Build)?;
    into.pragma_update(None, "page_size", i64::try_from(page_bytes).unwrap_or(0))?;
    migrations::migrate(&mut into)?;
    let is_damaged = suspects.contains(&1);
    first_page::mend(&whole, page_bytes, is_damaged, &into, &mut salvaged.notes)?;
    suspects.retain(|page| *page != 1);
    let from = open_damaged(&whole)?;
    let pages = Pages::open(&whole, page_bytes).map_err(reading)?;
    let mut names = tables(&into)?;
    // Its log is not one that leads to what was saved: a new history begins.
    names.retain(|name| !name.starts_with("change_log"));
    let made = tables_with_rows(&into, &names)?;
    into.execute_batch("BEGIN; DELETE FROM guard")?;
    let leaves = Leaves::of(&pages, &from, &made)?;
    for table in names.clone() {
        let mut notes = Vec::new();
        let (saved, lost) = copy_table((&from, &leaves), &into, &table, &mut notes)?;
        // What belongs to the program is there anew.
        let is_made = made.contains(&table);
        salvaged
            .notes
            .extend(notes.into_iter().filter(|_| !is_made));
        salvaged
            .tables
            .push((table, saved, if is_made { 0 } else { lost }));
    }
    salvaged.notes.extend(leaves.notes.iter().cloned());
    into.execute_batch("INSERT OR IGNORE INTO guard (id, ok) VALUES (1, 1)")?;
    drop_orphans(&into, &mut salvaged.notes)?;
    into.execute_batch("COMMIT")?;
    let owners = "SELECT count(*) FROM users WHERE role = 'owner'";
    salvaged.has_no_owner = into.query_row(owners, [], |row| row.get::<_, i64>(0))? == 0;
    for page in suspects {
        salvaged.notes.push(doubt(&from, &pages, &names, page));
    }
    let left = integrity_problems(&into)?;
    if let Some(first) = left.first() {
        return Err(Error::Damaged(format!(
            "what could be read does not make a sound database ({first}); restore a backup"
        )));
    }
    // As the site has it: its first writing would change the first page behind the back of the checksums.
    into.pragma_update(None, "journal_mode", "WAL")?;
    into.close().map_err(|(_, e)| e)?;
    put(&building, new).map_err(|e| Error::io("writing", new, e))?;
    Ok(salvaged)
}

/// The pages that can be read and are not what was written; where that is not known, a note says so.
fn suspects(damaged: &Path, notes: &mut Vec<String>) -> Vec<u32> {
    let what = "whether the pages that can be read are what was written is not known";
    match look_at_sums(damaged) {
        Ok(seen) => {
            notes.extend(seen.why_unknown().map(|why| format!("{what}: {why}")));
            seen.damaged
        }
        Err(e) => {
            notes.push(format!("{what}: {e}"));
            Vec::new()
        }
    }
}

/// Gives a database that is whole its name, with the rights and the owner of who has that name already.
fn put(built: &Path, new: &Path) -> io::Result<()> {
    let file = File::open(built)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    if let Ok(there) = fs::metadata(new)
        && there.uid() != file.metadata()?.uid()
    {
        fchown(&file, Some(there.uid()), Some(there.gid()))?;
    }
    file.sync_all()?;
    fs::rename(built, new)?;
    files::sync_folder(files::folder_of(new))
}

fn open_damaged(whole: &Path) -> Result<Connection> {
    let hopeless = |e: &dyn std::fmt::Display| {
        Error::Damaged(format!(
            "not even the list of its tables can be read ({e}); restore a backup"
        ))
    };
    let connection = door::open(whole, Purpose::Damaged).map_err(|e| hopeless(&e))?;
    let count: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(|e| hopeless(&e))?;
    if count == 0 {
        return Err(Error::Damaged("it has no tables; restore a backup".into()));
    }
    Ok(connection)
}

fn tables(connection: &Connection) -> Result<Vec<String>> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name";
    let mut statement = connection.prepare(sql)?;
    let names = statement.query_map([], |row| row.get(0))?;
    Ok(names.collect::<Result<_, _>>()?)
}

/// Those that a new database has something in.
fn tables_with_rows(connection: &Connection, names: &[String]) -> Result<Vec<String>> {
    let mut filled = Vec::new();
    for name in names {
        if connection
            .prepare(&format!("SELECT 1 FROM {name}"))?
            .exists([])?
        {
            filled.push(name.clone());
        }
    }
    Ok(filled)
}

/// Removes rows that refer to lost ones.
fn drop_orphans(into: &Connection, notes: &mut Vec<String>) -> Result<()> {
    loop {
        let mut orphans =
            into.prepare("SELECT \"table\", rowid, parent FROM pragma_foreign_key_check")?;
        let orphans: Vec<(String, i64, String)> = orphans
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect::<Result<_, _>>()?;
        if orphans.is_empty() {
            return Ok(());
        }
        let mut counts = BTreeMap::new();
        for (table, id, parent) in &orphans {
            into.execute(&format!("DELETE FROM {table} WHERE id = ?1"), [id])?;
            *counts.entry((table, parent)).or_insert(0) += 1;
        }
        for ((table, parent), count) in counts {
            notes.push(format!(
                "{count} rows of {table} belonged to lost rows of {parent}, and were left out"
            ));
        }
    }
}
