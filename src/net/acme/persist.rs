//! The proof that stays in the DNS (`dns-persist-01`): which record there is to be, and whether one that is there will
//! do.
//!
//! After <https://datatracker.ietf.org/doc/draft-ietf-acme-dns-persist/02/>, where a record names the account by a
//! digest. An authority whose directory has no prefix for one goes by 00 or 01, where it is the account's address.

use std::cmp::Reverse;

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::base::Timestamp;

/// What comes before a name (section 2).
const LABEL: &str = "_validation-persist";
/// Names of one authority that are taken (section 3.1).
const MOST_ISSUERS: usize = 10;
/// Octets of a name (section 3.1).
const MOST_OCTETS: usize = 253;
/// The last moment that can be shown: years have four digits.
const LAST_S: i64 = 253_402_300_799;
/// What a digest of any name is made of instead of the name (section 4.1).
const ANY_NAME: &str = "*";

/// How an authority calls itself in records, as its directory says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Issuer {
    /// Its names, of which a record has one.
    pub(super) names: Vec<String>,
    /// What the address of an account begins with that is a digest; `None` if it goes by an earlier draft.
    pub(super) hash_prefix: Option<String>,
}

impl Issuer {
    /// What the field `meta` of a directory says. Names that are meant for CAA count where no others are given.
    pub(super) fn of_directory(meta: &Value) -> Self {
        let own = names_of(&meta["issuerDomainNames"]);
        let caa = || names_of(&meta["caaIdentities"]);
        let prefix = meta["accountHashPrefix"].as_str();
        Self {
            names: own.or_else(caa).unwrap_or_default(),
            hash_prefix: prefix.filter(|text| is_value(text)).map(str::to_owned),
        }
    }
}

/// What an authority offers for one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    /// Its names, of which a record must have one; none if what it offers is not in order.
    pub(super) issuers: Vec<String>,
    /// How it calls the account, if it says so (01).
    pub(super) account: Option<String>,
}

impl Offer {
    /// What an authorization offers, if it does.
    pub(super) fn of_authorization(authorization: &Value) -> Option<Self> {
        let mut all = authorization["challenges"].as_array()?.iter();
        let own = all.find(|one| one["type"] == super::Challenge::DnsPersist.name())?;
        let named = names_of(&own["issuerDomainNames"]);
        let account = own["accounturi"].as_str().filter(|text| is_value(text));
        Some(Self {
            issuers: named
                .or_else(|| names_of(&own["issuer-domain-names"]))
                .unwrap_or_default(),
            account: account.map(str::to_owned),
        })
    }
}

/// Names as an authority gives them, if they are in order (section 3.1).
fn names_of(value: &Value) -> Option<Vec<String>> {
    let is_name = |name: &str| {
        let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._:".contains(&b);
        !name.is_empty() && name.len() <= MOST_OCTETS && name.bytes().all(is_plain)
    };
    let names = value.as_array()?.iter();
    let names: Option<Vec<String>> = names
        .map(|name| {
            name.as_str()
                .filter(|name| is_name(name))
                .map(str::to_owned)
        })
        .collect();
    names.filter(|names| (1..=MOST_ISSUERS).contains(&names.len()))
}

/// The account that asks.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    /// Its address.
    pub(super) url: String,
    /// Thumbprints of its keys (RFC 7638), in base64url: the one that it has, and those before.
    pub(super) keys: Vec<String>,
}

impl Asker {
    /// What a record may call it, best first.
    fn called(&self, name: &str, issuer: &Issuer, offer: Option<&Offer>) -> Vec<String> {
        let Some(prefix) = &issuer.hash_prefix else {
            let said = offer.and_then(|offer| offer.account.clone());
            return said.into_iter().chain([self.url.clone()]).collect();
        };
        let of =
            |name: &str, key: &str| format!("{prefix}sha-256/{}", digest(name, key, &self.url));
        let keys = || self.keys.iter();
        let own = keys().map(|key| of(name, key));
        own.chain(keys().map(|key| of(ANY_NAME, key))).collect()
    }
}

/// The account, bound to the name (section 4.1): `H(length_of_domain || domain_name || key || account_URL)`.
fn digest(name: &str, key: &str, url: &str) -> String {
    let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
    let all = [&[length], name.as_bytes(), key.as_bytes(), url.as_bytes()].concat();
    BASE64URL_NOPAD.encode(&Sha256::digest(all))
}

/// A record as its owner makes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Where: `_validation-persist.example.org`.
    pub at: String,
    /// Its text: `ca.example; accounturi=https://…`.
    pub text: String,
}

/// The record that there is to be, and all that will do for it.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) record: Record,
    issuers: Vec<String>,
    accounts: Vec<String>,
    /// Whether it must be for all names below too.
    is_for_all: bool,
}

/// How it stands with a record, best first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is there; until when it is good, if it says so.
    Right(Option<Timestamp>),
    /// It was good until then.
    Over(Timestamp),
    /// It is for the name alone, and not for all below.
    NameAlone,
    /// It is for another account.
    OtherAccount,
    /// It is for this authority, and not written as it must be.
    Garbled,
    /// There is none.
    Missing,
}

impl Standing {
    /// By this they are sorted, best first: of two that end, the one that lasts longer.
    pub(super) fn rank(&self) -> (u8, Reverse<i64>) {
        match self {
            Self::Right(until) => (0, Reverse(until.map_or(i64::MAX, |at| at.0))),
            Self::Over(until) => (1, Reverse(until.0)),
            Self::NameAlone => (2, Reverse(0)),
            Self::OtherAccount => (3, Reverse(0)),
            Self::Garbled => (4, Reverse(0)),
            Self::Missing => (5, Reverse(0)),
        }
    }
}

impl Wanted {
    /// The record for a name or for all names below one; `None` as long as nobody knows how the authority calls itself.
    ///
    /// `is_for_all`: whether the same record is to be for all names below too, because one for them is wanted as well.
    pub(super) fn new(
        name: &str,
        is_for_all: bool,
        asker: &Asker,
        issuer: &Issuer,
        offer: Option<&Offer>,
    ) -> Option<Self> {
        let bare = name.strip_prefix("*.").unwrap_or(name);
        // What is offered for this name counts more than what is said in general.
        let issuers = offer.map_or(&issuer.names, |offer| &offer.issuers).clone();
        let accounts = asker.called(bare, issuer, offer);
        let mut text = format!("{}; accounturi={}", issuers.first()?, accounts.first()?);
        if is_for_all || bare != name {
            text.push_str("; policy=wildcard");
        }
        Some(Self {
            record: Record {
                at: format!("{LABEL}.{bare}"),
                text,
            },
            issuers,
            accounts,
            is_for_all: bare != name,
        })
    }

    /// How it stands with the texts of a name: the best of them counts.
    pub(super) fn standing(&self, texts: &[String], now: Timestamp) -> Standing {
        let all = texts.iter().map(|text| self.standing_of(text, now));
        all.min_by_key(Standing::rank).unwrap_or(Standing::Missing)
    }

    fn standing_of(&self, text: &str, now: Timestamp) -> Standing {
        let issuer = text.split(';').next().unwrap_or_default().trim_matches(WSP);
        if !self.issuers.contains(&issuer.to_ascii_lowercase()) {
            return Standing::Missing;
        }
        let Some(parameters) = parameters_of(text) else {
            return Standing::Garbled;
        };
        let value = |tag: &str| {
            let mut all = parameters.iter();
            let found = all.find(|(own, _)| own.eq_ignore_ascii_case(tag));
            found.map(|(_, value)| *value)
        };
        let until = match value("persistUntil").map(seconds_of) {
            Some(None) => return Standing::Garbled,
            until => until.flatten(),
        };
        let Some(account) = value("accounturi") else {
            return Standing::Garbled;
        };
        if !self.accounts.iter().any(|own| own == account) {
            return Standing::OtherAccount;
        }
        let is_for_all = value("policy").is_some_and(|text| text.eq_ignore_ascii_case("wildcard"));
        match until {
            Some(until) if until <= now => Standing::Over(until),
            _ if self.is_for_all && !is_for_all => Standing::NameAlone,
            until => Standing::Right(until),
        }
    }

    /// The texts that are this account's and do not do any more.
    pub(super) fn spent<'a>(&self, texts: &'a [String], now: Timestamp) -> Vec<&'a str> {
        let is_spent = |text: &&String| {
            let standing = self.standing_of(text, now);
            matches!(standing, Standing::Over(_) | Standing::NameAlone)
        };
        texts.iter().filter(is_spent).map(String::as_str).collect()
    }
}

/// White space of RFC 5234.
const WSP: [char; 2] = [' ', '\t'];

/// The parameters of a text (RFC 8659 section 4.2); `None` if it is not written like one.
fn parameters_of(text: &str) -> Option<Vec<(&str, &str)>> {
    let Some((_, rest)) = text.split_once(';') else {
        return Some(Vec::new());
    };
    let mut all: Vec<(&str, &str)> = Vec::new();
    if rest.trim_matches(WSP).is_empty() {
        return Some(all);
    }
    for part in rest.split(';') {
        let (tag, value) = part.split_once('=')?;
        let (tag, value) = (tag.trim_matches(WSP), value.trim_matches(WSP));
        let is_tag = !tag.is_empty()
            && !tag.starts_with('-')
            && !tag.ends_with('-')
            && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let is_known = all.iter().any(|(known, _)| known.eq_ignore_ascii_case(tag));
        if !is_tag || !is_value(value) || is_known {
            return None;
        }
        all.push((tag, value));
    }
    Some(all)
}

/// Whether a text can be the value of a parameter (RFC 8659 section 4.2).
fn is_value(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_graphic() && b != b';')
}

/// A moment in seconds; the end of time if it is beyond that.
fn seconds_of(text: &str) -> Option<Timestamp> {
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| Timestamp(text.parse().unwrap_or(LAST_S).min(LAST_S)))
}

#[cfg(test)]
#[path = "persist_tests.rs"]
mod tests;
