//! The steps that lead to `schema.sql`, applied to a database when it is opened.

use rusqlite::Connection;
use rusqlite_migration::{M, Migrations};

use crate::base::{Error, Result};

/// All steps, oldest first. A step that was released is never edited; add another.
const STEPS: &[&str] = &[
    include_str!("migrations/1_first.sql"),
    include_str!("migrations/2_hosts.sql"),
    include_str!("migrations/3_compatibility.sql"),
];

/// The version of the schema that this program makes and understands (`SQLite`'s `user_version`).
pub(super) const SCHEMA_VERSION: i64 = STEPS.len() as i64;

/// "WSTD": marks a file as ours (`SQLite`'s `application_id`).
const APPLICATION_ID: i64 = 0x5753_5444;

/// Brings a database to [`SCHEMA_VERSION`]. One of a newer Webstead that this one can work with stays as it is.
///
/// # Errors
/// [`Error::Invalid`] if the file belongs to another program or to a Webstead that is too new.
pub(super) fn migrate(connection: &mut Connection) -> Result<()> {
    let tables = check_version(connection)?;
    if version_of(connection)? > SCHEMA_VERSION {
        return Ok(());
    }
    if tables == 0 {
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    }
    let steps = STEPS.iter().map(|sql| M::up(sql)).collect();
    Migrations::new(steps)
        .to_latest(connection)
        .map_err(|e| match e {
            rusqlite_migration::Error::RusqliteError { err, .. } => Error::Database(err),
            e => Error::internal(e),
        })
}

/// Whether this program understands the database; returns how many tables it has.
///
/// # Errors
/// As [`migrate`].
pub(super) fn check_version(connection: &Connection) -> Result<i64> {
    let application: i64 =
        connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version = version_of(connection)?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables > 0 && application != APPLICATION_ID {
        return Err(Error::Invalid(
            "site.db is not a Webstead database; choose another data folder with --data DIR".into(),
        ));
    }
    if version > SCHEMA_VERSION && oldest(connection)? > SCHEMA_VERSION {
        return Err(Error::Invalid(format!(
            "this data folder was made by a newer Webstead (its schema is {version}, this program \
             knows {SCHEMA_VERSION}); nothing was changed. Use the newer program, or a backup from before"
        )));
    }
    Ok(tables)
}

/// The version of a database's schema.
pub(super) fn version_of(connection: &Connection) -> Result<i64> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

/// The schema of the oldest program that can work with a database of a newer one.
fn oldest(connection: &Connection) -> Result<i64> {
    let oldest = "SELECT oldest FROM compatibility WHERE id = 1";
    Ok(connection.query_row(oldest, [], |row| row.get(0))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema_of(connection: &Connection) -> Vec<(String, String, String)> {
        let mut statement = connection
            .prepare("SELECT type, name, coalesce(sql, '') FROM sqlite_schema ORDER BY type, name")
            .unwrap();
        let rows = statement
            .query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))
            .unwrap();
        rows.map(|row| {
            let (kind, name, sql): (String, String, String) = row.unwrap();
            let without_comments: Vec<&str> = sql
                .lines()
                .map(|line| line.split("--").next().unwrap_or("").trim())
                .collect();
            let sql = without_comments
                .join(" ")
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ");
            (kind, name, sql)
        })
        .collect()
    }

    #[test]
    fn the_migrations_lead_to_schema_sql() {
        let mut migrated = Connection::open_in_memory().unwrap();
        migrate(&mut migrated).unwrap();
        let written = Connection::open_in_memory().unwrap();
        written
            .execute_batch(include_str!("../../schema.sql"))
            .unwrap();
        assert_eq!(schema_of(&migrated), schema_of(&written));
    }

    #[test]
    fn a_database_of_a_newer_program_is_used_as_it_is_where_only_something_was_added() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        connection.execute_batch("CREATE TABLE added (a)").unwrap();
        connection
            .pragma_update(None, "user_version", SCHEMA_VERSION + 2)
            .unwrap();
        migrate(&mut connection).unwrap();
        assert_eq!(version_of(&connection).unwrap(), SCHEMA_VERSION + 2);
    }

    #[test]
    fn a_database_that_a_newer_program_took_something_from_is_refused_and_left_alone() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        connection
            .pragma_update(None, "user_version", SCHEMA_VERSION + 1)
            .unwrap();
        connection
            .execute("UPDATE compatibility SET oldest = ?1", [SCHEMA_VERSION + 1])
            .unwrap();
        let error = migrate(&mut connection).unwrap_err().to_string();
        assert!(error.contains("newer Webstead"), "{error}");
    }

    #[test]
    fn a_database_of_another_program_is_refused_and_left_alone() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE theirs (a)").unwrap();
        let error = migrate(&mut connection).unwrap_err().to_string();
        assert!(error.contains("not a Webstead database"), "{error}");
    }
}
