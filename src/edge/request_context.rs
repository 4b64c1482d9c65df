//! What the edge knows of a request beside what is in it.

use std::net::{IpAddr, SocketAddr};

use actix_web::dev::ServiceRequest;

use crate::{
    auth::csrf::host_of,
    base::RequestId,
    net::trust::{self, TrustedProxies},
};

/// More addresses than any chain of proxies has.
const MAX_PROXIES: usize = 32;

/// One request, as the edge knows it.
pub(super) struct RequestContext {
    /// What the log calls it.
    pub(super) id: RequestId,
    /// The host that was asked for, with its port.
    pub(super) host: String,
    /// The proxy that passed it on, if we trust it.
    pub(super) trusted_proxy: Option<IpAddr>,
    /// Who asked, unless a proxy that we trust did not say it.
    pub(super) visitor: Option<IpAddr>,
    /// Whether that proxy said who the visitor is.
    pub(super) is_visitor_said: bool,
    /// The list in which proxies say who asks.
    pub(super) list: trust::List,
}

impl RequestContext {
    /// Takes a request in: from here on its peer is the visitor, also behind trusted proxies.
    pub(super) fn enter(
        request: &mut ServiceRequest,
        trusted: &TrustedProxies,
        id: RequestId,
    ) -> Self {
        let host = host_of(request.head()).unwrap_or_default().to_owned();
        let neighbour = request.peer_addr().map(|address| address.ip());
        let trusted_proxy = neighbour.filter(|address| trusted.contains(*address));
        let list = trusted.list();
        let visitor = trusted_proxy.and_then(|_| forwarded_for(request, list, trusted));
        if let Some(visitor) = visitor {
            request.head_mut().peer_addr = Some(SocketAddr::new(visitor, 0));
        }
        let is_unsaid = trusted_proxy.is_some() && visitor.is_none();
        Self {
            visitor: visitor.or(neighbour).filter(|_| !is_unsaid),
            id,
            host,
            trusted_proxy,
            is_visitor_said: visitor.is_some(),
            list,
        }
    }
}

/// The visitor's address as trusted proxies say it: the last one that is not theirs, because everything
/// before it may be the visitor's own invention, as the other list may be altogether.
fn forwarded_for(
    request: &ServiceRequest,
    list: trust::List,
    trusted: &TrustedProxies,
) -> Option<IpAddr> {
    let values = request.headers().get_all(list.name());
    // What is no text is no address, and hides what is before it.
    let said: Vec<_> = values
        .map(|value| String::from_utf8_lossy(value.as_bytes()))
        .collect();
    visitor_of(&said.join(","), trusted)
}

fn visitor_of(list: &str, trusted: &TrustedProxies) -> Option<IpAddr> {
    let mut farthest = None;
    for element in list.rsplit(',').take(MAX_PROXIES) {
        // What is no address hides all that is before it.
        let address = address_of(element)?;
        farthest = Some(address);
        if !trusted.contains(address) {
            break;
        }
    }
    farthest
}

/// The address in an element of either list: `1.2.3.4`, `[::1]:80`, `for="[::1]:80";proto=https`.
fn address_of(element: &str) -> Option<IpAddr> {
    let element = element.trim();
    let node = element
        .split(';')
        .find_map(|pair| {
            let (name, value) = pair.trim().split_once('=')?;
            name.trim()
                .eq_ignore_ascii_case("for")
                .then(|| value.trim())
        })
        .unwrap_or(element)
        .trim_matches('"');
    let plain = node.parse::<IpAddr>().ok();
    let with_port = || node.parse::<SocketAddr>().ok().map(|address| address.ip());
    let bracketed = || node.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    plain.or_else(with_port).or_else(bracketed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{MAX_PROXIES, TrustedProxies, trust, visitor_of};

    #[test]
    fn the_visitor_is_the_last_one_whom_no_trusted_proxy_is() {
        let settings: trust::Settings = toml::from_str("addresses = [\"10.0.0.0/8\"]").unwrap();
        let trusted = TrustedProxies::new(settings);
        for (list, expected) in [
            ("203.0.113.9", Some("203.0.113.9")),
            ("1.2.3.4, 203.0.113.9", Some("203.0.113.9")),
            ("203.0.113.9, 10.0.0.2, 10.0.0.3", Some("203.0.113.9")),
            ("10.0.0.9, 10.0.0.3", Some("10.0.0.9")),
            ("203.0.113.9:4711", Some("203.0.113.9")),
            ("for=203.0.113.9;proto=https", Some("203.0.113.9")),
            ("for=\"[2001:db8::1]:4711\"", Some("2001:db8::1")),
            ("For=\"[2001:db8::1]\";by=10.0.0.1", Some("2001:db8::1")),
            ("proto=https; for=203.0.113.9", Some("203.0.113.9")),
            ("1.2.3.4, nonsense", None),
            ("1.2.3.4, unknown, 10.0.0.1", None),
            ("", None),
        ] {
            let visitor = visitor_of(list, &trusted).map(|address| address.to_string());
            assert_eq!(visitor.as_deref(), expected, "{list}");
        }
    }

    proptest! {
        #[test]
        fn what_a_visitor_sends_does_not_change_who_they_are(said in ".*", proxies in 0usize..40) {
            let settings: trust::Settings = toml::from_str("addresses = [\"10.0.0.0/8\"]").unwrap();
            let trusted = TrustedProxies::new(settings);
            visitor_of(&said, &trusted);
            let list = format!("{said}, 203.0.113.9{}", ", 10.0.0.2".repeat(proxies));
            let visitor = visitor_of(&list, &trusted).unwrap().to_string();
            // A chain that is longer than any is cut off at a proxy.
            let expected = if proxies < MAX_PROXIES { "203.0.113.9" } else { "10.0.0.2" };
            prop_assert_eq!(visitor, expected);
        }
    }
}
