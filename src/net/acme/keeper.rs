//! Looks after the certificates of all names: obtains, renews, shows.

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use tokio::sync::watch;

use super::{
    Settings, account::authority_of, kept, memory::Memory, names::all_names,
    reach::is_of_own_network_at, report::Report,
};
use crate::{
    base::{Error, Result, Timestamp},
    net::{
        certificates::{FilesState, Shown, clock},
        challenges::Challenges,
        dns,
        ports::Ports,
        web_client::machine_roots,
    },
};

/// Seconds after which files and requests of the owner are looked at again.
pub(super) const LOOK_EVERY_S: i64 = 5;
const LOOK_EVERY: Duration = Duration::from_secs(LOOK_EVERY_S.unsigned_abs());

/// Which certificates there are to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Who is asked, and how.
    pub settings: Settings,
    /// Where names can be changed.
    pub dns: dns::Settings,
    /// Names of the site and its hosts, in lower case. Those that no authority can know are left out here.
    pub names: Vec<String>,
}

impl Wanted {
    /// Every name that is wanted, once.
    pub fn all_names(&self) -> Vec<String> {
        all_names(self)
    }

    /// Whether a name is wanted.
    pub fn has(&self, name: &str) -> bool {
        self.all_names().iter().any(|of_site| of_site == name)
    }
}

/// Looks after certificates; one for the server.
pub struct Keeper {
    pub(super) data: PathBuf,
    shown: Arc<Shown>,
    pub(super) challenges: Arc<Challenges>,
    wanted: watch::Sender<Wanted>,
    known: RwLock<Known>,
    /// The name that the authority is being asked about.
    asking: RwLock<Option<String>>,
}

/// How it stands, as it was read last.
#[derive(Default)]
struct Known {
    reports: Vec<Report>,
    files: Vec<FilesState>,
}

impl Keeper {
    /// Of the certificates in this data folder; `shown` shows them. Nothing is done before [`Keeper::run`], except
    /// that what is kept is shown.
    pub fn new(
        data: PathBuf,
        shown: Arc<Shown>,
        challenges: Arc<Challenges>,
        wanted: Wanted,
    ) -> Arc<Self> {
        let keeper = Arc::new(Self {
            data,
            shown,
            challenges,
            wanted: watch::Sender::new(wanted),
            known: RwLock::default(),
            asking: RwLock::default(),
        });
        let wanted = keeper.wanted.borrow().clone();
        keeper.refresh(&mut Memory::default(), &wanted);
        keeper
    }

    /// Other names or settings count from now on.
    pub fn replace(&self, wanted: Wanted) {
        self.wanted.send_if_modified(|old| {
            let is_other = *old != wanted;
            *old = wanted;
            is_other
        });
    }

    /// How it stands with each name, in the order in which they are wanted.
    pub fn reports(&self) -> Vec<Report> {
        let mut reports = {
            let known = self.known.read();
            known
                .unwrap_or_else(PoisonError::into_inner)
                .reports
                .clone()
        };
        let asking = self.asking.read().unwrap_or_else(PoisonError::into_inner);
        let now = Timestamp::now();
        for report in &mut reports {
            let is_due = report.next.is_some_and(|at| at <= now);
            report.is_under_way = asking.as_ref() == Some(&report.name)
                || (is_due && clock::is_believable(SystemTime::now()))
                || (report.next.is_some() && kept::is_asked(&self.data, &report.name));
        }
        reports
    }

    /// How it stands with the owner's own files.
    pub fn files(&self) -> Vec<FilesState> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.files.clone()
    }

    /// Gets a new certificate for a name as soon as it can.
    ///
    /// # Errors
    /// [`Error::NotFound`] if no authority is asked about this name; [`Error::Io`].
    pub fn ask_for(&self, name: &str) -> Result<()> {
        self.must_be_asked_about(name)?;
        kept::ask_to_renew(&self.data, name)
    }

    /// Tries again now what has failed for a name, because something was changed.
    ///
    /// # Errors
    /// As [`Keeper::ask_for`].
    pub fn try_again(&self, name: &str) -> Result<()> {
        self.must_be_asked_about(name)?;
        kept::ask_to_try_again(&self.data, name)
    }

    fn must_be_asked_about(&self, name: &str) -> Result<()> {
        let mut reports = self.reports().into_iter();
        let is_asked = reports.any(|report| report.name == name && report.next.is_some());
        is_asked.then_some(()).ok_or(Error::NotFound)
    }

    fn note_asking(&self, name: Option<&str>) {
        *self.asking.write().unwrap_or_else(PoisonError::into_inner) = name.map(str::to_owned);
    }

    /// Obtains and renews, for as long as it is not dropped. `ports` is asked before an authority is: it says what is known
    /// of those at which one knocks.
    ///
    /// Reads and writes small files on the way: not for a thread that answers requests.
    pub async fn run(&self, ports: impl AsyncFn() -> Ports) {
        let mut memory = Memory::default();
        let mut changes = self.wanted.subscribe();
        loop {
            // The same for all of a round: what is remembered is what is wanted.
            let wanted = changes.borrow_and_update().clone();
            self.refresh(&mut memory, &wanted);
            self.note_trust();
            self.forget_requests();
            for name in memory.names(&wanted) {
                // Names that were taken away, or are covered by one that has come meanwhile, are not asked for.
                let is_wanted = memory.kept.contains_key(&name);
                let is_asked = is_wanted && kept::is_asked(&self.data, &name);
                if is_asked || is_wanted && self.is_due(&mut memory, &name, &wanted).await {
                    memory.ports = ports_for(&wanted, &ports).await;
                    // That may have taken a while: what was changed meanwhile counts, and a request stays until it is met.
                    if changes.has_changed().unwrap_or(false) {
                        break;
                    }
                    let asked = kept::take_request(&self.data, &name);
                    // One that cannot be taken is none.
                    let is_none = is_asked && asked.is_none();
                    if !is_none || self.is_due(&mut memory, &name, &wanted).await {
                        self.note_asking(Some(&name));
                        self.renew(&mut memory, &name, &wanted, asked).await;
                        self.note_asking(None);
                        self.refresh(&mut memory, &wanted);
                    }
                }
                if changes.has_changed().unwrap_or(false) {
                    break;
                }
            }
            tokio::select! {
                _ = changes.changed() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Takes back what was asked for names that another certificate covers meanwhile: nobody meets it, and it would count
    /// in a year.
    fn forget_requests(&self) {
        for report in self.reports() {
            if report.covered_by.is_some() {
                kept::take_request(&self.data, &report.name);
            }
        }
    }

    /// Reads what has changed on the disk, shows it, and reports.
    fn refresh(&self, memory: &mut Memory, wanted: &Wanted) {
        memory.read(&self.data, wanted);
        self.shown.replace_public(memory.shown(wanted));
        let known = Known {
            reports: memory.reports(wanted),
            files: memory.files(),
        };
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
    }

    /// Looks whether browsers know who has signed what is shown. Reads the machine's list of authorities where there is
    /// another certificate.
    fn note_trust(&self) {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let chains = known
            .reports
            .iter()
            .filter_map(|report| report.chain.clone());
        let chains: Vec<_> = chains.filter(|chain| chain.trust().is_none()).collect();
        drop(known);
        if chains.is_empty() {
            return;
        }
        let roots = machine_roots();
        for chain in chains {
            chain.note_trust(&roots);
        }
    }
}

/// What is known of the ports at which the authority of these settings knocks; nothing where it does not matter. One of
/// one's own network does not come through the router.
async fn ports_for(wanted: &Wanted, ports: &impl AsyncFn() -> Ports) -> Ports {
    let settings = &wanted.settings;
    if settings.challenge.is_some() || is_of_own_network_at(authority_of(settings)) {
        return Ports::default();
    }
    ports().await
}

#[cfg(test)]
#[path = "keeper_tests.rs"]
mod tests;
