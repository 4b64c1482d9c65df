//! Which hosts are served: those of `webstead.toml`, and those that were set in the browser.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use actix_web::web::Data;
use tokio::{
    sync::{Mutex, MutexGuard},
    task::spawn_blocking,
};

use super::{certificates::Certificates, names::effective};
use crate::{
    app::hosts::{
        live::{LiveHost, LiveHosts, Soon},
        queries::{StoredHost, list_hosts},
    },
    app::names::queries::StoredNames,
    base::{Error, Names, Result},
    config::Config,
    db::Database,
    edge::{
        hosts::{Hosts, Settings, name_of},
        pipeline::Edge,
    },
    net::names::{self, LocalName, Name},
};

/// The hosts of the file and of the browser together. One of the browser that cannot be served is left out.
///
/// Hosts of `before` whose settings are the same stay as they are.
///
/// # Errors
/// [`Error::Invalid`] with what is wrong with one of the file that cannot be served, and the remedy.
pub(super) fn together(
    file: &Settings,
    stored: &[StoredHost],
    own: &[String],
    root: &Path,
    before: Option<&Hosts>,
) -> Result<(Settings, Hosts)> {
    let (all, mut refused) = merge(file, stored, own, root);
    let (hosts, unserved) = Hosts::new(&all, root, before);
    for (name, why) in unserved {
        if file.names().any(|of_file| of_file == name) {
            return Err(Error::Invalid(format!("hosts.\"{name}\": {why}")));
        }
        refused.push((name, why));
    }
    for (name, why) in refused {
        log::warn!("the host {name:?}, which was set in the browser, is not served: {why}");
    }
    Ok((all, hosts))
}

/// What is wrong with the hosts that were set in the browser, in words that name the host and the remedy; `names` are
/// those of the site.
pub fn stored_problems(
    config: &Config,
    names: &StoredNames,
    stored: &[StoredHost],
    root: &Path,
) -> Vec<String> {
    let names = effective(config, names).names;
    let own = own_names(
        &names,
        &names::local_names(&LocalName::new(config.local.name.as_ref())),
    );
    let (all, mut problems) = merge(&config.hosts, stored, &own, root);
    let is_in_file = |name: &str| config.hosts.names().any(|other| other == name);
    let faulty = Hosts::problems(&all, root).filter(|(name, _)| !is_in_file(name));
    problems.extend(faulty.map(|(name, why)| (name.to_owned(), why)));
    let in_words = |(name, why)| format!("the host {name:?}, set in the browser: {why}");
    problems.into_iter().map(in_words).collect()
}

/// Adds the stored hosts to those of the file; with the names of those that cannot be served, and why.
fn merge(
    file: &Settings,
    stored: &[StoredHost],
    own: &[String],
    root: &Path,
) -> (Settings, Vec<(String, String)>) {
    let mut all = file.clone();
    let mut refused = Vec::new();
    for host in stored.iter().filter(|host| host.is_wanted()) {
        let added = if own.contains(&host.name) {
            Err("it is a name of the site itself".to_owned())
        } else {
            all.add(&host.name, &host.keys, root)
        };
        if let Err(why) = added {
            refused.push((host.name.clone(), why));
        }
    }
    (all, refused)
}

/// The names of the site itself, which no host of the browser gets.
pub(super) fn own_names(names: &Names, of_machine: &[Name]) -> Vec<String> {
    let of_machine = of_machine.iter().map(|name| name.to_str().into_owned());
    let own = names.all().map(str::to_owned);
    of_machine.chain(own).collect()
}

/// The hosts of the running server.
pub(super) struct Served {
    edge: Data<Edge>,
    certificates: Arc<Certificates>,
    database: Database,
    root: PathBuf,
    file: RwLock<Settings>,
    /// Names of the machine.
    of_machine: Vec<Name>,
    /// One change at a time: the last one counts.
    turn: Mutex<()>,
}

impl Served {
    pub(super) fn new(
        edge: &Data<Edge>,
        certificates: &Arc<Certificates>,
        database: &Database,
        root: &Path,
        file: Settings,
        of_machine: &[Name],
    ) -> Arc<Self> {
        Arc::new(Self {
            edge: edge.clone(),
            certificates: Arc::clone(certificates),
            database: database.clone(),
            root: root.to_path_buf(),
            file: RwLock::new(file),
            of_machine: of_machine.to_vec(),
            turn: Mutex::default(),
        })
    }

    /// Serves these hosts of the file, and those that are stored; all of them are made anew, because files that
    /// belong to one may have changed.
    ///
    /// # Errors
    /// What kept it; everything is served as before then.
    pub(super) async fn replace(&self, file: Settings) -> Result<()> {
        let turn = self.turn.lock().await;
        self.serve(file, None, turn).await
    }

    /// Serves the hosts that are stored from the next request on.
    ///
    /// # Errors
    /// What kept it; everything is served as before then.
    pub(super) async fn take_over_hosts(&self) -> Result<()> {
        let turn = self.turn.lock().await;
        // What is wrong with another host is not to keep this change from being served.
        self.serve(self.file(), Some(self.edge.hosts()), turn).await
    }

    async fn serve(
        &self,
        file: Settings,
        before: Option<Arc<Hosts>>,
        _turn: MutexGuard<'_, ()>,
    ) -> Result<()> {
        let stored = self.database.read(list_hosts).await?;
        let (certificates, edge) = (Arc::clone(&self.certificates), self.edge.clone());
        let (own, root) = (self.own(), self.root.clone());
        let taken = spawn_blocking(move || {
            let (all, hosts) = together(&file, &stored, &own, &root, before.as_deref())?;
            // First the certificate: who asks for a new host is shown its name.
            certificates.replace_hosts(&all);
            edge.replace_hosts(hosts);
            Ok::<_, Error>(file)
        });
        let file = taken.await.map_err(Error::internal)??;
        *self.file.write().unwrap_or_else(PoisonError::into_inner) = file;
        Ok(())
    }

    /// What has certificates for them.
    pub(super) fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// What serves them.
    pub(super) fn edge(&self) -> &Edge {
        &self.edge
    }

    /// Names of the site itself.
    fn own(&self) -> Vec<String> {
        own_names(&self.certificates.names().now(), &self.of_machine)
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
        if self.own().contains(&name) {
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

    fn check_keys(&self, name: &str, keys: &str) -> Soon<'_, std::result::Result<(), String>> {
        let (name, keys, root) = (name.to_owned(), keys.to_owned(), self.root.clone());
        Box::pin(async move {
            let checked = spawn_blocking(move || Settings::default().add(&name, &keys, &root));
            checked.await.unwrap_or_else(|e| Err(e.to_string()))
        })
    }

    fn take_over(&self) -> Soon<'_, Result<()>> {
        Box::pin(self.take_over_hosts())
    }
}
