//! What the running server knows of the ports at which an authority knocks, gathered from all who know something.

use std::{net::IpAddr, sync::Arc, time::Duration};

use actix_web::web::Data;
use tokio::time::{sleep, timeout};

use super::certificates::Certificates;
use crate::{
    edge::pipeline::Edge,
    net::{ports::Ports, router},
};

/// How long it is waited for who asks the router at the start: by then, most have said something, or will not.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Who knows something.
pub(super) struct AtPorts {
    pub(super) edge: Data<Edge>,
    pub(super) certificates: Arc<Certificates>,
    pub(super) router: Arc<router::Keeper>,
}

impl AtPorts {
    /// What is known now. While the router is being asked for the first time, that is awaited: ports may be about to be
    /// opened, or be found to be closed.
    pub(super) async fn known(&self) -> Ports {
        let asked = async {
            while self.is_asking() {
                sleep(LOOK_EVERY).await;
            }
        };
        // Who is slower is not waited for.
        let _ = timeout(PATIENCE, asked).await;
        let external = self.certificates.external();
        let known = Ports::known(
            self.edge.front_door(),
            &self.edge.seen(),
            &self.homes(),
            external.as_ref(),
        );
        if self.edge.trusted().are_in_front() {
            // Visitors and the doctor came to somebody else's port 443.
            return known.behind_proxy();
        }
        known
    }

    fn is_asking(&self) -> bool {
        let is_opening = self.router.wanted().is_open && !self.router.is_done();
        is_opening || self.certificates.is_looking_for_addresses()
    }

    /// Addresses of this home: who comes from there is not from outside.
    fn homes(&self) -> Vec<IpAddr> {
        let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
        let followed = self.certificates.followed();
        let followed = followed.addresses.iter().map(|(address, _)| *address);
        let own = interfaces.iter().map(if_addrs::Interface::ip);
        own.chain(followed).collect()
    }
}
