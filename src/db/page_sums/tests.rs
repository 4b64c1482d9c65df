//! What the sums of pages notice.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::Path,
    time::SystemTime,
};

use super::*;
use crate::db::{Change, Database};

/// A database whose log was written back, and what was changed about it meanwhile.
fn a_database(dir: &Path) -> (PathBuf, SystemTime) {
    let path = dir.join("site.db");
    for round in 0..2 {
        let database = Database::open(&path).unwrap();
        for n in 0..20 {
            let mut change = Change::new();
            change.push(
                "INSERT INTO settings (id, name, value) VALUES (?1, ?2, ?3)",
                vec![
                    (round * 100 + n).into(),
                    format!("name {round} {n}").into(),
                    "x".repeat(3000).into(),
                ],
            );
            database.apply_blocking(change).unwrap();
        }
        database.close();
    }
    let changed = fs::metadata(&path).unwrap().modified().unwrap();
    (path, changed)
}

#[test]
fn a_flipped_bit_in_any_page_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let (path, changed) = a_database(dir.path());
    assert_eq!(damaged_pages(&path).unwrap(), [0u32; 0]);
    let file = File::options().read(true).write(true).open(&path).unwrap();
    let pages = usize::try_from(file.metadata().unwrap().len()).unwrap() / NEW_PAGE_BYTES;
    assert!(pages > 30, "{pages}");
    for page in 0..pages {
        let at = (page * NEW_PAGE_BYTES + (page * 577) % NEW_PAGE_BYTES) as u64;
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 1 << (page % 8)], at).unwrap();
        file.set_modified(changed).unwrap();
        assert_eq!(
            damaged_pages(&path).unwrap(),
            [u32::try_from(page).unwrap() + 1]
        );
        file.write_all_at(&byte, at).unwrap();
        file.set_modified(changed).unwrap();
    }
}

#[test]
fn the_size_of_a_page_is_known_also_where_the_first_page_does_not_say_it() {
    let dir = tempfile::tempdir().unwrap();
    let (path, changed) = a_database(dir.path());
    assert_eq!(noted_page_bytes(&path).unwrap(), NEW_PAGE_BYTES);
    let file = File::options().write(true).open(&path).unwrap();
    file.write_all_at(&[0x14], 16).unwrap();
    file.set_modified(changed).unwrap();
    assert_eq!(page_bytes_of(&path).unwrap(), NEW_PAGE_BYTES);
    assert_eq!(damaged_pages(&path).unwrap(), [1]);
}

#[test]
fn a_database_of_before_keeps_its_large_pages_and_its_sums() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("site.db");
    let made = rusqlite::Connection::open(&path).unwrap();
    made.execute_batch("PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; VACUUM")
        .unwrap();
    drop(made);
    let (_, changed) = a_database(dir.path());
    assert_eq!(page_bytes_of(&path).unwrap(), OLD_PAGE_BYTES);
    // As programs of before have them.
    let sums = PageSums::open(&path).unwrap();
    let at = PAGE_BYTES_AT as u64;
    sums.file.write_all_at(&[0; 4], at).unwrap();
    assert_eq!(damaged_pages(&path).unwrap(), [0u32; 0]);
    let file = File::options().write(true).open(&path).unwrap();
    file.write_all_at(b"?", 5 * 4096 + 4000).unwrap();
    file.set_modified(changed).unwrap();
    assert_eq!(damaged_pages(&path).unwrap(), [6]);
}

#[test]
fn what_another_program_has_written_is_no_damage_and_is_watched_from_then_on() {
    let dir = tempfile::tempdir().unwrap();
    let (path, _) = a_database(dir.path());
    let other = rusqlite::Connection::open(&path).unwrap();
    other
        .execute_batch("UPDATE settings SET value = 'another' WHERE id = 3")
        .unwrap();
    other.close().unwrap();
    assert_eq!(damaged_pages(&path).unwrap(), [0u32; 0]);
    Database::open(&path).unwrap().close();
    let sums = fs::metadata(dir.path().join("site.db-sums")).unwrap().len();
    assert!(sums > HEADER_BYTES + 30 * 16, "{sums}");
    assert_eq!(damaged_pages(&path).unwrap(), [0u32; 0]);
}

#[test]
fn a_page_that_a_reader_keeps_out_of_the_database_is_damaged_only_when_it_should_be_there() {
    let dir = tempfile::tempdir().unwrap();
    let (path, _) = a_database(dir.path());
    let sums = PageSums::open(&path).unwrap();
    // Nothing is known of it yet, as after a restore, and the log has another version.
    sums.file.write_all_at(&entry(0, 0), offset(2)).unwrap();
    let versions = Versions::from([(2, vec![12_345])]);
    for (is_all_written, damaged) in [(false, vec![]), (true, vec![2])] {
        let written = sums.around(&versions, || Ok::<_, io::Error>(is_all_written));
        assert_eq!(written.unwrap(), is_all_written);
        assert_eq!(damaged_pages(&path).unwrap(), damaged);
    }
}
