//! Data folder and database, looked at without changing anything.

use std::{path::Path, time::Duration};

use super::facts::Storage;
use crate::{
    base::{Result, Space, Verdict},
    db::{DataFolder, Health, open_to_look, quick_problems},
};

/// Time for reading the database.
const PATIENCE: Duration = Duration::from_secs(5);

/// Looks; may wait for the disk.
pub(super) fn look(data: &Path) -> Storage {
    let problems = problems(data);
    Storage {
        is_long: matches!(problems, Ok(None)),
        database: match problems {
            Ok(found) => {
                let first = found.unwrap_or_default().into_iter().next();
                first.map_or(Verdict::Sound, Verdict::Damaged)
            }
            Err(e) => Verdict::of(&e),
        },
        is_read_only: DataFolder::at(data).is_on_read_only_disk(),
        free_bytes: Space::of(data).ok().map(|space| space.free),
        folder: data.display().to_string(),
    }
}

fn problems(data: &Path) -> Result<Option<Vec<String>>> {
    let folder = DataFolder::open_existing(data)?;
    Health::known_damage(data).insist()?;
    let connection = open_to_look(&folder.database())?;
    quick_problems(&connection, PATIENCE)
}

#[cfg(test)]
mod tests {
    use super::{DataFolder, Verdict, look};
    use crate::db::Database;

    #[test]
    fn damage_that_was_found_is_told_until_it_is_repaired() {
        let dir = tempfile::tempdir().unwrap();
        let folder = DataFolder::open_or_create(dir.path()).unwrap();
        Database::open(&folder.database()).unwrap().close();
        assert_eq!(look(dir.path()).database, Verdict::Sound);
        std::fs::write(dir.path().join("damaged.txt"), "page 7").unwrap();
        let found = look(dir.path()).database;
        assert_eq!(found.damage(), Some("page 7"));
    }
}
