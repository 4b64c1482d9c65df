//! Lets names follow: finds the addresses, compares, changes what differs, and keeps what became of it.

use std::{
    collections::HashMap,
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use data_encoding::HEXLOWER;
use futures_util::future::join;
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use super::{
    by_hand,
    due::{Looked, is_due},
    found::Finder,
    pause,
    state::{self, NameState, Report},
};
use crate::{
    base::{Timestamp, secrets},
    net::{
        dns::{Addresses, Failure, FailureKind, SECRET_NAME, Settings, Zone, zone_of},
        router::External,
    },
};

/// How often the addresses are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How often it is looked whether the owner asks.
const ASKED_EVERY: Duration = Duration::from_secs(2);
/// Seconds after which a name is looked at though nothing has changed here: somebody may have changed it there.
const AGAIN_S: i64 = 3600;

/// Which names are to follow, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Where names can be changed, and which follow.
    pub settings: Settings,
    /// Names of the site and its hosts.
    pub names: Vec<String>,
}

/// Lets names follow; one for the server.
pub struct Follower {
    data: PathBuf,
    wanted: watch::Sender<Wanted>,
    report: RwLock<Report>,
    /// What the router said of its address last; `None` before addresses are looked for.
    external: RwLock<Option<External>>,
}

/// What the follower's task has for itself.
struct Memory {
    v4: Finder,
    v6: Finder,
    /// What lies on the disk.
    kept: Report,
    looked: HashMap<String, Looked>,
    /// The fingerprint of the settings and the secret, as they were seen last.
    with: Option<String>,
}

impl Memory {
    /// Whether an address that was published leads nowhere by now.
    fn is_gone(&self, published: IpAddr) -> bool {
        match published {
            IpAddr::V4(_) => self.v4.is_gone(),
            IpAddr::V6(_) => self.v6.is_gone(),
        }
    }
}

impl Follower {
    /// Of the names of the server on this data folder. Nothing is done before [`Follower::run`].
    pub fn new(data: PathBuf, wanted: Wanted) -> Arc<Self> {
        Arc::new(Self {
            report: RwLock::new(state::kept(&data)),
            data,
            external: RwLock::default(),
            wanted: watch::Sender::new(wanted),
        })
    }

    /// Other names or settings count from now on.
    pub fn replace(&self, wanted: Wanted) {
        self.wanted.send_if_modified(|old| {
            let is_other = *old != wanted;
            *old = wanted;
            is_other
        });
    }

    /// How it stands with the addresses and names.
    pub fn report(&self) -> Report {
        let report = self.report.read();
        report.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether names are to follow, and the addresses have not been looked for yet.
    pub fn is_looking(&self) -> bool {
        let is_wanted = {
            let wanted = self.wanted.borrow();
            !wanted.settings.followed(&wanted.names).is_empty()
        };
        is_wanted && self.external().is_none()
    }

    /// What the router says of its address on the internet, as far as names follow it.
    pub fn external(&self) -> Option<External> {
        let external = self.external.read();
        external.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note_external(&self, external: Option<External>) {
        let known = self.external.write();
        *known.unwrap_or_else(PoisonError::into_inner) = external;
    }

    /// Looks and changes, for as long as it is not dropped.
    ///
    /// Reads and writes small files on the way: not for a thread that answers requests.
    pub async fn run(&self) {
        let mut memory = Memory {
            v4: Finder::new(true, &self.data),
            v6: Finder::new(false, &self.data),
            kept: self.report(),
            looked: HashMap::new(),
            with: None,
        };
        let mut changes = self.wanted.subscribe();
        let mut look_at = Instant::now();
        loop {
            let wanted = changes.borrow_and_update().clone();
            let names = wanted.settings.followed(&wanted.names);
            let is_asked = by_hand::is_asked(&self.data);
            let with = self.fingerprint(&wanted.settings);
            let before = memory.with.replace(with.clone());
            if before.is_some_and(|before| before != with) {
                // Another secret is tried soon, and not before settings have come that may belong to it: it is not for
                // another provider.
                look_at = Instant::now() + ASKED_EVERY;
            }
            let is_time = is_asked || Instant::now() >= look_at;
            if is_time && (!names.is_empty() || !memory.kept.names.is_empty()) {
                look_at = Instant::now() + LOOK_EVERY;
                let settings = (&wanted.settings, &*with);
                self.look(&mut memory, settings, &names, is_asked).await;
            }
            if is_asked {
                by_hand::forget_request(&self.data);
            }
            tokio::select! {
                told = changes.changed() => {
                    if told.is_err() {
                        return;
                    }
                    // What failed with other settings may work now.
                    memory.looked.clear();
                    memory.with = None;
                    look_at = Instant::now();
                    memory.v4.forget();
                    memory.v6.forget();
                }
                () = tokio::time::sleep(ASKED_EVERY) => {}
            }
        }
    }

    /// Looks once at everything.
    async fn look(
        &self,
        memory: &mut Memory,
        (settings, with): (&Settings, &str),
        names: &[String],
        is_asked: bool,
    ) {
        let mut report = memory.kept.clone();
        report.names.retain(|name, _| names.contains(name));
        if names.is_empty() {
            report = Report::default();
            self.note_external(None);
        } else {
            if is_asked {
                memory.v4.forget();
                memory.v6.forget();
            }
            let roots = settings.roots(&self.data);
            let from = &settings.addresses_from;
            // At the same time: without a line, each takes its time to see that.
            (report.v4, report.v6) = join(
                memory.v4.find(from, roots.as_ref(), report.v4.address),
                memory.v6.find(from, roots.as_ref(), report.v6.address),
            )
            .await;
            report.remember(Timestamp::now());
            self.note_external(Some(memory.v4.external.clone()));
        }
        let now = Timestamp::now();
        let wanted = report.wanted();
        for name in names {
            let mut state = report.names.get(name).cloned().unwrap_or_default();
            let mut published = state.published.iter();
            let has_gone = published.any(|address| memory.is_gone(*address));
            let looked = memory.looked.get(name);
            if is_due(&state, looked, &wanted, with, has_gone, now) || is_asked {
                let follows = self.follow(&mut state, memory, settings, name, &wanted, with);
                follows.await;
                let pause = if state.has_failed_as(FailureKind::Unreachable) {
                    pause::while_unreachable()
                } else {
                    pause::seconds(pause::spread_out(AGAIN_S, pause::chance()))
                };
                let looked = Looked {
                    wanted: wanted.clone(),
                    again_at: Instant::now() + pause,
                };
                memory.looked.insert(name.clone(), looked);
            }
            report.names.insert(name.clone(), state);
        }
        if report != memory.kept {
            if let Err(e) = state::keep(&self.data, &report) {
                log::warn!("what is known of the names that follow was not kept: {e}");
            }
            memory.kept.clone_from(&report);
        }
        *self.report.write().unwrap_or_else(PoisonError::into_inner) = report;
    }

    /// Compares what a name has with what it should have, changes it if necessary, and notes what became of it.
    async fn follow(
        &self,
        state: &mut NameState,
        memory: &Memory,
        settings: &Settings,
        name: &str,
        wanted: &[IpAddr],
        with: &str,
    ) {
        let had = state.has.clone();
        let done = match zone_of(settings, &self.data) {
            // That there is nothing to do says nothing of what the provider refuses.
            Ok(Some(_)) if wanted.is_empty() && state.published.is_empty() => {
                if !state.has_failed_as(FailureKind::Setup) {
                    return;
                }
                Ok(())
            }
            Ok(Some(zone)) => {
                let gone = |address: &IpAddr| memory.is_gone(*address);
                bring_up(&*zone, settings, state, name, wanted, gone).await
            }
            Ok(None) => return,
            Err(e) => Err(e.into()),
        };
        if state.has != had || (state.since.is_none() && !state.has.is_empty()) {
            state.since = Some(Timestamp::now());
        }
        match done {
            Ok(()) => state.forget_failure(),
            Err(failure) => {
                let before = state.failure.clone();
                state.note(failure, wanted, with);
                if let Some(failure) = &state.failure
                    && before.is_none_or(|before| before.text != failure.text)
                {
                    log::warn!("{name} does not follow: {}", failure.text);
                }
            }
        }
    }

    /// What changes when the settings or the secret do; says nothing of the secret itself.
    fn fingerprint(&self, settings: &Settings) -> String {
        let written = secrets::written_at(&self.data, SECRET_NAME);
        let Settings {
            provider,
            check_at,
            api_roots,
            ..
        } = settings;
        let all = format!("{provider:?} {check_at:?} {api_roots:?} {written:?}");
        let digest = Sha256::digest(all);
        HEXLOWER.encode(&digest[..8])
    }
}

/// Lets a name have the wanted addresses, and takes away what was published and is gone.
async fn bring_up(
    zone: &dyn Zone,
    settings: &Settings,
    state: &mut NameState,
    name: &str,
    wanted: &[IpAddr],
    is_gone: impl Fn(&IpAddr) -> bool,
) -> Result<(), Failure> {
    let has = match zone.addresses(name).await {
        Ok(has) => {
            state.is_asked = true;
            has
        }
        // Who cannot be asked is believed to have what it said that it has.
        Err(failure)
            if matches!(
                failure.kind,
                FailureKind::Unreachable | FailureKind::Trouble
            ) && !settings.can_be_asked() =>
        {
            state.published.clone()
        }
        Err(failure) => return Err(failure),
    };
    state.has.clone_from(&has);
    let of_kind = |all: &[IpAddr], of: IpAddr| -> Vec<IpAddr> {
        let alike = all
            .iter()
            .filter(|address| address.is_ipv4() == of.is_ipv4());
        alike.copied().collect()
    };
    if wanted
        .iter()
        .any(|address| of_kind(&has, *address) != [*address])
    {
        zone.set_addresses(name, Addresses::of(wanted)).await?;
        let shown: Vec<String> = wanted.iter().map(ToString::to_string).collect();
        log::info!("{name} leads to {} now", shown.join(" and "));
        let is_other = |address: &&IpAddr| of_kind(wanted, **address).is_empty();
        let others = has.iter().filter(is_other).copied();
        state.has = wanted.iter().copied().chain(others).collect();
    }
    let is_left =
        |address: &&IpAddr| of_kind(wanted, **address).is_empty() && state.has.contains(address);
    let left: Vec<IpAddr> = state.published.iter().filter(is_left).copied().collect();
    state.published = wanted.to_vec();
    for address in left {
        if !is_gone(&address) {
            state.published.push(address);
            continue;
        }
        if let Err(failure) = zone.remove_address(name, address).await {
            state.published.push(address);
            return Err(failure);
        }
        log::info!("{name} does not lead to {address} any more");
        state.has.retain(|other| *other != address);
    }
    Ok(())
}
