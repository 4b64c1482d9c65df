//! Asks the interface of a provider over HTTPS, and says in plain words what it did not like.
//!
//! What comes back is believed as little as possible: it is bounded ([`WebClient`]), parsed strictly, and quoted
//! short and without the secret.

use std::path::Path;

use hyper::{
    Method, Request, StatusCode,
    body::Bytes,
    header::{
        AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT,
    },
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    base::{Result, Timestamp, one_line},
    net::{
        dns::{
            failure::{Failure, FailureKind},
            settings::Web,
        },
        retry_after::retry_at,
        web_client::{Unanswered, WebClient},
    },
};

/// Who asks. Providers of dyndns2 want a name, a version and whom to write to
/// (<https://www.noip.com/integrate/request>).
const OWN_NAME: &str = concat!(
    "Webstead/",
    env!("CARGO_PKG_VERSION"),
    " webstead@users.noreply.github.com"
);
/// Characters of what a provider said that are shown.
const MOST_SAID: usize = 300;
/// Seconds of patience with a provider that does not say how long it wants to be left alone.
const USUAL_PATIENCE_S: i64 = 5 * 60;

/// The interface of one provider.
pub(super) struct Api {
    client: WebClient,
    /// Where it is, without a slash at its end.
    pub(super) base: String,
    /// Whose it is.
    pub(super) provider: &'static str,
    /// The zone that is changed; empty where there is none.
    pub(super) zone: String,
    secrets: Vec<String>,
    /// What every request has in its header `Authorization`.
    authorization: Option<String>,
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Api {
    /// The interface of these settings; `usual` is where it is if they do not say.
    pub(super) fn new(
        provider: &'static str,
        settings: &Web,
        usual: &str,
        roots: Option<&Path>,
        secrets: &[&str],
    ) -> Result<Self> {
        let zone = settings.zone.as_ref().map_or("", |zone| zone.as_str());
        let base = settings.api.as_ref().map_or(usual, |own| own.as_str());
        Ok(Self {
            client: WebClient::new(roots)?,
            base: base.to_owned(),
            provider,
            zone: zone.to_owned(),
            secrets: secrets.iter().map(|&secret| secret.to_owned()).collect(),
            authorization: None,
        })
    }

    /// The same, and every request shows this token; `scheme` is how that is called there: `Bearer`.
    pub(super) fn with_token(self, scheme: &str, token: &str) -> Self {
        Self {
            authorization: Some(format!("{scheme} {token}")),
            ..self
        }
    }

    /// Sends a request to `base` + `path`.
    ///
    /// # Errors
    /// If nobody answers, or if the provider has something against it ([`Api::failure`]), except that it is not
    /// there (404).
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, String)],
        body: Option<&Value>,
    ) -> Result<Answer, Failure> {
        let answer = self.ask(method, path, headers, body).await?;
        if answer.status.is_success() || answer.status == StatusCode::NOT_FOUND {
            return Ok(answer);
        }
        Err(self.failure(&answer))
    }

    /// [`Api::send`] to what must be there.
    ///
    /// # Errors
    /// If it is not, or as there.
    pub(super) async fn send_to(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Failure> {
        let answer = self.send(method, path, &[], body).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Err(self.failure(&answer));
        }
        Ok(answer)
    }

    /// Reads what is at `path`; `None` if nothing is there.
    ///
    /// # Errors
    /// As [`Api::send`] and [`Api::read`].
    pub(super) async fn find<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Failure> {
        let answer = self.send(Method::GET, path, &[], None).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        self.read(&answer).map(Some)
    }

    /// [`Api::send`] that gives the answer whatever its status is.
    ///
    /// # Errors
    /// If nobody answers.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, String)],
        body: Option<&Value>,
    ) -> Result<Answer, Failure> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(USER_AGENT, OWN_NAME);
        let authorization = self.authorization.clone();
        let authorization = authorization.map(|value| (AUTHORIZATION, value));
        for (name, value) in headers.iter().chain(&authorization) {
            let mut value = HeaderValue::from_str(value).map_err(|_| {
                Failure::setup("the secret for [dns] has characters that no request can have")
            })?;
            value.set_sensitive(true);
            request = request.header(name, value);
        }
        let bytes = match body {
            Some(json) => {
                request = request.header(CONTENT_TYPE, "application/json");
                Bytes::from(json.to_string())
            }
            None => Bytes::new(),
        };
        let request = request.body(bytes).map_err(Failure::setup)?;
        let answer = self.client.ask(request).await;
        let (head, body) = answer.map_err(|why| self.no_answer(why))?.into_parts();
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body,
        })
    }

    /// Why nothing came back.
    fn no_answer(&self, why: Unanswered) -> Failure {
        let kind = match &why {
            Unanswered::Unconnected(_) => FailureKind::Unreachable,
            Unanswered::Unreachable(_) | Unanswered::TooLarge(_) => FailureKind::Trouble,
        };
        Failure {
            is_untouched: kind == FailureKind::Unreachable,
            ..Failure::new(kind, self.without_secrets(&why.into_words()))
        }
    }

    /// What a provider has against a request, in plain words and its own.
    pub(super) fn failure(&self, answer: &Answer) -> Failure {
        let (provider, status) = (self.provider, answer.status);
        let said = match said(&answer.body) {
            Some(said) => format!(": {}", self.without_secrets(&said)),
            None => format!(" (status {})", status.as_u16()),
        };
        match status {
            StatusCode::TOO_MANY_REQUESTS => Failure {
                retry_at: Some(answer.retry_at()),
                ..Failure::new(
                    FailureKind::RateLimited,
                    format!("{provider} was asked too often{said}"),
                )
            },
            StatusCode::UNAUTHORIZED => Failure::refused(format!(
                "{provider} does not accept the secret for [dns]{said}"
            )),
            StatusCode::FORBIDDEN => Failure::refused(format!(
                "the secret for [dns] has not the right to do this at {provider}{said}"
            )),
            StatusCode::NOT_FOUND => Failure::refused(format!(
                "{provider} has no zone {} that this secret may change{said}",
                self.zone
            )),
            _ if status.is_client_error() => Failure::refused(format!("{provider} refuses{said}")),
            _ => Failure::trouble(format!("{provider} cannot do this now{said}")),
        }
    }

    /// What an answer of success says.
    pub(super) fn read<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, Failure> {
        serde_json::from_slice(&answer.body).map_err(|e| {
            // Where it is wrong, but not what is there: that may be anything.
            let place = (e.line(), e.column());
            Failure::trouble(format!(
                "{} sent what is no answer of its interface (wrong in line {}, column {}); look whether api in [dns] is \
                 right, and what is said there of a fault",
                self.provider, place.0, place.1
            ))
        })
    }

    /// A text of the provider's, short, in one line and without the secret.
    pub(super) fn without_secrets(&self, text: &str) -> String {
        without(&self.secrets, text)
    }
}

impl Answer {
    /// When the provider wants to be asked again: `Retry-After`, or Hetzner's `RateLimit-Reset` in seconds since
    /// 1970 (<https://docs.hetzner.cloud/reference/cloud#rate-limiting>).
    fn retry_at(&self) -> Timestamp {
        let now = Timestamp::now();
        let header = |name| self.headers.get(name).and_then(|value| value.to_str().ok());
        let after = header(RETRY_AFTER).and_then(|text| retry_at(text, now));
        let reset = header(HeaderName::from_static("ratelimit-reset"));
        let reset = reset.and_then(|text| text.trim().parse().ok().map(Timestamp));
        after
            .or_else(|| reset.filter(|at| *at > now))
            .unwrap_or(Timestamp(now.0 + USUAL_PATIENCE_S))
    }
}

/// A text without these secrets, and then short: a part of one that is cut off would not be found any more.
fn without(secrets: &[String], text: &str) -> String {
    let mut text = text.to_owned();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        text = text.replace(secret.as_str(), "…");
    }
    one_line(&text, MOST_SAID)
}

/// What an answer says to people, as it stands there: the fields that providers have for that, or else whatever text is in it.
fn said(body: &[u8]) -> Option<String> {
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        // Some say it in plain text; a page of HTML says nothing.
        let text = std::str::from_utf8(body).ok()?.trim();
        return (!text.is_empty() && !text.starts_with('<')).then(|| text.to_owned());
    };
    let mut texts = Vec::new();
    for place in ["/message", "/detail", "/error/message", "/cause"] {
        texts.extend(value.pointer(place).and_then(Value::as_str));
    }
    for problem in value
        .get("errors")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        for place in ["message", "description"] {
            texts.extend(problem.get(place).and_then(Value::as_str));
        }
    }
    if texts.is_empty() {
        leaves(&value, &mut texts);
    }
    texts.truncate(4);
    (!texts.is_empty()).then(|| texts.join("; "))
}

/// The texts of a value, wherever they are.
fn leaves<'a>(value: &'a Value, into: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => into.push(text),
        Value::Array(list) => list.iter().for_each(|value| leaves(value, into)),
        Value::Object(map) => map.values().for_each(|value| leaves(value, into)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{MOST_SAID, said, without};

    /// What is shown of an answer.
    fn shown(body: &[u8]) -> Option<String> {
        said(body).map(|said| without(&[], &said))
    }

    #[test]
    fn a_secret_is_left_out_even_where_the_text_is_cut() {
        let secret = "s3cr3t-t0ken".to_owned();
        for before in (MOST_SAID - secret.len() - 1)..=MOST_SAID {
            let text = format!("{}{secret} is wrong", "x".repeat(before));
            let shown = without(std::slice::from_ref(&secret), &text);
            assert!(!shown.contains("s3c"), "{shown}");
        }
    }

    #[test]
    fn what_providers_say_is_found() {
        for (body, expected) in [
            // Cloudflare, deSEC, Gandi, Hetzner, OVH.
            (
                "{\"success\":false,\"errors\":[{\"code\":9109,\"message\":\"Invalid access token\"}],\"result\":null}",
                Some("Invalid access token"),
            ),
            (
                "{\"detail\":\"Request was throttled.\\nExpected available in 50 seconds.\"}",
                Some("Request was throttled. Expected available in 50 seconds."),
            ),
            (
                "{\"records\":[\"Record content malformed\"]}",
                Some("Record content malformed"),
            ),
            (
                "{\"object\":\"HTTPForbidden\",\"cause\":\"Forbidden\",\"code\":403,\"message\":\"Access was denied\"}",
                Some("Access was denied; Forbidden"),
            ),
            (
                "{\"error\":{\"code\":\"forbidden\",\"message\":\"insufficient permissions\"}}",
                Some("insufficient permissions"),
            ),
            (
                "{\"class\":\"Client::Forbidden\",\"message\":\"This call has not been granted\"}",
                Some("This call has not been granted"),
            ),
            ("busy", Some("busy")),
            ("<html>502</html>", None),
            ("[]", None),
            ("", None),
        ] {
            assert_eq!(shown(body.as_bytes()).as_deref(), expected, "{body}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_said_is_short_and_in_one_line(body in proptest::collection::vec(any::<u8>(), 0..900)) {
            if let Some(said) = shown(&body) {
                prop_assert!(said.chars().count() <= MOST_SAID + 1);
                prop_assert!(!said.chars().any(char::is_control));
            }
        }

        #[test]
        fn a_long_message_is_cut(text in "\\PC{300,900}") {
            let body = serde_json::json!({ "message": text }).to_string();
            let said = shown(body.as_bytes()).unwrap_or_default();
            prop_assert!(said.chars().count() <= MOST_SAID + 1);
        }
    }
}
