//! Finds where the router describes itself (UPnP Device Architecture 1.1, section 1.3).

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddrV4},
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    net::UdpSocket,
    time::{Instant, timeout_at},
};
use url::Url;

use super::{
    Gateway,
    http::{Place, shown},
};

/// Where devices listen (section 1.1.2).
const GROUP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(239, 255, 255, 250), 1900);
/// What is searched for. A router of version 2 answers to the first too, but not every one does.
const TARGETS: [&str; 2] = [
    "urn:schemas-upnp-org:device:InternetGatewayDevice:1",
    "urn:schemas-upnp-org:device:InternetGatewayDevice:2",
];
/// Datagrams get lost, so the search goes out more than once (section 1.3.2); a device answers within `MX` seconds.
const WAITS: [Duration; 2] = [Duration::from_millis(800), Duration::from_millis(1800)];
/// An answer fits into one packet of Ethernet.
const MOST_BYTES: usize = 1500;
/// How many other machines that call themselves routers are named.
const MOST_STRANGERS: usize = 4;

/// Why there is no place.
#[derive(Debug)]
pub(super) struct NotFound {
    /// In words.
    pub(super) why: String,
    /// Other machines that call themselves routers.
    pub(super) strangers: Vec<Ipv4Addr>,
}

/// Searches for the description of this router. Only what comes from the router's own address is believed.
pub(super) async fn search(gateway: Gateway) -> Result<Place, NotFound> {
    let mut strangers = Vec::new();
    let mut why = "it does not answer".to_owned();
    match search_in(gateway, &mut strangers, &mut why).await {
        Ok(Some(place)) => return Ok(place),
        Ok(None) => {}
        Err(e) => why = format!("it cannot be asked: {e}"),
    }
    Err(NotFound { why, strangers })
}

async fn search_in(
    gateway: Gateway,
    strangers: &mut Vec<Ipv4Addr>,
    why: &mut String,
) -> std::io::Result<Option<Place>> {
    let socket = UdpSocket::bind((gateway.own, 0)).await?;
    SockRef::from(&socket).set_multicast_if_v4(&gateway.own)?;
    // It stays in the house (section 1.3.2).
    socket.set_multicast_ttl_v4(2)?;
    let mut answer = [0; MOST_BYTES];
    for wait in WAITS {
        for target in TARGETS {
            // To the router itself too: some networks do not pass multicast on.
            for to in [GROUP, SocketAddrV4::new(gateway.address, GROUP.port())] {
                // One of the two may be impossible here.
                let _ = socket.send_to(request(target).as_bytes(), to).await;
            }
        }
        let until = Instant::now() + wait;
        while let Ok(received) = timeout_at(until, socket.recv_from(&mut answer)).await {
            // An error here is about what was sent, such as a port that is closed.
            let Ok((length, from)) = received else {
                continue;
            };
            let IpAddr::V4(from) = from.ip() else {
                continue;
            };
            let Some(location) = read(&answer[..length]) else {
                continue;
            };
            if from != gateway.address {
                if strangers.len() < MOST_STRANGERS && !strangers.contains(&from) {
                    strangers.push(from);
                }
                continue;
            }
            let place = Url::parse(&location)
                .map_err(|_| format!("it is nowhere ({})", shown(&location)))
                .and_then(|url| Place::of(&url, gateway.address));
            match place {
                Ok(place) => return Ok(Some(place)),
                Err(e) => *why = format!("it answers, but {e}"),
            }
        }
    }
    Ok(None)
}

fn request(target: &str) -> String {
    format!(
        "M-SEARCH * HTTP/1.1\r\nHOST: {GROUP}\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\nST: {target}\r\n\
         USER-AGENT: Linux UPnP/1.1 Webstead/{}\r\n\r\n",
        env!("CARGO_PKG_VERSION")
    )
}

/// The LOCATION of an answer to our search; `None` if it is something else.
fn read(answer: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(answer);
    let mut lines = text.lines();
    let mut status = lines.next()?.split_whitespace();
    if !status.next()?.starts_with("HTTP/1.") || status.next()? != "200" {
        return None;
    }
    let field = |wanted: &str| {
        lines
            .clone()
            .take_while(|line| !line.is_empty())
            .find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.trim()
                    .eq_ignore_ascii_case(wanted)
                    .then(|| value.trim().to_owned())
            })
    };
    let target = field("st")?;
    TARGETS
        .contains(&target.as_str())
        .then(|| field("location"))
        .flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::read;

    const ANSWER: &str = "HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\n\
        ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\nEXT:\r\n\
        location:http://192.168.77.1:5000/rootDesc.xml\r\n\r\n";

    #[test]
    fn an_answer_says_where_the_description_is() {
        assert_eq!(
            read(ANSWER.as_bytes()).as_deref(),
            Some("http://192.168.77.1:5000/rootDesc.xml")
        );
        for other in [
            ANSWER.replace("200", "404"),
            ANSWER.replace("HTTP/1.1 200 OK", "NOTIFY * HTTP/1.1"),
            ANSWER.replace("InternetGatewayDevice", "MediaServer"),
            ANSWER.replace("location", "elsewhere"),
            ANSWER.replace("ST:", "\r\nST:"),
            String::new(),
        ] {
            assert_eq!(read(other.as_bytes()), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn any_datagram_is_read_without_a_panic(
            noise in prop::collection::vec(any::<u8>(), 0..200), at in 0usize..200,
        ) {
            let mut answer = ANSWER.as_bytes().to_vec();
            answer.splice(at.min(answer.len()).., noise.iter().copied());
            let _ = (read(&answer), read(&noise));
        }
    }
}
