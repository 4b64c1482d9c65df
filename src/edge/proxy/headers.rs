//! Which headers go through, and what is said about the visitor.

use std::{
    net::{IpAddr, SocketAddr},
    sync::LazyLock,
};

use actix_web::http::header as visitor;
use data_encoding::HEXLOWER;
use hyper::http::{
    HeaderMap,
    header::{self, HeaderName, HeaderValue},
};

use crate::net::{redirect, trust};

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
        let is_ours = ["host", "expect", "content-length", "x-request-id"].contains(&name)
            // Programs that know headers as variables take it for their own proxy (httpoxy, CVE-2016-5385).
            || name == "proxy";
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

/// What this server is called among proxies (RFC 9110 section 7.6.3): nobody else has this name.
static OURS: LazyLock<String> = LazyLock::new(|| {
    let mut random = [0; 8];
    // Without it, loops are not seen and end when there are no places any more.
    let _ = getrandom::fill(&mut random);
    format!("webstead-{}", HEXLOWER.encode(&random))
});

/// Whether a request was passed on by this server before.
pub(super) fn has_been_here(headers: &visitor::HeaderMap) -> bool {
    let mut values = headers
        .get_all(visitor::VIA)
        .filter_map(|value| value.to_str().ok());
    values.any(|value| value.contains(&**OURS))
}

/// A node of RFC 7239 section 6.
fn node_of(address: IpAddr) -> String {
    match address {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("\"[{ip}]\""),
    }
}

/// The host and the scheme that the visitor asked for, as a trusted proxy says it.
fn asked_for(headers: &HeaderMap, of: &Visitor<'_>) -> (String, &'static str) {
    let said = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let in_list = |name: &str| {
        let element = said(FORWARDED)?.split(',').next()?;
        let mut pairs = element
            .split(';')
            .filter_map(|pair| pair.trim().split_once('='));
        let (_, value) = pairs.find(|(found, _)| found.eq_ignore_ascii_case(name))?;
        Some(value.trim_matches('"'))
    };
    let host = in_list("host").or_else(|| said("x-forwarded-host"));
    let host = host.filter(|host| redirect::is_valid_host(host));
    let proto = in_list("proto").or_else(|| said("x-forwarded-proto"));
    let is_plain = proto.is_some_and(|proto| proto.eq_ignore_ascii_case("http"));
    (
        host.unwrap_or(of.host).to_owned(),
        if is_plain { "http" } else { "https" },
    )
}

/// Adds who asks, to what a trusted proxy has said already.
fn say(headers: &mut HeaderMap, of: &Visitor<'_>) {
    let next = of
        .trusted_proxy
        .or(of.address.map(|address| address.ip().to_canonical()));
    if let Some(next) = next {
        let visitor = of.address.map(|address| address.ip().to_canonical());
        let visitor = visitor.filter(|visitor| *visitor != next);
        let (host, proto) = asked_for(headers, of);
        let first = format!(";host=\"{host}\";proto={proto}");
        let mut elements = vec![format!("for={}", node_of(visitor.unwrap_or(next))) + &first];
        if visitor.is_some() {
            elements.push(format!("for={}", node_of(next)));
        }
        // The list that the proxy has written goes on; the other one is told anew, and says the same.
        if headers.contains_key(FORWARDED) {
            extend(headers, FORWARDED, &format!("for={}", node_of(next)));
        } else {
            set(headers, FORWARDED, &elements.join(", "));
        }
        if !headers.contains_key(X_FORWARDED_FOR)
            && let Some(visitor) = visitor
        {
            set(headers, X_FORWARDED_FOR, &visitor.to_string());
        }
        extend(headers, X_FORWARDED_FOR, &next.to_string());
        set(headers, "x-forwarded-host", &host);
        set(headers, "x-forwarded-proto", proto);
    }
    if let Some(address) = of.address {
        set(
            headers,
            "x-real-ip",
            &address.ip().to_canonical().to_string(),
        );
    }
    extend(headers, "via", &format!("1.1 {}", *OURS));
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
        let proxy = trusted.then(|| "10.0.0.1".parse().unwrap());
        passed_on(given, proxy, trust::List::default())
    }

    fn passed_by(list: trust::List, given: &[(&str, &str)]) -> HeaderMap {
        passed_on(given, Some("10.0.0.1".parse().unwrap()), list)
    }

    fn passed_on(given: &[(&str, &str)], proxy: Option<IpAddr>, list: trust::List) -> HeaderMap {
        let mut from = visitor::HeaderMap::new();
        for (name, value) in given {
            from.append(
                visitor::HeaderName::try_from(*name).unwrap(),
                visitor::HeaderValue::try_from(*value).unwrap(),
            );
        }
        let of = Visitor {
            address: Some("203.0.113.9:4711".parse().unwrap()),
            trusted_proxy: proxy,
            list,
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
            ("proxy", "http://evil.example"),
            ("x-request-id", "forged"),
            ("cookie", "a=1"),
            ("accept", "*/*"),
        ];
        let headers = passed(&given, false);
        let mut shown: Vec<_> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .filter(|line| !line.starts_with("via: 1.1 webstead-"))
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
    fn both_lists_tell_the_same_whichever_the_proxy_has_written() {
        let of_custom = passed(
            &[
                ("x-forwarded-for", "203.0.113.9"),
                ("x-forwarded-proto", "http"),
            ],
            true,
        );
        let expected = "for=203.0.113.9;host=\"ha.example.org\";proto=http, for=10.0.0.1";
        assert_eq!(of_custom["forwarded"], expected);
        let given = "for=203.0.113.9;proto=http;host=pub.example";
        let of_standard = passed_by(
            trust::List::Forwarded,
            &[("forwarded", given), ("x-forwarded-for", "6.6.6.6")],
        );
        assert_eq!(of_standard["x-forwarded-for"], "203.0.113.9, 10.0.0.1");
        assert_eq!(of_standard["forwarded"], format!("{given}, for=10.0.0.1"));
        assert_eq!(of_standard["x-forwarded-proto"], "http");
        assert_eq!(of_standard["x-forwarded-host"], "pub.example");
    }

    #[test]
    fn a_request_that_comes_round_again_is_known() {
        let via = passed(&[("via", "1.0 fred")], false)["via"].clone();
        let via = via.to_str().unwrap();
        assert!(via.starts_with("1.0 fred, 1.1 webstead-"), "{via}");
        let mut again = visitor::HeaderMap::new();
        assert!(!has_been_here(&again));
        again.insert(visitor::VIA, visitor::HeaderValue::from_str(via).unwrap());
        assert!(has_been_here(&again));
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
