//! What is on a page that is not what was written there.

use std::{fs::File, io, os::unix::fs::FileExt, path::Path};

use rusqlite::Connection;

use super::rows::{MAX_NAMED, called};
use crate::{base::Result, db::wal::PAGE_BYTES};

/// A leaf of a table (<https://www.sqlite.org/fileformat2.html>, 1.6).
const TABLE_LEAF: u8 = 13;
/// The most of a row that lies on the leaf itself, and the least when the rest is elsewhere.
const MAX_LOCAL: usize = PAGE_BYTES - 35;
const MIN_LOCAL: usize = (PAGE_BYTES - 12) * 32 / 255 - 23;

/// What is on a page that is not what was written: it can be read, but not be believed.
pub(super) fn doubt(from: &Connection, whole: &Path, tables: &[String], page: u32) -> String {
    let ids = ids_on(whole, page).unwrap_or_default();
    let mut names = Vec::new();
    for id in ids.iter().take(MAX_NAMED) {
        let table = tables
            .iter()
            .find(|table| has_row(from, table, *id).unwrap_or(false));
        names.extend(table.map(|table| format!("{} ({table})", called(from, table, *id))));
    }
    if names.is_empty() {
        format!(
            "page {page} is not what was written; no row is on it, and what is made of it is made anew"
        )
    } else {
        format!(
            "page {page} is not what was written: look through {}",
            names.join(", ")
        )
    }
}

fn has_row(from: &Connection, table: &str, id: i64) -> Result<bool> {
    let mut find = from.prepare_cached(&format!("SELECT 1 FROM {table} WHERE id = ?1"))?;
    Ok(find.exists([id])?)
}

/// The ids of the rows that a page has a part of.
fn ids_on(whole: &Path, wanted: u32) -> io::Result<Vec<i64>> {
    let file = File::open(whole)?;
    let pages = file.metadata()?.len() / PAGE_BYTES as u64;
    let pages = u32::try_from(pages).unwrap_or(u32::MAX);
    let mut content = vec![0; PAGE_BYTES];
    let mut ids = Vec::new();
    for page in 1..=pages {
        file.read_exact_at(&mut content, u64::from(page - 1) * PAGE_BYTES as u64)?;
        for (id, overflow) in cells(page, &content) {
            let is_on = page == wanted || reaches(&file, overflow, wanted, pages)?;
            if is_on {
                ids.push(id);
            }
        }
    }
    Ok(ids)
}

/// Whether the pages behind a row, one naming the next, lead to one.
fn reaches(file: &File, mut page: u32, wanted: u32, pages: u32) -> io::Result<bool> {
    let mut next = [0; 4];
    for _ in 0..pages {
        if page == 0 || page > pages || page == wanted {
            return Ok(page == wanted && page != 0);
        }
        file.read_exact_at(&mut next, u64::from(page - 1) * PAGE_BYTES as u64)?;
        page = u32::from_be_bytes(next);
    }
    Ok(false)
}

/// The rows on a leaf of a table, each with the page where it goes on, or 0; none for other pages.
fn cells(page: u32, content: &[u8]) -> Vec<(i64, u32)> {
    let start = if page == 1 { 100 } else { 0 };
    if content[start] != TABLE_LEAF {
        return Vec::new();
    }
    let two = |at: usize| {
        let two = content.get(at..at + 2);
        two.map_or(0, |two| usize::from(two[0]) << 8 | usize::from(two[1]))
    };
    let cell = |n: usize| {
        let (length, at) = varint(content, two(start + 8 + 2 * n))?;
        let (id, at) = varint(content, at)?;
        let length = usize::try_from(length).ok()?;
        if length <= MAX_LOCAL {
            return Some((id, 0));
        }
        let some = MIN_LOCAL + (length - MIN_LOCAL) % (PAGE_BYTES - 4);
        let local = if some <= MAX_LOCAL { some } else { MIN_LOCAL };
        let next = content.get(at + local..at + local + 4)?;
        Some((id, u32::from_be_bytes([next[0], next[1], next[2], next[3]])))
    };
    (0..two(start + 3)).filter_map(cell).collect()
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
