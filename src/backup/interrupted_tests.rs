//! Backups whose disk is pulled out at any moment.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use super::{
    folder::FolderStore,
    repository::{Contents, Repository},
    store::{Held, Store, Stored},
    tests::{NEVER, Place, noise, of_site, quiet},
    *,
};
use crate::base::{Error, Result};

/// A disk that is pulled out after so many operations.
struct PulledOut {
    inner: FolderStore,
    left: AtomicUsize,
    /// Whether the last thing that it does is done, and only the answer is lost.
    loses_answer: bool,
}

impl PulledOut {
    fn step(&self) -> Result<()> {
        let left = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
        left.map(|_| ())
            .map_err(|_| Error::CannotSave("the disk is gone".into()))
    }
}

impl Store for PulledOut {
    fn place(&self) -> String {
        self.inner.place()
    }
    fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.step()?;
        self.inner.put(name, bytes)
    }
    fn publish(&self, name: &str, bytes: &[u8]) -> Result<()> {
        if self.loses_answer && self.left.load(Ordering::Relaxed) == 0 {
            self.inner.publish(name, bytes)?;
        }
        self.step()?;
        self.inner.publish(name, bytes)
    }
    fn get(&self, name: &str, max_bytes: usize) -> Result<Option<Vec<u8>>> {
        self.inner.get(name, max_bytes)
    }
    fn list(&self, folder: &str) -> Result<Vec<Stored>> {
        self.inner.list(folder)
    }
    fn remove(&self, name: &str) -> Result<()> {
        self.step()?;
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

/// A repository whose disk is pulled out after so many operations.
fn pulled_out(place: &Place, after: usize, loses_answer: bool) -> Repository {
    let store = PulledOut {
        inner: FolderStore::new(&place.store()),
        left: AtomicUsize::new(after),
        loses_answer,
    };
    Repository::open(Box::new(store), &Keys::default())
        .unwrap()
        .unwrap()
}

#[test]
fn a_backup_that_is_interrupted_anywhere_leaves_those_before_it_and_no_rubbish_for_long() {
    let place = Place::new();
    place.back_up();
    let first = of_site(place.folder.root());
    place.add_tag("another");
    place.add_media(&noise(50_000));
    for after in 0.. {
        let made = make(
            &place.source(),
            &pulled_out(&place, after, false),
            &quiet,
            &NEVER,
        );
        let Contents { kept, unreadable } = place.repository().contents().unwrap();
        assert!(unreadable.is_empty());
        if made.is_ok() {
            assert!(after > 4 && kept.len() == 2, "{after}");
            break;
        }
        assert_eq!(kept.len(), 1, "{after}");
        assert!(place.trial().is_empty(), "{after}");
    }
    assert_eq!(of_site(&place.restore(Which::Number(1)).unwrap()), first);
    assert_eq!(
        of_site(&place.restore(Which::Latest).unwrap()),
        of_site(place.folder.root())
    );
    fs::create_dir_all(place.store().join("objects/ab")).unwrap();
    let rubbish = ["objects/ab/.5.tmp", "objects/ab/rubbish", "backups/.7.tmp"];
    for name in rubbish {
        fs::write(place.store().join(name), "x").unwrap();
    }
    place.back_up();
    for name in rubbish {
        assert!(!place.store().join(name).exists(), "{name}");
    }
}

#[test]
fn thinning_out_that_is_interrupted_anywhere_leaves_the_others_whole() {
    let place = Place::new();
    for n in 0..3 {
        place.add_tag(&format!("more-{n}"));
        place.back_up();
    }
    let rule = Rule {
        hours: 0,
        days: 1,
        weeks: 0,
        months: 0,
    };
    assert_eq!(
        prune(&place.repository(), rule, true).unwrap().removed,
        [2, 1]
    );
    for after in 0.. {
        let pruned = prune(&pulled_out(&place, after, false), rule, false);
        assert!(place.trial().is_empty(), "{after}");
        if pruned.is_ok() {
            break;
        }
    }
    prune(&place.repository(), rule, false).unwrap();
    assert_eq!(list(&place.repository()).unwrap().len(), 1);
    let (named, _) = place
        .repository()
        .named(&place.repository().contents().unwrap().kept);
    let there = place.repository().store.list("objects").unwrap();
    assert_eq!(there.len(), named.objects.len(), "nothing is left over");
    assert_eq!(
        of_site(&place.restore(Which::Latest).unwrap()),
        of_site(place.folder.root())
    );
}

#[test]
fn a_backup_whose_last_answer_is_lost_is_whole_or_not_there() {
    let place = Place::new();
    place.back_up();
    place.add_tag("another");
    for after in 0.. {
        let repository = pulled_out(&place, after, true);
        let made = make(&place.source(), &repository, &quiet, &NEVER);
        assert!(place.trial().is_empty(), "{after}");
        let kept = place.repository().contents().unwrap().kept.len();
        if made.is_ok() {
            assert!(after > 2 && kept > 1, "{after}");
            break;
        }
    }
}
