//! Backups where there is no room, or where something that cannot be read is in the way.

use std::{fs, path::Path, sync::atomic::AtomicBool};

use super::{
    folder::FolderStore,
    repository::Repository,
    store::{Held, Store, Stored, no_room},
    tests::{NEVER, Place, noise, quiet},
    *,
};
use crate::base::{Error, Result, Timestamp};

const DAY_S: i64 = 24 * 3600;

/// A disk with so many bytes for files, and perhaps none that a backup could be tried on.
struct Small {
    inner: FolderStore,
    bytes: u64,
}

impl Small {
    fn take(&self, bytes: usize) -> Result<()> {
        let mut used = 0;
        for folder in ["objects", "backups", "tried"] {
            used += self
                .inner
                .list(folder)?
                .iter()
                .map(|f| f.bytes)
                .sum::<u64>();
        }
        if used + bytes as u64 > self.bytes {
            return Err(no_room(self.place(), "it is full"));
        }
        Ok(())
    }
}

impl Store for Small {
    fn place(&self) -> String {
        self.inner.place()
    }
    fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.take(bytes.len())?;
        self.inner.put(name, bytes)
    }
    fn publish(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.take(bytes.len())?;
        self.inner.publish(name, bytes)
    }
    fn get(&self, name: &str, max_bytes: usize) -> Result<Option<Vec<u8>>> {
        self.inner.get(name, max_bytes)
    }
    fn list(&self, folder: &str) -> Result<Vec<Stored>> {
        self.inner.list(folder)
    }
    fn remove(&self, name: &str) -> Result<()> {
        self.inner.remove(name)
    }
    fn lock(&self, to_change: bool) -> Result<Box<dyn Held>> {
        self.inner.lock(to_change)
    }
    fn sweep(&self) {
        self.inner.sweep();
    }
    fn scratch(&self) -> Option<&Path> {
        self.inner.scratch()
    }
}

fn small(place: &Place, bytes: u64) -> Repository {
    let inner = FolderStore::new(&place.store());
    Repository::open(Box::new(Small { inner, bytes }), &Keys::default())
        .unwrap()
        .unwrap()
}

fn used(place: &Place) -> u64 {
    let files = tests::everything(&place.store());
    files.values().map(|bytes| bytes.len() as u64).sum()
}

/// Lets a backup be so many days older than it is.
fn age(place: &Place, number: u64, days: i64) {
    let repository = place.repository();
    let contents = repository.contents().unwrap();
    let mut all = contents.kept.into_iter();
    let kept = all.find(|kept| kept.manifest.number == number).unwrap();
    let mut manifest = kept.manifest;
    manifest.made_at = Timestamp(manifest.made_at.0 - days * DAY_S);
    let all_tried = repository.all_tried().unwrap();
    let tried = repository.tried_among(&all_tried, &kept.name).unwrap();
    let file = format!("backups/{}.json", kept.name);
    repository.store.remove(&file).unwrap();
    repository.forget_tried(&kept.name).unwrap();
    repository.publish(&manifest).unwrap();
    let contents = repository.contents().unwrap();
    let mut all = contents.kept.into_iter();
    let kept = all.find(|kept| kept.manifest.number == number).unwrap();
    if let Some(tried) = tried {
        repository.write_tried(&kept.name, &tried).unwrap();
    }
}

fn numbers(place: &Place) -> Vec<u64> {
    let listed = list(&place.repository()).unwrap();
    listed.iter().map(|backup| backup.number).collect()
}

fn with_round<T>(place: &Place, days: usize, work: impl FnOnce(&Round<'_>) -> T) -> T {
    let (source, target) = (place.source(), place.target());
    work(&Round {
        source: &source,
        target: &target,
        takes_new_place: false,
        takes_over: true,
        tries: true,
        keys: Keys::of_machine(place.folder.root()),
        encryption: Encryption::default(),
        rule: Some(Rule {
            hours: 0,
            days,
            weeks: 0,
            months: 0,
        }),
    })
}

fn record(place: &Place) -> Record {
    State::load(place.folder.root()).of(&place.target().to_string())
}

#[test]
fn a_full_place_makes_room_by_the_rule_and_keeps_the_last_proven_backup() {
    let place = Place::new();
    for n in 0..3 {
        let hash = place.add_media(&noise(100_000));
        with_round(&place, 9, |round| round.go(&quiet, &NEVER)).unwrap();
        // The next one has other files, so what goes with this one is room for it.
        forget_media(&place, &hash);
        age(&place, n + 1, 10 - i64::try_from(n).unwrap());
    }
    assert_eq!(numbers(&place), [3, 2, 1]);
    // Nobody but the rule may remove anything: with room for all of them under it, the error is told.
    let kept = place.add_media(&noise(100_000));
    let full = small(&place, used(&place) + 20_000);
    let go = |days| {
        with_round(&place, days, |round| {
            round.go_in(&round.target.name(), &full, &quiet, &NEVER)
        })
    };
    let told = go(9).unwrap_err();
    assert!(store::is_no_room(&told), "{told}");
    assert_eq!(numbers(&place), [3, 2, 1]);
    // A rule for three days has room for two beside the new one.
    let outcome = go(3).unwrap();
    assert!(outcome.trial.unwrap().unwrap().problems.is_empty());
    assert_eq!(numbers(&place), [4, 3, 2]);
    // One that has no room even so costs no backup that is proven last, and not one more each time.
    forget_media(&place, &kept);
    place.add_media(&noise(2_000_000));
    for _ in 0..3 {
        go(1).unwrap_err();
        assert_eq!(numbers(&place), [4]);
    }
    assert!(place.trial().is_empty());
}

/// Lets the site have one file less.
fn forget_media(place: &Place, hash: &str) {
    let mut change = crate::db::Change::new();
    change.push("DELETE FROM media WHERE hash = ?1", vec![hash.into()]);
    let database = crate::db::Database::open(&place.folder.database()).unwrap();
    database.apply_blocking(change).unwrap();
    database.close();
}

#[test]
fn a_backup_that_cannot_be_tried_counts_as_made_and_is_tried_again_instead_of_another() {
    let place = Place::new();
    let stopped = AtomicBool::new(false);
    // A folder cannot be made where a file is: no trial can be done. Root may write anywhere, so rights would not do.
    let repository = small(place_with_backup(&place), u64::MAX);
    let broken = Repository {
        store: Box::new(NoScratch(repository.store)),
        ..repository
    };
    let outcome = with_round(&place, 1, |round| {
        round.go_in(&round.target.name(), &broken, &quiet, &stopped)
    })
    .unwrap();
    outcome.trial.unwrap().unwrap_err();
    assert_eq!(numbers(&place)[0], 2, "it is there");
    let noted = record(&place);
    let untried = noted.untried.unwrap();
    assert_eq!(untried.number, 2);
    assert!(noted.failed.unwrap().1.contains("could not be tried"));
    let daily = schedule::When::Every(DAY_S);
    let due = |at| {
        let record = record(&place);
        let zone = jiff::tz::TimeZone::UTC;
        let is_due = schedule::is_due(daily, &record, at, 0, &zone);
        let is_trial_due = record
            .untried
            .is_some_and(|untried| schedule::is_trial_due(&untried, at));
        (is_due, is_trial_due)
    };
    let now = Timestamp::now();
    assert_eq!(due(now), (false, false));
    let in_an_hour = Timestamp(now.0 + 3700);
    assert_eq!(due(in_an_hour), (false, true), "no other one is made");
    assert_eq!(due(Timestamp(now.0 + DAY_S + 60)), (true, true));
    // Now it can be, and counts from when it was made.
    let tried = with_round(&place, 1, |round| {
        round.try_again(untried, &quiet, &stopped).unwrap()
    });
    assert!(tried.unwrap().problems.is_empty());
    let noted = record(&place);
    assert_eq!((noted.untried, noted.failed), (None, None));
    assert_eq!(noted.last_proven, Some(untried.made_at));
    assert_eq!(numbers(&place), [2], "and the rule holds again");
    // One that is gone is not asked for for ever.
    let gone = Untried {
        number: 7,
        ..untried
    };
    let tried = with_round(&place, 1, |round| round.try_again(gone, &quiet, &stopped));
    assert!(tried.unwrap().is_none() && record(&place).untried.is_none());
}

fn place_with_backup(place: &Place) -> &Place {
    with_round(place, 1, |round| round.go(&quiet, &NEVER)).unwrap();
    place.add_tag("another");
    place
}

/// A place where no backup can be tried.
struct NoScratch(Box<dyn Store>);

impl Store for NoScratch {
    fn place(&self) -> String {
        self.0.place()
    }
    fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.0.put(name, bytes)
    }
    fn publish(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.0.publish(name, bytes)
    }
    fn get(&self, name: &str, max_bytes: usize) -> Result<Option<Vec<u8>>> {
        self.0.get(name, max_bytes)
    }
    fn list(&self, folder: &str) -> Result<Vec<Stored>> {
        self.0.list(folder)
    }
    fn remove(&self, name: &str) -> Result<()> {
        self.0.remove(name)
    }
    fn lock(&self, to_change: bool) -> Result<Box<dyn Held>> {
        if to_change {
            return self.0.lock(true);
        }
        // The first thing that a trial does.
        Err(Error::CannotSave("there is no room to try it".into()))
    }
    fn sweep(&self) {
        self.0.sweep();
    }
    fn scratch(&self) -> Option<&Path> {
        self.0.scratch()
    }
}

#[test]
fn a_backup_that_cannot_be_read_keeps_what_it_may_need_is_named_and_can_be_forgotten() {
    let place = Place::new();
    let media = place.add_media(&noise(60_000));
    place.back_up();
    assert!(place.trial().is_empty());
    forget_media(&place, &media);
    place.back_up();
    assert!(place.trial().is_empty());
    let repository = place.repository();
    let name = repository.contents().unwrap().kept[0].name.clone();
    let file = format!("backups/{name}.json");
    let path = place.store().join(&file);
    fs::write(&path, "{").unwrap();
    let all = Rule {
        hours: 0,
        days: 9,
        weeks: 0,
        months: 0,
    };
    let before = used(&place);
    let pruned = prune(&repository, all, false).unwrap();
    assert_eq!((used(&place), pruned.freed_bytes), (before, 0));
    assert!(pruned.unswept[0].starts_with(&file), "{pruned:?}");
    // The server says so too, and what to do.
    let listed = list(&repository).unwrap();
    let Trust::Bad(why) = &listed.last().unwrap().trust else {
        panic!("{listed:?}")
    };
    assert!(
        why[0].contains(&format!("webstead backup forget {name}")),
        "{why:?}"
    );
    with_round(&place, 9, |round| round.go(&quiet, &NEVER)).unwrap();
    let told = record(&place).failed.unwrap().1;
    assert!(
        told.contains(&file) && told.contains("/help/backups"),
        "{told}"
    );
    // The last proven one is not forgotten by mistake, and what is not there is not either.
    for wanted in ["3", "17", "00000017-abc"] {
        find_unwanted(&repository, wanted).unwrap_err();
    }
    let unwanted = find_unwanted(&repository, &file).unwrap();
    assert_eq!(find_unwanted(&repository, &name).unwrap(), unwanted);
    let (freed, unswept) = forget(&repository, &unwanted).unwrap();
    assert!(freed > 60_000 && unswept.is_empty(), "{freed} {unswept:?}");
    assert_eq!(numbers(&place), [3]);
    assert!(place.trial().is_empty());
    with_round(&place, 9, |round| round.go(&quiet, &NEVER)).unwrap();
    assert!(record(&place).failed.is_none());
}

#[test]
fn a_list_that_cannot_be_read_keeps_what_it_may_need_until_its_backup_is_forgotten() {
    let place = Place::new();
    place.back_up();
    for n in 0..5 {
        place.add_tag(&format!("more-{n}"));
    }
    place.back_up();
    assert!(place.trial().is_empty());
    let repository = place.repository();
    let first = &repository.contents().unwrap().kept[0];
    let list = first.manifest.database.lists[0].file();
    fs::write(place.store().join(list), "damaged").unwrap();
    let all = Rule {
        hours: 0,
        days: 9,
        weeks: 9,
        months: 9,
    };
    age(&place, 1, 3);
    let pruned = prune(&repository, all, false).unwrap();
    assert_eq!(pruned.kept.len(), 2);
    assert!(pruned.unswept[0].starts_with("backup 1: "), "{pruned:?}");
    let unwanted = find_unwanted(&repository, "1").unwrap();
    let (freed, unswept) = forget(&repository, &unwanted).unwrap();
    assert!(freed > 0 && unswept.is_empty(), "{unswept:?}");
    assert!(place.trial().is_empty());
}
