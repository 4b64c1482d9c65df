//! The visitor's address as a trusted proxy says it before the first byte.
//!
//! `HAProxy`'s PROXY protocol, versions 1 and 2: <https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>.
//! Only as many bytes are read as the header has, because what follows is TLS's.

use std::{io, net::SocketAddr, time::Duration};

use ppp::{HeaderResult, v1, v2};
use tokio::{io::AsyncReadExt as _, net::TcpStream};

/// How a header of version 1 begins (section 2.1).
const TEXT: &[u8] = b"PROXY ";
/// The longest header of version 1, with its line end (section 2.1).
const MAX_TEXT_BYTES: usize = 107;
/// The fixed part of a header of version 2 (section 2.2).
const BINARY_BYTES: usize = 16;
/// More than any sensible extensions of version 2.
const MAX_BINARY_BYTES: usize = 2048;
/// Looks that find nothing more before it is given up: the end of the other side is not seen by looking.
const MOST_LOOKS: usize = 200;
/// How long to wait for more when the first bytes do not tell yet.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A header of who speaks for themselves (version 1, section 2.1).
pub(super) const OF_ONESELF: &[u8] = b"PROXY UNKNOWN\r\n";

/// Reads the header and gives the visitor's address; `None` if the proxy speaks for itself.
///
/// # Errors
/// No header, which is not guessed at (section 2), one that is none, or a connection that ends before it does.
pub(super) async fn read(tcp: &mut TcpStream) -> io::Result<Option<SocketAddr>> {
    let header = match look(tcp).await? {
        Version::Text => read_text(tcp).await?,
        Version::Binary => read_binary(tcp).await?,
    };
    address_of(&header)
}

enum Version {
    Text,
    Binary,
}

/// Which header comes, without taking it.
async fn look(tcp: &TcpStream) -> io::Result<Version> {
    let mut seen = [0; v2::PROTOCOL_PREFIX.len()];
    let (mut last, mut looks) = (0, 0);
    loop {
        let count = tcp.peek(&mut seen).await?;
        if count == 0 || (count == last && looks == MOST_LOOKS) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        looks = if count == last { looks + 1 } else { 0 };
        last = count;
        let seen = &seen[..count];
        for (prefix, version) in [
            (TEXT, Version::Text),
            (v2::PROTOCOL_PREFIX, Version::Binary),
        ] {
            if seen.starts_with(prefix) {
                return Ok(version);
            }
        }
        let may_become = |prefix: &[u8]| prefix.starts_with(seen);
        if !(may_become(TEXT) || may_become(v2::PROTOCOL_PREFIX)) {
            return Err(invalid("there is none"));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

async fn read_text(tcp: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut header = Vec::with_capacity(MAX_TEXT_BYTES);
    while !header.ends_with(b"\r\n") {
        if header.len() == MAX_TEXT_BYTES {
            return Err(invalid("it does not end"));
        }
        header.push(tcp.read_u8().await?);
    }
    Ok(header)
}

async fn read_binary(tcp: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut header = vec![0; BINARY_BYTES];
    tcp.read_exact(&mut header).await?;
    let rest = usize::from(u16::from_be_bytes([header[14], header[15]]));
    if rest > MAX_BINARY_BYTES {
        return Err(invalid("it is too long"));
    }
    header.resize(BINARY_BYTES + rest, 0);
    tcp.read_exact(&mut header[BINARY_BYTES..]).await?;
    Ok(header)
}

fn address_of(header: &[u8]) -> io::Result<Option<SocketAddr>> {
    match HeaderResult::parse(header) {
        HeaderResult::V1(Ok(header)) => Ok(match header.addresses {
            v1::Addresses::Tcp4(ip) => Some((ip.source_address, ip.source_port).into()),
            v1::Addresses::Tcp6(ip) => Some((ip.source_address, ip.source_port).into()),
            v1::Addresses::Unknown => None,
        }),
        HeaderResult::V2(Ok(header)) => Ok(match (header.command, header.addresses) {
            // The proxy asks for itself, to see whether we are well (section 2.2).
            (v2::Command::Local, _) => None,
            (_, v2::Addresses::IPv4(ip)) => Some((ip.source_address, ip.source_port).into()),
            (_, v2::Addresses::IPv6(ip)) => Some((ip.source_address, ip.source_port).into()),
            _ => None,
        }),
        HeaderResult::V1(Err(e)) => Err(invalid(&e.to_string())),
        HeaderResult::V2(Err(e)) => Err(invalid(&e.to_string())),
    }
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("a bad PROXY header: {why}"),
    )
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv6Addr, SocketAddr};

    use proptest::prelude::*;

    use super::{TEXT, address_of, v2};

    proptest! {
        #[test]
        fn a_header_says_one_address_and_anything_else_is_refused(
            bytes in proptest::collection::vec(any::<u8>(), 0..80), ip in any::<u128>(), port in any::<u16>(),
        ) {
            // Bytes that are no header are refused; those that begin like one are, unless they happen to be one.
            prop_assert!(address_of(&bytes).is_err());
            for prefix in [TEXT, v2::PROTOCOL_PREFIX] {
                let _ = address_of(&[prefix, &bytes].concat());
            }
            let address = SocketAddr::from((Ipv6Addr::from(ip), port));
            let text = format!("PROXY TCP6 {} :: {port} 443\r\n", address.ip());
            prop_assert_eq!(address_of(text.as_bytes()).unwrap(), Some(address));
            // Version 2, PROXY, TCP over IPv6, 36 bytes of addresses.
            let mut binary = [v2::PROTOCOL_PREFIX, &[0x21, 0x21, 0, 36], &ip.to_be_bytes(), &[0; 16]].concat();
            binary.extend([port.to_be_bytes(), [1, 0xbb]].concat());
            prop_assert_eq!(address_of(&binary).unwrap(), Some(address));
            binary.truncate(binary.len() - bytes.len().clamp(1, 52));
            prop_assert!(address_of(&binary).is_err());
        }
    }
}
