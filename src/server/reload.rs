//! Settings that change while the server runs.

use std::{path::PathBuf, sync::Arc};

use actix_web::web::Data;

use crate::{
    base::Result,
    config::Config,
    edge::{hosts::Hosts, pipeline::Edge},
    net::{certificates::Renewal, names},
};

/// What has to know of other settings.
pub(super) struct Reload<Reread> {
    /// Reads the settings anew.
    pub(super) reread: Reread,
    /// The data folder.
    pub(super) root: PathBuf,
    pub(super) edge: Data<Edge>,
    pub(super) renewal: Arc<Renewal>,
}

impl<Reread: Fn() -> Result<Config>> Reload<Reread> {
    /// Takes the new settings, or none of them if there is a mistake in one. No connection notices.
    pub(super) async fn now(&self) {
        let settings =
            (self.reread)().and_then(|config| Ok((Hosts::new(&config.hosts, &self.root)?, config)));
        let (hosts, config) = match settings {
            Ok(settings) => settings,
            Err(e) => {
                log::error!("not reloaded, everything stays as it was: {e}");
                return;
            }
        };
        let (renewal, edge) = (Arc::clone(&self.renewal), self.edge.clone());
        let taken = tokio::task::spawn_blocking(move || {
            // First the certificate: who asks for a new host is shown its name.
            renewal.replace_hosts(host_names(&config));
            edge.replace_hosts(hosts);
            log::info!(
                "reloaded: the hosts are as webstead.toml has them; what else has changed counts from the \
                 next start"
            );
        });
        // One after the other: the last ones count.
        if taken.await.is_err() {
            log::error!(
                "the reload ended with a panic; see above, and restart if the hosts are wrong"
            );
        }
    }
}

/// The names of the hosts beside the site, for the certificate.
pub(super) fn host_names(config: &Config) -> Vec<names::Name> {
    let names = config.hosts.names().map(str::to_owned);
    names
        .filter_map(|name| names::Name::try_from(name).ok())
        .collect()
}
