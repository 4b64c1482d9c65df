//! Whether the router lets somebody outside in over IPv6, where nothing is passed on and a firewall decides.

use std::net::IpAddr;

use super::{ABOUT_NAMES, ASK_ROUTER, visitors::fresh_visitor};
use crate::{
    base::{Health, Place, Station, is_global},
    net::doctor::facts::{Facts, Firewall, Named},
};

/// The router's station as it was judged over IPv4, with what is known of IPv6.
pub(super) fn joined(facts: &Facts, v4: Station) -> Station {
    let Some(v6) = judge(facts) else {
        return v4;
    };
    let addresses = || facts.names.iter().flat_map(Named::addresses);
    let has_v4 = addresses().any(|address| address.is_ipv4());
    match (v4.health, v6.health) {
        _ if !has_v4 => v6,
        (Health::Well, Health::Wrong) => v6,
        (Health::Well, _) => Station {
            says: format!("{} {}", v4.says, v6.says),
            remedy: v4.remedy.or(v6.remedy),
            page: v4.page.or(v6.page),
            ..v4
        },
        _ => v4,
    }
}

/// How it stands over IPv6; `None` if no name leads here that way, or nothing is known.
fn judge(facts: &Facts) -> Option<Station> {
    const ROUTER: Place = Place::Router;
    let mut addresses = facts.names.iter().flat_map(Named::addresses);
    let is_own = |ip: &IpAddr| ip.is_ipv6() && is_global(*ip) && facts.home.interfaces.contains(ip);
    let own = addresses.find(is_own)?;
    let allow = format!("In the router's firewall, allow port 443 of IPv6 for {own}.");
    if fresh_visitor(facts, true).is_some() {
        let says = "Visitors from outside come in over IPv6.";
        return Some(Station::well(ROUTER, "router-ipv6-visited", says));
    }
    Some(match &facts.home.firewall {
        Firewall::NotKnown => return None,
        Firewall::LetsIn(to) if IpAddr::V6(*to) == own => {
            let says = format!("The router lets visitors in over IPv6 to {own}, as it was asked.");
            Station::well(ROUTER, "router-lets-ipv6-in", says)
        }
        Firewall::LetsIn(to) => {
            let says = format!(
                "The router lets visitors in over IPv6 to {to}, and the name leads to {own}, another address of this machine."
            );
            Station::wrong(ROUTER, "router-lets-ipv6-elsewhere", says)
                .remedy(format!(
                    "Give the name an AAAA record of {to}, or let it follow the address (dynamic DNS)."
                ))
                .page(ABOUT_NAMES)
        }
        Firewall::Off => {
            let says = "Its firewall for IPv6 is off, so it keeps nobody out there.";
            Station::well(ROUTER, "router-ipv6-open", says)
        }
        Firewall::Refuses(trouble) => {
            let says = format!(
                "The router was asked to let visitors in over IPv6, and does not: {}.",
                trouble.join("; ")
            );
            Station::wrong(ROUTER, "router-refuses-ipv6", says)
                .remedy(allow)
                .page(ASK_ROUTER)
        }
        Firewall::CanBeAsked => {
            let says = format!(
                "The router has a firewall for IPv6; whether it lets visitors in to {own}, it does not say."
            );
            Station::unknown(ROUTER, "router-ipv6-not-asked", says)
                .remedy("Let the site ask the router to let them in.")
                .page(ASK_ROUTER)
        }
        Firewall::LetsNobodyAsk => {
            let says = "The router has a firewall for IPv6 that lets nobody ask to be let in; whether it lets \
                        visitors in, it does not say.";
            Station::unknown(ROUTER, "router-ipv6-asks-nobody", says).remedy(allow)
        }
        Firewall::NoSuchRequest => {
            let says = "The router knows no request to let visitors in over IPv6, and does not say whether it does.";
            Station::unknown(ROUTER, "router-ipv6-untold", says).remedy(allow)
        }
    })
}

#[cfg(test)]
#[path = "ipv6_tests.rs"]
mod tests;
