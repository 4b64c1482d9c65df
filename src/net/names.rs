//! Names: those under which this machine can be reached on its own network, and those that people type.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{PoisonError, RwLock},
};

use rustls::pki_types::{DnsName, ServerName};
use serde::{Deserialize, Serialize};

use super::mdns::Label;
pub use super::typed::{not_a_host_name, typed};

/// A DNS name in lower case, or an IP address.
pub type Name = ServerName<'static>;

/// Every name and address of this machine, without duplicates, in an order that stays the same:
/// `localhost`, the host name, NAME`.local` (RFC 6762), `127.0.0.1`, `::1`, then the addresses of its
/// interfaces, IPv4 before IPv6. Behind NAME`.local` is HOST`.local`, if the owner chose another name.
///
/// A host name that is not a valid DNS name is left out, and so is what the system does not tell.
/// Link-local IPv6 addresses are left out too: no browser can open one, because a URL cannot say which
/// interface it is on, and they come and go with every virtual interface.
pub fn local_names(local: &LocalName) -> Vec<Name> {
    let addresses = interfaces(": the certificate will not have them");
    let addresses = addresses.iter().map(if_addrs::Interface::ip);
    names_of(&host_name(), local, addresses)
}

/// The same without the addresses of interfaces that are down, such as one whose cable is out: nobody reaches those.
pub fn names_in_reach(local: &LocalName) -> Vec<Name> {
    names_of(&host_name(), local, own_addresses_in_reach())
}

/// The addresses of this machine but for those that are down, as the system lists them.
pub fn own_addresses_in_reach() -> Vec<IpAddr> {
    in_reach(&interfaces(""))
}

fn in_reach(interfaces: &[if_addrs::Interface]) -> Vec<IpAddr> {
    let up = interfaces.iter().filter(|one| one.is_oper_up());
    up.map(if_addrs::Interface::ip).collect()
}

/// The interfaces as the system lists them; if it does not, that is logged with what comes of it.
fn interfaces(consequence: &str) -> Vec<if_addrs::Interface> {
    if_addrs::get_if_addrs().unwrap_or_else(|e| {
        log::warn!("the addresses of this machine cannot be listed ({e}){consequence}");
        Vec::new()
    })
}

/// What this machine is called on its own network, without `.local`.
#[derive(Debug)]
pub struct LocalName {
    wanted: String,
    now: RwLock<String>,
}

impl LocalName {
    /// What the owner chose, or as the system calls the machine.
    pub fn new(chosen: Option<&Label>) -> Self {
        Self::of(chosen, &host_name())
    }

    fn of(chosen: Option<&Label>, host: &str) -> Self {
        let of_system = || Label::try_from(first_label(host).to_owned()).ok();
        let label = chosen.cloned().or_else(of_system);
        // A machine that has no name, or one that every machine has, is not found by it.
        let label = label.map_or_else(String::new, String::from);
        let wanted = match label.as_str() {
            "" | "localhost" => "webstead".to_owned(),
            _ => label,
        };
        Self {
            now: RwLock::new(wanted.clone()),
            wanted,
        }
    }

    /// What it is to be called.
    pub fn wanted(&self) -> &str {
        &self.wanted
    }

    /// What it is called: with a number if another machine has the wanted name.
    pub fn now(&self) -> String {
        let now = self.now.read().unwrap_or_else(PoisonError::into_inner);
        now.clone()
    }

    /// It is called so from now on; says whether that is something else.
    pub(super) fn replace(&self, name: &str) -> bool {
        let mut now = self.now.write().unwrap_or_else(PoisonError::into_inner);
        let is_other = *now != name;
        name.clone_into(&mut now);
        is_other
    }
}

/// Of a host name, what it is called on its own network.
fn first_label(host: &str) -> &str {
    host.split('.').next().unwrap_or_default()
}

/// What the system calls this machine, in lower case; may be empty and need not be a valid DNS name.
pub(super) fn host_name() -> String {
    gethostname::gethostname()
        .to_string_lossy()
        .trim_end_matches('.')
        .to_ascii_lowercase()
}

/// [`local_names`] of a machine with this host name and these addresses.
pub(super) fn names_of(
    host: &str,
    local: &LocalName,
    addresses: impl IntoIterator<Item = IpAddr>,
) -> Vec<Name> {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let mut dns = vec![
        "localhost".to_owned(),
        host.clone(),
        format!("{}.local", local.now()),
    ];
    // If the owner chose another name, the system may announce its own; otherwise that is another machine now.
    if local.wanted() != first_label(&host) {
        dns.push(format!("{}.local", first_label(&host)));
    }
    let mut names: Vec<Name> = dns
        .into_iter()
        .filter_map(|name| DnsName::try_from(name).ok())
        .map(Name::DnsName)
        .collect();

    let mut ips: Vec<IpAddr> = addresses
        .into_iter()
        .map(|ip| ip.to_canonical())
        .filter(|ip| !ip.is_unspecified() && !ip.is_multicast())
        .filter(|ip| !matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local()))
        .collect();
    ips.sort_unstable();
    names.extend(
        [
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
        ]
        .map(Name::from),
    );
    names.extend(ips.into_iter().map(Name::from));

    let mut unique: Vec<Name> = Vec::with_capacity(names.len());
    for name in names {
        if !unique.contains(&name) {
            unique.push(name);
        }
    }
    unique
}

/// Whether a name is a zone's own or below it, both in lower case.
pub(super) fn is_in(name: &str, zone: &str) -> bool {
    let above = name.strip_suffix(zone);
    above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
}

/// A name of [`typed`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DomainName(String);

impl DomainName {
    /// In lower case, as requests have it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for DomainName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        typed(&text).map(Self)
    }
}

impl From<DomainName> for String {
    fn from(name: DomainName) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use if_addrs::{IfAddr, IfOperStatus, Ifv4Addr, Interface};

    use super::{LocalName, in_reach, local_names, names_of};

    #[test]
    fn an_address_of_an_interface_that_is_down_is_not_named() {
        let interface = |last: u8, oper_status| Interface {
            name: format!("eth{last}"),
            addr: IfAddr::V4(Ifv4Addr {
                ip: [192, 168, 1, last].into(),
                netmask: [255, 255, 255, 0].into(),
                prefixlen: 24,
                broadcast: None,
            }),
            index: Some(last.into()),
            oper_status,
            is_p2p: false,
        };
        let all = [
            interface(1, IfOperStatus::Up),
            interface(2, IfOperStatus::Down),
        ];
        let found: Vec<String> = in_reach(&all).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["192.168.1.1"]);
    }

    fn shown(host: &str, addresses: &[&str]) -> Vec<String> {
        shown_of(
            host,
            &LocalName::of(None, &host.to_ascii_lowercase()),
            addresses,
        )
    }

    fn shown_of(host: &str, local: &LocalName, addresses: &[&str]) -> Vec<String> {
        names_of(host, local, addresses.iter().map(|a| a.parse().unwrap()))
            .iter()
            .map(|name| name.to_str().into_owned())
            .collect()
    }

    const LOOPBACK: [&str; 2] = ["127.0.0.1", "::1"];

    #[test]
    fn names_come_in_one_order_and_once() {
        let expected = [
            "localhost",
            "pi",
            "pi.local",
            "127.0.0.1",
            "::1",
            "10.0.0.2",
            "192.168.1.20",
            "fd00::5",
        ];
        let addresses = [
            "192.168.1.20",
            "::1",
            "fd00::5",
            "10.0.0.2",
            "127.0.0.1",
            "192.168.1.20",
            "fe80::1",
            "::",
        ];
        assert_eq!(shown("Pi", &addresses), expected);
        let mut reversed = addresses;
        reversed.reverse();
        assert_eq!(shown("pi.", &reversed), expected);
    }

    #[test]
    fn a_host_name_gives_the_names_that_dns_allows() {
        let long = "a".repeat(64);
        for (host, expected) in [
            (
                "box.example.org",
                vec!["localhost", "box.example.org", "box.local"],
            ),
            ("pi.local", vec!["localhost", "pi.local"]),
            (
                "localhost",
                vec!["localhost", "webstead.local", "localhost.local"],
            ),
            ("", vec!["localhost", "webstead.local"]),
            ("mein rechner", vec!["localhost", "webstead.local"]),
            ("größe", vec!["localhost", "webstead.local"]),
            ("a\r\nb", vec!["localhost", "webstead.local"]),
            ("*", vec!["localhost", "webstead.local"]),
            (&long, vec!["localhost", "webstead.local"]),
        ] {
            let mut expected = expected;
            expected.extend(LOOPBACK);
            assert_eq!(shown(host, &[]), expected, "{host:?}");
        }
    }

    #[test]
    fn what_another_machine_has_is_no_name_of_this_one() {
        let local = LocalName::of(None, "pi");
        assert!(local.replace("pi-2"));
        let names = shown_of("pi", &local, &[]);
        assert_eq!(names[..3], ["localhost", "pi", "pi-2.local"]);
        assert_eq!(names.len(), 3 + LOOPBACK.len());
        let chosen = "blog".to_owned().try_into().unwrap();
        let names = shown_of("pi", &LocalName::of(Some(&chosen), "pi"), &[]);
        assert_eq!(names[2..4], ["blog.local", "pi.local"]);
    }

    #[test]
    fn this_machine_has_at_least_its_loopback_names() {
        let names: Vec<String> = local_names(&LocalName::new(None))
            .iter()
            .map(|n| n.to_str().into_owned())
            .collect();
        assert!(
            ["localhost", "127.0.0.1", "::1"]
                .iter()
                .all(|n| names.contains(&(*n).to_owned())),
            "{names:?}"
        );
    }
}
