//! What a name has now, as the DNS servers of its zone say: no copy that somebody keeps.

use std::net::{IpAddr, SocketAddr};

use domain::base::{Rtype, iana::Rcode};

use super::{
    ask::{Answer, Data, ask, resolvers},
    failure::Failure,
};

/// More than a zone has.
const MOST_SERVERS: usize = 16;
/// More than a name has.
const MOST_LABELS: usize = 32;

/// The addresses of a name, IPv4 first; none if it has none. `check_at` is asked if it names somebody.
///
/// # Errors
/// If no server of the zone says anything, or if the name is an alias, whose addresses are another's.
pub(super) async fn addresses(name: &str, check_at: &[SocketAddr]) -> Result<Vec<IpAddr>, Failure> {
    let servers = servers_for(name, check_at).await?;
    let mut all = Vec::new();
    for kind in [Rtype::A, Rtype::AAAA] {
        for data in first_word(&servers, name, kind).await?.data {
            match data {
                Data::Address(address) => all.push(address),
                Data::Alias(other) => return Err(Failure::refused(alias(name, &other))),
                _ => {}
            }
        }
    }
    Ok(all)
}

/// The texts of a name.
///
/// # Errors
/// If no server of the zone says anything.
pub(super) async fn texts(name: &str, check_at: &[SocketAddr]) -> Result<Vec<String>, Failure> {
    let servers = servers_for(name, check_at).await?;
    let answer = first_word(&servers, name, Rtype::TXT).await?;
    let texts = answer.data.into_iter().filter_map(|data| match data {
        Data::Text(text) => Some(text),
        _ => None,
    });
    Ok(texts.collect())
}

/// What is said of a name that is another name for something.
pub(super) fn alias(name: &str, other: &str) -> String {
    format!(
        "{name} is an alias (CNAME) of {other}; remove that to let it have addresses of its own"
    )
}

/// The servers of a zone, as the first of this machine's resolvers finds them that says anything of it; none if
/// there is no zone of that name, or if nobody can be asked.
pub(super) async fn servers_of(zone: &str) -> Vec<SocketAddr> {
    for resolver in resolvers() {
        if let Some(servers) = servers_by(resolver, zone).await {
            return servers;
        }
    }
    Vec::new()
}

/// What one resolver says; `None` if it does not know.
async fn servers_by(resolver: SocketAddr, zone: &str) -> Option<Vec<SocketAddr>> {
    let found = ask(resolver, zone, Rtype::NS).await.ok()?;
    if !matches!(found.rcode, Rcode::NOERROR | Rcode::NXDOMAIN) {
        return None;
    }
    let has_zone = !found.data.is_empty();
    let mut servers = Vec::new();
    for data in found.data {
        let Data::Server(name) = data else { continue };
        for kind in [Rtype::A, Rtype::AAAA] {
            let Ok(answer) = ask(resolver, &name, kind).await else {
                continue;
            };
            let addresses = answer.data.into_iter().filter_map(|data| match data {
                Data::Address(address) => Some(address),
                _ => None,
            });
            servers.extend(addresses.map(|address: IpAddr| SocketAddr::new(address, 53)));
        }
        if servers.len() >= MOST_SERVERS {
            break;
        }
    }
    servers.truncate(MOST_SERVERS);
    (!has_zone || !servers.is_empty()).then_some(servers)
}

/// The servers that know a name: those of the nearest zone above it.
async fn servers_for(name: &str, check_at: &[SocketAddr]) -> Result<Vec<SocketAddr>, Failure> {
    if !check_at.is_empty() {
        return Ok(check_at.to_vec());
    }
    let mut zone = name;
    for _ in 0..MOST_LABELS {
        let servers = servers_of(zone).await;
        if !servers.is_empty() {
            return Ok(servers);
        }
        match zone.split_once('.') {
            // The servers of a whole top-level domain know no addresses.
            Some((_, above)) if above.contains('.') => zone = above,
            _ => break,
        }
    }
    Err(Failure::unreachable(format!(
        "nobody says which DNS servers have {name}"
    )))
}

/// What the first server says that knows anything of a name.
async fn first_word(servers: &[SocketAddr], name: &str, kind: Rtype) -> Result<Answer, Failure> {
    let mut last = Failure::unreachable(format!("no DNS server can be asked for {name}"));
    for server in servers {
        match ask(*server, name, kind).await {
            Ok(answer) if matches!(answer.rcode, Rcode::NOERROR | Rcode::NXDOMAIN) => {
                return Ok(answer);
            }
            Ok(answer) => {
                let text = format!("the DNS server {server} says {} to {name}", answer.rcode);
                last = Failure::unreachable(text);
            }
            Err(why) => last = Failure::unreachable(why.to_string()),
        }
    }
    Err(last)
}
