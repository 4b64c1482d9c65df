//! `webstead dns`: the names that follow the addresses of this machine. Works while the site is running.

use std::{
    net::IpAddr,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Subcommand;

use super::{Global, say};
use crate::{
    base::{Error, Result, Timestamp},
    config::Config,
    db::DataFolder,
    net::dns::{
        Follow,
        follow::{self, Found, NameState, Report},
    },
    server::with_stored,
};

/// Until a running server must be done: it looks every ten seconds, and each name may cost some patience.
const DONE_WITHIN: Duration = Duration::from_mins(3);

/// What to do with names.
#[derive(Subcommand)]
pub(super) enum DnsCommand {
    /// Have the running site compare all names now, those too that are not tried any more
    Update,
}

/// Does it; exits with 1 if a name is not as it should be.
pub(super) fn run(command: Option<&DnsCommand>, global: &Global) -> Result<ExitCode> {
    let folder = DataFolder::open_existing(&global.data_path())?;
    let data = folder.root();
    let file = Config::load(global.config.as_deref(), data)?;
    let settings = with_stored(&file, &folder)?.dns;
    if settings.follow == Follow::Nothing {
        say!(
            "No name follows this machine. The manual says how one does: /help/a-name-and-a-certificate"
        );
        return Ok(ExitCode::SUCCESS);
    }
    let runs = folder.running_server()?.is_some();
    if let Some(DnsCommand::Update) = command {
        if !runs {
            return Err(Error::Invalid(format!(
                "the site in {} does not run; start it, and its names follow by themselves",
                data.display()
            )));
        }
        update(data)?;
    }
    let report = follow::kept(data);
    if !runs {
        say!("The site does not run. This is what it knew last:");
    }
    say::text(format_args!("{}", text(&report)));
    Ok(
        if report.names.values().all(|state| is_well(state, &report)) {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        },
    )
}

/// Asks the running server, and waits until it is done.
fn update(data: &Path) -> Result<()> {
    follow::ask_to_update(data)?;
    let began = Instant::now();
    while follow::is_asked(data) {
        if began.elapsed() > DONE_WITHIN {
            return Err(Error::Invalid(
                "the site has not looked at its names; its log may say why".into(),
            ));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

fn is_well(state: &NameState, report: &Report) -> bool {
    state.failure.is_none()
        && report
            .wanted()
            .iter()
            .all(|address| state.has.contains(address))
}

/// The addresses, and each name in a line with what is wrong below it.
fn text(report: &Report) -> String {
    let mut lines = vec![address("IPv4", &report.v4), address("IPv6", &report.v6)];
    for (name, state) in &report.names {
        lines.push(format!("{name}  {}", shown(&state.has)));
        let wanted = report.wanted();
        if !wanted.iter().all(|address| state.has.contains(address)) {
            lines.push(format!("  should have {}", shown(&wanted)));
        }
        if let Some(failure) = &state.failure {
            lines.push(format!("  failed: {}", failure.text));
        }
        match state.next_try {
            _ if state.is_stopped() => lines.push(
                "  not tried again before [dns] or its secret changes; `webstead dns update` tries once".into(),
            ),
            _ if state.waits_for_address() => lines.push(
                "  not tried again with this address; `webstead dns update` tries once".into(),
            ),
            Some(at) => lines.push(format!("  tried again {}", moment(at))),
            None if state.failure.is_some() => lines.push("  tried again all the time".into()),
            None => {}
        }
    }
    if report.names.is_empty() {
        lines.push("No name of the site is in the zone, or the site has not looked yet.".into());
    }
    lines.join("\n") + "\n"
}

fn address(kind: &str, found: &Found) -> String {
    match (&found.address, &found.source, &found.why_not) {
        (Some(address), Some(source), _) => format!("{kind}  {address} (from {source})"),
        (_, _, Some(why)) => format!("{kind}  none: {why}"),
        _ => format!("{kind}  not known yet"),
    }
}

fn shown(addresses: &[IpAddr]) -> String {
    if addresses.is_empty() {
        return "has no address".into();
    }
    let all: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    all.join(", ")
}

fn moment(at: Timestamp) -> String {
    at.rfc3339().replace('T', " ").replace('Z', " UTC")
}
