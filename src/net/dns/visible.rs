//! Waits until all servers of a zone have what was changed.

use std::{net::SocketAddr, time::Duration};

use domain::base::Rtype;
use tokio::time::{Instant, sleep};

use super::{
    ask::{Data, ask},
    failure::Failure,
    lookup::servers_of,
};

/// How often they are asked.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long they are waited for: copies of a zone are told at once (RFC 1996), and slow ones are asked by nobody.
const PATIENCE: Duration = Duration::from_mins(3);

/// Returns when every server of the zone that answers has the text. `known` are asked too; others are found as
/// everybody finds them.
///
/// # Errors
/// If one that answers does not have it in time.
pub(super) async fn everywhere(
    zone: &str,
    known: &[SocketAddr],
    name: &str,
    text: &str,
) -> Result<(), Failure> {
    let mut servers: Vec<SocketAddr> = known.to_vec();
    servers.extend(servers_of(zone).await);
    let deadline = Instant::now() + PATIENCE;
    for server in servers {
        loop {
            match ask(server, name, Rtype::TXT).await {
                // One that is down is down for the authority too.
                Err(_) => break,
                Ok(answer) if answer.data.contains(&Data::Text(text.to_owned())) => break,
                Ok(_) if Instant::now() > deadline => {
                    return Err(Failure::unreachable(format!(
                        "{name} was changed, but the DNS server {server} does not have it after {} minutes",
                        PATIENCE.as_secs() / 60
                    )));
                }
                Ok(_) => sleep(LOOK_EVERY).await,
            }
        }
    }
    Ok(())
}
