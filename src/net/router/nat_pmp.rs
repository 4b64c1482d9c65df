//! NAT-PMP (RFC 6886): the external address, and mappings.

use std::net::Ipv4Addr;

use super::{Forward, Gateway, Granted, PCP_PORT, Refusal, datagram};

/// Opcodes (sections 3.2 and 3.3). An answer's has the highest bit set.
const ADDRESS: u8 = 0;
const MAP_TCP: u8 = 2;
const ANSWER: u8 = 0x80;

/// What a router says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Said {
    /// Its address on the other side; `0.0.0.0` while it has none.
    pub(super) external: Ipv4Addr,
    /// Seconds since it has known its mappings (section 3.6).
    pub(super) epoch_s: u32,
}

/// Asks for the external address (section 3.2).
pub(super) async fn external(gateway: Gateway) -> Result<Said, Refusal> {
    exchange(gateway, &[0, ADDRESS], read_external).await
}

/// Asks for a mapping, or with no seconds for its end (sections 3.3 and 3.4). The router may choose another port.
pub(super) async fn map(
    gateway: Gateway,
    forward: Forward,
    lease_s: u32,
) -> Result<Granted, Refusal> {
    let request = map_request(forward, lease_s);
    exchange(gateway, &request, |answer| read_map(answer, forward)).await
}

async fn exchange<T>(
    gateway: Gateway,
    request: &[u8],
    read: impl Fn(&[u8]) -> Option<Result<T, Refusal>>,
) -> Result<T, Refusal> {
    let own = (gateway.own, 0).into();
    let router = (gateway.address, PCP_PORT).into();
    datagram::ask(own, router, request, read).await
}

fn map_request(forward: Forward, lease_s: u32) -> Vec<u8> {
    // The end of a mapping is asked for with no external port (section 3.4).
    let external = if lease_s == 0 { 0 } else { forward.external };
    let mut request = vec![0, MAP_TCP, 0, 0];
    request.extend(forward.internal.to_be_bytes());
    request.extend(external.to_be_bytes());
    request.extend(lease_s.to_be_bytes());
    request
}

fn read_external(answer: &[u8]) -> Option<Result<Said, Refusal>> {
    let (epoch_s, rest) = match head(answer, ADDRESS)? {
        Ok(head) => head,
        Err(refusal) => return Some(Err(refusal)),
    };
    let address: [u8; 4] = rest.try_into().ok()?;
    Some(Ok(Said {
        external: address.into(),
        epoch_s,
    }))
}

fn read_map(answer: &[u8], forward: Forward) -> Option<Result<Granted, Refusal>> {
    let (_, rest) = match head(answer, MAP_TCP)? {
        Ok(head) => head,
        Err(refusal) => return Some(Err(refusal)),
    };
    let rest: [u8; 8] = rest.try_into().ok()?;
    let [i0, i1, e0, e1, lease @ ..] = rest;
    (u16::from_be_bytes([i0, i1]) == forward.internal).then_some(Ok(Granted {
        port: u16::from_be_bytes([e0, e1]),
        lease_s: u32::from_be_bytes(lease),
        outside: None,
    }))
}

/// The seconds of an answer and what follows them; `None` if it is not the answer to this opcode.
fn head(answer: &[u8], opcode: u8) -> Option<Result<(u32, &[u8]), Refusal>> {
    let [0, got, r0, r1, rest @ ..] = answer else {
        return None;
    };
    let code = u16::from_be_bytes([*r0, *r1]);
    // Who does not know the version or the opcode may not say more than that (section 3.5).
    if *got != opcode | ANSWER {
        return None;
    }
    if code != 0 {
        return Some(Err(refusal(code)));
    }
    let (epoch, rest) = rest.split_at_checked(4)?;
    Some(Ok((u32::from_be_bytes(epoch.try_into().ok()?), rest)))
}

/// The result codes of section 3.5.
fn refusal(code: u16) -> Refusal {
    let words = match code {
        1 => return Refusal::Silent("it knows another version".into()),
        2 => "it does not permit it; there may be a switch for it on the router's own pages",
        3 => "it has no connection to the internet",
        4 => "it has no room for another mapping",
        5 => return Refusal::Silent("it does not know this request".into()),
        _ => return Refusal::Says(format!("it refuses, with the code {code} of NAT-PMP")),
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

    #[test]
    fn requests_and_answers_are_those_of_the_rfc() {
        assert_eq!(
            map_request(FORWARD, 7200),
            [0, 2, 0, 0, 0x20, 0xfb, 1, 0xbb, 0, 0, 0x1c, 0x20]
        );
        assert_eq!(
            map_request(FORWARD, 0),
            [0, 2, 0, 0, 0x20, 0xfb, 0, 0, 0, 0, 0, 0]
        );
        let said = read_external(&[0, 128, 0, 0, 0, 0, 0, 9, 11, 22, 33, 44]);
        assert_eq!(
            said.unwrap().unwrap(),
            Said {
                external: Ipv4Addr::new(11, 22, 33, 44),
                epoch_s: 9
            }
        );
        let granted = read_map(
            &[0, 130, 0, 0, 0, 0, 0, 9, 0x20, 0xfb, 1, 0xbc, 0, 0, 0, 60],
            FORWARD,
        );
        let granted = granted.unwrap().unwrap();
        assert_eq!((granted.port, granted.lease_s), (444, 60));
    }

    #[test]
    fn answers_to_other_questions_are_waited_over_and_refusals_have_words() {
        let of_another_port = [0, 130, 0, 0, 0, 0, 0, 9, 0, 80, 1, 0xbc, 0, 0, 0, 60];
        assert!(read_map(&of_another_port, FORWARD).is_none());
        assert!(read_map(&[0, 128, 0, 0, 0, 0, 0, 9, 11, 22, 33, 44], FORWARD).is_none());
        assert!(read_external(&[0, 128, 0, 0, 0, 0, 0, 9, 11, 22, 33]).is_none());
        let refused = read_map(&[0, 130, 0, 2, 0, 0, 0, 9], FORWARD);
        assert!(matches!(refused, Some(Err(Refusal::Says(why))) if why.contains("permit")));
    }

    proptest! {
        #[test]
        fn any_datagram_is_read_without_a_panic(
            mut answer in prop::collection::vec(any::<u8>(), 0..40), opcode in 0u8..3, is_answer: bool,
        ) {
            if is_answer && answer.len() > 1 {
                answer[0] = 0;
                answer[1] = 128 | opcode;
            }
            let _ = (read_external(&answer), read_map(&answer, FORWARD));
        }
    }
}
