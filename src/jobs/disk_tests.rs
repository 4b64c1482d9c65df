//! Tests of the keeper of the disk, and of its ledger.

use std::collections::BTreeMap;

use super::{Check, DiskKeeper, Ledger, MAX_DAYS};
use crate::{
    base::Timestamp,
    db::{Database, Trouble},
};

fn totals(log: u64, media: u64) -> BTreeMap<String, u64> {
    let all = [("site.db-wal", log), ("media/", media)];
    all.into_iter()
        .map(|(name, sum)| (name.to_owned(), sum))
        .collect()
}

#[test]
fn a_ledger_that_is_not_what_was_written_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Ledger::load(dir.path()).unwrap().days.is_empty());
    let mut ledger = Ledger::default();
    ledger.add("2026-11-26".into(), &totals(0, 0), &totals(100, 7));
    ledger.save(dir.path()).unwrap();
    let path = dir.path().join(super::FILE);
    assert_eq!(Ledger::load(dir.path()).unwrap().days, ledger.days);
    let written = std::fs::read(&path).unwrap();
    for at in 0..written.len() - 1 {
        let mut damaged = written.clone();
        damaged[at] ^= 1 << (at % 8);
        std::fs::write(&path, damaged).unwrap();
        let error = Ledger::load(dir.path()).unwrap_err();
        assert!(
            matches!(error, crate::base::Error::Damaged(_)),
            "{at}: {error}"
        );
    }
    // One of before has no sum.
    let end = written.iter().position(|byte| *byte == b'\n').unwrap();
    std::fs::write(&path, &written[..end]).unwrap();
    assert_eq!(Ledger::load(dir.path()).unwrap().days, ledger.days);
}

#[test]
fn a_check_that_could_not_be_made_takes_no_alarm_back() {
    let dir = tempfile::tempdir().unwrap();
    let bad = vec!["media/a.jpg is damaged".to_owned()];
    let mut ledger = Ledger::default();
    ledger.checks.push(Check {
        at: Timestamp(0),
        is_full: true,
        took_s: 1,
        problems: bad.clone(),
        bad_files: bad.clone(),
        unseen: Vec::new(),
    });
    ledger.save(dir.path()).unwrap();
    let database = Database::open(&dir.path().join("site.db")).unwrap();
    let is_told = |database: &Database| {
        let troubles = database.health().troubles();
        troubles.contains(&Trouble::BadFiles(bad.clone()))
    };
    let keeper = DiskKeeper::new(dir.path(), database.clone());
    // The program of the tests knows no such command.
    for is_full in [true, false] {
        keeper.check(is_full);
        let last = keeper.ledger().checks.pop().unwrap();
        assert_eq!((last.is_full, last.unseen.len()), (is_full, 1));
        assert!(last.problems.is_empty());
        assert!(is_told(&database), "{is_full}");
    }
    // Nor does the next start.
    database.health().note_bad_files(Vec::new());
    drop(DiskKeeper::new(dir.path(), database.clone()));
    assert!(is_told(&database));
}

#[test]
fn bytes_are_added_to_the_day_on_which_they_were_written() {
    let mut ledger = Ledger::default();
    assert!(ledger.add("1970-01-01".into(), &totals(0, 0), &totals(100, 0)));
    assert!(!ledger.add("1970-01-01".into(), &totals(100, 0), &totals(150, 7)));
    assert_eq!(ledger.days[0].bytes, totals(150, 7));
    // The clock jumps, and back.
    assert!(ledger.add("2026-11-26".into(), &totals(150, 7), &totals(151, 7)));
    assert_eq!(ledger.days[1].bytes["site.db-wal"], 1);
    ledger.add("2026-11-27".into(), &totals(151, 7), &totals(151, 7));
    assert_eq!(ledger.days.len(), 2, "a day without a byte is none");
    for n in 0..100 {
        ledger.add(n.to_string(), &totals(n, 0), &totals(n + 1, 0));
    }
    assert_eq!(ledger.days.len(), MAX_DAYS);
}
