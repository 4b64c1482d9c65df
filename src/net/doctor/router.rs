//! What the router says of itself. Nothing is changed on it.

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
    time::Duration,
};

use tokio::time::timeout;

use super::facts::{Firewall, Mapping, Router};
use crate::net::{
    dns::follow,
    router::{self, External, Forward, HTTPS, Kept, Lets, Seen},
};

/// Routers that do not speak are not waited for any longer: nearly four seconds over IPv4, and as much over IPv6.
const PATIENCE: Duration = Duration::from_secs(12);

/// Asks for its address on the internet, what becomes of what comes to port 443, and of who comes over IPv6. `own`:
/// this machine, as the router knows it over IPv4, and the port on which the site listens. In the data folder is what
/// it was asked for.
pub(super) async fn ask(own: Option<SocketAddr>, data: &Path) -> (Router, Firewall) {
    let wanted = own.map(|own| Forward::to(own.port(), 80)[0]);
    let looking = router::look(wanted.as_slice(), follow::published_v6(data));
    let seen = timeout(PATIENCE, looking).await.ok();
    let kept = Kept::load(data);
    let firewall = firewall(seen.as_ref(), &kept);
    let router = own.map(|own| {
        asked(
            seen.map_or_else(Router::default, |s| router(s, own)),
            own,
            kept,
        )
    });
    (router.unwrap_or_default(), firewall)
}

fn router(seen: Seen, own: SocketAddr) -> Router {
    let mapping = seen.ports.first().map(|port| &port.mapping);
    Router {
        external: match seen.external {
            External::Public(address) | External::Shared(address) | External::Private(address) => {
                Some(IpAddr::V4(address))
            }
            External::Direct(_) | External::Unknown(_) => None,
        },
        mapping: match mapping {
            Some(router::Mapping::None | router::Mapping::Off { .. }) => Mapping::Nobody,
            Some(router::Mapping::Here { port, .. }) => {
                Mapping::To(SocketAddr::new(own.ip(), *port))
            }
            Some(router::Mapping::OtherMachine { address, port, .. }) => {
                Mapping::To(SocketAddr::new((*address).into(), *port))
            }
            Some(router::Mapping::Unknown(_)) | None => Mapping::Untold,
        },
        ..Router::default()
    }
}

/// With what it was asked for; what it has granted counts, where it does not show it.
fn asked(mut router: Router, own: SocketAddr, kept: Kept) -> Router {
    let [https, _] = Forward::to(own.port(), 80);
    let mut granted = kept.mapped.iter().filter(|one| !one.is_over());
    let is_granted = granted.any(|one| one.forward() == https && own.ip() == one.own);
    if router.mapping == Mapping::Untold && is_granted {
        router.mapping = Mapping::To(own);
    }
    router.is_asked = is_granted || !kept.trouble.is_empty();
    router.trouble = kept.trouble;
    router
}

/// What becomes of who comes over IPv6.
fn firewall(seen: Option<&Seen>, kept: &Kept) -> Firewall {
    let said = seen.and_then(|seen| seen.ipv6.as_ref().ok());
    let said = said.map(|seen| &seen.firewall);
    if matches!(said, Some(Lets::Says { is_on: false, .. })) {
        return Firewall::Off;
    }
    let mut let_in = kept.holes.iter().filter(|hole| !hole.is_over());
    if let Some(hole) = let_in.find(|hole| hole.port == HTTPS) {
        return Firewall::LetsIn(hole.own);
    }
    if !kept.trouble6.is_empty() {
        return Firewall::Refuses(kept.trouble6.clone());
    }
    match said {
        None => Firewall::NotKnown,
        Some(Lets::Says { asked_in, .. }) if asked_in.is_empty() => Firewall::LetsNobodyAsk,
        Some(Lets::Says { .. } | Lets::CanBeAsked) => Firewall::CanBeAsked,
        Some(Lets::NoSuchRequest(_)) => Firewall::NoSuchRequest,
    }
}
