//! Finds rows on the leaves of a file, where the pages that lead to them are damaged.
//!
//! A table is a tree: its root leads to pages that lead to leaves, and only those have rows
//! (<https://www.sqlite.org/fileformat2.html>, 1.6). A leaf does not say whose it is. So first those are put down
//! that a tree still leads to, and those that are free, which may have rows that were deleted. What is left is a
//! table's whose tree is broken, if its rows fit that table and no other such one.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::Path,
};

use rusqlite::{Connection, types::Value};

use crate::{
    base::{Error, Result},
    db::wal::PAGE_BYTES,
};

/// An inner page of a table, and a leaf.
const TABLE_INNER: u8 = 5;
const TABLE_LEAF: u8 = 13;
/// The most of a row that lies on the leaf itself, and the least when the rest is elsewhere.
const MAX_LOCAL: usize = PAGE_BYTES - 35;
const MIN_LOCAL: usize = (PAGE_BYTES - 12) * 32 / 255 - 23;
/// Where the first page has the first page of the list of free ones (1.3).
const FREE_LIST: usize = 32;
/// The largest row that `SQLite` makes (its default limit).
const MAX_ROW_BYTES: usize = 1_000_000_000;

/// A row as it lies on a leaf.
pub(super) struct Cell<'a> {
    pub(super) id: i64,
    /// Bytes of all of it.
    length: usize,
    local: &'a [u8],
    /// The page where it goes on, or 0.
    pub(super) overflow: u32,
}

/// The leaves of a database file, and whose they are.
pub(super) struct Leaves {
    file: File,
    pages: u32,
    /// The table that leads to a page; none for free pages.
    owners: HashMap<u32, Option<String>>,
    /// Tables whose tree is broken somewhere.
    broken: Vec<Shape>,
}

/// What the rows of a table look like.
struct Shape {
    table: String,
    columns: Vec<Column>,
}

struct Column {
    kind: String,
    may_be_null: bool,
    is_id: bool,
}

impl Leaves {
    /// Of a file with its log put together, as its list of tables says.
    ///
    /// # Errors
    /// If the file or the list cannot be read.
    pub(super) fn of(whole: &Path, from: &Connection) -> Result<Self> {
        let reading = |e| Error::io("reading", whole, e);
        let file = File::open(whole).map_err(reading)?;
        let pages = file.metadata().map_err(reading)?.len() / PAGE_BYTES as u64;
        let mut leaves = Self {
            file,
            pages: u32::try_from(pages).unwrap_or(u32::MAX),
            owners: HashMap::new(),
            broken: Vec::new(),
        };
        leaves.note_free();
        let mut tables = from.prepare(
            "SELECT name, rootpage FROM sqlite_schema WHERE type = 'table' AND rootpage > 0 ORDER BY name",
        )?;
        let tables: Vec<(String, u32)> = tables
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        for (table, root) in tables {
            if leaves.climb(&table, root) {
                let columns = columns(from, &table)?;
                leaves.broken.push(Shape { table, columns });
            }
        }
        Ok(leaves)
    }

    /// The rows of a table on all its leaves, as far as they can be told: each with its id and its columns.
    ///
    /// # Errors
    /// What `see` says.
    pub(super) fn rows(
        &self,
        table: &str,
        mut see: impl FnMut(i64, Vec<Value>) -> Result<()>,
    ) -> Result<()> {
        let Some(shape) = self.broken.iter().find(|shape| shape.table == table) else {
            return Ok(());
        };
        for number in 1..=self.pages {
            let owner = self.owners.get(&number);
            if owner.is_some_and(|owner| owner.as_deref() != Some(table)) {
                continue;
            }
            let Ok(page) = self.page(number) else {
                continue;
            };
            let rows: Vec<(i64, Vec<Value>)> = cells(number, &page)
                .iter()
                .filter_map(|cell| Some((cell.id, values(&self.whole(cell)?)?)))
                .collect();
            let fits = |shape: &Shape| rows.iter().all(|(_, row)| shape.fits(row));
            let is_of_another = || {
                let mut others = self.broken.iter().filter(|other| other.table != table);
                others.any(fits)
            };
            if owner.is_none() && (!fits(shape) || is_of_another()) {
                continue;
            }
            for (id, mut row) in rows {
                if shape.fits(&row) {
                    shape.put_id(id, &mut row);
                    see(id, row)?;
                }
            }
        }
        Ok(())
    }

    fn page(&self, number: u32) -> io::Result<Vec<u8>> {
        let mut page = vec![0; PAGE_BYTES];
        let at = u64::from(number.saturating_sub(1)) * PAGE_BYTES as u64;
        self.file.read_exact_at(&mut page, at)?;
        Ok(page)
    }

    fn note_free(&mut self) {
        let first = self.page(1);
        let mut next = first.map_or(0, |page| four(&page, FREE_LIST));
        while next > 0 && next <= self.pages && !self.owners.contains_key(&next) {
            self.owners.insert(next, None);
            let Ok(page) = self.page(next) else {
                return;
            };
            let count = (four(&page, 4) as usize).min(PAGE_BYTES / 4 - 2);
            for number in 0..count {
                self.owners.insert(four(&page, 8 + 4 * number), None);
            }
            next = four(&page, 0);
        }
    }

    /// Puts down what a tree leads to; says whether it is broken.
    fn climb(&mut self, table: &str, root: u32) -> bool {
        let (mut waiting, mut seen) = (vec![root], HashSet::new());
        let mut is_broken = false;
        while let Some(number) = waiting.pop() {
            let page = self.page(number).ok();
            let page = page.filter(|_| number > 0 && number <= self.pages && seen.insert(number));
            let Some(page) = page else {
                is_broken = true;
                continue;
            };
            let start = if number == 1 { 100 } else { 0 };
            match page[start] {
                TABLE_LEAF => {
                    self.owners.insert(number, Some(table.to_owned()));
                }
                TABLE_INNER => {
                    waiting.push(four(&page, start + 8));
                    let cells = (0..two(&page, start + 3)).map(|n| two(&page, start + 12 + 2 * n));
                    waiting.extend(cells.map(|at| four(&page, at)));
                }
                _ => is_broken = true,
            }
        }
        is_broken
    }

    /// All bytes of a row, from the leaf and the pages behind it.
    fn whole(&self, cell: &Cell<'_>) -> Option<Vec<u8>> {
        let mut bytes = cell.local.to_vec();
        let mut next = cell.overflow;
        while bytes.len() < cell.length {
            if next == 0 || next > self.pages {
                return None;
            }
            let page = self.page(next).ok()?;
            let count = (cell.length - bytes.len()).min(PAGE_BYTES - 4);
            bytes.extend(&page[4..4 + count]);
            next = four(&page, 0);
        }
        Some(bytes)
    }
}

impl Shape {
    fn fits(&self, row: &[Value]) -> bool {
        let fits = |(column, value): (&Column, &Value)| match value {
            // The id is not in the row, but before it (2.3).
            Value::Null => column.may_be_null || column.is_id,
            Value::Integer(_) => column.kind == "INTEGER" && !column.is_id,
            Value::Real(_) => column.kind == "REAL",
            Value::Text(_) => column.kind == "TEXT",
            Value::Blob(_) => column.kind == "BLOB",
        };
        row.len() == self.columns.len() && self.columns.iter().zip(row).all(fits)
    }

    fn put_id(&self, id: i64, row: &mut [Value]) {
        for (column, value) in self.columns.iter().zip(row) {
            if column.is_id {
                *value = id.into();
            }
        }
    }
}

fn columns(from: &Connection, table: &str) -> Result<Vec<Column>> {
    let mut columns =
        from.prepare("SELECT type, \"notnull\", pk FROM pragma_table_info(?1) ORDER BY cid")?;
    let columns = columns.query_map([table], |row| {
        Ok(Column {
            kind: row.get(0)?,
            may_be_null: !row.get::<_, bool>(1)?,
            is_id: row.get(2)?,
        })
    })?;
    Ok(columns.collect::<rusqlite::Result<_>>()?)
}

/// The rows on a leaf of a table; none for other pages.
pub(super) fn cells(page: u32, content: &[u8]) -> Vec<Cell<'_>> {
    let start = if page == 1 { 100 } else { 0 };
    if content[start] != TABLE_LEAF {
        return Vec::new();
    }
    let cell = |n: usize| {
        let (length, at) = varint(content, two(content, start + 8 + 2 * n))?;
        let (id, at) = varint(content, at)?;
        let length = usize::try_from(length)
            .ok()
            .filter(|l| *l < MAX_ROW_BYTES)?;
        if length <= MAX_LOCAL {
            return Some(Cell {
                id,
                length,
                local: content.get(at..at + length)?,
                overflow: 0,
            });
        }
        let some = MIN_LOCAL + (length - MIN_LOCAL) % (PAGE_BYTES - 4);
        let local = if some <= MAX_LOCAL { some } else { MIN_LOCAL };
        content.get(at + local..at + local + 4)?;
        Some(Cell {
            id,
            length,
            local: &content[at..at + local],
            overflow: four(content, at + local),
        })
    };
    (0..two(content, start + 3)).filter_map(cell).collect()
}

/// The columns of a row (2.1); `None` if it does not add up.
fn values(row: &[u8]) -> Option<Vec<Value>> {
    let (header, mut at) = varint(row, 0)?;
    let header = usize::try_from(header).ok()?;
    let (mut values, mut body) = (Vec::new(), header);
    while at < header {
        let (kind, next) = varint(row, at)?;
        at = next;
        let length = match kind {
            0 | 8 | 9 => 0,
            1..=4 => usize::try_from(kind).ok()?,
            5 => 6,
            6 | 7 => 8,
            12.. => usize::try_from((kind - 12) / 2).ok()?,
            _ => return None,
        };
        let bytes = row.get(body..body.checked_add(length)?)?;
        body += length;
        values.push(match kind {
            0 => Value::Null,
            8 | 9 => Value::Integer(kind - 8),
            1..=6 => Value::Integer(integer(bytes)),
            7 => Value::Real(f64::from_be_bytes(bytes.try_into().ok()?)),
            _ if kind % 2 == 0 => Value::Blob(bytes.to_vec()),
            _ => Value::Text(String::from_utf8(bytes.to_vec()).ok()?),
        });
    }
    (body == row.len()).then_some(values)
}

fn integer(bytes: &[u8]) -> i64 {
    let negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
    let start = -i64::from(negative);
    let add = |number: i64, byte: &u8| (number << 8) | i64::from(*byte);
    bytes.iter().fold(start, add)
}

/// A number of variable length, and where the next byte is.
fn varint(bytes: &[u8], at: usize) -> Option<(i64, usize)> {
    let mut number = 0i64;
    for n in 0..9 {
        let byte = *bytes.get(at + n)?;
        if n == 8 {
            return Some((number << 8 | i64::from(byte), at + 9));
        }
        number = number << 7 | i64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((number, at + n + 1));
        }
    }
    None
}

/// Two bytes as a number; 0 behind the end.
fn two(bytes: &[u8], at: usize) -> usize {
    let two = bytes.get(at..at + 2);
    two.map_or(0, |two| usize::from(two[0]) << 8 | usize::from(two[1]))
}

/// Four bytes as a number; 0 behind the end.
fn four(bytes: &[u8], at: usize) -> u32 {
    let four = bytes.get(at..at + 4);
    four.map_or(0, |four| {
        u32::from_be_bytes([four[0], four[1], four[2], four[3]])
    })
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn rows_of_every_size_and_kind_are_read_as_sqlite_reads_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        let made = Connection::open(&path).unwrap();
        made.execute_batch(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, r REAL, s TEXT, b BLOB) STRICT;
             CREATE TABLE u (id INTEGER PRIMARY KEY, s TEXT NOT NULL) STRICT;",
        )
        .unwrap();
        let numbers = [
            0,
            1,
            -1,
            127,
            -129,
            40_000,
            -9_000_000,
            1 << 40,
            i64::MIN,
            i64::MAX,
        ];
        for n in 0..400usize {
            let text = "äx".repeat(n * 37 % 9000);
            let number = (n % 11 < 10).then(|| numbers[n % 11]);
            let values = rusqlite::params![
                i64::try_from(n).unwrap() - 200,
                number,
                0.5,
                text,
                vec![7u8; n % 5000]
            ];
            let sql = "INSERT INTO t VALUES (?1, ?2, ?3, ?4, ?5)";
            made.execute(sql, values).unwrap();
            made.execute(
                "INSERT INTO u VALUES (?1, 'other')",
                [i64::try_from(n).unwrap()],
            )
            .unwrap();
        }
        made.execute("DELETE FROM t WHERE id % 7 = 0", []).unwrap();
        let root: u32 = made
            .query_row(
                "SELECT rootpage FROM sqlite_schema WHERE name = 't'",
                [],
                |r| r.get(0),
            )
            .unwrap();
        let read = |row: &rusqlite::Row| -> rusqlite::Result<Vec<Value>> {
            (0..5).map(|column| row.get(column)).collect()
        };
        let mut expected = made.prepare("SELECT * FROM t ORDER BY id").unwrap();
        let expected = expected.query_map([], read).unwrap();
        let expected: Vec<_> = expected.map(rusqlite::Result::unwrap).collect();
        // The root is gone.
        let file = File::options().write(true).open(&path).unwrap();
        let at = u64::from(root - 1) * PAGE_BYTES as u64;
        file.write_all_at(&[0xa5; PAGE_BYTES], at).unwrap();
        let leaves = Leaves::of(&path, &made).unwrap();
        let mut found = Vec::new();
        let mut see = |_: i64, row: Vec<Value>| {
            found.push(row);
            Ok(())
        };
        leaves.rows("t", &mut see).unwrap();
        leaves.rows("u", &mut see).unwrap();
        let id = |row: &Vec<Value>| {
            let Value::Integer(id) = row[0] else { panic!() };
            id
        };
        found.sort_by_key(id);
        assert_eq!(found.len(), expected.len());
        assert!(found == expected, "not the same rows");
    }
}
