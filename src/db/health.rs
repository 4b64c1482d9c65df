//! How the disk under a site fares, for the writer that must refuse and for the people who must know.

use std::{
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use super::DataFolder;
use crate::base::{Error, Result, Space, Timestamp, Verdict, files};

/// In the data folder for as long as the site is damaged; says in words what happened.
const MARKER: &str = "damaged.txt";

/// Where less is free, a disk is full.
const FULL_BYTES: u64 = 1_000_000;

/// What is wrong with the disk or with what is on it, the worst first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The database is damaged: nothing is saved until it was repaired.
    Damaged(String),
    /// The disk failed when something was to be saved; it is tried again.
    Failing(String),
    /// Nothing can be written.
    ReadOnly,
    /// There is no room.
    Full,
    /// There will soon be no room. Bytes that are free.
    NearlyFull(u64),
    /// Files beside the database are missing or damaged.
    BadFiles(Vec<String>),
}

#[derive(Default)]
struct State {
    damaged: Option<String>,
    failing: Option<String>,
    is_read_only: bool,
    is_full: bool,
    space: Option<Space>,
    bad_files: Vec<String>,
}

/// What is known of the disk. One for the whole program.
pub struct Health {
    marker: PathBuf,
    state: Mutex<State>,
}

impl Health {
    /// Of the disk that holds this database; one that was found damaged before is damaged still.
    pub(super) fn of(database: &Path) -> Self {
        let marker = database.with_file_name(MARKER);
        let known = Self::known_damage(marker.parent().unwrap_or(Path::new(".")));
        if let Some(what) = known.damage() {
            log::error!("{}", Trouble::Damaged(what.to_owned()).text());
        }
        if let Some(why) = known.unseen() {
            log::error!("whether damage was found before is not known: {why}");
        }
        Self {
            marker,
            state: Mutex::new(State {
                damaged: known.damage().map(str::to_owned),
                ..State::default()
            }),
        }
    }

    /// The damage that was found in a data folder, if it was not repaired since.
    pub fn known_damage(folder: &Path) -> Verdict {
        let marker = folder.join(MARKER);
        match fs::read_to_string(&marker) {
            Ok(text) => Verdict::Damaged(text.trim().to_owned()),
            Err(e) if e.kind() == ErrorKind::NotFound => Verdict::Sound,
            // That it is there says that damage was found.
            Err(e) if marker.exists() => Verdict::Damaged(format!(
                "damage was found before, but {MARKER}, which says what, cannot be read ({e})"
            )),
            Err(e) => Verdict::NotSeen(format!("{}: {e}", marker.display())),
        }
    }

    /// Forgets the damage of a data folder, after it was repaired.
    ///
    /// # Errors
    /// What the disk says.
    pub(super) fn forget_damage(folder: &Path) -> Result<()> {
        let path = folder.join(MARKER);
        match fs::remove_file(&path).and_then(|()| files::sync_folder(folder)) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::io("removing", path, e)),
            _ => Ok(()),
        }
    }

    /// All that is wrong now, the worst first.
    pub fn troubles(&self) -> Vec<Trouble> {
        let state = self.lock();
        let mut troubles: Vec<Trouble> = state
            .damaged
            .iter()
            .cloned()
            .map(Trouble::Damaged)
            .collect();
        troubles.extend(state.failing.clone().map(Trouble::Failing));
        if state.is_read_only {
            troubles.push(Trouble::ReadOnly);
        }
        match state.space {
            _ if state.is_full => troubles.push(Trouble::Full),
            space => troubles.extend(space.and_then(Trouble::of_space)),
        }
        if !state.bad_files.is_empty() {
            troubles.push(Trouble::BadFiles(state.bad_files.clone()));
        }
        troubles
    }

    /// Room on the disk when it was last looked at.
    pub fn space(&self) -> Option<Space> {
        self.lock().space
    }

    /// Notes how much room there is; says it in the log when it becomes little, once.
    pub fn note_space(&self, space: Space) {
        let mut state = self.lock();
        let was_low = state.space.is_some_and(Space::is_low);
        state.space = Some(space);
        // A full disk with room again is not full any more, also when nobody has saved since.
        state.is_full &= space.free < FULL_BYTES;
        match (was_low, space.is_low()) {
            (false, true) => log::warn!("{}", Trouble::NearlyFull(space.free).text()),
            (true, false) => log::info!("there is room on the disk again"),
            _ => {}
        }
    }

    /// Notes which files beside the database are missing or damaged; none if all are well again.
    pub fn note_bad_files(&self, files: Vec<String>) {
        self.lock().bad_files = files;
    }

    /// Tells the server that runs in a data folder, if one does, that the database is damaged: it takes no changes from then
    /// on. For who has found that in another process; where no server runs, nothing is written.
    ///
    /// # Errors
    /// If it cannot be told.
    pub fn tell_server(folder: &DataFolder, what: &str) -> Result<()> {
        let marker = folder.root().join(MARKER);
        if marker.exists() || folder.running_server()?.is_none() {
            return Ok(());
        }
        write_marker(&marker, what).map_err(|e| {
            Error::CannotSave(format!(
                "the server that runs here could not be told of the damage, and goes on saving on top of it; stop it ({}: {e})",
                marker.display()
            ))
        })
    }

    /// Takes notice of damage that another process has found: a check, or a backup, that somebody made by hand.
    pub(super) fn notice(&self) {
        if self.lock().damaged.is_some() || !self.marker.exists() {
            return;
        }
        let known = Self::known_damage(self.marker.parent().unwrap_or(Path::new(".")));
        if let Some(what) = known.damage() {
            log::error!("{}", Trouble::Damaged(what.to_owned()).text());
            self.lock().damaged = Some(what.to_owned());
        }
    }

    /// Notes that something on the disk is not what was written there. From now on nothing is saved, also
    /// after a restart.
    pub fn note_damage(&self, what: &str) {
        let mut state = self.lock();
        if state.damaged.is_some() {
            return;
        }
        state.damaged = Some(what.to_owned());
        drop(state);
        log::error!("{}", Trouble::Damaged(what.to_owned()).text());
        if let Err(e) = write_marker(&self.marker, what) {
            log::error!("{} could not be written: {e}", self.marker.display());
        }
    }

    /// Why no change is taken, if none is.
    pub(super) fn refusal(&self) -> Option<Error> {
        self.notice();
        let state = self.lock();
        let damaged = state.damaged.as_ref()?;
        let text = Trouble::Damaged(damaged.clone()).text();
        Some(Error::CannotSave(format!("This was not saved. {text}")))
    }

    /// Notes what kept a change from being saved.
    pub(super) fn note_failure(&self, trouble: Trouble) {
        let mut state = self.lock();
        match trouble {
            Trouble::Damaged(what) => {
                drop(state);
                self.note_damage(&what);
            }
            Trouble::Failing(what) => state.failing = Some(what),
            Trouble::ReadOnly => state.is_read_only = true,
            Trouble::Full => state.is_full = true,
            Trouble::NearlyFull(_) | Trouble::BadFiles(_) => {}
        }
    }

    /// Notes that something was saved.
    pub(super) fn note_success(&self) {
        let mut state = self.lock();
        if state.failing.take().is_some() || state.is_read_only || state.is_full {
            log::info!("the disk takes changes again");
        }
        (state.is_read_only, state.is_full) = (false, false);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write_marker(marker: &Path, what: &str) -> io::Result<()> {
    let since = Timestamp::now().rfc3339();
    let text = format!("{what} (found {since})\n");
    files::write_whole(marker, text.as_bytes(), 0o600)
}

impl Trouble {
    /// What is wrong with the room on a disk, if something is.
    pub fn of_space(space: Space) -> Option<Self> {
        if space.total > 0 && space.free < FULL_BYTES {
            return Some(Self::Full);
        }
        space.is_low().then_some(Self::NearlyFull(space.free))
    }

    /// What happened and what to do, for the owner.
    pub fn text(&self) -> String {
        match self {
            Self::Damaged(what) => format!(
                "The data on the disk is damaged: {}. Pages are still shown where they can be read, but nothing \
                 is saved, so that nothing gets worse. Stop the site, and run `webstead repair`, or restore a \
                 backup. A card that has done this once does it again: take a new one.",
                what.trim_end_matches('.')
            ),
            Self::Failing(what) => format!(
                "The disk failed when something was to be saved ({what}). What was saved before is not lost. It is \
                 tried again with each change; if it goes on, the disk or its cable must be replaced."
            ),
            Self::ReadOnly => "Nothing can be written to the disk: it is mounted read-only, or its permissions \
                               have changed. Pages are shown, but nothing is saved. Linux makes a failing disk \
                               read-only by itself; `dmesg` says whether it did."
                .to_owned(),
            Self::Full => "The disk is full. Pages are shown, but nothing is saved until there is room.".to_owned(),
            Self::NearlyFull(free) => format!(
                "The disk is nearly full: {} MB are left. Make room before nothing can be saved any more.",
                free / 1_000_000
            ),
            Self::BadFiles(files) => format!(
                "The last check found {} that are missing or damaged: {}{}.",
                if files.len() == 1 { "a file".to_owned() } else { format!("{} files", files.len()) },
                files.first().map_or("", String::as_str),
                if files.len() > 1 { ", and others" } else { "" }
            ).replace("a file that are", "a file that is"),
        }
    }

    /// Its name in `/metrics`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Damaged(_) => "damaged",
            Self::Failing(_) => "failing",
            Self::ReadOnly => "read_only",
            Self::Full => "full",
            Self::NearlyFull(_) => "nearly_full",
            Self::BadFiles(_) => "bad_files",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{DataFolder, Health, Space, Trouble};
    use crate::db::{Change, Database};

    fn health() -> (tempfile::TempDir, Health) {
        let dir = tempfile::tempdir().unwrap();
        let health = Health::of(&dir.path().join("site.db"));
        (dir, health)
    }

    #[test]
    fn damage_refuses_changes_also_after_a_restart_until_it_was_repaired() {
        let (dir, health) = health();
        assert!(health.refusal().is_none());
        health.note_damage("page 7 is not what was written");
        let refused = health.refusal().unwrap().to_string();
        assert!(refused.contains("page 7") && refused.contains("webstead repair"));
        let again = Health::of(&dir.path().join("site.db"));
        assert!(again.refusal().is_some());
        again.note_success();
        assert!(again.refusal().is_some(), "a success mends no damage");
        Health::forget_damage(dir.path()).unwrap();
        Health::forget_damage(dir.path()).unwrap();
        assert!(Health::of(&dir.path().join("site.db")).refusal().is_none());
    }

    #[test]
    fn damage_that_another_process_has_found_is_told_to_the_server_that_runs_and_stops_its_saves() {
        let dir = tempfile::tempdir().unwrap();
        let folder = DataFolder::open_or_create(&dir.path().join("data")).unwrap();
        // Where none runs, a look writes nothing.
        Health::tell_server(&folder, "page 7").unwrap();
        assert!(!folder.root().join("damaged.txt").exists());
        let _lock = folder.lock_for_server().unwrap();
        let database = Database::open(&folder.database()).unwrap();
        let change = || {
            let mut change = Change::new();
            change.push("DELETE FROM tags", Vec::new());
            change
        };
        database.apply_blocking(change()).unwrap();
        Health::tell_server(&folder, "page 7 is not what was written").unwrap();
        Health::tell_server(&folder, "page 8").unwrap();
        let refused = database.apply_blocking(change()).unwrap_err().to_string();
        assert!(
            refused.contains("page 7") && refused.contains("webstead repair"),
            "{refused}"
        );
        assert!(matches!(
            database.health().troubles()[..],
            [Trouble::Damaged(_)]
        ));
        database.close();
    }

    #[test]
    fn a_server_that_saves_nothing_hears_of_damage_soon_too() {
        let dir = tempfile::tempdir().unwrap();
        let folder = DataFolder::open_or_create(&dir.path().join("data")).unwrap();
        let _lock = folder.lock_for_server().unwrap();
        let database = Database::open(&folder.database()).unwrap();
        Health::tell_server(&folder, "page 7").unwrap();
        let heard = (0..100).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(50));
            !database.health().troubles().is_empty()
        });
        assert!(heard);
        database.close();
    }

    #[test]
    fn a_full_disk_is_told_until_there_is_room() {
        let (_dir, health) = health();
        health.note_failure(Trouble::Full);
        let free = |free| Space {
            free,
            total: 1_000_000_000,
            free_files: None,
        };
        health.note_space(free(0));
        assert_eq!(health.troubles(), [Trouble::Full]);
        // Also to who has not tried to save, such as `webstead status`.
        assert_eq!(Trouble::of_space(free(999_999)), Some(Trouble::Full));
        health.note_space(free(40_000_000));
        assert_eq!(health.troubles(), [Trouble::NearlyFull(40_000_000)]);
        health.note_space(free(400_000_000));
        assert_eq!(health.troubles(), []);
    }
}
