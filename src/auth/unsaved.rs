//! Sessions while nothing can be saved: in memory, so that the owner can see what is wrong.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

use super::{
    sessions::{Session, Token, hash_token},
    users::{Role, User},
};
use crate::base::{Id, Result};

/// How long such a session lasts: until the disk is seen to, and not longer.
const LIFE: Duration = Duration::from_hours(1);
/// So many are kept; the oldest goes.
const MAX: usize = 16;

static KEPT: Mutex<Vec<Kept>> = Mutex::new(Vec::new());

#[derive(Clone)]
pub(super) struct Kept {
    token_hash: Vec<u8>,
    id: Id,
    user: Id,
    /// Of the password with which it was begun: another one ends it.
    password_hash: String,
    until: Instant,
}

/// Such a session on its way to the process that goes on in the place of this one.
#[derive(Serialize, Deserialize)]
pub struct Carried {
    token_hash: Vec<u8>,
    id: i64,
    user: i64,
    password_hash: String,
    seconds_left: u64,
}

/// Without what would let somebody in.
impl fmt::Debug for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Carried")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// All of them, for the process that goes on.
pub fn all() -> Vec<Carried> {
    let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let carried = |kept: &Kept| Carried {
        token_hash: kept.token_hash.clone(),
        id: kept.id.0,
        user: kept.user.0,
        password_hash: kept.password_hash.clone(),
        seconds_left: kept
            .until
            .saturating_duration_since(Instant::now())
            .as_secs(),
    };
    kept.iter().map(carried).collect()
}

/// Goes on with those of the process before.
pub fn take_over(carried: Vec<Carried>) {
    let now = Instant::now();
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    kept.extend(carried.into_iter().take(MAX).map(|carried| Kept {
        token_hash: carried.token_hash,
        id: Id(carried.id),
        user: Id(carried.user),
        password_hash: carried.password_hash,
        until: now + Duration::from_secs(carried.seconds_left).min(LIFE),
    }));
}

/// Begins a session that is kept until the last process ends that goes on in the place of this one, and for an hour at most.
pub fn begin(token: &Token, user: Id, password_hash: &str) {
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.len() >= MAX {
        kept.remove(0);
    }
    kept.push(Kept {
        token_hash: hash_token(token.as_str()),
        id: Id::new(),
        user,
        password_hash: password_hash.to_owned(),
        until: Instant::now() + LIFE,
    });
}

/// Ends such a session; says whether it was one.
pub fn end(session: Id) -> bool {
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let before = kept.len();
    kept.retain(|kept| kept.id != session);
    kept.len() < before
}

/// That of a cookie's value.
pub(super) fn find(token: &str) -> Option<Kept> {
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.is_empty() {
        return None;
    }
    let now = Instant::now();
    kept.retain(|kept| kept.until > now);
    let hash = hash_token(token);
    kept.iter().find(|kept| kept.token_hash == hash).cloned()
}

/// The session, if its account still has the password with which it was begun.
pub(super) fn still_holds(connection: &Connection, kept: &Kept) -> Result<Option<Session>> {
    let session = connection
        .prepare_cached(
            "SELECT name, display_name, role FROM users WHERE id = ?1 AND password_hash = ?2",
        )?
        .query_row(rusqlite::params![kept.user.0, kept.password_hash], |row| {
            Ok(Session {
                id: kept.id,
                user: User {
                    id: kept.user,
                    name: row.get(0)?,
                    display_name: row.get(1)?,
                    role: Role::from_name(row.get_ref(2)?.as_str()?),
                },
            })
        })
        .optional()?;
    Ok(session)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_no_disk_has_goes_on_in_the_process_that_takes_over_and_no_longer_than_it_would()
     {
        let token = Token::new().unwrap();
        begin(&token, Id(7), "hash");
        let line = serde_json::to_string(&all()).unwrap();
        assert!(!line.contains(token.as_str()));
        let before = find(token.as_str()).unwrap();
        assert!(end(before.id));
        assert!(find(token.as_str()).is_none());
        let mut carried: Vec<Carried> = serde_json::from_str(&line).unwrap();
        carried.retain(|carried| carried.id == before.id.0);
        take_over(carried);
        let after = find(token.as_str()).unwrap();
        assert_eq!(
            (after.id, after.user, &*after.password_hash),
            (before.id, Id(7), "hash")
        );
        assert!(after.until <= before.until);
        assert!(before.until - after.until < Duration::from_secs(5));
    }
}
