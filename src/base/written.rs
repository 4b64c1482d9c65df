//! What this process has written to the data folder, by file: for the owner, whose card it wears out.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{Mutex, PoisonError},
};

use super::{Id, files};

/// What the files begin with in which a process leaves its numbers for the one that keeps them.
const LEFT: &str = ".written-";
/// Far more than such a file has.
const MOST_BYTES: u64 = 64 * 1024;

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
pub fn count_file(path: &Path, bytes: u64) {
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

/// Leaves what this process has written, but for what is `counted` already, to who keeps the numbers of a data folder: a
/// command beside the server or without one, and the server itself for the last that it writes.
pub fn leave(folder: &Path, counted: &BTreeMap<String, u64>) {
    let mut left = totals();
    for (name, sum) in &mut left {
        *sum = sum.saturating_sub(counted.get(name).copied().unwrap_or(0));
    }
    left.retain(|_, sum| *sum > 0);
    if left.is_empty() {
        return;
    }
    let path = folder.join(format!("{LEFT}{}", Id::new()));
    let text = serde_json::to_vec(&left).unwrap_or_default();
    if let Err(e) = files::write_whole(&path, &text, 0o600) {
        log::debug!("what was written is not counted: {e}");
    }
}

/// Counts what others have left with [`leave`] as if it were written by this process.
pub fn take_over(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let id = name.to_str().and_then(|name| name.strip_prefix(LEFT));
        if id.is_none_or(|id| id.parse::<Id>().is_err()) {
            continue;
        }
        let is_small = entry
            .metadata()
            .is_ok_and(|found| found.len() <= MOST_BYTES);
        let text = if is_small {
            fs::read(entry.path())
        } else {
            Ok(Vec::new())
        };
        // It is counted once or not at all.
        if let Ok(text) = text
            && fs::remove_file(entry.path()).is_ok()
            && let Ok(left) = serde_json::from_slice::<BTreeMap<String, u64>>(&text)
        {
            for (name, bytes) in &left {
                count(name, *bytes);
            }
        }
    }
}
