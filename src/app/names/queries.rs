//! Reading what was set of the site's names.

use rusqlite::{Connection, OptionalExtension};

use crate::base::Result;

/// What was set in the browser, as it is stored: JSON with the keys that `webstead.toml` would have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredNames {
    /// `domain`, `also`, `certificate`; and `former`, the domain until this one has answered.
    pub names: Option<String>,
    /// `dns`: where names can be changed.
    pub dns: Option<String>,
    /// `router`: whether it is asked to pass visitors on.
    pub router: Option<String>,
    /// What browsers are told of HTTPS.
    pub https_only: Option<String>,
    /// What was there before, with its moment: `{"names": ..., "at": ...}`.
    pub before: Option<String>,
}

/// All of it.
pub fn list_names(connection: &Connection) -> Result<StoredNames> {
    let mut setting = connection.prepare_cached("SELECT value FROM settings WHERE name = ?1")?;
    let mut find = |name: &str| setting.query_row([name], |row| row.get(0)).optional();
    Ok(StoredNames {
        names: find("names")?,
        dns: find("dns")?,
        router: find("router")?,
        https_only: find("https_only")?,
        before: find("names_before")?,
    })
}
