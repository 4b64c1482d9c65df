//! Settings that change while the server runs.

use std::{
    cell::RefCell,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use actix_web::web::Data;
use tokio::{sync::oneshot, time::timeout};

use super::{backups::Backups, edge_settings, naming::Naming, stores};
use crate::{
    base::Result,
    config::Config,
    edge::{hosts::Hosts, pipeline::Edge},
    jobs::service_manager,
    net::{admission::Admission, certificates::FILES_REMEDY, leaving, listen, mdns},
};

/// Time for folders and files to be looked at: a share may hang.
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
        // First what can be refused.
        self.naming.replace(config.clone()).await?;
        self.backups.replace_settings(config.backup.clone()).await;
        let mut untaken = untaken(config.clone(), self.data.clone(), LOOKED_AT_WITHIN).await;
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
}

/// What of the settings of the file cannot work on this machine, each with the remedy. Goes nowhere and writes nothing, and
/// waits for disks that hang.
pub fn file_problems(config: &Config, data: &Path) -> Vec<String> {
    let hosts = Hosts::problems(&config.hosts, data);
    hosts
        .map(|(name, why)| format!("hosts.\"{name}\": {why}"))
        .chain(config.certificate.problems(data))
        .chain(stores::problems(&config.backup, data))
        .collect()
}

/// What of the settings that were taken does not count or cannot work now, each with the remedy.
async fn untaken(config: Config, data: PathBuf, patience: Duration) -> Vec<String> {
    let (tell, told) = oneshot::channel();
    let look = move || {
        let files = config.certificate.files.iter();
        let unread = files.filter_map(|files| files.read(&data).err());
        let unread =
            unread.map(|e| format!("your own certificate is not used: {e}. {FILES_REMEDY}"));
        let all = unread.chain(file_problems(&config, &data));
        let _ = tell.send(all.collect());
    };
    // A thread of its own: nobody waits for that at the end.
    if let Err(e) = thread::Builder::new().name("look".into()).spawn(look) {
        log::warn!("what of the settings cannot work is not looked at: {e}");
    }
    match timeout(patience, told).await {
        Ok(Ok(found)) => found,
        Ok(Err(_)) => vec!["whether all of the settings can work could not be looked at; its log says why".into()],
        Err(_) => vec![
            "a folder of [hosts] or [backup] or a file of [certificate] does not answer; see whether its disk or share is there"
                .into(),
        ],
    }
}

#[cfg(test)]
mod tests {
    use std::{process::Command, time::Instant};

    use super::*;

    #[test]
    fn a_file_on_a_share_that_hangs_keeps_neither_a_reload_nor_the_end_waiting() {
        let dir = tempfile::tempdir().unwrap();
        // Who opens a pipe waits for somebody to write into it, as who opens a file of a server that is gone.
        let made = Command::new("mkfifo").arg(dir.path().join("pipe")).status();
        assert!(made.unwrap().success());
        for settings in [
            "[certificate]\nfiles = [{ certificate = \"pipe\", key = \"pipe\" }]",
            "[certificate]\nkey_file = \"pipe\"",
            "[backup]\nto = \"sftp://ada@nas.example/b\"\nsftp = { key_file = \"pipe\" }",
        ] {
            let config: Config = toml::from_str(settings).unwrap();
            let begun = Instant::now();
            let found = actix_web::rt::System::new().block_on(untaken(
                config,
                dir.path().to_path_buf(),
                Duration::from_millis(50),
            ));
            assert!(begun.elapsed() < Duration::from_secs(5), "{settings}");
            assert!(
                found.len() == 1 && found[0].contains("does not answer"),
                "{settings}: {found:?}"
            );
        }
    }
}
