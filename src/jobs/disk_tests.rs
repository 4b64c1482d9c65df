//! Tests of the keeper of the disk, and of its ledger.

use std::collections::BTreeMap;

use super::{
    Check, DiskKeeper, Ledger, NOTE_EVERY,
    ledger::{FILE, MAX_DAYS, is_news},
};
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
    let path = dir.path().join(FILE);
    assert_eq!(Ledger::load(dir.path()).unwrap().days, ledger.days);
    let written = std::fs::read(&path).unwrap();
    for bit in 0..written.len() * 8 {
        let (at, mut damaged) = (bit / 8, written.clone());
        damaged[at] ^= 1 << (bit % 8);
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
        is_made: true,
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
    ledger.add("1970-01-01".into(), &totals(0, 0), &totals(100, 0));
    ledger.add("1970-01-01".into(), &totals(100, 0), &totals(150, 7));
    assert_eq!(ledger.days[0].bytes, totals(150, 7));
    // The clock jumps, and back.
    ledger.add("2026-11-26".into(), &totals(150, 7), &totals(151, 7));
    assert_eq!(ledger.days[1].bytes["site.db-wal"], 1);
    ledger.add("2026-11-27".into(), &totals(151, 7), &totals(151, 7));
    assert_eq!(ledger.days.len(), 2, "a day without a byte is none");
    for n in 0..100 {
        ledger.add(n.to_string(), &totals(n, 0), &totals(n + 1, 0));
    }
    assert_eq!(ledger.days.len(), MAX_DAYS);
}

#[test]
fn the_ledger_is_not_written_because_it_was_written_nor_every_few_seconds_where_it_cannot_be() {
    let before = totals(100, 7);
    assert!(!is_news(&before, &before));
    let mut now = before.clone();
    now.insert(FILE.to_owned(), 3000);
    assert!(!is_news(&before, &now));
    now.insert("media/".to_owned(), 8);
    assert!(is_news(&before, &now));

    let dir = tempfile::tempdir().unwrap();
    let database = Database::open(&dir.path().join("site.db")).unwrap();
    let keeper = DiskKeeper::new(dir.path(), database);
    // Nothing can take this name.
    let path = dir.path().join(FILE);
    std::fs::create_dir(&path).unwrap();
    let tries = || {
        let noted = keeper.lock().noted;
        crate::base::written::count("media/", 1);
        keeper.look();
        keeper.lock().noted != noted
    };
    assert!(!tries(), "an hour has not passed");
    let Some(long_ago) = std::time::Instant::now().checked_sub(NOTE_EVERY) else {
        return;
    };
    keeper.lock().noted = long_ago;
    assert!(tries() && keeper.lock().is_told && keeper.lock().is_unnoted);
    assert!(!tries() && !tries(), "it is tried again in an hour");
    std::fs::remove_dir(&path).unwrap();
    keeper.lock().noted = long_ago;
    assert!(tries() && !keeper.lock().is_told && path.exists());
}

#[test]
fn when_everything_was_last_checked_is_known_however_many_other_checks_there_were() {
    let check = |at: i64, is_full: bool, is_made: bool| Check {
        at: Timestamp(at),
        is_full,
        is_made,
        took_s: 1,
        problems: Vec::new(),
        bad_files: Vec::new(),
        unseen: Vec::new(),
    };
    let mut ledger = Ledger::default();
    ledger.add_check(check(1, true, true));
    ledger.add_check(check(2, true, false));
    for at in 3..100 {
        ledger.add_check(check(at, false, true));
    }
    assert_eq!(ledger.checks.len(), 20);
    assert_eq!(ledger.last_made_full().unwrap().at, Timestamp(1));
    ledger.add_check(check(100, true, true));
    ledger.add_check(check(101, true, true));
    assert_eq!(ledger.checks.len(), 20);
    assert_eq!(ledger.last_made_full().unwrap().at, Timestamp(101));
    assert_eq!(
        ledger.checks[0].at,
        Timestamp(82),
        "the older ones go first"
    );
    // In a ledger of before, each was made.
    let text = r#"{"at":5,"is_full":true,"took_s":1,"problems":[]}"#;
    let of_before: Check = serde_json::from_str(text).unwrap();
    assert!(of_before.is_made);
}

#[test]
fn what_another_process_has_written_is_counted_once() {
    let dir = tempfile::tempdir().unwrap();
    let name = "a file of another process";
    crate::base::written::count(name, 700);
    let counted = || {
        let totals = crate::base::written::totals();
        totals.get(name).copied().unwrap_or(0)
    };
    crate::base::written::leave(dir.path(), &BTreeMap::new());
    let rubbish = dir.path().join(".written-x");
    std::fs::write(&rubbish, "x").unwrap();
    crate::base::written::take_over(dir.path());
    assert_eq!(counted(), 1400);
    crate::base::written::take_over(dir.path());
    assert_eq!(counted(), 1400);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    // And what is counted already is not left.
    crate::base::written::leave(dir.path(), &crate::base::written::totals());
    crate::base::written::take_over(dir.path());
    assert_eq!(counted(), 1400);
}

#[test]
fn what_is_written_is_counted_once_also_when_the_owner_looks_while_the_keeper_counts() {
    const NAME: &str = "counted-at-once";
    let dir = tempfile::tempdir().unwrap();
    let database = Database::open(&dir.path().join("site.db")).unwrap();
    let keeper = DiskKeeper::new(dir.path(), database);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..2000 {
                    crate::base::written::count(NAME, 1);
                    keeper.count();
                }
            });
        }
    });
    let days = keeper.ledger().days;
    let sums = days.iter().filter_map(|day| day.bytes.get(NAME));
    assert_eq!(sums.sum::<u64>(), 8000);
    // And less than before is no reason to end.
    let mut ledger = Ledger::default();
    ledger.add("2026-11-26".into(), &totals(100, 7), &totals(50, 9));
    assert_eq!(
        ledger.days[0].bytes,
        BTreeMap::from([("media/".to_owned(), 2)])
    );
}
