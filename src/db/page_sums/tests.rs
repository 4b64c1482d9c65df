//! What the sums of pages notice.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::Path,
    time::SystemTime,
};

use super::{form::PAGE_BYTES_AT, look::Seen, *};
use crate::db::{Change, Database};

pub(super) fn damaged_pages(database: &Path) -> io::Result<Vec<u32>> {
    look_at_sums(database).map(|seen| seen.damaged)
}

/// A database whose log was written back, and what was changed about it meanwhile.
pub(super) fn a_database(dir: &Path) -> (PathBuf, SystemTime) {
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
    // As programs of before have them, the first of which did not note the size.
    as_before(&path);
    let old = beside(&path, OLD_SUMS);
    let file = File::options().write(true).open(old).unwrap();
    file.write_all_at(&[0; 4], PAGE_BYTES_AT as u64).unwrap();
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
    let sums = fs::metadata(dir.path().join("site.db-sums2"))
        .unwrap()
        .len();
    assert!(sums > HEADER_BYTES + 30 * 16, "{sums}");
    assert_eq!(damaged_pages(&path).unwrap(), [0u32; 0]);
}

#[test]
fn a_page_that_a_reader_keeps_out_of_the_database_is_damaged_only_when_it_should_be_there() {
    let dir = tempfile::tempdir().unwrap();
    let (path, _) = a_database(dir.path());
    let sums = PageSums::open(&path).unwrap();
    // Nothing is known of it yet, as after a restore, and the log has another version.
    let at = offset(Form::New, 2);
    sums.file.write_all_at(&entry(2, 0, 0), at).unwrap();
    let versions = Versions::from([(2, vec![12_345])]);
    for (is_all_written, damaged) in [(false, vec![]), (true, vec![2])] {
        let written = sums.around(&versions, || Ok::<_, io::Error>(is_all_written));
        assert_eq!(written.unwrap(), is_all_written);
        assert_eq!(damaged_pages(&path).unwrap(), damaged);
    }
}

/// Lets the sums of a database be those that a program of before has left.
fn as_before(database: &Path) {
    let (new, old) = (beside(database, SUMS), beside(database, OLD_SUMS));
    let file = File::open(&new).unwrap();
    let header = read_header(Form::New, &file).unwrap().header().unwrap();
    let mut bytes = b"WSTDSUM1".to_vec();
    for number in header.looks.0 {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend([0; 4]);
    bytes.extend(
        u32::try_from(header.page_bytes.unwrap())
            .unwrap()
            .to_le_bytes(),
    );
    bytes.resize(64, 0);
    let (mut entries, file) = (BTreeMap::new(), File::open(database).unwrap());
    let page_bytes = page_bytes_of(database).unwrap();
    let mut page = 0;
    each_page(database, page_bytes, |content| {
        page += 1;
        let (a, b) = add_up(content, false, (page, !page));
        entries.insert(page, u64::from(a) << 32 | u64::from(b));
    })
    .unwrap();
    drop(file);
    for sum in entries.into_values() {
        bytes.extend(sum.to_le_bytes());
        bytes.extend([0; 8]);
    }
    fs::write(old, bytes).unwrap();
    fs::remove_file(new).unwrap();
}

#[test]
fn what_a_program_of_before_has_noted_is_believed_and_taken_over_without_reading_the_pages() {
    let dir = tempfile::tempdir().unwrap();
    let (path, changed) = a_database(dir.path());
    as_before(&path);
    let flip = |byte: u8| {
        let file = File::options().write(true).open(&path).unwrap();
        file.write_all_at(&[byte], (20 * NEW_PAGE_BYTES + 300) as u64)
            .unwrap();
        file.set_modified(changed).unwrap();
    };
    let there = fs::read(&path).unwrap()[20 * NEW_PAGE_BYTES + 300];
    flip(there ^ 4);
    assert_eq!(
        damaged_pages(&path).unwrap(),
        [21],
        "by a check before the first start"
    );
    PageSums::open(&path).unwrap();
    assert_eq!(
        damaged_pages(&path).unwrap(),
        [21],
        "it is not taken for what was written"
    );
    assert!(
        beside(&path, OLD_SUMS).exists(),
        "an older program may still use it"
    );
    flip(there);
    // Nobody has written since, so that program may still go on with them.
    PageSums::open(&path).unwrap();
    assert!(beside(&path, OLD_SUMS).exists());
    let sums = PageSums::open(&path).unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    let write_back = || file.set_modified(SystemTime::now()).map(|()| true);
    sums.around(&Versions::new(), write_back).unwrap();
    PageSums::open(&path).unwrap();
    assert!(!beside(&path, OLD_SUMS).exists());
    assert_eq!(look_at_sums(&path).unwrap(), Seen::default());
}

#[test]
fn what_an_older_server_has_noted_is_taken_over_also_after_a_newer_command_was_there() {
    let dir = tempfile::tempdir().unwrap();
    let (path, _) = a_database(dir.path());
    as_before(&path);
    for _ in 0..2 {
        PageSums::open(&path).unwrap();
    }
    let new = fs::read(beside(&path, SUMS)).unwrap();
    // That server writes back, and notes it in its own file.
    let file = File::options().write(true).open(&path).unwrap();
    let at = 20 * NEW_PAGE_BYTES as u64 + 300;
    file.write_all_at(b"by the server", at).unwrap();
    let changed = SystemTime::now();
    file.set_modified(changed).unwrap();
    begin_again(&path);
    as_before(&path);
    fs::write(beside(&path, SUMS), new).unwrap();
    // Then a bit flips: who took what is on the disk for right would not see it.
    file.write_all_at(b"c", at).unwrap();
    file.set_modified(changed).unwrap();
    for way in ["by a check", "after the next start"] {
        assert_eq!(damaged_pages(&path).unwrap(), [21], "{way}");
        PageSums::open(&path).unwrap();
    }
}

/// Notes what is there now as what was written.
fn begin_again(database: &Path) {
    fs::remove_file(beside(database, OLD_SUMS)).unwrap();
    fs::remove_file(beside(database, SUMS)).unwrap();
    PageSums::open(database).unwrap();
}

#[test]
fn where_there_is_nothing_to_compare_with_that_is_said_until_the_next_start() {
    type Spoil = fn(&Path);
    let removed: Spoil = |path| fs::remove_file(beside(path, SUMS)).unwrap();
    let copied: Spoil = |path| {
        let copy = path.with_extension("copy");
        fs::copy(path, &copy).unwrap();
        fs::rename(copy, path).unwrap();
    };
    let forgotten: Spoil = |path| {
        let file = File::options()
            .write(true)
            .open(beside(path, SUMS))
            .unwrap();
        let zeros = [0; 3 * 16];
        file.write_all_at(&zeros, offset(Form::New, 7)).unwrap();
    };
    for (spoil, why) in [
        (removed, Uncompared::Missing),
        (copied, Uncompared::OfAnother),
        (forgotten, Uncompared::Partly(3, 0)),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let (path, _) = a_database(dir.path());
        spoil(&path);
        let seen = look_at_sums(&path).unwrap();
        let said = match seen.uncompared {
            Some(Uncompared::Partly(pages, _)) => Some(Uncompared::Partly(pages, 0)),
            said => said,
        };
        assert_eq!(said, Some(why));
        assert!(seen.damaged.is_empty() && seen.why_unknown().is_none());
        PageSums::open(&path).unwrap();
        assert_eq!(look_at_sums(&path).unwrap(), Seen::default(), "{why:?}");
    }
}

#[test]
fn a_bit_that_flips_in_the_sums_themselves_is_no_damage_of_the_database_and_hides_none_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let (path, changed) = a_database(dir.path());
    let sums = beside(&path, SUMS);
    let whole = fs::read(&sums).unwrap();
    let pages = (whole.len() as u64 - HEADER_BYTES) / ENTRY_BYTES;
    assert!(pages > 30, "{pages}");
    let mut places: Vec<usize> = (0..128).step_by(5).collect();
    places.extend((128..whole.len()).step_by(37));
    for at in places {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        fs::write(&sums, &flipped).unwrap();
        let seen = look_at_sums(&path).unwrap();
        let page = (at as u64)
            .checked_sub(HEADER_BYTES)
            .map(|at| at / ENTRY_BYTES + 1);
        let unknown: Vec<u32> = page
            .map(|page| u32::try_from(page).unwrap())
            .into_iter()
            .collect();
        assert_eq!((&seen.damaged, &seen.unknown), (&vec![], &unknown), "{at}");
        assert_eq!(seen.why_unknown().is_some(), page.is_some());
        // Damage elsewhere is still seen.
        let other = if unknown == [9] { 12 } else { 9 };
        let file = File::options().read(true).write(true).open(&path).unwrap();
        let (place, mut byte) = ((other - 1) * NEW_PAGE_BYTES as u64 + 300, [0]);
        file.read_exact_at(&mut byte, place).unwrap();
        file.write_all_at(&[byte[0] ^ 1], place).unwrap();
        file.set_modified(changed).unwrap();
        assert_eq!(
            damaged_pages(&path).unwrap(),
            [u32::try_from(other).unwrap()],
            "{at}"
        );
        file.write_all_at(&byte, place).unwrap();
        file.set_modified(changed).unwrap();
        // And saving goes on, also from one that was never opened anew.
        let version = Versions::from([(unknown.first().copied().unwrap_or(3), vec![77])]);
        let open = PageSums::of(&path).unwrap();
        assert!(open.around(&version, || Ok::<_, io::Error>(true)).unwrap());
        fs::write(&sums, &flipped).unwrap();
        // The next start mends it.
        PageSums::open(&path).unwrap();
        assert_eq!(look_at_sums(&path).unwrap(), Seen::default(), "{at}");
    }
    // Both headers: nothing is known, and that is said.
    let mut flipped = whole;
    flipped[3] ^= 1;
    flipped[70] ^= 1;
    fs::write(&sums, &flipped).unwrap();
    let seen = look_at_sums(&path).unwrap();
    assert!(seen.is_unknown && seen.why_unknown().is_some() && seen.damaged.is_empty());
    let verdict = crate::db::look_at_pages(&path);
    assert!(verdict.unseen().is_some(), "{verdict:?}");
    PageSums::open(&path).unwrap();
    assert_eq!(look_at_sums(&path).unwrap(), Seen::default());
}

#[test]
fn what_another_program_writes_while_this_one_has_the_database_is_no_damage_afterwards() {
    let dir = tempfile::tempdir().unwrap();
    let (path, _) = a_database(dir.path());
    let sums = PageSums::open(&path).unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    file.write_all_at(b"by another", (20 * NEW_PAGE_BYTES + 300) as u64)
        .unwrap();
    file.set_modified(SystemTime::now()).unwrap();
    drop(file);
    let versions = Versions::from([(5, vec![])]);
    sums.around(&versions, || Ok::<_, io::Error>(true)).unwrap();
    assert_eq!(damaged_pages(&path).unwrap(), [0u32; 0]);
}

#[test]
fn every_bit_of_a_page_counts_in_its_sum_whatever_the_size_of_the_page() {
    for page_bytes in [1024, 4096, 65536] {
        let mut page: Vec<u8> = (0..=250).cycle().take(page_bytes).collect();
        let whole = sum_of(9, &page);
        // Every bit of small ones, and some of others.
        let step = if page_bytes == 1024 { 1 } else { 641 };
        for bit in (0..page_bytes * 8).step_by(step) {
            page[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(sum_of(9, &page), whole, "{page_bytes} {bit}");
            page[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

/// What an older program does beside: a page is written back, and the log has what was saved since. Its connection.
fn written_back_beside(database: &Path) -> rusqlite::Connection {
    let other = rusqlite::Connection::open(database).unwrap();
    other
        .execute_batch(
            "PRAGMA wal_autocheckpoint = 0; UPDATE settings SET value = 'another' WHERE id = 3",
        )
        .unwrap();
    let (log, _) = versions_in(&log_of(database), NEW_PAGE_BYTES, u64::MAX).unwrap();
    assert!(!log.is_empty());
    let page = (9..1000).find(|page| !log.contains_key(page)).unwrap();
    let file = File::options().write(true).open(database).unwrap();
    let at = u64::from(page - 1) * NEW_PAGE_BYTES as u64 + 300;
    file.write_all_at(b"written back", at).unwrap();
    other
}

/// Lets the sums of before say that a write-back is under way, or that it has ended.
fn set_under_way(old: &Path, is_under_way: bool) {
    let file = File::options().write(true).open(old).unwrap();
    file.write_all_at(&[u8::from(is_under_way)], 40).unwrap();
}

#[test]
fn what_an_older_program_writes_back_beside_this_one_is_never_damage() {
    let at_its_start = |path: &Path| {
        set_under_way(&beside(path, OLD_SUMS), true);
        PageSums::open(path).unwrap();
    };
    let after_it = |path: &Path| {
        PageSums::open(path).unwrap();
    };
    let after_a_write_back_that_failed = |path: &Path| {
        let sums = PageSums::open(path).unwrap();
        let failed = sums.around(&Versions::from([(7, vec![77])]), || {
            Err(io::Error::other("the disk"))
        });
        assert!(failed.is_err());
    };
    let ways: [fn(&Path); 3] = [at_its_start, after_it, after_a_write_back_that_failed];
    for (way, begin) in ways.into_iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        let (path, _) = a_database(dir.path());
        as_before(&path);
        begin(&path);
        let beside = written_back_beside(&path);
        assert_eq!(damaged_pages(&path).unwrap(), [0u32; 0], "{way}");
        drop(beside);
    }
}

#[test]
fn the_sums_of_an_older_program_are_taken_over_when_it_has_written_back_and_not_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let (path, changed) = a_database(dir.path());
    as_before(&path);
    // One bit is damaged already: who took what is on the disk for right would not see it.
    let file = File::options().read(true).write(true).open(&path).unwrap();
    let (at, mut byte) = (5 * NEW_PAGE_BYTES as u64 + 300, [0]);
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
    file.set_modified(changed).unwrap();
    let old = beside(&path, OLD_SUMS);
    let writing = File::open(&old).unwrap();
    writing.lock().unwrap();
    set_under_way(&old, true);
    std::thread::scope(|scope| {
        let opening = scope.spawn(|| PageSums::open(&path).map(drop));
        std::thread::sleep(std::time::Duration::from_millis(200));
        assert!(!opening.is_finished());
        set_under_way(&old, false);
        writing.unlock().unwrap();
        opening.join().unwrap().unwrap();
    });
    assert_eq!(damaged_pages(&path).unwrap(), [6]);
}
