//! The first file of a repository, made anew from the backups that are there: it says little, but nothing can be opened
//! without it.

use super::{
    keys::{self, Keys},
    manifest::{self, Manifest},
    object,
    repository::{check_of, or_damaged},
    seal::Key,
    store::{Store, Stored},
};
use crate::base::{Error, Result, secrets};

/// Backups that are looked at: one that can be read is enough.
const MOST_LOOKED_AT: usize = 20;

/// The id of the repository whose backups are in a place, and its key if they are sealed; `None` if there are no
/// backups.
///
/// # Errors
/// [`Error::Invalid`] if there are backups of which none says it.
pub(super) fn find_id(store: &dyn Store, keys: &Keys<'_>) -> Result<Option<(String, Option<Key>)>> {
    let mut files = store.list("backups")?;
    if files.is_empty() {
        return Ok(None);
    }
    files.sort_by(|a, b| b.name.cmp(&a.name));
    files.truncate(MOST_LOOKED_AT);
    let mut is_sealed = false;
    for name in keys::FILES {
        is_sealed |= store.get(name, keys::MOST_BYTES)?.is_some();
    }
    if !is_sealed {
        for file in &files {
            if let Some(id) = id_in(store, file, None)? {
                keys.refuse_plain(store, &id)?;
                return Ok(Some((id, None)));
            }
        }
        return Err(lost(store));
    }
    let of_machine = keys.of_any();
    let knows_some = !of_machine.is_empty();
    for key in of_machine {
        if let Some(id) = id_in_any(store, &files, &key)? {
            return Ok(Some((id, Some(key))));
        }
    }
    let key = match keys.find(store, "") {
        Ok(key) => key,
        Err(_) if knows_some => return Err(lost(store)),
        Err(e) => return Err(e),
    };
    let id = id_in_any(store, &files, &key)?;
    id.map(|id| Some((id, Some(key))))
        .ok_or_else(|| lost(store))
}

fn lost(store: &dyn Store) -> Error {
    Error::Invalid(format!(
        "there are backups in {}, but its first file, webstead-backups.json, is damaged or gone, and no backup can be \
         read that would say what was in it; try it with a copy of that folder, if there is one",
        store.place()
    ))
}

fn id_in_any(store: &dyn Store, files: &[Stored], key: &Key) -> Result<Option<String>> {
    for file in files {
        if let Some(id) = id_in(store, file, Some(key))? {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// What a manifest says of its repository, if it is whole.
fn id_in(store: &dyn Store, file: &Stored, key: Option<&Key>) -> Result<Option<String>> {
    let name = file.name.strip_prefix("backups/");
    let name = name.and_then(|name| name.strip_suffix(".json"));
    let Some((number, check)) = name.and_then(|name| name.split_once('-')) else {
        return Ok(None);
    };
    let most = object::most_stored(manifest::MAX_MANIFEST_BYTES);
    let bytes = or_damaged(store.get(&file.name, most))?;
    let bytes = bytes.filter(|bytes| check_of(bytes) == check);
    let bytes = bytes.and_then(|bytes| match key {
        Some(key) => key.open(number.as_bytes(), bytes),
        None => Some(bytes),
    });
    let manifest: Option<Manifest> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    Ok(manifest.map(|manifest| manifest.repository))
}

impl Keys<'_> {
    /// What a place says of itself can be changed by whoever has it. Where this machine has the key of backups, they are
    /// encrypted, and nothing goes there as it is.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it has.
    pub(super) fn refuse_plain(&self, store: &dyn Store, repository: &str) -> Result<()> {
        let Some(data) = self.data else {
            return Ok(());
        };
        if secrets::read(data, &keys::secret_name(repository))?.is_none() {
            return Ok(());
        }
        Err(Error::Invalid(format!(
            "the backups in {} say that they are not encrypted, but this machine has their key: somebody has changed them. \
             Nothing was written there or taken from there. Choose another place, and find out who can write to this one",
            store.place()
        )))
    }

    /// All keys of repositories that the machine has.
    fn of_any(&self) -> Vec<Key> {
        let Some(data) = self.data else {
            return Vec::new();
        };
        let names = secrets::names(data).unwrap_or_default().into_iter();
        let names = names.filter(|name| name.starts_with(keys::SECRET_START));
        let texts = names.filter_map(|name| secrets::read(data, &name).ok().flatten());
        texts.filter_map(|text| Key::parse(&text).ok()).collect()
    }
}
