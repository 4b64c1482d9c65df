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

/// How long is waited where nobody can be asked, as behind a firewall: longer than copies of a zone take mostly. The
/// authority looks for itself.
const BLIND: Duration = Duration::from_mins(1);

/// Returns when every server of the zone that answers has the text. `known` are asked too; others are found as
/// everybody finds them. If none answers, some time is given to them.
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
    if !have(&servers, name, text).await? {
        log::info!("no DNS server of {zone} answers here, so {name} is believed to be there soon");
        sleep(BLIND).await;
    }
    Ok(())
}

/// Returns when each of these servers that answers has the text; whether one did.
async fn have(servers: &[SocketAddr], name: &str, text: &str) -> Result<bool, Failure> {
    let mut is_seen = false;
    let deadline = Instant::now() + PATIENCE;
    for server in servers {
        loop {
            match ask(*server, name, Rtype::TXT).await {
                // One that is down is down for the authority too.
                Err(_) => break,
                Ok(answer) if answer.data.contains(&Data::Text(text.to_owned())) => {
                    is_seen = true;
                    break;
                }
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
    Ok(is_seen)
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::have;

    #[tokio::test]
    async fn servers_that_nobody_can_ask_have_seen_nothing() {
        let closed = {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.local_addr().unwrap()
        };
        for servers in [&[][..], &[closed]] {
            assert_eq!(have(servers, "a.example.org", "x").await, Ok(false));
        }
    }
}
