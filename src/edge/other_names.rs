//! Where the site is really, for a request that has another of its names, or its own in another spelling.

use super::hosts::name_of_authority;
use crate::base::Names;

/// The `Location` for a request with this authority (RFC 3986 section 3.2), if it is to be led away. The port stays, so
/// that it is the one that the visitor has reached.
pub(super) fn location(names: &Names, authority: &str, target: &str) -> Option<String> {
    let name = name_of_authority(authority)?;
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, ""));
    // With the dot of a whole name (RFC 1034 section 3.1) it is another site for browsers, with other cookies.
    let own = || names.all().find(|own| host.ends_with('.') && *own == name);
    let domain = names.leads_from(&name).or_else(own)?;
    let port = match port {
        "" | "443" => String::new(),
        port => format!(":{port}"),
    };
    Some(format!("https://{domain}{port}{target}"))
}

#[cfg(test)]
mod tests {
    use super::{Names, location};

    #[test]
    fn other_names_and_the_own_one_with_a_dot_lead_to_the_domain() {
        let names = Names {
            domain: Some("example.net".to_owned()),
            also: vec!["other.example".to_owned()],
            next: Some("next.example".to_owned()),
        };
        for (authority, expected) in [
            ("example.net", None),
            ("example.net:8443", None),
            ("EXAMPLE.net", None),
            ("example.net.", Some("https://example.net/a?b")),
            ("Example.net.:443", Some("https://example.net/a?b")),
            ("example.net.:8443", Some("https://example.net:8443/a?b")),
            ("www.example.net", Some("https://example.net/a?b")),
            (
                "www.example.net.:8443",
                Some("https://example.net:8443/a?b"),
            ),
            ("other.example:", Some("https://example.net/a?b")),
            ("next.example", None),
            ("next.example.", Some("https://next.example/a?b")),
            ("pi.local.", None),
            ("[::1]:8443", None),
            (".", None),
        ] {
            let found = location(&names, authority, "/a?b");
            assert_eq!(found.as_deref(), expected, "{authority}");
        }
    }
}
