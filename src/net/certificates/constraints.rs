//! What the local authority may speak for, so that trusting it risks nothing else.

use rcgen::{CidrSubnet, GeneralSubtree, NameConstraints};
use rustls::pki_types::ServerName;

use crate::net::names::is_in;

/// The networks that the authority may speak for.
///
/// 100.64.0.0/10 is one of them though neighbours behind the same provider may share it: overlay networks such as
/// Tailscale give each device of an owner an address of it, and by that address such a site is opened from elsewhere.
/// Whoever has the key of the authority could speak for addresses of strangers there; but so they could for those of
/// 10.0.0.0/8 in each network that a device is taken to, and neither are addresses that anybody opens a bank by.
const NETWORKS: [(&str, u8); 9] = [
    ("127.0.0.0", 8),    // RFC 1122: loopback
    ("10.0.0.0", 8),     // RFC 1918: private
    ("172.16.0.0", 12),  // RFC 1918
    ("192.168.0.0", 16), // RFC 1918
    ("169.254.0.0", 16), // RFC 3927: link-local
    ("100.64.0.0", 10),  // RFC 6598: shared by providers, and by overlay networks
    ("::1", 128),        // RFC 4291: loopback
    ("fe80::", 10),      // RFC 4291: link-local
    ("fc00::", 7),       // RFC 4193: private
];

/// Whether an authority that is made for this host now may speak for a name, in lower case.
pub(super) fn would_permit(host: &str, name: &str) -> bool {
    name == host || is_in(name, "local") || is_in(name, "localhost")
}

/// The names that an authority of this host may speak for.
pub(super) fn for_host(host: &str) -> NameConstraints {
    let mut permitted: Vec<_> = ["local", "localhost"]
        .map(|name| GeneralSubtree::DnsName(name.to_owned()))
        .into();
    permitted.extend(NETWORKS.iter().map(|(address, prefix)| {
        let address = address.parse().expect("NETWORKS holds addresses");
        GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(address, *prefix))
    }));
    let mut excluded = Vec::new();
    let is_covered = ["local", "localhost"]
        .iter()
        .any(|n| host == *n || host.ends_with(&format!(".{n}")));
    let is_dns_name = matches!(ServerName::try_from(host), Ok(ServerName::DnsName(_)));
    if is_dns_name && !is_covered {
        permitted.push(GeneralSubtree::DnsName(host.to_owned()));
        // A permitted name permits what is below it. A machine named `dev` or `app` would have an authority
        // over a whole top-level domain: so what is below the name is excluded.
        excluded.push(GeneralSubtree::DnsName(format!(".{host}")));
    }
    NameConstraints {
        permitted_subtrees: permitted,
        excluded_subtrees: excluded,
    }
}
