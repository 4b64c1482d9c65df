//! Reading where backups go.

use rusqlite::{Connection, OptionalExtension};

use crate::base::Result;

/// What was set in the browser, as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredPlace {
    /// The keys that `[backup]` of `webstead.toml` would have, as JSON.
    pub keys: Option<String>,
    /// What was there before, with its moment: `{"keys": ..., "at": ...}`.
    pub before: Option<String>,
}

/// All of it.
pub fn find_place(connection: &Connection) -> Result<StoredPlace> {
    let mut setting = connection.prepare_cached("SELECT value FROM settings WHERE name = ?1")?;
    let mut find = |name: &str| setting.query_row([name], |row| row.get(0)).optional();
    Ok(StoredPlace {
        keys: find("backup")?,
        before: find("backup_before")?,
    })
}
