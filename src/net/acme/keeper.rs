//! Looks after the certificates of all names: obtains, renews, shows.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use instant_acme::Account;
use tokio::sync::watch;

use super::{
    Settings,
    account::Written,
    kept::{self, Kept},
    names::{all_names, is_public},
    report::{Report, report_of},
    tried::digest_of,
    wire::Wire,
};
use crate::{
    base::{Error, Result, Timestamp},
    net::{
        certificates::{Chain, Shown, Watched, clock},
        challenges::Challenges,
        dns,
    },
};

/// How often files and requests of the owner are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);
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

/// Looks after certificates; one for the server.
pub struct Keeper {
    pub(super) data: PathBuf,
    shown: Arc<Shown>,
    pub(super) challenges: Arc<Challenges>,
    wanted: watch::Sender<Wanted>,
    reports: RwLock<Vec<Report>>,
    /// The name that the authority is being asked about.
    asking: RwLock<Option<String>>,
}

/// What the keeper's task has for itself.
#[derive(Default)]
pub(super) struct Memory {
    own: Vec<Watched>,
    pub(super) kept: HashMap<String, Kept>,
    /// The account with the settings that it was opened with, and when its file was written.
    pub(super) account: Option<(Settings, Written, Account, Wire)>,
    /// Whether it was said that the clock is wrong.
    pub(super) is_clock_told: bool,
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
            reports: RwLock::default(),
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
            let reports = self.reports.read();
            reports.unwrap_or_else(PoisonError::into_inner).clone()
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

    /// Gets a new certificate for a name as soon as it can.
    ///
    /// # Errors
    /// [`Error::NotFound`] if no authority is asked about this name; [`Error::Io`].
    pub fn ask_for(&self, name: &str) -> Result<()> {
        let mut reports = self.reports().into_iter();
        if !reports.any(|report| report.name == name && report.next.is_some()) {
            return Err(Error::NotFound);
        }
        kept::ask_to_renew(&self.data, name)
    }

    fn note_asking(&self, name: Option<&str>) {
        *self.asking.write().unwrap_or_else(PoisonError::into_inner) = name.map(str::to_owned);
    }

    /// Obtains and renews, for as long as it is not dropped.
    ///
    /// Reads and writes small files on the way: not for a thread that answers requests.
    pub async fn run(&self) {
        let mut memory = Memory::default();
        let mut changes = self.wanted.subscribe();
        loop {
            // The same for all of a round: what is remembered is what is wanted.
            let wanted = changes.borrow_and_update().clone();
            self.refresh(&mut memory, &wanted);
            for name in Self::names(&wanted, &memory) {
                // Names that were taken away, or are covered by one that has come meanwhile, are not asked for.
                let is_wanted = memory.kept.contains_key(&name);
                let is_asked = is_wanted && kept::take_request(&self.data, &name);
                if is_asked || is_wanted && self.is_due(&mut memory, &name, &wanted).await {
                    self.note_asking(Some(&name));
                    self.renew(&mut memory, &name, &wanted, is_asked).await;
                    self.note_asking(None);
                    self.refresh(&mut memory, &wanted);
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

    /// Reads what has changed on the disk, shows it, and reports.
    fn refresh(&self, memory: &mut Memory, wanted: &Wanted) {
        let is_as_before = memory.own.len() == wanted.settings.files.len()
            && memory
                .own
                .iter()
                .zip(&wanted.settings.files)
                .all(|(a, b)| a.files() == b);
        if !is_as_before {
            memory.own = wanted
                .settings
                .files
                .iter()
                .cloned()
                .map(Watched::new)
                .collect();
        }
        for own in &mut memory.own {
            own.look(&self.data);
        }
        // Which names are asked for depends on what there is for all names below one.
        let mut wildcards = all_names(wanted);
        wildcards.retain(|name| name.starts_with("*."));
        self.load(memory, &wildcards);
        let names = Self::names(wanted, memory);
        self.load(memory, &names);
        memory.kept.retain(|name, _| names.contains(name));
        for (name, kept) in &mut memory.kept {
            let may_wait = kept.state.next_try.is_some();
            if may_wait
                && kept
                    .state
                    .tried
                    .is_with_other(&digest_of(&self.data, name, wanted))
            {
                // What failed with other settings, or another secret, may work now.
                kept.state.next_try = None;
            }
        }
        let own = memory.own.iter().filter_map(Watched::chain).cloned();
        let obtained = names
            .iter()
            .filter_map(|name| memory.kept[name].chain.clone());
        let mut shown: Vec<Arc<Chain>> = own.chain(obtained).collect();
        let now = Timestamp::now();
        // One that has ended makes way for one that has not.
        shown.sort_by_key(|chain| chain.not_after() <= now);
        self.shown.replace_public(shown);
        let mut reports = Vec::new();
        for name in all_names(wanted) {
            reports.push(Self::report(&name, memory));
        }
        *self.reports.write().unwrap_or_else(PoisonError::into_inner) = reports;
    }

    /// Reads what is kept for these names, once; a certificate whose file is gone was revoked.
    fn load(&self, memory: &mut Memory, names: &[String]) {
        for name in names {
            let kept = memory.kept.entry(name.clone());
            let kept = kept.or_insert_with(|| Kept::load(&self.data, name));
            if let Some(issued) = &kept.unsaved {
                if kept::save(&self.data, name, issued).is_err() {
                    continue;
                }
                log::info!("the certificate for {name} is kept now");
                kept.unsaved = None;
                kept.state.failure = None;
                self.keep_state(kept, name);
            }
            if kept.chain.is_some() && kept::is_gone(&self.data, name) {
                kept.chain = None;
            }
        }
    }

    /// The names that a certificate is asked for: nobody else's, and not those that another one covers. All names
    /// below one come first, so that no other certificate is asked for them.
    fn names(wanted: &Wanted, memory: &Memory) -> Vec<String> {
        if !wanted.settings.agree_to_terms {
            return Vec::new();
        }
        let now = Timestamp::now();
        let mut names = all_names(wanted);
        let is_star = |name: &&String| name.starts_with("*.");
        let stars = names.iter().filter(is_star);
        let stars = stars.filter_map(|name| memory.kept.get(name)?.chain.as_ref());
        // One that is wanted and not there yet, or over, helps nobody.
        let is_good = |chain: &&Arc<Chain>| chain.not_before() <= now && now < chain.not_after();
        let stars: Vec<_> = stars.filter(is_good).collect();
        // A file that has ended, and that nobody has renewed, keeps no name without a certificate.
        let own = memory.own.iter().filter_map(Watched::chain);
        let own: Vec<_> = own.filter(|chain| now < chain.not_after()).collect();
        names.retain(|name| {
            let by_star = !is_star(&name) && stars.iter().any(|chain| chain.covers(name));
            let is_covered = by_star || own.iter().any(|chain| chain.covers(name));
            is_public(name, &wanted.settings) && !is_covered
        });
        names.sort_by_key(|name| !is_star(&name));
        names
    }

    fn report(name: &str, memory: &Memory) -> Report {
        let mut own = memory.own.iter().filter_map(Watched::chain);
        let own = own.find(|chain| chain.covers(name));
        // Names of own files are not kept as long as those hold.
        if let Some(kept) = memory.kept.get(name) {
            return report_of(name, kept);
        }
        let mut others = memory.kept.values().filter_map(|kept| kept.chain.as_ref());
        Report {
            name: name.to_owned(),
            is_own: own.is_some(),
            chain: own
                .or_else(|| others.find(|chain| chain.covers(name)))
                .cloned(),
            failure: None,
            next: None,
            renewals: 0,
            record_until: None,
            is_under_way: false,
        }
    }
}

#[cfg(test)]
#[path = "keeper_tests.rs"]
mod tests;
