//! Puts another program in the place of one, so that there is always one whole, and keeps the one before.
//!
//! The new one lies beside the place, and is started from there, until it has proved itself. So whatever is
//! interrupted before, be it by a pulled plug, leaves the program in its place that has served until then.

use std::{
    fs::{self, File, Permissions, TryLockError},
    io::{self, ErrorKind},
    os::unix::fs::{MetadataExt as _, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use crate::base::{
    Error, Result,
    files::{self, beside},
    written,
};

/// The end of the name of a program that waits to take its place.
const WAITING: &str = ".new";
/// The end of the name of the one before, as long as it is not sure that it is exchanged.
const UNDO: &str = ".undo";
/// The end of the name of one that is only looked at; the number of who looks follows.
const TO_LOOK_AT: &str = ".look-";
/// Who may do what with a program.
const MODE: u32 = 0o755;
/// The same of one that serves and could not be put in its place: the owner was told to do it, so nobody sweeps it.
const MODE_OF_LEADER: u32 = 0o555;

/// What this process would leave if it ended now.
static SPARE: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn note_spare(path: &Path) {
    let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
    spare.push(path.to_path_buf());
}

fn is_spare_no_more(path: &Path) {
    let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
    spare.retain(|noted| noted != path);
}

/// Removes what this process has put beside a program and nobody needs, and ends the process, as it was asked to.
pub fn abandon(code: i32) -> ! {
    // Held until the end, so that nothing more is made.
    let spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
    for path in spare.iter() {
        let _ = fs::remove_file(path);
    }
    std::process::exit(code)
}

/// Where the program is kept that was in a place before.
pub fn previous_of(place: &Path) -> PathBuf {
    beside(place, ".previous")
}

/// Whether a process runs the program that waits to take this place.
pub(super) fn is_waiting_run_by(process: u32, place: &Path) -> bool {
    let id = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino()));
    let running = id(&Path::new("/proc").join(process.to_string()).join("exe"));
    matches!((running, id(&beside(place, WAITING))), (Ok(running), Ok(waiting)) if running == waiting)
}

/// A program that lies beside the one that it is to replace; removed when this is dropped.
pub struct Staged {
    place: PathBuf,
    path: PathBuf,
    /// Whether the one in the place is kept already.
    is_prepared: bool,
    /// Whether it is removed when this is dropped.
    is_spare: bool,
    /// Of the folder, so that two do not exchange one program; `None` for one that is only looked at.
    _turn: Option<Turn>,
}

impl Staged {
    /// Writes it. Until this is dropped, nobody else can.
    ///
    /// # Errors
    /// [`Error::Invalid`] if somebody else is exchanging the program now, [`Error::Io`] if the folder may not be
    /// written to, or the disk is full.
    pub fn new(place: &Path, bytes: &[u8]) -> Result<Self> {
        let turn = Turn::at(place)?;
        remove_left(place, |_| true);
        Self::write(place, beside(place, WAITING), Some(turn), bytes)
    }

    /// The one that was kept, for the way back: a second name of it, so that it takes no room. Until this is dropped,
    /// nobody else can.
    ///
    /// # Errors
    /// As [`Staged::new`].
    pub fn kept(place: &Path) -> Result<Self> {
        let turn = Turn::at(place)?;
        remove_left(place, |_| true);
        let staged = Self::at(place, beside(place, WAITING), Some(turn));
        let kept = previous_of(place);
        match files::second_name(&kept, &staged.path) {
            Err(e) if e.kind() == ErrorKind::StorageFull => Err(Error::Invalid(format!(
                "there is no room beside {} for a copy of {}, and this disk knows no second names of files. Make as \
                 much room as that file takes, and try again. Nothing was changed",
                place.display(),
                kept.display()
            ))),
            made => made
                .map(|()| staged)
                .map_err(|e| Error::io("giving a second name to", kept, e)),
        }
    }

    /// The one that was kept, only to be looked at: nothing is written.
    ///
    /// # Errors
    /// [`Error::Invalid`] if somebody else is exchanging the program now.
    pub fn kept_to_look_at(place: &Path) -> Result<Self> {
        drop(Turn::at(place)?);
        Ok(Self {
            place: place.to_path_buf(),
            path: previous_of(place),
            is_prepared: false,
            is_spare: false,
            _turn: None,
        })
    }

    /// Writes one that is only looked at, and takes no turn.
    ///
    /// # Errors
    /// As [`Staged::new`].
    pub fn to_look_at(place: &Path, bytes: &[u8]) -> Result<Self> {
        drop(Turn::at(place)?);
        let path = beside(place, &format!("{TO_LOOK_AT}{}", std::process::id()));
        Self::write(place, path, None, bytes)
    }

    fn at(place: &Path, path: PathBuf, turn: Option<Turn>) -> Self {
        note_spare(&path);
        Self {
            place: place.to_path_buf(),
            path,
            is_prepared: false,
            is_spare: true,
            _turn: turn,
        }
    }

    fn write(place: &Path, path: PathBuf, turn: Option<Turn>, bytes: &[u8]) -> Result<Self> {
        let staged = Self::at(place, path, turn);
        write_durably(&staged.path, bytes).map_err(|e| Error::io("writing", &staged.path, e))?;
        Ok(staged)
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Does what may fail for want of room or rights before it is put into the place: keeps the one that is there.
    ///
    /// # Errors
    /// [`Error::Io`]; then nothing was changed.
    pub fn prepare(&mut self) -> Result<()> {
        let kept = self.undo();
        note_spare(&kept);
        // Also of one that was kept half.
        self.is_prepared = true;
        keep(&self.place, &kept).map_err(|e| Error::io("keeping the program before as", kept, e))
    }

    fn undo(&self) -> PathBuf {
        beside(&self.place, UNDO)
    }

    /// Puts it into the place, and keeps the one before for the way back.
    ///
    /// # Errors
    /// [`Error::Io`]; then the one before is still in its place, and this one still lies beside it: it may serve already.
    pub fn put(mut self) -> Result<()> {
        let kept = self.undo();
        if !self.is_prepared {
            self.prepare()?;
        }
        self.is_spare = false;
        is_spare_no_more(&self.path);
        is_spare_no_more(&kept);
        let put = fs::rename(&kept, previous_of(&self.place))
            .and_then(|()| fs::rename(&self.path, &self.place))
            .and_then(|()| files::sync_folder(files::folder_of(&self.place)));
        self.is_spare = put.is_ok();
        if put.is_err() {
            let _ = fs::set_permissions(&self.path, Permissions::from_mode(MODE_OF_LEADER));
        }
        put.map_err(|e| Error::io("replacing", &self.place, e))
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // It is in its place, or nobody needs it.
        if self.is_spare {
            let _ = fs::remove_file(&self.path);
            is_spare_no_more(&self.path);
            if self.is_prepared {
                let _ = fs::remove_file(self.undo());
                is_spare_no_more(&self.undo());
            }
        }
    }
}

/// The right to exchange the program in a place. Where a file system knows no locks, everybody has it.
struct Turn(Option<File>);

impl Turn {
    /// Takes it, if nobody else has it.
    fn at(place: &Path) -> Result<Self> {
        let folder = files::folder_of(place);
        let turn = File::open(folder).map_err(|e| Error::io("opening", folder, e))?;
        match turn.try_lock() {
            Ok(()) => Ok(Self(Some(turn))),
            Err(TryLockError::Error(_)) => Ok(Self(None)),
            Err(TryLockError::WouldBlock) => Err(Error::Invalid(format!(
                "another upgrade, rollback or installation is exchanging {} now; wait until that has ended. Nothing \
                 was changed",
                place.display()
            ))),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Closing would not do: a child that is about to become another program has the file open for a moment, too.
        if let Some(turn) = &self.0 {
            let _ = turn.unlock();
        }
    }
}

/// Removes what an upgrade has left beside a program, because it was killed: for the program that serves from there,
/// so that no other one is needed. Does nothing while somebody exchanges it, or where that is not permitted.
pub fn sweep(place: &Path) {
    if let Ok(_turn) = Turn::at(place) {
        remove_left(place, |waiting| {
            fs::metadata(waiting).is_ok_and(|found| found.mode() & 0o777 != MODE_OF_LEADER)
        });
    }
}

/// Removes what was left beside a place by who was ended meanwhile; `may_go` says whether the program that waits to take
/// the place may. Only for whose turn it is.
fn remove_left(place: &Path, may_go: impl FnOnce(&Path) -> bool) {
    let waiting = beside(place, WAITING);
    if may_go(&waiting) {
        let _ = fs::remove_file(waiting);
    }
    let _ = fs::remove_file(beside(place, UNDO));
    // Earlier versions wrote it under such a name first.
    files::sweep_temporary(files::folder_of(place));
    let Some(name) = place.file_name().and_then(|name| name.to_str()) else {
        return;
    };
    let entries = fs::read_dir(files::folder_of(place)).into_iter().flatten();
    for entry in entries.flatten() {
        let left = entry.file_name();
        let of_whom = left
            .to_str()
            .and_then(|left| left.strip_prefix(name)?.strip_prefix(TO_LOOK_AT));
        let has_ended = |process: &str| {
            process.parse::<u32>().is_ok() && !Path::new("/proc").join(process).exists()
        };
        if of_whom.is_some_and(has_ended) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Writes a program, under the name that it keeps: one that is left half-written, because it was killed, has a name by
/// which it is found.
fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // It may be running, and a program that runs is not written to.
    files::remove_if_there(path)?;
    let file = files::create(path, bytes, MODE)?;
    // Whatever the umask is: the service's user must be able to run it.
    file.set_permissions(Permissions::from_mode(MODE))?;
    file.sync_all()?;
    written::count_file(path, bytes.len() as u64);
    files::sync_folder(files::folder_of(path))
}

/// Gives a file a second name, or copies it where there are no such names.
pub(super) fn keep(file: &Path, kept: &Path) -> io::Result<()> {
    files::remove_if_there(kept)?;
    files::second_name(file, kept)
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{MetadataExt, PermissionsExt},
    };

    use super::{SPARE, Staged, beside, previous_of, sweep};

    #[test]
    fn a_program_is_replaced_by_the_very_file_that_has_proved_itself_and_the_one_before_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("webstead");
        fs::write(&place, "old").unwrap();
        for (before, content) in [("old", "new"), ("new", "newest")] {
            let staged = Staged::new(&place, content.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&place).unwrap(), before);
            let file = fs::metadata(staged.path()).unwrap();
            assert_eq!(file.permissions().mode() & 0o777, 0o755);
            staged.put().unwrap();
            assert_eq!(fs::metadata(&place).unwrap().ino(), file.ino());
            assert_eq!(fs::read_to_string(previous_of(&place)).unwrap(), before);
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        }
    }

    #[test]
    fn what_was_not_put_in_place_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("webstead");
        fs::write(&place, "old").unwrap();
        // Left by a process that cannot be there any more: the system gives no such numbers.
        fs::write(beside(&place, ".look-4294967295"), "left").unwrap();
        let looked_at = Staged::to_look_at(&place, b"new").unwrap();
        drop(Staged::new(&place, b"new").unwrap());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        drop(looked_at);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_could_not_be_put_in_place_stays_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("webstead");
        fs::write(&place, "old").unwrap();
        let mut staged = Staged::new(&place, b"new").unwrap();
        staged.prepare().unwrap();
        drop(staged);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "given up");
        let mut staged = Staged::new(&place, b"new").unwrap();
        staged.prepare().unwrap();
        let path = staged.path().to_path_buf();
        // A folder does not make way for a file.
        fs::create_dir(previous_of(&place)).unwrap();
        let refused = staged.put().unwrap_err().to_string();
        assert!(refused.contains("replacing"), "{refused}");
        assert_eq!(fs::read_to_string(path).unwrap(), "new");
        assert_eq!(fs::read_to_string(&place).unwrap(), "old");
    }

    #[test]
    fn the_one_that_was_kept_goes_back_without_a_copy_and_is_looked_at_without_a_trace() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("webstead");
        for (path, content) in [(place.clone(), "new"), (previous_of(&place), "old")] {
            fs::write(path, content).unwrap();
        }
        let inode = |path: &std::path::Path| fs::metadata(path).unwrap().ino();
        let (new, old) = (inode(&place), inode(&previous_of(&place)));
        let looked_at = Staged::kept_to_look_at(&place).unwrap();
        assert_eq!(inode(looked_at.path()), old);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        drop(looked_at);
        drop(Staged::kept(&place).unwrap());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "given up");
        let staged = Staged::kept(&place).unwrap();
        assert_eq!(inode(staged.path()), old);
        staged.put().unwrap();
        assert_eq!((inode(&place), inode(&previous_of(&place))), (old, new));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_a_killed_upgrade_left_is_swept_and_neither_what_is_used_nor_what_has_served_is() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("webstead");
        fs::write(&place, "old").unwrap();
        let count = || fs::read_dir(dir.path()).unwrap().count();
        let leave = || {
            for end in [".new", ".undo", ".look-4294967295"] {
                fs::write(beside(&place, end), "left").unwrap();
            }
        };
        leave();
        sweep(&place);
        assert_eq!(count(), 1);
        leave();
        let mut used = Staged::new(&place, b"new").unwrap();
        used.prepare().unwrap();
        sweep(&place);
        assert_eq!(count(), 3, "an upgrade is at work");
        let noted = SPARE.lock().unwrap().clone();
        for path in [used.path().to_path_buf(), used.undo()] {
            assert!(noted.contains(&path), "goes when it is broken off");
        }
        fs::create_dir(previous_of(&place)).unwrap();
        let (path, kept) = (used.path().to_path_buf(), used.undo());
        used.put().unwrap_err();
        sweep(&place);
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        let noted = SPARE.lock().unwrap().clone();
        assert!(!noted.contains(&path) && !noted.contains(&kept));
    }

    #[test]
    fn two_do_not_exchange_one_program_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("webstead");
        fs::write(&place, "old").unwrap();
        let first = Staged::new(&place, b"one").unwrap();
        for refused in [
            Staged::new(&place, b"two"),
            Staged::to_look_at(&place, b"two"),
        ] {
            let refused = refused.err().expect("it is not their turn").to_string();
            assert!(refused.contains("another upgrade"), "{refused}");
        }
        assert_eq!(fs::read_to_string(first.path()).unwrap(), "one");
        first.put().unwrap();
        Staged::new(&place, b"two").unwrap().put().unwrap();
        assert_eq!(fs::read_to_string(&place).unwrap(), "two");
    }
}
