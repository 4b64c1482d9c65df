//! What the DNS says of a name: the machine's own resolver, and each server of the zone.

use std::net::{IpAddr, SocketAddr};

use domain::base::Rtype;
use futures_util::future::join_all;

use super::facts::Named;
use crate::net::dns::{Data, Said, addresses_in, ask_in_time, resolvers, said_of};

/// Servers of a zone that are asked.
const MOST_SERVERS: usize = 8;
/// Resolvers of the system that are tried (resolv.conf(5), `MAXNS`).
const MOST_RESOLVERS: usize = 3;
const DNS_PORT: u16 = 53;

/// Asks everybody who knows about a name.
pub(super) async fn look(name: &str, is_public: bool) -> Named {
    let mut found = Named {
        name: name.to_owned(),
        is_public,
        resolver: None,
        zone: Vec::new(),
    };
    if !is_public {
        return found;
    }
    for resolver in resolvers().into_iter().take(MOST_RESOLVERS) {
        let said = said_of(resolver, name).await;
        let is_answer = !said.is_nothing();
        found.resolver = Some((resolver, said));
        if is_answer {
            found.zone = ask_zone(resolver, name).await;
            break;
        }
    }
    found
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
