//! What interrupted commands have left in a data folder: copies of the database, each as large as the whole, and files
//! that were not written to their end.

use std::{fs, path::Path};

use super::{before, folder::DataFolder, rehearsal, salvage};
use crate::base::{files, scratch};

/// How the names of databases begin that `webstead repair` has saved or set aside: a person may want them.
const RESULTS: [&str; 2] = ["site.db.repaired-", "site.db.damaged-"];

/// Removes them, and says which results of a repair lie there.
pub fn sweep_left(folder: &DataFolder) {
    let root = folder.root();
    scratch::sweep(root, &[rehearsal::SCRATCH, salvage::SCRATCH]);
    before::sweep_unfinished(&folder.database());
    for written_to in [root, &root.join("secrets")] {
        files::sweep_temporary(written_to);
    }
    for (name, bytes) in results(root) {
        log::info!(
            "{name} is from a repair, and takes {} MB; remove it when you miss nothing",
            bytes / 1_000_000 + 1
        );
    }
}

/// The results of repairs in a data folder, with their bytes.
fn results(root: &Path) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        // Its log and the like go with it.
        let is_one = |start: &&str| {
            let stamp = name.strip_prefix(*start);
            stamp.is_some_and(|stamp| stamp.bytes().all(|b| b.is_ascii_digit() || b == b'-'))
        };
        if !RESULTS.iter().any(is_one) {
            continue;
        }
        let bytes = entry.metadata().map_or(0, |found| found.len());
        // Before something is in it, it is none.
        if bytes > 0 {
            found.push((name, bytes));
        }
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        time::{Duration, SystemTime},
    };

    use super::*;
    use crate::base::Id;

    #[test]
    fn copies_of_the_database_that_nobody_uses_are_removed_and_results_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let folder = DataFolder::open_or_create(dir.path()).unwrap();
        for name in [".rehearsal-x", ".salvage-y", ".mine"] {
            fs::create_dir(dir.path().join(name)).unwrap();
            fs::write(dir.path().join(name).join("site.db"), "a copy").unwrap();
        }
        let unfinished = dir.path().join("site.db.before-upgrade.new");
        fs::write(&unfinished, "a copy").unwrap();
        for name in [
            "site.db",
            "site.db.before-upgrade",
            "site.db.repaired-20261126-193000",
            "site.db.repaired-20261126-193000-wal",
            "site.db.damaged-20261126-193000",
        ] {
            fs::write(dir.path().join(name), "x").unwrap();
        }
        let temporary = ["", "secrets"].map(|folder| {
            let folder = dir.path().join(folder);
            fs::create_dir_all(&folder).unwrap();
            folder.join(format!(".{}.tmp", Id::new()))
        });
        for file in &temporary {
            let made = File::create(file).unwrap();
            made.set_modified(SystemTime::now() - Duration::from_hours(2))
                .unwrap();
        }
        // While another process makes it, it stays.
        let made = File::open(&unfinished).unwrap();
        made.lock().unwrap();
        sweep_left(&folder);
        assert!(unfinished.exists());
        drop(made);
        sweep_left(&folder);
        let names: Vec<String> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(names.len(), 8, "{names:?}");
        assert!(temporary.iter().all(|file| !file.exists()), "{names:?}");
        assert!(names.contains(&".mine".to_owned()) && !unfinished.exists());
        let told: Vec<String> = results(dir.path())
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(
            told,
            [
                "site.db.damaged-20261126-193000",
                "site.db.repaired-20261126-193000"
            ]
        );
    }
}
