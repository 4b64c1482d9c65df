//! Keeps the ports of the router open, for as long as the owner wants it.

use std::{
    net::Ipv6Addr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::{
    Forward, Gateway, Gateway6, Kept, Mapping, Protocol, Wanted,
    absence::Absence,
    epoch::Epoch,
    keeper6::{self, Memory6},
    kept::half_of,
    opening::{self, Opened},
    seen::Router,
};
use crate::{base::is_global, net::front_door::FrontDoor};

/// How often the machine's own address and router are looked at.
pub(super) const LOOK_EVERY: Duration = Duration::from_mins(1);
/// How often the router is asked whether all is as it was.
const ASK_EVERY: Duration = Duration::from_mins(5);
/// However short the router's leases are.
const LEAST_WAIT: Duration = Duration::from_mins(1);

/// Keeps ports open; one for the server.
pub struct Keeper {
    data: PathBuf,
    /// The IPv6 address that the names of the site have, if one of them has.
    published: fn(&Path) -> Option<Ipv6Addr>,
    wanted: watch::Sender<Wanted>,
    /// Who is told whether port 443 leads here.
    front_door: Arc<FrontDoor>,
    done: Mutex<Done>,
}

/// What was done last, or could not be.
#[derive(Default)]
struct Done {
    wanted: Option<Wanted>,
    /// When something else was wanted, or became of it.
    changed_at: Option<Instant>,
    /// What may still be open though it is not wanted any more, in sentences.
    left_open: Vec<String>,
}

/// What the keeper's task remembers from one time to the next.
#[derive(Default)]
struct Memory {
    gateway: Option<Gateway>,
    /// As it was met last, if something was asked of it.
    router: Option<Router>,
    epoch: Epoch,
    /// It was seen between two rounds that it has started anew.
    has_restarted: bool,
    of_ipv6: Memory6,
    /// What was said in the log.
    told: Vec<String>,
    failures: u32,
    absence: Absence,
}

impl Memory {
    /// Whether the router has started anew since it was met, as far as one question tells: it is asked for its seconds,
    /// or, where it speaks UPnP only, for a port. One that is silent may be just starting.
    async fn has_forgotten(&mut self) -> bool {
        let Some(router) = &self.router else {
            return false;
        };
        if router.seconds().is_some() {
            let now_s = router.ask_seconds().await;
            return self.epoch.is_anew(now_s);
        }
        matches!(
            router.mapping(super::HTTPS).await,
            Mapping::None | Mapping::OtherMachine { .. }
        )
    }
}

impl Keeper {
    /// For a server with this data folder. `published` finds the IPv6 address there that its names have. Nothing is
    /// done before [`Keeper::run`].
    pub fn new(
        data: &Path,
        wanted: Wanted,
        published: fn(&Path) -> Option<Ipv6Addr>,
        front_door: Arc<FrontDoor>,
    ) -> Arc<Self> {
        Arc::new(Self {
            data: data.to_path_buf(),
            published,
            wanted: watch::Sender::new(wanted),
            front_door,
            done: Mutex::default(),
        })
    }

    /// The owner wants it otherwise from now on.
    pub fn replace(&self, is_open: bool) {
        self.wanted.send_if_modified(|wanted| {
            let is_other = wanted.is_open != is_open;
            wanted.is_open = is_open;
            if is_other {
                self.done().changed_at = Some(Instant::now());
            }
            is_other
        });
    }

    /// What there is to be now.
    pub fn wanted(&self) -> Wanted {
        self.wanted.borrow().clone()
    }

    /// Whether that was asked, with or without success.
    pub fn is_done(&self) -> bool {
        self.done().wanted.as_ref() == Some(&*self.wanted.borrow())
    }

    /// When it became otherwise what the router was asked for, or what it grants: what was seen of it before may not be
    /// so any more. Renewals do not count.
    pub fn changed_at(&self) -> Option<Instant> {
        self.done().changed_at
    }

    /// What may still be open though it is not wanted any more, in sentences. That is tried again.
    pub fn left_open(&self) -> Vec<String> {
        self.done().left_open.clone()
    }

    /// Who is told what is found out of the ports.
    pub fn front_door(&self) -> &FrontDoor {
        &self.front_door
    }

    fn done(&self) -> MutexGuard<'_, Done> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens and renews, or closes what is not wanted any more, for as long as it is not dropped. When it is
    /// dropped, what is open stays so: a restart is not noticed.
    ///
    /// Reads and writes a small file on the way: not for a thread that answers requests.
    pub async fn run(&self) {
        let mut memory = Memory::default();
        let mut changes = self.wanted.subscribe();
        // What was granted before a restart still holds; the router answers in some seconds.
        self.front_door.note_router(self.is_granted());
        loop {
            let wanted = changes.borrow_and_update().clone();
            let wait = self.round(&wanted, &mut memory).await;
            self.done().wanted = Some(wanted.clone());
            let until = Instant::now() + wait;
            // Another address or router is noticed before that.
            loop {
                let rest = until.saturating_duration_since(Instant::now());
                tokio::select! {
                    _ = changes.changed() => {
                        memory = Memory::default();
                        break;
                    }
                    () = tokio::time::sleep(rest.min(LOOK_EVERY)) => {}
                }
                if Instant::now() >= until || (wanted.is_open && self.is_elsewhere(&memory)) {
                    break;
                }
                if wanted.is_open && memory.has_forgotten().await {
                    memory.has_restarted = true;
                    break;
                }
            }
        }
    }

    /// Whether the router has been asked for port 443 as it is wanted now, and its time is not over.
    fn is_granted(&self) -> bool {
        let wanted = self.wanted();
        let Some([https, _]) = wanted.ports.ok().filter(|_| wanted.is_open) else {
            return false;
        };
        let kept = Kept::load(&self.data);
        let mapped = kept.of(https.external);
        mapped.is_some_and(|one| one.forward() == https && !one.is_over())
    }

    /// Whether this machine has another address or router now.
    fn is_elsewhere(&self, memory: &Memory) -> bool {
        Gateway::find().ok() != memory.gateway
            || Gateway6::find((self.published)(&self.data)).ok() != memory.of_ipv6.gateway
    }

    /// Does what is to be done now; gives the time until there may be something again.
    async fn round(&self, wanted: &Wanted, memory: &mut Memory) -> Duration {
        let mut kept = Kept::load(&self.data);
        let before = kept.clone();
        let (trouble, trouble6) = if wanted.is_open {
            self.open(wanted, &mut kept, memory).await
        } else if kept.is_empty() {
            self.forget();
            (Vec::new(), Vec::new())
        } else {
            log::info!(
                "the owner does not want it any more: closing what the router was asked to open"
            );
            let trouble = close_all(&mut kept).await;
            // Who came until now came before that.
            self.forget();
            (trouble, Vec::new())
        };
        memory.failures = if trouble.is_empty() {
            0
        } else {
            memory.failures + 1
        };
        let both: Vec<String> = trouble.iter().chain(&trouble6).cloned().collect();
        for sentence in both.iter().filter(|one| !memory.told.contains(one)) {
            log::warn!("{sentence}");
        }
        memory.told = both;
        let mut left_open = Vec::new();
        (kept.trouble, kept.trouble6) = if wanted.is_open {
            (trouble, trouble6)
        } else {
            left_open = trouble;
            (Vec::new(), Vec::new())
        };
        {
            let mut done = self.done();
            if !kept.is_like(&before) || done.left_open != left_open {
                done.changed_at = Some(Instant::now());
            }
            done.left_open = left_open;
        }
        if kept != before
            && let Err(e) = kept.save(&self.data)
        {
            log::error!("what the router was asked for is not written down: {e}");
        }
        if memory.failures > 0 {
            return memory.absence.pause_after(memory.failures);
        }
        if !wanted.is_open {
            return Duration::from_hours(24);
        }
        let of_ipv4 = kept.mapped.iter().filter_map(renewal_in);
        of_ipv4
            .chain(kept.holes.iter().map(super::Hole::renewal_in))
            .chain(memory.of_ipv6.again_in())
            .min()
            .unwrap_or(ASK_EVERY)
            .clamp(LEAST_WAIT, ASK_EVERY)
    }

    /// Opens what is not open and renews what is half over; gives what is wrong, in sentences, over IPv4 and over IPv6.
    async fn open(
        &self,
        wanted: &Wanted,
        kept: &mut Kept,
        memory: &mut Memory,
    ) -> (Vec<String>, Vec<String>) {
        let found = Gateway::find();
        memory.gateway = found.clone().ok();
        let found6 = Gateway6::find((self.published)(&self.data)).ok();
        kept.holes.retain(|hole| !hole.is_over());
        kept.unsure.retain(|hole| !hole.is_over());
        let mut trouble = Vec::new();
        let (mut service, mut has_restarted) =
            (Err("it is asked over IPv4 for that".to_owned()), false);
        match (found, wanted.ports.clone()) {
            (Ok(gateway), Ok(_)) if is_global(gateway.own.into()) => {
                self.front_door.forget_refusals();
                self.front_door.note_unreachable(Some(false));
            }
            (Ok(gateway), Ok(ports)) => {
                let router = Router::meet(gateway).await;
                let was_asked = !kept.mapped.is_empty();
                memory.absence.note(router.is_silent(), was_asked);
                has_restarted = memory.epoch.is_anew(router.seconds()) | memory.has_restarted;
                memory.has_restarted = false;
                let external = router.external().await;
                self.front_door.note_unreachable(external.is_unreachable());
                trouble = self.open_ports(&router, &ports, has_restarted, kept).await;
                service.clone_from(&router.firewall);
                let is_seen = kept
                    .of(super::HTTPS)
                    .is_some_and(|one| one.protocol == Protocol::Upnp);
                memory.router = (router.seconds().is_some() || is_seen).then_some(router);
            }
            // Who has only IPv6 misses nothing.
            (Err(_), Ok(_)) if found6.is_some() => self.front_door.forget_refusals(),
            (Err(why), _) | (_, Err(why)) => {
                self.front_door.forget_refusals();
                trouble = vec![format!("the router cannot be asked to open ports: {why}")];
            }
        }
        let ports = wanted.ports6.as_deref().unwrap_or_default();
        let Some(gateway) = found6.filter(|_| !ports.is_empty() || !kept.holes.is_empty()) else {
            memory.of_ipv6 = Memory6::at(found6);
            return (trouble, Vec::new());
        };
        let seen = (service.as_ref(), has_restarted);
        let (memory, kept) = (&mut memory.of_ipv6, (kept, &*self.data));
        let of_ipv6 = memory.open(ports, gateway, seen, kept).await;
        (trouble, of_ipv6)
    }

    /// Ports of the router, over IPv4.
    async fn open_ports(
        &self,
        router: &Router,
        ports: &[Forward],
        has_restarted: bool,
        kept: &mut Kept,
    ) -> Vec<String> {
        let mut trouble = Vec::new();
        for forward in ports {
            if !has_restarted && is_fine(router, *forward, kept).await {
                self.note(router, forward.external, true);
                continue;
            }
            let is_new = kept.of(forward.external).is_none();
            let Forward { external, internal } = *forward;
            let opened = opening::open(router, *forward, kept, &self.data).await;
            self.note(router, external, opened.is_ok());
            match opened {
                Ok(Opened::ByUs(protocol)) if is_new => log::info!(
                    "the router {} passes its port {external} on to port {internal} of this machine ({protocol})",
                    router.gateway.address
                ),
                Ok(_) => {}
                Err(why) => trouble.push(why),
            }
        }
        trouble
    }

    /// Tells what became of a port. What a router that does not answer was told on its own pages, nobody knows.
    fn note(&self, router: &Router, external: u16, is_open: bool) {
        let is_refused = !is_open && !router.is_silent();
        self.front_door.note_refused(external, is_refused);
        if external == super::HTTPS {
            self.front_door.note_router(is_open);
        }
    }

    /// The router is not asked any more.
    fn forget(&self) {
        self.front_door.note_router(false);
        self.front_door.forget_refusals();
    }
}

/// Whether a port is as it should be, and not half over.
async fn is_fine(router: &Router, forward: Forward, kept: &Kept) -> bool {
    let Some(mapped) = kept.of(forward.external) else {
        return false;
    };
    let is_same = mapped.forward() == forward
        && mapped.own == router.gateway.own
        && mapped.router == router.gateway.address;
    if !is_same || renewal_in(mapped).is_some_and(|rest| rest.is_zero()) {
        return false;
    }
    match router.mapping(forward.external).await {
        Mapping::Here { port, .. } => port == forward.internal,
        // What has an end is asked for again in time; what has none may be gone, and nobody would see it.
        Mapping::Unknown(_) => mapped.until.is_some(),
        // A router need not show over UPnP what it was asked for in another language.
        Mapping::None => {
            mapped.protocol != Protocol::Upnp && router.igd.is_ok() && !mapped.is_over()
        }
        Mapping::OtherMachine { .. } | Mapping::Off { .. } => false,
    }
}

/// Time until half of the lifetime is over; `None` if it has no end.
fn renewal_in(mapped: &super::Mapped) -> Option<Duration> {
    Some(half_of(mapped.until?, mapped.lease_s))
}

/// Closes everything that the router was asked to open; gives what may still be open, in sentences.
async fn close_all(kept: &mut Kept) -> Vec<String> {
    // What was asked over UPnP can be seen, and may be there though its time is over.
    let may_be_open = |one: &super::Mapped| one.protocol == Protocol::Upnp || !one.is_over();
    kept.mapped.retain(may_be_open);
    kept.holes.retain(|hole| !hole.is_over());
    kept.unsure.retain(|hole| !hole.is_over());
    if kept.is_empty() {
        return Vec::new();
    }
    let router = match Gateway::find() {
        Ok(gateway) => Ok(Router::meet(gateway).await),
        Err(why) => Err(why),
    };
    let service = router.as_ref().and_then(|router| router.firewall.as_ref());
    let of_ipv6 = keeper6::close_all(kept, service).await;
    let mut trouble = Vec::new();
    match router {
        Ok(router) => {
            for mapped in std::mem::take(&mut kept.mapped) {
                match opening::close(&router, &mapped).await {
                    Ok(()) => log::info!("port {} of the router is closed again", mapped.external),
                    Err(why) => {
                        trouble.push(why);
                        kept.mapped.push(mapped);
                    }
                }
            }
        }
        Err(_) if kept.mapped.iter().all(super::Mapped::is_over) => kept.mapped.clear(),
        Err(why) => trouble.push(why),
    }
    trouble.extend(of_ipv6);
    trouble
}

/// Closes what a server of this data folder has asked the router to open, where no server does it.
///
/// # Errors
/// What may still be open, in sentences.
pub async fn close(data: &Path) -> Result<(), Vec<String>> {
    let mut kept = Kept::load(data);
    let trouble = close_all(&mut kept).await;
    kept.trouble.clear();
    kept.trouble6.clear();
    if let Err(e) = kept.save(data) {
        log::warn!("{e}");
    }
    if trouble.is_empty() {
        Ok(())
    } else {
        Err(trouble)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::front_door::Against;

    #[actix_web::test]
    async fn where_no_router_can_be_asked_its_refusals_are_forgotten_and_its_address_is_not() {
        let data = tempfile::tempdir().unwrap();
        let door = Arc::new(FrontDoor::default());
        door.note_refused(super::super::HTTP, true);
        door.note_unreachable(Some(true));
        let wanted = Wanted {
            is_open: true,
            ports: Err("the site listens on [::1]:8443".into()),
            ports6: Ok(Vec::new()),
        };
        let keeper = Keeper::new(data.path(), wanted.clone(), |_| None, Arc::clone(&door));
        keeper.round(&wanted, &mut Memory::default()).await;
        let is_unreachable = true;
        let left = Against {
            is_unreachable,
            ..Against::default()
        };
        assert_eq!(door.against(), left);
    }
}
