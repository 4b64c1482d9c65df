//! What this machine remembers of its backups: `backups.json` in the data folder.

use std::{
    collections::BTreeMap,
    fs::{self, File, TryLockError},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::base::{Error, Result, Timestamp, files};

/// The file's name in the data folder.
const FILE: &str = "backups.json";

/// What a file is called that cannot be understood, once another has its name.
const DAMAGED: &str = "backups.json.damaged";

/// The file in a data folder.
pub(super) fn file_in(data: &Path) -> PathBuf {
    data.join(FILE)
}

/// What is remembered. It is for this machine alone, and a loss of it costs little.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// Each place that was used, as it is really called.
    pub places: BTreeMap<String, Record>,
    /// What a place is called that was written in another way, such as through a link.
    pub called: BTreeMap<String, String>,
    /// The first row of the log of changes that a backup in each place could need.
    pub needed_changes: BTreeMap<String, i64>,
    /// The keys by which other machines are known, since somebody said that they are right.
    pub host_keys: BTreeMap<String, String>,
    /// Whether the site was restored beside another one, which may go on.
    pub is_copy: bool,
}

/// What is remembered of one place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// The id of the repository that was there.
    pub repository: Option<String>,
    /// When the server last began one by itself.
    pub last_begun: Option<Timestamp>,
    /// When the last one was made.
    pub last_made: Option<Timestamp>,
    /// When the last one was made that was tried and sound.
    pub last_proven: Option<Timestamp>,
    /// When one last failed, and why; nothing once another succeeded.
    pub failed: Option<(Timestamp, String)>,
    /// Whether the server's last one was broken off when the program ended: then another is made at once.
    pub is_broken_off: bool,
    /// Whether it failed because a person has to say first that the backups there are gone on with.
    pub asks: bool,
    /// The one that was made and could not be tried: that is tried again, and no other made for it.
    pub untried: Option<Untried>,
}

impl Record {
    /// This and another one of the same place: what is newer counts.
    fn and(self, other: Self) -> Self {
        let (new, old) = if other.last_made > self.last_made {
            (other, self)
        } else {
            (self, other)
        };
        Self {
            repository: new.repository.or(old.repository),
            last_begun: new.last_begun.max(old.last_begun),
            last_proven: new.last_proven.max(old.last_proven),
            failed: new
                .failed
                .max(old.failed.filter(|(at, _)| Some(*at) > new.last_made)),
            ..new
        }
    }
}

/// A backup that was to be tried and was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Untried {
    /// Its number.
    pub number: u64,
    /// When it was made.
    pub made_at: Timestamp,
    /// When that was last begun; nothing if it was asked to stop.
    pub last_try: Option<Timestamp>,
}

/// The file as it was before places were remembered one by one.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Former {
    repositories: BTreeMap<String, String>,
    #[serde(flatten)]
    record: Record,
}

/// A lock of the folder. Where there are no locks, or somebody has it for long, as who serves from a disk that cannot be
/// written to, it goes without: what is written is written whole.
fn alone_in(data: &Path) -> Option<File> {
    let folder = File::open(data).ok()?;
    for _ in 0..40 {
        match folder.try_lock() {
            Ok(()) => return Some(folder),
            Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(50)),
            Err(TryLockError::Error(_)) => break,
        }
    }
    None
}

impl State {
    /// What is remembered in a data folder.
    pub fn load(data: &Path) -> Self {
        Self::read(data).unwrap_or_else(|e| {
            let path = file_in(data);
            log::warn!(
                "{} cannot be read, and nothing is remembered of backups: {e}",
                path.display()
            );
            Self::default()
        })
    }

    /// What is remembered; [`ErrorKind::InvalidData`] if it cannot be understood.
    fn read(data: &Path) -> io::Result<Self> {
        let text = match fs::read(file_in(data)) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            text => text?,
        };
        let mut state: Self =
            serde_json::from_slice(&text).map_err(|e| io::Error::new(ErrorKind::InvalidData, e))?;
        let former: Former = serde_json::from_slice(&text).unwrap_or_default();
        // Of several places it is not known to which the moments belong.
        let is_one = former.repositories.len() == 1;
        for (place, id) in former.repositories {
            let record = if is_one {
                former.record.clone()
            } else {
                Record::default()
            };
            let record = Record {
                repository: Some(id),
                ..record
            };
            state.places.entry(place).or_insert(record);
        }
        Ok(state)
    }

    /// What is remembered of a place, however it is written.
    pub fn of(&self, place: &str) -> Record {
        let record = self.places.get(self.name_of(place));
        record.cloned().unwrap_or_default()
    }

    fn name_of<'a>(&'a self, place: &'a str) -> &'a str {
        self.called.get(place).map_or(place, String::as_str)
    }

    /// Notes what a place is called that was written like this. What is remembered under both becomes one.
    pub(super) fn meet(&mut self, written: &str, name: &str) {
        // It may have been a link before.
        self.called.remove(name);
        if written == name {
            return;
        }
        self.called.insert(written.to_owned(), name.to_owned());
        if let Some(former) = self.places.remove(written) {
            let record = self.places.remove(name).unwrap_or_default();
            self.places.insert(name.to_owned(), record.and(former));
        }
        if let Some(former) = self.needed_changes.remove(written) {
            let needed = self.needed_changes.entry(name.to_owned());
            needed
                .and_modify(|needed| *needed = former.min(*needed))
                .or_insert(former);
        }
    }

    /// Forgets places that never worked, but for the one that is set, as it is really called.
    pub(super) fn forget_tries(&mut self, set: &str) {
        self.places
            .retain(|name, record| name == set || record.repository.is_some());
    }

    /// Remembers something else.
    ///
    /// # Errors
    /// [`Error::CannotSave`] if it cannot be written; [`Error::Io`] if what is there cannot be read: it is not written over.
    pub fn update(data: &Path, change: impl FnOnce(&mut Self)) -> Result<Self> {
        // The server and a command may do this at the same time.
        let alone = alone_in(data);
        let path = file_in(data);
        let before = match Self::read(data) {
            Ok(before) => before,
            Err(e) if e.kind() == ErrorKind::InvalidData => {
                let aside = data.join(DAMAGED);
                log::warn!(
                    "{} cannot be understood ({e}); it is {} now, and what is remembered of backups begins anew",
                    path.display(),
                    aside.display()
                );
                fs::rename(&path, &aside).map_err(|e| Error::io("putting aside", &path, e))?;
                Self::default()
            }
            Err(e) => return Err(Error::io("reading", path, e)),
        };
        let mut state = before.clone();
        change(&mut state);
        if state == before {
            return Ok(state);
        }
        let text = serde_json::to_vec_pretty(&state).map_err(Error::internal)?;
        let written = files::write_whole(&path, &text, 0o600);
        written.map_err(|e| {
            Error::CannotSave(format!("{} cannot be written ({e})", path.display()))
        })?;
        drop(alone);
        Ok(state)
    }

    /// Remembers something else of a place.
    ///
    /// # Errors
    /// As [`State::update`].
    pub fn update_place(
        data: &Path,
        place: &str,
        change: impl FnOnce(&mut Record),
    ) -> Result<Self> {
        Self::update(data, |state| {
            let name = state.name_of(place).to_owned();
            change(state.places.entry(name).or_default());
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_has_a_history_of_its_own_and_the_former_file_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let made = Timestamp(1_800_000_000);
        State::update_place(dir.path(), "/mnt/a", |record| record.last_made = Some(made)).unwrap();
        let state = State::load(dir.path());
        assert_eq!(state.of("/mnt/a").last_made, Some(made));
        assert_eq!(state.of("/mnt/b"), Record::default());

        let at = serde_json::to_string(&made).unwrap();
        let former = format!(r#"{{"repositories":{{"/mnt/c":"ab"}},"last_proven":{at}}}"#);
        fs::write(dir.path().join(FILE), former).unwrap();
        let record = State::load(dir.path()).of("/mnt/c");
        assert_eq!(record.repository.as_deref(), Some("ab"));
        assert_eq!(record.last_proven, Some(made));
        fs::write(dir.path().join(FILE), "{").unwrap();
        assert_eq!(State::load(dir.path()), State::default());
    }

    #[test]
    fn what_is_remembered_of_one_place_under_two_names_becomes_one_and_the_newer_counts() {
        let (mut state, at) = (State::default(), |s: i64| {
            Some(Timestamp(1_800_000_000 + s))
        });
        let record = |repository: &str, made| Record {
            repository: Some(repository.to_owned()),
            last_made: at(made),
            last_proven: at(7 - made),
            ..Record::default()
        };
        state
            .places
            .insert("/mnt/link".into(), record("of the link", 2));
        state.places.insert("/mnt/b".into(), record("of before", 1));
        state.needed_changes = [("/mnt/link".into(), 4), ("/mnt/b".into(), 9)].into();
        state.meet("/mnt/link", "/mnt/b");
        let both = state.of("/mnt/link");
        assert_eq!(state.of("/mnt/b"), both);
        assert_eq!(both.repository.as_deref(), Some("of the link"));
        assert_eq!((both.last_made, both.last_proven), (at(2), at(6)));
        assert_eq!(state.needed_changes, [("/mnt/b".to_owned(), 4)].into());
        // It leads elsewhere now, and once it is no link, it is itself.
        state.meet("/mnt/link", "/mnt/c");
        assert_eq!(state.of("/mnt/link"), Record::default());
        state.meet("/mnt/link", "/mnt/link");
        assert!(state.called.is_empty());
        // What never worked goes, but for what is set.
        for never in ["/mnt/x", "/mnt/set"] {
            state.places.insert(never.into(), Record::default());
        }
        state.forget_tries("/mnt/set");
        let places: Vec<&String> = state.places.keys().collect();
        assert_eq!(places, ["/mnt/b", "/mnt/set"]);
    }

    #[test]
    fn of_one_place_under_two_names_the_last_failure_counts_unless_a_backup_was_made_after_it() {
        // When the last backup was made and what failed when, of both; and what counts.
        for (made, failed, counts) in [
            ((1, 2), (Some(1), None), None),
            ((1, 3), (Some(2), None), None),
            ((1, 3), (Some(4), None), Some(4)),
            ((1, 3), (Some(4), Some(3)), Some(4)),
            ((1, 3), (Some(2), Some(3)), Some(3)),
            ((1, 3), (None, Some(3)), Some(3)),
            ((0, 0), (Some(2), Some(1)), Some(2)),
        ] {
            let record = |made: i64, failed: Option<i64>| Record {
                last_made: (made > 0).then_some(Timestamp(made)),
                failed: failed.map(|at| (Timestamp(at), at.to_string())),
                ..Record::default()
            };
            let both = [record(made.0, failed.0), record(made.1, failed.1)];
            for [one, other] in [both.clone(), [both[1].clone(), both[0].clone()]] {
                let failed_at = one.and(other).failed.map(|(at, _)| at.0);
                assert_eq!(failed_at, counts, "{both:?}");
            }
        }
    }

    #[test]
    fn who_has_the_folder_for_long_holds_nobody_up() {
        let dir = tempfile::tempdir().unwrap();
        let folder = File::open(dir.path()).unwrap();
        folder.lock().unwrap();
        State::update_place(dir.path(), "/mnt/a", |_| {}).unwrap();
        assert!(State::load(dir.path()).places.contains_key("/mnt/a"));
    }

    #[test]
    fn what_cannot_be_read_is_not_written_over_and_nothing_is_lost_between_two() {
        let dir = tempfile::tempdir().unwrap();
        let file = file_in(dir.path());
        let note = |place: &str| State::update_place(dir.path(), place, |_| {});
        fs::create_dir(&file).unwrap();
        note("/mnt/a").unwrap_err();
        fs::remove_dir(&file).unwrap();
        fs::write(&file, "{").unwrap();
        note("/mnt/a").unwrap();
        assert_eq!(fs::read_to_string(dir.path().join(DAMAGED)).unwrap(), "{");
        thread::scope(|scope| {
            for n in 0..8 {
                scope.spawn(move || note(&format!("/mnt/{n}")).unwrap());
            }
        });
        assert_eq!(State::load(dir.path()).places.len(), 9);
    }
}
