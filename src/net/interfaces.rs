//! Addresses of this machine's interfaces to which the internet leads, and that stay.

use std::{
    fs,
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

use crate::base::is_global;

/// Where Linux tells of IPv6 addresses with what becomes of them; if-addrs does not. `/proc/net` itself is hidden by
/// `ProcSubset=pid` of the service.
const IPV6: &str = "/proc/self/net/if_inet6";
/// Flags of an address (`linux/if_addr.h`): made for privacy and changing daily, not checked yet or found to be
/// another's too (RFC 4862 section 5.4), and on its way out (section 5.5.4).
const TEMPORARY: u8 = 0x01;
const OPTIMISTIC: u8 = 0x04;
const DOUBLE: u8 = 0x08;
const DEPRECATED: u8 = 0x20;
const TENTATIVE: u8 = 0x40;
/// It has no end: somebody has set it by hand.
const PERMANENT: u8 = 0x80;

/// IPv4 addresses that the internet leads to, in order.
pub(super) fn v4() -> Vec<Ipv4Addr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let addresses = interfaces.iter().map(if_addrs::Interface::ip);
    let mut all: Vec<Ipv4Addr> = addresses
        .filter(|address| is_global(*address))
        .filter_map(|address| match address {
            IpAddr::V4(v4) => Some(v4),
            IpAddr::V6(_) => None,
        })
        .collect();
    all.sort_unstable();
    all
}

/// IPv6 addresses that the internet leads to and that stay, best first; `None` if it is not known which there are.
pub(super) fn v6() -> Option<Vec<Ipv6Addr>> {
    told(Path::new(IPV6)).map(|text| stable(&text, None))
}

/// The same, of one interface only, with the number of that interface.
pub(super) fn v6_on(interface: &str) -> Option<(u32, Vec<Ipv6Addr>)> {
    let text = told(Path::new(IPV6))?;
    let index = entries(&text)
        .find(|entry| entry.interface == interface)?
        .index;
    Some((index, stable(&text, Some(interface))))
}

/// Whether this machine has an IPv6 address that the internet leads to, be it for a day; `None` if it is not known.
pub(super) fn has_v6() -> Option<bool> {
    told(Path::new(IPV6)).map(|text| entries(&text).any(|entry| is_global(entry.address.into())))
}

/// Whether this machine has an IPv4 address for others, be it one of a home.
pub(super) fn has_v4() -> bool {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    interfaces.iter().any(|one| match one.ip() {
        IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local(),
        IpAddr::V6(_) => false,
    })
}

/// What Linux tells. Without IPv6 there is no such file in the folder, and no address.
fn told(file: &Path) -> Option<String> {
    match fs::read_to_string(file) {
        Ok(text) => Some(text),
        Err(e) if e.kind() == ErrorKind::NotFound && file.parent()?.is_dir() => Some(String::new()),
        Err(_) => None,
    }
}

/// Those set by hand come first. Of one interface, or of all.
fn stable(text: &str, interface: Option<&str>) -> Vec<Ipv6Addr> {
    let bad = TEMPORARY | OPTIMISTIC | DOUBLE | DEPRECATED | TENTATIVE;
    let good = entries(text).filter(|entry| {
        entry.flags & bad == 0
            && is_global(entry.address.into())
            && interface.is_none_or(|interface| interface == entry.interface)
    });
    let mut all: Vec<(bool, Ipv6Addr)> = good
        .map(|entry| (entry.flags & PERMANENT == 0, entry.address))
        .collect();
    all.sort_unstable();
    all.dedup();
    all.into_iter().map(|(_, address)| address).collect()
}

/// An address, as Linux tells it.
struct Entry<'a> {
    address: Ipv6Addr,
    /// The number of its interface.
    index: u32,
    flags: u8,
    interface: &'a str,
}

/// Each line: 32 digits, then in hexadecimal the interface, the prefix, the scope, the flags, and its name.
fn entries(text: &str) -> impl Iterator<Item = Entry<'_>> {
    text.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [digits, index, _prefix, _scope, flags, interface] = words[..] else {
            return None;
        };
        Some(Entry {
            address: address(digits)?,
            index: u32::from_str_radix(index, 16).ok()?,
            flags: u8::from_str_radix(flags, 16).ok()?,
            interface,
        })
    })
}

/// An IPv6 address as Linux prints it: 32 digits.
pub(super) fn address(digits: &str) -> Option<Ipv6Addr> {
    let number = (digits.len() == 32).then(|| u128::from_str_radix(digits, 16).ok());
    number.flatten().map(Ipv6Addr::from)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{entries, stable, told};

    const TEXT: &str = "\
        00000000000000000000000000000001 01 80 10 80       lo\n\
        fe800000000000000123456789abcdef 02 40 20 80     eth0\n\
        fd000000000000000123456789abcdef 02 40 00 00     eth0\n\
        2a0014500000000000000000000000aa 02 40 00 01     eth0\n\
        2a0014500000000000000000000000bb 02 40 00 20     eth0\n\
        2a0014500000000000000000000000cc 02 40 00 40     eth0\n\
        2a0014500000000000000000000000dd 02 40 00 08     eth0\n\
        2a0014500000000000000000000000ff 02 40 00 00     eth0\n\
        2a0014500000000000000000000000ee 02 40 00 00     eth0\n\
        2a00145000000000000000000000ffff 03 80 00 80     eth1\n\
        20010db8000000000000000000000001 03 80 00 80     eth1\n";

    #[test]
    fn addresses_that_change_end_or_lead_nowhere_are_left_out() {
        let found = |interface| -> Vec<String> {
            let all = stable(TEXT, interface);
            all.iter().map(ToString::to_string).collect()
        };
        assert_eq!(
            found(None),
            ["2a00:1450::ffff", "2a00:1450::ee", "2a00:1450::ff"]
        );
        assert_eq!(found(Some("eth0")), ["2a00:1450::ee", "2a00:1450::ff"]);
    }

    #[test]
    fn what_cannot_be_read_is_not_known_and_no_file_is_no_address() {
        let dir = tempfile::TempDir::new().unwrap();
        let file = dir.path().join("if_inet6");
        assert_eq!(told(&file).as_deref(), Some(""));
        std::fs::write(&file, TEXT).unwrap();
        assert_eq!(told(&file).as_deref(), Some(TEXT));
        assert_eq!(told(&dir.path().join("hidden/if_inet6")), None);
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "[0-9a-f \n\\PC]{0,200}") {
            let _ = entries(&text).count();
        }
    }
}
