//! The machine's place in its network: its own addresses, and the way out.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};

use super::facts::{Firewall, Home, Known, Router};
use crate::{
    base::{is_global, is_shared},
    net::{dns::follow::Report, router::Gateway},
};

/// A host of the internet that is nobody's (RFC 5737). A datagram socket that is connected to it has the address from
/// which it would send; nothing is sent.
const SOMEBODY: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 9);

/// Looks at this machine.
pub(super) fn look() -> Home {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let interfaces = interfaces.into_iter().map(|interface| interface.ip());
    let is_link_local = |ip: &IpAddr| matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local());
    let interfaces = interfaces.filter(|ip| !ip.is_loopback() && !is_link_local(ip));
    Home {
        interfaces: interfaces.collect(),
        outward: outward(),
        gateway: Gateway::find().ok().map(|found| IpAddr::V4(found.address)),
        router: Router::default(),
        firewall: Firewall::default(),
        follows: false,
        known: None,
    }
}

/// What dynamic DNS has found out of the IPv4 address; `is_watched`: whether a server runs that looks again and again.
pub(super) fn known(report: &Report, is_watched: bool) -> Option<Known> {
    let mut had = report.addresses.iter().filter(|(ip, _)| ip.is_ipv4());
    let Some(now) = report.v4.address else {
        return had.next().map(|(address, since)| Known {
            address: *address,
            since: Some(*since),
            is_now: false,
        });
    };
    Some(Known {
        address: now,
        since: had.find(|(ip, _)| *ip == now).map(|(_, since)| *since),
        is_now: is_watched,
    })
}

fn outward() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(SOMEBODY).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_unspecified()).then_some(address)
}

/// The address under which the internet finds this home over IPv4, as far as that is known.
pub(super) fn public_v4(home: &Home) -> Option<IpAddr> {
    let of_router = home.router.external.filter(|address| is_global(*address));
    let of_machine = home.outward.filter(|address| is_global(*address));
    of_router
        .or(of_machine)
        .or(seen_outside(home).map(|known| known.address))
}

/// The addresses under which the internet finds this home, one of IPv4 and one of IPv6 at most: where the router has one
/// and the machine another, as with a VPN, none of them is new because of the other. What answers as this site may be a
/// proxy in front, whose address is not this home's.
pub(super) fn own(home: &Home) -> Vec<IpAddr> {
    let says = home.router.external.into_iter().chain(home.outward);
    let all: Vec<IpAddr> = public_v4(home).into_iter().chain(says).collect();
    let first = |is_v4: bool| {
        let mut alike = all.iter().filter(|ip| ip.is_ipv4() == is_v4);
        alike.find(|ip| is_global(**ip)).copied()
    };
    first(true).into_iter().chain(first(false)).collect()
}

/// What dynamic DNS has found out, where neither the router nor the machine says it. One that the provider shares among
/// homes is nobody's.
pub(super) fn seen_outside(home: &Home) -> Option<Known> {
    let says = home.router.external.into_iter().chain(home.outward);
    if says.into_iter().any(|ip| is_global(ip) || is_shared(ip)) {
        return None;
    }
    home.known.filter(|known| known.is_now)
}

#[cfg(test)]
mod tests {
    use super::{Home, own};

    #[test]
    fn a_home_has_one_address_of_each_kind_whichever_of_router_and_machine_say_one() {
        let ip = |text: &str| text.parse().ok();
        for (external, outward, expected) in [
            ("8.8.8.8", "9.9.9.9", vec!["8.8.8.8"]),
            ("", "9.9.9.9", vec!["9.9.9.9"]),
            ("10.0.0.1", "9.9.9.9", vec!["9.9.9.9"]),
            ("8.8.8.8", "192.168.1.2", vec!["8.8.8.8"]),
            ("2a00::1", "9.9.9.9", vec!["9.9.9.9", "2a00::1"]),
            ("100.64.0.1", "192.168.1.2", vec![]),
        ] {
            let mut home = Home {
                outward: ip(outward),
                ..Home::default()
            };
            home.router.external = ip(external);
            let shown: Vec<String> = own(&home).iter().map(ToString::to_string).collect();
            assert_eq!(shown, expected, "{external} {outward}");
        }
    }
}
