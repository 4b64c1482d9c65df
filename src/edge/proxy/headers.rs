//! Which headers go through, and what is said about the visitor.

use std::net::{IpAddr, SocketAddr};

use actix_web::http::header as visitor;
use hyper::http::{
    HeaderMap,
    header::{self, HeaderName, HeaderValue},
};

use crate::net::trust;

/// What is between two neighbours and not for those behind them (RFC 9110 section 7.6.1, RFC 2616 section
/// 13.5.1 for the old ones).
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What proxies say about visitors, and visitors may not (RFC 7239, and the older custom), beside what begins
/// with `x-forwarded-`.
const SAID_BY_PROXIES: [&str; 2] = [FORWARDED, "x-real-ip"];

const FORWARDED: &str = "forwarded";
const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// Who asks, as the program behind is told.
pub(super) struct Visitor<'a> {
    /// The visitor's address.
    pub(super) address: Option<SocketAddr>,
    /// The proxy that passed the request to us, if we trust it; what it says is passed on too.
    pub(super) trusted_proxy: Option<IpAddr>,
    /// The list in which it says who asks. It may pass the other one on as the visitor wrote it.
    pub(super) list: trust::List,
    /// The host that was asked for, with its port.
    pub(super) host: &'a str,
    /// What the log calls the request.
    pub(super) request_id: &'a str,
}

/// The headers of a request as they go to the program behind, which is asked for `host`.
pub(super) fn to_upstream(
    from: &visitor::HeaderMap,
    of: &Visitor<'_>,
    host: HeaderValue,
) -> HeaderMap {
    let named = named_by_connection(
        from.get_all(visitor::CONNECTION)
            .filter_map(|v| v.to_str().ok()),
    );
    let mut headers = HeaderMap::with_capacity(from.len() + 8);
    for (name, value) in from {
        let name = name.as_str();
        let is_said = is_said_by_proxies(name) && !is_believed(name, of);
        // Their lengths are in the body's own size, and 100 (Continue) was ours to say.
        let is_ours = ["host", "expect", "content-length", "x-request-id"].contains(&name);
        if HOP_BY_HOP.contains(&name) || is_said || is_ours || named.iter().any(|n| n == name) {
            continue;
        }
        append(&mut headers, name.as_bytes(), value.as_bytes());
    }
    join_cookies(&mut headers);
    headers.insert(header::HOST, host);
    say(&mut headers, of);
    headers
}

/// Programs that know headers as variables (CGI, RFC 3875 section 4.1.18) do not see `_` and `-` apart.
fn is_said_by_proxies(name: &str) -> bool {
    let name = name.replace('_', "-");
    SAID_BY_PROXIES.contains(&&*name) || name.starts_with("x-forwarded-")
}

/// Whether a header that says something of the visitor was written by a proxy that we trust.
fn is_believed(name: &str, of: &Visitor<'_>) -> bool {
    let is_other_list = [FORWARDED, X_FORWARDED_FOR].contains(&name) && name != of.list.name();
    of.trusted_proxy.is_some() && !is_other_list && !name.contains('_')
}

/// Browsers split cookies over HTTP/2, and a program of HTTP/1.1 gets them in one line (RFC 9113 section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(header::COOKIE).iter().nth(1).is_none() {
        return;
    }
    let all = headers.get_all(header::COOKIE).iter();
    let all: Vec<&[u8]> = all.map(HeaderValue::as_bytes).collect();
    if let Ok(one) = HeaderValue::from_bytes(&all.join(&b"; "[..])) {
        headers.insert(header::COOKIE, one);
    }
}

/// Adds who asks, to what a trusted proxy has said already.
fn say(headers: &mut HeaderMap, of: &Visitor<'_>) {
    let next = of
        .trusted_proxy
        .or(of.address.map(|address| address.ip().to_canonical()));
    if let Some(next) = next {
        let forwarded = match next {
            IpAddr::V4(ip) => format!("for={ip};host=\"{}\";proto=https", of.host),
            // RFC 7239 section 6
            IpAddr::V6(ip) => format!("for=\"[{ip}]\";host=\"{}\";proto=https", of.host),
        };
        extend(headers, FORWARDED, &forwarded);
        extend(headers, X_FORWARDED_FOR, &next.to_string());
    }
    if let Some(address) = of.address {
        set(
            headers,
            "x-real-ip",
            &address.ip().to_canonical().to_string(),
        );
    }
    if !headers.contains_key("x-forwarded-host") {
        set(headers, "x-forwarded-host", of.host);
    }
    if !headers.contains_key("x-forwarded-proto") {
        set(headers, "x-forwarded-proto", "https");
    }
    set(headers, "x-request-id", of.request_id);
}

/// The headers of an answer as they go to the visitor.
pub(super) fn to_visitor(from: &HeaderMap, to: &mut visitor::HeaderMap) {
    let named = named_by_connection(
        from.get_all(header::CONNECTION)
            .iter()
            .filter_map(|v| v.to_str().ok()),
    );
    for (name, value) in from {
        let name = name.as_str();
        let is_ours = name == "content-length";
        if HOP_BY_HOP.contains(&name) || is_ours || named.iter().any(|n| n == name) {
            continue;
        }
        let name = visitor::HeaderName::from_bytes(name.as_bytes());
        let value = visitor::HeaderValue::from_bytes(value.as_bytes());
        if let (Ok(name), Ok(value)) = (name, value) {
            to.append(name, value);
        }
    }
}

/// Headers that `Connection` makes hop-by-hop.
fn named_by_connection<'a>(values: impl Iterator<Item = &'a str>) -> Vec<String> {
    values
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect()
}

fn append(headers: &mut HeaderMap, name: &[u8], value: &[u8]) {
    if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
        headers.append(name, value);
    }
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

/// Adds to a list that may be there.
fn extend(headers: &mut HeaderMap, name: &'static str, value: &str) {
    let before = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let list = before.chain([value]).collect::<Vec<_>>().join(", ");
    set(headers, name, &list);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn passed(given: &[(&str, &str)], trusted: bool) -> HeaderMap {
        let mut from = visitor::HeaderMap::new();
        for (name, value) in given {
            from.append(
                visitor::HeaderName::try_from(*name).unwrap(),
                visitor::HeaderValue::try_from(*value).unwrap(),
            );
        }
        let of = Visitor {
            address: Some("203.0.113.9:4711".parse().unwrap()),
            trusted_proxy: trusted.then(|| "10.0.0.1".parse().unwrap()),
            list: trust::List::default(),
            host: "ha.example.org",
            request_id: "7",
        };
        to_upstream(&from, &of, HeaderValue::from_static("upstream"))
    }

    #[test]
    fn what_is_between_neighbours_or_forged_is_left_out() {
        let given = [
            ("connection", "keep-alive, X-Secret"),
            ("x-secret", "1"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("proxy-connection", "close"),
            ("host", "ha.example.org"),
            ("forwarded", "for=1.2.3.4"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-proto", "http"),
            ("x-real-ip", "1.2.3.4"),
            ("x_forwarded_for", "1.2.3.4"),
            ("x_real_ip", "1.2.3.4"),
            ("x-forwarded-prefix", "/evil"),
            ("x-request-id", "forged"),
            ("cookie", "a=1"),
            ("accept", "*/*"),
        ];
        let headers = passed(&given, false);
        let mut shown: Vec<_> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        shown.sort();
        assert_eq!(
            shown,
            [
                "accept: */*",
                "cookie: a=1",
                "forwarded: for=203.0.113.9;host=\"ha.example.org\";proto=https",
                "host: upstream",
                "x-forwarded-for: 203.0.113.9",
                "x-forwarded-host: ha.example.org",
                "x-forwarded-proto: https",
                "x-real-ip: 203.0.113.9",
                "x-request-id: 7",
            ]
        );
    }

    #[test]
    fn what_a_trusted_proxy_says_is_passed_on_with_its_own_address_at_the_end() {
        let given = [
            ("x-forwarded-for", "203.0.113.9"),
            ("x-forwarded-host", "public.example"),
            // What the visitor wrote, and the proxy let through.
            ("forwarded", "for=6.6.6.6"),
            ("x_forwarded_for", "6.6.6.6"),
        ];
        let headers = passed(&given, true);
        assert_eq!(headers["x-forwarded-for"], "203.0.113.9, 10.0.0.1");
        assert_eq!(headers["x-forwarded-host"], "public.example");
        assert_eq!(headers["x-real-ip"], "203.0.113.9");
        let all: Vec<_> = headers.values().map(|v| v.to_str().unwrap()).collect();
        assert!(!all.join(" ").contains("6.6.6.6"), "{headers:?}");
    }

    #[test]
    fn cookies_that_came_apart_go_on_in_one_line() {
        let headers = passed(
            &[("cookie", "a=1"), ("accept", "*/*"), ("cookie", "b=2; c=3")],
            false,
        );
        let cookies: Vec<_> = headers.get_all("cookie").iter().collect();
        assert_eq!(cookies, ["a=1; b=2; c=3"]);
    }

    proptest! {
        #[test]
        fn nothing_that_a_visitor_sends_is_taken_for_ours(
            names in proptest::collection::vec(
                "(x[-_])?(forwarded|real)[-_]?(for|host|ip|proto|by)?|connection|te|[a-z_-]{1,12}", 1..12),
            values in proptest::collection::vec("[ -~]{0,24}", 12),
        ) {
            let given: Vec<_> = names.iter().map(String::as_str).zip(values.iter().map(String::as_str)).collect();
            let headers = passed(&given, false);
            for (name, value) in &headers {
                prop_assert!(!HOP_BY_HOP.contains(&name.as_str()), "{name}");
                if is_said_by_proxies(name.as_str()) {
                    let value = value.to_str().unwrap();
                    prop_assert!(["203.0.113.9", "ha.example.org", "https"].iter().any(|ours| value.contains(ours)));
                    prop_assert_eq!(headers.get_all(name).iter().count(), 1);
                    prop_assert!(!name.as_str().contains('_'));
                }
            }
            prop_assert_eq!(&headers["x-forwarded-for"], "203.0.113.9");
        }
    }
}
