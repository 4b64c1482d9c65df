//! A repository on another machine, which is reached by SFTP.

mod settings;
mod shelf;

use std::thread;

use self::shelf::Shelf;
pub use self::{
    settings::{HostKey, Place, SftpSettings},
    shelf::{Access, Entry, Refused, Remote},
};
use super::{
    remote::{RemoteFiles, RemoteStore},
    store::{Store, Stored},
};
use crate::base::Result;
pub(super) use settings::SCHEME;

/// Levels of folders below the one that is listed: `objects/ab/abcd` has one.
const MOST_LEVELS: usize = 2;
/// Files that a list has at most; a repository has far fewer.
const MOST_FILES: usize = 4_000_000;
/// Folders that are looked through at the same time.
const MOST_LISTS: usize = 6;

/// A repository on another machine.
pub(super) fn store(place: Place, access: Access) -> Box<dyn Store> {
    Box::new(RemoteStore::new(Shelf::new(place, access)))
}

impl RemoteFiles for Shelf {
    fn put_whole(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.put_whole(name, bytes)
    }

    fn files_below(&self, folder: &str) -> Result<Vec<Stored>> {
        let mut stored = Vec::new();
        let mut folders = vec![folder.to_owned()];
        // A level at a time. Names with a dot at their beginning are nobody's. What is deeper is not ours.
        for _ in 0..MOST_LEVELS {
            let mut below = Vec::new();
            for (folder, entries) in self.look_through(&folders)? {
                for entry in entries {
                    let name = format!("{folder}/{}", entry.name);
                    let is_plain = |c: char| c != '/' && !c.is_control();
                    let is_named = !entry.name.starts_with('.') && entry.name.chars().all(is_plain);
                    if is_named && entry.is_folder {
                        below.push(name);
                    } else if is_named && entry.is_file {
                        let bytes = entry.bytes;
                        stored.push(Stored { name, bytes });
                    }
                }
            }
            folders = below;
            if stored.len() + folders.len() > MOST_FILES {
                return Err(self.fault("it has more in it than a repository"));
            }
        }
        Ok(stored)
    }

    fn met(&self) -> Option<(String, String)> {
        let key = self.access.met.clone();
        key.map(|key| (self.place.machine(), key))
    }

    fn sweep(&self) {
        // What cannot be looked through is swept another time.
        let left = self.list(shelf::MEANTIME).unwrap_or_default();
        for entry in left.iter().filter(|entry| entry.is_file) {
            let _ = self.remove(&format!("{}/{}", shelf::MEANTIME, entry.name));
        }
    }
}

impl Shelf {
    /// What folders have, a few at the same time: each waits for the other machine mostly.
    fn look_through(&self, folders: &[String]) -> Result<Vec<(String, Vec<Entry>)>> {
        let share = folders.len().div_ceil(MOST_LISTS).max(1);
        thread::scope(|scope| {
            let looking: Vec<_> = folders
                .chunks(share)
                .map(|folders| {
                    scope.spawn(|| {
                        let list = |folder: &String| {
                            self.insist_on_going_on()?;
                            let entries = self.list(folder)?;
                            Ok((folder.clone(), entries))
                        };
                        folders.iter().map(list).collect::<Result<Vec<_>>>()
                    })
                })
                .collect();
            let mut all = Vec::new();
            for thread in looking {
                let looked = thread.join();
                all.extend(looked.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
            }
            Ok(all)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    };

    use super::*;
    use crate::base::Error;

    /// A machine with many folders, whose owner has enough after so many questions.
    #[derive(Default)]
    struct Many {
        asked: AtomicUsize,
        stop: Arc<AtomicBool>,
        stops_after: usize,
        is_lost: bool,
    }

    impl Remote for Many {
        fn write(&self, _: &str, _: &[u8]) -> Result<(), Refused> {
            Err(Refused::NoRights)
        }
        fn write_whole(&self, _: &str, _: &str, _: &[u8]) -> Result<(), Refused> {
            Err(Refused::NoRights)
        }
        fn read(&self, _: &str, _: usize) -> Result<Vec<u8>, Refused> {
            Err(Refused::NotThere)
        }
        fn list(&self, path: &str) -> Result<Vec<Entry>, Refused> {
            if self.asked.fetch_add(1, Ordering::Relaxed) == self.stops_after {
                self.stop.store(true, Ordering::Relaxed);
            }
            if self.is_lost {
                return Err(Refused::Unreachable("the line was cut".into()));
            }
            let is_folder = path.ends_with("/objects");
            let entry = |n: usize| Entry {
                name: format!("{n:02x}"),
                is_folder,
                is_file: !is_folder,
                bytes: 1,
                written_at_s: None,
            };
            Ok((0..256).map(entry).collect())
        }
        fn remove(&self, _: &str) -> Result<(), Refused> {
            Ok(())
        }
        fn make_folder(&self, _: &str) -> Result<(), Refused> {
            Ok(())
        }
        fn free_bytes(&self, _: &str) -> Option<u64> {
            None
        }
    }

    fn shelf(many: Many) -> (Shelf, Arc<Many>) {
        let many = Arc::new(many);
        let access = Access {
            remote: Arc::clone(&many) as Arc<dyn Remote>,
            tries: 7,
            shown: String::new(),
            met: None,
            stop: Arc::clone(&many.stop),
        };
        let place = "sftp://ada@nas.example/x".parse().unwrap();
        (Shelf::new(place, access), many)
    }

    #[test]
    fn a_long_list_ends_soon_when_whoever_asks_has_to_end() {
        let (all, _) = shelf(Many {
            stops_after: usize::MAX,
            ..Many::default()
        });
        assert_eq!(all.files_below("objects").unwrap().len(), 256 * 256);
        let (stopped, many) = shelf(Many {
            stops_after: 10,
            ..Many::default()
        });
        let error = stopped.files_below("objects").unwrap_err();
        assert!(matches!(error, Error::Busy(_)), "{error}");
        let asked = many.asked.load(Ordering::Relaxed);
        assert!(asked < 11 + MOST_LISTS, "{asked}");
        let (lost, many) = shelf(Many {
            is_lost: true,
            ..Many::default()
        });
        lost.files_below("objects").unwrap_err();
        assert_eq!(
            many.asked.load(Ordering::Relaxed),
            1,
            "nothing is tried again"
        );
    }
}
