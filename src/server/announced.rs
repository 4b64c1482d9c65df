//! The machine's name on its own network while the server runs, and who has to know when it changes.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::task::spawn_blocking;

use super::{Started, certificates::Certificates};
use crate::{
    base::{Error, Result},
    config::Config,
    db::ServerLock,
    edge::at_home::AtHome,
    net::{
        listen::{self, Listeners},
        mdns::{self, Announcer},
        names::{LocalName, names_in_reach},
    },
};

/// How often it is tried to tell who asks where the server is, while that cannot be written.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// The name, and whether it is announced.
#[derive(Clone)]
pub(super) struct Local {
    pub(super) name: Arc<LocalName>,
    pub(super) settings: mdns::Settings,
}

impl Local {
    /// As the settings have it.
    pub(super) fn of(config: &Config) -> Self {
        Self {
            name: Arc::new(LocalName::new(config.local.name.as_ref())),
            settings: config.local.clone(),
        }
    }

    /// The same, for a site that listens there.
    pub(super) fn at_home(&self, listeners: &Listeners) -> AtHome {
        AtHome {
            name: Arc::clone(&self.name),
            announces: self.settings.announce,
            https: listeners.https_address,
            http: listeners.http_address,
        }
    }
}

/// What the server tells who asks where it is ([`running`](super::running)).
pub(super) struct Told {
    lock: Mutex<ServerLock>,
    started: Mutex<Started>,
    local: Local,
    certificates: Arc<Certificates>,
    /// Whether it could not be left where others look: the disk is read-only.
    is_owed: AtomicBool,
}

impl Told {
    /// For a server with this lock; nothing is told before [`Told::tell`].
    pub(super) fn new(
        lock: ServerLock,
        started: Started,
        local: Local,
        certificates: Arc<Certificates>,
    ) -> Arc<Self> {
        Arc::new(Self {
            lock: Mutex::new(lock),
            started: Mutex::new(started),
            local,
            certificates,
            is_owed: AtomicBool::new(false),
        })
    }

    /// Tells where the server is now.
    pub(super) fn tell(&self) -> Result<Started> {
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        let address = started.https_address;
        started.addresses = listen::shown_addresses(address, &names_in_reach(&self.local.name));
        started.is_named = self.local.settings.announce && mdns::is_possible(address.ip());
        let line = serde_json::to_string(&*started).map_err(Error::internal)?;
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let is_noted = lock.note(&line)?;
        self.is_owed.store(!is_noted, Ordering::Relaxed);
        Ok(started.clone())
    }

    /// Tells it where others look, as soon as the disk takes that, for as long as it is not dropped.
    pub(super) async fn tell_when_possible(self: Arc<Self>) {
        loop {
            tokio::time::sleep(TELL_EVERY).await;
            if !self.is_owed.load(Ordering::Relaxed) {
                continue;
            }
            let told = Arc::clone(&self);
            match spawn_blocking(move || told.tell()).await {
                Ok(Err(e)) => log::warn!("`webstead status` does not know where this is: {e}"),
                Err(e) => log::error!("{e}"),
                Ok(Ok(_)) => {}
            }
        }
    }

    /// Announces the name, if that is wanted and others could reach the site. Who asks, and the certificate, follow.
    pub(super) fn announce(self: &Arc<Self>) -> Option<Announcer> {
        let started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        let address = started.https_address;
        if !self.local.settings.announce || address.ip().to_canonical().is_loopback() {
            return None;
        }
        let told = Arc::clone(self);
        let changed = move || {
            let told = Arc::clone(&told);
            // It writes files, and is not waited for.
            drop(spawn_blocking(move || {
                told.certificates.look();
                if let Err(e) = told.tell() {
                    log::warn!("`webstead status` does not know the new addresses: {e}");
                }
            }));
        };
        Some(mdns::announce(
            Arc::clone(&self.local.name),
            address,
            changed,
        ))
    }
}
