//! What a DNS server says of the addresses of a name.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use domain::base::{Rtype, iana::Rcode};
use futures_util::future::join;
use tokio::time::timeout;

use super::{Answer, Data, NoAnswer, ask};

/// Time for one question. What `ask` sends twice is waited for a little longer than once.
const PATIENCE: Duration = Duration::from_millis(4500);
/// Aliases that are followed (RFC 1034 section 3.6.2 wants no loops, and says no number).
const MOST_ALIASES: usize = 8;

/// What a DNS server says of a name's addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// It leads to these addresses, in order.
    Addresses(Vec<IpAddr>),
    /// There is no such name; with the alias that led to it, if one did.
    NoSuchName(Option<String>),
    /// The name is there and has no address.
    NoAddress,
    /// It is an alias of an alias that leads back to it.
    Loop(Vec<String>),
    /// The server cannot or will not say; its word for that, such as `SERVFAIL`.
    Failed(String),
    /// The server did not answer.
    Silent,
    /// The server answered what is no answer.
    Garbled,
}

impl Said {
    /// Whether nothing is known from it.
    pub fn is_nothing(&self) -> bool {
        matches!(self, Self::Silent | Self::Garbled)
    }
}

/// What one server says of a name's addresses, of both kinds; aliases are followed.
pub async fn said_of(server: SocketAddr, name: &str) -> Said {
    let (v4, v6) = join(
        follow(server, name, Rtype::A),
        follow(server, name, Rtype::AAAA),
    )
    .await;
    together(v4, v6)
}

/// What was said of each kind, as one.
fn together(v4: Said, v6: Said) -> Said {
    match (v4, v6) {
        (Said::Addresses(mut all), Said::Addresses(more)) => {
            all.extend(more);
            all.sort_unstable();
            all.dedup();
            Said::Addresses(all)
        }
        (Said::Addresses(all), _) | (_, Said::Addresses(all)) => Said::Addresses(all),
        // A server that knows only one kind says nothing sensible of the other.
        (Said::NoAddress, other) | (other, Said::NoAddress) => match other {
            Said::Silent | Said::Garbled | Said::Failed(_) => Said::NoAddress,
            other => other,
        },
        (first, _) => first,
    }
}

/// Asks for one kind of address, and follows aliases that the server does not follow itself.
async fn follow(server: SocketAddr, name: &str, kind: Rtype) -> Said {
    let mut chain = vec![name.to_owned()];
    loop {
        let asked = chain[chain.len() - 1].clone();
        let answer = match ask_in_time(server, &asked, kind).await {
            Ok(answer) => answer,
            Err(nothing) => return nothing,
        };
        match read(&answer, &mut chain) {
            Read::Said(said) => return said,
            Read::Follow if chain.len() > MOST_ALIASES => return Said::Loop(chain),
            Read::Follow => {}
        }
    }
}

/// What an answer says.
#[derive(Debug, PartialEq, Eq)]
enum Read {
    Said(Said),
    /// It ends with an alias; ask for that.
    Follow,
}

/// Reads an answer to the last name of a chain of aliases, which grows by those in it.
fn read(answer: &Answer, chain: &mut Vec<String>) -> Read {
    let begin = chain.len();
    for data in &answer.data {
        let Data::Alias(to) = data else { continue };
        let is_known = chain.contains(to);
        chain.push(to.clone());
        if is_known {
            return Read::Said(Said::Loop(chain.clone()));
        }
    }
    let found = addresses_in(answer);
    if !found.is_empty() {
        return Read::Said(Said::Addresses(found));
    }
    let alias = || (chain.len() > 1).then(|| chain[chain.len() - 1].clone());
    match answer.rcode {
        Rcode::NXDOMAIN => Read::Said(Said::NoSuchName(alias())),
        Rcode::NOERROR if chain.len() > begin => Read::Follow,
        Rcode::NOERROR => Read::Said(Said::NoAddress),
        other => Read::Said(Said::Failed(other.to_string())),
    }
}

/// The addresses of an answer, in order.
pub(in crate::net) fn addresses_in(answer: &Answer) -> Vec<IpAddr> {
    let mut found: Vec<IpAddr> = answer
        .data
        .iter()
        .filter_map(|data| match data {
            Data::Address(address) => Some(*address),
            _ => None,
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// One answer in time, or that there was none.
pub(in crate::net) async fn ask_in_time(
    server: SocketAddr,
    name: &str,
    kind: Rtype,
) -> Result<Answer, Said> {
    match timeout(PATIENCE, ask(server, name, kind)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(NoAnswer::Garbled(_))) => Err(Said::Garbled),
        Ok(Err(NoAnswer::Silent(_) | NoAnswer::Unsent(_))) | Err(_) => Err(Said::Silent),
    }
}

#[cfg(test)]
mod tests {
    use domain::base::iana::Rcode;
    use proptest::prelude::*;

    use super::{Answer, Data, Read, Said, read, together};

    fn answer(rcode: Rcode, data: Vec<Data>) -> Answer {
        Answer {
            rcode,
            is_authoritative: true,
            data,
        }
    }

    fn alias(to: &str) -> Data {
        Data::Alias(to.into())
    }

    #[test]
    fn an_answer_is_read_with_its_aliases() {
        let address = || Data::Address([192, 0, 2, 1].into());
        let addresses = || Said::Addresses(vec![[192, 0, 2, 1].into()]);
        let looped = |names: &[&str]| Said::Loop(names.iter().map(ToString::to_string).collect());
        for (rcode, data, expected) in [
            (Rcode::NOERROR, vec![address()], Read::Said(addresses())),
            (
                Rcode::NOERROR,
                vec![alias("b"), address()],
                Read::Said(addresses()),
            ),
            (Rcode::NOERROR, vec![alias("b")], Read::Follow),
            (Rcode::NOERROR, vec![], Read::Said(Said::NoAddress)),
            (Rcode::NXDOMAIN, vec![], Read::Said(Said::NoSuchName(None))),
            (
                Rcode::NXDOMAIN,
                vec![alias("b")],
                Read::Said(Said::NoSuchName(Some("b".into()))),
            ),
            (
                Rcode::NOERROR,
                vec![alias("b"), alias("a")],
                Read::Said(looped(&["a", "b", "a"])),
            ),
            (
                Rcode::SERVFAIL,
                vec![],
                Read::Said(Said::Failed("SERVFAIL".into())),
            ),
        ] {
            let read = read(&answer(rcode, data.clone()), &mut vec!["a".into()]);
            assert_eq!(read, expected, "{rcode} {data:?}");
        }
    }

    #[test]
    fn both_kinds_of_address_make_one_answer() {
        let v4 = || Said::Addresses(vec![[192, 0, 2, 1].into()]);
        for (a, aaaa, expected) in [
            (v4(), Said::NoAddress, v4()),
            (v4(), Said::Failed("NOTIMP".into()), v4()),
            (Said::NoAddress, v4(), v4()),
            (Said::NoAddress, Said::NoAddress, Said::NoAddress),
            (Said::NoAddress, Said::Silent, Said::NoAddress),
            (Said::Silent, Said::Silent, Said::Silent),
            (
                Said::NoSuchName(None),
                Said::NoSuchName(None),
                Said::NoSuchName(None),
            ),
        ] {
            assert_eq!(
                together(a.clone(), aaaa.clone()),
                expected,
                "{a:?} {aaaa:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn aliases_are_followed_to_an_end_whatever_a_server_says(
            steps in proptest::collection::vec(proptest::collection::vec(0u8..12, 0..4), 1..40),
        ) {
            let mut chain = vec!["0".to_owned()];
            let mut asked = 0;
            for step in steps.iter().cycle() {
                let data = step.iter().map(|n| alias(&n.to_string())).collect();
                asked += 1;
                match read(&answer(Rcode::NOERROR, data), &mut chain) {
                    Read::Said(_) => break,
                    Read::Follow => prop_assert!(asked < 20),
                }
            }
        }
    }
}
