//! One question to one DNS server (RFC 1035).

use std::{
    fs,
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use domain::{
    base::{
        Message, MessageBuilder, Name, Rtype, ToName,
        iana::{Opcode, Rcode},
    },
    rdata::AllRecordData,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

use super::no_answer::{Asked, NoAnswer, is_text, shown};

/// Time for an answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// The same over TCP, for the connection and then for what is said.
const PATIENCE_TCP: Duration = Duration::from_secs(6);
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

/// Asks a server for what a name has of one type.
///
/// # Errors
/// In words: no answer, or what is none.
pub async fn ask(server: SocketAddr, name: &str, kind: Rtype) -> Result<Answer, NoAnswer> {
    let what = format!("the {kind} of {name}");
    let wrong = |e: &dyn std::fmt::Display| format!("{name} cannot be asked for: {e}");
    let asked = Asked {
        server,
        what: &what,
    };
    let name: Name<Vec<u8>> = name.parse().map_err(|e| NoAnswer::Unsent(wrong(&e)))?;
    let mut query = MessageBuilder::new_vec();
    let id = random_id().map_err(NoAnswer::Unsent)?;
    query.header_mut().set_id(id);
    query.header_mut().set_rd(true);
    let mut query = query.question();
    let pushed = query.push((&name, kind));
    pushed.map_err(|e| NoAnswer::Unsent(wrong(&e)))?;
    let query = query.into_message();
    let answer = exchange(&asked, &query).await?;
    read(&answer).map_err(|e| asked.garbled(&format!("an answer that cannot be read ({e})")))
}

/// Sends a message and gives the answer to it: over UDP, and over TCP where that is cut off.
async fn exchange(
    asked: &Asked<'_>,
    query: &Message<Vec<u8>>,
) -> Result<Message<Vec<u8>>, NoAnswer> {
    for _ in 0..TRIES {
        // What came instead of the answer.
        let other = Mutex::new(None);
        let answer = timeout(PATIENCE, over_udp(asked.server, query, &other)).await;
        let other = other.into_inner().unwrap_or_else(PoisonError::into_inner);
        match (answer, other) {
            (Ok(Ok(answer)), _) if !answer.header().tc() => return Ok(answer),
            (Ok(Ok(_)), _) => return over_tcp(asked, query).await,
            (Ok(Err(e)), _) => return Err(asked.silent(&e.to_string())),
            // Nothing was lost on the way.
            (Err(_), Some(other)) => return Err(asked.garbled(&other)),
            (Err(_), None) => {}
        }
    }
    let tried = PATIENCE.as_secs() * TRIES as u64;
    Err(asked.silent(&format!("within {tried} s")))
}

async fn over_udp(
    server: SocketAddr,
    query: &Message<Vec<u8>>,
    other: &Mutex<Option<String>>,
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
        match answer_in(&buffer[..length], query) {
            Ok(answer) => return Ok(answer),
            // It may be forged: the right one may still come.
            Err(what) => *other.lock().unwrap_or_else(PoisonError::into_inner) = Some(what),
        }
    }
}

/// Sends a message over TCP (RFC 1035 section 4.2.2) and gives the answer to it.
///
/// # Errors
/// In words: no answer, or not to this.
pub(super) async fn over_tcp(
    asked: &Asked<'_>,
    query: &Message<Vec<u8>>,
) -> Result<Message<Vec<u8>>, NoAnswer> {
    let unsent =
        |e: &dyn std::fmt::Display| NoAnswer::Unsent(asked.silent(&e.to_string()).to_string());
    let too_long = format!("within {} s", PATIENCE_TCP.as_secs());
    let connected = timeout(PATIENCE_TCP, TcpStream::connect(asked.server)).await;
    let connected = connected.map_err(|_| unsent(&too_long))?;
    let mut stream = connected.map_err(|e| unsent(&e))?;
    let mut answer = Vec::new();
    let talk = async {
        let length = u16::try_from(query.as_slice().len()).map_err(std::io::Error::other)?;
        let message = [&length.to_be_bytes(), query.as_slice()].concat();
        stream.write_all(&message).await?;
        let length = stream.read_u16().await?;
        // The first bytes of what is no DNS are no length, and may say what it is.
        answer.extend(length.to_be_bytes());
        let whole = stream.take(length.into()).read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(whole == usize::from(length))
    };
    match timeout(PATIENCE_TCP, talk).await {
        Ok(Ok(true)) => answer_in(&answer[2..], query).map_err(|what| asked.garbled(&what)),
        Ok(Ok(false)) => {
            Err(asked.garbled(&format!("only a part of an answer: {}", shown(&answer))))
        }
        Ok(Err(e)) if e.kind() == ErrorKind::UnexpectedEof => {
            Err(asked.silent("but ends the connection"))
        }
        Ok(Err(e)) => Err(asked.silent(&e.to_string())),
        Err(_) if !answer.is_empty() => Err(asked.garbled(&format!(
            "the beginning of an answer and no end: {}",
            shown(&answer)
        ))),
        Err(_) => Err(asked.silent(&too_long)),
    }
}

/// Bytes as the answer to a question, or what they are instead, in words.
fn answer_in(bytes: &[u8], query: &Message<Vec<u8>>) -> Result<Message<Vec<u8>>, String> {
    let Ok(answer) = Message::from_octets(bytes.to_vec()) else {
        return Err(format!("what is no DNS message: {}", shown(bytes)));
    };
    let (header, wanted) = (answer.header(), query.header());
    // A server that takes changes need not repeat what was to be changed (RFC 2136 section 3.8).
    let is_update = wanted.opcode() == Opcode::UPDATE;
    let is_of_this = header.id() == wanted.id() && header.qr();
    if is_of_this && (is_update || answer.is_answer(query)) {
        return Ok(answer);
    }
    Err(if is_text(bytes) {
        format!("what is no DNS message: {}", shown(bytes))
    } else if !header.qr() {
        "a question and no answer".into()
    } else if header.id() == wanted.id() {
        "an answer to another question".into()
    } else {
        "an answer with the number of another question".into()
    })
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
    use domain::base::{Message, MessageBuilder, Rtype};
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::{Asked, NoAnswer, ask, over_tcp, read, servers_of};

    #[test]
    fn the_systems_servers_are_read() {
        let text = "# by dhcp\nsearch lan\nnameserver 192.168.1.1\nnameserver fd00::1\nnameserver fe80::1%eth0\n\
                    options edns0\nnameserver\nnameserver x\n";
        let servers: Vec<_> = servers_of(text).iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["192.168.1.1:53", "[fd00::1]:53"]);
    }

    /// What comes of bytes that a server sends to whatever it is asked; `SAME` is the number of the question.
    async fn said_to(bytes: &'static [u8], over_udp: bool) -> String {
        let udp = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let tcp = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = if over_udp {
            udp.local_addr().unwrap()
        } else {
            tcp.local_addr().unwrap()
        };
        let serve = async {
            if over_udp {
                loop {
                    let mut question = [0; 600];
                    let (_, from) = udp.recv_from(&mut question).await.unwrap();
                    let number = if bytes.starts_with(SAME) { 2 } else { 0 };
                    let answer = [&question[..number], &bytes[number..]].concat();
                    udp.send_to(&answer, from).await.unwrap();
                }
            }
            let mut stream = tcp.accept().await.unwrap().0;
            let _ = stream.read(&mut [0; 600]).await;
            stream.write_all(bytes).await.unwrap();
            drop(stream);
            std::future::pending::<()>().await;
        };
        let asked = Asked {
            server: at,
            what: "the TXT of a.example",
        };
        let question = async {
            if over_udp {
                return ask(at, "a.example", Rtype::TXT).await.map(drop);
            }
            let mut query = MessageBuilder::new_vec();
            query.header_mut().set_id(7);
            over_tcp(&asked, &query.into_message()).await.map(drop)
        };
        let why = tokio::select! {
            done = question => done.unwrap_err().to_string(),
            () = serve => unreachable!("it serves for ever"),
        };
        assert!(
            why.contains(&at.to_string()) && why.contains("the TXT of a.example"),
            "{why}"
        );
        why
    }

    const SAME: &[u8] = b"\xff\xff";

    #[tokio::test]
    async fn what_came_instead_of_an_answer_is_told_with_who_was_asked_for_what() {
        let of_another: &[u8] = b"\0\x09\x80\0\0\0\0\0\0\0\0\0";
        let cases = [
            (true, &b"nonsense"[..], "no DNS message: \"nonsense\""),
            (true, b"\x01\x02\x03", "no DNS message: 3 bytes"),
            (
                true,
                b"HTTP/1.1 400 Bad Request\r\n\r\n",
                "no DNS message: \"HTTP/1.1 400",
            ),
            (true, of_another, "the number of another question"),
            (
                true,
                b"\0\x09\0\0\0\0\0\0\0\0\0\0",
                "a question and no answer",
            ),
            // Of another name.
            (
                true,
                b"\xff\xff\x80\0\0\x01\0\0\0\0\0\0\x01b\0\0\x10\0\x01",
                "an answer to another question",
            ),
            (false, b"HTTP/1.1 400 Bad Request\r\n\r\n", "\"HTTP/1.1 400"),
            (
                false,
                b"\0\x0c\0\x09\x80\0\0\0\0\0\0\0\0\0",
                "the number of another question",
            ),
            (false, b"", "ends the connection"),
        ];
        let all = cases.map(|(over_udp, bytes, word)| async move {
            let why = said_to(bytes, over_udp).await;
            assert!(why.contains(word), "{bytes:?}: {why}");
            assert!(why.contains("look whether"), "it says what to do: {why}");
        });
        // Each takes seconds, because the right answer may still come.
        futures_util::future::join_all(all).await;
    }

    #[tokio::test]
    async fn nobody_there_is_told_apart_from_a_change_that_may_have_been_made() {
        let closed = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap()
            .local_addr()
            .unwrap();
        let asked = Asked {
            server: closed,
            what: "to change a.example",
        };
        let why = over_tcp(&asked, &MessageBuilder::new_vec().into_message())
            .await
            .unwrap_err();
        assert!(
            matches!(&why, NoAnswer::Unsent(words) if words.contains("refused")),
            "{why}"
        );
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
