//! Makes the first page of a damaged database anew: it says what is where.
//!
//! The list of tables begins on it (<https://www.sqlite.org/fileformat2.html>, 1.3 and 2.6). Ours is too long for one
//! page, so its rows lie on leaves elsewhere, and are known by their form. Of a table whose row is not found there either,
//! the program knows how it was made, and not where it is: it gets a root with nothing on it, and its rows are sought
//! on the leaves of the file.

use std::{
    collections::{BTreeMap, HashSet},
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::Path,
};

use rusqlite::{Connection, params, types::Value};

use super::pages::{FILE_HEADER_BYTES, Pages, TABLE_LEAF, four};
use crate::{
    base::{Error, Result},
    db::{
        door::{self, Purpose},
        header::FREE_LIST_AT,
        migrations::APPLICATION_ID,
    },
};

/// A row of the list of tables and indexes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    kind: String,
    name: String,
    table: String,
    root: u32,
    sql: Option<String>,
}

/// Pages that nothing is on any more, one leading to the next (1.5).
#[derive(Debug, Default, PartialEq, Eq)]
struct Free {
    first: u32,
    pages: HashSet<u32>,
}

/// Makes the first page of `whole` anew if it is damaged or cannot be what it was. `known` has the tables that there
/// are to be.
///
/// # Errors
/// What the disk says.
pub(super) fn mend(
    whole: &Path,
    page_bytes: usize,
    is_damaged: bool,
    known: &Connection,
    notes: &mut Vec<String>,
) -> Result<()> {
    let known = known_tables(known)?;
    if !is_damaged && says_what_is_where(whole, &known) {
        return Ok(());
    }
    let pages = Pages::open(whole, page_bytes).map_err(|e| Error::io("reading", whole, e))?;
    let free = free_pages(&pages);
    let mut entries = entries_on_leaves(&pages, &free);
    notes.push(
        "the first page of the database, which says what is where, is damaged; it was made anew from what the other \
         pages say"
            .into(),
    );
    let is_found = |table: &Entry| entries.iter().any(|found| found.name == table.name);
    let lost: Vec<Entry> = known.into_iter().filter(|table| !is_found(table)).collect();
    if !lost.is_empty() {
        let names: Vec<&str> = lost.iter().map(|table| table.name.as_str()).collect();
        notes.push(format!(
            "where the tables {} begin is lost; their rows are known by their form only, and rows that were deleted \
             may be among them",
            names.join(", ")
        ));
    }
    let nothing = pages.count + 1;
    entries.extend(lost.into_iter().map(|table| Entry {
        root: nothing,
        ..table
    }));
    // SQLite looks for a table before its indexes.
    entries.sort_by_key(|entry| entry.kind != "table");
    let writing = |e| Error::io("writing", whole, e);
    write_first_page(whole, &pages).map_err(writing)?;
    write_entries(whole, &entries)?;
    // Not before: what SQLite adds would go to pages that may not be free.
    write_free_list(whole, &free).map_err(writing)
}

fn known_tables(known: &Connection) -> Result<Vec<Entry>> {
    let sql = "SELECT type, name, tbl_name, 0, sql FROM sqlite_schema \
               WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name";
    let mut statement = known.prepare(sql)?;
    let tables = statement.query_map([], |row| {
        Ok(Entry {
            kind: row.get(0)?,
            name: row.get(1)?,
            table: row.get(2)?,
            root: row.get(3)?,
            sql: row.get(4)?,
        })
    })?;
    Ok(tables.collect::<Result<_, _>>()?)
}

/// Whether the list of tables can be read, and is one of ours.
fn says_what_is_where(whole: &Path, known: &[Entry]) -> bool {
    let names = || -> Result<Vec<String>> {
        let connection = door::open(whole, Purpose::Damaged)?;
        let application: i32 =
            connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
        if application != APPLICATION_ID {
            return Ok(Vec::new());
        }
        let mut statement =
            connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")?;
        let names = statement.query_map([], |row| row.get(0))?;
        Ok(names.collect::<Result<_, _>>()?)
    };
    names().is_ok_and(|names| known.iter().any(|table| names.contains(&table.name)))
}

/// The rows of the list of tables that lie on leaves, each once.
fn entries_on_leaves(pages: &Pages, free: &Free) -> Vec<Entry> {
    let mut entries = BTreeMap::new();
    for number in (2..=pages.count).filter(|number| !free.pages.contains(number)) {
        for (_, row) in pages.rows(number) {
            if let Some(entry) = Entry::of(row).filter(|entry| pages.has(entry.root)) {
                entries.entry(entry.name.clone()).or_insert(entry);
            }
        }
    }
    entries.into_values().collect()
}

impl Entry {
    /// What a row says, if it is one of that list: `type`, `name`, `tbl_name`, `rootpage` and `sql` (2.6).
    fn of(row: Vec<Value>) -> Option<Self> {
        let Ok([kind, name, table, root, sql]) = <[Value; 5]>::try_from(row) else {
            return None;
        };
        let (Value::Text(kind), Value::Text(name), Value::Text(table), Value::Integer(root)) =
            (kind, name, table, root)
        else {
            return None;
        };
        let sql = match sql {
            Value::Text(sql) => Some(sql),
            Value::Null => None,
            _ => return None,
        };
        let is_one = match (kind.as_str(), &sql) {
            ("table", Some(sql)) => {
                name == table && sql.starts_with(&format!("CREATE TABLE {name}"))
            }
            ("index", Some(sql)) => {
                let rest = sql.strip_prefix("CREATE UNIQUE INDEX ");
                let rest = rest.or_else(|| sql.strip_prefix("CREATE INDEX "));
                rest.is_some_and(|rest| rest.starts_with(&name))
            }
            // Made for a UNIQUE column.
            ("index", None) => name.starts_with("sqlite_autoindex_"),
            _ => false,
        };
        is_one.then_some(Self {
            kind,
            name,
            table,
            root: u32::try_from(root).ok()?,
            sql,
        })
    }
}

/// The longest list of free pages in a file. A page of such a list has the next one, a number, and so many numbers of
/// pages; nothing else that is stored looks like that.
fn free_pages(pages: &Pages) -> Free {
    let mut lists = BTreeMap::new();
    for number in 2..=pages.count {
        if let Some(list) = pages
            .page(number)
            .ok()
            .and_then(|page| free_list(&page, pages))
        {
            lists.insert(number, list);
        }
    }
    let named: HashSet<u32> = lists
        .values()
        .flat_map(|(next, leaves)| leaves.iter().chain(std::iter::once(next)))
        .copied()
        .collect();
    let firsts = lists.keys().filter(|number| !named.contains(*number));
    let all = firsts.map(|first| {
        let (mut free, mut next) = (HashSet::new(), *first);
        while pages.has(next) && free.insert(next) {
            let Some((behind, leaves)) = lists.get(&next) else {
                break;
            };
            free.extend(leaves);
            next = *behind;
        }
        Free {
            first: *first,
            pages: free,
        }
    });
    all.max_by_key(|free| free.pages.len()).unwrap_or_default()
}

/// The next page of the list and the free ones that this one names.
fn free_list(page: &[u8], pages: &Pages) -> Option<(u32, HashSet<u32>)> {
    let (next, count) = (four(page, 0), four(page, 4) as usize);
    if count == 0 || count > page.len() / 4 - 2 || !(next == 0 || pages.has(next)) {
        return None;
    }
    let leaves: HashSet<u32> = (0..count).map(|n| four(page, 8 + 4 * n)).collect();
    let are_pages = leaves.iter().all(|leaf| *leaf > 1 && pages.has(*leaf));
    (are_pages && leaves.len() == count).then_some((next, leaves))
}

/// A first page with a list that is empty, and behind the last page one with nothing on it.
fn write_first_page(whole: &Path, pages: &Pages) -> io::Result<()> {
    let size = u16::try_from(pages.page_bytes);
    let mut page = vec![0; pages.page_bytes];
    page[..16].copy_from_slice(b"SQLite format 3\0");
    // 1 stands for 64 KiB, and where a page's content begins, 0 does (1.3.2, 1.6).
    page[16..18].copy_from_slice(&size.unwrap_or(1).to_be_bytes());
    // No log; what SQLite always has; a change; a first form of the list; the newest form of the file; UTF-8.
    page[18..24].copy_from_slice(&[1, 1, 0, 64, 32, 32]);
    for (at, number) in [(24, 1), (40, 1), (44, 4), (56, 1), (68, APPLICATION_ID)] {
        page[at..at + 4].copy_from_slice(&number.to_be_bytes());
    }
    let head = &mut page[FILE_HEADER_BYTES..];
    head[0] = TABLE_LEAF;
    head[5..7].copy_from_slice(&size.unwrap_or(0).to_be_bytes());
    let file = File::options().write(true).open(whole)?;
    file.set_len((u64::from(pages.count) + 1) * pages.page_bytes as u64)?;
    file.write_all_at(
        &vec![0; pages.page_bytes],
        u64::from(pages.count) * pages.page_bytes as u64,
    )?;
    file.write_all_at(&page, 0)
}

fn write_entries(whole: &Path, entries: &[Entry]) -> Result<()> {
    let connection = door::open(whole, Purpose::Build)?;
    connection.execute_batch("PRAGMA writable_schema = ON; BEGIN")?;
    for entry in entries {
        let sql = "INSERT INTO sqlite_schema (type, name, tbl_name, rootpage, sql) VALUES (?1, ?2, ?3, ?4, ?5)";
        let values = params![entry.kind, entry.name, entry.table, entry.root, entry.sql];
        connection.execute(sql, values)?;
    }
    connection.execute_batch("COMMIT")?;
    connection.close().map_err(|(_, e)| e.into())
}

fn write_free_list(whole: &Path, free: &Free) -> io::Result<()> {
    let count = u32::try_from(free.pages.len()).unwrap_or(0);
    let file = File::options().write(true).open(whole)?;
    let at = FREE_LIST_AT as u64;
    file.write_all_at(&free.first.to_be_bytes(), at)?;
    file.write_all_at(&count.to_be_bytes(), at + 4)
}
