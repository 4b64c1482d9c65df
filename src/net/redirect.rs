//! Where plain HTTP is sent: the same address under HTTPS, and nowhere else.
//!
//! Defences: the host is checked letter by letter, so that no header can be split and no other site
//! be named by a trick of spelling; the path is always a path.

use std::{
    borrow::Cow,
    net::{Ipv4Addr, Ipv6Addr},
};

use rustls::pki_types::DnsName;

/// The `Location` for a request over plain HTTP, e.g. `https://pi.local:8443/about?x=1`.
///
/// `host_header` is the `Host` (or `:authority`) as it came; its port is dropped. `https_port` is left
/// out of the answer when it is 443. A path that begins with several slashes is given one.
///
/// `None` when the host is missing or is not a DNS name, an IPv4 address or an IPv6 address in brackets
/// (RFC 9110 section 7.2), or when the path is not printable ASCII that starts with a slash: the caller
/// answers 400.
pub fn to_https(
    host_header: Option<&str>,
    path_and_query: &str,
    https_port: u16,
) -> Option<String> {
    let host = valid_host(host_header?)?;
    if !path_and_query.starts_with('/') || !path_and_query.bytes().all(|b| b.is_ascii_graphic()) {
        return None;
    }
    let rest = path_and_query.trim_start_matches('/');
    let port = if https_port == 443 {
        String::new()
    } else {
        format!(":{https_port}")
    };
    Some(format!("https://{host}{port}/{rest}"))
}

/// Whether a `Host` names no port but that of plain HTTP: the request was sent to port 80, wherever it came in (RFC 9110
/// section 7.2).
pub fn is_of_port_80(host_header: &str) -> bool {
    let after = host_header.rsplit(']').next().unwrap_or_default();
    let port = after.split_once(':').map(|(_, port)| port);
    port.is_none_or(|port| port.is_empty() || port == "80")
}

/// Whether a `Host` header has the form that RFC 9110 section 7.2 gives it: a name or an address, and perhaps
/// a port.
pub fn is_valid_host(header: &str) -> bool {
    valid_host(header).is_some()
}

/// The host of a `Host` header without its port, in the form that a URL has it.
fn valid_host(header: &str) -> Option<Cow<'_, str>> {
    if let Some(rest) = header.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        let address: Ipv6Addr = address.parse().ok()?;
        return (port.is_empty() || is_port(port.strip_prefix(':')?))
            .then(|| Cow::Owned(format!("[{address}]")));
    }
    let host = match header.split_once(':') {
        Some((host, port)) => is_port(port).then_some(host)?,
        None => header,
    };
    let is_name = DnsName::try_from(host).is_ok() && !ends_in_a_number(host);
    (is_name || host.parse::<Ipv4Addr>().is_ok()).then_some(Cow::Borrowed(host))
}

/// Whether browsers take the host for an IPv4 address (WHATWG URL, "ends in a number"): `127.1`, `0x7f`.
fn ends_in_a_number(host: &str) -> bool {
    let last = host
        .trim_end_matches('.')
        .rsplit('.')
        .next()
        .unwrap_or_default();
    let hex = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    last.bytes().all(|b| b.is_ascii_digit())
        || hex.is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// A port, or nothing: RFC 3986 section 3.2.3 allows `host:`.
fn is_port(text: &str) -> bool {
    text.is_empty() || (text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{is_of_port_80, to_https};

    #[test]
    fn a_request_is_sent_to_the_same_place_under_https() {
        for (host, path, port, expected) in [
            ("example.org", "/", 443, "https://example.org/"),
            ("example.org:80", "/a?b=c", 443, "https://example.org/a?b=c"),
            ("example.org:", "/", 443, "https://example.org/"),
            ("pi.local:8080", "/a/", 8443, "https://pi.local:8443/a/"),
            ("192.168.1.20:8080", "/", 8443, "https://192.168.1.20:8443/"),
            ("[::1]:8080", "/", 8443, "https://[::1]:8443/"),
            ("[fd00:0::5]", "/", 443, "https://[fd00::5]/"),
            ("my_pi", "/", 443, "https://my_pi/"),
            (
                "example.org",
                "//evil.example/x",
                443,
                "https://example.org/evil.example/x",
            ),
            ("example.org", "///", 443, "https://example.org/"),
            ("example.org", "/a//b", 443, "https://example.org/a//b"),
        ] {
            assert_eq!(
                to_https(Some(host), path, port).as_deref(),
                Some(expected),
                "{host} {path}"
            );
        }
    }

    #[test]
    fn who_names_no_port_came_to_port_80() {
        for (host, expected) in [
            ("example.org", true),
            ("example.org:", true),
            ("example.org:80", true),
            ("[::1]", true),
            ("[::1]:80", true),
            ("example.org:8080", false),
            ("[::1]:8080", false),
            ("[fd00::80]:443", false),
        ] {
            assert_eq!(is_of_port_80(host), expected, "{host}");
        }
    }

    #[test]
    fn a_hostile_or_missing_host_is_refused() {
        assert_eq!(to_https(None, "/", 443), None);
        for host in [
            "",
            ":",
            ":80",
            " ",
            "a b",
            "a\r\nSet-Cookie: x",
            "a\n",
            "a\0",
            "evil.example/",
            "evil.example/@a",
            "a@evil.example",
            "a?b",
            "a#b",
            "a\\b",
            "a%2eb",
            "a:b",
            "a:80:80",
            "a:+80",
            "a:65536",
            "a:80/",
            "[::1",
            "::1",
            "[::1]x",
            "[::1]80",
            "[fe80::1%25eth0]",
            "[evil.example]",
            "[]",
            "127.1",
            "0x7f",
            "1.0X7f",
            "0x",
            "1.0x7f.",
            "1.2.3.4.5",
            "a..b",
            ".a",
            "-a",
            "größe",
            "\"a\"",
            "a,b",
            "<a>",
            "*",
        ] {
            assert_eq!(to_https(Some(host), "/", 443), None, "{host:?}");
        }
        assert_eq!(to_https(Some(&"a.".repeat(200)), "/", 443), None);
    }

    #[test]
    fn a_path_that_is_not_one_is_refused() {
        for path in [
            "",
            "*",
            "a",
            "http://evil.example/",
            "@evil.example/",
            "/a\r\nb",
            "/a b",
            "/é",
            "/\0",
            "/\u{7f}",
        ] {
            assert_eq!(to_https(Some("a.example"), path, 443), None, "{path:?}");
        }
    }

    /// Half of them look like a host, so that many are accepted.
    fn any_host() -> impl Strategy<Value = String> {
        prop_oneof![".{0,40}", "[a-zA-Z0-9_-]{1,8}([.:@/%][a-z0-9-]{0,5}){0,2}"]
    }

    proptest! {
        #[test]
        fn whatever_comes_the_answer_is_a_url_of_that_host(
            host in any_host(),
            path in prop_oneof![".{0,40}", "[/@:?#%a-z.\\\\]{0,12}"],
            port in 1u16..,
        ) {
            // The `url` crate checks Punycode, which is the browser's business.
            prop_assume!(!host.to_ascii_lowercase().contains("xn--"));
            for path in [path.clone(), format!("/{path}"), format!("//{path}")] {
                if let Some(location) = to_https(Some(&host), &path, port) {
                    let url = url::Url::parse(&location).expect("a URL");
                    prop_assert_eq!(url.scheme(), "https");
                    prop_assert_eq!(url.port_or_known_default(), Some(port));
                    let shown = url.host_str().expect("a host");
                    prop_assert!(host.to_ascii_lowercase().starts_with(shown), "{} {}", host, shown);
                    prop_assert!(url.username().is_empty() && url.password().is_none());
                }
            }
        }
    }
}
