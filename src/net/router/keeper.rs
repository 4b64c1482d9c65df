//! Keeps the ports of the router open, for as long as the owner wants it.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::{
    Forward, Gateway, Kept, Mapping, Protocol, Settings,
    opening::{self, Opened},
    seen::Router,
};
use crate::{
    base::{Timestamp, is_global},
    net::listen::Listeners,
};

/// How often the machine's own address and router are looked at.
const LOOK_EVERY: Duration = Duration::from_mins(1);
/// How often the router is asked whether all is as it was.
const ASK_EVERY: Duration = Duration::from_mins(5);
/// After a failure: doubled each time, up to RFC 6887's half an hour for what stays so (section 7.4).
const FIRST_RETRY: Duration = Duration::from_mins(1);
const LAST_RETRY: Duration = Duration::from_mins(30);

/// Which ports there are to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Whether the owner wants them open.
    pub is_open: bool,
    /// Which; in words, why there are none.
    pub ports: Result<[Forward; 2], String>,
}

impl Wanted {
    /// For a site that listens there.
    pub fn of(settings: Settings, listeners: &Listeners) -> Self {
        let (https, http) = (listeners.https_address, listeners.http_address);
        let is_hidden = |address: &SocketAddr| address.ip().to_canonical().is_loopback();
        let hidden = [https, http].into_iter().find(is_hidden);
        let ports = hidden.map_or_else(
            || Ok(Forward::to(https.port(), http.port())),
            |address| {
                Err(format!(
                    "the site listens on {address}, which no other machine reaches"
                ))
            },
        );
        Self {
            is_open: settings.is_open(),
            ports,
        }
    }
}

/// However short the router's leases are.
const LEAST_WAIT: Duration = Duration::from_mins(1);

/// Keeps ports open; one for the server.
pub struct Keeper {
    data: PathBuf,
    wanted: watch::Sender<Wanted>,
    /// What was done last, or could not be.
    done: Mutex<Option<Wanted>>,
}

/// What the keeper's task remembers from one time to the next.
#[derive(Default)]
struct Memory {
    gateway: Option<Gateway>,
    /// When the router was asked, and its seconds then.
    epoch: Option<(Instant, u32)>,
    /// What was said in the log.
    told: Vec<String>,
    failures: u32,
}

impl Keeper {
    /// For a server with this data folder. Nothing is done before [`Keeper::run`].
    pub fn new(data: &Path, wanted: Wanted) -> Arc<Self> {
        Arc::new(Self {
            data: data.to_path_buf(),
            wanted: watch::Sender::new(wanted),
            done: Mutex::default(),
        })
    }

    /// The owner wants it otherwise from now on.
    pub fn replace(&self, is_open: bool) {
        self.wanted.send_if_modified(|wanted| {
            let is_other = wanted.is_open != is_open;
            wanted.is_open = is_open;
            is_other
        });
    }

    /// What there is to be now.
    pub fn wanted(&self) -> Wanted {
        self.wanted.borrow().clone()
    }

    /// Whether that was asked, with or without success.
    pub fn is_done(&self) -> bool {
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.as_ref() == Some(&*self.wanted.borrow())
    }

    /// Opens and renews, or closes what is not wanted any more, for as long as it is not dropped. When it is
    /// dropped, what is open stays so: a restart is not noticed.
    ///
    /// Reads and writes a small file on the way: not for a thread that answers requests.
    pub async fn run(&self) {
        let mut memory = Memory::default();
        let mut changes = self.wanted.subscribe();
        loop {
            let wanted = changes.borrow_and_update().clone();
            let wait = self.round(&wanted, &mut memory).await;
            *self.done.lock().unwrap_or_else(PoisonError::into_inner) = Some(wanted.clone());
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
                let is_elsewhere = wanted.is_open && Gateway::find().ok() != memory.gateway;
                if Instant::now() >= until || is_elsewhere {
                    break;
                }
            }
        }
    }

    /// Does what is to be done now; gives the time until there may be something again.
    async fn round(&self, wanted: &Wanted, memory: &mut Memory) -> Duration {
        let mut kept = Kept::load(&self.data);
        let before = kept.clone();
        let trouble = if wanted.is_open {
            self.open(wanted, &mut kept, memory).await
        } else if kept.mapped.is_empty() {
            Vec::new()
        } else {
            log::info!(
                "the owner does not want it any more: closing what the router was asked to open"
            );
            close_all(&mut kept).await
        };
        memory.failures = if trouble.is_empty() {
            0
        } else {
            memory.failures + 1
        };
        for sentence in trouble.iter().filter(|one| !memory.told.contains(one)) {
            log::warn!("{sentence}");
        }
        memory.told.clone_from(&trouble);
        kept.trouble = if wanted.is_open { trouble } else { Vec::new() };
        if kept != before
            && let Err(e) = kept.save(&self.data)
        {
            log::error!("what the router was asked for is not written down: {e}");
        }
        if memory.failures > 0 {
            let doubled = FIRST_RETRY * 2_u32.pow((memory.failures - 1).min(8));
            return doubled.min(LAST_RETRY);
        }
        if !wanted.is_open {
            return Duration::from_hours(24);
        }
        kept.mapped
            .iter()
            .filter_map(renewal_in)
            .min()
            .unwrap_or(ASK_EVERY)
            .clamp(LEAST_WAIT, ASK_EVERY)
    }

    /// Opens what is not open and renews what is half over; gives what is wrong, in sentences.
    async fn open(&self, wanted: &Wanted, kept: &mut Kept, memory: &mut Memory) -> Vec<String> {
        let found = Gateway::find();
        memory.gateway = found.clone().ok();
        let (gateway, ports) = match (found, wanted.ports.clone()) {
            (Ok(gateway), Ok(ports)) => (gateway, ports),
            (Err(why), _) | (_, Err(why)) => {
                return vec![format!("the router cannot be asked to open ports: {why}")];
            }
        };
        if is_global(gateway.own.into()) {
            return Vec::new();
        }
        let router = Router::meet(gateway).await;
        let has_forgotten = has_forgotten(&router, memory);
        let mut trouble = Vec::new();
        for forward in &ports {
            if !has_forgotten && is_fine(&router, *forward, kept).await {
                continue;
            }
            let is_new = kept.of(forward.external).is_none();
            let Forward { external, internal } = *forward;
            match opening::open(&router, *forward, kept, &self.data).await {
                Ok(Opened::ByUs(protocol)) if is_new => log::info!(
                    "the router {} passes its port {external} on to port {internal} of this machine ({protocol})",
                    gateway.address
                ),
                Ok(_) => {}
                Err(why) => trouble.push(why),
            }
        }
        trouble
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

/// Time until half of the lifetime is over (RFC 6887 section 11.2.1); `None` if it has no end.
fn renewal_in(mapped: &super::Mapped) -> Option<Duration> {
    let half = i64::from(mapped.lease_s / 2);
    let rest = mapped.until? - Timestamp::now().0 - half;
    // When the clock was set back since, more would be left than there ever was.
    Some(Duration::from_secs(
        rest.clamp(0, half.max(1)).unsigned_abs(),
    ))
}

/// Whether the router's seconds say that it has started anew and knows nothing more (RFC 6887 section 8.5, RFC 6886
/// section 3.6).
fn has_forgotten(router: &Router, memory: &mut Memory) -> bool {
    let said = router.nat_pmp.as_ref().map(|said| said.epoch_s).ok();
    let Some(now_s) = router.pcp.as_ref().ok().copied().or(said) else {
        return false;
    };
    let before = memory.epoch.replace((Instant::now(), now_s));
    let has = before.is_some_and(|(at, then_s)| is_anew(then_s, now_s, at.elapsed().as_secs()));
    if has {
        log::info!("the router has started anew; its ports are opened again");
    }
    has
}

/// Two seconds and a sixteenth of the time are no difference.
fn is_anew(then_s: u32, now_s: u32, passed_s: u64) -> bool {
    let (Some(server), client) = (
        now_s.checked_add(1).and_then(|now| now.checked_sub(then_s)),
        passed_s,
    ) else {
        return true;
    };
    let server = u64::from(server.saturating_sub(1));
    client + 2 < server - server / 16 || server + 2 < client - client / 16
}

/// Closes everything that the router was asked to open; gives what may still be open, in sentences.
async fn close_all(kept: &mut Kept) -> Vec<String> {
    // What was asked over UPnP can be seen, and may be there though its time is over.
    let may_be_open = |one: &super::Mapped| one.protocol == Protocol::Upnp || !one.is_over();
    kept.mapped.retain(may_be_open);
    if kept.mapped.is_empty() {
        return Vec::new();
    }
    let gateway = match Gateway::find() {
        Ok(gateway) => gateway,
        Err(_) if kept.mapped.iter().all(super::Mapped::is_over) => return Vec::new(),
        Err(why) => return vec![why],
    };
    let router = Router::meet(gateway).await;
    let mut trouble = Vec::new();
    for mapped in std::mem::take(&mut kept.mapped) {
        match opening::close(&router, &mapped).await {
            Ok(()) => log::info!("port {} of the router is closed again", mapped.external),
            Err(why) => {
                trouble.push(why);
                kept.mapped.push(mapped);
            }
        }
    }
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
    use super::is_anew;

    #[test]
    fn a_router_that_started_anew_is_known_by_its_seconds() {
        for (then, now, passed, anew) in [
            (100, 400, 300, false),
            (100, 398, 300, false),
            (100, 5, 300, true),
            // In the time since, it has counted further than before.
            (100, 150, 300, true),
            (100, 4000, 300, true),
            (100, 99, 0, false),
            (0, 3600, 3500, false),
        ] {
            assert_eq!(is_anew(then, now, passed), anew, "{then} {now} {passed}");
        }
    }
}
