//! Keeps others out of a repository in a place that has no locks of its own.
//!
//! Who wants it puts a file into `locks/`, and only then looks whether others have one. So two who come at the same
//! time see each other, and both give up. The file is written anew every minute; one that was not for ten minutes, by
//! the clock of the place, is of somebody who was cut off.

use std::{
    fs,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime},
};

use super::store::{Held, is_no_room};
use crate::base::{Error, Id, Result, Timestamp};

/// Where the files are.
pub(super) const FOLDER: &str = "locks/";
/// How the file of one who changes the repository begins, and of one who only reads.
const CHANGES: &str = "change-";
const READS: &str = "read-";
/// How often a file is written anew.
const RENEW: Duration = Duration::from_mins(1);
/// After this time without that, nobody has it any more.
const STALE_S: i64 = 10 * 60;
/// The same.
const STALE: Duration = Duration::from_mins(10);
/// Who was cut off for so long gives up by itself, well before others take over.
const LOST: Duration = Duration::from_mins(5);
/// The most bytes of a file.
const MOST_BYTES: usize = 1024;

/// A place in which locks are files.
pub(super) trait LockFiles: Send + Sync {
    /// What people call the place.
    fn place(&self) -> String;

    /// Writes the file of a lock, or writes it anew.
    fn put(&self, name: &str, bytes: &[u8]) -> Result<()>;

    /// The content of the file of a lock, of at most so many bytes.
    fn get(&self, name: &str, max_bytes: usize) -> Result<Option<Vec<u8>>>;

    /// Removes the file of a lock.
    fn remove(&self, name: &str) -> Result<()>;

    /// The files in `locks/`, and when each was written by the clock of the place.
    fn locks(&self) -> Result<Vec<(String, Option<Timestamp>)>>;
}

/// What is said of a lock that was lost.
pub(super) const LOST_WORDS: &str = "it was out of reach for minutes, and somebody else may have changed the backups \
    meanwhile; the next backup goes on from here";

/// Whether a file may be removed only by who has the lock.
pub(super) fn guards(name: &str) -> bool {
    name.starts_with("objects/") || name.starts_with("backups/")
}

/// Whether a lock still holds.
#[derive(Default)]
pub(super) struct Hold {
    is_lost: AtomicBool,
    /// When it was renewed, by a clock that nobody sets, and by one that goes on while the machine sleeps.
    last: Mutex<Option<(Instant, SystemTime)>>,
}

impl Hold {
    fn renewed(&self) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let before = last.replace((Instant::now(), SystemTime::now()));
        if before.is_some_and(is_long_ago) {
            self.lose();
        }
    }

    fn lose(&self) {
        self.is_lost.store(true, Ordering::Relaxed);
    }

    /// Whether others may have taken the repository meanwhile.
    pub(super) fn is_lost(&self) -> bool {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_lost.load(Ordering::Relaxed) || last.is_some_and(is_long_ago)
    }
}

/// Whether others may have taken what was renewed last at this time.
fn is_long_ago((at, by_wall_clock): (Instant, SystemTime)) -> bool {
    let asleep = by_wall_clock.elapsed().unwrap_or_default();
    at.elapsed() > LOST || asleep > STALE
}

/// A file in `locks/`, for as long as this is there.
struct Lock {
    shelf: Arc<dyn LockFiles>,
    name: String,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Held for Lock {}

impl Drop for Lock {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        // Otherwise it is stale soon.
        let _ = self.shelf.remove(&self.name);
    }
}

/// Nothing, for who may not write.
struct Unlocked;

impl Held for Unlocked {}

/// Takes the repository, or says who has it.
pub(super) fn take(
    shelf: &Arc<dyn LockFiles>,
    to_change: bool,
) -> Result<(Box<dyn Held>, Arc<Hold>)> {
    let kind = if to_change { CHANGES } else { READS };
    let name = format!("{FOLDER}{kind}{}", Id::new());
    let (mut me, hold) = (own_process(), Arc::new(Hold::default()));
    let mut put = shelf.put(&name, me.as_bytes());
    if to_change && put.as_ref().is_err_and(is_no_room) {
        // Who removes backups makes room: a file without content finds a place on most disks that are full.
        me.clear();
        put = shelf.put(&name, b"");
    }
    match put {
        Ok(()) => hold.renewed(),
        // Who only reads may have a key that only reads. If nothing can be read either, that is told next.
        Err(_) if !to_change => return Ok((Box::new(Unlocked), hold)),
        Err(e) => {
            // Where the disk is full, the file may be there with nothing in it.
            let _ = shelf.remove(&name);
            return Err(e);
        }
    }
    let mut lock = Lock {
        shelf: Arc::clone(shelf),
        name,
        stop: None,
        thread: None,
    };
    if let Some(other) = other(&**shelf, &lock.name, to_change)? {
        return Err(Error::Invalid(format!(
            "another Webstead is busy with the backups in {} at this moment; try again when it is done (if it was cut \
             off, in {} minutes: it has left {other})",
            shelf.place(),
            STALE_S / 60
        )));
    }
    let (stop, stopped) = mpsc::channel();
    let (of_thread, name, renewed) = (Arc::clone(shelf), lock.name.clone(), Arc::clone(&hold));
    let begun = thread::Builder::new()
        .name("backup lock".into())
        .spawn(move || {
            while stopped.recv_timeout(RENEW) == Err(RecvTimeoutError::Timeout) {
                renew(&*of_thread, &name, me.as_bytes(), &renewed);
            }
        });
    lock.thread = Some(begun.map_err(|e| Error::io("starting", "a thread", e))?);
    lock.stop = Some(stop);
    Ok((Box::new(lock), hold))
}

/// Writes the file of a lock anew, if it is still there and ours: who finds it stale removes it, and takes the repository.
fn renew(shelf: &dyn LockFiles, name: &str, me: &[u8], hold: &Hold) {
    let renewed = shelf.get(name, MOST_BYTES).and_then(|there| {
        if there.as_deref() != Some(me) {
            hold.lose();
        }
        if hold.is_lost() {
            return Ok(());
        }
        shelf.put(name, me)?;
        hold.renewed();
        Ok(())
    });
    if let Err(e) = renewed {
        log::warn!("the lock of the backups cannot be renewed: {e}");
    }
}

/// The lock of another that is in the way; those of who was cut off are removed.
fn other(shelf: &dyn LockFiles, own: &str, to_change: bool) -> Result<Option<String>> {
    let locks = shelf.locks()?;
    // It was written just now: that is the time by the clock of the place.
    let now = locks.iter().find(|(name, _)| name == own);
    let now = now.and_then(|(_, written_at)| *written_at);
    let mut in_the_way = None;
    for (name, written_at) in locks {
        let kind = name.strip_prefix(FOLDER).unwrap_or_default();
        if name == own || !(kind.starts_with(CHANGES) || kind.starts_with(READS)) {
            continue;
        }
        let age_s = match (now, written_at) {
            (Some(now), Some(at)) => now.0 - at.0,
            _ => 0,
        };
        if age_s > STALE_S || has_ended(shelf, &name) {
            if to_change {
                shelf.remove(&name)?;
            }
        } else if to_change || kind.starts_with(CHANGES) {
            in_the_way = Some(name);
        }
    }
    Ok(in_the_way)
}

/// Whether the process that left a lock was one of this machine, since it was started, and is there no more.
fn has_ended(shelf: &dyn LockFiles, name: &str) -> bool {
    let Ok(Some(left)) = shelf.get(name, MOST_BYTES) else {
        return false;
    };
    let left = String::from_utf8_lossy(&left);
    let (own, none) = (own_process(), (String::new(), ""));
    let (machine, pid) = left.rsplit_once(' ').unwrap_or(("", ""));
    let own = own
        .rsplit_once(' ')
        .map_or(none, |(machine, pid)| (machine.to_owned(), pid));
    !machine.trim().is_empty()
        && machine == own.0
        && pid
            .parse::<u32>()
            .is_ok_and(|pid| fs::metadata(format!("/proc/{pid}")).is_err())
}

/// This process: a name that the machine has until it is started anew, the room in which processes are counted, and its
/// number there. Empty where that cannot be said.
fn own_process() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let room = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    let (boot, room) = (boot.trim(), room.display().to_string());
    if boot.is_empty() || room.is_empty() {
        return String::new();
    }
    format!("{boot} {room} {}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::{folder::FolderStore, store::Store as _};

    /// A folder in which locks are files.
    struct OfFiles(FolderStore);

    impl LockFiles for OfFiles {
        fn place(&self) -> String {
            self.0.place()
        }
        fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
            self.0.put(name, bytes)
        }
        fn get(&self, name: &str, max_bytes: usize) -> Result<Option<Vec<u8>>> {
            self.0.get(name, max_bytes)
        }
        fn remove(&self, name: &str) -> Result<()> {
            self.0.remove(name)
        }
        fn locks(&self) -> Result<Vec<(String, Option<Timestamp>)>> {
            let files = self.0.list("locks")?.into_iter();
            Ok(files
                .map(|file| (file.name, Some(Timestamp::now())))
                .collect())
        }
    }

    #[test]
    fn a_lock_that_others_removed_or_took_is_lost_and_not_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = OfFiles(FolderStore::new(dir.path()));
        for theirs in [None, Some(b"another".as_slice())] {
            let (name, hold) = (format!("{FOLDER}{CHANGES}x"), Hold::default());
            shelf.put(&name, b"me").unwrap();
            renew(&shelf, &name, b"me", &hold);
            assert!(!hold.is_lost());
            match theirs {
                None => shelf.remove(&name).unwrap(),
                Some(bytes) => shelf.put(&name, bytes).unwrap(),
            }
            renew(&shelf, &name, b"me", &hold);
            assert!(hold.is_lost());
            assert_eq!(shelf.get(&name, 100).unwrap().as_deref(), theirs);
        }
    }

    #[test]
    fn a_machine_that_slept_has_lost_its_lock() {
        let hold = Hold::default();
        hold.renewed();
        assert!(!hold.is_lost());
        let slept = SystemTime::now() - STALE - Duration::from_secs(1);
        *hold.last.lock().unwrap() = Some((Instant::now(), slept));
        assert!(hold.is_lost());
        hold.renewed();
        assert!(hold.is_lost(), "for good");
    }
}
