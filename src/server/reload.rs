//! Settings that change while the server runs.

use std::sync::Arc;

use super::{edge_settings, hosts::Served};
use crate::{
    base::Result,
    config::Config,
    net::{admission::Admission, listen},
};

/// What has to know of other settings.
pub(super) struct Reload<Reread> {
    /// Reads the settings anew.
    reread: Reread,
    hosts: Arc<Served>,
    admission: Admission,
    /// What counts as it was at the start.
    listen: listen::Settings,
}

impl<Reread: Fn() -> Result<Config>> Reload<Reread> {
    /// For a server that was started with these settings.
    pub(super) fn new(
        reread: Reread,
        hosts: Arc<Served>,
        admission: Admission,
        listen: listen::Settings,
    ) -> Self {
        Self {
            reread,
            hosts,
            admission,
            listen,
        }
    }

    /// Takes the new settings, or none of them if there is a mistake in one. No connection notices.
    pub(super) async fn now(&self) {
        match self.take().await {
            Ok(true) => log::info!("reloaded: everything is as webstead.toml has it"),
            Ok(false) => log::warn!(
                "reloaded, but [listen] was changed too, and that counts from the next start: sudo systemctl \
                 restart webstead"
            ),
            Err(e) => log::error!("not reloaded, everything stays as it was: {e}"),
        }
    }

    /// Takes the new settings; says whether all of them count now.
    async fn take(&self) -> Result<bool> {
        let config = (self.reread)()?;
        // First what can be refused. A host may have a name that was the site's until now.
        let names = self.hosts.certificates().names();
        let before = names.now();
        names.replace(config.names());
        if let Err(e) = self.hosts.replace(config.hosts.clone()).await {
            names.replace((*before).clone());
            return Err(e);
        }
        let certificates = self.hosts.certificates();
        certificates.replace_settings(config.certificate.clone(), config.dns.clone());
        let settings = edge_settings(&config);
        self.admission.replace(settings.limits);
        let edge = self.hosts.edge();
        edge.replace_settings(settings, config.trusted_proxies);
        Ok(config.listen == self.listen)
    }
}
