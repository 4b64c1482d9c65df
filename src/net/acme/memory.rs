//! What there is: the owner's own files and what is kept, read from the disk, and how it stands with each name.

use std::{collections::HashMap, path::Path, sync::Arc};

use instant_acme::Account;

use super::{
    Settings,
    account::Written,
    keeper::Wanted,
    kept::{self, Kept},
    names::{all_names, is_public},
    report::{Report, report_of},
    tried::digest_of,
    wire::Wire,
};
use crate::{
    base::Timestamp,
    net::{
        certificates::{Chain, FilesState, Watched},
        ports::Ports,
    },
};

/// What the keeper's task has for itself.
#[derive(Default)]
pub(super) struct Memory {
    own: Vec<Watched>,
    pub(super) kept: HashMap<String, Kept>,
    /// The account with the settings that it was opened with, and when its file was written.
    pub(super) account: Option<(Settings, Written, Account, Wire)>,
    /// Whether it was said that the clock is wrong.
    pub(super) is_clock_told: bool,
    /// What is known of the ports at which an authority knocks.
    pub(super) ports: Ports,
}

/// How it stands with everything that is wanted, and what is kept besides.
#[derive(Debug)]
pub struct Overview {
    /// Each name that is wanted, in that order.
    pub reports: Vec<Report>,
    /// The owner's own files.
    pub files: Vec<FilesState>,
    /// What is kept for names that are not wanted any more.
    pub others: Vec<Report>,
}

/// How it stands with the certificates in a data folder, as far as the disk says it. Changes nothing.
pub fn overview(data: &Path, wanted: &Wanted) -> Overview {
    let files = wanted.settings.files.iter().cloned();
    let mut memory = Memory {
        own: files.map(|files| Watched::read(files, data)).collect(),
        ..Memory::default()
    };
    memory.read(data, wanted);
    let all = all_names(wanted);
    let mut others = kept::names(data);
    others.retain(|name| !all.contains(name));
    let others = others.iter();
    Overview {
        reports: memory.reports(wanted),
        files: memory.files(),
        others: others
            .map(|name| report_of(name, &Kept::load(data, name)))
            .collect(),
    }
}

impl Memory {
    /// Reads what has changed on the disk.
    pub(super) fn read(&mut self, data: &Path, wanted: &Wanted) {
        let files = &wanted.settings.files;
        let is_as_before = self.own.len() == files.len()
            && self.own.iter().zip(files).all(|(a, b)| a.files() == b);
        if !is_as_before {
            self.own = files.iter().cloned().map(Watched::new).collect();
        }
        for own in &mut self.own {
            own.look(data);
        }
        // Which names are asked for depends on what there is for all names below one.
        let mut wildcards = all_names(wanted);
        wildcards.retain(|name| name.starts_with("*."));
        self.load(data, &wildcards);
        let names = self.names(wanted);
        self.load(data, &names);
        self.kept.retain(|name, _| names.contains(name));
        for (name, kept) in &mut self.kept {
            let may_wait = kept.state.next_try.is_some();
            let tried = &kept.state.tried;
            if may_wait && tried.is_with_other(&digest_of(data, name, wanted)) {
                // What failed with other settings, or another secret, may work now.
                kept.state.next_try = None;
            }
        }
    }

    /// The certificates to be shown, first what counts most.
    pub(super) fn shown(&self, wanted: &Wanted) -> Vec<Arc<Chain>> {
        let names = self.names(wanted);
        let own = self.own.iter().filter_map(Watched::chain).cloned();
        let obtained = names.iter();
        let obtained = obtained.filter_map(|name| self.kept.get(name)?.chain.clone());
        let mut shown: Vec<Arc<Chain>> = own.chain(obtained).collect();
        let now = Timestamp::now();
        // One that has ended makes way for one that has not.
        shown.sort_by_key(|chain| chain.not_after() <= now);
        shown
    }

    /// Reads what is kept for these names, once; a certificate whose file is gone was revoked.
    fn load(&mut self, data: &Path, names: &[String]) {
        for name in names {
            let kept = self.kept.entry(name.clone());
            let kept = kept.or_insert_with(|| Kept::load(data, name));
            if let Some(issued) = &kept.unsaved {
                if kept::save(data, name, issued).is_err() {
                    continue;
                }
                log::info!("the certificate for {name} is kept now");
                kept.unsaved = None;
                kept.state.failure = None;
                kept.keep_state(data, name);
            }
            if kept.chain.is_some() && kept::is_gone(data, name) {
                kept.chain = None;
            }
        }
    }

    /// The names that a certificate is asked for: nobody else's, and not those that another one covers. All names
    /// below one come first, so that no other certificate is asked for them.
    pub(super) fn names(&self, wanted: &Wanted) -> Vec<String> {
        if !wanted.settings.agree_to_terms {
            return Vec::new();
        }
        let now = Timestamp::now();
        let mut names = all_names(wanted);
        let is_star = |name: &&String| name.starts_with("*.");
        let stars = names.iter().filter(is_star);
        let stars = stars.filter_map(|name| self.kept.get(name)?.chain.as_ref());
        // One that is wanted and not there yet, or over, helps nobody.
        let is_good = |chain: &&Arc<Chain>| chain.not_before() <= now && now < chain.not_after();
        let stars: Vec<_> = stars.filter(is_good).collect();
        // A file that has ended, and that nobody has renewed, keeps no name without a certificate.
        let own = self.own.iter().filter_map(Watched::chain);
        let own: Vec<_> = own.filter(|chain| now < chain.not_after()).collect();
        names.retain(|name| {
            let by_star = !is_star(&name) && stars.iter().any(|chain| chain.covers(name));
            let is_covered = by_star || own.iter().any(|chain| chain.covers(name));
            is_public(name, &wanted.settings) && !is_covered
        });
        names.sort_by_key(|name| !is_star(&name));
        names
    }

    /// How it stands with each name, in the order in which they are wanted.
    pub(super) fn reports(&self, wanted: &Wanted) -> Vec<Report> {
        let names = all_names(wanted).into_iter();
        names.map(|name| self.report(name)).collect()
    }

    /// How it stands with the owner's own files.
    pub(super) fn files(&self) -> Vec<FilesState> {
        self.own.iter().map(Watched::state).collect()
    }

    fn report(&self, name: String) -> Report {
        let mut own = self.own.iter().filter_map(Watched::chain);
        let own = own.find(|chain| chain.covers(&name));
        // Names of own files are not kept as long as those hold.
        if let Some(kept) = self.kept.get(&name) {
            return report_of(&name, kept);
        }
        let is_own = own.is_some();
        let of_all = self.kept.iter();
        let mut of_all = of_all.filter_map(|(of, kept)| Some((of, kept.chain.as_ref()?)));
        let other = of_all.find(|(_, chain)| !is_own && chain.covers(&name));
        Report {
            is_own,
            covered_by: other.map(|(of, _)| of.clone()),
            chain: own.or(other.map(|(_, chain)| chain)).cloned(),
            name,
            failure: None,
            next: None,
            renewals: 0,
            record_until: None,
            is_under_way: false,
        }
    }
}
