//! What this process has written to the data folder, by file: for the owner, whose card it wears out.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Mutex, PoisonError},
};

/// Since the start. Counted where it is written, which is in many places.
static WRITTEN: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());

/// Counts bytes that were written to a file of this name: `site.db`, `media/`.
pub fn count(name: &str, bytes: u64) {
    if bytes == 0 {
        return;
    }
    let mut written = WRITTEN.lock().unwrap_or_else(PoisonError::into_inner);
    match written.get_mut(name) {
        Some(sum) => *sum += bytes,
        None => {
            written.insert(name.to_owned(), bytes);
        }
    }
}

/// Counts a file that was written whole: under its folder, or under its own name beside the database.
pub(super) fn count_file(path: &Path, bytes: u64) {
    let folder = path.parent().unwrap_or(Path::new(""));
    let name = |path: &Path| {
        path.file_name()
            .map(|name| name.to_string_lossy().into_owned())
    };
    let name = if folder.join("site.db").exists() {
        name(path)
    } else {
        name(folder).map(|name| name + "/")
    };
    count(&name.unwrap_or_default(), bytes);
}

/// Bytes since the start, by the name of the file or folder.
pub fn totals() -> BTreeMap<String, u64> {
    WRITTEN
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone()
}
