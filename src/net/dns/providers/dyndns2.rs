//! dyndns2, the language of most registrars and routers (<https://help.dyn.com/remote-access-api/perform-update/>). It
//! changes addresses, and nothing else. What answers mean is published at <https://help.dyn.com/return-codes/> and
//! <https://www.noip.com/integrate/response>; each is judged in [`meaning`].

use std::net::{IpAddr, SocketAddr};

use data_encoding::BASE64;
use hyper::{Method, StatusCode, header::AUTHORIZATION};

use super::api::Api;
use crate::{
    base::Timestamp,
    net::dns::{
        Addresses, Soon, Zone,
        failure::{Failure, FailureKind},
        lookup,
    },
};

/// Seconds that a provider in trouble is left alone.
const TROUBLE_S: i64 = 30 * 60;

/// Seconds until it is looked again whether the DNS has what the provider says that it has.
const UNSEEN_S: i64 = 3600;

/// An account at a provider.
pub(super) struct DynDns2 {
    pub(super) api: Api,
    pub(super) user: String,
    pub(super) password: String,
    pub(super) check_at: Vec<SocketAddr>,
}

impl DynDns2 {
    async fn set(&self, name: &str, wanted: Addresses) -> Result<(), Failure> {
        let addresses: Vec<IpAddr> = wanted.iter().collect();
        if addresses.is_empty() {
            return Ok(());
        }
        let all: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        // Both at once: where one is not named, some providers take it away.
        let path = format!("?hostname={name}&myip={}", all.join(","));
        let pair = format!("{}:{}", self.user, self.password);
        let headers = [(
            AUTHORIZATION,
            format!("Basic {}", BASE64.encode(pair.as_bytes())),
        )];
        let answer = self.api.ask(Method::GET, &path, &headers, None).await?;
        // One line for each name, and only one was named.
        let words = String::from_utf8_lossy(&answer.body);
        let said = meaning(&words, name);
        if answer.status.is_success() && matches!(said, Some(Ok(()))) {
            other_than_asked(&words, name, &addresses)?;
            if words.trim_start().starts_with("nochg") {
                return self.look_after_no_change(name, &addresses).await;
            }
            return Ok(());
        }
        if answer.status.is_success() || matches!(said, Some(Err(_))) {
            let said = said.unwrap_or_else(|| later(UNKNOWN.into()));
            return said.map_err(|failure| Failure {
                text: self.api.without_secrets(&failure.text),
                ..failure
            });
        }
        Err(of_status(answer.status, self.api.failure(&answer)))
    }

    /// Whether the DNS has what the provider says that it has already. Asked only there: what has just been changed takes
    /// a while to be seen.
    async fn look_after_no_change(&self, name: &str, wanted: &[IpAddr]) -> Result<(), Failure> {
        // Who does not say contradicts nobody.
        let Ok(has) = lookup::addresses(name, &self.check_at).await else {
            return Ok(());
        };
        if wanted.iter().all(|address| has.contains(address)) {
            return Ok(());
        }
        Err(Failure {
            retry_at: Some(Timestamp(Timestamp::now().0 + UNSEEN_S)),
            ..Failure::trouble(format!(
                "the provider says that {name} leads to {} already (nochg), and the DNS says {}; if that stays so, look at \
                 the provider which record it has, and whether it is the one that the world is told",
                in_words(wanted),
                in_words(&has)
            ))
        })
    }
}

fn in_words(addresses: &[IpAddr]) -> String {
    if addresses.is_empty() {
        return "that it has no address".to_owned();
    }
    let all: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    all.join(" and ")
}

/// That the provider has set another address than it was asked for, as the one in its answer says. It would set that one
/// again.
fn other_than_asked(answer: &str, name: &str, wanted: &[IpAddr]) -> Result<(), Failure> {
    let words = answer
        .split(|c: char| c.is_whitespace() || c == ',')
        .skip(1);
    let said: Vec<IpAddr> = words.filter_map(|word| word.parse().ok()).collect();
    for address in wanted {
        let is_alike = |other: &&IpAddr| other.is_ipv4() == address.is_ipv4();
        let mut alike = said.iter().filter(is_alike).peekable();
        let Some(first) = alike.peek().copied() else {
            continue;
        };
        if !alike.any(|other| other == address) {
            return Err(Failure::new(
                FailureKind::Address,
                format!(
                    "the provider was asked to let {name} lead to {address}, and says that it leads to {first}; look there \
                     whether it takes the address of who asks (behind a VPN or another proxy that is not this home’s), or \
                     has a fixed one for this name"
                ),
            ));
        }
    }
    Ok(())
}

/// What is said of an answer that says nothing.
const UNKNOWN: &str = "the provider answered what dyndns2 does not know; is api in [dns] right?";

/// A provider in trouble is left alone for a while.
fn later(text: String) -> Result<(), Failure> {
    Err(Failure {
        retry_at: Some(Timestamp(Timestamp::now().0 + TROUBLE_S)),
        ..Failure::trouble(text)
    })
}

/// What an answer means; `None` if it is no word of the protocol. What ends here for good would be called abuse if it
/// were tried again: whatever fails, says Dyn, fails until somebody has put it right.
fn meaning(answer: &str, name: &str) -> Option<Result<(), Failure>> {
    let mut words = answer.split_whitespace();
    let word = words.next().unwrap_or_default();
    let last = |text: String| Err(Failure::new(FailureKind::Final, text));
    Some(match word {
        // Dyn says so where it has ignored what it was asked for.
        "good" if words.next() == Some("127.0.0.1") => last(
            "the provider has ignored this and does not want to hear from Webstead (good 127.0.0.1)".into(),
        ),
        "good" | "nochg" => Ok(()),
        "badauth" => {
            last("the provider does not accept the user and the password (badauth)".into())
        }
        "!donator" => last("the provider wants money for this (!donator)".into()),
        "notfqdn" => last(format!(
            "the provider does not take {name} for a name (notfqdn)"
        )),
        "nohost" => last(format!(
            "{name} is not in this account at the provider (nohost)"
        )),
        "!yours" => last(format!(
            "{name} is in another account at the provider (!yours)"
        )),
        "numhost" => last("the provider was asked for too many names at once (numhost)".into()),
        "abuse" => last(format!(
            "the provider has blocked {name} for too many changes (abuse)"
        )),
        "badagent" => last("the provider does not want to hear from Webstead (badagent)".into()),
        // On no page: Hurricane Electric says it of an address, and of nothing else.
        "badip" => Err(Failure::new(
            FailureKind::Address,
            "the provider does not accept the address (badip)",
        )),
        "dnserr" => later("the provider's DNS is in trouble (dnserr)".into()),
        "911" => later("the provider is in trouble (911)".into()),
        _ => return None,
    })
}

/// What a status means (RFC 9110 section 15) where the answer has no word of the protocol; `said` is what any provider
/// would mean by it.
fn of_status(status: StatusCode, said: Failure) -> Failure {
    let kind = match status.as_u16() {
        // The same user and password must not come again.
        401 | 403 => FailureKind::Final,
        // Something in the question is wrong: in that, only the address becomes another one.
        400 | 422 => FailureKind::Address,
        404 | 405 | 410 => {
            return Failure::refused("there is no interface at the address api of [dns]");
        }
        // It took too long, came too early, or something else is being changed there.
        408 | 409 | 423 | 425 => FailureKind::Trouble,
        // No-IP says it where it would say 911, and wants to be left alone as long.
        500..600 => {
            return Failure {
                retry_at: Some(Timestamp(Timestamp::now().0 + TROUBLE_S)),
                ..said
            };
        }
        _ => return said,
    };
    Failure { kind, ..said }
}

impl Zone for DynDns2 {
    fn addresses<'a>(&'a self, name: &'a str) -> Soon<'a, Vec<IpAddr>> {
        Box::pin(lookup::addresses(name, &self.check_at))
    }

    fn set_addresses<'a>(&'a self, name: &'a str, wanted: Addresses) -> Soon<'a> {
        Box::pin(self.set(name, wanted))
    }

    fn remove_address<'a>(&'a self, name: &'a str, address: IpAddr) -> Soon<'a> {
        Box::pin(async move {
            Err(Failure::refused(format!(
                "dyndns2 cannot take {address} away from {name}; do it at the provider"
            )))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is made of an answer: `None` if it is no word, or the kind of failure if it is one.
    fn kind_of(answer: &str) -> Option<Result<(), FailureKind>> {
        let said = meaning(answer, "a.example")?;
        Some(said.map_err(|failure| failure.kind))
    }

    #[test]
    fn every_word_of_the_protocol_is_known() {
        for (answers, kind) in [
            (
                &[
                    "good 192.0.2.1",
                    "nochg 192.0.2.1\r\n",
                    "good",
                    "good 127.0.0.10",
                ][..],
                Some(Ok(())),
            ),
            (
                &[
                    "badauth",
                    "!donator",
                    "notfqdn",
                    "nohost",
                    "!yours",
                    "numhost",
                    "abuse",
                    "badagent",
                    "good 127.0.0.1",
                ],
                Some(Err(FailureKind::Final)),
            ),
            (&["badip"], Some(Err(FailureKind::Address))),
            (&["dnserr", "911"], Some(Err(FailureKind::Trouble))),
            (&["", "<html>good</html>", "goodness"], None),
        ] {
            for answer in answers {
                assert_eq!(kind_of(answer), kind, "{answer:?}");
            }
        }
    }

    #[test]
    fn a_status_is_final_only_where_the_account_is_meant() {
        for (status, kind) in [
            (400, FailureKind::Address),
            (401, FailureKind::Final),
            (402, FailureKind::Refused),
            (403, FailureKind::Final),
            (404, FailureKind::Refused),
            (405, FailureKind::Refused),
            (408, FailureKind::Trouble),
            (409, FailureKind::Trouble),
            (410, FailureKind::Refused),
            (418, FailureKind::Refused),
            (422, FailureKind::Address),
            (423, FailureKind::Trouble),
            (425, FailureKind::Trouble),
            (451, FailureKind::Refused),
        ] {
            let said = Failure::refused("no");
            let judged = of_status(StatusCode::from_u16(status).unwrap(), said);
            assert_eq!(judged.kind, kind, "{status}");
        }
        let down = of_status(StatusCode::BAD_GATEWAY, Failure::trouble("no"));
        assert!(down.retry_at.is_some(), "it is left alone");
        let limited = Failure::new(FailureKind::RateLimited, "slow down");
        let judged = of_status(StatusCode::TOO_MANY_REQUESTS, limited.clone());
        assert_eq!(judged, limited);
    }

    #[test]
    fn the_address_in_a_good_word_is_the_one_that_was_asked_for() {
        for (answer, wanted, said) in [
            ("good 11.22.33.44", &["11.22.33.44"][..], None),
            ("good", &["11.22.33.44"], None),
            ("nochg 11.22.33.44\r\n", &["11.22.33.44"], None),
            ("good 9.9.9.9", &["11.22.33.44"], Some("9.9.9.9")),
            ("nochg 9.9.9.9", &["11.22.33.44"], Some("9.9.9.9")),
            (
                "good 11.22.33.44,2001:db8::2",
                &["11.22.33.44", "2001:db8::1"],
                Some("2001:db8::2"),
            ),
            ("good 11.22.33.44", &["11.22.33.44", "2001:db8::1"], None),
            ("good 9.9.9.9 11.22.33.44", &["11.22.33.44"], None),
        ] {
            let all: Vec<IpAddr> = wanted.iter().map(|text| text.parse().unwrap()).collect();
            let failure = other_than_asked(answer, "a.example", &all).err();
            assert_eq!(failure.is_some(), said.is_some(), "{answer}");
            let Some((failure, said)) = failure.zip(said) else {
                continue;
            };
            assert_eq!(
                failure.kind,
                FailureKind::Address,
                "not asked again and again"
            );
            let asked = wanted.last().unwrap();
            for word in [said, asked, "look there"] {
                assert!(failure.text.contains(word), "{failure:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn an_answer_that_does_not_begin_with_a_good_word_is_none(answer in "\\PC{0,80}") {
            let first = answer.split_whitespace().next().unwrap_or_default();
            let is_good = matches!(first, "good" | "nochg");
            let is_ignored = answer.split_whitespace().nth(1) == Some("127.0.0.1");
            prop_assert_eq!(matches!(meaning(&answer, "a.example"), Some(Ok(()))), is_good && !is_ignored);
        }
    }
}
