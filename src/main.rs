//! Parses the command line, runs it, and turns an error into an exit code.

use std::process::ExitCode;

use clap::Parser;
use webstead::cli::Cli;

/// The system's allocator keeps memory for each thread that ever rendered a page; this one gives it back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
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
