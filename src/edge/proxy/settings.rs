//! A host's keys in `webstead.toml`, if it is another program.

use std::path::PathBuf;

use hyper::http::{Uri, uri::Scheme};
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::base::paths;

/// Seconds that a program may take until it begins to answer.
const ANSWER_TIMEOUT_S: u64 = 60;

/// The keys of a host that passes requests on.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::edge) struct Settings {
    /// Where the program listens: `http://HOST:PORT` or `https://HOST:PORT`; several share the requests.
    #[serde(deserialize_with = "one_or_more")]
    pub(super) proxy: Vec<Uri>,
    /// A path that answers with a status below 400 while the program is well; asked for every few seconds.
    #[serde(default)]
    pub(super) health: Option<String>,
    /// Seconds until an answer must begin.
    #[serde(default = "answer_timeout")]
    pub(super) answer_timeout_s: u64,
    /// Whether the program is asked for the name that the visitor asked for, and not for its own. The default
    /// is true, unless it is behind HTTPS under a name of its own.
    #[serde(default)]
    pub(super) keep_host: Option<bool>,
    /// A PEM file with the authority, or the very certificate, that a program behind HTTPS shows. Without it,
    /// those that this machine trusts.
    #[serde(default, deserialize_with = "paths::written_or_none")]
    pub(super) certificate: Option<PathBuf>,
}

impl Settings {
    /// What the form of each key cannot say.
    ///
    /// # Errors
    /// What is wrong, and what to write.
    pub(in crate::edge) fn check(&self) -> Result<(), String> {
        if self.proxy.is_empty() {
            return Err("no upstream is named; write proxy = \"http://127.0.0.1:8123\"".into());
        }
        if !(1..=3600).contains(&self.answer_timeout_s) {
            return Err("answer_timeout_s is from 1 to 3600".into());
        }
        if let Some(path) = &self.health
            && !(path.starts_with('/') && path.parse::<Uri>().is_ok())
        {
            return Err(format!(
                "health = {path:?} is not a path; it begins with a slash, such as \"/health\""
            ));
        }
        Ok(())
    }

    /// Whether any program is behind HTTPS.
    pub(super) fn has_tls(&self) -> bool {
        let is_tls = |uri: &Uri| uri.scheme() == Some(&Scheme::HTTPS);
        self.proxy.iter().any(is_tls)
    }
}

fn answer_timeout() -> u64 {
    ANSWER_TIMEOUT_S
}

fn one_or_more<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Uri>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMore {
        One(String),
        More(Vec<String>),
    }
    let texts = match OneOrMore::deserialize(from) {
        Ok(OneOrMore::One(text)) => vec![text],
        Ok(OneOrMore::More(texts)) => texts,
        Err(_) => {
            let why = "proxy is an address such as \"http://127.0.0.1:8123\", or a list of them";
            return Err(D::Error::custom(why));
        }
    };
    texts
        .iter()
        .map(|text| parse(text).map_err(D::Error::custom))
        .collect()
}

fn parse(text: &str) -> Result<Uri, String> {
    let wrong =
        |why: &str| format!("proxy = {text:?} {why}; write it as \"http://127.0.0.1:8123\"");
    let uri: Uri = text.parse().map_err(|_| wrong("is not an address"))?;
    let authority = match (uri.scheme_str(), uri.authority()) {
        (Some("http" | "https"), Some(authority))
            if !authority.host().is_empty() && !authority.as_str().contains('@') =>
        {
            authority
        }
        _ => return Err(wrong("does not begin with http:// or https:// and a host")),
    };
    let has_port = authority.as_str() != authority.host();
    if has_port && authority.port_u16().is_none_or(|port| port == 0) {
        return Err(wrong("has a port that is none"));
    }
    if uri.path_and_query().is_some_and(|path| path != "/") {
        return Err(wrong("has a path, and addresses are passed on as they are"));
    }
    Ok(uri)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::parse;

    #[test]
    fn an_upstream_without_a_host_or_with_a_port_that_is_none_is_refused() {
        for text in [
            "http://:-",
            "http://:80",
            "http://a:-",
            "http://a:",
            "http://a:0",
            "http://a:65536",
        ] {
            assert!(
                parse(text).unwrap_err().contains("http://127.0.0.1:8123"),
                "{text}"
            );
        }
        for text in [
            "http://a",
            "http://a:1",
            "https://[::1]",
            "http://[::1]:8123/",
        ] {
            assert!(parse(text).is_ok(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn an_upstream_is_a_scheme_a_host_and_a_port_and_nothing_else(
            text in "(https?|ftp)?(://)?[a-z0-9.:@\\[\\]%?#/ -]{0,20}|.*",
        ) {
            if let Ok(uri) = parse(&text) {
                prop_assert!(matches!(uri.scheme_str(), Some("http" | "https")));
                prop_assert!(!uri.host().unwrap().is_empty(), "{text}");
                prop_assert!(uri.path() == "/" && uri.query().is_none(), "{text}");
                prop_assert!(!uri.authority().unwrap().as_str().contains('@'));
            }
        }
    }
}
