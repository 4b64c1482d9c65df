//! Which hosts are served: those of `webstead.toml`, and those that were set in the browser.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use actix_web::web::Data;
use tokio::sync::{Mutex, MutexGuard};

use crate::{
    app::hosts::{
        live::{LiveHost, LiveHosts, Soon},
        queries::{StoredHost, list_hosts},
    },
    base::{Error, Result},
    config::Config,
    db::Database,
    edge::{
        hosts::{Hosts, Settings, from_the_browser, name_of},
        pipeline::Edge,
    },
    net::{certificates::Renewal, names::Name},
};

/// The hosts of the file and of the browser together. One of the browser that cannot be served is left out.
///
/// # Errors
/// As [`Hosts::new`], of those of the file.
pub(super) fn together(
    file: &Settings,
    stored: &[StoredHost],
    own: &[String],
    root: &Path,
) -> Result<(Settings, Hosts)> {
    let mut all = file.clone();
    for host in stored.iter().filter(|host| host.is_wanted()) {
        if own.contains(&host.name) {
            log::warn!(
                "the host {:?} is not served: it is a name of the site itself",
                host.name
            );
            continue;
        }
        let taken =
            alone(&host.name, &host.keys, root).and_then(|()| all.add(&host.name, &host.keys));
        if let Err(why) = taken {
            log::warn!(
                "the host {:?}, which was set in the browser, is not served: {why}",
                host.name
            );
        }
    }
    let hosts = Hosts::new(&all, root)?;
    Ok((all, hosts))
}

/// What is wrong with the hosts that were set in the browser, in words that name the host and the remedy.
pub fn stored_problems(file: &Settings, stored: &[StoredHost], root: &Path) -> Vec<String> {
    let mut all = file.clone();
    let mut problems = Vec::new();
    for host in stored.iter().filter(|host| host.is_wanted()) {
        let wrong = alone(&host.name, &host.keys, root)
            .and_then(|()| all.add(&host.name, &host.keys))
            .err();
        let wrong = wrong.or_else(|| {
            let mut one = Settings::default();
            one.add(&host.name, &host.keys)
                .err()
                .or_else(|| Hosts::problems(&one, root).pop())
        });
        problems.extend(wrong.map(|why| {
            let why = why
                .trim_start_matches(&format!("hosts.\"{}\": ", host.name))
                .to_owned();
            format!("the host {:?}, set in the browser: {why}", host.name)
        }));
    }
    problems
}

/// Whether one host could be served.
fn alone(name: &str, keys: &str, root: &Path) -> std::result::Result<(), String> {
    let mut settings = Settings::default();
    settings.add(name, keys)?;
    if let Some(folder) = settings.folder_of(name)
        && let Some(why) = from_the_browser(folder, root)
    {
        return Err(why);
    }
    Hosts::new(&settings, root).map_err(|e| e.to_string())?;
    Ok(())
}

/// The names of the site itself, which no host of the browser gets.
pub(super) fn own_names(config: &Config, names: &[Name]) -> Vec<String> {
    let of_machine = names.iter().map(|name| name.to_str().into_owned());
    let domain = config
        .domain
        .iter()
        .filter_map(|domain| name_of(domain).ok());
    of_machine.chain(domain).collect()
}

/// The names of the hosts, for the certificate.
pub(super) fn names_of(hosts: &Settings) -> Vec<Name> {
    let names = hosts.names().map(str::to_owned);
    names.filter_map(|name| Name::try_from(name).ok()).collect()
}

/// The hosts of the running server.
pub(super) struct Served {
    edge: Data<Edge>,
    renewal: Arc<Renewal>,
    database: Database,
    root: PathBuf,
    file: RwLock<Settings>,
    /// Names of the site itself.
    own: Vec<String>,
    /// One change at a time: the last one counts.
    turn: Mutex<()>,
}

impl Served {
    pub(super) fn new(
        edge: &Data<Edge>,
        renewal: &Arc<Renewal>,
        database: &Database,
        root: &Path,
        config: &Config,
        names: &[Name],
    ) -> Arc<Self> {
        Arc::new(Self {
            edge: edge.clone(),
            renewal: Arc::clone(renewal),
            database: database.clone(),
            root: root.to_path_buf(),
            file: RwLock::new(config.hosts.clone()),
            own: own_names(config, names),
            turn: Mutex::default(),
        })
    }

    /// Serves these hosts of the file, and those that are stored.
    ///
    /// # Errors
    /// What kept it; everything is served as before then.
    pub(super) async fn replace(&self, file: Settings) -> Result<()> {
        let turn = self.turn.lock().await;
        self.serve(file, turn).await
    }

    async fn serve(&self, file: Settings, _turn: MutexGuard<'_, ()>) -> Result<()> {
        let stored = self.database.read(list_hosts).await?;
        let (all, hosts) = together(&file, &stored, &self.own, &self.root)?;
        let (renewal, edge) = (Arc::clone(&self.renewal), self.edge.clone());
        let taken = tokio::task::spawn_blocking(move || {
            // First the certificate: who asks for a new host is shown its name.
            renewal.replace_hosts(names_of(&all));
            edge.replace_hosts(hosts);
        });
        taken.await.map_err(Error::internal)?;
        *self.file.write().unwrap_or_else(PoisonError::into_inner) = file;
        Ok(())
    }

    fn file(&self) -> Settings {
        let file = self.file.read();
        file.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl LiveHosts for Served {
    fn list(&self) -> Soon<'_, Vec<LiveHost>> {
        Box::pin(async {
            let file = self.file();
            let states = self.edge.host_states().await.into_iter();
            let hosts = states.map(|state| LiveHost {
                is_in_file: file.names().any(|name| name == state.name),
                name: state.name,
                is_folder: state.is_folder,
                serves: state.serves,
                problems: state.problems,
            });
            hosts.collect()
        })
    }

    fn check_name(&self, name: &str) -> std::result::Result<String, String> {
        let name = name_of(name)?;
        if self.own.contains(&name) {
            return Err(format!(
                "{name} is a name of this site itself; choose another one for the host"
            ));
        }
        if self.file().names().any(|other| other == name) {
            return Err(format!(
                "{name} is set in webstead.toml; change it there, or take it out"
            ));
        }
        Ok(name)
    }

    fn check_keys(&self, name: &str, keys: &str) -> std::result::Result<(), String> {
        alone(name, keys, &self.root).map_err(|text| {
            let of_file = format!("hosts.\"{name}\": ");
            text.strip_prefix(&of_file).unwrap_or(&text).to_owned()
        })
    }

    fn take_over(&self) -> Soon<'_, Result<()>> {
        Box::pin(async {
            let turn = self.turn.lock().await;
            self.serve(self.file(), turn).await
        })
    }
}
