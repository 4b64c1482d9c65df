//! Which host a request is for: the site, a folder of files, or another program.

mod name;
mod settings;
mod state;

use std::{collections::HashMap, path::Path, sync::Arc};

use actix_web::{HttpResponse, http::StatusCode};
use futures_util::future::join_all;

use super::{files::Folder, plain_page, proxy::Proxy, request_context::RequestContext};
use crate::net::Peer;

pub(super) use name::of_authority as name_of_authority;
pub use settings::Settings;
pub use state::State;

/// A name that somebody typed, in the form that requests have.
///
/// # Errors
/// What is wrong with it, and what to write.
pub fn name_of(typed: &str) -> Result<String, String> {
    name::typed(typed)
}

/// What is served under a name.
#[derive(Clone)]
pub(super) enum Host {
    /// The built-in application, under every name that is nothing else's.
    Site,
    /// A folder.
    Files(Arc<Folder>),
    /// Another program.
    Proxy(Arc<Proxy>),
}

impl Host {
    /// The host of these settings; a folder that is not absolute is below `data`.
    ///
    /// # Errors
    /// What is wrong, and the remedy.
    fn new(name: &str, settings: &settings::Host, data: &Path) -> Result<Self, String> {
        match settings {
            settings::Host::Files(files) => {
                let folder = Folder::new(files, data);
                match folder.refusal(data) {
                    Some(why) => Err(why),
                    None => Ok(Self::Files(Arc::new(folder))),
                }
            }
            settings::Host::Proxy(proxy) => {
                let proxy = Proxy::new(name, proxy, data).map_err(|e| e.to_string())?;
                Ok(Self::Proxy(proxy))
            }
        }
    }
}

/// The hosts beside the site, each with the settings that it was made of.
#[derive(Default)]
pub struct Hosts(HashMap<String, (settings::Host, Host)>);

/// The request names one host in its handshake and another one in its head (RFC 9110 section 15.5.20).
pub(super) struct Misdirected;

impl Hosts {
    /// The hosts of the settings; folders that are not absolute are below `data`. Hosts of `before` that have the
    /// same settings stay as they are, with their connections and with what is known of their programs.
    ///
    /// Also gives the names of those that cannot be served, with what is wrong and the remedy.
    pub fn new(
        settings: &Settings,
        data: &Path,
        before: Option<&Self>,
    ) -> (Self, Vec<(String, String)>) {
        let (mut hosts, mut refused) = (HashMap::new(), Vec::new());
        for (name, wanted) in &settings.0 {
            let old = before.and_then(|before| before.0.get(name));
            let host = match old {
                Some((settings, host)) if settings == wanted => Ok(host.clone()),
                _ => Host::new(name, wanted, data),
            };
            match host {
                Ok(host) => drop(hosts.insert(name.clone(), (wanted.clone(), host))),
                Err(why) => refused.push((name.clone(), why)),
            }
        }
        (Self(hosts), refused)
    }

    /// What is wrong with the hosts on this machine: names, each with what it is and the remedy.
    pub fn problems<'a>(
        settings: &'a Settings,
        data: &'a Path,
    ) -> impl Iterator<Item = (&'a str, String)> {
        settings.0.iter().filter_map(|(name, host)| {
            let problem = match Host::new(name, host, data) {
                Ok(Host::Files(folder)) => folder.problem(),
                Ok(_) => None,
                Err(why) => Some(why),
            };
            problem.map(|problem| (name.as_str(), problem))
        })
    }

    /// The host of a request with this authority over this connection.
    pub(super) fn find(&self, authority: Option<&str>, peer: &Peer) -> Result<Host, Misdirected> {
        let asked = authority.and_then(name::of_authority);
        if let Some(server_name) = &peer.server_name
            && asked.as_deref() != Some(server_name)
        {
            return Err(Misdirected);
        }
        let host = asked.and_then(|name| self.0.get(&*name));
        Ok(host.map_or(Host::Site, |(_, host)| host.clone()))
    }

    /// Whether something is served under this name beside the site.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Every program behind with its host, and whether it is well.
    pub(super) fn upstreams(&self) -> Vec<(String, String, Option<bool>)> {
        let of_host = |(name, (_, host)): (&String, &(settings::Host, Host))| match host {
            Host::Proxy(proxy) => {
                let all = proxy
                    .state()
                    .map(|(upstream, is_well)| (name.clone(), upstream, is_well));
                all.collect()
            }
            _ => Vec::new(),
        };
        let mut all: Vec<_> = self.0.iter().flat_map(of_host).collect();
        all.sort();
        all
    }

    /// Asks the programs behind whether they are well, where there is a way to ask.
    pub(super) async fn check_upstreams(&self) {
        let proxies = self.0.values().filter_map(|(_, host)| match host {
            Host::Proxy(proxy) => Some(proxy.check()),
            _ => None,
        });
        join_all(proxies).await;
    }
}

impl Misdirected {
    /// The page that says so.
    pub(super) fn answer(context: &RequestContext) -> HttpResponse {
        let id = context.id.to_string();
        let text = "The connection was made for another name than the one that was asked for. Open the \
                    address again, in a new window if it keeps happening.";
        plain_page::error(
            StatusCode::MISDIRECTED_REQUEST,
            "Wrong server name",
            text,
            Some(&id),
        )
    }
}
