//! `webstead serve`: what the program is for.

use std::{io, process::ExitCode};

use clap::Args;

use super::{
    Global,
    addresses::{self, For},
};
use crate::{
    backup::finish_exchange,
    base::Result,
    config::Config,
    db::DataFolder,
    install,
    net::address::Address,
    server::{self, handover::Predecessor},
};

/// Where to listen.
#[derive(Args)]
#[allow(clippy::doc_markdown)] // --help shows these comments as they are
pub(super) struct ServeArgs {
    /// Where to listen for HTTPS, e.g. 0.0.0.0:443, [::1]:8443, or a port; 0 takes any free port
    /// [default: port 443, or 8443 where that is not permitted]
    #[arg(long, value_name = "ADDRESS:PORT")]
    https: Option<Address>,

    /// Where to listen for plain HTTP, which is only sent on to HTTPS
    /// [default: port 80, or 8080 where that is not permitted]
    #[arg(long, value_name = "ADDRESS:PORT")]
    http: Option<Address>,
}

impl ServeArgs {
    /// Whether any of them is on the command line.
    pub(super) fn is_given(&self) -> bool {
        self.https.is_some() || self.http.is_some()
    }
}

/// Serves until asked to stop.
pub(super) fn run(args: &ServeArgs, global: &Global) -> Result<ExitCode> {
    let predecessor = Predecessor::of_this_process()?;
    let complaint = predecessor.as_ref().map(Predecessor::complaint);
    let complaint = complaint.transpose()?;
    let outcome = serve(args, global, predecessor);
    if let (Err(e), Some(complaint)) = (&outcome, complaint) {
        complaint(e);
    }
    outcome
}

fn serve(args: &ServeArgs, global: &Global, predecessor: Option<Predecessor>) -> Result<ExitCode> {
    let data = global.data_path();
    if predecessor.is_none() {
        finish_exchange(&data)?;
    }
    let folder = DataFolder::open_or_create(&data)?;
    let root = folder.root().to_path_buf();
    // Of the file, where the command line says nothing else.
    let read = || {
        let mut config = Config::load(global.config.as_deref(), &root)?;
        config.listen.https = args.https.or(config.listen.https);
        config.listen.http = args.http.or(config.listen.http);
        Ok(config)
    };
    server::run(read()?, folder, predecessor, read, |started| {
        // It serves, so no other program is needed.
        install::sweep(&started.program);
        // A closed terminal must not end the server.
        let out = &mut io::stdout().lock();
        let _ = addresses::tell(out, started, &root.display().to_string(), For::ThisMachine);
    })?;
    Ok(ExitCode::SUCCESS)
}
