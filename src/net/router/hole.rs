//! Lets visitors through the router's firewall to one port of this machine over IPv6, and closes it again.
//!
//! Nothing changes addresses or ports there: visitors come to this machine itself, or do not.

use std::path::Path;

use futures_util::future::join;

use super::{
    Forward, Gateway6, PCP_PORT, Protocol, Refusal,
    firewall::Firewall,
    kept::{Hole, Kept},
    opening::{LEASE_S, end_of, nonce},
    pcp,
    soap::Service,
};
use crate::base::Timestamp;

/// What a hole is asked to last that is not wanted any more and that the router does not close. Routers make of it
/// what they grant at least, two minutes (RFC 6887 section 15).
const SHORTEST_LEASE_S: u32 = 1;

/// A router, and how its firewall for IPv6 can be asked.
pub(super) struct Router6 {
    pub(super) gateway: Gateway6,
    pub(super) upnp: Result<Firewall, String>,
    /// Seconds since it has known its holes.
    pub(super) pcp: Result<u32, String>,
}

impl Router6 {
    /// Asks it in both languages at the same time; `service` is what it describes over UPnP.
    pub(super) async fn meet(gateway: Gateway6, service: Result<&Service, &String>) -> Self {
        let upnp = async {
            match service {
                Ok(service) => Firewall::meet(service, &gateway).await,
                Err(why) => Err(why.clone()),
            }
        };
        let (upnp, pcp) = join(upnp, pcp::announce(ends(&gateway))).await;
        Self {
            gateway,
            upnp,
            pcp: pcp.map_err(|e| e.to_string()),
        }
    }

    /// What it speaks, best first: what worked before, then PCP, because many let nobody open a port below 1024 over
    /// UPnP (`WANIPv6FirewallControl:1`, section 2.5).
    fn order(&self, before: Option<&Hole>) -> Vec<Protocol> {
        let spoken = [
            (Protocol::Pcp, self.pcp.is_ok()),
            (Protocol::Upnp, self.upnp.is_ok()),
        ];
        let spoken = spoken.iter().filter(|(_, yes)| *yes);
        let mut all: Vec<Protocol> = spoken.map(|(one, _)| *one).collect();
        all.sort_by_key(|one| before.is_none_or(|before| before.protocol != *one));
        all
    }

    /// Whether it answers in no language.
    pub(super) fn is_silent(&self) -> bool {
        self.upnp.is_err() && self.pcp.is_err()
    }

    /// Whether it says that it keeps nobody out.
    fn is_open(&self) -> bool {
        self.upnp.as_ref().is_ok_and(|firewall| !firewall.is_on)
    }
}

fn ends(gateway: &Gateway6) -> pcp::Ends {
    pcp::Ends {
        own: gateway.own_end(),
        router: gateway.at(PCP_PORT),
    }
}

fn same_port(port: u16) -> Forward {
    Forward {
        external: port,
        internal: port,
    }
}

/// Lets visitors in to a port. What is asked is written down before it is asked. Gives how it was asked; `None` if
/// there is nobody to ask, or nothing to ask for.
///
/// # Errors
/// In words, why visitors are not let in.
pub(super) async fn open(
    router: &Router6,
    port: u16,
    kept: &mut Kept,
    data: &Path,
) -> Result<Option<Protocol>, String> {
    let Gateway6 { address, own, .. } = router.gateway;
    let before = kept.hole(port).cloned();
    if let Some(old) = before.as_ref().filter(|old| old.own != own) {
        // This machine has another address now. The router may not let it touch what the old one had, and that ends.
        let _ = end(router, old).await;
        kept.forget_hole(port);
    }
    let same = before.filter(|before| before.own == own && before.router == address);
    let mut refusals = Vec::new();
    for protocol in router.order(same.as_ref()) {
        let hole = Hole {
            port,
            own,
            router: address,
            protocol,
            until: end_of(LEASE_S),
            lease_s: LEASE_S,
            number: same.as_ref().and_then(|same| same.number),
            // The router knows by it that it is the same (RFC 6887 section 11.2).
            nonce: match same.as_ref().or_else(|| kept.unsure(port, own)) {
                Some(same) => same.nonce,
                None => nonce()?,
            },
            is_ending: false,
        };
        kept.remember_hole(hole.clone());
        kept.save(data).map_err(|e| e.to_string())?;
        match ask(router, &hole).await {
            Ok((lease_s, number)) => {
                kept.note_unsure(hole.clone(), false);
                kept.remember_hole(Hole {
                    until: end_of(lease_s),
                    lease_s,
                    number,
                    ..hole
                });
                return Ok(Some(protocol));
            }
            Err(refusal) => {
                // Without an answer, it may have been granted.
                kept.note_unsure(hole, matches!(refusal, Refusal::Silent(_)));
                refusals.push((protocol, refusal));
            }
        }
    }
    // What was there and could not be renewed may still hold.
    kept.forget_hole(port);
    if let Some(same) = same.filter(|same| !same.is_over()) {
        kept.remember_hole(same);
    }
    let knows = |(_, refusal): &(_, Refusal)| !matches!(refusal, Refusal::Silent(_));
    if router.is_open() || !refusals.iter().any(knows) {
        return Ok(None);
    }
    let why: Vec<String> = refusals
        .iter()
        .map(|(protocol, refusal)| format!("{protocol}: {refusal}"))
        .collect();
    Err(format!(
        "the router does not let visitors in over IPv6 to port {port} of {own} ({}); allow that port for this machine \
         in its firewall, on its own pages",
        why.join("; ")
    ))
}

/// Asks for it; gives the seconds for which, and the number of the hole over UPnP.
async fn ask(router: &Router6, hole: &Hole) -> Result<(u32, Option<u16>), Refusal> {
    let port = hole.port;
    match (hole.protocol, &router.upnp) {
        (Protocol::Upnp, Ok(firewall)) => {
            if let Some(number) = hole.number
                && firewall.renew(number, LEASE_S).await.is_ok()
            {
                return Ok((LEASE_S, Some(number)));
            }
            let number = firewall.open(&router.gateway, port, LEASE_S).await?;
            Ok((LEASE_S, Some(number)))
        }
        (Protocol::Upnp, Err(why)) => Err(Refusal::Silent(why.clone())),
        (Protocol::Pcp | Protocol::NatPmp, _) => {
            let ends = ends(&router.gateway);
            let granted = pcp::map(ends, same_port(port), hole.nonce, LEASE_S).await?;
            if granted.port != port {
                let _ = pcp::map(ends, same_port(port), hole.nonce, 0).await;
                return Err(Refusal::Says(format!(
                    "it offers port {} instead, which visitors do not use",
                    granted.port
                )));
            }
            Ok((granted.lease_s, None))
        }
    }
}

/// Whether a hole is as it should be, and not half over.
pub(super) async fn is_fine(router: &Router6, port: u16, kept: &Kept) -> bool {
    let Some(hole) = kept.hole(port) else {
        return false;
    };
    let is_same = hole.own == router.gateway.own && hole.router == router.gateway.address;
    if !is_same || hole.is_ending || hole.renewal_in().is_zero() {
        return false;
    }
    match (hole.protocol, &router.upnp, hole.number) {
        (Protocol::Upnp, Ok(firewall), Some(number)) => firewall.has(number).await.unwrap_or(true),
        // With PCP, a router that started anew is known by its seconds.
        (Protocol::Upnp, ..) => false,
        (Protocol::Pcp | Protocol::NatPmp, ..) => router.pcp.is_ok(),
    }
}

/// Closes a hole.
///
/// # Errors
/// In words: visitors may still come in. When it ends is in `hole` then.
pub(super) async fn close(
    router: Result<&Router6, &String>,
    hole: &mut Hole,
) -> Result<(), String> {
    if hole.is_over() {
        return Ok(());
    }
    let ended = match router {
        _ if hole.is_ending => Err("the router does not close it at once".to_owned()),
        Ok(router) => end(router, hole).await.map_err(|e| e.to_string()),
        Err(why) => Err(why.clone()),
    };
    let why = match (ended, router) {
        (Ok(()), _) => return Ok(()),
        (Err(why), Ok(router)) if !hole.is_ending => {
            // miniupnpd 2.3.1 with nftables knows of its first hole only whose it is, and lets shorten the others.
            if let Some(lease_s) = shorten(router, hole).await {
                hole.until = end_of(lease_s);
                hole.lease_s = lease_s;
                hole.is_ending = true;
            }
            why
        }
        (Err(why), _) => why,
    };
    let rest_min = (hole.until - Timestamp::now().0)
        .max(0)
        .unsigned_abs()
        .div_ceil(60);
    Err(format!(
        "visitors may still come in over IPv6 to port {} of {} ({why}); it closes by itself within {rest_min} min",
        hole.port, hole.own
    ))
}

/// Asks for the end of a hole of which nobody knows whether it was made.
pub(super) async fn close_unsure(router: &Router6, hole: &Hole) {
    if let Err(e) = end(router, hole).await {
        log::debug!(
            "whether port {} of {} was ever let in over {} is not known, nor whether it is closed: {e}",
            hole.port,
            hole.own,
            hole.protocol
        );
    }
}

async fn end(router: &Router6, hole: &Hole) -> Result<(), Refusal> {
    if router.gateway.address != hole.router {
        return Err(Refusal::Silent(
            "this machine has another router now".into(),
        ));
    }
    match (hole.protocol, &router.upnp, hole.number) {
        (Protocol::Upnp, Ok(firewall), Some(number)) => firewall.close(number).await,
        // It was asked for, and the answer did not arrive.
        (Protocol::Upnp, Ok(_), None) => Err(Refusal::Says("its number is not known".into())),
        (Protocol::Upnp, Err(why), _) => Err(Refusal::Silent(why.clone())),
        (Protocol::Pcp | Protocol::NatPmp, ..) => {
            let ends = ends_of(router, hole);
            let ended = pcp::map(ends, same_port(hole.port), hole.nonce, 0).await;
            ended.map(|_| ())
        }
    }
}

/// Asks for the shortest time; gives the seconds.
async fn shorten(router: &Router6, hole: &Hole) -> Option<u32> {
    if router.gateway.address != hole.router || hole.protocol == Protocol::Upnp {
        return None;
    }
    let ends = ends_of(router, hole);
    let granted = pcp::map(ends, same_port(hole.port), hole.nonce, SHORTEST_LEASE_S).await;
    let granted = granted.ok().map(|granted| granted.lease_s);
    granted.filter(|lease_s| *lease_s < hole.lease_s)
}

/// As from the address that the hole is for, which may be an older one.
fn ends_of(router: &Router6, hole: &Hole) -> pcp::Ends {
    ends(&Gateway6 {
        own: hole.own,
        ..router.gateway
    })
}

#[cfg(test)]
#[path = "hole_tests.rs"]
mod tests;
