//! Settings that change while the server runs.

use std::{cell::RefCell, path::PathBuf, sync::Arc, time::Duration};

use actix_web::web::Data;
use tokio::{task::spawn_blocking, time::timeout};

use super::{backups::Backups, edge_settings, naming::Naming, stores};
use crate::{
    backup,
    base::Result,
    config::Config,
    edge::{
        hosts::{self, Hosts},
        pipeline::Edge,
    },
    jobs::service_manager,
    net::{
        admission::Admission,
        certificates::{FILES_REMEDY, OwnFiles},
        leaving, listen, mdns,
    },
};

/// Time for folders to be looked at: a share may hang.
const LOOKED_AT_WITHIN: Duration = Duration::from_secs(5);

/// What has to know of other settings.
pub(super) struct Reload<Reread> {
    /// Reads the settings anew.
    reread: Reread,
    /// The data folder.
    data: PathBuf,
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
        (reread, data): (Reread, PathBuf),
        (naming, backups): (Arc<Naming>, Arc<Backups>),
        edge: Data<Edge>,
        admission: Admission,
        config: &Config,
    ) -> Self {
        Self {
            reread,
            data,
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
    pub(super) async fn now(&self) -> Result<String> {
        match self.take().await {
            Ok(untaken) if untaken.is_empty() => {
                let text = "reloaded: everything is as webstead.toml has it";
                log::info!("{text}");
                Ok(text.to_owned())
            }
            Ok(untaken) => {
                let text = format!("reloaded, but {}", untaken.join("; and "));
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

    /// Takes the new settings; says what of them does not count now, and what to do.
    async fn take(&self) -> Result<Vec<String>> {
        let config = (self.reread)()?;
        let (hosts, backup) = (config.hosts.clone(), config.backup.clone());
        // First what can be refused.
        self.naming.replace(config.clone()).await?;
        self.backups.replace_settings(config.backup.clone()).await;
        let mut untaken = self.untaken_files(config.certificate.files.clone()).await;
        untaken.extend(self.problems(hosts, backup).await);
        let settings = edge_settings(&config);
        self.admission.replace(settings.limits);
        self.edge.replace_settings(settings, config.trusted_proxies);
        self.upgrade.replace(config.upgrade);
        if (config.listen, config.local) != self.fixed {
            let how = if service_manager::is_there() {
                "sudo systemctl restart webstead"
            } else {
                "stop it, and start it as you did before"
            };
            untaken.push(format!(
                "[listen] or [local] was changed too, and that counts from the next start: {how}"
            ));
        }
        Ok(untaken)
    }

    /// What of the settings that were taken cannot work, as `webstead check` says it.
    async fn problems(&self, hosts: hosts::Settings, backup: backup::Settings) -> Vec<String> {
        let data = self.data.clone();
        let look = spawn_blocking(move || {
            let of_hosts = Hosts::problems(&hosts, &data);
            let of_hosts = of_hosts.map(|(name, why)| format!("hosts.\"{name}\": {why}"));
            let mut all: Vec<String> = of_hosts.collect();
            all.extend(stores::problems(&backup, &data));
            all
        });
        match timeout(LOOKED_AT_WITHIN, look).await {
            Ok(all) => all.unwrap_or_default(),
            Err(_) => vec!["a folder of [hosts] or [backup] does not answer; see whether its disk or share is there".into()],
        }
    }

    /// Why certificates of the owner's own files are not used, each with the remedy.
    async fn untaken_files(&self, files: Vec<OwnFiles>) -> Vec<String> {
        let data = self.data.clone();
        let read = spawn_blocking(move || {
            let untaken = files.iter().filter_map(|files| files.read(&data).err());
            let in_words = |e| format!("your own certificate is not used: {e}. {FILES_REMEDY}");
            untaken.map(in_words).collect()
        });
        read.await.unwrap_or_default()
    }
}
