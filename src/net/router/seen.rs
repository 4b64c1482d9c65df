//! What is seen of the router. Nothing is changed on it.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

use futures_util::future::join3;
use serde::{Deserialize, Serialize};

use super::{
    Forward, Gateway, Gateway6, Kept, PCP_PORT, Seen6, igd::Igd, nat_pmp, pcp, soap::Service,
};
use crate::base::{is_global, is_shared};

/// A language that routers speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protocol {
    /// UPnP Internet Gateway Device, version 1 or 2.
    Upnp,
    /// RFC 6887.
    Pcp,
    /// RFC 6886.
    NatPmp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Upnp => "UPnP",
            Self::Pcp => "PCP",
            Self::NatPmp => "NAT-PMP",
        })
    }
}

/// The IPv4 address under which the internet knows this home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum External {
    /// The internet leads to the router.
    Public(Ipv4Addr),
    /// This machine has a public address itself; there is no router that would have to pass anything on.
    Direct(Ipv4Addr),
    /// The provider shares one address among several homes (RFC 6598, 100.64.0.0/10).
    Shared(Ipv4Addr),
    /// The router is behind another router.
    Private(Ipv4Addr),
    /// It cannot be learnt here; in words, why.
    Unknown(String),
}

impl External {
    fn of(address: Ipv4Addr) -> Self {
        match address {
            _ if address.is_unspecified() => {
                Self::Unknown("the router has no connection to the internet".into())
            }
            _ if is_global(address.into()) => Self::Public(address),
            _ if is_shared(address.into()) => Self::Shared(address),
            _ => Self::Private(address),
        }
    }

    /// Whether nobody outside gets to it; `None` if it is not known.
    pub fn is_unreachable(&self) -> Option<bool> {
        match self {
            Self::Public(_) | Self::Direct(_) => Some(false),
            Self::Shared(_) | Self::Private(_) => Some(true),
            Self::Unknown(_) => None,
        }
    }

    /// The address that visitors can use.
    ///
    /// # Errors
    /// In words: there is none, and why.
    pub fn reachable(&self) -> Result<Ipv4Addr, String> {
        match self {
            Self::Public(address) | Self::Direct(address) => Ok(*address),
            Self::Shared(address) => Err(format!(
                "the provider shares one IPv4 address among several homes (the router's own is {address}), so \
                 nobody can come in over IPv4; ask the provider for an address of your own, or use IPv6"
            )),
            Self::Private(address) => Err(format!(
                "the router is behind another router (its own address is {address}): that one has to pass the \
                 ports on too, or pass everything through (\"bridge mode\")"
            )),
            Self::Unknown(why) => Err(why.clone()),
        }
    }
}

/// Where a port of the router leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mapping {
    /// Nowhere.
    None,
    /// To this machine.
    Here {
        /// The port of this machine.
        port: u16,
        /// Seconds until it ends, if it does.
        lease_s: Option<u32>,
        /// What it is called on the router's own pages.
        description: String,
    },
    /// To another machine of the network.
    OtherMachine {
        /// That machine.
        address: Ipv4Addr,
        /// The port of that machine.
        port: u16,
        /// What it is called on the router's own pages.
        description: String,
    },
    /// Somewhere, but it is switched off.
    Off {
        /// That machine.
        address: Ipv4Addr,
        /// The port of that machine.
        port: u16,
    },
    /// It cannot be learnt; in words, why. A router that speaks no UPnP never tells.
    Unknown(String),
}

/// One port of the router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortSeen {
    /// What visitors need.
    pub wanted: Forward,
    /// What is there.
    pub mapping: Mapping,
}

impl PortSeen {
    /// Whether the router says that it passes the port on to nobody, or to somebody else.
    pub fn is_refused(&self) -> bool {
        matches!(
            self.mapping,
            Mapping::None | Mapping::OtherMachine { .. } | Mapping::Off { .. }
        )
    }

    /// Whether the port leads to where it is wanted.
    pub fn is_right(&self) -> bool {
        matches!(self.mapping, Mapping::Here { port, .. } if port == self.wanted.internal)
    }
}

/// For a list: what it is and what it means.
impl fmt::Display for PortSeen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Forward { external, internal } = self.wanted;
        write!(f, "port {external} ")?;
        match &self.mapping {
            Mapping::None => write!(f, "is closed"),
            Mapping::Here { port, .. } if *port != internal => write!(
                f,
                "leads to port {port} of this machine, and the site listens on port {internal}"
            ),
            Mapping::Here { lease_s, .. } => {
                write!(f, "leads to this machine, port {internal}")?;
                match lease_s {
                    Some(seconds) => write!(f, ", for {} min", seconds.div_ceil(60)),
                    None => write!(f, ", without an end"),
                }
            }
            Mapping::OtherMachine { address, port, .. } => {
                write!(f, "leads to another machine ({address}, port {port})")
            }
            Mapping::Off { address, port } => {
                write!(
                    f,
                    "would lead to {address}, port {port}, but is switched off"
                )
            }
            Mapping::Unknown(why) => write!(f, "may lead anywhere: {why}"),
        }
    }
}

/// The router of this machine, as it is seen from here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Which machine it is; in words, why there is none.
    pub gateway: Result<Gateway, String>,
    /// What it speaks; in words, why not.
    pub protocols: Vec<(Protocol, Result<(), String>)>,
    /// The address on the other side.
    pub external: External,
    /// The ports that were asked for, in their order.
    pub ports: Vec<PortSeen>,
    /// Other machines of the network that call themselves routers; seen only where the router speaks no UPnP.
    pub strangers: Vec<Ipv4Addr>,
    /// The way of IPv6; in words, why there is none.
    pub ipv6: Result<Seen6, String>,
}

impl Seen {
    /// Whether the router speaks it.
    pub fn speaks(&self, protocol: Protocol) -> bool {
        let mut all = self.protocols.iter();
        all.any(|(one, spoken)| *one == protocol && spoken.is_ok())
    }
}

/// The IPv4 address under which visitors reach this home, as the router says it, or has said it to the server of this
/// data folder. Takes up to 20 seconds.
pub async fn external_ipv4(data: &Path) -> External {
    let gateway = match Gateway::find() {
        Ok(gateway) => gateway,
        Err(why) => return External::Unknown(why),
    };
    if is_global(gateway.own.into()) {
        return External::Direct(gateway.own);
    }
    // One datagram, before a search of the whole network.
    if let Ok(said) = nat_pmp::external(gateway).await {
        return External::of(said.external);
    }
    let router = Router::meet(gateway).await;
    // PCP alone tells it with a mapping only (RFC 6887 section 11.6), and none is made for that without consent. One
    // that there is was asked for again when the router's seconds began anew, as they do with another address (8.5).
    if router.speaks_pcp_alone()
        && let Some(outside) = Kept::load(data).outside(gateway)
    {
        return External::of(outside);
    }
    router.external().await
}

/// Looks at the router and at these ports of it, and at its firewall for IPv6. `published` is the IPv6 address of this
/// machine that its names have, if they have one. Takes up to half a minute where it answers slowly.
pub async fn look(wanted: &[Forward], published: Option<Ipv6Addr>) -> Seen {
    let gateway6 = Gateway6::find(published);
    let gateway = match Gateway::find() {
        Ok(gateway) => gateway,
        Err(why) => {
            return Seen {
                external: External::Unknown(why.clone()),
                ipv6: look6(gateway6, Err(&why)).await,
                gateway: Err(why),
                protocols: Vec::new(),
                ports: Vec::new(),
                strangers: Vec::new(),
            };
        }
    };
    let router = Router::meet(gateway).await;
    let ipv6 = look6(gateway6, router.firewall.as_ref()).await;
    let external = router.external().await;
    let mut ports = Vec::new();
    for wanted in wanted {
        ports.push(PortSeen {
            wanted: *wanted,
            mapping: router.mapping(wanted.external).await,
        });
    }
    let spoken = |refusal: Option<&String>| refusal.map_or(Ok(()), |why| Err(why.clone()));
    Seen {
        gateway: Ok(gateway),
        protocols: vec![
            (Protocol::Upnp, spoken(router.igd.as_ref().err())),
            (Protocol::Pcp, spoken(router.pcp.as_ref().err())),
            (Protocol::NatPmp, spoken(router.nat_pmp.as_ref().err())),
        ],
        external,
        ports,
        strangers: router.strangers,
        ipv6,
    }
}

async fn look6(
    gateway: Result<Gateway6, String>,
    service: Result<&Service, &String>,
) -> Result<Seen6, String> {
    Ok(Seen6::look(gateway?, service).await)
}

/// A router, and how it can be asked.
pub(super) struct Router {
    pub(super) gateway: Gateway,
    pub(super) igd: Result<Igd, String>,
    /// What it describes for its firewall for IPv6.
    pub(super) firewall: Result<Service, String>,
    /// Seconds since it has known its mappings.
    pub(super) pcp: Result<u32, String>,
    pub(super) nat_pmp: Result<nat_pmp::Said, String>,
    pub(super) strangers: Vec<Ipv4Addr>,
}

impl Router {
    /// Asks it in every language at the same time.
    pub(super) async fn meet(gateway: Gateway) -> Self {
        let (igd, pcp, nat_pmp) = join3(
            Igd::find(gateway),
            pcp::announce(ends(gateway)),
            nat_pmp::external(gateway),
        )
        .await;
        let (igd, firewall, strangers) = match igd {
            Ok(found) => {
                let none = "it describes no firewall for IPv6";
                (found.igd, found.firewall.ok_or(none.into()), Vec::new())
            }
            Err(none) => (Err(none.why.clone()), Err(none.why), none.strangers),
        };
        Self {
            gateway,
            igd,
            firewall,
            pcp: pcp.map_err(|e| e.to_string()),
            nat_pmp: nat_pmp.map_err(|e| e.to_string()),
            strangers,
        }
    }

    /// The address on its other side.
    pub(super) async fn external(&self) -> External {
        if is_global(self.gateway.own.into()) {
            return External::Direct(self.gateway.own);
        }
        if let Ok(said) = &self.nat_pmp {
            return External::of(said.external);
        }
        let address = self.gateway.address;
        match &self.igd {
            Ok(igd) => igd.external().await.map_or_else(
                |e| {
                    External::Unknown(format!(
                        "the router {address} does not tell its address: {e}"
                    ))
                },
                External::of,
            ),
            Err(_) if self.speaks_pcp_alone() => External::Unknown(format!(
                "the router {address} speaks PCP only, which tells its address only with a mapping"
            )),
            Err(why) => External::Unknown(format!(
                "the router {address} does not tell its address (UPnP: {why}); its own pages show it, and there \
                 may be a switch for UPnP"
            )),
        }
    }

    /// Its seconds since it has known its mappings, if it says them.
    pub(super) fn seconds(&self) -> Option<u32> {
        let said = self.nat_pmp.as_ref().map(|said| said.epoch_s);
        self.pcp.as_ref().ok().copied().or(said.ok())
    }

    /// The same, asked now.
    pub(super) async fn ask_seconds(&self) -> Option<u32> {
        if self.pcp.is_ok() {
            return pcp::announce(ends(self.gateway)).await.ok();
        }
        let said = nat_pmp::external(self.gateway).await;
        said.ok().map(|said| said.epoch_s)
    }

    fn speaks_pcp_alone(&self) -> bool {
        self.pcp.is_ok() && self.igd.is_err() && self.nat_pmp.is_err()
    }

    /// Whether it answers in no language.
    pub(super) fn is_silent(&self) -> bool {
        self.igd.is_err() && self.pcp.is_err() && self.nat_pmp.is_err()
    }

    /// Why it cannot be asked, in each language.
    pub(super) fn silence(&self) -> Vec<String> {
        let all = [
            (Protocol::Upnp, self.igd.as_ref().err()),
            (Protocol::Pcp, self.pcp.as_ref().err()),
            (Protocol::NatPmp, self.nat_pmp.as_ref().err()),
        ];
        let silent = all.into_iter().filter_map(|(one, why)| Some((one, why?)));
        silent.map(|(one, why)| format!("{one}: {why}")).collect()
    }

    /// Where a port leads.
    pub(super) async fn mapping(&self, external: u16) -> Mapping {
        match &self.igd {
            Ok(igd) => (igd.mapping(external, self.gateway.own).await)
                .unwrap_or_else(|e| Mapping::Unknown(format!("the router does not tell: {e}"))),
            Err(_) => Mapping::Unknown("the router does not tell".into()),
        }
    }
}

/// This machine and its router, as PCP needs them.
pub(super) fn ends(gateway: Gateway) -> pcp::Ends {
    let at = |address: Ipv4Addr, port| (IpAddr::from(address), port).into();
    pcp::Ends {
        own: at(gateway.own, 0),
        router: at(gateway.address, PCP_PORT),
    }
}

#[cfg(test)]
mod tests {
    use super::External;

    #[test]
    fn an_address_that_visitors_cannot_use_is_told_with_its_reason() {
        for (address, words) in [
            ("11.22.33.44", ""),
            ("100.64.0.1", "the provider shares"),
            ("100.127.255.254", "the provider shares"),
            ("192.168.178.2", "behind another router"),
            ("10.0.0.2", "behind another router"),
            ("0.0.0.0", "no connection"),
        ] {
            let reached = External::of(address.parse().unwrap()).reachable();
            match reached {
                Ok(_) => assert_eq!(words, "", "{address}"),
                Err(why) => assert!(!words.is_empty() && why.contains(words), "{why}"),
            }
        }
    }
}
