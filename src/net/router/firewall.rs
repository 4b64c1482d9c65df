//! The router's firewall for IPv6, asked over UPnP: how it stands, and holes in it.
//!
//! Source: `WANIPv6FirewallControl:1` Service Standardized DCP. Without a login, a machine may make holes to itself
//! only (section 2.5), which a router knows by the address that asks: so it is asked over IPv6 first.

use std::collections::HashMap;

use super::{Gateway6, Refusal, soap::Service};

pub(super) const SERVICE: &str = "urn:schemas-upnp-org:service:WANIPv6FirewallControl:1";
/// TCP (IANA's protocol numbers).
const TCP: &str = "6";

/// The codes of refusals that mean something to us.
mod code {
    /// miniupnpd says it of a number that it does not know.
    pub(super) const INVALID_ARGUMENTS: u16 = 402;
    pub(super) const NO_SUCH_ENTRY: u16 = 704;
}

/// The service of a router that makes holes, and how its firewall stands.
#[derive(Clone, Debug)]
pub(super) struct Firewall {
    service: Service,
    /// Whether it keeps out what was not asked for.
    pub(super) is_on: bool,
    /// Whether it lets machines ask for holes.
    pub(super) lets_ask: bool,
}

impl Firewall {
    /// Asks how it stands, over IPv6, or over IPv4 where it is not there.
    ///
    /// # Errors
    /// In words: it does not answer, or not to that.
    pub(super) async fn meet(service: &Service, gateway: &Gateway6) -> Result<Self, String> {
        let mut why = String::new();
        for control in [service.control.over_ipv6(gateway), service.control.clone()] {
            let service = Service {
                control,
                kind: service.kind,
            };
            match service.ask("GetFirewallStatus", &[]).await {
                Ok(said) => {
                    return Ok(Self {
                        service,
                        is_on: !is_no(&said, "FirewallEnabled"),
                        lets_ask: !is_no(&said, "InboundPinholeAllowed"),
                    });
                }
                Err(refusal) => why = refusal.to_string(),
            }
        }
        Err(why)
    }

    /// Asks for a hole to a port of this machine, from anywhere; gives its number. Of the same hole it has one only.
    pub(super) async fn open(
        &self,
        gateway: &Gateway6,
        port: u16,
        lease_s: u32,
    ) -> Result<u16, Refusal> {
        let arguments = [
            ("RemoteHost", String::new()),
            ("RemotePort", "0".into()),
            ("InternalClient", gateway.own.to_string()),
            ("InternalPort", port.to_string()),
            ("Protocol", TCP.into()),
            ("LeaseTime", lease_s.to_string()),
        ];
        let said = self.service.ask("AddPinhole", &arguments).await?;
        let number = said.get("UniqueID").and_then(|text| text.parse().ok());
        number.ok_or_else(|| Refusal::Says("it gives the hole no number".into()))
    }

    /// Lets a hole last from now on for so long.
    pub(super) async fn renew(&self, number: u16, lease_s: u32) -> Result<(), Refusal> {
        let arguments = [
            ("UniqueID", number.to_string()),
            ("NewLeaseTime", lease_s.to_string()),
        ];
        self.service.ask("UpdatePinhole", &arguments).await?;
        Ok(())
    }

    /// Whether there is a hole of this number.
    pub(super) async fn has(&self, number: u16) -> Result<bool, Refusal> {
        let arguments = [("UniqueID", number.to_string())];
        match self.service.ask("GetPinholePackets", &arguments).await {
            Ok(_) => Ok(true),
            Err(refusal) if is_gone(&refusal) => Ok(false),
            Err(refusal) => Err(refusal),
        }
    }

    /// Closes a hole; one that is not there is closed already.
    pub(super) async fn close(&self, number: u16) -> Result<(), Refusal> {
        let arguments = [("UniqueID", number.to_string())];
        match self.service.ask("DeletePinhole", &arguments).await {
            Err(refusal) if !is_gone(&refusal) => Err(refusal),
            _ => Ok(()),
        }
    }
}

fn is_gone(refusal: &Refusal) -> bool {
    matches!(
        refusal,
        Refusal::Code(code::NO_SUCH_ENTRY | code::INVALID_ARGUMENTS, _)
    )
}

fn is_no(said: &HashMap<String, String>, field: &str) -> bool {
    let text = said.get(field).map_or("", String::as_str);
    matches!(text, "0" | "false" | "no")
}
