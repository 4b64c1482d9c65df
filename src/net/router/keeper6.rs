//! Keeps the router's firewall open for visitors over IPv6, as [`Keeper`](super::Keeper) does with its ports.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use super::{
    Gateway6, Kept,
    absence::Absence,
    epoch::Epoch,
    hole::{self, Router6},
    soap::Service,
};

/// What the keeper's task remembers of IPv6 from one time to the next.
#[derive(Default)]
pub(super) struct Memory6 {
    pub(super) gateway: Option<Gateway6>,
    epoch: Epoch,
    failures: u32,
    absence: Absence,
    /// When it is tried again what failed.
    again_at: Option<Instant>,
    /// What is wrong, in sentences.
    trouble: Vec<String>,
}

impl Memory6 {
    /// Of a machine that has nothing to ask there.
    pub(super) fn at(gateway: Option<Gateway6>) -> Self {
        Self {
            gateway,
            ..Self::default()
        }
    }

    /// Time until what failed is tried again, if something did.
    pub(super) fn again_in(&self) -> Option<Duration> {
        let at = self.again_at?;
        Some(at.saturating_duration_since(Instant::now()))
    }

    /// Lets visitors in to these ports, or keeps it so; gives what is wrong, in sentences. `service` is what the router
    /// describes over UPnP; `has_restarted` if it has forgotten what it knew.
    pub(super) async fn open(
        &mut self,
        ports: &[u16],
        gateway: Gateway6,
        (service, has_restarted): (Result<&Service, &String>, bool),
        (kept, data): (&mut Kept, &Path),
    ) -> Vec<String> {
        let is_same = self.gateway == Some(gateway);
        self.gateway = Some(gateway);
        let is_early = self.again_in().is_some_and(|rest| !rest.is_zero());
        if is_early && is_same && !has_restarted {
            return self.trouble.clone();
        }
        let router = Router6::meet(gateway, service).await;
        let was_asked = !kept.holes.is_empty();
        self.absence.note(router.is_silent(), was_asked);
        let has_restarted = self.epoch.is_anew(router.pcp.as_ref().ok().copied()) || has_restarted;
        let mut trouble = close_others(&router, ports, kept).await;
        for port in ports {
            if !has_restarted && hole::is_fine(&router, *port, kept).await {
                continue;
            }
            let is_new = kept.hole(*port).is_none();
            match hole::open(&router, *port, kept, data).await {
                Ok(Some(protocol)) if is_new => log::info!(
                    "the router lets visitors in over IPv6 to port {port} of {} ({protocol})",
                    gateway.own
                ),
                Ok(_) => {}
                Err(why) => trouble.push(why),
            }
        }
        if trouble.is_empty() {
            self.failures = 0;
            self.again_at = None;
        } else {
            self.failures += 1;
            self.again_at = Some(Instant::now() + self.absence.pause_after(self.failures));
        }
        self.trouble.clone_from(&trouble);
        trouble
    }
}

/// Closes what is not wanted any more: the site listens elsewhere.
async fn close_others(router: &Router6, ports: &[u16], kept: &mut Kept) -> Vec<String> {
    let mut trouble = Vec::new();
    for mut hole in std::mem::take(&mut kept.holes) {
        if !ports.contains(&hole.port)
            && let Err(why) = hole::close(Ok(router), &mut hole).await
        {
            trouble.push(why);
        } else if !ports.contains(&hole.port) {
            continue;
        }
        kept.holes.push(hole);
    }
    trouble
}

/// Closes everything that the router was asked to let in over IPv6; gives what may still be open, in sentences.
pub(super) async fn close_all(kept: &mut Kept, service: Result<&Service, &String>) -> Vec<String> {
    let Some(first) = kept.holes.first().or_else(|| kept.unsure.first()) else {
        return Vec::new();
    };
    let router = match Gateway6::find(Some(first.own)) {
        Ok(gateway) => Ok(Router6::meet(gateway, service).await),
        Err(why) => Err(why),
    };
    let unsure = std::mem::take(&mut kept.unsure);
    if let Ok(router) = &router {
        for hole in &unsure {
            hole::close_unsure(router, hole).await;
        }
    } else {
        kept.unsure = unsure;
    }
    let mut trouble = Vec::new();
    for mut hole in std::mem::take(&mut kept.holes) {
        match hole::close(router.as_ref(), &mut hole).await {
            Ok(()) => log::info!(
                "visitors are not let in over IPv6 to port {} of {} any more",
                hole.port,
                hole.own
            ),
            Err(why) => {
                trouble.push(why);
                kept.holes.push(hole);
            }
        }
    }
    trouble
}
