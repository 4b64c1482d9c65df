//! Sessions: who is signed in, kept in the database, so that they survive a restart.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use actix_web::{
    cookie::{Cookie, SameSite, time::Duration as CookieDuration},
    http::header::{self, HeaderMap},
};
use data_encoding::BASE64URL_NOPAD;
use rusqlite::{Connection, OptionalExtension};
use sha2::{Digest, Sha256};

use super::{
    unsaved,
    users::{Role, User, guard_password},
};
use crate::{
    base::{Error, Id, Result, Timestamp, time::ClockSet},
    db::{Change, Database},
};

/// The cookie's name. `__Host-` (RFC 6265bis): Secure, of this host alone, for the whole site.
pub const COOKIE: &str = "__Host-session";
/// How long somebody stays signed in.
const LIFE_S: i64 = 30 * 24 * 3600;
/// How far another clock may have been ahead of this one when a session began.
const AHEAD_S: i64 = 24 * 3600;
/// Sessions whose last use is remembered; above that, those that were not used for a day are forgotten.
const MAX_SEEN: usize = 1000;
/// Characters of the browser's name that are kept.
const MAX_USER_AGENT_CHARS: usize = 200;

/// A secret that only the browser knows; the database has its hash.
pub struct Token(String);

impl Token {
    /// 256 random bits.
    ///
    /// # Errors
    /// [`Error::Internal`] if the system has no randomness.
    pub fn new() -> Result<Self> {
        let mut bytes = [0u8; 32];
        getrandom::fill(&mut bytes).map_err(Error::internal)?;
        Ok(Self(BASE64URL_NOPAD.encode(&bytes)))
    }

    /// The token's text, for a link or a cookie.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The cookie that carries it.
    pub fn into_cookie(self) -> Cookie<'static> {
        cookie(self.0, CookieDuration::seconds(LIFE_S))
    }
}

/// The cookie that ends a session in the browser.
pub fn removal_cookie() -> Cookie<'static> {
    cookie(String::new(), CookieDuration::ZERO)
}

fn cookie(value: String, max_age: CookieDuration) -> Cookie<'static> {
    Cookie::build(COOKIE, value)
        .path("/")
        .secure(true)
        .http_only(true)
        .same_site(SameSite::Lax)
        .max_age(max_age)
        .finish()
}

/// The session's token that a request carries.
///
/// The name is compared as it was sent: browsers check the prefix `__Host-` on that, so a name with `%`
/// escapes could come from somebody who may not set this cookie.
pub fn token_of(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(name, value)| (name == COOKIE).then_some(value))
}

/// The session of the token that a request carries, if it holds.
///
/// # Errors
/// What keeps the database from being read.
pub async fn find_session_of(database: &Database, headers: &HeaderMap) -> Result<Option<Session>> {
    let Some(token) = token_of(headers).map(str::to_owned) else {
        return Ok(None);
    };
    if let Some(kept) = unsaved::find(&token) {
        return database
            .read(move |connection| unsaved::still_holds(connection, &kept))
            .await;
    }
    database
        .read(move |connection| find_session(connection, &token, Timestamp::now()))
        .await
}

/// SHA-256 of a token: what the database knows of it.
pub fn hash_token(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}

/// A session and whose it is.
#[derive(Clone, Debug)]
pub struct Session {
    /// Its id.
    pub id: Id,
    /// Who is signed in.
    pub user: User,
}

/// A session as its owner sees it in the list.
#[derive(Clone, Debug)]
pub struct ListedSession {
    /// Its id.
    pub id: Id,
    /// The browser, as it called itself.
    pub user_agent: String,
    /// Signed in at.
    pub created_at: Timestamp,
}

/// Starts a session, if the password that was checked is still the account's; else a conflict.
pub fn insert_session(
    token: &Token,
    user: Id,
    password_hash: &str,
    user_agent: &str,
    now: Timestamp,
) -> Change {
    let mut change = Change::new();
    guard_password(&mut change, user, password_hash);
    let user_agent: String = user_agent
        .chars()
        .filter(|c| !c.is_control())
        .take(MAX_USER_AGENT_CHARS)
        .collect();
    change.push(
        "INSERT INTO sessions (id, token_hash, user_id, user_agent, created_at, expires_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        vec![
            Id::new().into(),
            hash_token(token.as_str()).into(),
            user.into(),
            user_agent.into(),
            now.into(),
            (now.0 + LIFE_S).into(),
        ],
    );
    change
}

/// Ends one session of a user.
pub fn delete_session(id: Id, user: Id) -> Change {
    let mut change = Change::new();
    change.push(
        "DELETE FROM sessions WHERE id = ?1 AND user_id = ?2",
        vec![id.into(), user.into()],
    );
    change
}

/// Ends all sessions of a user but one (`None`: all).
pub fn delete_other_sessions(user: Id, kept: Option<Id>) -> Change {
    let mut change = Change::new();
    change.push(
        "DELETE FROM sessions WHERE user_id = ?1 AND id IS NOT ?2",
        vec![user.into(), kept.into()],
    );
    change
}

/// Forgets sessions that have ended by themselves.
pub fn sweep_expired(now: Timestamp) -> Change {
    let mut change = Change::new();
    change.push(
        "DELETE FROM sessions WHERE expires_at <= ?1",
        vec![now.into()],
    );
    change
}

/// Lets the sessions that this process has made last as long as they should have, after the clock was set.
pub fn follow_clock(set: &ClockSet) -> Change {
    let mut change = Change::new();
    change.push(
        "UPDATE sessions SET created_at = created_at + ?3, expires_at = expires_at + ?3 \
         WHERE created_at BETWEEN ?1 AND ?2",
        vec![set.began.into(), set.ended.into(), set.by_s.into()],
    );
    change
}

/// Finds the living session of a cookie's value.
pub fn find_session(
    connection: &Connection,
    token: &str,
    now: Timestamp,
) -> Result<Option<Session>> {
    let session = connection
        .prepare_cached(
            "SELECT s.id, u.id, u.name, u.display_name, u.role FROM sessions AS s \
             JOIN users AS u ON u.id = s.user_id WHERE s.token_hash = ?1 AND s.expires_at > ?2 AND s.created_at < ?3",
        )?
        // One that begins later was made by a clock that was wrong, and would last for years.
        .query_row(rusqlite::params![hash_token(token), now.0, now.0 + AHEAD_S], |row| {
            Ok(Session {
                id: Id(row.get(0)?),
                user: User {
                    id: Id(row.get(1)?),
                    name: row.get(2)?,
                    display_name: row.get(3)?,
                    role: Role::from_name(row.get_ref(4)?.as_str()?),
                },
            })
        })
        .optional()?;
    Ok(session)
}

/// The living sessions of a user, newest first.
pub fn list_sessions(
    connection: &Connection,
    user: Id,
    now: Timestamp,
) -> Result<Vec<ListedSession>> {
    let sessions = connection
        .prepare_cached(
            "SELECT id, user_agent, created_at FROM sessions \
             WHERE user_id = ?1 AND expires_at > ?2 ORDER BY id DESC LIMIT 200",
        )?
        .query_map([user.0, now.0], |row| {
            Ok(ListedSession {
                id: Id(row.get(0)?),
                user_agent: row.get(1)?,
                created_at: Timestamp(row.get(2)?),
            })
        })?
        .collect::<Result<_, _>>()?;
    Ok(sessions)
}

/// When sessions were last used: of this machine, in memory, so that reading a page writes nothing.
#[derive(Default)]
pub struct LastSeen(Mutex<HashMap<Id, Timestamp>>);

impl LastSeen {
    /// Notes that a session was used now.
    pub fn note(&self, session: Id) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Timestamp::now();
        if seen.len() >= MAX_SEEN {
            seen.retain(|_, at| now.0 - at.0 < LIFE_S / 30);
        }
        seen.insert(session, now);
    }

    /// When a session was last used since this server started.
    pub fn of(&self, session: Id) -> Option<Timestamp> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&session)
            .copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        auth::users::{change_password_from, insert_user},
        db::Database,
    };

    #[test]
    fn a_session_is_not_made_with_a_password_that_was_replaced_in_the_meantime() {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::open(&dir.path().join("site.db")).unwrap();
        let user = User {
            id: Id::new(),
            name: "ada".into(),
            display_name: "Ada".into(),
            role: Role::Owner,
        };
        let now = Timestamp::now();
        let apply = |change| database.apply_blocking(change);
        apply(insert_user(&user, "old", now)).unwrap();
        let start = |hash: &str| insert_session(&Token::new().unwrap(), user.id, hash, "test", now);
        apply(start("old")).unwrap();
        apply(change_password_from(user.id, "old", "new", None)).unwrap();
        for late in [
            start("old"),
            change_password_from(user.id, "old", "newer", None),
        ] {
            assert!(matches!(apply(late), Err(Error::Conflict(_))));
        }
        let sessions = database.read_blocking(|connection| list_sessions(connection, user.id, now));
        assert!(sessions.unwrap().is_empty());
        apply(start("new")).unwrap();
    }
}
