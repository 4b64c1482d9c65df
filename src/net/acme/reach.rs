//! Whether an authority can find this machine by a name at all, as far as the DNS says so for certain: asked before the
//! authority is, which counts what it looks for in vain.

use std::net::{IpAddr, SocketAddr};

use url::{Host, Url};

use super::{
    Failure, FailureKind, account::authority_of, keeper::Wanted, names::is_of_own_network,
};
use crate::{
    base::is_global,
    net::dns::{self, Said},
};

/// Why no authority can find this machine by a name; `None` if it can, or nobody knows.
pub(super) async fn closed(name: &str, wanted: &Wanted) -> Option<Failure> {
    let is_own = is_of_own_network_at(authority_of(&wanted.settings));
    let check_at = &wanted.dns.check_at;
    // An authority of one's own network may ask other servers than the world does.
    if name.parse::<IpAddr>().is_ok() || (is_own && check_at.is_empty()) {
        return None;
    }
    let said = dns::said_by_zone(name, check_at).await;
    let why = why_closed(name, &said, is_own)?;
    Some(Failure::new(FailureKind::Name, why))
}

/// What is wrong, if all servers say so. An alias may lead to where they do not know.
fn why_closed(name: &str, said: &[(SocketAddr, Said)], is_own: bool) -> Option<String> {
    let (first, _) = said.first()?;
    let all = |is_so: fn(&Said) -> bool| said.iter().all(|(_, said)| is_so(said));
    if all(|said| matches!(said, Said::NoSuchName(None))) {
        return Some(format!(
            "there is no name {name} in the DNS ({first} says so), so no authority was asked; one that is asked for by \
             hand is ordered all the same"
        ));
    }
    let is_at_home = |said: &Said| match said {
        Said::Addresses(all) => all.iter().all(|address| !is_global(*address)),
        _ => false,
    };
    if is_own || !all(is_at_home) {
        return None;
    }
    let Said::Addresses(addresses) = &said[0].1 else {
        return None;
    };
    let address = addresses.first()?;
    Some(format!(
        "{name} leads to {address} alone, where nobody outside of that network gets, so no authority was asked"
    ))
}

/// Whether the authority at this address is one of one's own network: it may see what others do not.
pub(super) fn is_of_own_network_at(authority: &str) -> bool {
    let url = Url::parse(authority).ok();
    match url.as_ref().and_then(Url::host) {
        Some(Host::Domain(name)) => !name.contains('.') || is_of_own_network(name),
        Some(Host::Ipv4(address)) => !is_global(address.into()),
        Some(Host::Ipv6(address)) => !is_global(address.into()),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_certain_keeps_an_authority_from_being_asked() {
        let leads = |addresses: &[&str]| {
            Said::Addresses(addresses.iter().map(|a| a.parse().unwrap()).collect())
        };
        let missing = || Said::NoSuchName(None);
        let alias = || Said::NoSuchName(Some("b.example".into()));
        let (home, away) = (leads(&["192.168.1.5"]), leads(&["192.168.1.5", "9.9.9.9"]));
        for (said, is_own, words) in [
            (vec![], false, None),
            (vec![missing()], false, Some("there is no name a.example")),
            (vec![missing()], true, Some("there is no name a.example")),
            (vec![missing(), Said::NoAddress], false, None),
            (vec![missing(), leads(&["9.9.9.9"])], false, None),
            (vec![alias()], false, None),
            (vec![Said::NoAddress], false, None),
            (vec![Said::Failed("REFUSED".into())], false, None),
            (
                vec![home.clone()],
                false,
                Some("leads to 192.168.1.5 alone"),
            ),
            (vec![home.clone()], true, None),
            (vec![home.clone(), away], false, None),
            (vec![home, missing()], false, None),
        ] {
            let server: SocketAddr = "192.0.2.1:53".parse().unwrap();
            let all: Vec<_> = said.iter().map(|said| (server, said.clone())).collect();
            let why = why_closed("a.example", &all, is_own);
            assert_eq!(why.is_some(), words.is_some(), "{said:?}");
            let is_said = why.is_none_or(|why| why.contains(words.unwrap()));
            assert!(is_said, "{said:?}");
        }
    }

    #[test]
    fn an_authority_of_ones_own_network_is_told_from_one_of_the_internet() {
        for (authority, is_own) in [
            (authority_of(&super::super::Settings::default()), false),
            ("https://acme.zerossl.com/v2/DV90", false),
            ("https://localhost:14000/dir", true),
            ("https://ca/dir", true),
            ("https://ca.home.arpa/dir", true),
            ("https://10.0.0.5/dir", true),
            ("https://[fd00::5]/dir", true),
            ("https://9.9.9.9/dir", false),
        ] {
            assert_eq!(is_of_own_network_at(authority), is_own, "{authority}");
        }
    }
}
