//! The name: whether it is there, whether everybody says the same of it, and whether it leads here.

use std::net::IpAddr;

use super::{ABOUT_NAMES, SET_NAME, list, quoted, span, when};
use crate::{
    base::{Place, Station, is_global},
    net::{
        dns::Said,
        doctor::{
            facts::{Facts, Known, Named},
            home::{public_v4, seen_outside},
        },
    },
};

const NAME: Place = Place::Name;

pub(super) fn judge(facts: &Facts) -> Station {
    let Some(first) = facts.names.first() else {
        let says = "The site has no name of its own, so only your own network can find it.";
        return Station::unknown(NAME, "name-unset", says)
            .remedy("If the world is to read it, get a name and tell it to the site.")
            .page(SET_NAME);
    };
    judge_one(facts, first)
}

/// How it stands with one name.
pub(super) fn judge_one(facts: &Facts, name: &Named) -> Station {
    let shown = &name.name;
    if !name.is_public {
        let says = format!("{shown} is a name of your own network; the internet does not know it.");
        return Station::well(NAME, "name-local", says);
    }
    let Some((resolver, by_resolver)) = &name.resolver else {
        let says = "This machine has no DNS server to ask, so nothing is known of the name.";
        return Station::wrong(NAME, "resolver-unset", says).remedy(
            "Let the machine get its network settings from the router (DHCP), or name a server in /etc/resolv.conf.",
        );
    };
    if let Some(station) = disagreement(name) {
        return station;
    }
    match name.said().unwrap_or(by_resolver) {
        Said::Silent => Station::wrong(
            NAME,
            "resolver-silent",
            format!("The DNS server {} does not answer this machine.", resolver.ip()),
        )
        .remedy("Restart the router, or name another DNS server in its settings."),
        Said::Garbled => Station::wrong(
            NAME,
            "resolver-garbled",
            format!(
                "What the DNS server {} answers this machine is no answer of the DNS.",
                resolver.ip()
            ),
        )
        .remedy(
            "Look which machine has that address: it may be no DNS server. Name another one in the settings of the \
             router, or restart it.",
        ),
        Said::NoSuchName(alias) => missing(shown, alias.as_deref()),
        Said::NoAddress => Station::wrong(
            NAME,
            "name-without-address",
            format!("{shown} exists, but no address belongs to it."),
        )
        .remedy(format!("At your DNS provider, add an A record {}.", with_address(facts)))
        .page(ABOUT_NAMES),
        Said::Loop(chain) => Station::wrong(
            NAME,
            "name-loop",
            format!("{shown} goes round in a circle: {}.", chain.join(" → ")),
        )
        .remedy("At your DNS provider, let one of these CNAME records lead out of the circle, or replace it by an A record."),
        Said::Failed(word) => Station::wrong(
            NAME,
            "name-broken",
            format!("Asked for {shown}, the DNS server answered {}.", quoted(word)),
        )
        .remedy(
            "Something is wrong with the zone itself, often its DNSSEC keys or the list of its servers at the \
             registrar. Your DNS provider can say what.",
        ),
        Said::Addresses(addresses) => judge_addresses(facts, name, addresses),
    }
}

fn missing(shown: &str, alias: Option<&str>) -> Station {
    match alias {
        Some(alias) => Station::wrong(
            NAME,
            "name-alias-missing",
            format!("{shown} is another name for {alias}, and that does not exist."),
        )
        .remedy("At your DNS provider, correct that CNAME record."),
        None => Station::wrong(NAME, "name-missing", format!("The name {shown} does not exist."))
            .remedy(
                "Check its spelling. If it is right, register it, or add it at your DNS provider; a new name takes up \
                 to an hour to be known.",
            )
            .page(ABOUT_NAMES),
    }
}

/// Servers of one zone that do not say the same.
fn disagreement(name: &Named) -> Option<Station> {
    let mut answered = name.zone.iter().filter(|(_, said)| !said.is_nothing());
    let (first, of_first) = answered.next()?;
    let (second, of_second) = answered.find(|(_, said)| said != of_first)?;
    let says = format!(
        "The DNS servers of {} do not agree: {first} says {}, {second} says {}.",
        name.name,
        in_words(of_first),
        in_words(of_second)
    );
    Some(Station::wrong(NAME, "name-servers-disagree", says).remedy(
        "If you changed it within the last hour, wait. Else tell your DNS provider that one of its servers is behind.",
    ))
}

fn in_words(said: &Said) -> String {
    match said {
        Said::Addresses(addresses) => list(addresses),
        Said::NoSuchName(_) => "there is no such name".into(),
        Said::NoAddress => "it has no address".into(),
        Said::Loop(_) => "it goes round in a circle".into(),
        Said::Failed(word) => word.clone(),
        Said::Silent | Said::Garbled => "nothing".into(),
    }
}

fn judge_addresses(facts: &Facts, name: &Named, addresses: &[IpAddr]) -> Station {
    let shown = &name.name;
    let proved = |ip: &&IpAddr| facts.is_proved(**ip);
    if let Some(private) = addresses.iter().find(|ip| !is_global(**ip))
        && !addresses.iter().any(|ip| is_global(*ip))
    {
        let says = format!(
            "{shown} leads to {private}, an address that is only good inside of a network; nobody outside gets there."
        );
        return Station::wrong(NAME, "name-private", says)
            .remedy(format!(
                "At your DNS provider, let the A record be the one of your home{}.",
                home_address(facts)
            ))
            .page(ABOUT_NAMES);
    }
    let stray = addresses.iter().find(|ip| is_elsewhere(facts, **ip));
    if let Some(stray) = stray {
        return elsewhere(facts, shown, *stray, addresses);
    }
    let v4: Vec<&IpAddr> = addresses.iter().filter(|ip| ip.is_ipv4()).collect();
    if v4.is_empty() {
        let says = format!(
            "{shown} has an address of IPv6 only ({}); visitors whose network has none, about half of all, do not get there.",
            list(addresses)
        );
        return Station::wrong(NAME, "name-only-ipv6", says).remedy(format!(
            "At your DNS provider, add an A record {}. If your provider gives your home no address of IPv4 of its own, \
             a tunnel or a small rented server in front helps.",
            with_address(facts)
        )).page(ABOUT_NAMES);
    }
    if let Some((server, Said::Addresses(old))) = &name.resolver
        && old != addresses
    {
        let says = format!(
            "{shown} leads to {}; your own DNS server ({}) still says {}, as others may for an hour.",
            list(addresses),
            server.ip(),
            list(old)
        );
        return Station::well(NAME, "name-changing", says);
    }
    let says = format!("{shown} leads to {}", list(addresses));
    if addresses.iter().any(|ip| proved(&ip)) || public_v4(&facts.home).is_some() {
        Station::well(NAME, "name-well", format!("{says}, and that is here."))
    } else {
        Station::unknown(
            NAME,
            "name-untold",
            format!(
                "{says}. Whether that is your home cannot be told from here{}.",
                last_known(facts)
            ),
        )
        .remedy("Compare it with the address that your router shows as its own on the internet.")
    }
}

/// Whether an address is certainly not this home's.
pub(super) fn is_elsewhere(facts: &Facts, address: IpAddr) -> bool {
    if !is_global(address) || facts.is_proved(address) || facts.home.interfaces.contains(&address) {
        return false;
    }
    if address.is_ipv6() {
        // Every machine has its own, and this one knows all of its.
        return true;
    }
    public_v4(&facts.home).is_some_and(|own| own != address)
}

fn elsewhere(facts: &Facts, shown: &str, stray: IpAddr, addresses: &[IpAddr]) -> Station {
    let own = if stray.is_ipv6() {
        let mut own = facts.home.interfaces.iter();
        own.find(|ip| ip.is_ipv6() && is_global(**ip)).copied()
    } else {
        public_v4(&facts.home)
    };
    let record = if stray.is_ipv6() { "AAAA" } else { "A" };
    let has_moved = facts.homes.iter().any(|(home, _)| *home == stray);
    let also = if addresses.len() > 1 { " also" } else { "" };
    match own {
        Some(own) if has_moved => Station::wrong(
            NAME,
            "name-behind",
            format!(
                "Your address has changed: it is {own} now{}, and {shown} still leads to {stray}.",
                as_known(facts, own)
            ),
        )
        .remedy(if facts.home.follows {
            "The site lets the name follow; give it a few minutes.".to_owned()
        } else {
            format!(
                "At your DNS provider, change the {record} record to {own}; so that it need not be done each time, let \
                 the name follow the address (dynamic DNS)."
            )
        })
        .page(ABOUT_NAMES),
        Some(own) => Station::wrong(
            NAME,
            "name-elsewhere",
            format!(
                "{shown}{also} leads to {stray}, and that is not here: here is {own}{}.",
                as_known(facts, own)
            ),
        )
        .remedy(format!("At your DNS provider, change the {record} record to {own}."))
        .page(ABOUT_NAMES),
        None => Station::wrong(
            NAME,
            "name-elsewhere",
            format!("{shown}{also} leads to {stray}, and this machine has no such address."),
        )
        .remedy(if addresses.iter().any(|ip| *ip != stray) {
            format!("At your DNS provider, remove that {record} record.")
        } else {
            // Without it, the name would lead nowhere.
            format!(
                "At your DNS provider, remove that {record} record and add an A record {}.",
                with_address(facts)
            )
        })
        .page(ABOUT_NAMES),
    }
}

/// From where an address of this home is known, if neither the router nor the machine says it.
fn as_known(facts: &Facts, own: IpAddr) -> String {
    match seen_outside(&facts.home) {
        Some(known) if known.address == own => {
            format!(" (dynamic DNS found it{})", age(facts, known))
        }
        _ => String::new(),
    }
}

/// What dynamic DNS knew last, if it does not know it now.
fn last_known(facts: &Facts) -> String {
    match facts.home.known {
        Some(Known {
            address,
            since: Some(since),
            ..
        }) => format!(
            "; the last address that dynamic DNS found here is {address}, of {}",
            when(since)
        ),
        _ => String::new(),
    }
}

/// How long ago it was found: ` 3 days ago`.
pub(super) fn age(facts: &Facts, known: Known) -> String {
    known.since.map_or_else(String::new, |since| {
        format!(" {} ago", span(facts.now.0 - since.0))
    })
}

fn with_address(facts: &Facts) -> String {
    match public_v4(&facts.home) {
        Some(own) => format!("with {own}"),
        None => "with the address that your router shows as its own on the internet".into(),
    }
}

fn home_address(facts: &Facts) -> String {
    public_v4(&facts.home).map_or_else(String::new, |own| format!(": {own}"))
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{ip, station, well},
        *,
    };

    #[test]
    fn a_name_is_never_left_without_an_address() {
        let stray = ip("2a00:1450::1");
        for (also, external, words) in [
            (None, Some("81.2.69.142"), Some("A record with 81.2.69.142")),
            (None, None, Some("that your router shows")),
            (Some("81.2.69.142"), Some("81.2.69.142"), None),
        ] {
            let mut facts = well();
            facts.home.router.external = external.map(ip);
            let addresses = also.map(ip).into_iter().chain([stray]).collect();
            facts.names[0].zone = vec![("ns1".into(), Said::Addresses(addresses))];
            let found = station(&facts, Place::Name);
            assert_eq!(found.state, "name-elsewhere");
            let remedy = found.remedy.unwrap();
            assert!(remedy.contains("remove that AAAA record"), "{remedy}");
            match words {
                Some(words) => assert!(remedy.contains(words), "{remedy}"),
                None => assert!(!remedy.contains("add"), "{remedy}"),
            }
        }
    }
}
