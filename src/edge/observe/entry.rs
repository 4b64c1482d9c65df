//! One line of the access log.

use std::{fmt::Write as _, net::IpAddr, time::Duration};

use actix_web::{
    dev::ServiceRequest,
    http::{StatusCode, Version, header},
};
use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;

use crate::edge::request_context::RequestContext;

/// The longest text that is kept of what a visitor says, in bytes.
const MAX_TEXT_BYTES: usize = 512;

/// A request and its answer.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// When it came.
    pub time: Timestamp,
    /// What the error page calls it.
    pub id: String,
    /// Who asked.
    pub address: Option<IpAddr>,
    /// The host that was asked for.
    pub host: String,
    /// `GET`
    pub method: String,
    /// Path and query.
    pub target: String,
    /// `HTTP/1.1`
    pub protocol: String,
    /// Status of the answer.
    pub status: u16,
    /// Bytes of the answer's body.
    pub bytes: u64,
    /// Until the last byte was on its way.
    pub duration_ms: f64,
    /// The page that led here.
    pub referer: Option<String>,
    /// The visitor's program.
    pub user_agent: Option<String>,
}

impl Entry {
    /// What is known when a request comes.
    pub(super) fn of(request: &ServiceRequest, context: &RequestContext) -> Self {
        let text = |name| {
            let value = request.headers().get(name)?;
            Some(shortened(&String::from_utf8_lossy(value.as_bytes())))
        };
        let target = request
            .uri()
            .path_and_query()
            .map_or("/", |target| target.as_str());
        Self {
            time: Timestamp::now(),
            id: context.id.to_string(),
            address: request
                .peer_addr()
                .map(|address| address.ip().to_canonical()),
            host: shortened(&context.host),
            method: shortened(request.method().as_str()),
            target: shortened(target),
            protocol: protocol(request.version()).to_owned(),
            status: 0,
            bytes: 0,
            duration_ms: 0.0,
            referer: text(header::REFERER),
            user_agent: text(header::USER_AGENT),
        }
    }

    /// With what is known when it was answered.
    pub(super) fn finished(
        mut self: Box<Self>,
        status: StatusCode,
        bytes: u64,
        took: Duration,
    ) -> Self {
        self.status = status.as_u16();
        self.bytes = bytes;
        self.duration_ms = (took.as_secs_f64() * 1e6).round() / 1e3;
        *self
    }

    /// As the Common Log Format has it: <https://httpd.apache.org/docs/2.4/logs.html#common>.
    pub(super) fn common(&self) -> String {
        let time = self.time.to_zoned(TimeZone::system());
        let address = self
            .address
            .map_or_else(|| "-".into(), |address| address.to_string());
        format!(
            "{address} - - [{}] \"{} {} {}\" {} {}",
            time.strftime("%d/%b/%Y:%H:%M:%S %z"),
            escaped(&self.method),
            escaped(&self.target),
            self.protocol,
            self.status,
            self.bytes,
        )
    }

    /// As the Combined Log Format has it: <https://httpd.apache.org/docs/2.4/logs.html#combined>.
    pub(super) fn combined(&self) -> String {
        let [referer, user_agent] =
            [&self.referer, &self.user_agent].map(|text| escaped(text.as_deref().unwrap_or("-")));
        format!("{} \"{referer}\" \"{user_agent}\"", self.common())
    }

    /// As one line of JSON.
    pub(super) fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_10 => "HTTP/1.0",
        _ => "HTTP/1.1",
    }
}

fn shortened(text: &str) -> String {
    let mut end = text.len().min(MAX_TEXT_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// Nothing that ends the quotation or the line, and nothing that a terminal obeys.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                safe.push('\\');
                safe.push(c);
            }
            c if c.is_control() => {
                let _ = write!(safe, "\\x{:02x}", u32::from(c));
            }
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::{Entry, MAX_TEXT_BYTES, shortened};

    fn entry(agent: &str) -> Entry {
        Entry {
            time: "2026-11-23T14:05:06Z".parse().unwrap(),
            id: "7".into(),
            address: Some("203.0.113.9".parse().unwrap()),
            host: "example.org".into(),
            method: "GET".into(),
            target: "/a?b".into(),
            protocol: "HTTP/1.1".into(),
            status: 200,
            bytes: 12,
            duration_ms: 1.25,
            referer: None,
            user_agent: Some(agent.into()),
        }
    }

    #[test]
    fn lines_have_their_form_and_nothing_breaks_out_of_them() {
        let line = entry("a\"b\\c\r\n\u{1b}[31m").combined();
        assert!(line.starts_with("203.0.113.9 - - [23/Nov/2026:"), "{line}");
        assert!(
            line.contains("] \"GET /a?b HTTP/1.1\" 200 12 \"-\" "),
            "{line}"
        );
        assert!(line.ends_with(r#" "a\"b\\c\x0d\x0a\x1b[31m""#), "{line}");
        let json: serde_json::Value = serde_json::from_str(&entry("a\"\n").json()).unwrap();
        assert_eq!(json["user_agent"], "a\"\n");
        assert_eq!(
            (&json["status"], &json["duration_ms"]),
            (&200.into(), &1.25.into())
        );
    }

    #[test]
    fn what_visitors_say_is_kept_within_limits() {
        assert_eq!(shortened(&"ä".repeat(MAX_TEXT_BYTES)).len(), MAX_TEXT_BYTES);
        assert_eq!(
            shortened(&format!("a{}", "ä".repeat(MAX_TEXT_BYTES))).len(),
            MAX_TEXT_BYTES - 1
        );
    }
}
