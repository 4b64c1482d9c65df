//! What the DNS says of a name: the machine's own resolver, and each server of the zone.

use std::net::{IpAddr, SocketAddr};

use domain::base::Rtype;
use futures_util::future::join_all;

use super::facts::Named;
use crate::{
    base::is_global,
    net::{
        acme,
        dns::{Data, Said, addresses_in, ask_in_time, resolvers, said_of},
    },
};

/// Servers of a zone that are asked.
const MOST_SERVERS: usize = 8;
/// Resolvers of the system that are tried (resolv.conf(5), `MAXNS`).
const MOST_RESOLVERS: usize = 3;
const DNS_PORT: u16 = 53;

/// Asks everybody who knows about a name. One that no authority of the internet certifies, such as `a.test`, counts as of
/// one's own network unless the DNS leads it out into the internet.
///
/// Of a further name (`is_brief`) only the resolver is asked: there may be many.
pub(super) async fn look(unknown: Named, is_brief: bool) -> Named {
    let may_be_known = unknown.is_public || acme::may_be_in_dns(&unknown.name);
    if !may_be_known || is_no_name(&unknown.name) {
        return unknown;
    }
    let mut found = unknown.clone();
    let name = &unknown.name;
    for resolver in resolvers().into_iter().take(MOST_RESOLVERS) {
        let said = said_of(resolver, name).await;
        let is_answer = !said.is_nothing();
        found.resolver = Some((resolver, said));
        if is_answer {
            if !is_brief {
                found.zone = ask_zone(resolver, name).await;
            }
            break;
        }
    }
    unless_of_own_network(unknown, found)
}

/// What was found of a name; nothing of one that is of one's own network.
fn unless_of_own_network(unknown: Named, mut found: Named) -> Named {
    let leads_out = found.addresses().into_iter().any(is_global);
    if unknown.is_public || leads_out {
        found.is_public = true;
        found
    } else {
        unknown
    }
}

/// Whether there is nothing to ask the DNS: an address, or all names below one.
pub(super) fn is_no_name(name: &str) -> bool {
    name.starts_with("*.") || name.parse::<IpAddr>().is_ok()
}

/// What each server of the name's zone says that answers; none if they cannot be found.
async fn ask_zone(resolver: SocketAddr, name: &str) -> Vec<(String, Said)> {
    let servers = servers_of(resolver, name).await;
    let asked = servers.into_iter().map(|(server, address)| async move {
        let said = said_of(SocketAddr::new(address, DNS_PORT), name).await;
        (format!("{server} ({address})"), said)
    });
    let mut all = join_all(asked).await;
    // A network may let nobody ask past its own resolver. Then nobody answers, and it says nothing of the zone.
    if all.iter().all(|(_, said)| said.is_nothing()) {
        all.clear();
    }
    all
}

/// The servers of the zone that a name is in, each with one address.
async fn servers_of(resolver: SocketAddr, name: &str) -> Vec<(String, IpAddr)> {
    let mut zone = name;
    while zone.contains('.') {
        let servers: Vec<String> = ask_in_time(resolver, zone, Rtype::NS)
            .await
            .map_or_else(|_| Vec::new(), |answer| answer.data)
            .into_iter()
            .filter_map(|data| match data {
                Data::Server(server) => Some(server),
                _ => None,
            })
            .take(MOST_SERVERS)
            .collect();
        if !servers.is_empty() {
            let found = servers.into_iter().map(|server| async move {
                let addresses = ask_in_time(resolver, &server, Rtype::A)
                    .await
                    .map(|a| addresses_in(&a));
                let first = addresses.unwrap_or_default().into_iter().next();
                first.map(|address| (server, address))
            });
            return join_all(found).await.into_iter().flatten().collect();
        }
        zone = zone.split_once('.').map_or("", |(_, rest)| rest);
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_the_dns_leads_into_the_internet_is_none_of_ones_own_network() {
        for (is_public, address, counts) in [
            (false, "192.168.1.5", false),
            (false, "127.0.0.1", false),
            (false, "81.2.69.142", true),
            (true, "192.168.1.5", true),
        ] {
            let unknown = Named::unknown("a.test", is_public, false);
            let said = Said::Addresses(vec![address.parse().unwrap()]);
            let found = Named {
                resolver: Some(("192.168.1.1:53".parse().unwrap(), said)),
                ..unknown.clone()
            };
            let found = unless_of_own_network(unknown, found);
            assert_eq!(found.is_public, counts, "{is_public} {address}");
            assert_eq!(found.resolver.is_some(), counts, "{is_public} {address}");
        }
    }
}
