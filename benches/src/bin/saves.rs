//! `saves DIR ROUNDS SECONDS`: durable saves by 64 clients at once, through the one writer with group
//! commit, against one transaction for each save. Interleaved rounds on new databases in DIR; a line each.
//!
//! The baseline is what a program does without thinking: one connection behind a mutex, the same
//! settings (WAL, synchronous=FULL), BEGIN IMMEDIATE, the same statements, COMMIT.

use std::{
    fs::File,
    io::{Seek, Write},
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rusqlite::{Connection, params_from_iter};
use webstead::{
    app::posts::{changes::insert_post, changes::update_post, post::Content, post::Rendered},
    base::{Id, Timestamp},
    db::{Change, Database},
};
use webstead_benches::{post, rendered, text};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const CLIENTS: usize = 64;
const NOW: Timestamp = Timestamp(1_700_000_000);

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [dir, rounds, seconds] = &args[..] else {
        return Err("usage: saves DIR ROUNDS SECONDS".into());
    };
    let (dir, rounds, seconds) = (
        Path::new(dir),
        rounds.parse::<usize>()?,
        Duration::from_secs_f64(seconds.parse()?),
    );
    println!("fsync_us {:.1}", fsync_us(dir)?);
    for round in 0..rounds {
        let (group, commits) = grouped(&dir.join(format!("group-{round}.db")), seconds)?;
        let single = one_by_one(&dir.join(format!("single-{round}.db")), seconds)?;
        println!(
            "round {round} grouped_per_s {group:.0} changes_per_commit {commits:.1} single_per_s {single:.0}"
        );
    }
    Ok(())
}

/// The median of 200 syncs of a 4 KiB write, in microseconds: what the disk says a save costs.
fn fsync_us(dir: &Path) -> Result<f64, Failure> {
    let path = dir.join("fsync-probe");
    let mut file = File::create(&path)?;
    let mut times = Vec::new();
    for _ in 0..200 {
        file.rewind()?;
        file.write_all(&[7; 4096])?;
        let started = Instant::now();
        file.sync_data()?;
        times.push(started.elapsed().as_secs_f64() * 1e6);
    }
    std::fs::remove_file(&path)?;
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

/// Makes a site with a post for each client.
fn prepare(
    file: &Path,
    content: &Content,
    html: &Rendered,
) -> Result<(Database, Vec<Id>), Failure> {
    let database = Database::open(file)?;
    let ids: Vec<Id> = (0..CLIENTS).map(|_| Id::new()).collect();
    for (number, id) in ids.iter().enumerate() {
        let mut content = content.clone();
        content.address = post(number, 0, "").address;
        database.apply_blocking(insert_post(*id, &content, html, NOW))?;
    }
    Ok((database, ids))
}

/// Runs the clients for a while, each saving its own post again and again; gives saves per second.
fn clients(
    ids: &[Id],
    seconds: Duration,
    save: impl Fn(Change) -> Result<(), Failure> + Sync,
) -> Result<f64, Failure> {
    let (markdown, saved) = (text(), AtomicU64::new(0));
    let html = rendered(&markdown);
    let started = Instant::now();
    let outcome: Result<(), Failure> = std::thread::scope(|scope| {
        let threads: Vec<_> = ids
            .iter()
            .enumerate()
            .map(|(number, id)| {
                let (save, saved, html, markdown) = (&save, &saved, &html, &markdown);
                scope.spawn(move || -> Result<(), Failure> {
                    let content = post(number, NOW.0, markdown);
                    let mut revision = 1;
                    while started.elapsed() < seconds {
                        save(update_post(*id, revision, &content, html, NOW))?;
                        revision += 1;
                        saved.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok(())
                })
            })
            .collect();
        for thread in threads {
            thread.join().map_err(|_| "a client panicked")??;
        }
        Ok(())
    });
    outcome?;
    Ok(saved.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64())
}

fn grouped(file: &Path, seconds: Duration) -> Result<(f64, f64), Failure> {
    let markdown = text();
    let (database, ids) = prepare(file, &post(0, NOW.0, &markdown), &rendered(&markdown))?;
    let before = database.writer_stats();
    let per_second = clients(&ids, seconds, |change| Ok(database.apply_blocking(change)?))?;
    let after = database.writer_stats();
    let (changes, commits) = (
        after.changes - before.changes,
        after.commits - before.commits,
    );
    Ok((per_second, changes as f64 / commits.max(1) as f64))
}

fn one_by_one(file: &Path, seconds: Duration) -> Result<f64, Failure> {
    let markdown = text();
    let (database, ids) = prepare(file, &post(0, NOW.0, &markdown), &rendered(&markdown))?;
    drop(database);
    let connection = Connection::open(file)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cache_size", -1024)?;
    connection.set_prepared_statement_cache_capacity(128);
    let connection = Mutex::new(connection);
    clients(&ids, seconds, |change| {
        let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
        connection.execute_batch("BEGIN IMMEDIATE")?;
        connection
            .prepare_cached("INSERT INTO applied_changes (id) VALUES (?1)")?
            .execute([change.id().0])?;
        for statement in change.statements() {
            connection
                .prepare_cached(statement.sql)?
                .execute(params_from_iter(&statement.values))?;
        }
        connection.execute_batch("COMMIT")?;
        Ok(())
    })
}
