//! What the router says of itself. Nothing is changed on it.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use tokio::time::timeout;

use super::facts::{Mapping, Router};
use crate::net::router::{self, External, Forward};

/// Routers that do not speak are not waited for any longer.
const PATIENCE: Duration = Duration::from_secs(8);

/// Asks for its address on the internet, and what becomes of what comes to port 443. `own`: this machine, as the router
/// knows it, and the port on which the site listens.
pub(super) async fn ask(own: SocketAddr) -> Router {
    let [https, _] = Forward::to(own.port(), 80);
    let Ok(seen) = timeout(PATIENCE, router::look(&[https])).await else {
        return Router::default();
    };
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
            Some(router::Mapping::OtherMachine { address, port }) => {
                Mapping::To(SocketAddr::new((*address).into(), *port))
            }
            Some(router::Mapping::Unknown(_)) | None => Mapping::Untold,
        },
    }
}
