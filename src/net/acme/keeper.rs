//! Looks after the certificates of all names: obtains, renews, shows.

use std::{
    collections::HashMap,
    mem::replace,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use instant_acme::Account;
use tokio::sync::watch;

use super::{
    Failure, FailureKind, Settings, account,
    attempt::{Attempt, Obtained},
    choice::identifier_at,
    kept::{self, Kept},
    names::{all_names, is_public},
    report::{Report, next_of, report_of, spread},
    schedule,
    wire::Wire,
};
use crate::{
    base::{Error, Result, Timestamp},
    db::DataFolder,
    net::{
        certificates::{Chain, Shown, Watched, clock},
        challenges::Challenges,
        dns,
    },
};

/// How often files and requests of the owner are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Seconds after which an authority is asked again when a certificate is to be renewed; it may say otherwise.
const ADVICE_S: i64 = 6 * 3600;
/// What an authority may say (RFC 9773 section 4.3.2 wants reasonable limits).
const ADVICE_LIMITS_S: (i64, i64) = (60, 24 * 3600);

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
    data: PathBuf,
    shown: Arc<Shown>,
    challenges: Arc<Challenges>,
    wanted: watch::Sender<Wanted>,
    reports: RwLock<Vec<Report>>,
    /// The name that the authority is being asked about.
    asking: RwLock<Option<String>>,
}

/// What the keeper's task has for itself.
#[derive(Default)]
struct Memory {
    own: Vec<Watched>,
    kept: HashMap<String, Kept>,
    /// The account with the settings that it was opened with, and when its file was written.
    account: Option<(Settings, Option<SystemTime>, Account, Wire)>,
    /// The settings that counted last.
    settings: Option<Settings>,
    /// Whether it was said that the clock is wrong.
    is_clock_told: bool,
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
        let settings = memory.settings.replace(wanted.settings.clone());
        if settings.is_some_and(|before| before != wanted.settings) {
            // What failed with other settings may work now.
            for kept in memory.kept.values_mut() {
                kept.state.next_try = None;
            }
        }
        // Which names are asked for depends on what there is for all names below one.
        let mut wildcards = all_names(wanted);
        wildcards.retain(|name| name.starts_with("*."));
        self.load(memory, &wildcards);
        let names = Self::names(wanted, memory);
        self.load(memory, &names);
        memory.kept.retain(|name, _| names.contains(name));
        let own = memory.own.iter().filter_map(Watched::chain).cloned();
        let obtained = names
            .iter()
            .filter_map(|name| memory.kept[name].chain.clone());
        self.shown.replace_public(own.chain(obtained).collect());
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
        let own: Vec<_> = memory.own.iter().filter_map(Watched::chain).collect();
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
        if let (None, Some(kept)) = (own, memory.kept.get(name)) {
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

    /// Whether a certificate for this name is to be obtained now. Asks the authority for its advice, now and then.
    async fn is_due(&self, memory: &mut Memory, name: &str, wanted: &Wanted) -> bool {
        let now = Timestamp::now();
        if !clock::is_believable(SystemTime::now()) {
            if !replace(&mut memory.is_clock_told, true) {
                log::warn!(
                    "the clock of this machine says {}: no certificate is obtained or renewed before it is right. It \
                     is looked at every few seconds; if it does not set itself, look whether this machine can reach \
                     a time server (timedatectl)",
                    Timestamp::of_clock().rfc3339()
                );
            }
            return false;
        }
        if replace(&mut memory.is_clock_told, false) {
            log::info!("the clock says {} now", now.rfc3339());
        }
        let kept = &memory.kept[name];
        let advice = kept.state.advice_until;
        if kept.chain.is_some() && advice.is_none_or(|at| schedule::has_come(at, now)) {
            self.ask_advice(memory, name, wanted).await;
        }
        let kept = &memory.kept[name];
        match kept.state.next_try {
            Some(at) if kept.state.failures > 0 => schedule::has_come(at, now),
            _ => next_of(kept, name) <= now,
        }
    }

    /// Asks the authority when it wants the certificate to be renewed (RFC 9773). No answer is no advice.
    async fn ask_advice(&self, memory: &mut Memory, name: &str, wanted: &Wanted) {
        let id = identifier_at(&wanted.settings, &memory.kept[name]);
        let advice = match (id, self.account(memory, wanted).await) {
            (Some(id), Ok((account, _))) => account.renewal_info(&id).await.ok(),
            _ => None,
        };
        let now = Timestamp::now();
        let Some(kept) = memory.kept.get_mut(name) else {
            return;
        };
        let mut pause = ADVICE_S;
        if let Some((info, again)) = advice {
            let window = &info.suggested_window;
            kept.state.advised = Some((
                Timestamp(window.start.unix_timestamp()),
                Timestamp(window.end.unix_timestamp()),
            ));
            let (least, most) = ADVICE_LIMITS_S;
            pause = i64::try_from(again.as_secs())
                .unwrap_or(most)
                .clamp(least, most);
        }
        kept.state.advice_until = Some(Timestamp(now.0 + pause));
        self.keep_state(kept, name);
    }

    /// Obtains a certificate for a name, and keeps it if it is sound; else keeps why there is none.
    async fn renew(&self, memory: &mut Memory, name: &str, wanted: &Wanted, is_asked: bool) {
        let mut outcome = self.obtain(memory, name, wanted).await;
        let is_lost = |failure: &Failure| failure.kind == FailureKind::LostAccount;
        if outcome.as_ref().is_err_and(is_lost) {
            // That one was put aside. After a long time without the authority, the next try may be hours away.
            outcome = self.obtain(memory, name, wanted).await;
        }
        let retry_at = memory
            .account
            .as_ref()
            .and_then(|(.., wire)| wire.take_retry_at());
        let now = Timestamp::now();
        let Some(kept) = memory.kept.get_mut(name) else {
            return;
        };
        match outcome {
            Ok(obtained) => {
                let chain = obtained.chain;
                log::info!(
                    "{name} has a certificate of {} until {}",
                    chain.issuer(),
                    chain.not_after().rfc3339()
                );
                if let Some(until) = obtained.record_until.filter(|at| *at < chain.not_after()) {
                    log::warn!(
                        "the text in the DNS that proves {name} is good until {} only; put another one in its place \
                         before the certificate is to be renewed",
                        until.rfc3339()
                    );
                }
                let was_there = kept.chain.replace(Arc::new(chain)).is_some();
                let renewals = kept.state.renewals + u32::from(was_there && !is_asked);
                kept.state = kept::State {
                    challenge: Some(obtained.challenge),
                    record_until: obtained.record_until,
                    authority: Some(account::authority_of(&wanted.settings).to_owned()),
                    renewals,
                    ..kept::State::default()
                };
                kept.unsaved = None;
                if let Some((issued, failure)) = obtained.unsaved {
                    log::error!("{name}: {}", failure.text);
                    kept.unsaved = Some(issued);
                    kept.state.failure = Some(failure);
                }
            }
            Err(mut failure) => {
                failure.retry_at = failure.retry_at.or(retry_at);
                // Looked for every few minutes, perhaps for days: said and written once.
                let is_waiting = failure.kind == FailureKind::Record
                    && kept.state.failure.as_ref() == Some(&failure);
                if !is_waiting {
                    log::warn!("no certificate for {name}: {}", failure.words());
                }
                let until = kept.chain.as_ref().map(|chain| chain.not_after());
                let before = kept.state.failure.as_ref();
                kept.state.failures = schedule::counted(kept.state.failures, before, &failure);
                let spread = spread(name, now.0);
                let next = schedule::next_try(kept.state.failures, &failure, until, now, spread);
                kept.state.next_try = Some(next);
                kept.state.failure = Some(failure);
                if is_waiting && !is_asked {
                    return;
                }
            }
        }
        self.keep_state(kept, name);
    }

    async fn obtain(
        &self,
        memory: &mut Memory,
        name: &str,
        wanted: &Wanted,
    ) -> Result<Obtained, Failure> {
        if DataFolder::at(&self.data).is_on_read_only_disk() {
            let text = "the data folder is on a disk that is read-only, so a certificate could not be kept";
            return Err(Failure::new(FailureKind::Setup, text));
        }
        if account::written_at(&self.data, &wanted.settings).is_none() {
            kept::probe(&self.data)?;
        }
        let (account, wire) = self.account(memory, wanted).await?;
        let attempt = Attempt {
            data: &self.data,
            name,
            wanted,
            kept: &memory.kept[name],
            challenges: &self.challenges,
            account: &account,
            wire: &wire,
        };
        let obtained = attempt.make().await;
        let is_lost = |failure: &Failure| failure.kind == FailureKind::LostAccount;
        if obtained.as_ref().is_err_and(is_lost) {
            memory.account = None;
            account::put_aside(&self.data, &wanted.settings)?;
        }
        obtained
    }

    /// The account, opened with these settings.
    async fn account(
        &self,
        memory: &mut Memory,
        wanted: &Wanted,
    ) -> Result<(Account, Wire), Failure> {
        let settings = &wanted.settings;
        let written = account::written_at(&self.data, settings);
        if let Some((of, at, account, wire)) = &memory.account
            && of == settings
            && *at == written
        {
            return Ok((account.clone(), wire.clone()));
        }
        let (account, wire) = account::connect(&self.data, settings).await?;
        let written = account::written_at(&self.data, settings);
        memory.account = Some((settings.clone(), written, account.clone(), wire.clone()));
        Ok((account, wire))
    }

    fn keep_state(&self, kept: &Kept, name: &str) {
        if let Err(e) = kept.save_state(&self.data, name) {
            log::warn!("what is known of the certificate for {name} was not kept: {e}");
        }
    }
}

#[cfg(test)]
#[path = "keeper_tests.rs"]
mod tests;
