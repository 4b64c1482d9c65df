//! Settings that change while the server runs.

use std::{cell::RefCell, sync::Arc};

use actix_web::web::Data;

use super::{backups::Backups, edge_settings, naming::Naming};
use crate::{
    base::Result,
    config::Config,
    edge::pipeline::Edge,
    net::{admission::Admission, leaving, listen, mdns},
};

/// What has to know of other settings.
pub(super) struct Reload<Reread> {
    /// Reads the settings anew.
    reread: Reread,
    naming: Arc<Naming>,
    backups: Arc<Backups>,
    edge: Data<Edge>,
    admission: Admission,
    /// What counts as it was at the start.
    fixed: (listen::Settings, mdns::Settings),
    upgrade: RefCell<leaving::Settings>,
}

impl<Reread: Fn() -> Result<Config>> Reload<Reread> {
    /// For a server that was started with these settings.
    pub(super) fn new(
        reread: Reread,
        (naming, backups): (Arc<Naming>, Arc<Backups>),
        edge: Data<Edge>,
        admission: Admission,
        config: &Config,
    ) -> Self {
        Self {
            reread,
            naming,
            backups,
            edge,
            admission,
            fixed: (config.listen, config.local.clone()),
            upgrade: RefCell::new(config.upgrade.clone()),
        }
    }

    /// Takes the new settings, or none of them if there is a mistake in one. No connection notices. Logs the outcome
    /// and gives it in words.
    ///
    /// # Errors
    /// What kept it.
    pub(super) async fn now(&self) -> Result<&'static str> {
        match self.take().await {
            Ok(true) => {
                let text = "reloaded: everything is as webstead.toml has it";
                log::info!("{text}");
                Ok(text)
            }
            Ok(false) => {
                let text = "reloaded, but [listen] or [local] was changed too, and that counts from the next start: \
                            sudo systemctl restart webstead";
                log::warn!("{text}");
                Ok(text)
            }
            Err(e) => {
                log::error!("not reloaded, everything stays as it was: {e}");
                Err(e)
            }
        }
    }

    /// How another program takes over, as the settings have it now.
    pub(super) fn upgrade(&self) -> leaving::Settings {
        self.upgrade.borrow().clone()
    }

    /// Takes the new settings; says whether all of them count now.
    async fn take(&self) -> Result<bool> {
        let config = (self.reread)()?;
        // First what can be refused.
        self.naming.replace(config.clone()).await?;
        self.backups.replace_settings(config.backup.clone()).await;
        let settings = edge_settings(&config);
        self.admission.replace(settings.limits);
        self.edge.replace_settings(settings, config.trusted_proxies);
        self.upgrade.replace(config.upgrade);
        Ok((config.listen, config.local) == self.fixed)
    }
}
