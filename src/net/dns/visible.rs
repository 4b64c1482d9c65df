//! Waits until all servers of a zone have what was changed.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use domain::base::Rtype;
use tokio::time::{Instant, sleep};

use super::ask::{Data, ask, resolvers};

/// How often they are asked.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long they are waited for: copies of a zone are told at once (RFC 1996), and slow ones are asked by nobody.
const PATIENCE: Duration = Duration::from_mins(3);
/// More than a zone has.
const MOST_SERVERS: usize = 16;

/// Returns when every server of the zone that answers has the text. `own` is one that is known; others are found as
/// everybody finds them.
///
/// # Errors
/// If one that answers does not have it in time.
pub(super) async fn everywhere(
    zone: &str,
    own: Option<SocketAddr>,
    name: &str,
    text: &str,
) -> Result<(), String> {
    let mut servers: Vec<SocketAddr> = own.into_iter().collect();
    servers.extend(servers_of(zone).await);
    let deadline = Instant::now() + PATIENCE;
    for server in servers {
        loop {
            match ask(server, name, Rtype::TXT).await {
                // One that is down is down for the authority too.
                Err(_) => break,
                Ok(answer) if answer.data.contains(&Data::Text(text.to_owned())) => break,
                Ok(_) if Instant::now() > deadline => {
                    return Err(format!(
                        "{name} was changed, but the DNS server {server} does not have it after {} minutes",
                        PATIENCE.as_secs() / 60
                    ));
                }
                Ok(_) => sleep(LOOK_EVERY).await,
            }
        }
    }
    Ok(())
}

/// The servers of a zone, as this machine's resolver finds them; none if it cannot be asked.
async fn servers_of(zone: &str) -> Vec<SocketAddr> {
    let Some(resolver) = resolvers().into_iter().next() else {
        return Vec::new();
    };
    let Ok(found) = ask(resolver, zone, Rtype::NS).await else {
        return Vec::new();
    };
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
    }
    servers.truncate(MOST_SERVERS);
    servers
}
