//! What is served beside the site, and what is wrong with it at this moment.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::task::spawn_blocking;

use super::{Host, Hosts};

/// One host, as its owner wants to know it.
#[derive(Clone, Debug)]
pub struct State {
    /// The name that visitors ask for.
    pub name: String,
    /// Whether it is a folder, and not another program.
    pub is_folder: bool,
    /// The folder, or where the programs listen.
    pub serves: Vec<String>,
    /// What is wrong, in words that name the remedy.
    pub problems: Vec<String>,
}

impl Hosts {
    /// Every host, by name. The folders are looked at, and the programs are tried.
    pub async fn states(&self) -> Vec<State> {
        let all = self.0.iter().map(|(name, (_, host))| async move {
            let (is_folder, serves, problems) = match host {
                Host::Site => return None,
                Host::Files(folder) => {
                    let serves = folder.shown();
                    let folder = Arc::clone(folder);
                    let problem = spawn_blocking(move || folder.problem()).await;
                    let problem = problem.unwrap_or_else(|e| Some(e.to_string()));
                    (true, vec![serves], problem.into_iter().collect())
                }
                Host::Proxy(proxy) => {
                    let (serves, problems) = proxy.reach().await;
                    (false, serves, problems)
                }
            };
            Some(State {
                name: name.clone(),
                is_folder,
                serves,
                problems,
            })
        });
        let mut all: Vec<State> = join_all(all).await.into_iter().flatten().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }
}
