//! The directory of an authority: whether what its address answers is one, and which kinds of certificates it offers.

use std::fmt;

use hyper::{Response, StatusCode, body::Bytes};
use serde_json::Value;

use super::{Failure, FailureKind};
use crate::base::one_line;

/// What a directory has to have (RFC 8555 section 7.1.1).
const NEEDED: [&str; 3] = ["newNonce", "newAccount", "newOrder"];
/// Kinds of certificates that are told.
const MOST_TOLD: usize = 12;
/// Characters of the name of one.
const MOST_CHARS: usize = 40;

/// What the address of a directory answered instead of one.
///
/// # Errors
/// A failure that says what was answered: trouble of the authority, or a wrong address.
pub(super) fn check(address: &str, answer: &Response<Bytes>) -> Result<(), Failure> {
    let status = answer.status();
    let said = format!(
        "{} {}",
        status.as_u16(),
        status.canonical_reason().unwrap_or_default()
    );
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        let text = format!("the authority has trouble: {address} answered {said}");
        let kind = match status {
            StatusCode::TOO_MANY_REQUESTS => FailureKind::RateLimited,
            _ => FailureKind::Unreachable,
        };
        return Err(Failure::new(kind, text));
    }
    let what = if status.is_success() {
        let lacks = |said: &Value| NEEDED.iter().find(|key| !said[**key].is_string()).copied();
        match serde_json::from_slice::<Value>(answer.body()) {
            Ok(said) => match lacks(&said) {
                None => return Ok(()),
                Some(key) => format!("what it answered has no {key} in it"),
            },
            Err(_) if is_page(answer.body()) => "it answered with a web page".to_owned(),
            Err(_) => "what it answered is not JSON".to_owned(),
        }
    } else {
        format!("it answered {said}")
    };
    let text = format!("{address} is not the directory of an authority: {what}");
    Err(Failure::new(FailureKind::Setup, text))
}

fn is_page(body: &[u8]) -> bool {
    body.trim_ascii_start().first() == Some(&b'<')
}

/// The kinds of certificates that an authority offers, as its directory says (draft-ietf-acme-profiles section 3).
pub(super) fn profiles_of(directory: &Value) -> Vec<String> {
    let offered = directory["meta"]["profiles"].as_object();
    let names = offered.into_iter().flat_map(|offered| offered.keys());
    names.cloned().collect()
}

/// Whether an authority that offers these has one.
///
/// # Errors
/// A failure that names those that there are: nobody gets a certificate of another kind than was wished for.
pub(super) fn check_profile(wished: &str, offered: &[String]) -> Result<(), Failure> {
    if offered.iter().any(|name| name == wished) {
        return Ok(());
    }
    let names: Vec<String> = offered
        .iter()
        .take(MOST_TOLD)
        .map(|name| one_line(name, MOST_CHARS))
        .collect();
    let offers = match &names[..] {
        [] => "has no kinds to choose from; leave profile (kind of certificate) empty".to_owned(),
        names => format!("offers {}; set one of these, or none", names.join(", ")),
    };
    let text = format!(
        "there is no certificate of the kind (profile) {wished:?} at this authority: it {offers}"
    );
    Err(Failure::new(FailureKind::Setup, text))
}

/// A failure on its way through a library that knows others only.
#[derive(Debug)]
pub(super) struct Told(pub(super) Failure);

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

impl std::error::Error for Told {}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_no_directory_is_told_with_what_was_answered() {
        let whole = json!({ "newNonce": "a", "newAccount": "b", "newOrder": "c" }).to_string();
        let part = json!({ "newNonce": "a", "newAccount": "b" }).to_string();
        for (status, body, kind, words) in [
            (200, &*whole, None, ""),
            (200, &part, Some(FailureKind::Setup), "has no newOrder"),
            (
                200,
                " <!doctype html>",
                Some(FailureKind::Setup),
                "a web page",
            ),
            (200, "welcome", Some(FailureKind::Setup), "is not JSON"),
            (
                404,
                "",
                Some(FailureKind::Setup),
                "it answered 404 Not Found",
            ),
            (301, "", Some(FailureKind::Setup), "it answered 301"),
            (
                503,
                "",
                Some(FailureKind::Unreachable),
                "answered 503 Service Unavailable",
            ),
            (429, "", Some(FailureKind::RateLimited), "answered 429"),
        ] {
            let body = Bytes::copy_from_slice(body.as_bytes());
            let answer = Response::builder().status(status).body(body).unwrap();
            let failure = check("https://ca.example/dir", &answer).err();
            assert_eq!(
                failure.as_ref().map(|failure| failure.kind),
                kind,
                "{status}"
            );
            let text = failure.map(|failure| failure.text).unwrap_or_default();
            assert!(text.contains(words), "{words}: {text}");
        }
    }

    #[test]
    fn a_kind_of_certificate_that_is_not_offered_is_told_with_those_that_are() {
        let directory = json!({ "meta": { "profiles": { "classic": "a", "shortlived": "b" } } });
        let offered = profiles_of(&directory);
        assert!(check_profile("shortlived", &offered).is_ok());
        let failure = check_profile("shortlifed", &offered).unwrap_err();
        assert!(
            failure.text.contains("offers classic, shortlived"),
            "{failure:?}"
        );
        let none = check_profile("shortlived", &profiles_of(&json!({}))).unwrap_err();
        assert!(none.text.contains("no kinds to choose from"), "{none:?}");
        let hostile = vec![format!("a\u{1b}[31m{}", "b".repeat(100)); 40];
        let long = check_profile("x", &hostile).unwrap_err();
        assert!(
            long.text.len() < 1000 && !long.text.contains('\u{1b}'),
            "{long:?}"
        );
    }
}
