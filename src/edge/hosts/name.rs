//! The name of a host as requests and settings write it.

use std::borrow::Cow;

pub(super) use crate::net::names::typed;

/// The host of an authority (RFC 3986 section 3.2) as it is compared: lower case, no port, no dot at its end.
///
/// `None` if there is none.
pub(in crate::edge) fn of_authority(authority: &str) -> Option<Cow<'_, str>> {
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None => authority
            .split_once(':')
            .map_or(authority, |(host, _)| host),
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.is_empty() {
        return None;
    }
    Some(if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{of_authority, typed};

    #[test]
    fn a_host_is_compared_without_case_port_and_dot() {
        for (authority, expected) in [
            ("example.org", Some("example.org")),
            ("Example.ORG:8443", Some("example.org")),
            ("example.org.", Some("example.org")),
            ("example.org.:443", Some("example.org")),
            ("127.0.0.1:8443", Some("127.0.0.1")),
            ("[::1]:8443", Some("::1")),
            ("[::1]", Some("::1")),
            ("[::1", None),
            ("", None),
            (":443", None),
            (".", None),
        ] {
            assert_eq!(of_authority(authority).as_deref(), expected, "{authority}");
        }
    }

    #[test]
    fn a_name_is_taken_as_people_write_it_and_what_is_none_is_explained() {
        for (text, expected) in [
            ("files.example.org", Ok("files.example.org")),
            ("Files.Example.org.", Ok("files.example.org")),
            ("bücher.example", Ok("xn--bcher-kva.example")),
            ("pi", Ok("pi")),
            ("https://example.org", Err("an address")),
            ("example.org/files", Err("an address")),
            ("example.org:443", Err("port")),
            ("192.168.1.2", Err("number")),
            ("a b", Err("DNS")),
            ("", Err("DNS")),
            ("*.example.org", Err("DNS")),
            ("a..b", Err("DNS")),
            ("a..", Err("DNS")),
            (".", Err("DNS")),
        ] {
            match (typed(text), expected) {
                (Ok(name), Ok(expected)) => assert_eq!(name, expected),
                (Err(message), Err(word)) => assert!(message.contains(word), "{message}"),
                (got, _) => panic!("{text:?} gave {got:?}"),
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_taken_is_what_requests_will_have(text in "\\PC{0,40}|[a-zA-Z0-9.\\-ßüİ]{1,20}", port in 0u16..) {
            let of_text = of_authority(&text);
            prop_assert!(of_text.is_none_or(|host| !host.is_empty()));
            if let Ok(name) = typed(&text) {
                prop_assert_eq!(typed(&name).unwrap(), name.clone());
                let authority = format!("{}.:{port}", name.to_ascii_uppercase());
                prop_assert_eq!(of_authority(&authority).unwrap(), name);
            }
        }
    }
}
