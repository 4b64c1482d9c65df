//! Backups among which there is one that cannot be read.

use std::fs;

use super::{
    tests::{NEVER, Place, of_site, quiet},
    *,
};

/// Damages the file of a backup.
fn spoil(place: &Place, number: u64) {
    let files = fs::read_dir(place.store().join("backups")).unwrap();
    let mut files = files.map(|entry| entry.unwrap().path());
    let start = format!("{number:08}-");
    let is_it = |path: &std::path::PathBuf| {
        path.file_name()
            .unwrap()
            .to_string_lossy()
            .starts_with(&start)
    };
    let file = files.find(is_it).unwrap();
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();
}

#[test]
fn an_older_backup_is_never_taken_for_the_latest_and_no_number_is_given_twice() {
    let place = Place::new();
    place.back_up();
    let first = of_site(&place.restore(Which::Number(1)).unwrap());
    place.add_tag("since then");
    place.back_up();
    spoil(&place, 2);
    let refused = place.restore(Which::Latest).unwrap_err().to_string();
    for word in [
        "newest backup",
        ", 2,",
        "backups/00000002-",
        "backup 1 of",
        "say 1",
    ] {
        assert!(refused.contains(word), "{word}: {refused}");
    }
    let scratch = place.dir.path();
    try_out(&place.repository(), Which::Latest, scratch, &quiet, &NEVER).unwrap_err();
    let refused = place.restore(Which::Number(2)).unwrap_err().to_string();
    assert!(
        refused.contains("cannot be read (backups/00000002-"),
        "{refused}"
    );
    assert_eq!(of_site(&place.restore(Which::Number(1)).unwrap()), first);
    let numbers = || -> Vec<(u64, Option<u64>)> {
        let listed = list(&place.repository()).unwrap();
        listed.iter().map(|b| (b.number, b.of_file)).collect()
    };
    assert_eq!(numbers(), [(0, Some(2)), (1, Some(1))]);
    let rule = Rule {
        hours: 0,
        days: 1,
        weeks: 0,
        months: 0,
    };
    let pruned = prune(&place.repository(), rule, true).unwrap();
    assert!(pruned.unswept[0].contains("00000002-"), "{pruned:?}");
    assert_eq!(place.back_up().number, 3);
    assert_eq!(numbers(), [(3, Some(3)), (0, Some(2)), (1, Some(1))]);
    // There is a newer one that can be read.
    place.restore(Which::Latest).unwrap();
    // What has no number may be the newest.
    fs::write(place.store().join("backups/x.json"), "{").unwrap();
    let refused = place.restore(Which::Latest).unwrap_err().to_string();
    assert!(refused.contains("may be the newest"), "{refused}");
    assert_eq!(place.back_up().number, 4);
}
