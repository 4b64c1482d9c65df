//! The networks that this machine is on, and those of them on which it may say its name.

use std::net::IpAddr;

use if_addrs::{IfAddr, Interface};
use ipnet::IpNet;

use crate::base::is_global;

/// Networks on which a name is announced; a board has one or two.
const MOST_NETWORKS: usize = 16;
/// Addresses that are announced on one network.
const MOST_ADDRESSES: usize = 12;

/// A network that this machine is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Network {
    /// The number of its interface.
    pub(super) index: u32,
    /// What the system calls its interface.
    pub(super) name: String,
    /// The machine's addresses there, as others are told.
    pub(super) addresses: Vec<IpAddr>,
    /// Who is on it.
    pub(super) reach: Vec<IpNet>,
}

impl Network {
    /// Whether somebody with this address is on this network.
    pub(super) fn has(&self, address: IpAddr) -> bool {
        self.reach.iter().any(|net| net.contains(&address))
    }

    /// Its IPv4 address of this machine, by which the system knows it.
    pub(super) fn first_v4(&self) -> Option<std::net::Ipv4Addr> {
        self.reach.iter().find_map(|net| match net {
            IpNet::V4(net) => Some(net.addr()),
            IpNet::V6(_) => None,
        })
    }

    /// Whether it has IPv6.
    pub(super) fn has_v6(&self) -> bool {
        self.reach.iter().any(|net| matches!(net, IpNet::V6(_)))
    }
}

/// The networks on which the name is announced, and all addresses of this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Here {
    pub(super) networks: Vec<Network>,
    pub(super) own: Vec<IpAddr>,
}

impl Here {
    /// As the system has them now, for a site that listens there.
    pub(super) fn look(listens: IpAddr) -> std::io::Result<Self> {
        Ok(Self::among(&if_addrs::get_if_addrs()?, listens))
    }

    /// Only private networks, at home or in an office: with a private address, and without a public IPv4 address,
    /// which the interface of a rented server has. Its IPv6 addresses are told too; they are public at home as well.
    fn among(interfaces: &[Interface], listens: IpAddr) -> Self {
        let mut own: Vec<IpAddr> = interfaces.iter().map(Interface::ip).collect();
        own.sort_unstable();
        own.dedup();
        // One that is down leads nowhere; when it comes back, it may lead to another network.
        let up = interfaces.iter().filter(|i| i.is_oper_up());
        let mut indexes: Vec<u32> = up.filter_map(|i| i.index).collect();
        indexes.sort_unstable();
        indexes.dedup();
        let networks = indexes.into_iter().filter_map(|index| {
            let of_it: Vec<&Interface> = interfaces
                .iter()
                .filter(|i| i.index == Some(index))
                .collect();
            network(index, &of_it, listens)
        });
        Self {
            networks: networks.take(MOST_NETWORKS).collect(),
            own,
        }
    }
}

fn network(index: u32, interfaces: &[&Interface], listens: IpAddr) -> Option<Network> {
    let is_apart = |i: &&&Interface| i.is_loopback() || i.is_p2p();
    if interfaces.iter().any(|i| is_apart(&i)) {
        return None;
    }
    let addresses = interfaces.iter().map(|i| i.ip());
    let is_private = |ip: &IpAddr| match ip {
        IpAddr::V4(v4) => v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unique_local(),
    };
    if !addresses.clone().any(|ip| is_private(&ip))
        || addresses.clone().any(|ip| ip.is_ipv4() && is_global(ip))
    {
        return None;
    }
    let is_near = |ip: &IpAddr| matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local());
    let listens = listens.to_canonical();
    let is_served = |ip: &IpAddr| match listens {
        IpAddr::V4(any) if any.is_unspecified() => ip.is_ipv4(),
        IpAddr::V6(any) if any.is_unspecified() => true,
        one => one == *ip,
    };
    let mut told: Vec<IpAddr> = addresses.filter(is_served).collect();
    // Who takes an address of a link must know on which one it is, and not every program does.
    if told.iter().any(|ip| ip.is_ipv6() && !is_near(ip)) {
        told.retain(|ip| !is_near(ip));
    }
    told.sort_unstable();
    told.truncate(MOST_ADDRESSES);
    let name = interfaces.first()?.name.clone();
    (!told.is_empty()).then(|| Network {
        index,
        name,
        addresses: told,
        reach: interfaces.iter().filter_map(|i| reach(&i.addr)).collect(),
    })
}

fn reach(address: &IfAddr) -> Option<IpNet> {
    let (ip, mask): (IpAddr, IpAddr) = match address {
        IfAddr::V4(v4) => (v4.ip.into(), v4.netmask.into()),
        IfAddr::V6(v6) => (v6.ip.into(), v6.netmask.into()),
    };
    IpNet::with_netmask(ip, mask).ok()
}

#[cfg(test)]
mod tests {
    use if_addrs::{IfOperStatus, Ifv4Addr, Ifv6Addr};

    use super::*;

    fn interface(index: u32, net: &str) -> Interface {
        let addr = match net.parse::<IpNet>().unwrap() {
            IpNet::V4(net) => IfAddr::V4(Ifv4Addr {
                ip: net.addr(),
                netmask: net.netmask(),
                prefixlen: net.prefix_len(),
                broadcast: None,
            }),
            IpNet::V6(net) => IfAddr::V6(Ifv6Addr {
                ip: net.addr(),
                netmask: net.netmask(),
                prefixlen: net.prefix_len(),
                broadcast: None,
            }),
        };
        Interface {
            name: format!("eth{index}"),
            addr,
            index: Some(index),
            oper_status: IfOperStatus::Up,
            is_p2p: false,
        }
    }

    fn told(nets: &[&str], listens: &str) -> Vec<String> {
        let interfaces: Vec<_> = nets.iter().map(|net| interface(2, net)).collect();
        let here = Here::among(&interfaces, listens.parse().unwrap());
        let addresses = here.networks.iter().flat_map(|n| &n.addresses);
        addresses.map(ToString::to_string).collect()
    }

    #[test]
    fn a_private_network_is_told_the_addresses_there() {
        let home = [
            "192.168.1.20/24",
            "fe80::1/64",
            "2a01:db8::5/64",
            "fd00::5/64",
        ];
        let all = ["192.168.1.20", "2a01:db8::5", "fd00::5"];
        assert_eq!(told(&home, "::"), all);
        assert_eq!(told(&home, "0.0.0.0"), all[..1]);
        assert_eq!(told(&home, "fd00::5"), ["fd00::5"]);
        assert_eq!(
            told(&["192.168.1.20/24", "fe80::1/64"], "::"),
            ["192.168.1.20", "fe80::1"]
        );
    }

    #[test]
    fn a_public_one_and_the_machine_itself_are_told_nothing() {
        for nets in [
            &["198.51.100.7/24", "fe80::1/64"][..],
            &["203.0.113.9/24", "10.0.0.2/8"],
            &["2a01:db8::5/64", "fe80::1/64"],
            &["fe80::1/64"],
            &["127.0.0.1/8"],
        ] {
            // Those of documentation stand for public ones.
            let nets: Vec<String> = nets
                .iter()
                .map(|n| {
                    n.replace("198.51.100.7", "9.9.9.9")
                        .replace("203.0.113.9", "8.8.8.8")
                })
                .collect();
            let nets: Vec<&str> = nets.iter().map(String::as_str).collect();
            assert_eq!(told(&nets, "::"), [""; 0], "{nets:?}");
        }
        assert_eq!(told(&["192.168.1.20/24"], "127.0.0.1"), [""; 0]);
        let mut down = interface(2, "192.168.1.20/24");
        down.oper_status = IfOperStatus::Down;
        let here = Here::among(&[down], "::".parse().unwrap());
        assert!(here.networks.is_empty(), "it is down");
    }
}
