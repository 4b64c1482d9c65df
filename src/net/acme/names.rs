//! Which names an authority can be asked about.

use std::net::IpAddr;

use super::{CertificateName, Settings, keeper::Wanted};
use crate::{base::is_global, net::names::is_in};

/// Names that no authority of the internet knows (RFC 6761, RFC 6762, RFC 7686, RFC 8375, and the list of ICANN's
/// special-use domains).
const NEVER: [&str; 5] = ["local", "localhost", "invalid", "onion", "alt"];
/// Names that an authority of one's own network may know.
const OWN_NETWORK: [&str; 5] = ["home.arpa", "internal", "test", "example", "lan"];

/// Whether the authority of these settings can be asked about this name, in lower case.
///
/// An authority that is not the usual one may be of one's own network and know names of it.
pub fn is_public(name: &str, settings: &Settings) -> bool {
    let name = name.strip_prefix("*.").unwrap_or(name);
    if let Ok(address) = name.parse::<IpAddr>() {
        return settings.authority.is_some() || is_global(address);
    }
    let is_own = settings.authority.is_none() && is_below(name, &OWN_NETWORK);
    name.contains('.') && !is_below(name, &NEVER) && !is_own
}

/// Whether the DNS may know a name, whoever certifies it: some networks have names of their own there.
pub fn may_be_in_dns(name: &str) -> bool {
    name.contains('.') && name.parse::<IpAddr>().is_err() && !is_below(name, &NEVER)
}

/// Whether a name is one that the internet does not know, and one's own network may.
pub(super) fn is_of_own_network(name: &str) -> bool {
    is_below(name, &OWN_NETWORK) || is_below(name, &NEVER)
}

/// Whether one of these is `*.` and what is above this name.
pub(super) fn covered_by_star(name: &str, all: &[CertificateName]) -> bool {
    let star = name.split_once('.').map(|(_, above)| format!("*.{above}"));
    !name.starts_with("*.") && all.iter().any(|one| Some(one.as_str()) == star.as_deref())
}

/// Whether a name is one of these, or below one.
fn is_below(name: &str, ends: &[&str]) -> bool {
    ends.iter().any(|end| is_in(name, end))
}

/// Every name that is wanted, once.
pub(super) fn all_names(wanted: &Wanted) -> Vec<String> {
    let more = wanted
        .settings
        .names
        .iter()
        .map(|name| name.as_str().to_owned());
    let mut names: Vec<String> = Vec::new();
    for name in wanted.names.iter().cloned().chain(more) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::{Settings, is_public};

    #[test]
    fn only_names_that_the_internet_knows_are_asked_for() {
        let usual = Settings::default();
        let own = Settings {
            authority: Some("https://ca.home.arpa/directory".parse().unwrap()),
            ..Settings::default()
        };
        for (name, with_usual, with_own) in [
            ("example.org", true, true),
            ("*.example.org", true, true),
            ("xn--bcher-kva.de", true, true),
            ("pi.local", false, false),
            ("localhost", false, false),
            ("pi", false, false),
            ("a.onion", false, false),
            ("pi.home.arpa", false, true),
            ("a.internal", false, true),
            ("a.test", false, true),
            ("notlocal.org", true, true),
            ("8.8.8.8", true, true),
            ("192.168.1.5", false, true),
        ] {
            assert_eq!(is_public(name, &usual), with_usual, "{name}");
            assert_eq!(is_public(name, &own), with_own, "{name}");
        }
    }
}
