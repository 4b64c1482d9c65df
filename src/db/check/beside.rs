//! Whether the files beside the database are what they were when they were last looked at.

use std::{
    collections::BTreeMap,
    fs::{self, File, Metadata, OpenOptions},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::Depth;
use crate::{base::Verdict, db::media_store::hash_of_all};

/// Folders of keys, certificates, secrets and settings, and the data folder itself.
const FOLDERS: [&str; 6] = ["", "tls", "tls/public", "tls/acme", "secrets", "dns"];
/// More than any file of the program's own has in there. What is larger is read by a full check only.
const MAX_SMALL_BYTES: u64 = 1024 * 1024;
/// What changes by itself in the data folder, is made anew, or is looked at in other ways: how its name begins.
const OTHERS: [&str; 5] = ["site.db", "server.lock", "disk.json", "damaged.txt", "."];
/// Databases that are kept and written to no more: how their names begin.
const KEPT: [&str; 2] = ["site.db.before-upgrade", "site.db.after-upgrade-"];
/// What belongs to such a one while somebody makes or reads it: how its name ends.
const OF_KEPT: [&str; 3] = [".new", "-wal", "-shm"];

/// The owner's own files.
const OWN: &str = "public";
/// Of those, as many files and folders are looked at: each is about 90 bytes of `disk.json`, which may be written every hour.
const MAX_OWN: usize = 2000;
/// So many folders inside each other.
const MAX_DEPTH: usize = 16;
/// Digits that are kept of the hash of an own file: it is compared with decay, not with somebody who means harm.
const OWN_DIGITS: usize = 16;

/// A file as it was: when somebody last changed anything of it ([`changed`]), size, SHA-256 or how that begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownFile(i64, u64, String);

/// What a look has found.
#[derive(Debug, Default)]
pub(super) struct Beside {
    /// The files as they are, by their path in the data folder; one that has decayed or cannot be read as it was before.
    pub(super) files: BTreeMap<String, KnownFile>,
    /// What has become of them.
    pub(super) verdicts: Vec<Verdict>,
    /// What is not looked at, a line each.
    pub(super) notes: Vec<String>,
}

/// Looks at the files of a data folder but for the database and media; only a full check reads what may be large, and
/// the owner's own. `rest` is called after each file and each part of a large one.
pub(super) fn look_beside(
    root: &Path,
    depth: Depth,
    before: &BTreeMap<String, KnownFile>,
    rest: &impl Fn(),
) -> Beside {
    let mut found = Beside::default();
    let mut paths = Vec::new();
    for folder in FOLDERS {
        let listed = list(&root.join(folder), &mut found.verdicts);
        let stays = |entry: &&fs::DirEntry| is_looked_at(&entry.file_name().to_string_lossy());
        paths.extend(listed.iter().filter(stays).map(fs::DirEntry::path));
    }
    let max_bytes = if depth == Depth::Full {
        let own = OwnFiles::find(root, MAX_OWN, &mut found);
        paths.extend(own);
        u64::MAX
    } else {
        MAX_SMALL_BYTES
    };
    for path in paths {
        let name = path.strip_prefix(root).unwrap_or(&path);
        let is_own = name.starts_with(OWN);
        let name = name.to_string_lossy().into_owned();
        let known = before.get(&name);
        match look_at(&path, is_own, max_bytes, rest) {
            Ok(Some(now)) => {
                let decayed = known.filter(|known| has_decayed(known, &now));
                if decayed.is_some() {
                    found.verdicts.push(Verdict::Damaged(format!(
                        "{name} is not what it was, and nobody has written to it; restore it from a backup"
                    )));
                }
                // What has decayed is told until somebody has written it anew.
                let remembered = decayed.cloned().unwrap_or(now);
                found.files.insert(name, remembered);
            }
            Ok(None) => {}
            Err(e) => {
                let why = Verdict::NotSeen(format!("{name} cannot be read: {e}"));
                found.verdicts.push(why);
                found.files.extend(known.map(|known| (name, known.clone())));
            }
        }
    }
    found
}

/// Whether a file of this name, in one of [`FOLDERS`], stays as it is until somebody writes to it.
fn is_looked_at(name: &str) -> bool {
    let begins = |starts: &[&str]| starts.iter().any(|start| name.starts_with(start));
    let is_of_kept = OF_KEPT.iter().any(|end| name.ends_with(end));
    !begins(&OTHERS) || (begins(&KEPT) && !is_of_kept)
}

/// What is in a folder, by name; one that cannot be read is put down.
fn list(folder: &Path, verdicts: &mut Vec<Verdict>) -> Vec<fs::DirEntry> {
    let listed = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    match listed {
        Ok(mut entries) => {
            entries.sort_by_key(fs::DirEntry::file_name);
            entries
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(e) => {
            let why = format!("reading {}: {e}", folder.display());
            verdicts.push(Verdict::NotSeen(why));
            Vec::new()
        }
    }
}

/// Finds the owner's own files. Symbolic links are not followed.
struct OwnFiles<'a> {
    root: &'a Path,
    paths: Vec<PathBuf>,
    /// How many more files and folders are looked at.
    left: usize,
    most: usize,
    found: &'a mut Beside,
}

impl<'a> OwnFiles<'a> {
    fn find(root: &'a Path, most: usize, found: &'a mut Beside) -> Vec<PathBuf> {
        let mut files = Self {
            root,
            paths: Vec::new(),
            left: most,
            most,
            found,
        };
        let folder = root.join(OWN);
        if fs::symlink_metadata(&folder).is_ok_and(|found| found.is_dir()) {
            files.walk(&folder, 1);
        }
        files.paths
    }

    /// Whether there is room for more.
    fn walk(&mut self, folder: &Path, depth: usize) -> bool {
        for entry in list(folder, &mut self.found.verdicts) {
            let path = entry.path();
            if self.left == 0 {
                let most = self.most;
                self.leave_out(&path, &format!("and what comes after it is not looked at: there are more than {most} files and folders of your own"));
                return false;
            }
            self.left -= 1;
            // Of something that is just being removed there is nothing to say.
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            if kind.is_file() {
                self.paths.push(path);
            } else if kind.is_dir() && depth == MAX_DEPTH {
                self.leave_out(
                    &path,
                    &format!("is not looked at: it is more than {MAX_DEPTH} folders deep"),
                );
            } else if kind.is_dir() && !self.walk(&path, depth + 1) {
                return false;
            }
        }
        true
    }

    fn leave_out(&mut self, path: &Path, why: &str) {
        let name = path.strip_prefix(self.root).unwrap_or(path).display();
        self.found.notes.push(format!("{name} {why}"));
    }
}

/// A file as it is; `None` where there is none, where it has more bytes than `max_bytes`, or where somebody writes to it
/// meanwhile.
fn look_at(
    path: &Path,
    is_own: bool,
    max_bytes: u64,
    rest: &impl Fn(),
) -> io::Result<Option<KnownFile>> {
    let look = || -> io::Result<Option<KnownFile>> {
        if !fs::symlink_metadata(path)?.is_file() {
            return Ok(None);
        }
        // Something else may have taken its place: no link is followed, and no pipe waited for.
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open(path)?;
        let known = file.metadata()?;
        if !known.is_file() || known.len() > max_bytes {
            return Ok(None);
        }
        let hash = hash_of_all(&file, rest)?;
        rest();
        if !is_still(&file, &known)? {
            return Ok(None);
        }
        let digits = if is_own { OWN_DIGITS } else { hash.len() };
        let hash = hash[..digits].to_owned();
        Ok(Some(KnownFile(changed(&known), known.len(), hash)))
    };
    match look() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        looked => looked,
    }
}

/// Whether nobody has written to a file since.
fn is_still(file: &File, known: &Metadata) -> io::Result<bool> {
    let now = file.metadata()?;
    Ok((changed(&now), now.len()) == (changed(known), known.len()))
}

/// When a file was last written to, brought here, renamed or given other permissions (`ctime`), in nanoseconds. What is
/// commonly called its time of change is what the last program says: `cp -p` and `rsync` say the one of another file.
fn changed(file: &Metadata) -> i64 {
    let seconds = file.ctime().saturating_mul(1_000_000_000);
    seconds.saturating_add(file.ctime_nsec())
}

/// A file with another content than before that nobody has changed since has decayed: media that do that set no time.
fn has_decayed(before: &KnownFile, now: &KnownFile) -> bool {
    (before.0, before.1) == (now.0, now.1) && before.2 != now.2
}

#[cfg(test)]
mod tests {
    use std::{
        cell::Cell,
        fs::FileTimes,
        io::Write as _,
        os::unix::fs::symlink,
        thread,
        time::{Duration, SystemTime},
    };

    use super::*;

    fn write(root: &Path, name: &str, bytes: &[u8]) {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn look(root: &Path, depth: Depth, before: &BTreeMap<String, KnownFile>) -> Beside {
        look_beside(root, depth, before, &|| ())
    }

    fn damage(found: &Beside) -> Vec<&str> {
        found.verdicts.iter().filter_map(Verdict::damage).collect()
    }

    /// Gives a file the time of change that another program says it has.
    fn set_time(path: &Path, time: SystemTime) {
        let file = File::options().write(true).open(path).unwrap();
        file.set_times(FileTimes::new().set_modified(time)).unwrap();
    }

    #[test]
    fn a_full_check_reads_every_file_that_does_not_change_by_itself_and_follows_no_link() {
        let dir = tempfile::tempdir().unwrap();
        let root = &dir.path().join("site");
        let deep = format!("public/{}film", "a/".repeat(MAX_DEPTH - 1));
        let too_deep = format!("public/{}", "b/".repeat(MAX_DEPTH));
        let large = vec![7; usize::try_from(MAX_SMALL_BYTES).unwrap() + 1];
        let small = [
            "backups.json",
            "dns/state.json",
            "secrets/token",
            "site.db.after-upgrade-20261126-193000",
            "site.db.before-upgrade",
            "tls/acme/account.json",
            "tls/public/a.pem",
        ];
        let full = [
            "public/.well-known/x",
            "public/disk.json",
            &deep,
            "tls/large",
        ];
        let never = [
            ".written-7",
            "damaged.txt",
            "disk.json",
            "media/0123",
            "server.lock",
            "site.db",
            "site.db-wal",
            "site.db.after-upgrade-20261126-193000-wal",
            "site.db.before-upgrade.new",
            &format!("{too_deep}x"),
        ];
        for name in small.iter().chain(&full).chain(&never) {
            write(root, name, b"x");
        }
        write(root, "tls/large", &large);
        write(dir.path(), "outside/x", b"x");
        symlink(dir.path().join("outside"), root.join("public/folder")).unwrap();
        symlink(dir.path().join("outside/x"), root.join("public/file")).unwrap();
        symlink(dir.path().join("outside/x"), root.join("tls/file")).unwrap();
        let names = |found: &Beside| found.files.keys().cloned().collect::<Vec<_>>();
        let found = look(root, Depth::WithoutMedia, &BTreeMap::new());
        assert_eq!(
            (names(&found), found.notes.len()),
            (small.map(str::to_owned).to_vec(), 0)
        );
        let found = look(root, Depth::Full, &BTreeMap::new());
        let mut all: Vec<String> = small
            .iter()
            .chain(&full)
            .map(|name| (*name).to_owned())
            .collect();
        all.sort();
        assert_eq!(names(&found), all);
        let too_deep = too_deep.trim_end_matches('/');
        assert!(
            found.notes.len() == 1 && found.notes[0].starts_with(too_deep),
            "{:?}",
            found.notes
        );
        // Nor is the folder itself somewhere else.
        fs::rename(root.join("public"), dir.path().join("public")).unwrap();
        symlink(dir.path().join("public"), root.join("public")).unwrap();
        let found = look(root, Depth::Full, &BTreeMap::new());
        assert!(!names(&found).iter().any(|name| name.starts_with("public")));
    }

    #[test]
    fn of_very_many_own_files_it_is_said_from_where_on_they_are_not_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a/1", "a/2", "b/1", "b/2", "c"] {
            write(dir.path(), &format!("public/{name}"), b"x");
        }
        for (most, files, first) in [
            (7, 5, None),
            (6, 4, Some("public/c ")),
            (5, 3, Some("public/b/2 ")),
            (3, 2, Some("public/b ")),
            (1, 0, Some("public/a/1 ")),
        ] {
            let mut found = Beside::default();
            let paths = OwnFiles::find(dir.path(), most, &mut found);
            let notes = &found.notes;
            assert_eq!(
                (paths.len(), notes.len()),
                (files, usize::from(first.is_some()))
            );
            assert!(
                first.is_none_or(|first| notes[0].starts_with(first)),
                "{most}: {notes:?}"
            );
        }
    }

    /// Another content, with the size and the time of change of the one before.
    fn exchange(path: &Path, is_in_place: bool) {
        // A file system counts time in steps.
        thread::sleep(Duration::from_millis(50));
        let time = fs::metadata(path).unwrap().modified().unwrap();
        let mut bytes = fs::read(path).unwrap();
        bytes[0] ^= 1;
        let written = if is_in_place {
            path.to_path_buf()
        } else {
            path.with_extension("new")
        };
        fs::write(&written, bytes).unwrap();
        set_time(&written, time);
        fs::rename(&written, path).unwrap();
        assert_eq!(fs::metadata(path).unwrap().modified().unwrap(), time);
    }

    /// Another content, as of a file that decays: no time has changed since it was remembered.
    fn decay(root: &Path, name: &str, remembered: &mut BTreeMap<String, KnownFile>) {
        exchange(&root.join(name), true);
        let now = fs::metadata(root.join(name)).unwrap();
        remembered.get_mut(name).unwrap().0 = changed(&now);
    }

    #[test]
    fn a_file_that_was_exchanged_with_its_size_and_time_of_change_is_remembered_and_no_damage() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let release = SystemTime::now() - Duration::from_hours(9);
        for name in ["public/a", "webstead.toml", "tls/a.pem"] {
            // As `mv` does it, and as `cp -p` and `rsync --inplace` do.
            for is_in_place in [false, true] {
                write(root, name, b"one");
                set_time(&root.join(name), release);
                let before = look(root, Depth::Full, &BTreeMap::new()).files;
                exchange(&root.join(name), is_in_place);
                let found = look(root, Depth::Full, &before);
                assert_eq!(damage(&found), [""; 0], "{is_in_place}");
                assert_ne!(found.files[name], before[name], "{name}");
                let again = look(root, Depth::Full, &found.files);
                assert_eq!((damage(&again), &again.files), (vec![], &found.files));
            }
        }
    }

    #[test]
    fn a_file_that_has_decayed_is_told_until_somebody_writes_it_anew() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for name in ["public/a", "secrets/a"] {
            write(root, name, b"one");
            let mut before = look(root, Depth::Full, &BTreeMap::new()).files;
            decay(root, name, &mut before);
            let said = format!(
                "{name} is not what it was, and nobody has written to it; restore it from a backup"
            );
            for _ in 0..3 {
                let found = look(root, Depth::Full, &before);
                assert_eq!(damage(&found), [said.as_str()]);
                before = found.files;
            }
            exchange(&root.join(name), true);
            let found = look(root, Depth::Full, &before);
            assert_eq!(damage(&found), [""; 0], "{name}");
        }
    }

    #[test]
    fn a_file_that_has_decayed_keeps_no_other_from_being_remembered_whose_name_is_a_part_of_its_own()
     {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for name in ["public/a", "public/a b"] {
            write(root, name, b"one");
        }
        let mut before = look(root, Depth::Full, &BTreeMap::new()).files;
        decay(root, "public/a b", &mut before);
        exchange(&root.join("public/a"), true);
        let found = look(root, Depth::Full, &before);
        assert_eq!(damage(&found).len(), 1);
        assert_eq!(found.files["public/a b"], before["public/a b"]);
        let mut now = found.files;
        decay(root, "public/a", &mut now);
        let said = look(root, Depth::Full, &now);
        assert_eq!(damage(&said).len(), 2, "{:?}", damage(&said));
    }

    #[test]
    fn a_file_that_is_written_to_while_it_is_read_is_neither_damaged_nor_remembered() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "a", &vec![0; 3 << 20]);
        let before = look(dir.path(), Depth::Full, &BTreeMap::new()).files;
        let rests = Cell::new(0);
        let found = look_beside(dir.path(), Depth::Full, &before, &|| {
            rests.set(rests.get() + 1);
            let mut file = File::options()
                .write(true)
                .open(dir.path().join("a"))
                .unwrap();
            file.write_all(b"new").unwrap();
        });
        assert!(
            rests.get() >= 3,
            "it rests within a large file: {}",
            rests.get()
        );
        assert!(damage(&found).is_empty() && found.files.is_empty());
    }
}
