//! The steps that lead to `schema.sql`, applied to a database when it is opened.

use rusqlite::Connection;
use rusqlite_migration::{M, Migrations};

use crate::base::{Error, Result};

/// All steps, oldest first. A step that was released is never edited; add another. (Before there was a release, the
/// first one made `import_key` unique in its table: databases of then have that index beside `posts_imported`.)
const STEPS: &[&str] = &[
    include_str!("migrations/1_first.sql"),
    include_str!("migrations/2_hosts.sql"),
    include_str!("migrations/3_compatibility.sql"),
    include_str!("migrations/4_change_log.sql"),
    include_str!("migrations/5_packed.sql"),
    include_str!("migrations/6_fewer_pages.sql"),
    include_str!("migrations/7_imported.sql"),
];

/// The schema from which on programs read packed texts.
const PACKED_SINCE: i64 = 5;

/// How many of them this program knows, in a form that is found in its file: the tests make a real older program of
/// it by lowering the number. A released program has no such place.
#[cfg(debug_assertions)]
static KNOWN: [u8; 24] = {
    let mut text = *b"webstead knows steps 000";
    let mut step = 0;
    while step < STEPS.len() {
        step += 1;
        text[23] += 1;
        if text[23] > b'9' {
            (text[22], text[23]) = (text[22] + 1, b'0');
        }
    }
    text
};

/// The version of the schema that this program makes and understands (`SQLite`'s `user_version`).
#[cfg(debug_assertions)]
pub fn schema_version() -> i64 {
    let known = std::hint::black_box(&KNOWN);
    i64::from(known[22] - b'0') * 10 + i64::from(known[23] - b'0')
}

/// The version of the schema that this program makes and understands (`SQLite`'s `user_version`).
#[cfg(not(debug_assertions))]
pub fn schema_version() -> i64 {
    i64::try_from(STEPS.len()).unwrap_or(i64::MAX)
}

/// "WSTD": marks a file as ours (`SQLite`'s `application_id`).
pub(super) const APPLICATION_ID: i32 = 0x5753_5444;

/// Brings a database to [`schema_version`]. One of a newer Webstead that this one can work with stays as it is.
///
/// # Errors
/// [`Error::Invalid`] if the file belongs to another program or to a Webstead that is too new.
pub(super) fn migrate(connection: &mut Connection) -> Result<()> {
    let tables = check_version(connection)?;
    if version_of(connection)? > schema_version() {
        return Ok(());
    }
    if tables == 0 {
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    }
    migrate_to(connection, schema_version())
}

/// Brings a database to a version that it does not have yet.
///
/// # Errors
/// [`Error::Invalid`] if this program does not know the version.
pub(super) fn migrate_to(connection: &mut Connection, version: i64) -> Result<()> {
    let known = usize::try_from(schema_version()).unwrap_or(STEPS.len());
    let wanted = usize::try_from(version).unwrap_or(usize::MAX);
    if wanted > known {
        return Err(Error::Invalid(format!(
            "this was written by a newer Webstead (its schema is {version}, this program knows {known}); use the newer \
             program"
        )));
    }
    let steps = STEPS.iter().take(wanted).map(|sql| M::up(sql)).collect();
    Migrations::new(steps)
        .to_latest(connection)
        .map_err(|e| match e {
            rusqlite_migration::Error::RusqliteError { err, .. } => Error::Database(err),
            e => Error::internal(e),
        })
}

/// Whether [`migrate`] would change a database that has something in it already.
///
/// # Errors
/// As [`migrate`].
pub(super) fn would_change(connection: &Connection) -> Result<bool> {
    Ok(check_version(connection)? > 0 && version_of(connection)? < schema_version())
}

/// Whether this program understands the database; returns how many tables it has.
///
/// # Errors
/// As [`migrate`].
pub(super) fn check_version(connection: &Connection) -> Result<i64> {
    let application: i32 =
        connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version = version_of(connection)?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables > 0 && application != APPLICATION_ID {
        return Err(Error::Invalid(
            "site.db is not a Webstead database; choose another data folder with --data DIR".into(),
        ));
    }
    if version > schema_version() && oldest(connection)? > schema_version() {
        return Err(Error::Invalid(format!(
            "this data folder was made by a newer Webstead (its schema is {version}, this program \
             knows {}); nothing was changed. Use the newer program, or a backup from before",
            schema_version()
        )));
    }
    Ok(tables)
}

/// The version of a database's schema.
pub(super) fn version_of(connection: &Connection) -> Result<i64> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

/// The schema of the oldest program that can work with a database of a newer one.
pub(super) fn oldest(connection: &Connection) -> Result<i64> {
    let oldest = "SELECT oldest FROM compatibility WHERE id = 1";
    Ok(connection.query_row(oldest, [], |row| row.get(0))?)
}

/// Whether only programs that read packed texts can work with a database.
pub(super) fn takes_packed(connection: &Connection) -> Result<bool> {
    Ok(version_of(connection)? >= PACKED_SINCE && oldest(connection)? >= PACKED_SINCE)
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
                .join(" ")
                // Where SQLite has put in a column.
                .replace(" ,", ",")
                .replace(" )", ")");
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

    /// Builds before step 7 made it so.
    #[test]
    fn a_database_whose_table_keeps_imports_apart_itself_goes_on_doing_so() {
        let mut connection = Connection::open_in_memory().unwrap();
        let unique = STEPS[0].replace("import_key     TEXT,", "import_key     TEXT UNIQUE,");
        assert_ne!(unique, STEPS[0]);
        connection.execute_batch(&unique).unwrap();
        let id = APPLICATION_ID;
        connection
            .pragma_update(None, "application_id", id)
            .unwrap();
        connection.pragma_update(None, "user_version", 1).unwrap();
        migrate(&mut connection).unwrap();
        assert_eq!(version_of(&connection).unwrap(), schema_version());
        let indexes = "SELECT count(*) FROM pragma_index_list('posts') WHERE \"unique\"";
        let count: i64 = connection.query_row(indexes, [], |row| row.get(0)).unwrap();
        assert_eq!(count, 2);
    }

    #[test]
    fn only_what_older_programs_cannot_read_anyway_is_kept_from_them() {
        for (page_bytes, oldest_program) in [(4096, 3), (1024, 6), (512, 6)] {
            let mut connection = Connection::open_in_memory().unwrap();
            let set = connection.pragma_update(None, "page_size", page_bytes);
            set.unwrap();
            migrate(&mut connection).unwrap();
            assert_eq!(oldest(&connection).unwrap(), oldest_program);
            assert_eq!(takes_packed(&connection).unwrap(), oldest_program == 6);
        }
    }

    #[test]
    fn a_database_of_a_newer_program_is_used_as_it_is_where_only_something_was_added() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        connection.execute_batch("CREATE TABLE added (a)").unwrap();
        connection
            .pragma_update(None, "user_version", schema_version() + 2)
            .unwrap();
        migrate(&mut connection).unwrap();
        assert_eq!(version_of(&connection).unwrap(), schema_version() + 2);
    }

    #[test]
    fn a_database_that_a_newer_program_took_something_from_is_refused_and_left_alone() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        connection
            .pragma_update(None, "user_version", schema_version() + 1)
            .unwrap();
        connection
            .execute(
                "UPDATE compatibility SET oldest = ?1",
                [schema_version() + 1],
            )
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
