//! What is on a page that is not what was written there.

use std::io;

use rusqlite::Connection;

use super::{
    pages::{Pages, cells, four},
    rows::{MAX_NAMED, called},
};
use crate::base::Result;

/// What is on a page that is not what was written: it can be read, but not be believed.
pub(super) fn doubt(from: &Connection, pages: &Pages, tables: &[String], page: u32) -> String {
    let ids = ids_on(pages, page).unwrap_or_default();
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
fn ids_on(pages: &Pages, wanted: u32) -> io::Result<Vec<i64>> {
    let mut ids = Vec::new();
    for number in 1..=pages.count {
        let content = pages.page(number)?;
        for cell in cells(number, &content) {
            if number == wanted || reaches(pages, cell.overflow, wanted)? {
                ids.push(cell.id);
            }
        }
    }
    Ok(ids)
}

/// Whether the pages behind a row, one naming the next, lead to one.
fn reaches(pages: &Pages, mut page: u32, wanted: u32) -> io::Result<bool> {
    for _ in 0..pages.count {
        if !pages.has(page) || page == wanted {
            return Ok(page == wanted);
        }
        page = four(&pages.page(page)?, 0);
    }
    Ok(false)
}
