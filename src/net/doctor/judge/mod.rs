//! From what was found to a sentence for each station: pure functions.

#[cfg(test)]
mod cause_tests;
mod certificate;
mod further;
mod inside;
mod ipv6;
mod name;
mod network;
mod plain;
#[cfg(test)]
mod tests;
mod visitors;

use std::net::IpAddr;

pub(super) use further::judge as further;

use super::facts::Facts;
use crate::base::{Station, Timestamp, one_line, words::counted};

/// The chapter about names and certificates.
const ABOUT_NAMES: &str = "/help/a-name-and-a-certificate";
/// Where the owner sets the name and agrees to the terms of an authority.
const SET_NAME: &str = "/admin/name";
/// Where the router is looked at and asked.
const ASK_ROUTER: &str = "/admin/name/router";
/// Where it is said what to do without a door of one's own.
const ABOUT_TUNNELS: &str = "/help/other-hosts#behind-another-proxy-or-a-tunnel";

/// The states in which this site has answered at port 443 of the home.
pub const OPEN_STATES: [&str; 2] = [network::OPEN, plain::OPEN_443_ONLY];
/// Those in which nobody outside gets to the address of the home over IPv4.
pub const UNREACHABLE_STATES: [&str; 2] = [network::SHARED, network::BEHIND_ANOTHER];

/// How it stands with each station, in the order in which a visitor meets them.
pub(super) fn judge(facts: &Facts) -> Vec<Station> {
    vec![
        name::judge(facts),
        network::judge_address(facts),
        ipv6::joined(facts, network::judge_router(facts)),
        plain::with_port_80(facts, network::judge_port(facts)),
        certificate::judge(facts),
        inside::judge_server(facts),
        inside::judge_application(facts),
        inside::judge_database(facts),
    ]
}

/// Addresses as people list them.
fn list(addresses: &[IpAddr]) -> String {
    let all: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    match &all[..] {
        [] => "no address".into(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// A length of time in its largest unit: `3 days`, `1 hour`.
fn span(seconds: i64) -> String {
    let seconds = seconds.unsigned_abs();
    match seconds {
        172_800.. => counted(seconds / 86_400, "day", "days"),
        7_200.. => counted(seconds / 3_600, "hour", "hours"),
        120.. => counted(seconds / 60, "minute", "minutes"),
        _ => counted(seconds, "second", "seconds"),
    }
}

/// A moment as people write it: `2026-11-26 19:04 UTC`.
fn when(at: Timestamp) -> String {
    let text = at.to_jiff().strftime("%Y-%m-%d %H:%M UTC");
    text.to_string()
}

/// What somebody else said, as a quotation that ends.
fn quoted(words: &str) -> String {
    const MOST: usize = 400;
    format!("“{}”", one_line(words, MOST))
}
