//! Sessions while nothing can be saved: in memory, so that the owner can see what is wrong.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use rusqlite::{Connection, OptionalExtension};

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

/// Begins a session that is kept until this process ends, and for an hour at most.
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
