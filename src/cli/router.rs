//! `webstead router`: what the router at home is seen to be, and closing what it was asked to open.

use std::process::ExitCode;

use clap::Subcommand;

use super::Global;
use crate::{
    base::{Error, Result, Timestamp},
    config::Config,
    db::DataFolder,
    net::{
        address::Address,
        dns::follow,
        router::{self, Forward, Kept, Seen},
    },
    server,
};

/// What to do about the router.
#[derive(Subcommand)]
pub(super) enum RouterCommand {
    /// Close the ports that the router was asked to open; for a site that does not run
    Close,
}

/// Looks and says what is there, and changes nothing; or closes.
pub(super) fn run(command: Option<&RouterCommand>, global: &Global) -> Result<ExitCode> {
    let folder = DataFolder::open_existing(&global.data_path())?;
    let config = Config::load(global.config.as_deref(), folder.root())?;
    let config = server::with_stored(&config, &folder)?;
    match command {
        None => look(&folder, &config),
        Some(RouterCommand::Close) => close(&folder, &config),
    }
}

fn look(folder: &DataFolder, config: &Config) -> Result<ExitCode> {
    let started = server::running(folder)?;
    let of_config = |address: Option<Address>, usual| address.map_or(usual, Address::port);
    let https = started.as_ref().map_or_else(
        || of_config(config.listen.https, 443),
        |started| started.https_address.port(),
    );
    let http = started
        .and_then(|started| started.http_address)
        .map_or_else(
            || of_config(config.listen.http, 80),
            |address| address.port(),
        );
    let wanted = Forward::to(https, http);
    let published = follow::published_v6(folder.root());
    let seen = actix_web::rt::System::new().block_on(router::look(&wanted, published));
    let is_fine = tell(&seen);
    tell_ipv6(&seen, https);
    let kept = Kept::load(folder.root());
    for one in kept.mapped.iter().filter(|one| !one.is_over()) {
        let end = match one.until {
            Some(until) => format!(
                "renewed before {} min are over",
                (until - Timestamp::now().0) / 60
            ),
            None => "without an end".into(),
        };
        say!(
            "Asked for by this site: port {} to port {} ({}, {end}).",
            one.external,
            one.internal,
            one.protocol
        );
    }
    for one in kept.holes.iter().filter(|one| !one.is_over()) {
        let rest_min = (one.until - Timestamp::now().0) / 60;
        say!(
            "Asked for by this site: port {} of {}, over IPv6 ({}, {} min left).",
            one.port,
            one.own,
            one.protocol,
            rest_min
        );
    }
    for sentence in kept.trouble.iter().chain(&kept.trouble6) {
        say!("Not done: {sentence}");
    }
    if !config.router.is_open() && !is_fine {
        say!(
            "The router is not asked to open anything. If it may be, say so in the browser, under Settings, Name, \
             The router; or write this into webstead.toml and reload:\n\n[router]\nopen_ports = true"
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints what was seen; says whether every port leads here.
fn tell(seen: &Seen) -> bool {
    match &seen.gateway {
        Ok(gateway) => say!("{gateway}"),
        Err(why) => {
            say!("No router: {why}.");
            return false;
        }
    }
    for (protocol, spoken) in &seen.protocols {
        match spoken {
            Ok(()) => say!("It speaks {protocol}."),
            Err(why) => say!("It does not speak {protocol}: {why}."),
        }
    }
    match seen.external.reachable() {
        Ok(address) => say!("The internet knows it as {address}."),
        Err(why) => say!("Its address: {why}."),
    }
    for port in &seen.ports {
        say!("Its {port}.");
    }
    for stranger in &seen.strangers {
        say!(
            "Another machine, {stranger}, calls itself a router too; it is not asked for anything."
        );
    }
    seen.ports.iter().all(router::PortSeen::is_right)
}

/// Prints what was seen of the way of IPv6, to a site that listens on this port.
fn tell_ipv6(seen: &Seen, https: u16) {
    let seen = match &seen.ipv6 {
        Ok(seen) => seen,
        Err(why) => {
            say!("Nobody comes in over IPv6: {why}.");
            return;
        }
    };
    say!("{}", seen.gateway);
    say!("{}.", seen.firewall);
    if https != router::HTTPS {
        say!(
            "Nothing changes ports over IPv6: visitors come to port {}, and the site listens on {https}.",
            router::HTTPS
        );
    }
}

fn close(folder: &DataFolder, config: &Config) -> Result<ExitCode> {
    if config.router.is_open() && folder.running_server()?.is_some() {
        return Err(Error::Invalid(
            "the site runs and would open them again: take it back in the browser, where it was set there (Settings, \
             Name, The router), or take open_ports out of [router] in webstead.toml and reload, and it closes them \
             itself"
                .into(),
        ));
    }
    let data = folder.root();
    let kept = Kept::read(data).map_err(|e| {
        Error::Invalid(format!(
            "{e}, so nobody knows what the router was asked for. It closes by itself within an hour, if the router keeps \
             to the time that was asked for; look on its own pages, and remove the file"
        ))
    })?;
    if kept.is_empty() {
        say!("The router was not asked to open anything.");
        return Ok(ExitCode::SUCCESS);
    }
    match actix_web::rt::System::new().block_on(router::close(data)) {
        Ok(()) => {
            say!("The router does not pass visitors on any more.");
            Ok(ExitCode::SUCCESS)
        }
        Err(trouble) => Err(Error::Internal(trouble.join("\n"))),
    }
}
