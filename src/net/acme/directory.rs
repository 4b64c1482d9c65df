//! The directory of an authority: whether what its address answers is one, and which kinds of certificates it offers.

use std::fmt;

use hyper::{HeaderMap, Response, StatusCode, body::Bytes, header::RETRY_AFTER};
use instant_acme::Problem;
use serde_json::Value;

use super::{Failure, FailureKind};
use crate::{
    base::{Timestamp, one_line},
    net::retry_after::retry_at,
};

/// What is said of an address at which there is no directory.
pub(super) const NO_DIRECTORY: &str = "is not the directory of an authority";
/// What is said of a kind of certificate that is not offered.
pub(super) const NO_PROFILE: &str = "there is no certificate of the kind (profile)";
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
    if let Some(failure) = trouble(address, answer) {
        return Err(failure);
    }
    let status = answer.status();
    let said = in_words(status);
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
    let text = format!("{address} {NO_DIRECTORY}: {what}");
    Err(Failure::new(FailureKind::Setup, text))
}

/// That an authority is busy or has trouble, if an answer says so: in its own words where it gave some (RFC 8555 section
/// 6.7), and with the time when it wants to be asked again (RFC 8555 section 6.6, RFC 9110 section 10.2.3).
///
/// The status counts, whatever the body is: it is looked at before anything is read as what was asked for.
pub(super) fn trouble(address: &str, answer: &Response<Bytes>) -> Option<Failure> {
    let status = answer.status();
    let is_asked_too_often = status == StatusCode::TOO_MANY_REQUESTS;
    if !is_asked_too_often && !status.is_server_error() {
        return None;
    }
    let retry_at = retry_at_of(answer.headers(), Timestamp::now());
    let answered = format!("{address} answered {}", in_words(status));
    let said = said_in(answer.body()).map(|problem| Failure::said(&problem));
    let is_limit =
        |failure: &Failure| is_asked_too_often || failure.kind == FailureKind::RateLimited;
    let failure = match said {
        Some(said) if is_limit(&said) => Failure::new(FailureKind::RateLimited, said.text),
        Some(said) => Failure::of_trouble(&format!("{answered}: {}", said.text)),
        None if is_asked_too_often => {
            let text = format!("the authority was asked too often: {answered}");
            Failure::new(FailureKind::RateLimited, text)
        }
        None => Failure::of_trouble(&answered),
    };
    Some(Failure {
        retry_at,
        ..failure
    })
}

/// The problem document in an answer.
pub(super) fn said_in(body: &[u8]) -> Option<Problem> {
    let problem = serde_json::from_slice::<Problem>(body).ok();
    problem.filter(|problem| problem.r#type.is_some() || problem.detail.is_some())
}

/// When the authority wants to be asked again, as an answer says.
pub(super) fn retry_at_of(headers: &HeaderMap, now: Timestamp) -> Option<Timestamp> {
    let said = headers.get(RETRY_AFTER);
    let said = said.and_then(|value| value.to_str().ok());
    said.and_then(|text| retry_at(text, now))
}

fn in_words(status: StatusCode) -> String {
    let reason = status.canonical_reason().unwrap_or_default();
    format!("{} {reason}", status.as_u16()).trim().to_owned()
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
    let text = format!("{NO_PROFILE} {wished:?} at this authority: it {offers}");
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
    fn an_authority_that_is_busy_is_told_with_its_words_and_the_time_whatever_it_was_asked_for() {
        let limited =
            r#"{"type":"urn:ietf:params:acme:error:rateLimited","detail":"come back later"}"#;
        let internal = r#"{"type":"urn:ietf:params:acme:error:serverInternal","detail":"on fire"}"#;
        let (limit, trouble_of) = (FailureKind::RateLimited, FailureKind::Unreachable);
        for (status, body, after, told) in [
            (429, limited, Some(5400), Some((limit, "come back later"))),
            (429, "", Some(5400), Some((limit, "asked too often"))),
            (429, internal, None, Some((limit, "on fire"))),
            (503, limited, Some(3600), Some((limit, "come back later"))),
            (503, internal, Some(3600), Some((trouble_of, "on fire"))),
            (
                503,
                "",
                Some(3600),
                Some((trouble_of, "503 Service Unavailable")),
            ),
            (
                503,
                "<html>",
                None,
                Some((trouble_of, "503 Service Unavailable")),
            ),
            (200, limited, Some(3600), None),
            (400, limited, Some(3600), None),
        ] {
            let mut answer = Response::builder().status(status);
            if let Some(after) = after {
                answer = answer.header(RETRY_AFTER, after.to_string());
            }
            let answer = answer
                .body(Bytes::copy_from_slice(body.as_bytes()))
                .unwrap();
            let before = Timestamp::now();
            let failure = trouble("https://ca.example/nonce", &answer);
            assert_eq!(failure.is_some(), told.is_some(), "{status} {body}");
            let Some((failure, (kind, words))) = failure.zip(told) else {
                continue;
            };
            assert_eq!(failure.kind, kind, "{status} {body}");
            assert!(failure.text.contains(words), "{failure:?}");
            let wait = failure.retry_at.map(|at| at.0 - before.0);
            assert_eq!(
                wait.is_some_and(|wait| (wait - after.unwrap()).abs() < 5),
                after.is_some(),
                "{failure:?}"
            );
            let advice = failure.advice();
            assert!(!advice.contains("reach the internet"), "{advice}");
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
