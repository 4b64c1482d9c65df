//! What the router's station says of IPv6.

use super::{
    super::tests::{ip, station, well},
    *,
};
use crate::net::dns::Said;

/// A home whose name leads to this machine over IPv6, and perhaps over IPv4 too.
fn dual(has_v4: bool, firewall: Firewall) -> Facts {
    let own = ip("2a00:1450::20");
    let mut facts = well();
    let v4 = has_v4.then(|| ip("81.2.69.142"));
    let said = Said::Addresses(v4.into_iter().chain([own]).collect());
    facts.names[0].resolver = Some(("192.168.1.1:53".parse().unwrap(), said.clone()));
    facts.names[0].zone = vec![("ns1".into(), said)];
    facts.home.interfaces.push(own);
    facts.home.firewall = firewall;
    facts
}

#[test]
fn what_the_router_does_over_ipv6_counts_where_a_name_leads_here_that_way() {
    let own = "2a00:1450::20".parse().unwrap();
    let other = "2a00:1450::99".parse().unwrap();
    let refuses = || Firewall::Refuses(vec!["PCP: it does not permit it".into()]);
    for (has_v4, firewall, expected, words) in [
        (true, Firewall::NotKnown, "well router-well", ""),
        (true, Firewall::LetsIn(own), "well router-well", "over IPv6"),
        (true, Firewall::CanBeAsked, "well router-well", "not say"),
        (true, refuses(), "wrong router-refuses-ipv6", "not permit"),
        (
            false,
            Firewall::LetsIn(own),
            "well router-lets-ipv6-in",
            "as it was asked",
        ),
        (
            false,
            Firewall::LetsIn(other),
            "wrong router-lets-ipv6-elsewhere",
            "::99",
        ),
        (false, Firewall::Off, "well router-ipv6-open", "off"),
        (false, refuses(), "wrong router-refuses-ipv6", "not permit"),
        (
            false,
            Firewall::CanBeAsked,
            "not known router-ipv6-not-asked",
            "not say",
        ),
        (
            false,
            Firewall::LetsNobodyAsk,
            "not known router-ipv6-asks-nobody",
            "nobody",
        ),
        (
            false,
            Firewall::NoSuchRequest,
            "not known router-ipv6-untold",
            "no request",
        ),
    ] {
        let station = station(&dual(has_v4, firewall.clone()), Place::Router);
        let found = format!("{} {}", station.health.word(), station.state);
        assert_eq!(found, expected, "{station:?}");
        assert!(station.says.contains(words), "{firewall:?}: {station:?}");
        let needs_remedy = station.health == Health::Wrong;
        assert!(!needs_remedy || station.remedy.is_some(), "{station:?}");
    }
    // Nothing is said of it where no name leads here that way.
    let mut facts = well();
    facts.home.firewall = refuses();
    assert_eq!(station(&facts, Place::Router).state, "router-well");
}
