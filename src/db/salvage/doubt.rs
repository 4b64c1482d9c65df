//! What is on a page that is not what was written there.

use std::{fs::File, io, os::unix::fs::FileExt, path::Path};

use rusqlite::Connection;

use super::{
    leaves::cells,
    rows::{MAX_NAMED, called},
};
use crate::{base::Result, db::wal::PAGE_BYTES};

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
        for cell in cells(page, &content) {
            let is_on = page == wanted || reaches(&file, cell.overflow, wanted, pages)?;
            if is_on {
                ids.push(cell.id);
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
