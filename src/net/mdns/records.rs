//! What this machine says of itself: its addresses, and that there is a website.

use std::net::IpAddr;

use domain::base::{Name, NameBuilder, Rtype};

use super::message::{Owner, Record};

/// For what changes with the machine's addresses (RFC 6762 section 10).
const HOST_TTL_S: u32 = 120;
/// For everything else: 75 minutes (the same section).
const OTHER_TTL_S: u32 = 75 * 60;
/// What websites are found by (RFC 6763 section 7).
const SERVICE: &str = "_https._tcp.local";
/// What kinds of services are found by (RFC 6763 section 9).
const KINDS: &str = "_services._dns-sd._udp.local";
/// Where the website begins (RFC 6763 section 6; the key is that of `_http._tcp`).
const PATH: &[u8] = b"\x06path=/";

/// Names under which this machine is found.
#[derive(Clone, Debug)]
pub(super) struct OurNames {
    /// `pi.local`
    pub(super) host: Owner,
    /// `Webstead on pi._https._tcp.local`
    pub(super) instance: Owner,
    /// `_https._tcp.local`
    pub(super) service: Owner,
    /// `_services._dns-sd._udp.local`
    pub(super) kinds: Owner,
}

impl OurNames {
    /// Of a machine with this name, which is one label of a DNS name; `other` is there if another website has its
    /// name already.
    pub(super) fn new(host: &str, other: Option<u32>) -> Self {
        let number = other.map_or(String::new(), |number| format!(" ({number})"));
        let instance = format!("Webstead on {host}{number}");
        // A label has 63 bytes at most (RFC 1035 section 2.3.4); the name is ASCII.
        let instance = &instance.as_bytes()[..instance.len().min(63)];
        let mut name = NameBuilder::new_vec();
        name.append_label(instance).expect("a label of 63 bytes");
        let service: Owner = SERVICE.parse().expect("a name");
        Self {
            host: format!("{host}.local").parse().expect("a label is a name"),
            instance: name.append_origin(&service).expect("a short name"),
            service,
            kinds: KINDS.parse().expect("a name"),
        }
    }

    /// Where it is.
    pub(super) fn addresses(&self, addresses: &[IpAddr]) -> Vec<Record> {
        let record = |address: &IpAddr| {
            let (kind, data) = match address {
                IpAddr::V4(v4) => (Rtype::A, v4.octets().to_vec()),
                IpAddr::V6(v6) => (Rtype::AAAA, v6.octets().to_vec()),
            };
            unique(&self.host, kind, HOST_TTL_S, data)
        };
        addresses.iter().map(record).collect()
    }

    /// Where its website is, and what else there is to say of it (RFC 2782, RFC 6763 section 6).
    pub(super) fn website(&self, port: u16) -> Vec<Record> {
        let mut data = vec![0, 0, 0, 0];
        data.extend(port.to_be_bytes());
        data.extend(self.host.as_slice());
        vec![
            unique(&self.instance, Rtype::SRV, HOST_TTL_S, data),
            unique(&self.instance, Rtype::TXT, OTHER_TTL_S, PATH.to_vec()),
        ]
    }

    /// That there is a website.
    pub(super) fn in_the_list(&self) -> Record {
        shared(&self.service, &self.instance)
    }

    /// That there are websites.
    pub(super) fn in_the_list_of_kinds(&self) -> Record {
        shared(&self.kinds, &self.service)
    }

    /// That one of its names has these kinds of records and no other (RFC 6762 section 6.1).
    pub(super) fn nothing_but(owner: &Owner, kinds: &[Rtype]) -> Record {
        let last = kinds.iter().map(|kind| kind.to_int()).max();
        let mut bits = vec![0u8; usize::from(last.unwrap_or(0) / 8) + 1];
        for kind in kinds {
            bits[usize::from(kind.to_int() / 8)] |= 0x80 >> (kind.to_int() % 8);
        }
        let mut data = owner.as_slice().to_vec();
        data.push(0);
        data.push(u8::try_from(bits.len()).expect("kinds below 256"));
        data.extend(bits);
        unique(owner, Rtype::NSEC, HOST_TTL_S, data)
    }
}

fn unique(owner: &Owner, kind: Rtype, ttl_s: u32, data: Vec<u8>) -> Record {
    Record {
        owner: owner.clone(),
        kind,
        is_unique: true,
        ttl_s,
        data,
    }
}

/// A record that others have too.
fn shared(owner: &Owner, leads_to: &Name<Vec<u8>>) -> Record {
    Record {
        owner: owner.clone(),
        kind: Rtype::PTR,
        is_unique: false,
        ttl_s: OTHER_TTL_S,
        data: leads_to.as_slice().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_and_its_website_have_names() {
        let names = OurNames::new("pi", None);
        assert_eq!(names.host.to_string(), "pi.local");
        assert!(names.instance.to_string().ends_with("._https._tcp.local"));
        let second = OurNames::new(&"a".repeat(63), Some(2));
        assert_eq!(second.instance.first().len(), 63);
    }

    #[test]
    fn what_is_not_there_is_said_by_what_is() {
        let names = OurNames::new("pi", None);
        // RFC 4034 section 4.1.2: A is bit 1 of the first byte, AAAA bit 4 of the fourth.
        let record = OurNames::nothing_but(&names.host, &[Rtype::A, Rtype::AAAA]);
        assert!(record.data.ends_with(&[0, 4, 0x40, 0, 0, 0x08]));
    }
}
