//! Names that people type, and what is wrong with those that are none.

use std::net::IpAddr;

use rustls::pki_types::DnsName;

use crate::base::one_line;

/// Characters that are shown of what was typed.
const MOST_SHOWN: usize = 80;

/// A name that somebody typed, in the form that requests have: `Bücher.example` is `xn--bcher-kva.example`
/// (IDNA, UTS 46).
///
/// # Errors
/// What is wrong with it, and what to write.
pub fn typed(text: &str) -> Result<String, String> {
    if let Some(name) = name_in(text) {
        return Ok(name);
    }
    let shown = one_line(text, MOST_SHOWN);
    let why = why_not(text);
    Err(match meant_by(text) {
        Some(name) => format!("{shown:?} {why}; the name in it is {name:?}: write that alone"),
        None => format!("{shown:?} {why}; write a name such as \"files.example.org\""),
    })
}

/// Why a name of [`typed`] is none of a host, in a sentence with what to do (RFC 952, RFC 1123 section 2.1): the DNS has
/// such names, and authorities certify none.
pub fn not_a_host_name(name: &str) -> Option<String> {
    name.contains('_').then(|| {
        format!(
            "{name} has a _ in it, which no host name may have: authorities certify no such name; write a dash (-) \
             instead, here and at the DNS provider"
        )
    })
}

fn name_in(text: &str) -> Option<String> {
    match url::Host::parse(text.strip_suffix('.').unwrap_or(text)) {
        // The dot of "a." may have been one too many: "a..".
        Ok(url::Host::Domain(name)) if !name.ends_with('.') => {
            DnsName::try_from(name.as_str()).is_ok().then_some(name)
        }
        _ => None,
    }
}

/// What is wrong with a text that is no name.
fn why_not(text: &str) -> &'static str {
    let bare = text.trim_matches(['[', ']']);
    let labels = || text.split('.');
    let is_number =
        bare.parse::<IpAddr>().is_ok() || matches!(url::Host::parse(text), Ok(url::Host::Ipv4(_)));
    if text.trim().is_empty() {
        "is empty, which is no name that DNS has"
    } else if is_number {
        "is a number, an IP address; browsers ask for a host by its name"
    } else if text.contains("://") || text.contains(['/', '\\']) {
        "is an address and not a name, which is without https:// and slashes"
    } else if text.contains('@') {
        "is a mail address and not a name"
    } else if text.contains(':') {
        "has a port, and all hosts have the same one"
    } else if text.contains(char::is_whitespace) {
        "has a space in it, which DNS allows in no name"
    } else if text.contains('*') {
        "has a * in it, which DNS allows in no name of one host"
    } else if text.starts_with('.') || text.contains("..") {
        "begins with a dot or has two in a row, which DNS does not allow"
    } else if text.len() > 253 || labels().any(|label| label.len() > 63) {
        "is too long: DNS allows 63 characters from dot to dot, and 253 in all"
    } else if labels().any(|label| label.starts_with('-') || label.ends_with('-')) {
        "has a part that begins or ends with a dash, which DNS does not allow"
    } else if labels().any(|label| {
        label
            .get(..4)
            .is_some_and(|four| four.eq_ignore_ascii_case("xn--"))
    }) {
        "has a part with xn-- that stands for no letters, so it is not a name that DNS allows"
    } else {
        "has a character that is in no name that DNS allows"
    }
}

/// The name of a host in what was pasted: an address of a page, a mail address, a name with spaces around it.
fn meant_by(text: &str) -> Option<String> {
    let text = text.trim();
    let text = text.split_once("://").map_or(text, |(_, behind)| behind);
    let text = text.trim_start_matches('/');
    let end = text.find(['/', '\\', '?', '#']).unwrap_or(text.len());
    let text = text[..end].rsplit('@').next().unwrap_or_default();
    let host = match text.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => text,
    };
    name_in(host.trim_matches('.')).filter(|name| name.contains('.'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{meant_by, typed};

    #[test]
    fn what_is_typed_or_pasted_wrongly_is_told_once_with_what_to_write() {
        let long = format!("{}.example", "a".repeat(64));
        let longer = "a.".repeat(150) + "example";
        let meant = "the name in it is \"example.org\"";
        for (text, why, remedy) in [
            ("https://example.org", "an address", meant),
            ("https://example.org/blog?x#y", "an address", meant),
            ("HTTPS://Example.ORG:8443/", "an address", meant),
            ("//example.org", "an address", meant),
            ("example.org/blog", "an address", meant),
            (
                "https://www.example.org",
                "an address",
                "\"www.example.org\"",
            ),
            ("https://192.168.1.1/", "an address", "such as"),
            ("https://ada:secret@example.org/", "an address", meant),
            ("ada@example.org", "a mail address", meant),
            ("mailto:ada@example.org", "a mail address", meant),
            ("example.org:8443", "a port", meant),
            ("192.168.1.1", "a number", "such as"),
            ("192.168.1", "a number", "such as"),
            ("0x7f.1", "a number", "such as"),
            ("::1", "a number", "such as"),
            ("[2001:db8::1]", "a number", "such as"),
            ("192.168.1.1:443", "a port", "such as"),
            (" example.org ", "a space", meant),
            ("exam ple.org", "a space", "such as"),
            ("a\u{a0}b.example", "a space", "such as"),
            ("", "is empty", "such as"),
            ("*.example.org", "a *", "such as"),
            ("a..b", "two in a row", "such as"),
            (".example.org", "begins with a dot", meant),
            ("example.org..", "two in a row", meant),
            (".", "begins with a dot", "such as"),
            (&long, "too long", "such as"),
            (&longer, "too long", "such as"),
            ("-a.example", "a dash", "such as"),
            ("a-.example", "a dash", "such as"),
            ("xn--zzzzzzzzz.example", "stands for no letters", "such as"),
            ("exam%ple.org", "a character", "such as"),
            ("<b>.example", "a character", "such as"),
            ("a\u{202e}b.example", "a character", "such as"),
        ] {
            let said = typed(text).unwrap_err();
            assert!(
                said.contains(why) && said.contains(remedy),
                "{text:?}: {said}"
            );
            assert_eq!(
                said.matches("; write").count() + said.matches(": write").count(),
                1,
                "{said}"
            );
            assert!(said.len() < 300 && !said.contains('\u{202e}'), "{said}");
        }
        for (text, name) in [
            ("Example.ORG.", "example.org"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("bücher。example", "xn--bcher-kva.example"),
            ("pi", "pi"),
            ("my_pi.example", "my_pi.example"),
        ] {
            assert_eq!(typed(text).as_deref(), Ok(name), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_pasted_what_is_suggested_is_a_name(text in "\\PC{0,40}|[a-z0-9.:/@ \\-]{0,30}") {
            if let Some(name) = meant_by(&text) {
                prop_assert_eq!(typed(&name), Ok(name.clone()));
            }
            let _ = typed(&text);
        }
    }
}
