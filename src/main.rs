//! Parses the command line, runs it, and turns an error into an exit code.

use std::process::ExitCode;

use clap::Parser;
use webstead::cli::Cli;

fn main() -> ExitCode {
    few_arenas();
    env_logger::Builder::from_env(env_logger::Env::new().filter_or(
        "WEBSTEAD_LOG",
        "info,actix_server=warn,rusqlite_migration=warn",
    ))
    .format_target(false)
    .init();
    match Cli::parse().run() {
        Ok(code) => code,
        Err(e) => {
            eprintln!("webstead: {e}");
            ExitCode::FAILURE
        }
    }
}

/// Lets glibc keep memory for two threads and not for each of them: every thread that once rendered or
/// compressed a page would keep megabytes of it (mallopt(3), `M_ARENA_MAX`). `benches/run memory` has the
/// difference.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
fn few_arenas() {
    // SAFETY: mallopt sets a number in the allocator; no other thread runs yet.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn few_arenas() {}
