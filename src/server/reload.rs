//! Settings that change while the server runs.

use std::sync::Arc;

use actix_web::web::Data;

use super::{edge_settings, naming::Naming};
use crate::{
    base::Result,
    config::Config,
    edge::pipeline::Edge,
    net::{admission::Admission, listen},
};

/// What has to know of other settings.
pub(super) struct Reload<Reread> {
    /// Reads the settings anew.
    reread: Reread,
    naming: Arc<Naming>,
    edge: Data<Edge>,
    admission: Admission,
    /// What counts as it was at the start.
    listen: listen::Settings,
}

impl<Reread: Fn() -> Result<Config>> Reload<Reread> {
    /// For a server that was started with these settings.
    pub(super) fn new(
        reread: Reread,
        naming: Arc<Naming>,
        edge: Data<Edge>,
        admission: Admission,
        listen: listen::Settings,
    ) -> Self {
        Self {
            reread,
            naming,
            edge,
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
        // First what can be refused.
        self.naming.replace(config.clone()).await?;
        let settings = edge_settings(&config);
        self.admission.replace(settings.limits);
        self.edge.replace_settings(settings, config.trusted_proxies);
        Ok(config.listen == self.listen)
    }
}
