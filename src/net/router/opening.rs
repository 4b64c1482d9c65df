//! Opens one port of the router, and closes it. What another machine has is never taken.

use std::{net::Ipv4Addr, path::Path};

use super::{
    DESCRIPTION, Forward, Granted, Mapping, Protocol, Refusal,
    kept::{Kept, Mapped},
    nat_pmp, pcp,
    seen::{Router, ends},
};
use crate::base::{Result, Timestamp};

/// Seconds for which a port is asked for: an hour, after which it closes by itself if this machine is gone.
pub(super) const LEASE_S: u32 = 3600;

/// How a port came to be open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opened {
    /// The router was asked, and did it.
    ByUs(Protocol),
    /// It was so already, by somebody else's doing, and is left as it is.
    Already,
}

/// Opens a port. What is asked is written down before it is asked.
///
/// # Errors
/// In words, why the port is not open; nothing that was asked for is left behind then.
pub(super) async fn open(
    router: &Router,
    forward: Forward,
    kept: &mut Kept,
    data: &Path,
) -> Result<Opened, String> {
    let Forward { external, internal } = forward;
    let before = kept.of(external).cloned();
    let own = router.gateway.own;
    let mapping = router.mapping(external).await;
    if let Some(why) = changed(&mapping, before.as_ref(), forward, own) {
        return Err(why);
    }
    match mapping {
        Mapping::OtherMachine { address, port, .. } if is_of(before.as_ref(), address, port) => {
            // This machine has another address now. The router may not let it touch what the old one had.
            if let Ok(igd) = &router.igd {
                let _ = igd.unmap(external).await;
            }
        }
        Mapping::OtherMachine {
            address,
            port,
            description,
        } => {
            // What was granted to us is remembered, so that it is closed when it is not wanted any more.
            let is_granted = |one: &Mapped| {
                one.protocol != Protocol::Upnp || is_ours_misread(one, port, &description)
            };
            if !before.is_some_and(|one| !one.is_over() && is_granted(&one)) {
                kept.forget(external);
            }
            return Err(format!(
                "port {external} of the router leads to another machine ({address}, port {port}) and stays so; \
                 free it on the router's own pages, or by that machine"
            ));
        }
        Mapping::Off { address, .. } if address != own => {
            kept.forget(external);
            return Err(format!(
                "the router has a rule for port {external} to another machine ({address}) that is switched off; \
                 remove it on the router's own pages"
            ));
        }
        Mapping::Here {
            port, description, ..
        } if before.is_none() && description != DESCRIPTION => {
            if port == internal {
                return Ok(Opened::Already);
            }
            return Err(format!(
                "the router passes port {external} on to port {port} of this machine, which was not asked for by \
                 this site, and the site listens on port {internal}; change or remove that on the router's own pages"
            ));
        }
        Mapping::Here { .. } | Mapping::Off { .. } | Mapping::None | Mapping::Unknown(_) => {}
    }
    let mut why = Vec::new();
    for protocol in order(router, before.as_ref()) {
        let mapped = Mapped {
            external,
            internal,
            own,
            router: router.gateway.address,
            protocol,
            until: Some(end_of(LEASE_S)),
            lease_s: LEASE_S,
            nonce: match &before {
                // The router knows by it that it is the same (RFC 6887 section 11.2).
                Some(before) if before.own == own && before.internal == internal => before.nonce,
                _ => nonce()?,
            },
            outside: None,
        };
        kept.remember(mapped.clone());
        kept.save(data).map_err(|e| e.to_string())?;
        match ask(router, &mapped).await {
            Ok((granted_s, outside)) => {
                kept.remember(Mapped {
                    until: granted_s.map(end_of),
                    lease_s: granted_s.unwrap_or(0),
                    outside,
                    ..mapped
                });
                return Ok(Opened::ByUs(protocol));
            }
            Err(refusal) => {
                why.push(format!("{protocol}: {refusal}"));
                if refusal == Refusal::Taken {
                    break;
                }
            }
        }
    }
    // What was there and could not be renewed may still hold.
    kept.forget(external);
    if let Some(before) = before.filter(|before| !before.is_over()) {
        kept.remember(before);
    }
    if why.is_empty() {
        why = router.silence();
    }
    Err(format!(
        "the router does not pass port {external} on ({}); the manual says how to do it by hand \
         (/help/a-name-and-a-certificate#the-router)",
        why.join("; ")
    ))
}

/// Whether a mapping to this machine and port is the one that is remembered.
fn is_of(before: Option<&Mapped>, address: Ipv4Addr, port: u16) -> bool {
    before.is_some_and(|before| before.own == address && before.internal == port)
}

/// Whether what a router calls another machine's is what it has granted to this one, under our name and to our port, and
/// only names the machine wrongly.
fn is_ours_misread(mapped: &Mapped, port: u16, description: &str) -> bool {
    !mapped.is_over() && mapped.internal == port && description == DESCRIPTION
}

/// What nobody but the owner can have done to a mapping of this machine, in words. What is remembered of it stays, so
/// that it is not taken for ours later.
fn changed(
    mapping: &Mapping,
    before: Option<&Mapped>,
    Forward { external, internal }: Forward,
    own: Ipv4Addr,
) -> Option<String> {
    match mapping {
        Mapping::Off { address, .. } if *address == own => Some(format!(
            "the rule for port {external} is switched off on the router's own pages and stays so; switch it on there, \
             or remove it there to have it made anew"
        )),
        Mapping::Here { port, .. }
            if *port != internal && before.is_some_and(|before| before.internal != *port) =>
        {
            Some(format!(
                "the router passes port {external} on to port {port} of this machine: that was changed on its own \
                 pages and stays so, and the site listens on port {internal}; change or remove it there"
            ))
        }
        _ => None,
    }
}

/// What to try, best first: what worked before, then what tells afterwards whether it was done.
fn order(router: &Router, before: Option<&Mapped>) -> Vec<Protocol> {
    let spoken = [
        (Protocol::Upnp, router.igd.is_ok()),
        (Protocol::Pcp, router.pcp.is_ok()),
        (Protocol::NatPmp, router.nat_pmp.is_ok()),
    ];
    let mut all: Vec<Protocol> = spoken
        .iter()
        .filter(|(_, yes)| *yes)
        .map(|(one, _)| *one)
        .collect();
    all.sort_by_key(|one| before.is_none_or(|before| before.protocol != *one));
    all
}

/// A number that nobody guesses.
pub(super) fn nonce() -> Result<pcp::Nonce, String> {
    let mut nonce = pcp::Nonce::default();
    getrandom::fill(&mut nonce).map_err(|e| format!("the system gives no random numbers: {e}"))?;
    Ok(nonce)
}

/// Seconds of Unix time when a lease that begins now is over.
pub(super) fn end_of(lease_s: u32) -> i64 {
    Timestamp::now().0 + i64::from(lease_s)
}

/// Asks for it, looks whether it was done, and gives the seconds for which (`None`: for ever), and the router's address
/// on its other side, if that is told.
async fn ask(router: &Router, wanted: &Mapped) -> Result<(Option<u32>, Option<Ipv4Addr>), Refusal> {
    let (forward, gateway) = (wanted.forward(), router.gateway);
    match (wanted.protocol, &router.igd) {
        (Protocol::Upnp, Ok(igd)) => {
            let granted_s = match igd.map(gateway.own, forward, LEASE_S).await {
                Ok(()) => Some(LEASE_S),
                Err(Refusal::OnlyPermanent) => {
                    igd.map(gateway.own, forward, 0).await?;
                    None
                }
                Err(refusal) => return Err(refusal),
            };
            match igd.mapping(wanted.external, gateway.own).await? {
                // Some say yes to an hour and keep it for ever.
                Mapping::Here { port, lease_s, .. } if port == wanted.internal => {
                    Ok((granted_s.and(lease_s), None))
                }
                Mapping::None | Mapping::Off { .. } => Err(Refusal::Says(
                    "it says yes and does nothing; switching it off and on may help".into(),
                )),
                // It was free, and granted to us: what is there now is of our making.
                Mapping::OtherMachine { address, port, .. } => {
                    let says = format!(
                        "it says yes, and then that it passes on to another machine ({address}, port {port})"
                    );
                    Err(Refusal::Says(match igd.unmap(wanted.external).await {
                        Ok(()) => format!("{says}; that was taken back"),
                        Err(e) => format!("{says}; it does not take that back ({e})"),
                    }))
                }
                Mapping::Here { port, .. } => {
                    let _ = igd.unmap(wanted.external).await;
                    Err(Refusal::Says(format!(
                        "it passes on to port {port}, which nobody asked for"
                    )))
                }
                Mapping::Unknown(why) => Err(Refusal::Says(why)),
            }
        }
        (Protocol::Upnp, Err(why)) => Err(Refusal::Silent(why.clone())),
        (Protocol::Pcp, _) => {
            let granted = pcp::map(ends(gateway), forward, wanted.nonce, LEASE_S).await?;
            if granted.port != wanted.external {
                let _ = pcp::map(ends(gateway), forward, wanted.nonce, 0).await;
                return Err(other_port(granted));
            }
            Ok((Some(granted.lease_s), granted.outside))
        }
        (Protocol::NatPmp, _) => {
            let granted = nat_pmp::map(gateway, forward, LEASE_S).await?;
            if granted.port != wanted.external {
                let _ = nat_pmp::map(gateway, forward, 0).await;
                return Err(other_port(granted));
            }
            Ok((Some(granted.lease_s), granted.outside))
        }
    }
}

fn other_port(granted: Granted) -> Refusal {
    Refusal::Says(format!(
        "it offers port {} instead, which visitors do not use: somebody else has the one that they do",
        granted.port
    ))
}

/// Closes a port, if it is still ours.
///
/// # Errors
/// In words: it may still be open.
pub(super) async fn close(router: &Router, mapped: &Mapped) -> Result<(), String> {
    let external = mapped.external;
    // Some routers say that a port closes by itself, and it does not: where it can be seen, it is looked at.
    let is_seen = mapped.protocol == Protocol::Upnp
        && router.igd.is_ok()
        && router.gateway.address == mapped.router;
    if mapped.is_over() && !is_seen {
        return Ok(());
    }
    let failed = |e: &dyn std::fmt::Display| {
        let end = match mapped.until {
            Some(_) => "it closes by itself within an hour",
            None => "close it on the router's own pages",
        };
        format!(
            "port {external} of the router {} may still be open ({e}); {end}",
            mapped.router
        )
    };
    if router.gateway.address != mapped.router {
        return Err(failed(&"this machine has another router now"));
    }
    match (mapped.protocol, &router.igd) {
        (Protocol::Upnp, Ok(igd)) => match router.mapping(external).await {
            Mapping::Here {
                port, description, ..
            } if port == mapped.internal && (!mapped.is_over() || description == DESCRIPTION) => {
                igd.unmap(external).await
            }
            Mapping::OtherMachine {
                address,
                port,
                description,
            } if is_of(Some(mapped), address, port)
                || is_ours_misread(mapped, port, &description) =>
            {
                igd.unmap(external).await
            }
            Mapping::Unknown(why) => Err(Refusal::Says(why)),
            // It is gone, or somebody else's by now.
            Mapping::None
            | Mapping::Here { .. }
            | Mapping::OtherMachine { .. }
            | Mapping::Off { .. } => Ok(()),
        },
        (Protocol::Upnp, Err(why)) => Err(Refusal::Silent(why.clone())),
        (Protocol::Pcp, _) => {
            let ended = pcp::map(ends(router.gateway), mapped.forward(), mapped.nonce, 0).await;
            ended.map(|_| ())
        }
        (Protocol::NatPmp, _) => {
            let ended = nat_pmp::map(router.gateway, mapped.forward(), 0).await;
            ended.map(|_| ())
        }
    }
    .map_err(|e| failed(&e))
}

#[cfg(test)]
#[path = "opening_tests.rs"]
mod tests;
