//! dyndns2, the language of most registrars and routers (<https://help.dyn.com/remote-access-api/perform-update/>,
//! <https://help.dyn.com/return-codes/>). It changes addresses, and nothing else.

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

/// An account at a provider.
pub(super) struct DynDns2 {
    pub(super) api: Api,
    pub(super) user: String,
    pub(super) password: String,
    pub(super) check_at: Vec<SocketAddr>,
}

impl DynDns2 {
    async fn set(&self, name: &str, wanted: Addresses) -> Result<(), Failure> {
        let addresses: Vec<String> = wanted.iter().map(|address| address.to_string()).collect();
        if addresses.is_empty() {
            return Ok(());
        }
        // Both at once: where one is not named, some providers take it away.
        let path = format!("?hostname={name}&myip={}", addresses.join(","));
        let pair = format!("{}:{}", self.user, self.password);
        let headers = [(
            AUTHORIZATION,
            format!("Basic {}", BASE64.encode(pair.as_bytes())),
        )];
        let sent = self.api.send(Method::GET, &path, &headers, None).await;
        let answer = sent.map_err(|failure| match failure.kind {
            // Before any word of the protocol is said.
            FailureKind::Refused => Failure {
                kind: FailureKind::Final,
                ..failure
            },
            _ => failure,
        })?;
        if answer.status == StatusCode::NOT_FOUND {
            return Err(Failure::refused(
                "there is no interface at the address api of [dns]",
            ));
        }
        // One line for each name, and only one was named.
        meaning(&String::from_utf8_lossy(&answer.body), name).map_err(|failure| Failure {
            text: self.api.without_secrets(&failure.text),
            ..failure
        })
    }
}

/// What an answer means. What ends here for good would be called abuse if it were tried again.
fn meaning(answer: &str, name: &str) -> Result<(), Failure> {
    let word = answer.split_whitespace().next().unwrap_or_default();
    let last = |text: String| Err(Failure::new(FailureKind::Final, text));
    let later = |text: String| {
        Err(Failure {
            retry_at: Some(Timestamp(Timestamp::now().0 + TROUBLE_S)),
            ..Failure::unreachable(text)
        })
    };
    match word {
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
        "badip" => last("the provider does not accept the address (badip)".into()),
        "dnserr" => later("the provider's DNS is in trouble (dnserr)".into()),
        "911" => later("the provider is in trouble (911)".into()),
        _ => {
            later("the provider answered what dyndns2 does not know; is api in [dns] right?".into())
        }
    }
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

    use super::{FailureKind, meaning};

    #[test]
    fn every_word_of_the_protocol_is_known() {
        for (answer, kind) in [
            ("good 192.0.2.1", None),
            ("nochg 192.0.2.1\r\n", None),
            ("good", None),
            ("badauth", Some(FailureKind::Final)),
            ("!donator", Some(FailureKind::Final)),
            ("notfqdn", Some(FailureKind::Final)),
            ("nohost", Some(FailureKind::Final)),
            ("!yours", Some(FailureKind::Final)),
            ("numhost", Some(FailureKind::Final)),
            ("abuse", Some(FailureKind::Final)),
            ("badagent", Some(FailureKind::Final)),
            ("dnserr", Some(FailureKind::Unreachable)),
            ("911", Some(FailureKind::Unreachable)),
            ("", Some(FailureKind::Unreachable)),
            ("<html>good</html>", Some(FailureKind::Unreachable)),
            ("goodness", Some(FailureKind::Unreachable)),
        ] {
            let found = meaning(answer, "a.example")
                .err()
                .map(|failure| failure.kind);
            assert_eq!(found, kind, "{answer:?}");
        }
    }

    proptest! {
        #[test]
        fn an_answer_that_does_not_begin_with_a_good_word_is_none(answer in "\\PC{0,80}") {
            let first = answer.split_whitespace().next().unwrap_or_default();
            let is_good = matches!(first, "good" | "nochg");
            prop_assert_eq!(meaning(&answer, "a.example").is_ok(), is_good);
        }
    }
}
