//! The machine's name on its own network while the server runs, and who has to know when it changes.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::spawn_blocking;

use super::{Started, certificates::Certificates};
use crate::{
    base::{Error, Result},
    config::Config,
    db::ServerLock,
    net::{
        listen,
        mdns::{self, Announcer},
        names::{LocalName, local_names},
    },
};

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
}

/// What the server tells who asks where it is ([`running`](super::running)).
pub(super) struct Told {
    lock: Mutex<ServerLock>,
    started: Mutex<Started>,
    local: Local,
    certificates: Arc<Certificates>,
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
        })
    }

    /// Tells where the server is now.
    pub(super) fn tell(&self) -> Result<Started> {
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        let address = started.https_address;
        started.addresses = listen::shown_addresses(address, &local_names(&self.local.name));
        started.is_named = self.local.settings.announce && mdns::is_possible(address.ip());
        let line = serde_json::to_string(&*started).map_err(Error::internal)?;
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        lock.note(&line)?;
        Ok(started.clone())
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
