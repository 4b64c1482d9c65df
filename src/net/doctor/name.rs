//! What the DNS says of a name: the machine's own resolver, and each server of the zone.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use domain::base::{Rtype, iana::Rcode};
use futures_util::future::{join, join_all};
use tokio::time::timeout;

use super::facts::{Named, Said};
use crate::net::dns::{Answer, Data, NoAnswer, ask, resolvers};

/// Time for one server. What `ask` sends twice is waited for a little longer than once.
const PATIENCE: Duration = Duration::from_millis(4500);
/// Aliases that are followed (RFC 1034 section 3.6.2 wants no loops, and says no number).
const MOST_ALIASES: usize = 8;
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
        let said = ask_for_addresses(resolver, name).await;
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
        let said = ask_for_addresses(SocketAddr::new(address, DNS_PORT), name).await;
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
        let servers: Vec<String> = one(resolver, zone, Rtype::NS)
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
                let addresses = one(resolver, &server, Rtype::A)
                    .await
                    .map(|a| addresses(&a));
                let first = addresses.unwrap_or_default().into_iter().next();
                first.map(|address| (server, address))
            });
            return join_all(found).await.into_iter().flatten().collect();
        }
        zone = zone.split_once('.').map_or("", |(_, rest)| rest);
    }
    Vec::new()
}

/// What one server says of a name's addresses, of both kinds.
async fn ask_for_addresses(server: SocketAddr, name: &str) -> Said {
    let (v4, v6) = join(
        follow(server, name, Rtype::A),
        follow(server, name, Rtype::AAAA),
    )
    .await;
    together(v4, v6)
}

/// What was said of each kind, as one.
fn together(v4: Said, v6: Said) -> Said {
    match (v4, v6) {
        (Said::Addresses(mut all), Said::Addresses(more)) => {
            all.extend(more);
            all.sort_unstable();
            all.dedup();
            Said::Addresses(all)
        }
        (Said::Addresses(all), _) | (_, Said::Addresses(all)) => Said::Addresses(all),
        // A server that knows only one kind says nothing sensible of the other.
        (Said::NoAddress, other) | (other, Said::NoAddress) => match other {
            Said::Silent | Said::Garbled | Said::Failed(_) => Said::NoAddress,
            other => other,
        },
        (first, _) => first,
    }
}

/// Asks for one kind of address, and follows aliases that the server does not follow itself.
async fn follow(server: SocketAddr, name: &str, kind: Rtype) -> Said {
    let mut chain = vec![name.to_owned()];
    loop {
        let asked = chain[chain.len() - 1].clone();
        let answer = match one(server, &asked, kind).await {
            Ok(answer) => answer,
            Err(nothing) => return nothing,
        };
        match read(&answer, &mut chain) {
            Read::Said(said) => return said,
            Read::Follow if chain.len() > MOST_ALIASES => return Said::Loop(chain),
            Read::Follow => {}
        }
    }
}

/// What an answer says.
#[derive(Debug, PartialEq, Eq)]
enum Read {
    Said(Said),
    /// It ends with an alias; ask for that.
    Follow,
}

/// Reads an answer to the last name of a chain of aliases, which grows by those in it.
fn read(answer: &Answer, chain: &mut Vec<String>) -> Read {
    let begin = chain.len();
    for data in &answer.data {
        let Data::Alias(to) = data else { continue };
        let is_known = chain.contains(to);
        chain.push(to.clone());
        if is_known {
            return Read::Said(Said::Loop(chain.clone()));
        }
    }
    let found = addresses(answer);
    if !found.is_empty() {
        return Read::Said(Said::Addresses(found));
    }
    let alias = || (chain.len() > 1).then(|| chain[chain.len() - 1].clone());
    match answer.rcode {
        Rcode::NXDOMAIN => Read::Said(Said::NoSuchName(alias())),
        Rcode::NOERROR if chain.len() > begin => Read::Follow,
        Rcode::NOERROR => Read::Said(Said::NoAddress),
        other => Read::Said(Said::Failed(other.to_string())),
    }
}

/// The addresses of an answer, in order.
fn addresses(answer: &Answer) -> Vec<IpAddr> {
    let mut found: Vec<IpAddr> = answer
        .data
        .iter()
        .filter_map(|data| match data {
            Data::Address(address) => Some(*address),
            _ => None,
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// One answer in time, or that there was none.
async fn one(server: SocketAddr, name: &str, kind: Rtype) -> Result<Answer, Said> {
    match timeout(PATIENCE, ask(server, name, kind)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(NoAnswer::Garbled(_))) => Err(Said::Garbled),
        Ok(Err(NoAnswer::Silent(_))) | Err(_) => Err(Said::Silent),
    }
}

#[cfg(test)]
mod tests {
    use domain::base::iana::Rcode;
    use proptest::prelude::*;

    use super::{Answer, Data, Read, Said, read, together};

    fn answer(rcode: Rcode, data: Vec<Data>) -> Answer {
        Answer {
            rcode,
            is_authoritative: true,
            data,
        }
    }

    fn alias(to: &str) -> Data {
        Data::Alias(to.into())
    }

    #[test]
    fn an_answer_is_read_with_its_aliases() {
        let address = || Data::Address([192, 0, 2, 1].into());
        let addresses = || Said::Addresses(vec![[192, 0, 2, 1].into()]);
        let looped = |names: &[&str]| Said::Loop(names.iter().map(ToString::to_string).collect());
        for (rcode, data, expected) in [
            (Rcode::NOERROR, vec![address()], Read::Said(addresses())),
            (
                Rcode::NOERROR,
                vec![alias("b"), address()],
                Read::Said(addresses()),
            ),
            (Rcode::NOERROR, vec![alias("b")], Read::Follow),
            (Rcode::NOERROR, vec![], Read::Said(Said::NoAddress)),
            (Rcode::NXDOMAIN, vec![], Read::Said(Said::NoSuchName(None))),
            (
                Rcode::NXDOMAIN,
                vec![alias("b")],
                Read::Said(Said::NoSuchName(Some("b".into()))),
            ),
            (
                Rcode::NOERROR,
                vec![alias("b"), alias("a")],
                Read::Said(looped(&["a", "b", "a"])),
            ),
            (
                Rcode::SERVFAIL,
                vec![],
                Read::Said(Said::Failed("SERVFAIL".into())),
            ),
        ] {
            let read = read(&answer(rcode, data.clone()), &mut vec!["a".into()]);
            assert_eq!(read, expected, "{rcode} {data:?}");
        }
    }

    #[test]
    fn both_kinds_of_address_make_one_answer() {
        let v4 = || Said::Addresses(vec![[192, 0, 2, 1].into()]);
        for (a, aaaa, expected) in [
            (v4(), Said::NoAddress, v4()),
            (v4(), Said::Failed("NOTIMP".into()), v4()),
            (Said::NoAddress, v4(), v4()),
            (Said::NoAddress, Said::NoAddress, Said::NoAddress),
            (Said::NoAddress, Said::Silent, Said::NoAddress),
            (Said::Silent, Said::Silent, Said::Silent),
            (
                Said::NoSuchName(None),
                Said::NoSuchName(None),
                Said::NoSuchName(None),
            ),
        ] {
            assert_eq!(
                together(a.clone(), aaaa.clone()),
                expected,
                "{a:?} {aaaa:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn aliases_are_followed_to_an_end_whatever_a_server_says(
            steps in proptest::collection::vec(proptest::collection::vec(0u8..12, 0..4), 1..40),
        ) {
            let mut chain = vec!["0".to_owned()];
            let mut asked = 0;
            for step in steps.iter().cycle() {
                let data = step.iter().map(|n| alias(&n.to_string())).collect();
                asked += 1;
                match read(&answer(Rcode::NOERROR, data), &mut chain) {
                    Read::Said(_) => break,
                    Read::Follow => prop_assert!(asked < 20),
                }
            }
        }
    }
}
