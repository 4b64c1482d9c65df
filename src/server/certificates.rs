//! The certificates of the server: the machine's own, and those of the site's names and of its hosts; and the names
//! that follow its addresses.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use rustls::ServerConfig;

use super::names::Effective;
use crate::{
    base::{Names, Result, SiteNames},
    db::DataFolder,
    edge::hosts,
    net::{
        acme::{self, Keeper, Report, Wanted},
        certificates::{self, FilesState, Kind, Renewal, Shown},
        challenges::Challenges,
        dns::{
            self,
            follow::{self, Follower},
        },
        names::{LocalName, Name, local_names},
        ports::Ports,
        router::External,
        tls,
    },
};

/// What looks after certificates; one for the server.
pub(super) struct Certificates {
    /// The data folder.
    data: PathBuf,
    renewal: Renewal,
    keeper: Arc<Keeper>,
    follower: Arc<Follower>,
    challenges: Arc<Challenges>,
    names: Arc<SiteNames>,
    of_hosts: Mutex<Vec<String>>,
    settings: Mutex<(acme::Settings, dns::Settings)>,
}

impl Certificates {
    /// For the names of the machine, of the site and of its hosts; with what new connections of each [`Kind`] are shown.
    pub(super) fn new(
        folder: &DataFolder,
        local: &Arc<LocalName>,
        Effective { config, names, .. }: &Effective,
        hosts: &hosts::Settings,
    ) -> Result<([ServerConfig; Kind::ALL.len()], Arc<Self>)> {
        let root = folder.root();
        let local_hosts = names_of(hosts);
        let of_machine = local_names(local);
        let all = [&of_machine[..], &local_hosts].concat();
        let of_authority = certificates::local_certificate(root, &all)?;
        let challenges = Arc::<Challenges>::default();
        let shown = Shown::new(of_authority, Arc::clone(&challenges));
        let [first, ..] = Kind::ALL;
        let tls = tls::server_config(shown.over(first))?;
        let tls = Kind::ALL.map(|kind| {
            let mut tls = tls.clone();
            tls.cert_resolver = shown.over(kind);
            tls
        });
        let of_hosts: Vec<String> = hosts.names().map(str::to_owned).collect();
        let settings = (config.certificate.clone(), config.dns.clone());
        let wanted = wanted(names, &settings, &of_hosts);
        let follower = Follower::new(root.to_path_buf(), followed(&wanted));
        let (root, local) = (root.to_path_buf(), Arc::clone(local));
        let keeper = Keeper::new(
            root.clone(),
            Arc::clone(&shown),
            Arc::clone(&challenges),
            wanted,
        );
        let certificates = Self {
            data: root.clone(),
            renewal: Renewal::new(root, shown, (local, of_machine), local_hosts),
            keeper,
            follower,
            challenges,
            names: SiteNames::new(names.clone()),
            of_hosts: Mutex::new(of_hosts),
            settings: Mutex::new(settings),
        };
        Ok((tls, Arc::new(certificates)))
    }

    /// The names of the site. Who changes them tells so by [`Certificates::replace_settings`].
    pub(super) fn names(&self) -> Arc<SiteNames> {
        Arc::clone(&self.names)
    }

    /// What is shown to authorities that want a proof.
    pub(super) fn challenges(&self) -> Arc<Challenges> {
        Arc::clone(&self.challenges)
    }

    /// There are other hosts from now on. Their certificate of the machine's own authority is there when this
    /// returns; that of a public one follows.
    pub(super) fn replace_hosts(&self, hosts: &hosts::Settings) {
        self.renewal.replace_hosts(names_of(hosts));
        *self.of_hosts.lock().unwrap_or_else(PoisonError::into_inner) =
            hosts.names().map(str::to_owned).collect();
        self.tell();
    }

    /// Other settings count from now on, and the site's names as they are now.
    pub(super) fn replace_settings(&self, settings: acme::Settings, dns: dns::Settings) {
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = (settings, dns);
        self.tell();
    }

    /// Takes other settings without telling, for who is about to change the names or hosts too: nobody is asked about new
    /// names in the old way. Gives those that counted.
    pub(super) fn swap_settings(
        &self,
        settings: acme::Settings,
        dns: dns::Settings,
    ) -> (acme::Settings, dns::Settings) {
        let mut counting = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut counting, (settings, dns))
    }

    /// The data folder, where secrets are.
    pub(super) fn data(&self) -> &Path {
        &self.data
    }

    /// Who is asked now, and how.
    pub(super) fn settings(&self) -> acme::Settings {
        let settings = self.settings.lock();
        settings.unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// Where names can be changed.
    pub(super) fn dns(&self) -> dns::Settings {
        let settings = self.settings.lock();
        settings.unwrap_or_else(PoisonError::into_inner).1.clone()
    }

    /// The names of the hosts.
    pub(super) fn hosts(&self) -> Vec<String> {
        let of_hosts = self.of_hosts.lock();
        of_hosts.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How it stands with each name.
    pub(super) fn reports(&self) -> Vec<Report> {
        self.keeper.reports()
    }

    /// How it stands with the owner's own files.
    pub(super) fn files(&self) -> Vec<FilesState> {
        self.keeper.files()
    }

    /// Gets a new certificate for a name now.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::base::Error) if nobody is asked about this name.
    pub(super) fn ask_for(&self, name: &str) -> Result<()> {
        self.keeper.ask_for(name)
    }

    /// Tries again now what has failed for a name.
    ///
    /// # Errors
    /// As [`Certificates::ask_for`].
    pub(super) fn try_again(&self, name: &str) -> Result<()> {
        self.keeper.try_again(name)
    }

    /// Looks whether it is time for another certificate of the machine's own authority.
    pub(super) fn look(&self) {
        self.renewal.look();
    }

    /// Obtains and renews certificates of others, for as long as it is not dropped. `ports` says what is known of those
    /// at which an authority knocks.
    pub(super) async fn keep(&self, ports: impl AsyncFn() -> Ports) {
        self.keeper.run(ports).await;
    }

    /// Whether the addresses that names are to follow have not been looked for yet.
    pub(super) fn is_looking_for_addresses(&self) -> bool {
        self.follower.is_looking()
    }

    /// The router's address on the internet, as far as names follow it.
    pub(super) fn external(&self) -> Option<External> {
        self.follower.external()
    }

    /// How it stands with the names that follow the addresses of this machine.
    pub(super) fn followed(&self) -> follow::Report {
        self.follower.report()
    }

    /// Lets names follow the addresses of this machine, for as long as it is not dropped.
    pub(super) async fn follow(&self) {
        self.follower.run().await;
    }

    /// What counts now counts for who obtains certificates and lets names follow.
    pub(super) fn tell(&self) {
        let settings = self.settings.lock();
        let settings = settings.unwrap_or_else(PoisonError::into_inner);
        let of_hosts = self.of_hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = wanted(&self.names.now(), &settings, &of_hosts);
        self.follower.replace(followed(&wanted));
        self.keeper.replace(wanted);
    }
}

fn wanted(
    names: &Names,
    (settings, dns): &(acme::Settings, dns::Settings),
    of_hosts: &[String],
) -> Wanted {
    let of_site = names.all().map(str::to_owned);
    Wanted {
        settings: settings.clone(),
        dns: dns.clone(),
        names: of_site.chain(of_hosts.iter().cloned()).collect(),
    }
}

/// The same names, as far as they are to follow this machine.
fn followed(wanted: &Wanted) -> follow::Wanted {
    follow::Wanted {
        settings: wanted.dns.clone(),
        names: wanted.names.clone(),
    }
}

/// The names of the hosts, for the certificate of the machine's own authority.
fn names_of(hosts: &hosts::Settings) -> Vec<Name> {
    let names = hosts.names().map(str::to_owned);
    names.filter_map(|name| Name::try_from(name).ok()).collect()
}
