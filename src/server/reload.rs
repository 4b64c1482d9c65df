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
    domain: Option<String>,
}

impl<Reread: Fn() -> Result<Config>> Reload<Reread> {
    /// For a server that was started with these settings.
    pub(super) fn new(
        reread: Reread,
        hosts: Arc<Served>,
        admission: Admission,
        config: &Config,
    ) -> Self {
        Self {
            reread,
            hosts,
            admission,
            listen: config.listen,
            domain: config.domain.clone(),
        }
    }

    /// Takes the new settings, or none of them if there is a mistake in one. No connection notices.
    pub(super) async fn now(&self) {
        match self.take().await {
            Ok(left) if left.is_empty() => {
                log::info!("reloaded: everything is as webstead.toml has it");
            }
            Ok(left) => log::warn!(
                "reloaded, but {} was changed too, and that counts from the next start: sudo systemctl \
                 restart webstead",
                left.join(" and ")
            ),
            Err(e) => log::error!("not reloaded, everything stays as it was: {e}"),
        }
    }

    /// Takes the new settings, and names those that cannot be taken now.
    async fn take(&self) -> Result<Vec<&'static str>> {
        let config = (self.reread)()?;
        // First what can be refused.
        self.hosts.replace(config.hosts.clone()).await?;
        let settings = edge_settings(&config);
        self.admission.replace(settings.limits);
        let edge = self.hosts.edge();
        edge.replace_settings(settings, config.trusted_proxies);
        let left = [
            ("domain", config.domain != self.domain),
            ("[listen]", config.listen != self.listen),
        ];
        let changed = left.iter().filter(|(_, is_changed)| *is_changed);
        Ok(changed.map(|(name, _)| *name).collect())
    }
}
