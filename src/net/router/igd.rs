//! UPnP Internet Gateway Device, versions 1 and 2: what a router says and does when it is asked over SOAP.
//!
//! Sources: `WANIPConnection:1` and `:2` Service Standardized DCPs.

use std::{collections::HashMap, net::Ipv4Addr};

use super::{
    DESCRIPTION, Forward, Gateway, Mapping, Refusal, firewall,
    http::{self, shown},
    soap::{Service, read_description},
    ssdp::{self, NotFound},
};

/// The services that map ports, best first.
pub(super) const SERVICES: [&str; 3] = [
    "urn:schemas-upnp-org:service:WANIPConnection:2",
    "urn:schemas-upnp-org:service:WANIPConnection:1",
    "urn:schemas-upnp-org:service:WANPPPConnection:1",
];

/// The codes of refusals that mean something to us (section 2.4 of `WANIPConnection`).
mod code {
    pub(super) const INVALID_INDEX: u16 = 713;
    pub(super) const NO_SUCH_ENTRY: u16 = 714;
    pub(super) const CONFLICT: u16 = 718;
    pub(super) const ONLY_PERMANENT: u16 = 725;
    pub(super) const CONFLICT_WITH_OTHER: u16 = 729;
}

/// What a router says of itself over UPnP.
pub(super) struct Described {
    /// The service that maps ports; in words, why there is none.
    pub(super) igd: Result<Igd, String>,
    /// The one that makes holes into the firewall for IPv6.
    pub(super) firewall: Option<Service>,
}

/// The service of a router that maps ports.
#[derive(Clone, Debug)]
pub(super) struct Igd(Service);

impl Igd {
    #[cfg(test)]
    pub(super) fn at(control: http::Place) -> Self {
        Self(Service {
            control,
            kind: SERVICES[1],
        })
    }

    /// Finds the one that is connected, or else the first.
    pub(super) async fn find(gateway: Gateway) -> Result<Described, NotFound> {
        let place = ssdp::search(gateway).await?;
        let no = |why| NotFound {
            why,
            strangers: Vec::new(),
        };
        let text = http::get(&place).await.map_err(no)?;
        let described = |kinds| read_description(&text, &place, gateway.address, kinds);
        let all = described(&SERVICES).map_err(no)?;
        let firewall = described(&[firewall::SERVICE]).ok().unwrap_or_default();
        let mut igd = Err("it has nothing that maps ports".to_owned());
        for service in all.into_iter().map(Self) {
            let is_connected = service
                .external()
                .await
                .is_ok_and(|at| !at.is_unspecified());
            if is_connected || igd.is_err() {
                igd = Ok(service);
            }
            if is_connected {
                break;
            }
        }
        Ok(Described {
            igd,
            firewall: firewall.into_iter().next(),
        })
    }

    /// The address on the other side; `0.0.0.0` while there is none.
    pub(super) async fn external(&self) -> Result<Ipv4Addr, Refusal> {
        let said = self.0.ask("GetExternalIPAddress", &[]).await?;
        let address = said.get("NewExternalIPAddress").map(String::as_str);
        match address {
            None | Some("") => Ok(Ipv4Addr::UNSPECIFIED),
            Some(text) => text.parse().map_err(|_| {
                Refusal::Says(format!("it calls {:?} its external address", shown(text)))
            }),
        }
    }

    /// Where an external port leads.
    pub(super) async fn mapping(&self, external: u16, own: Ipv4Addr) -> Result<Mapping, Refusal> {
        let asked = self
            .0
            .ask("GetSpecificPortMappingEntry", &entry(external))
            .await;
        let said = match asked {
            Ok(said) => said,
            Err(Refusal::Code(code::NO_SUCH_ENTRY | code::INVALID_INDEX, _)) => {
                return Ok(Mapping::None);
            }
            Err(refusal) => return Err(refusal),
        };
        read_mapping(&said, own)
            .ok_or_else(|| Refusal::Says("it does not say where the port leads".into()))
    }

    /// Asks for a mapping; no seconds are for ever. It takes the place of one of this machine.
    pub(super) async fn map(
        &self,
        own: Ipv4Addr,
        forward: Forward,
        lease_s: u32,
    ) -> Result<(), Refusal> {
        let mut arguments = entry(forward.external).to_vec();
        arguments.extend([
            ("NewInternalPort", forward.internal.to_string()),
            ("NewInternalClient", own.to_string()),
            ("NewEnabled", "1".into()),
            ("NewPortMappingDescription", DESCRIPTION.into()),
            ("NewLeaseDuration", lease_s.to_string()),
        ]);
        match self.0.ask("AddPortMapping", &arguments).await {
            Ok(_) => Ok(()),
            Err(Refusal::Code(code::ONLY_PERMANENT, _)) => Err(Refusal::OnlyPermanent),
            Err(Refusal::Code(code::CONFLICT | code::CONFLICT_WITH_OTHER, _)) => {
                Err(Refusal::Taken)
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// Ends a mapping; one that is not there is ended already.
    pub(super) async fn unmap(&self, external: u16) -> Result<(), Refusal> {
        match self.0.ask("DeletePortMapping", &entry(external)).await {
            Ok(_) | Err(Refusal::Code(code::NO_SUCH_ENTRY, _)) => Ok(()),
            Err(refusal) => Err(refusal),
        }
    }
}

/// What names a mapping: from anywhere, to this port, with TCP.
fn entry(external: u16) -> [(&'static str, String); 3] {
    [
        ("NewRemoteHost", String::new()),
        ("NewExternalPort", external.to_string()),
        ("NewProtocol", "TCP".into()),
    ]
}

fn read_mapping(said: &HashMap<String, String>, own: Ipv4Addr) -> Option<Mapping> {
    let field = |name: &str| said.get(name).map_or("", String::as_str);
    let address: Ipv4Addr = field("NewInternalClient").parse().ok()?;
    let port: u16 = field("NewInternalPort").parse().ok()?;
    if matches!(field("NewEnabled"), "0" | "false" | "no") {
        return Some(Mapping::Off { address, port });
    }
    let description = shown(field("NewPortMappingDescription"));
    if address != own {
        return Some(Mapping::OtherMachine {
            address,
            port,
            description,
        });
    }
    let lease_s = field("NewLeaseDuration").parse().unwrap_or(0);
    Some(Mapping::Here {
        port,
        lease_s: (lease_s > 0).then_some(lease_s),
        description,
    })
}

#[cfg(test)]
#[path = "igd_tests.rs"]
mod tests;
