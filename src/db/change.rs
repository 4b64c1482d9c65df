//! A change: the only way to write to the database.
//!
//! A list of SQL statements with their values, applied atomically, that gives the same result on every
//! machine on which it is replayed. See ARCHITECTURE.md, "Rules for writes".

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use serde::Serialize;

use crate::base::{Error, Id, Result, Timestamp};

/// The most that one change may carry, so that it fits into a message between machines.
pub const MAX_CHANGE_BYTES: usize = 1_000_000;

/// What every statement of a change begins with. Whatever else there is in SQL does more than write rows.
pub(super) const VERBS: [&str; 4] = ["INSERT ", "UPDATE ", "DELETE ", "WITH "];

/// A value that is bound to a numbered parameter.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// SQL NULL.
    Null,
    /// A 64-bit integer: ids, times, counts, 0 and 1.
    Integer(i64),
    /// Text, UTF-8.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

impl Value {
    /// Bytes that this value takes in a message.
    fn size_bytes(&self) -> usize {
        match self {
            Self::Null => 1,
            Self::Integer(_) => 8,
            Self::Text(text) => text.len(),
            Self::Blob(bytes) => bytes.len(),
        }
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}
impl From<bool> for Value {
    fn from(yes: bool) -> Self {
        Self::Integer(i64::from(yes))
    }
}
impl From<Id> for Value {
    fn from(id: Id) -> Self {
        Self::Integer(id.0)
    }
}
impl From<Timestamp> for Value {
    fn from(time: Timestamp) -> Self {
        Self::Integer(time.0)
    }
}
impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}
impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}
impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}
impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Blob(bytes)
    }
}
impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// One statement of a change.
#[derive(Clone, Debug)]
pub struct Statement {
    /// SQL with parameters `?1`, `?2` …
    pub sql: &'static str,
    /// Their values, in order.
    pub values: Vec<Value>,
    /// For a guard: the name of what it checks, told in [`Error::Conflict`].
    pub guard: Option<&'static str>,
}

/// Statements that are applied together or not at all, once.
#[derive(Clone, Debug)]
pub struct Change {
    id: Id,
    is_upkeep: bool,
    statements: Vec<Statement>,
}

impl Change {
    /// An empty change with an id of its own.
    pub fn new() -> Self {
        Self {
            id: Id::new(),
            is_upkeep: false,
            statements: Vec::new(),
        }
    }

    /// An empty change that only forgets what has had its time. It may be applied twice, and does not count as
    /// something that was written.
    pub fn upkeep() -> Self {
        Self {
            is_upkeep: true,
            ..Self::new()
        }
    }

    /// Whether it was made by [`Change::upkeep`].
    pub(super) fn is_upkeep(&self) -> bool {
        self.is_upkeep
    }

    /// The id by which a second delivery is recognised.
    pub fn id(&self) -> Id {
        self.id
    }

    /// The statements, in the order in which they are applied.
    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// Adds a statement.
    pub fn push(&mut self, sql: &'static str, values: Vec<Value>) {
        debug_assert!(
            VERBS.iter().any(|verb| sql.starts_with(verb)),
            "a statement writes rows: {sql}"
        );
        self.statements.push(Statement {
            sql,
            values,
            guard: None,
        });
    }

    /// Adds what the change assumes: `sql` sets `guard.ok` to the answer of a question, and if that is
    /// not 1, nothing of the change happens and [`Error::Conflict`] carries `name`.
    pub fn guard(&mut self, name: &'static str, sql: &'static str, values: Vec<Value>) {
        debug_assert!(
            sql.starts_with("UPDATE guard SET ok = "),
            "a guard updates the guard: {sql}"
        );
        self.statements.push(Statement {
            sql,
            values,
            guard: Some(name),
        });
    }

    /// Adds everything of another change.
    pub fn extend(&mut self, other: Self) {
        self.statements.extend(other.statements);
    }

    /// Bytes that the change takes in a message, about.
    pub fn size_bytes(&self) -> usize {
        self.statements
            .iter()
            .map(|s| s.sql.len() + s.values.iter().map(Value::size_bytes).sum::<usize>())
            .sum()
    }

    /// Refuses a change that is too large for a message.
    pub(super) fn check_size(&self) -> Result<()> {
        let size = self.size_bytes();
        if size > MAX_CHANGE_BYTES {
            return Err(Error::TooLarge(format!(
                "this is too large to save: {size} bytes, and at most {MAX_CHANGE_BYTES} fit; \
                 split it into parts"
            )));
        }
        Ok(())
    }
}

impl Default for Change {
    fn default() -> Self {
        Self::new()
    }
}
