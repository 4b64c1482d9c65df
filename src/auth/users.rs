//! Accounts: people who can sign in.

use rusqlite::{Connection, OptionalExtension, Row};

use crate::{
    base::{Error, Id, Result, Timestamp},
    db::Change,
};

/// Guard: nobody has an account yet.
pub const NO_USERS: &str = "no-users";
/// Guard: the password that was checked is still the account's.
pub const PASSWORD_UNCHANGED: &str = "password-unchanged";
/// Characters of a user's name and display name.
const MAX_NAME_CHARS: usize = 60;

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Everything, settings too.
    Owner,
    /// Write, publish and delete.
    Editor,
}

impl Role {
    /// As the database writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Editor => "editor",
        }
    }

    /// From the database; what is not `owner` may less.
    pub fn from_name(name: &str) -> Self {
        if name == "owner" {
            Self::Owner
        } else {
            Self::Editor
        }
    }
}

/// Somebody who can sign in.
#[derive(Clone, Debug)]
pub struct User {
    /// Their id.
    pub id: Id,
    /// What they type to sign in.
    pub name: String,
    /// What visitors see.
    pub display_name: String,
    /// What they may do.
    pub role: Role,
}

/// Checks and tidies a name to sign in with: lower case, no spaces.
///
/// # Errors
/// [`Error::Invalid`] with what to change.
pub fn parse_name(name: &str) -> Result<String> {
    let name = name.trim().to_lowercase();
    let is_fine = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '@' | '+');
    if name.is_empty() {
        return Err(Error::Invalid("Choose a name to sign in with.".into()));
    }
    if name.chars().count() > MAX_NAME_CHARS {
        return Err(Error::Invalid(format!(
            "The name is too long; {MAX_NAME_CHARS} characters are the most."
        )));
    }
    if let Some(bad) = name.chars().find(|c| !is_fine(*c)) {
        return Err(Error::Invalid(format!(
            "The name cannot have {bad:?} in it; use letters, digits, and . - _ @ +"
        )));
    }
    Ok(name)
}

/// Checks and tidies the name that visitors see; an empty one becomes `fallback`.
///
/// # Errors
/// [`Error::Invalid`] with what to change.
pub fn parse_display_name(display_name: &str, fallback: &str) -> Result<String> {
    let tidy = display_name
        .split_whitespace()
        .map(|word| word.chars().filter(|c| !c.is_control()).collect::<String>())
        .collect::<Vec<_>>()
        .join(" ");
    if tidy.chars().count() > MAX_NAME_CHARS {
        return Err(Error::Invalid(format!(
            "Your name is too long; {MAX_NAME_CHARS} characters are the most."
        )));
    }
    Ok(if tidy.is_empty() {
        fallback.to_owned()
    } else {
        tidy
    })
}

/// Makes an account.
pub fn insert_user(user: &User, password_hash: &str, now: Timestamp) -> Change {
    let mut change = Change::new();
    change.push(
        "INSERT INTO users (id, name, display_name, password_hash, role, created_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        vec![
            user.id.into(),
            (&user.name).into(),
            (&user.display_name).into(),
            password_hash.into(),
            user.role.as_str().into(),
            now.into(),
        ],
    );
    change
}

/// Makes the first account, the owner's; a conflict if there is one already.
pub fn insert_first_user(user: &User, password_hash: &str, now: Timestamp) -> Change {
    let mut change = Change::new();
    change.guard(
        NO_USERS,
        "UPDATE guard SET ok = NOT EXISTS (SELECT 1 FROM users)",
        vec![],
    );
    change.extend(insert_user(user, password_hash, now));
    change
}

/// Sets a password and ends all sessions of the account but one (`None`: all).
pub fn update_password(user: Id, password_hash: &str, kept_session: Option<Id>) -> Change {
    let mut change = Change::new();
    change.push(
        "UPDATE users SET password_hash = ?2 WHERE id = ?1",
        vec![user.into(), password_hash.into()],
    );
    change.extend(super::sessions::delete_other_sessions(user, kept_session));
    change
}

/// [`update_password`], if the old one is still what it was when it was checked; else a conflict.
pub fn change_password_from(
    user: Id,
    old_hash: &str,
    hash: &str,
    kept_session: Option<Id>,
) -> Change {
    let mut change = Change::new();
    guard_password(&mut change, user, old_hash);
    change.extend(update_password(user, hash, kept_session));
    change
}

/// Lets a change happen only while the account has this password.
pub(super) fn guard_password(change: &mut Change, user: Id, password_hash: &str) {
    change.guard(
        PASSWORD_UNCHANGED,
        "UPDATE guard SET ok = EXISTS (SELECT 1 FROM users WHERE id = ?1 AND password_hash = ?2)",
        vec![user.into(), password_hash.into()],
    );
}

/// Finds an account and its password hash by the name to sign in with.
pub fn find_user(connection: &Connection, name: &str) -> Result<Option<(User, String)>> {
    let found = connection
        .prepare_cached(
            "SELECT id, name, display_name, role, password_hash FROM users WHERE name = ?1",
        )?
        .query_row([name], |row| Ok((user(row)?, row.get(4)?)))
        .optional()?;
    Ok(found)
}

/// Whether anybody has an account: whether the site is set up.
pub fn has_users(connection: &Connection) -> Result<bool> {
    Ok(connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM users)")?
        .query_row([], |r| r.get(0))?)
}

/// Whether there is an owner.
pub fn has_owner(connection: &Connection) -> Result<bool> {
    Ok(connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM users WHERE role = 'owner')")?
        .query_row([], |r| r.get(0))?)
}

/// All accounts by name.
pub fn list_users(connection: &Connection) -> Result<Vec<User>> {
    let users = connection
        .prepare_cached("SELECT id, name, display_name, role FROM users ORDER BY name, id")?
        .query_map([], user)?
        .collect::<Result<_, _>>()?;
    Ok(users)
}

fn user(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        id: Id(row.get(0)?),
        name: row.get(1)?,
        display_name: row.get(2)?,
        role: Role::from_name(row.get_ref(3)?.as_str()?),
    })
}
