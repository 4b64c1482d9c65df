//! The log beside the database (`site.db-wal`), read as it lies on the disk.
//!
//! `SQLite` stops reading its log at the first frame that does not add up, and says nothing: that is how it
//! finds the end of what was written before a power cut. Whether something was lost there is ours to find out.
//! The form is that of <https://www.sqlite.org/fileformat2.html#the_write_ahead_log>.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufReader, Read},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use super::header::PAGE_SIZE_AT;
use crate::base::{Verdict, files::beside};

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
const MAGIC: u32 = 0x377f_0682;
/// Bytes of a page of a new database. Each save writes every page that it touches to the log, and most of them for
/// a few bytes of an index: small pages are what makes a save small.
pub(super) const NEW_PAGE_BYTES: usize = 512;
/// Bytes of a page of the databases that the first versions made: they keep theirs.
pub(super) const OLD_PAGE_BYTES: usize = 4096;

/// Where the log of a database is.
pub(super) fn log_of(database: &Path) -> PathBuf {
    beside(database, "-wal")
}

/// Whether a page can have so many bytes.
pub(super) fn is_page_size(bytes: usize) -> bool {
    bytes.is_power_of_two() && (512..=65536).contains(&bytes)
}

/// Bytes that a page takes in the log.
pub(super) fn frame_bytes(page_bytes: usize) -> u64 {
    (FRAME_HEADER_BYTES + page_bytes) as u64
}

/// What a database says of the size of its pages; `None` if it is empty, or nothing of the kind is there.
///
/// # Errors
/// What the disk says; a database that is not there is none.
pub(super) fn said_page_bytes(database: &Path) -> io::Result<Option<usize>> {
    let mut said = [0; 2];
    match File::open(database)?.read_exact_at(&mut said, PAGE_SIZE_AT) {
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let bytes = match u16::from_be_bytes(said) {
        1 => 65536,
        bytes => usize::from(bytes),
    };
    Ok(Some(bytes).filter(|bytes| is_page_size(*bytes)))
}

/// What a log has, in short.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LogState {
    /// Frames from the first on that add up.
    pub(super) sound: u64,
    /// Those of them up to the last commit: what `SQLite` sees.
    pub(super) committed: u64,
    /// Frames behind the first that does not add up that belong to the same log.
    pub(super) behind: u64,
    /// Whether there was a commit after which more was written: it had been synced, and is lost.
    pub(super) has_lost: bool,
    /// Which log it is, as the header says, or, where that is damaged, its frames.
    pub(super) salts: Option<(u32, u32)>,
}

impl LogState {
    /// Whether all is there that was saved.
    pub(super) fn verdict(self) -> Verdict {
        if !self.has_lost {
            return Verdict::Sound;
        }
        Verdict::Damaged(format!(
            "the log of the last changes is damaged: {} pages behind page {} cannot be read",
            self.behind, self.committed
        ))
    }

    /// Whether all is there that `SQLite` knows of.
    pub(super) fn verdict_of(self, frames: u64) -> Verdict {
        if self.committed >= frames {
            return Verdict::Sound;
        }
        Verdict::Damaged(format!(
            "of {frames} pages in the log only {} can be read as they were written",
            self.committed
        ))
    }
}

/// One frame: a page as a change has left it.
pub(super) struct Frame<'a> {
    /// Its number, from 1.
    pub(super) page: u32,
    /// Whether it adds up, and all before it.
    pub(super) is_sound: bool,
    /// Whether it adds up with what the one before it says of itself.
    pub(super) adds_up: bool,
    /// Pages that the database has after it, if a commit ends with it.
    pub(super) commit: Option<u32>,
    /// The page.
    pub(super) content: &'a [u8],
}

/// Adds words to a checksum of `SQLite`'s log. `bytes` has a multiple of 8 bytes.
pub(super) fn add_up(bytes: &[u8], big_endian: bool, (mut a, mut b): (u32, u32)) -> (u32, u32) {
    let word = |bytes: &[u8]| {
        let bytes = [bytes[0], bytes[1], bytes[2], bytes[3]];
        if big_endian {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        }
    };
    for pair in bytes.chunks_exact(8) {
        a = a.wrapping_add(word(&pair[..4])).wrapping_add(b);
        b = b.wrapping_add(word(&pair[4..])).wrapping_add(a);
    }
    (a, b)
}

/// Reads a log frame by frame; a log that is not there, or is empty, has none. `unsaid_page_bytes` is the size of its
/// pages where its own header cannot be read.
///
/// # Errors
/// What the disk says.
pub(super) fn read_log(
    path: &Path,
    unsaid_page_bytes: usize,
    mut see: impl FnMut(&Frame<'_>),
) -> io::Result<LogState> {
    let mut state = LogState::default();
    let file = match File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(state),
        file => file?,
    };
    let length = file.metadata()?.len();
    let mut file = BufReader::with_capacity(64 * 1024, file);
    let mut header = [0; HEADER_BYTES];
    if length < HEADER_BYTES as u64 {
        return Ok(state);
    }
    file.read_exact(&mut header)?;
    let word = |bytes: &[u8], n: usize| {
        u32::from_be_bytes([
            bytes[4 * n],
            bytes[4 * n + 1],
            bytes[4 * n + 2],
            bytes[4 * n + 3],
        ])
    };
    let said = word(&header, 2) as usize;
    let is_one = word(&header, 0) & !1 == MAGIC && is_page_size(said);
    let page_bytes = if is_one { said } else { unsaid_page_bytes };
    let big_endian = word(&header, 0) & 1 == 1;
    let sum = add_up(&header[..24], big_endian, (0, 0));
    let mut is_sound = is_one && sum == (word(&header, 6), word(&header, 7));
    // Without a header, the first frame says which belong together.
    let mut salts = is_sound.then(|| (word(&header, 4), word(&header, 5)));
    state.salts = salts;
    let mut said_before = (word(&header, 6), word(&header, 7));
    let mut frame = vec![0; FRAME_HEADER_BYTES + page_bytes];
    let frames = (length - HEADER_BYTES as u64) / frame.len() as u64;
    let mut has_commit_behind = false;
    let mut committed_page = None;
    for number in 1..=frames {
        match file.read_exact(&mut frame) {
            // `SQLite` begins its log anew, and cuts off what is longer than it keeps (`journal_size_limit`).
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => break,
            read => read?,
        }
        let (head, content) = frame.split_at(FRAME_HEADER_BYTES);
        let salt = (word(head, 2), word(head, 3));
        let is_of_this_log = *salts.get_or_insert(salt) == salt && word(head, 0) != 0;
        let says = (word(head, 4), word(head, 5));
        let adds_up = is_of_this_log
            && add_up(
                content,
                big_endian,
                add_up(&head[..8], big_endian, said_before),
            ) == says;
        is_sound &= adds_up;
        said_before = says;
        let commit = Some(word(head, 1)).filter(|pages| *pages > 0);
        // A commit that repeats the one before it fills up to the next sector (`sector.rs`), and says nothing new.
        let ended_by = commit.map(|_| word(head, 0));
        let is_padding = ended_by.is_some() && ended_by == committed_page;
        committed_page = ended_by.filter(|_| adds_up);
        if is_sound {
            state.sound = number;
            if commit.is_some() {
                state.committed = number;
            }
        } else if is_of_this_log {
            state.behind += 1;
            // Frames are written after the commit before them was synced, but for the last that filled it up. What does
            // not add up may be torn, or the end of an older change that failed, and is no witness.
            if !adds_up {
                has_commit_behind = false;
            } else if !is_padding {
                state.has_lost |= has_commit_behind;
                has_commit_behind |= commit.is_some();
            }
        }
        if is_of_this_log {
            // Also where its header cannot be read.
            state.salts = salts;
            see(&Frame {
                page: word(head, 0),
                is_sound,
                adds_up,
                commit,
                content,
            });
        }
    }
    Ok(state)
}

/// Writes the first `frames` of a log once more where they lie, byte for byte, cuts off what is behind
/// them, and syncs it. Nobody else may write to the log meanwhile.
///
/// After a sync that failed, the kernel counts what it could not write as written, and a later sync says
/// that all is well (<https://lwn.net/Articles/752063/>). What is in memory is still right: written again, it
/// must be synced again. What is behind the last commit is left from a change that failed.
pub(super) fn write_again(path: &Path, frames: u64, page_bytes: usize) -> io::Result<()> {
    let file = match OpenOptions::new().read(true).write(true).open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file?,
    };
    let whole = HEADER_BYTES as u64 + frames * (FRAME_HEADER_BYTES + page_bytes) as u64;
    let length = file.metadata()?.len();
    if frames > 0 && whole < length {
        file.set_len(whole)?;
    }
    let (mut buffer, mut at) = (vec![0; 64 * 1024], 0);
    loop {
        let count = file.read_at(&mut buffer, at)?;
        if count == 0 {
            break;
        }
        file.write_all_at(&buffer[..count], at)?;
        at += count as u64;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rusqlite::Connection;

    use super::{
        super::{
            sector,
            wal_verdict::{LOOK_AGAIN_AFTER, look_at_log, look_at_log_unopened},
        },
        LogState, OLD_PAGE_BYTES, Verdict, log_of, read_log, write_again,
    };

    /// A log of ten changes, as the disk has it.
    fn a_log() -> (tempfile::TempDir, std::path::PathBuf, LogState) {
        let dir = tempfile::tempdir().unwrap();
        let (live, copy) = (dir.path().join("live"), dir.path().join("copy-wal"));
        let connection = Connection::open(&live).unwrap();
        connection
            .pragma_update(None, "journal_mode", "WAL")
            .unwrap();
        connection.execute_batch("CREATE TABLE t (a)").unwrap();
        for _ in 0..10 {
            connection
                .execute("INSERT INTO t VALUES (zeroblob(9000))", [])
                .unwrap();
        }
        let frames: (i64, i64, i64) = connection
            .query_row("PRAGMA wal_checkpoint(NOOP)", [], |r| {
                Ok((r.get(0)?, r.get(1)?, r.get(2)?))
            })
            .unwrap();
        fs::copy(log_of(&live), &copy).unwrap();
        fs::copy(
            super::beside(&live, "-shm"),
            dir.path().join("copy-shm.kept"),
        )
        .unwrap();
        let state = read_log(&copy, OLD_PAGE_BYTES, |_| {}).unwrap();
        assert_eq!(
            state.committed.cast_signed(),
            frames.1,
            "as SQLite counts them"
        );
        (dir, copy, state)
    }

    #[test]
    fn a_sound_log_has_all_its_frames_and_stays_as_it_is_when_written_again() {
        let (_dir, log, state) = a_log();
        assert!(state.behind == 0 && !state.has_lost && state.sound == state.committed);
        let before = fs::read(&log).unwrap();
        write_again(&log, state.committed, OLD_PAGE_BYTES).unwrap();
        assert_eq!(fs::read(&log).unwrap(), before);
    }

    #[test]
    fn a_flipped_bit_in_a_log_is_noticed_and_in_the_last_change_if_the_index_is_there() {
        let (dir, log, state) = a_log();
        let bytes = fs::read(&log).unwrap();
        let (database, shm) = (dir.path().join("copy"), dir.path().join("copy-shm"));
        let looked = || {
            let verdict = look_at_log_unopened(&database);
            verdict.damage().is_some()
        };
        fs::copy(dir.path().join("copy-shm.kept"), &shm).unwrap();
        assert!(!looked(), "all is well");
        let mut slow = 0;
        for at in (0..32).chain((32..bytes.len()).step_by(97)) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << (at % 8);
            fs::write(&log, damaged).unwrap();
            let now = read_log(&log, OLD_PAGE_BYTES, |_| {}).unwrap();
            assert!(now.committed < state.committed, "at {at}: {now:?}");
            // Of a power cut there is no index: then the last change looks like the end of the log, and is lost silently.
            let is_in_the_last_change = at > bytes.len() - 5 * 4120;
            assert!(
                now.behind > 0 || at > bytes.len() - 4120,
                "at {at}: {now:?}"
            );
            assert!(
                now.has_lost || is_in_the_last_change || at < 32,
                "at {at}: {now:?}"
            );
            // Each look takes a second.
            if is_in_the_last_change && slow < 3 && at % 7 == 0 {
                slow += 1;
                assert!(looked(), "at {at}");
                fs::remove_file(&shm).unwrap();
                assert_eq!(looked(), now.has_lost, "at {at}");
                fs::copy(dir.path().join("copy-shm.kept"), &shm).unwrap();
            }
        }
        assert_eq!(slow, 3);
        // An index that is damaged or of another log says nothing.
        let mut torn = bytes;
        let last = torn.len() - 9;
        torn[last] ^= 1;
        fs::write(&log, torn).unwrap();
        assert!(looked());
        let index = fs::read(&shm).unwrap();
        for at in [0, 12, 17, 33, 45, 50] {
            let mut damaged = index.clone();
            damaged[at] ^= 2;
            fs::write(&shm, damaged).unwrap();
            assert!(!looked(), "at {at}");
        }
    }

    #[test]
    fn a_change_that_the_power_cut_tore_is_not_taken_for_one_that_was_lost() {
        const SECTOR: usize = 512;
        let dir = tempfile::tempdir().unwrap();
        let (live, torn) = (dir.path().join("live"), dir.path().join("torn-wal"));
        let connection = Connection::open(&live).unwrap();
        sector::fill_up(&connection).unwrap();
        let settings =
            "PRAGMA page_size = 512; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
            PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (a); CREATE TABLE u (a);";
        connection.execute_batch(settings).unwrap();
        let save = |bytes: u32| {
            let both =
                "BEGIN; INSERT INTO t VALUES (zeroblob(?)); INSERT INTO u VALUES (1); COMMIT";
            let both = both.replace('?', &bytes.to_string());
            connection.execute_batch(&both).unwrap();
            fs::read(log_of(&live)).unwrap()
        };
        let mut random = 1_u32;
        let mut before = save(700);
        for change in 0..40 {
            let after = save(change * 67);
            let synced = before.len() / 4096 * 4096;
            let mut torn_ones = 0;
            fs::write(&torn, &before[..synced]).unwrap();
            let acknowledged = read_log(&torn, 512, |_| {}).unwrap().committed;
            for _ in 0..20 {
                let mut bytes = after.clone();
                for at in (synced..after.len()).step_by(SECTOR) {
                    random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    if random >> 31 == 0 {
                        let end = (at + SECTOR).min(after.len());
                        let old = |n: usize| before.get(n).copied().unwrap_or(0);
                        (at..end).for_each(|n| bytes[n] = old(n));
                    }
                }
                fs::write(&torn, &bytes).unwrap();
                let state = read_log(&torn, 512, |_| {}).unwrap();
                assert!(!state.has_lost, "change {change}: {state:?}");
                assert!(
                    state.committed >= acknowledged,
                    "change {change}: {state:?}"
                );
                torn_ones += u32::from(state.behind > 0);
            }
            assert!(torn_ones > 0, "change {change}: nothing was torn");
            before = after;
        }
        // The index counts the frame that reaches into the next sector, of which only the beginning was synced.
        let synced = before.len() / 4096 * 4096;
        assert_ne!(synced, before.len());
        fs::write(&torn, &before[..synced]).unwrap();
        let index = dir.path().join("torn-shm");
        fs::copy(dir.path().join("live-shm"), &index).unwrap();
        let database = dir.path().join("torn");
        assert_eq!(look_at_log_unopened(&database), Verdict::Sound);
        fs::write(&torn, &before[..synced - 4096]).unwrap();
        assert!(look_at_log_unopened(&database).damage().is_some());
    }

    #[test]
    fn a_log_that_is_being_written_has_lost_nothing() {
        let (dir, log, _) = a_log();
        let database = dir.path().join("copy");
        let bytes = fs::read(&log).unwrap();
        let mut torn = bytes.clone();
        torn[200] ^= 1;
        fs::write(&log, &torn).unwrap();
        let verdict = look_at_log(&database);
        assert!(verdict.damage().is_some(), "it stays so: {verdict:?}");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(LOOK_AGAIN_AFTER / 3);
                fs::write(&log, &bytes).unwrap();
            });
            assert_eq!(look_at_log(&database), Verdict::Sound);
        });
    }

    #[test]
    fn a_log_that_is_cut_while_it_is_read_ends_there() {
        let (_dir, log, state) = a_log();
        let mut frames = 0;
        let cut = |_: &super::Frame<'_>| {
            frames += 1;
            let file = fs::File::options().write(true).open(&log).unwrap();
            file.set_len(8192).unwrap();
        };
        let now = read_log(&log, OLD_PAGE_BYTES, cut).unwrap();
        assert!(frames < state.sound && !now.has_lost, "{frames}: {now:?}");
    }

    #[test]
    fn a_log_that_cannot_be_read_is_neither_sound_nor_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("site.db");
        assert_eq!(look_at_log(&database), Verdict::Sound, "there is none");
        fs::create_dir(log_of(&database)).unwrap();
        let verdict = look_at_log(&database);
        assert!(verdict.unseen().is_some(), "{verdict:?}");
    }

    #[test]
    fn what_is_no_log_has_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x-wal");
        assert_eq!(
            read_log(&path, OLD_PAGE_BYTES, |_| {}).unwrap(),
            LogState::default()
        );
        for rubbish in [vec![], vec![0; 31], vec![7; 9000]] {
            fs::write(&path, rubbish).unwrap();
            assert_eq!(read_log(&path, OLD_PAGE_BYTES, |_| {}).unwrap().sound, 0);
        }
    }
}
