//! What looking at something has shown: that it is sound, that it is damaged, or nothing at all.

use std::{thread, time::Duration};

use rusqlite::ErrorCode;
use serde::{Deserialize, Serialize};

use super::{Error, Result};

/// How long to wait before damage is believed.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// Looks once more, a moment later, where a look has found damage. `SQLite` says the same of a disk that has not given a
/// page for a moment (`SQLITE_IOERR_CORRUPTFS` becomes `SQLITE_CORRUPT` in its vdbe.c).
pub fn look_surely<T>(mut look: impl FnMut() -> T, is_damage: impl FnOnce(&T) -> bool) -> T {
    let seen = look();
    if !is_damage(&seen) {
        return seen;
    }
    thread::sleep(LOOK_AGAIN_AFTER);
    look()
}

/// What looking at something has shown.
///
/// What could not be looked at is neither damaged nor sound. Who takes it for damaged stops a site, or restores a backup
/// over it; who takes it for sound relies on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is what was stored.
    Sound,
    /// It is not: what is wrong, in words.
    Damaged(String),
    /// It could not be looked at: why, in words.
    NotSeen(String),
}

impl Verdict {
    /// What an error that came of looking at something says of it.
    pub fn of(error: &Error) -> Self {
        match error {
            Error::Damaged(what) => Self::Damaged(what.clone()),
            Error::Database(e) if is_damage(e) => Self::Damaged(e.to_string()),
            e => Self::NotSeen(e.to_string()),
        }
    }

    /// The worst of several; damage that was seen before what was not seen.
    pub fn worst(all: impl IntoIterator<Item = Self>) -> Self {
        let rank = |verdict: &Self| match verdict {
            Self::Damaged(_) => 0,
            Self::NotSeen(_) => 1,
            Self::Sound => 2,
        };
        all.into_iter().min_by_key(rank).unwrap_or(Self::Sound)
    }

    /// Whether it was looked at and is what was stored.
    pub fn is_sound(&self) -> bool {
        *self == Self::Sound
    }

    /// What is wrong, if it is damaged.
    pub fn damage(&self) -> Option<&str> {
        match self {
            Self::Damaged(what) => Some(what),
            _ => None,
        }
    }

    /// Why it could not be looked at, if it could not.
    pub fn unseen(&self) -> Option<&str> {
        match self {
            Self::NotSeen(why) => Some(why),
            _ => None,
        }
    }

    /// For who goes on only with what is sound.
    ///
    /// # Errors
    /// [`Error::Damaged`] if it is damaged, and [`Error::Internal`] if it could not be looked at.
    pub fn insist(self) -> Result<()> {
        match self {
            Self::Sound => Ok(()),
            Self::Damaged(what) => Err(Error::Damaged(what)),
            Self::NotSeen(why) => Err(Error::Internal(why)),
        }
    }
}

/// Whether `SQLite` says that a database is damaged, and not that the disk or its own limits kept it from reading.
pub fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::{Error, Verdict, look_surely};

    #[test]
    fn only_what_was_read_and_is_wrong_is_damaged() {
        let sqlite = |code| {
            Error::from(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(code),
                None,
            ))
        };
        for (error, is_damaged) in [
            (Error::Damaged("page 7".into()), true),
            (sqlite(rusqlite::ffi::SQLITE_CORRUPT), true),
            (sqlite(rusqlite::ffi::SQLITE_NOTADB), true),
            (sqlite(rusqlite::ffi::SQLITE_IOERR_READ), false),
            (sqlite(rusqlite::ffi::SQLITE_FULL), false),
            (
                Error::io("reading", "site.db", ErrorKind::PermissionDenied.into()),
                false,
            ),
            (
                Error::Invalid("this was made by a newer Webstead".into()),
                false,
            ),
            (Error::Busy("it was stopped"), false),
        ] {
            let verdict = Verdict::of(&error);
            assert_eq!(verdict.damage().is_some(), is_damaged, "{error}");
            assert_eq!(verdict.unseen().is_some(), !is_damaged, "{error}");
            assert!(verdict.insist().is_err(), "{error}");
        }
    }

    #[test]
    fn damage_is_believed_only_when_it_is_there_again() {
        for (seen, expected, looks) in [([0, 7], 0, 1), ([1, 0], 0, 2), ([1, 1], 1, 2)] {
            let mut count = 0;
            let found = look_surely(
                || {
                    count += 1;
                    seen[count - 1]
                },
                |seen| *seen == 1,
            );
            assert_eq!((found, count), (expected, looks), "{seen:?}");
        }
    }

    #[test]
    fn what_was_not_seen_is_worse_than_sound_and_hides_no_damage() {
        let (damaged, unseen) = (Verdict::Damaged("a".into()), Verdict::NotSeen("b".into()));
        let sound = Verdict::Sound;
        assert_eq!(Verdict::worst([]), sound);
        assert_eq!(
            Verdict::worst([sound.clone(), unseen.clone(), sound.clone()]),
            unseen
        );
        assert_eq!(Verdict::worst([sound, unseen, damaged.clone()]), damaged);
    }
}
