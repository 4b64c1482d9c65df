//! PCP (RFC 6887): whether it is spoken, and mappings.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Forward, Granted, Refusal, datagram};

const VERSION: u8 = 2;
/// Opcodes (section 19.2). An answer's has the highest bit set.
const ANNOUNCE: u8 = 0;
const MAP: u8 = 1;
const ANSWER: u8 = 0x80;
/// The protocol that is mapped (IANA's protocol numbers).
const TCP: u8 = 6;
/// The option that makes a router refuse instead of choosing another port (section 13.2).
const PREFER_FAILURE: u8 = 2;
/// No longer lease is believed (section 15 has a day as the most that a router should grant).
const MOST_LEASE_S: u32 = 24 * 3600;
/// Bytes of the common header and of what a MAP adds (sections 7.2 and 11.1).
const HEAD: usize = 24;
const MAP_BYTES: usize = 36;

/// The number by which a router knows whose mapping it is (section 11.1).
pub(super) type Nonce = [u8; 12];

/// Who asks whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    /// This machine, with port 0.
    pub(super) own: SocketAddr,
    /// The router.
    pub(super) router: SocketAddr,
}

/// Asks whether the router speaks PCP; gives its seconds since it has known its mappings (section 14.1).
pub(super) async fn announce(ends: Ends) -> Result<u32, Refusal> {
    let request = head(ANNOUNCE, 0, ends.own.ip());
    datagram::ask(ends.own, ends.router, &request, |answer| {
        read_head(answer, ANNOUNCE).map(|read| read.map(|(said, _)| said.epoch_s))
    })
    .await
}

/// Asks for a mapping, or with no seconds for its end (sections 11 and 15.1).
pub(super) async fn map(
    ends: Ends,
    forward: Forward,
    nonce: Nonce,
    lease_s: u32,
) -> Result<Granted, Refusal> {
    let request = map_request(ends.own.ip(), forward, nonce, lease_s);
    datagram::ask(ends.own, ends.router, &request, |answer| {
        read_map(answer, forward, nonce)
    })
    .await
}

fn head(opcode: u8, lease_s: u32, own: IpAddr) -> Vec<u8> {
    let mut request = vec![VERSION, opcode, 0, 0];
    request.extend(lease_s.to_be_bytes());
    request.extend(sixteen(own));
    request
}

fn map_request(own: IpAddr, forward: Forward, nonce: Nonce, lease_s: u32) -> Vec<u8> {
    let mut request = head(MAP, lease_s, own);
    request.extend(nonce);
    request.extend([TCP, 0, 0, 0]);
    request.extend(forward.internal.to_be_bytes());
    request.extend(forward.external.to_be_bytes());
    // Any address of the router's (section 11.1).
    request.extend(match own {
        IpAddr::V4(_) => sixteen(Ipv4Addr::UNSPECIFIED.into()),
        IpAddr::V6(_) => [0; 16],
    });
    if lease_s > 0 {
        request.extend([PREFER_FAILURE, 0, 0, 0]);
    }
    request
}

/// An address as PCP writes it (section 5).
fn sixteen(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// What every answer says.
struct Said {
    lease_s: u32,
    epoch_s: u32,
}

/// `None` if it is not the answer to this opcode.
fn read_head(answer: &[u8], opcode: u8) -> Option<Result<(Said, &[u8]), Refusal>> {
    // Who speaks only NAT-PMP says so in its own form (RFC 6886 section 3.5).
    if matches!(answer, [0, _, 0, 1, ..]) {
        return Some(Err(Refusal::Silent("it knows only NAT-PMP".into())));
    }
    let (head, rest) = answer.split_at_checked(HEAD)?;
    // Section 8.3: an answer, of this version, in whole words.
    let is_answer =
        head[0] == VERSION && head[1] == opcode | ANSWER && answer.len().is_multiple_of(4);
    if !is_answer {
        return None;
    }
    let number =
        |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    Some(match head[3] {
        0 => Ok((
            Said {
                lease_s: number(4),
                epoch_s: number(8),
            },
            rest,
        )),
        code => Err(refusal(code)),
    })
}

fn read_map(answer: &[u8], forward: Forward, nonce: Nonce) -> Option<Result<Granted, Refusal>> {
    let body = answer.get(HEAD..HEAD + MAP_BYTES);
    // A refusal repeats the request's (section 8.3), and so says whom it is for.
    let is_ours = body.is_some_and(|body| {
        body[..12] == nonce
            && body[12] == TCP
            && u16::from_be_bytes([body[16], body[17]]) == forward.internal
    });
    let (said, _) = match read_head(answer, MAP)? {
        Ok(read) if is_ours => read,
        Err(refusal) if is_ours || matches!(refusal, Refusal::Silent(_)) => {
            return Some(Err(refusal));
        }
        _ => return None,
    };
    let body = body?;
    let outside: [u8; 16] = body[20..].try_into().ok()?;
    Some(Ok(Granted {
        port: u16::from_be_bytes([body[18], body[19]]),
        lease_s: said.lease_s.min(MOST_LEASE_S),
        outside: Ipv6Addr::from(outside).to_ipv4_mapped(),
    }))
}

/// The result codes of section 7.4.
fn refusal(code: u8) -> Refusal {
    let words = match code {
        1 | 4 | 5 | 9 => return Refusal::Silent("it does not know the request".into()),
        2 => "it does not permit it; there may be a switch for it on the router's own pages",
        7 => "it has no connection to the internet",
        8 => "it has no room for another mapping",
        10 => "this machine has all the mappings that it may have",
        11 => return Refusal::Taken,
        12 => "something between this machine and the router changes addresses",
        _ => return Refusal::Says(format!("it refuses, with the code {code} of PCP")),
    };
    Refusal::Says(words.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FORWARD: Forward = Forward {
        external: 443,
        internal: 8443,
    };
    const NONCE: Nonce = *b"abcdefghijkl";

    /// The answer that grants `port`, as a router makes it of the request.
    fn granted(port: u16) -> Vec<u8> {
        let own = Ipv4Addr::new(192, 168, 77, 20).into();
        let mut answer = map_request(own, FORWARD, NONCE, 3600);
        answer[1] |= ANSWER;
        answer[8..24].fill(0);
        answer[11] = 29;
        answer[42..44].copy_from_slice(&port.to_be_bytes());
        answer[44..60].copy_from_slice(&sixteen(Ipv4Addr::new(11, 22, 33, 44).into()));
        answer
    }

    #[test]
    fn a_request_is_the_one_of_the_rfc() {
        let own = Ipv4Addr::new(192, 168, 77, 20).into();
        let request = map_request(own, FORWARD, NONCE, 3600);
        assert_eq!(request.len(), HEAD + MAP_BYTES + 4);
        assert_eq!(request[..8], [2, 1, 0, 0, 0, 0, 0x0e, 0x10]);
        assert_eq!(request[18..24], [0xff, 0xff, 192, 168, 77, 20]);
        assert_eq!(request[36..44], [6, 0, 0, 0, 0x20, 0xfb, 1, 0xbb]);
        assert_eq!(request[60..], [2, 0, 0, 0]);
        // Over IPv6, the address is asked for that the machine has anyway (section 11.1).
        let own6: Ipv6Addr = "2a0b:77::20".parse().unwrap();
        let request6 = map_request(own6.into(), FORWARD, NONCE, 3600);
        assert_eq!(request6[8..24], own6.octets());
        assert_eq!(request6[36..44], request[36..44]);
        assert_eq!(request6[44..60], [0; 16]);
        // A mapping is ended without options: there is nothing to prefer.
        assert_eq!(map_request(own, FORWARD, NONCE, 0).len(), HEAD + MAP_BYTES);
    }

    #[test]
    fn an_answer_is_believed_if_it_answers_this_request() {
        let read = read_map(&granted(443), FORWARD, NONCE).unwrap().unwrap();
        assert_eq!((read.port, read.lease_s), (443, 3600));
        assert_eq!(read.outside, Some(Ipv4Addr::new(11, 22, 33, 44)));
        let other = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut answer = granted(443);
            change(&mut answer);
            read_map(&answer, FORWARD, NONCE)
        };
        for at in [0, 1, 24, 35, 36, 41] {
            assert!(other(&|answer| answer[at] ^= 8).is_none(), "byte {at}");
        }
        assert!(other(&|answer| answer.truncate(59)).is_none());
        assert!(other(&|answer| answer.truncate(40)).is_none());
        let taken = other(&|answer| answer[3] = 11);
        assert!(matches!(taken, Some(Err(Refusal::Taken))));
        let silent = read_map(&[0, 129, 0, 1, 0, 0, 0, 0], FORWARD, NONCE);
        assert!(matches!(silent, Some(Err(Refusal::Silent(_)))));
    }

    proptest! {
        #[test]
        fn any_datagram_is_read_without_a_panic(
            noise in prop::collection::vec(any::<u8>(), 0..80), from in 0usize..64,
        ) {
            let _ = read_map(&noise, FORWARD, NONCE);
            let mut answer = granted(443);
            answer.truncate(from);
            answer.extend(noise);
            let _ = (read_map(&answer, FORWARD, NONCE), read_head(&answer, ANNOUNCE).is_some());
        }
    }
}
