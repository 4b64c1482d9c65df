//! Settings that change while the server runs.

use std::sync::Arc;

use super::hosts::Served;
use crate::{base::Result, config::Config};

/// What has to know of other settings.
pub(super) struct Reload<Reread> {
    /// Reads the settings anew.
    pub(super) reread: Reread,
    pub(super) hosts: Arc<Served>,
}

impl<Reread: Fn() -> Result<Config>> Reload<Reread> {
    /// Takes the new settings, or none of them if there is a mistake in one. No connection notices.
    pub(super) async fn now(&self) {
        let taken = match (self.reread)() {
            Ok(config) => self.hosts.replace(config.hosts).await,
            Err(e) => Err(e),
        };
        match taken {
            Ok(()) => log::info!(
                "reloaded: the hosts are as webstead.toml has them; what else has changed counts from the \
                 next start"
            ),
            Err(e) => log::error!("not reloaded, everything stays as it was: {e}"),
        }
    }
}
