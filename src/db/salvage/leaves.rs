//! Finds rows on the leaves of a file, where the pages that lead to them are damaged.
//!
//! A table is a tree: its root leads to pages that lead to leaves, and only those have rows
//! (<https://www.sqlite.org/fileformat2.html>, 1.6). A leaf does not say whose it is. So first those are put down
//! that a tree still leads to, and those that are free, which may have rows that were deleted. What is left is a
//! table's whose tree is broken, if its rows fit that table and no other such one. Where they fit several, the rows that
//! refer to them decide.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use rusqlite::{Connection, types::Value};

use super::pages::{Pages, TABLE_INNER, TABLE_LEAF, four, head_of, two};
use crate::{base::Result, db::header::FREE_LIST_AT};

/// The leaves of a database file, and whose they are.
pub(super) struct Leaves<'a> {
    pages: &'a Pages,
    /// The table that leads to a page; none for free pages.
    owners: HashMap<u32, Option<String>>,
    /// Every table.
    shapes: Vec<Shape>,
    /// What could not be told for certain, a line each.
    pub(super) notes: Vec<String>,
}

/// What the rows of a table look like.
struct Shape {
    table: String,
    columns: Vec<Column>,
    /// Whether its tree is broken somewhere.
    is_broken: bool,
    /// Columns whose values are ids of rows of another table: which, and of which.
    references: Vec<(usize, String)>,
}

struct Column {
    name: String,
    kind: String,
    may_be_null: bool,
    is_id: bool,
}

impl<'a> Leaves<'a> {
    /// Of a file with its log put together, as its list of tables says. For the tables of `unsought` nothing is looked
    /// for that no tree leads to.
    ///
    /// # Errors
    /// If the list cannot be read.
    pub(super) fn of(pages: &'a Pages, from: &Connection, unsought: &[String]) -> Result<Self> {
        let mut leaves = Self {
            pages,
            owners: HashMap::new(),
            shapes: Vec::new(),
            notes: Vec::new(),
        };
        leaves.note_free();
        let mut tables = from.prepare(
            "SELECT name, rootpage FROM sqlite_schema WHERE type = 'table' AND rootpage > 0 ORDER BY name",
        )?;
        let tables: Vec<(String, u32)> = tables
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        for (table, root) in tables {
            let is_broken = leaves.climb(&table, root) && !unsought.contains(&table);
            leaves.shapes.push(Shape::of(from, table, is_broken)?);
        }
        // The list of tables is a table itself, without a line in that list.
        leaves.climb("sqlite_schema", 1);
        leaves.find_owners();
        Ok(leaves)
    }

    /// The rows of a table on all its leaves, as far as they can be told: each with its id and its columns. None of a
    /// table whose tree leads to all of them.
    ///
    /// # Errors
    /// What `see` says.
    pub(super) fn rows(
        &self,
        table: &str,
        mut see: impl FnMut(i64, Vec<Value>) -> Result<()>,
    ) -> Result<()> {
        let Some(shape) = self.broken().find(|shape| shape.table == table) else {
            return Ok(());
        };
        for number in 1..=self.pages.count {
            let owner = self.owners.get(&number).and_then(Option::as_deref);
            if owner != Some(table) {
                continue;
            }
            for (id, row) in self.pages.rows(number) {
                let mut row = shape.filled(row);
                if shape.fits(&row) {
                    shape.put_id(id, &mut row);
                    see(id, row)?;
                }
            }
        }
        Ok(())
    }

    fn broken(&self) -> impl Iterator<Item = &Shape> {
        self.shapes.iter().filter(|shape| shape.is_broken)
    }

    /// Puts down whose the leaves are that no tree leads to.
    fn find_owners(&mut self) {
        if self.broken().next().is_none() {
            return;
        }
        let mut undecided = Vec::new();
        for number in 1..=self.pages.count {
            if self.owners.contains_key(&number) {
                continue;
            }
            let rows = self.pages.rows(number);
            if rows.is_empty() {
                continue;
            }
            let fits = |shape: &Shape, row: &[Value]| shape.fits(&shape.filled(row.to_vec()));
            let of_all = self
                .broken()
                .filter(|shape| rows.iter().all(|(_, row)| fits(shape, row)));
            let mut tables: Vec<String> = of_all.map(|shape| shape.table.clone()).collect();
            if tables.len() > 1 {
                let ids: Vec<i64> = rows.iter().map(|(id, _)| *id).collect();
                undecided.push((number, ids, tables));
            } else if let Some(table) = tables.pop() {
                self.owners.insert(number, Some(table));
            }
        }
        self.decide(undecided);
    }

    /// Decides whose the leaves are whose rows fit several tables: of the one that other rows refer to. Of what nothing
    /// refers to, if there is one such table among them; that is said.
    fn decide(&mut self, undecided: Vec<(u32, Vec<i64>, Vec<String>)>) {
        let referred = self.referred();
        let mut said: BTreeMap<(Option<String>, Vec<String>), usize> = BTreeMap::new();
        for (number, ids, tables) in undecided {
            let is_meant = |table: &&String| {
                let known = referred.get(*table);
                known.is_some_and(|known| ids.iter().any(|id| known.contains(id)))
            };
            let is_alone = |table: &&String| !self.shapes.iter().any(|other| other.names(table));
            let meant = only(tables.iter().filter(is_meant)).cloned();
            let guessed = only(tables.iter().filter(is_alone)).cloned();
            let is_certain = meant.is_some();
            let owner = meant.or(guessed);
            if let Some(owner) = &owner {
                self.owners.insert(number, Some(owner.clone()));
            }
            if !is_certain {
                *said.entry((owner, tables)).or_default() += ids.len();
            }
        }
        self.notes
            .extend(said.into_iter().map(|((owner, tables), rows)| {
                let tables = tables.join(" or ");
                let outcome = owner.map_or_else(
                    || "they are left out".to_owned(),
                    |owner| format!("they were taken for {owner}, because nothing refers to them"),
                );
                format!("{rows} rows may be of {tables}: {outcome}")
            }));
    }

    /// The ids that rows of other tables name, by the table that they are of; as far as it is known whose rows
    /// those are.
    fn referred(&self) -> HashMap<String, BTreeSet<i64>> {
        let mut referred: HashMap<String, BTreeSet<i64>> = HashMap::new();
        for (number, owner) in &self.owners {
            let shape = |table: &String| self.shapes.iter().find(|shape| shape.table == *table);
            let Some(shape) = owner.as_ref().and_then(shape) else {
                continue;
            };
            if shape.references.is_empty() {
                continue;
            }
            for (_, row) in self.pages.rows(*number) {
                for (column, table) in &shape.references {
                    if let Some(Value::Integer(id)) = row.get(*column) {
                        referred.entry(table.clone()).or_default().insert(*id);
                    }
                }
            }
        }
        referred
    }

    fn note_free(&mut self) {
        let first = self.pages.page(1);
        let mut next = first.map_or(0, |page| four(&page, FREE_LIST_AT));
        while self.pages.has(next) && !self.owners.contains_key(&next) {
            self.owners.insert(next, None);
            let Ok(page) = self.pages.page(next) else {
                return;
            };
            let count = (four(&page, 4) as usize).min(self.pages.page_bytes / 4 - 2);
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
            let page = self.pages.page(number).ok();
            let page = page.filter(|_| self.pages.has(number) && seen.insert(number));
            let Some(page) = page else {
                is_broken = true;
                continue;
            };
            let start = head_of(number);
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
}

/// The only one, if there is just one.
fn only<T>(mut all: impl Iterator<Item = T>) -> Option<T> {
    let first = all.next();
    first.filter(|_| all.next().is_none())
}

impl Shape {
    fn of(from: &Connection, table: String, is_broken: bool) -> Result<Self> {
        let mut columns = from.prepare(
            "SELECT name, type, \"notnull\", pk FROM pragma_table_info(?1) ORDER BY cid",
        )?;
        let columns: Vec<Column> = columns
            .query_map([&table], |row| {
                Ok(Column {
                    name: row.get(0)?,
                    kind: row.get(1)?,
                    may_be_null: !row.get::<_, bool>(2)?,
                    is_id: row.get(3)?,
                })
            })?
            .collect::<rusqlite::Result<_>>()?;
        let mut keys =
            from.prepare("SELECT \"from\", \"table\" FROM pragma_foreign_key_list(?1)")?;
        let keys: Vec<(String, String)> = keys
            .query_map([&table], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let place = |(name, other): (String, String)| {
            let place = columns.iter().position(|column| column.name == name)?;
            Some((place, other))
        };
        let references = keys.into_iter().filter_map(place).collect();
        Ok(Self {
            table,
            columns,
            is_broken,
            references,
        })
    }

    /// Whether its rows refer to those of a table.
    fn names(&self, table: &str) -> bool {
        self.references.iter().any(|(_, other)| other == table)
    }

    /// A row that was written before its table got more columns has fewer values: the others are NULL (our migrations
    /// give no defaults).
    fn filled(&self, mut row: Vec<Value>) -> Vec<Value> {
        if row.len() < self.columns.len() {
            row.resize(self.columns.len(), Value::Null);
        }
        row
    }

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

#[cfg(test)]
mod tests {
    use std::{fs::File, os::unix::fs::FileExt};

    use rusqlite::Connection;

    use super::{super::pages::find_page_bytes, *};

    #[test]
    fn rows_of_every_size_and_kind_are_read_as_sqlite_reads_them_whatever_the_size_of_a_page() {
        for page_bytes in [512, 1024, 4096, 65536] {
            rows_of_every_size_and_kind(page_bytes);
        }
    }

    fn rows_of_every_size_and_kind(page_bytes: usize) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        let made = Connection::open(&path).unwrap();
        let page_size = i64::try_from(page_bytes).unwrap();
        made.pragma_update(None, "page_size", page_size).unwrap();
        made.execute_batch(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, r REAL, s TEXT, b BLOB) STRICT;
             CREATE TABLE u (id INTEGER PRIMARY KEY, s TEXT NOT NULL) STRICT; BEGIN;",
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
        made.execute_batch("DELETE FROM t WHERE id % 7 = 0; COMMIT")
            .unwrap();
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
        assert_eq!(find_page_bytes(&path, 2048).unwrap(), page_bytes);
        let at = u64::from(root - 1) * page_bytes as u64;
        file.write_all_at(&vec![0xa5; page_bytes], at).unwrap();
        let pages = Pages::open(&path, page_bytes).unwrap();
        let leaves = Leaves::of(&pages, &made, &[]).unwrap();
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
