//! Why there is no new certificate.

use instant_acme::{Error as AcmeError, Problem};
use serde::{Deserialize, Serialize};

use super::{
    attempt::UNSAVED,
    directory::{NO_DIRECTORY, NO_PROFILE, Told},
    obtaining::READ_ONLY,
    persist::Record,
    settings::OF_ROOTS,
};
use crate::{
    base::{self, Timestamp, one_line},
    net::{dns, unreached},
};

/// Characters of an authority's words that are kept.
const MOST_SAID: usize = 1000;
/// Characters of what it calls a problem.
const MOST_NAMED: usize = 60;
/// What a failure begins with that is the authority's own.
const TROUBLE: &str = "the authority has trouble";
/// What the names of problems begin with (RFC 8555 section 6.7).
const ACME_ERROR: &str = "urn:ietf:params:acme:error:";

/// Why there is no new certificate, kept until there is one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of reason it is, which decides what helps.
    pub kind: FailureKind,
    /// What happened, in the authority's own words where it said something.
    pub text: String,
    /// When the authority wants to be asked again, if it said so.
    #[serde(default)]
    pub retry_at: Option<Timestamp>,
    /// The record in the DNS that the owner is to make, if that is what is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Record>,
    /// What the authority found wrong when it looked for the proof, as it calls that: `connection` (RFC 8555 section
    /// 6.7). `None` if it did not look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Whether it was the DNS that could not be asked or changed, and not the authority.
    #[serde(skip)]
    pub is_of_zone: bool,
}

/// What kind of reason there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// The authority was not reached, or did not answer in time.
    Unreachable,
    /// It was asked too often.
    RateLimited,
    /// It asked for the proof, and did not find it under the name.
    Validation,
    /// A record in the DNS is not there that is to prove the name, so the authority was not asked.
    Record,
    /// The name leads to nobody, or to one's own network alone, so the authority was not asked.
    Name,
    /// The clock of this machine is wrong, so no certificate was ordered.
    Clock,
    /// It will not do this.
    Refused,
    /// It did not take the number of a request that it had given itself; asked again, it may (RFC 8555 section 6.5).
    Nonce,
    /// It does not know the account any more: an authority for tests forgets everything.
    LostAccount,
    /// Something here keeps us from asking.
    Setup,
}

impl Failure {
    /// What to do about it, in a sentence or two.
    pub fn advice(&self) -> &'static str {
        let says = |word: &str| self.text.to_ascii_lowercase().contains(word);
        match self.kind {
            FailureKind::Unreachable if says("not valid yet") || says("expired") => {
                "The authority was reached, and its own certificate seems not to hold. That is most likely the clock of \
                 this machine, which is wrong: look whether it can reach a time server (timedatectl)."
            }
            FailureKind::Unreachable if self.is_of_trouble() => {
                "It was reached, and is busy or has trouble of its own. It is asked again by itself, when it says if it \
                 did; until then there is nothing to do."
            }
            FailureKind::Unreachable => self.advice_on_reaching().unwrap_or(
                "The authority was not reached, or has trouble of its own. It is asked again by itself; if it goes \
                 on, look whether this machine can reach the internet.",
            ),
            FailureKind::RateLimited => {
                "It was asked too often. It is asked again by itself when it says; until then there is nothing to do."
            }
            FailureKind::Validation if says("caa") => {
                "The name's owner allows other authorities only. Change the CAA record at your DNS provider."
            }
            FailureKind::Validation if says("nxdomain") || says("no valid a") => {
                "The name does not exist, or not yet. Make an A record for it at your DNS provider; a new one takes \
                 up to an hour to be known everywhere."
            }
            FailureKind::Validation if says("does not offer") => {
                "This authority does not know that way of proving a name. Choose another one, or none, and what works is \
                 taken."
            }
            FailureKind::Validation if says("txt record") => {
                "The authority asked the DNS, and found no such text or another one. A new one takes up to an hour to be \
                 seen everywhere; one that stays there must be exactly as it is shown."
            }
            FailureKind::Validation if says("timeout") || says("refused") || says("connect") => {
                "The name leads somewhere, but nobody opens there. Look whether its address is the one that your \
                 router has now, and whether the router forwards ports 80 and 443 to this machine."
            }
            FailureKind::Record => {
                "Make that record once, by hand, at your DNS provider: of the type TXT, with exactly this text. It stays \
                 there, and no renewal changes it. It is looked for every few minutes, and the authority is asked when \
                 it is seen."
            }
            FailureKind::Name => {
                "Make an A record for it at your DNS provider, with the address that your router has to the outside; a new \
                 one takes up to an hour to be known everywhere. It is looked for every few minutes, and the authority is \
                 asked when it is there. A provider that lets this site change the DNS does as well."
            }
            FailureKind::Clock => {
                "Set the clock right: it is compared every few minutes, and then the certificate is ordered by itself."
            }
            FailureKind::Validation => {
                "Somebody else opened under this name: another program, the router's own page, or the machine that \
                 had the address before. Look where the name leads and what the router forwards."
            }
            FailureKind::Refused => {
                "The authority does not do this, and its words say why: change what they name. It is asked again by itself \
                 all the same, in case the reason was on its side."
            }
            FailureKind::Nonce | FailureKind::LostAccount => {
                "The authority lost track. It is asked again by itself."
            }
            FailureKind::Setup if self.text.contains(NO_DIRECTORY) => {
                "Correct the address of the authority, all of it: in the browser under Settings, Name, More, or as \
                 authority in [certificate] of webstead.toml. Without one, Let’s Encrypt is asked."
            }
            FailureKind::Setup if self.text.contains(OF_ROOTS) => {
                "Let it name a file with the certificate of the authority (PEM) that the site's user may read, or take \
                 the line away: then whom this machine trusts is believed."
            }
            FailureKind::Setup if self.text.contains(NO_PROFILE) => {
                "Set one of these as kind of certificate: in the browser under Settings, Name, More, or as profile in \
                 [certificate] of webstead.toml."
            }
            FailureKind::Setup if self.text.contains(READ_ONLY) => {
                "Look why the disk lets nobody write; nothing is ordered before it does. It is tried again by itself."
            }
            FailureKind::Setup if self.text.contains(UNSAVED) => {
                "Look whether the disk is full or lets nobody write. Keeping it is tried again every few seconds."
            }
            FailureKind::Setup => "Something has to be set before it can be asked.",
        }
    }

    /// What to do about an authority that was not reached, if it is known what is in the way.
    pub fn advice_on_reaching(&self) -> Option<&'static str> {
        let advice = [
            (
                unreached::UNKNOWN_AUTHORITY,
                "For an authority of your own network, name the file with its root certificate (PEM) as authority_roots in \
                 [certificate] of webstead.toml; if one is named there, it is of another one. For one of the internet, \
                 somebody stands in between, or this machine's list is old (on Debian, the package ca-certificates).",
            ),
            (
                unreached::OTHER_NAMES,
                "Look whether the address of the authority has the name that its certificate is for.",
            ),
            (
                unreached::NOBODY,
                "Look whether the address of the authority is right, its port too, and whether it runs. It is asked again \
                 by itself.",
            ),
            (
                unreached::NO_TLS,
                "Look whether the address of the authority is right: at this port somebody speaks something else.",
            ),
            (
                unreached::NO_NAME,
                "Look whether the address of the authority is written right, and whether this machine reaches the \
                 internet. It is asked again by itself.",
            ),
        ];
        let mut advice = advice.into_iter();
        let found = advice.find(|(words, _)| self.text.contains(words));
        found.map(|(_, what)| what)
    }

    /// What happened, with the record that the owner is to make, if one is missing.
    pub fn words(&self) -> String {
        match &self.record {
            Some(Record { at, text }) => {
                format!(
                    "{}; make a TXT record {at} with the text: {text}",
                    self.text
                )
            }
            None => self.text.clone(),
        }
    }

    pub(in crate::net) fn new(kind: FailureKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
            retry_at: None,
            record: None,
            problem: None,
            is_of_zone: false,
        }
    }

    /// Whether it is one way of proving a name that did not work: another may.
    pub(super) fn is_of_proof(&self) -> bool {
        let is_of_way = matches!(
            self.kind,
            FailureKind::Validation | FailureKind::Record | FailureKind::Name
        );
        is_of_way || self.is_of_zone
    }

    /// That the DNS could not be asked or changed.
    pub(super) fn of_zone(failure: impl Into<Self>) -> Self {
        Self {
            is_of_zone: true,
            ..failure.into()
        }
    }

    /// Whether nothing was ordered, because something is not there yet: it is looked for every few minutes.
    pub(super) fn is_of_waiting(&self) -> bool {
        matches!(
            self.kind,
            FailureKind::Record | FailureKind::Name | FailureKind::Clock
        )
    }

    /// What the authority found wrong when it looked for a proof.
    pub(super) fn of_proof(problem: &Problem) -> Self {
        let name = problem.r#type.as_deref().unwrap_or_default();
        let name = name.strip_prefix(ACME_ERROR).unwrap_or(name);
        Self {
            kind: FailureKind::Validation,
            problem: Some(one_line(name, MOST_NAMED)),
            ..Self::said(problem)
        }
    }

    /// A record that is missing once the authority was asked: its failed orders count, and it is not asked again so soon.
    pub(super) fn after_order(self) -> Self {
        if self.kind != FailureKind::Record {
            return self;
        }
        Self {
            kind: FailureKind::Validation,
            text: format!(
                "the TXT record is not the one that is needed: {}",
                self.text
            ),
            ..self
        }
    }

    /// That the authority was not reached, or did not answer.
    pub(super) fn unreachable(text: impl Into<String>) -> Self {
        Self::new(FailureKind::Unreachable, text)
    }

    /// That the authority was reached, and cannot do it now.
    pub(super) fn of_trouble(what: &str) -> Self {
        Self::unreachable(format!("{TROUBLE}: {what}"))
    }

    /// Whether the authority was reached, and has trouble of its own: nothing here is in the way.
    pub fn is_of_trouble(&self) -> bool {
        self.kind == FailureKind::Unreachable && self.text.starts_with(TROUBLE)
    }

    /// Something of this machine: a file, a setting.
    pub(super) fn setup(error: impl std::fmt::Display) -> Self {
        Self::new(FailureKind::Setup, error.to_string())
    }

    /// A problem document of the authority (RFC 8555 section 6.7).
    pub(super) fn said(problem: &Problem) -> Self {
        let name = problem.r#type.as_deref().unwrap_or_default();
        let kind = match name.strip_prefix(ACME_ERROR) {
            Some("rateLimited") => FailureKind::RateLimited,
            Some("serverInternal") => FailureKind::Unreachable,
            Some("accountDoesNotExist") => FailureKind::LostAccount,
            Some("badNonce") => FailureKind::Nonce,
            Some("connection" | "dns" | "incorrectResponse" | "tls" | "unauthorized" | "caa") => {
                FailureKind::Validation
            }
            _ => FailureKind::Refused,
        };
        Self::new(kind, words_of(problem))
    }
}

/// What the authority said, or why it said nothing.
impl From<AcmeError> for Failure {
    fn from(error: AcmeError) -> Self {
        match error {
            AcmeError::Api(problem) => Self::said(&problem),
            AcmeError::Timeout(_) => {
                Self::new(FailureKind::Unreachable, "the authority took too long")
            }
            AcmeError::Json(e) => {
                let text = format!("the authority answered what is no answer: {e}");
                Self::new(FailureKind::Unreachable, text)
            }
            AcmeError::Other(e) => match e.downcast::<Told>() {
                Ok(told) => told.0,
                Err(e) => Self::unreachable(e.to_string()),
            },
            e => Self::unreachable(e.to_string()),
        }
    }
}

/// A proof could not be put into the DNS. What the provider refuses is set here.
impl From<dns::Failure> for Failure {
    fn from(failure: dns::Failure) -> Self {
        let kind = match failure.kind {
            dns::FailureKind::Unreachable | dns::FailureKind::Trouble => FailureKind::Unreachable,
            dns::FailureKind::RateLimited => FailureKind::RateLimited,
            dns::FailureKind::Refused
            | dns::FailureKind::Final
            | dns::FailureKind::Address
            | dns::FailureKind::Setup => FailureKind::Setup,
        };
        Self::of_zone(Self {
            retry_at: failure.retry_at,
            ..Self::new(kind, failure.text)
        })
    }
}

impl From<base::Error> for Failure {
    fn from(error: base::Error) -> Self {
        Self::setup(error)
    }
}

/// The authority's own words, with those about single names.
fn words_of(problem: &Problem) -> String {
    let about = problem
        .subproblems
        .iter()
        .filter_map(|part| part.detail.as_deref());
    let all: Vec<&str> = problem.detail.as_deref().into_iter().chain(about).collect();
    let words = match (all.is_empty(), &problem.r#type) {
        (false, _) => all.join(" "),
        (true, Some(name)) => name.clone(),
        (true, None) => "the authority gave no reason".into(),
    };
    one_line(&words, MOST_SAID)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dns_provider_says_keeps_its_time_and_kind() {
        let at = Some(Timestamp(1_800_000_000));
        let said = dns::Failure {
            kind: dns::FailureKind::RateLimited,
            text: "deSEC was asked too often".into(),
            retry_at: at,
            is_untouched: false,
        };
        let failure = Failure::from(said);
        assert_eq!(failure.kind, FailureKind::RateLimited);
        assert_eq!(failure.retry_at, at);
        assert!(failure.is_of_proof(), "another way may be open");
    }

    #[test]
    fn what_is_set_wrong_or_not_kept_has_the_advice_that_is_for_it() {
        let read_only = format!("{READ_ONLY}, so a certificate could not be kept");
        let unsaved = format!("{UNSAVED}, and is lost at the next start: No space left on device");
        for (text, word) in [
            (&*read_only, "nothing is ordered"),
            (&unsaved, "Keeping it is tried again"),
            (&format!("{OF_ROOTS}: no such file"), "take the line away"),
            (
                &format!("https://a.example {NO_DIRECTORY}: no"),
                "Correct the address",
            ),
            (
                &format!("{NO_PROFILE} \"x\" at this authority"),
                "Set one of these",
            ),
            ("key_file cannot be read", "Something has to be set"),
        ] {
            let advice = Failure::setup(text).advice();
            assert!(advice.contains(word), "{text}: {advice}");
        }
    }
}
