//! What a running server can testify: that an answer is its own, and who came from outside.

use std::{
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use super::facts::Seen;
use crate::{
    base::{Error, Result, Timestamp, is_global, network_of},
    net::last_addresses::put_in_front,
};

/// Where a server is asked to prove that it is this one: a number of the asker's own follows (RFC 8615).
pub(super) const PROOF: &str = "/.well-known/webstead/proof/";
/// Where it is asked what it has seen, by who knows its secret.
pub(super) const SEEN: &str = "/.well-known/webstead/seen/";
/// The longest number that is answered, in digits.
const MOST_DIGITS: usize = 64;
/// Networks that are remembered.
const REMEMBERED: usize = 4;

/// The secret of a running server, and who came from outside; one for all threads. In memory only.
pub struct Witness {
    secret: String,
    since: Timestamp,
    visitors: Mutex<Vec<(IpAddr, Timestamp)>>,
    /// Over plain HTTP.
    plain_visitors: Mutex<Vec<(IpAddr, Timestamp)>>,
}

/// What somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Testimony {
    /// A text that nobody else can know.
    Proof(String),
    /// What was seen.
    Seen,
}

impl Witness {
    /// With a new secret.
    ///
    /// # Errors
    /// If the system gives no randomness.
    pub fn new() -> Result<Self> {
        Ok(Self {
            secret: random_text()?,
            since: Timestamp::now(),
            visitors: Mutex::default(),
            plain_visitors: Mutex::default(),
        })
    }

    /// The secret, for who may read the data folder.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// What a request for this path asks for, if it asks us.
    pub fn asked(&self, path: &str) -> Option<Testimony> {
        if let Some(number) = path.strip_prefix(PROOF) {
            let is_number = !number.is_empty()
                && number.len() <= MOST_DIGITS
                && number.bytes().all(|b| b.is_ascii_hexdigit());
            return is_number.then(|| Testimony::Proof(proof(&self.secret, number)));
        }
        let key = path.strip_prefix(SEEN)?;
        (key == key_to_seen(&self.secret)).then_some(Testimony::Seen)
    }

    /// Somebody came. Who is not from outside is nobody's business here.
    pub fn note(&self, visitor: IpAddr) {
        note(&self.visitors, visitor);
    }

    /// Somebody came over plain HTTP.
    pub fn note_plain(&self, visitor: IpAddr) {
        note(&self.plain_visitors, visitor);
    }

    /// What was seen until now, but for what others know.
    pub fn seen(&self) -> Seen {
        let list = |of: &Mutex<Vec<(IpAddr, Timestamp)>>| {
            let list = of.lock().unwrap_or_else(PoisonError::into_inner);
            list.iter().map(|(ip, at)| (*ip, at.0)).collect()
        };
        Seen {
            since: self.since.0,
            visitors: list(&self.visitors),
            plain_visitors: list(&self.plain_visitors),
            ..Seen::default()
        }
    }
}

fn note(visitors: &Mutex<Vec<(IpAddr, Timestamp)>>, visitor: IpAddr) {
    if !is_global(visitor) {
        return;
    }
    // Who comes at the same moment as somebody else need not be noted.
    if let Ok(mut visitors) = visitors.try_lock() {
        let (network, now) = (network_of(visitor), Timestamp::now());
        if let Some(first) = visitors.first_mut()
            && first.0 == network
        {
            first.1 = now;
            return;
        }
        visitors.retain(|(known, _)| *known != network);
        put_in_front(&mut visitors, network, now, REMEMBERED / 2);
    }
}

/// What the server with this secret answers to a number.
pub(super) fn proof(secret: &str, number: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(format!("proof {secret} {number}")))
}

/// What opens what the server with this secret has seen.
pub(super) fn key_to_seen(secret: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(format!("seen {secret}")))
}

/// 128 bits that nobody guesses, in hexadecimal digits.
pub(super) fn random_text() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(Error::internal)?;
    Ok(HEXLOWER.encode(&bytes))
}

#[cfg(test)]
mod tests {
    use super::{PROOF, SEEN, Testimony, Witness, key_to_seen, proof};

    #[test]
    fn only_who_knows_the_secret_can_prove_it_or_read_what_was_seen() {
        let (own, other) = (Witness::new().unwrap(), Witness::new().unwrap());
        let Some(Testimony::Proof(answer)) = own.asked(&format!("{PROOF}0aF")) else {
            panic!("no proof");
        };
        assert_eq!(answer, proof(own.secret(), "0aF"));
        assert_ne!(answer, proof(own.secret(), "0af"));
        assert_ne!(answer, proof(other.secret(), "0aF"));
        assert!(!answer.contains(own.secret()));
        for path in ["", "x", "../0a", "0a/0a", "0 a", &"0".repeat(65)] {
            assert_eq!(own.asked(&format!("{PROOF}{path}")), None, "{path:?}");
        }
        let open = |witness: &Witness| format!("{SEEN}{}", key_to_seen(witness.secret()));
        assert_eq!(own.asked(&open(&own)), Some(Testimony::Seen));
        assert_eq!(own.asked(&open(&other)), None);
        assert_eq!(own.asked(SEEN), None);
    }

    #[test]
    fn the_last_networks_from_outside_are_known_of_either_kind_and_nobody_of_inside() {
        let witness = Witness::new().unwrap();
        for address in [
            "192.168.1.7",
            "8.8.8.8",
            "2a00:1450::1",
            "2a00:1450::2",
            "9.9.9.9",
            "127.0.0.1",
            "8.8.4.4",
            "fe80::1",
        ] {
            witness.note(address.parse().unwrap());
        }
        let seen = witness.seen().visitors.into_iter();
        let seen: Vec<String> = seen.map(|(ip, _)| ip.to_string()).collect();
        assert_eq!(seen, ["8.8.4.4", "9.9.9.9", "2a00:1450::"]);
    }
}
