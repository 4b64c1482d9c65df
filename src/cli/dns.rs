//! `webstead dns`: the names that follow the addresses of this machine. Works while the site is running.

use std::{
    net::IpAddr,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Subcommand;

use super::{Global, moment::in_utc, say};
use crate::{
    base::{Error, Result},
    config::Config,
    db::DataFolder,
    net::dns::{
        Follow, Settings,
        follow::{self, Found, NameState, Report},
    },
    server::Counting,
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
    let wanted = Counting::of(&file, &folder)?.wanted();
    let settings = &wanted.dns;
    if settings.follow == Follow::Nothing {
        let how = "No name follows this machine. The manual says how one does: /help/a-name-and-a-certificate";
        if command.is_some() {
            return Err(Error::Invalid(how.into()));
        }
        say!("{how}");
        return Ok(ExitCode::SUCCESS);
    }
    let followed = settings.followed(&wanted.names);
    if followed.is_empty() {
        return Err(Error::Invalid(nothing_follows(settings)));
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
    let mut report = follow::kept(data);
    report.names.retain(|name, _| followed.contains(name));
    for name in followed {
        report.names.entry(name).or_default();
    }
    if !runs {
        say!(
            "The site does not run, so nobody asks what its names have. This is what it knew last:"
        );
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

/// That there is nothing to let follow, and what to do.
fn nothing_follows(settings: &Settings) -> String {
    match settings.zone() {
        Some(zone) => format!(
            "no name of the site is in zone = \"{zone}\" of [dns], so none follows; write the zone that has them, or \
             names in it into follow = [\"…\"]"
        ),
        None => "the site has no name that could follow; give it a domain (in the browser: Name and certificate), or \
                 write names into follow = [\"…\"] of [dns]"
            .into(),
    }
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
        && state.is_known()
        && report
            .wanted()
            .iter()
            .all(|address| state.has.contains(address))
}

/// The addresses, and each name in a line with what is wrong below it.
fn text(report: &Report) -> String {
    let mut lines = vec![address("IPv4", &report.v4), address("IPv6", &report.v6)];
    for (name, state) in &report.names {
        let has = match (state.is_known(), &state.failure) {
            (true, _) => shown(&state.has),
            (false, None) => "not asked yet".to_owned(),
            (false, Some(_)) => "not known, as nobody could say".to_owned(),
        };
        lines.push(format!("{name}  {has}"));
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
            Some(at) => lines.push(format!("  tried again {}", in_utc(at))),
            None if state.failure.is_some() => lines.push("  tried again all the time".into()),
            None => {}
        }
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

#[cfg(test)]
mod tests {
    use super::{NameState, Report, is_well, text};

    #[test]
    fn a_name_that_nobody_was_asked_about_is_not_said_to_have_no_address() {
        let state = |json: &str| serde_json::from_str::<NameState>(json).unwrap();
        for (json, words, is_fine) in [
            ("{}", "a.net  not asked yet", false),
            (r#"{"is_asked":true}"#, "a.net  has no address", true),
            (r#"{"has":["8.8.4.4"]}"#, "a.net  8.8.4.4", true),
            (
                r#"{"failure":{"kind":"unreachable","text":"no line"}}"#,
                "a.net  not known, as nobody could say\n  failed: no line",
                false,
            ),
        ] {
            let mut report = Report::default();
            report.names.insert("a.net".into(), state(json));
            let said = text(&report);
            assert!(said.contains(words), "{json}: {said}");
            assert_eq!(is_well(&state(json), &report), is_fine, "{json}");
        }
    }
}
