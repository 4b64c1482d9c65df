//! Reading the hosts.

use rusqlite::{Connection, OptionalExtension, Row};

use crate::base::{Error, Id, Result, Timestamp};

/// A host that was set in the browser.
#[derive(Clone, Debug)]
pub struct StoredHost {
    /// Its id.
    pub id: Id,
    /// The name that visitors ask for.
    pub name: String,
    /// What its table in `webstead.toml` would have, as JSON.
    pub keys: String,
    /// Rises with every change.
    pub revision: i64,
    /// When it was removed.
    pub removed_at: Option<Timestamp>,
}

impl StoredHost {
    /// Whether it is to be served.
    pub fn is_wanted(&self) -> bool {
        self.removed_at.is_none()
    }
}

const COLUMNS: &str = "SELECT id, name, keys, revision, removed_at FROM hosts";

/// All of them by name, those that were removed too.
pub fn list_hosts(connection: &Connection) -> Result<Vec<StoredHost>> {
    let hosts = connection
        .prepare_cached(&format!("{COLUMNS} ORDER BY name"))?
        .query_map([], host_of)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(hosts)
}

/// One of them.
///
/// # Errors
/// [`Error::NotFound`]
pub fn find_host(connection: &Connection, id: Id) -> Result<StoredHost> {
    connection
        .prepare_cached(&format!("{COLUMNS} WHERE id = ?1"))?
        .query_row([id.0], host_of)
        .optional()?
        .ok_or(Error::NotFound)
}

fn host_of(row: &Row<'_>) -> rusqlite::Result<StoredHost> {
    Ok(StoredHost {
        id: Id(row.get(0)?),
        name: row.get(1)?,
        keys: row.get(2)?,
        revision: row.get(3)?,
        removed_at: row.get::<_, Option<i64>>(4)?.map(Timestamp),
    })
}
