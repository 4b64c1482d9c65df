//! What the router says of itself. Nothing is changed on it.

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
    time::Duration,
};

use tokio::time::timeout;

use super::facts::{Mapping, Router};
use crate::net::router::{self, External, Forward, Kept};

/// Routers that do not speak are not waited for any longer.
const PATIENCE: Duration = Duration::from_secs(8);

/// Asks for its address on the internet, and what becomes of what comes to port 443. `own`: this machine, as the router
/// knows it, and the port on which the site listens. In the data folder is what it was asked for.
pub(super) async fn ask(own: SocketAddr, data: &Path) -> Router {
    let [https, _] = Forward::to(own.port(), 80);
    let Ok(seen) = timeout(PATIENCE, router::look(&[https])).await else {
        return asked(Router::default(), own, data);
    };
    let mapping = seen.ports.first().map(|port| &port.mapping);
    let router = Router {
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
            Some(router::Mapping::OtherMachine { address, port }) => {
                Mapping::To(SocketAddr::new((*address).into(), *port))
            }
            Some(router::Mapping::Unknown(_)) | None => Mapping::Untold,
        },
        ..Router::default()
    };
    asked(router, own, data)
}

/// With what it was asked for; what it has granted counts, where it does not show it.
fn asked(mut router: Router, own: SocketAddr, data: &Path) -> Router {
    let [https, _] = Forward::to(own.port(), 80);
    let kept = Kept::load(data);
    let mut granted = kept.mapped.iter().filter(|one| !one.is_over());
    let is_granted = granted.any(|one| one.forward() == https && own.ip() == one.own);
    if router.mapping == Mapping::Untold && is_granted {
        router.mapping = Mapping::To(own);
    }
    router.is_asked = is_granted || !kept.trouble.is_empty();
    router.trouble = kept.trouble;
    router
}
