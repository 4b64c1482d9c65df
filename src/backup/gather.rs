//! Media that a moment names and the backup before it does not have: they are with the site, or in another backup.

use std::{collections::BTreeMap, path::Path};

use rusqlite::Connection;

use super::{
    manifest::FileEntry,
    repository::{Kept, Repository},
    store::is_out_of_reach,
};
use crate::{
    base::Result,
    db::{DataFolder, MediaStore},
};

/// Where a file is.
#[derive(Debug)]
pub(super) enum Whence {
    /// In the media of the site that is there, sound.
    Site,
    /// In a backup.
    Backup(FileEntry),
    /// Nowhere any more.
    Nowhere,
}

/// The media that a database names: hash and name.
pub(super) fn named_by(database: &Connection) -> Result<BTreeMap<String, String>> {
    let mut statement = database.prepare("SELECT hash, name FROM media ORDER BY id")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Where these media are.
///
/// # Errors
/// If a backup does not answer.
pub(super) fn find(
    wanted: BTreeMap<String, String>,
    data: &Path,
    repository: &Repository,
    backups: &[Kept],
) -> Result<Vec<(String, String, Whence)>> {
    let store = MediaStore::new(&DataFolder::at(data));
    let is_hash = |hash: &str| hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit());
    let (mut found, mut elsewhere) = (Vec::new(), BTreeMap::new());
    for (hash, name) in wanted {
        // The database may be of anybody, and a hash is a name of a file.
        if is_hash(&hash) && store.look(&hash).is_sound() {
            found.push((hash, name, Whence::Site));
        } else {
            elsewhere.insert(hash, name);
        }
    }
    for Kept { manifest, .. } in backups.iter().rev() {
        if elsewhere.is_empty() {
            break;
        }
        for (_, files) in repository.files(manifest.files.iter()) {
            let files = match files {
                Err(e) if is_out_of_reach(&e) => return Err(e),
                files => files.unwrap_or_default(),
            };
            for entry in files {
                let hash = entry.path.strip_prefix("media/").unwrap_or_default();
                if let Some((hash, name)) = elsewhere.remove_entry(hash) {
                    found.push((hash, name, Whence::Backup(entry)));
                }
            }
        }
    }
    let nowhere = elsewhere.into_iter();
    found.extend(nowhere.map(|(hash, name)| (hash, name, Whence::Nowhere)));
    Ok(found)
}

/// What is said of a file that is nowhere.
pub(super) fn lost(hash: &str, name: &str) -> String {
    format!(
        "the file {name} (media/{hash}) came after the backup and is gone from the site, so it cannot be had any more"
    )
}
