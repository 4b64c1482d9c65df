//! Parses the command line, runs it, and turns an error into an exit code.

use std::{
    fs::File,
    io::{self, Write},
    os::{fd::AsFd, unix::fs::MetadataExt},
    process::ExitCode,
};

use clap::Parser;
use log::Level;
use webstead::{
    base::{
        international::in_text,
        words::{without_numbers, without_steering},
    },
    cli::Cli,
};

/// The programs of `cross/build` bring an allocator along: the one of their C library takes three times as
/// long for a page that is compressed. `CROSS_RUSTFLAGS="--cfg system_allocator"` leaves it out, to compare
/// (`benches/run programs`).
#[cfg(all(target_env = "musl", not(system_allocator)))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    keep_less_memory();
    start_log();
    match Cli::parse().run() {
        Ok(code) => code,
        Err(e) => {
            let words = e.to_string();
            let words = without_numbers(&words);
            let words = without_steering(&in_text(&words)).into_owned();
            let _ = writeln!(io::stderr(), "webstead: {words}");
            ExitCode::FAILURE
        }
    }
}

/// Logs to standard error: for people with the time, for systemd's journal with a level that it
/// understands (sd-daemon(3)), because it keeps the time itself.
fn start_log() {
    let levels = env_logger::Env::new().filter_or(
        "WEBSTEAD_LOG",
        // What actix_http has to say, the edge says with the id of the request.
        "info,actix_http=off,actix_server=warn,rusqlite_migration=warn",
    );
    let mut builder = env_logger::Builder::from_env(levels);
    builder.format_target(false);
    if logs_to_journal() {
        builder.format(|out, record| {
            let level = match record.level() {
                Level::Error => 3,
                Level::Warn => 4,
                Level::Info => 6,
                Level::Debug | Level::Trace => 7,
            };
            // A line of the journal is one entry.
            for line in in_text(&record.args().to_string()).lines() {
                writeln!(out, "<{level}>{line}")?;
            }
            Ok(())
        });
    } else {
        builder.format(|out, record| {
            let (at, level) = (out.timestamp_seconds(), record.level());
            let style = out.default_level_style(level);
            let words = record.args().to_string();
            writeln!(out, "[{at} {style}{level:<5}{style:#}] {}", in_text(&words))
        });
    }
    builder.init();
}

/// Whether standard error is the journal: a program that the service started, or that was sent elsewhere,
/// has the variable too (systemd.exec(5), `$JOURNAL_STREAM`).
fn logs_to_journal() -> bool {
    let stream = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    let own = io::stderr()
        .as_fd()
        .try_clone_to_owned()
        .and_then(|descriptor| File::from(descriptor).metadata());
    own.is_ok_and(|found| stream == format!("{}:{}", found.dev(), found.ino()))
}

/// Lets glibc keep memory for two threads and not for each of them: every thread that once rendered or
/// compressed a page would keep megabytes of it (mallopt(3), `M_ARENA_MAX`). `benches/run memory` has the
/// difference.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
fn keep_less_memory() {
    // SAFETY: mallopt sets a number in the allocator; no other thread runs yet.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}

/// Lets mimalloc give freed memory back to the system after 1 ms and not after 10: under load the next page
/// would otherwise find it taken (`mi_option_purge_delay`). Without any delay a compressed page takes three
/// times as long. `benches/run memory` and `benches/run programs` have the difference.
#[cfg(all(target_env = "musl", not(system_allocator)))]
#[allow(unsafe_code)]
fn keep_less_memory() {
    /// The option's place in version 2's list (mimalloc.h, `mi_option_t`).
    const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
    // SAFETY: this sets a number in the allocator; no other thread runs yet.
    unsafe {
        libmimalloc_sys::mi_option_set(PURGE_DELAY, 1);
    }
}

#[cfg(not(any(
    all(target_os = "linux", target_env = "gnu"),
    all(target_env = "musl", not(system_allocator))
)))]
fn keep_less_memory() {}
