//! One question to one DNS server (RFC 1035).

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use domain::{
    base::{Message, MessageBuilder, Name, Rtype, ToName, iana::Rcode},
    rdata::AllRecordData,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

/// Time for an answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// What is sent may be lost.
const TRIES: usize = 2;
/// The largest answer over UDP that we take; larger ones come over TCP (RFC 6891 section 6.2.5).
const MOST_UDP_BYTES: usize = 4096;
/// Where the system says whom to ask (resolv.conf(5)).
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// What a server answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Whether the name exists, and what else the server says of itself.
    pub rcode: Rcode,
    /// Whether the server has the name itself, and does not repeat what another one said.
    pub is_authoritative: bool,
    /// What the name has, in the order of the answer; aliases come before what they lead to.
    pub data: Vec<Data>,
}

/// What a name has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// A or AAAA.
    Address(IpAddr),
    /// TXT; its parts together.
    Text(String),
    /// NS: who has the zone.
    Server(String),
    /// CNAME: another name for it.
    Alias(String),
}

/// Why there is no answer, in words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// Nothing came, or the question could not be sent.
    #[error("{0}")]
    Silent(String),
    /// Something came that is no answer.
    #[error("{0}")]
    Garbled(String),
}

impl From<String> for NoAnswer {
    fn from(words: String) -> Self {
        Self::Silent(words)
    }
}

impl NoAnswer {
    fn garbled(server: SocketAddr) -> Self {
        Self::Garbled(format!("{server} answered what is no answer"))
    }
}

/// Asks a server for what a name has of one type.
///
/// # Errors
/// In words: no answer, or what is none.
pub async fn ask(server: SocketAddr, name: &str, kind: Rtype) -> Result<Answer, NoAnswer> {
    let wrong = |e: &dyn std::fmt::Display| format!("{name} cannot be asked for: {e}");
    let name: Name<Vec<u8>> = name.parse().map_err(|e| wrong(&e))?;
    let mut query = MessageBuilder::new_vec();
    query.header_mut().set_id(random_id()?);
    query.header_mut().set_rd(true);
    let mut query = query.question();
    query.push((&name, kind)).map_err(|e| wrong(&e))?;
    let query = query.into_message();
    let answer = exchange(server, &query).await?;
    read(&answer).map_err(|_| NoAnswer::garbled(server))
}

/// Sends a message and gives the answer to it: over UDP, and over TCP where that is cut off.
async fn exchange(
    server: SocketAddr,
    query: &Message<Vec<u8>>,
) -> Result<Message<Vec<u8>>, NoAnswer> {
    for _ in 0..TRIES {
        let is_garbled = AtomicBool::new(false);
        let asked = timeout(PATIENCE, over_udp(server, query, &is_garbled)).await;
        match asked {
            Ok(Ok(answer)) if !answer.header().tc() => return Ok(answer),
            Ok(Ok(_)) => return over_tcp(server, query).await,
            Ok(Err(e)) => return Err(format!("{server} gives no answer: {e}").into()),
            // Nothing was lost on the way.
            Err(_) if is_garbled.load(Ordering::Relaxed) => return Err(NoAnswer::garbled(server)),
            Err(_) => {}
        }
    }
    let words = format!("{server} gives no answer within {} s", PATIENCE.as_secs());
    Err(words.into())
}

async fn over_udp(
    server: SocketAddr,
    query: &Message<Vec<u8>>,
    is_garbled: &AtomicBool,
) -> std::io::Result<Message<Vec<u8>>> {
    let own: IpAddr = if server.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = UdpSocket::bind((own, 0)).await?;
    // Nobody else's packets are taken from here on.
    socket.connect(server).await?;
    socket.send(query.as_slice()).await?;
    let mut buffer = vec![0; MOST_UDP_BYTES];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let answer = Message::from_octets(buffer[..length].to_vec());
        // What is not the answer to this question may be forged: the right one may still come.
        if let Ok(answer) = answer
            && answer.is_answer(query)
        {
            return Ok(answer);
        }
        is_garbled.store(true, Ordering::Relaxed);
    }
}

/// Sends a message over TCP (RFC 1035 section 4.2.2) and gives the answer to it.
///
/// # Errors
/// In words: no answer, or not to this.
pub(super) async fn over_tcp(
    server: SocketAddr,
    query: &Message<Vec<u8>>,
) -> Result<Message<Vec<u8>>, NoAnswer> {
    let talk = async {
        let mut stream = TcpStream::connect(server).await?;
        let length = u16::try_from(query.as_slice().len()).map_err(std::io::Error::other)?;
        stream.write_all(&length.to_be_bytes()).await?;
        stream.write_all(query.as_slice()).await?;
        let length = stream.read_u16().await?;
        let mut answer = vec![0; usize::from(length)];
        stream.read_exact(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = match timeout(PATIENCE * 2, talk).await {
        Ok(answer) => answer.map_err(|e| format!("{server} gives no answer: {e}"))?,
        Err(_) => return Err(format!("{server} gives no answer in time").into()),
    };
    let answer = Message::from_octets(answer).map_err(|_| NoAnswer::garbled(server))?;
    if answer.header().id() != query.header().id() || !answer.header().qr() {
        let words = format!("{server} answered something else");
        return Err(NoAnswer::Garbled(words));
    }
    Ok(answer)
}

fn read(answer: &Message<Vec<u8>>) -> Result<Answer, domain::base::wire::ParseError> {
    let mut data = Vec::new();
    for record in answer.answer()?.limit_to::<AllRecordData<_, _>>() {
        let shown = |name: &dyn std::fmt::Display| {
            name.to_string().trim_end_matches('.').to_ascii_lowercase()
        };
        data.extend(match record?.data() {
            AllRecordData::A(a) => Some(Data::Address(a.addr().into())),
            AllRecordData::Aaaa(aaaa) => Some(Data::Address(aaaa.addr().into())),
            AllRecordData::Ns(ns) => Some(Data::Server(shown(&ns.nsdname().to_name::<Vec<u8>>()))),
            AllRecordData::Cname(alias) => {
                Some(Data::Alias(shown(&alias.cname().to_name::<Vec<u8>>())))
            }
            AllRecordData::Txt(txt) => {
                let bytes: Vec<u8> = txt.iter().flatten().copied().collect();
                Some(Data::Text(String::from_utf8_lossy(&bytes).into_owned()))
            }
            _ => None,
        });
    }
    Ok(Answer {
        rcode: answer.header().rcode(),
        is_authoritative: answer.header().aa(),
        data,
    })
}

/// A number that nobody guesses (RFC 5452 section 9.2).
pub(super) fn random_id() -> Result<u16, String> {
    let mut bytes = [0; 2];
    getrandom::fill(&mut bytes).map_err(|e| e.to_string())?;
    Ok(u16::from_be_bytes(bytes))
}

/// The servers that this machine asks, best first; empty if the system names none.
pub fn resolvers() -> Vec<SocketAddr> {
    servers_of(&fs::read_to_string(RESOLV_CONF).unwrap_or_default())
}

fn servers_of(text: &str) -> Vec<SocketAddr> {
    let lines = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let address = (words.next() == Some("nameserver")).then(|| words.next())??;
        // An address of a link has its interface behind a percent sign, which is left to the system's own resolver.
        Some(SocketAddr::new(address.parse().ok()?, 53))
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use domain::base::Message;
    use proptest::prelude::*;

    use super::{read, servers_of};

    #[test]
    fn the_systems_servers_are_read() {
        let text = "# by dhcp\nsearch lan\nnameserver 192.168.1.1\nnameserver fd00::1\nnameserver fe80::1%eth0\n\
                    options edns0\nnameserver\nnameserver x\n";
        let servers: Vec<_> = servers_of(text).iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["192.168.1.1:53", "[fd00::1]:53"]);
    }

    proptest! {
        #[test]
        fn an_answer_of_garbage_is_an_error_or_nothing_and_no_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..600), counts in any::<[u8; 8]>(),
        ) {
            let mut bytes = bytes;
            if bytes.len() >= 12 {
                bytes[4..12].copy_from_slice(&counts.map(|count| count % 3));
            }
            if let Ok(message) = Message::from_octets(bytes) {
                let _ = read(&message);
            }
        }
    }
}
