//! Where a name leads, and whether that is here: asked before the site takes the name.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use data_encoding::HEXLOWER;
use futures_util::future::join_all;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::{
    challenges::{Challenges, PREFIX},
    dns::{self, Said},
};
use crate::base::{is_global, is_shared};

/// Time for the DNS, and then for whoever is there.
const PATIENCE: Duration = Duration::from_secs(4);
/// More than the head and the text that are looked for.
const MOST_BYTES: u64 = 8 * 1024;
/// Addresses of one name that are tried.
const MOST_ADDRESSES: usize = 6;

/// Where a name leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lead {
    /// Here: this machine has answered under it.
    Here(IpAddr),
    /// Somebody else answers there.
    Elsewhere(IpAddr),
    /// Nobody answers there, as far as can be seen from here.
    Silent(IpAddr),
    /// To an address of a network of one's own.
    Home(IpAddr),
    /// To an address that a provider shares among its customers.
    Shared(IpAddr),
    /// To an address that is each machine's own.
    Loopback(IpAddr),
    /// The name exists and has no address.
    NoAddress,
    /// There is no such name.
    Missing,
    /// The DNS was not reached, or did not say; why.
    Unknown(String),
}

/// What was seen of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// Where it leads.
    pub lead: Lead,
    /// Whether it has addresses of IPv6 alone, so that who has only IPv4 does not get there.
    pub is_only_v6: bool,
}

impl From<Lead> for Looked {
    fn from(lead: Lead) -> Self {
        Self {
            lead,
            is_only_v6: false,
        }
    }
}

/// Asks the system's DNS server where a name leads, and looks who answers there over plain HTTP.
pub async fn look_at(name: &str, challenges: &Arc<Challenges>) -> Looked {
    let Some(resolver) = dns::resolvers().into_iter().next() else {
        let why = "this machine knows no DNS server; name one in /etc/resolv.conf, or let it get its settings from the router";
        return Lead::Unknown(why.into()).into();
    };
    match addresses_of(name, resolver).await {
        Ok(addresses) => Looked {
            is_only_v6: !addresses.is_empty() && addresses.iter().all(IpAddr::is_ipv6),
            lead: look(name, addresses, 80, challenges).await,
        },
        Err(lead) => lead.into(),
    }
}

/// The addresses of a name, or what else is said of it.
async fn addresses_of(name: &str, resolver: SocketAddr) -> Result<Vec<IpAddr>, Lead> {
    let said = timeout(PATIENCE, dns::said_of(resolver, name)).await;
    Err(match said.unwrap_or(Said::Silent) {
        Said::Addresses(all) => return Ok(all.iter().map(IpAddr::to_canonical).collect()),
        Said::NoSuchName(_) => Lead::Missing,
        Said::NoAddress => Lead::NoAddress,
        Said::Loop(aliases) => {
            let aliases = aliases.join(", ");
            Lead::Unknown(format!("the name is an alias of itself ({aliases})"))
        }
        Said::Failed(word) => {
            let said = dns::code_in_words(&word);
            Lead::Unknown(format!("the DNS server {resolver} says {said}"))
        }
        Said::Silent => Lead::Unknown(format!(
            "the DNS server {resolver} gives no answer; look whether this machine reaches it and the internet"
        )),
        Said::Garbled => Lead::Unknown(format!(
            "what the DNS server {resolver} sends is no answer; look whether a DNS server is at that address"
        )),
    })
}

async fn look(
    name: &str,
    mut addresses: Vec<IpAddr>,
    port: u16,
    challenges: &Arc<Challenges>,
) -> Lead {
    addresses.truncate(MOST_ADDRESSES);
    let tried = addresses.iter().map(|address| {
        let at = SocketAddr::new(*address, port);
        async move { (*address, who_answers(name, at, challenges).await) }
    });
    let tried = join_all(tried).await;
    judged(&tried)
}

/// Where a name leads of whose addresses this is known: whether this machine answers there, or somebody else, or nobody.
fn judged(tried: &[(IpAddr, Option<bool>)]) -> Lead {
    let first = |wanted: Option<bool>| {
        let found = tried.iter().find(|(_, who)| *who == wanted);
        found.map(|(address, _)| *address)
    };
    let addresses = || tried.iter().map(|(address, _)| *address);
    let inside = addresses().find(|address| !is_global(*address));
    match (first(Some(true)), first(Some(false)), addresses().next()) {
        (Some(address), None, _) if is_global(address) => Lead::Here(address),
        // One address of it is enough to send a visitor astray.
        (_, Some(address), _) if !is_shared(address) => Lead::Elsewhere(address),
        (_, _, Some(first)) => match inside {
            Some(shared) if is_shared(shared) => Lead::Shared(shared),
            Some(own) if own.is_loopback() => Lead::Loopback(own),
            Some(home) => Lead::Home(home),
            None => Lead::Silent(first),
        },
        (_, _, None) => Lead::NoAddress,
    }
}

/// Whether this machine answers there, or somebody else, or nobody.
async fn who_answers(name: &str, at: SocketAddr, challenges: &Arc<Challenges>) -> Option<bool> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).ok()?;
    let (token, text) = (HEXLOWER.encode(&bytes[..8]), HEXLOWER.encode(&bytes[8..]));
    let _shown = challenges.present_text(&token, &text);
    let ask = async {
        let mut stream = TcpStream::connect(at).await?;
        let request =
            format!("GET {PREFIX}{token} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        // Whoever resets the connection has answered before.
        let _ = stream.take(MOST_BYTES).read_to_end(&mut answer).await;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = timeout(PATIENCE, ask).await.ok()?.ok()?;
    let is_answer = answer.starts_with(b"HTTP/");
    is_answer.then(|| String::from_utf8_lossy(&answer).contains(&text))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::{Ipv4Addr, TcpListener, UdpSocket},
    };

    use domain::{
        base::{Message, MessageBuilder, Rtype, iana::Rcode},
        rdata::A,
    };

    use super::*;

    /// A DNS server that has one answer for everything: a code, and an address.
    fn dns_server(rcode: Rcode, address: Option<[u8; 4]>) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let at = socket.local_addr().unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 600];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let query = Message::from_octets(&buffer[..length]).unwrap();
                let question = query.sole_question().unwrap();
                let answer = MessageBuilder::new_vec().start_answer(&query, rcode);
                let mut answer = answer.unwrap();
                if let (Some(a), Rtype::A) = (address, question.qtype()) {
                    let record = (question.qname(), 60, A::new(Ipv4Addr::from(a)));
                    answer.push(record).unwrap();
                }
                socket.send_to(&answer.finish(), from).unwrap();
            }
        });
        at
    }

    /// A web server that says this to everybody.
    fn web_server(says: &'static str) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 1000]);
                let _ = stream.write_all(says.as_bytes());
            }
        });
        port
    }

    #[tokio::test]
    async fn it_is_told_apart_where_a_name_leads() {
        let challenges = Arc::<Challenges>::default();
        let loopback = [127, 0, 0, 1];
        let closed = 1;
        let router = web_server("HTTP/1.0 200 OK\r\n\r\nRouter");
        for (rcode, address, port, expected) in [
            (Rcode::NXDOMAIN, None, closed, Lead::Missing),
            (Rcode::NOERROR, None, closed, Lead::NoAddress),
            (
                Rcode::NOERROR,
                Some(loopback),
                closed,
                Lead::Loopback(loopback.into()),
            ),
            (
                Rcode::NOERROR,
                Some(loopback),
                router,
                Lead::Elsewhere(loopback.into()),
            ),
        ] {
            let server = dns_server(rcode, address);
            let lead = match addresses_of("a.example", server).await {
                Ok(addresses) => look("a.example", addresses, port, &challenges).await,
                Err(lead) => lead,
            };
            assert_eq!(lead, expected);
        }
        let server = dns_server(Rcode::SERVFAIL, None);
        let lead = addresses_of("a.example", server).await;
        assert!(
            matches!(&lead, Err(Lead::Unknown(why)) if why.contains("SERVFAIL")),
            "{lead:?}"
        );
    }

    #[test]
    fn the_kind_of_an_address_decides_what_is_said_of_it() {
        let of = |text: &str| text.parse::<IpAddr>().unwrap();
        for (tried, expected) in [
            (vec![("8.8.8.8", Some(true))], Lead::Here(of("8.8.8.8"))),
            (
                vec![("8.8.8.8", Some(true)), ("8.8.4.4", Some(false))],
                Lead::Elsewhere(of("8.8.4.4")),
            ),
            (vec![("8.8.8.8", None)], Lead::Silent(of("8.8.8.8"))),
            (vec![("192.168.1.5", None)], Lead::Home(of("192.168.1.5"))),
            // It is seen so from inside alone.
            (
                vec![("192.168.1.5", Some(true))],
                Lead::Home(of("192.168.1.5")),
            ),
            (vec![("100.64.3.20", None)], Lead::Shared(of("100.64.3.20"))),
            (
                vec![("100.64.3.20", Some(true))],
                Lead::Shared(of("100.64.3.20")),
            ),
            // A neighbour who shares it: the address is what is wrong.
            (
                vec![("100.64.3.20", Some(false))],
                Lead::Shared(of("100.64.3.20")),
            ),
            (vec![("127.0.0.1", None)], Lead::Loopback(of("127.0.0.1"))),
            (vec![("2a00::1", Some(true))], Lead::Here(of("2a00::1"))),
            (vec![], Lead::NoAddress),
        ] {
            let all: Vec<_> = tried.iter().map(|(at, who)| (of(at), *who)).collect();
            assert_eq!(judged(&all), expected, "{tried:?}");
        }
    }

    #[tokio::test]
    async fn who_shows_the_text_that_was_just_made_is_this_machine() {
        let challenges = Arc::<Challenges>::default();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let shown = Arc::clone(&challenges);
        std::thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let mut request = [0; 1000];
            let length = stream.read(&mut request).unwrap();
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            let text = shown.text(request.split(' ').nth(1).unwrap()).unwrap();
            write!(stream, "HTTP/1.1 200 OK\r\n\r\n{text}").unwrap();
        });
        assert_eq!(who_answers("a.example", at, &challenges).await, Some(true));
        let other = SocketAddr::from(([127, 0, 0, 1], web_server("HTTP/1.1 404 no\r\n\r\n")));
        assert_eq!(
            who_answers("a.example", other, &challenges).await,
            Some(false)
        );
        let silent = SocketAddr::from(([127, 0, 0, 1], web_server("SSH-2.0")));
        assert_eq!(who_answers("a.example", silent, &challenges).await, None);
    }
}
