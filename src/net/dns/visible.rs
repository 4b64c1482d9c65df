//! Waits until all servers of a zone have what was changed.

use std::{net::SocketAddr, time::Duration};

use domain::base::{Rtype, iana::Rcode};
use tokio::time::{Instant, sleep};

use super::{
    ask::{Data, ask},
    failure::Failure,
    lookup::servers_of,
    no_answer::code_in_words,
};

/// How often they are asked.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long they are waited for: copies of a zone are told at once (RFC 1996), and slow ones are asked by nobody.
const PATIENCE: Duration = Duration::from_mins(3);

/// How long is waited where nobody can be asked, as behind a firewall: longer than copies of a zone take mostly. The
/// authority looks for itself.
const BLIND: Duration = Duration::from_mins(1);

/// Returns when every server of the zone that answers has the text. `own` is the one that was told of it, if it can be
/// asked; others are found as everybody finds them, or are those of `check_at`: where the network's own DNS shows
/// something else inside, those that are found here never have the text. If none answers, some time is given to them.
///
/// # Errors
/// If one that answers does not have it in time.
pub(super) async fn everywhere(
    zone: &str,
    (own, check_at): (Option<SocketAddr>, &[SocketAddr]),
    name: &str,
    text: &str,
) -> Result<(), Failure> {
    let servers = whom(own, check_at, servers_of(zone)).await;
    if !have(&servers, name, text).await? {
        log::info!("no DNS server of {zone} answers here, so {name} is believed to be there soon");
        sleep(BLIND).await;
    }
    Ok(())
}

/// Who is asked: those that are set, or else those that are found.
async fn whom(
    own: Option<SocketAddr>,
    check_at: &[SocketAddr],
    found: impl Future<Output = Vec<SocketAddr>>,
) -> Vec<SocketAddr> {
    let others = if check_at.is_empty() {
        found.await
    } else {
        check_at.to_vec()
    };
    own.into_iter().chain(others).collect()
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
                Ok(answer) if Instant::now() > deadline => {
                    let said = match answer.rcode {
                        Rcode::NOERROR | Rcode::NXDOMAIN => {
                            "does not have it; look whether it gets copies of the zone".to_owned()
                        }
                        other => format!("says {}", code_in_words(&other.to_string())),
                    };
                    return Err(Failure::trouble(format!(
                        "{name} was changed, but after {} minutes the DNS server {server} {said}",
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
    use std::net::{SocketAddr, UdpSocket};

    use super::{have, whom};

    #[tokio::test]
    async fn servers_that_are_set_are_asked_instead_of_those_that_are_found_inside() {
        let [own, set, inside]: [SocketAddr; 3] =
            ["192.0.2.1:53", "192.0.2.2:53", "10.0.0.1:53"].map(|at| at.parse().unwrap());
        for (own_one, check_at, expected) in [
            (Some(own), &[set][..], &[own, set][..]),
            (None, &[set], &[set]),
            (Some(own), &[], &[own, inside]),
            (None, &[], &[inside]),
        ] {
            let asked = whom(own_one, check_at, async { vec![inside] }).await;
            assert_eq!(asked, expected);
        }
    }

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
