//! What is served beside the site, and what is wrong with it at this moment.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use hyper::http::{Uri, uri::Scheme};
use tokio::{net::TcpStream, task::spawn_blocking, time::timeout};

use super::{Host, Hosts};

/// Time for a program to take a connection; somebody waits for the page that shows it.
const CONNECT: Duration = Duration::from_secs(1);

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
        let all = self.0.iter().map(|(name, host)| async move {
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
                    let bases: Vec<Uri> = proxy.bases().cloned().collect();
                    let tried = join_all(bases.iter().map(silence)).await;
                    let serves = bases.iter().map(shown).collect();
                    (false, serves, tried.into_iter().flatten().collect())
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

fn shown(base: &Uri) -> String {
    base.to_string().trim_end_matches('/').to_owned()
}

/// That a program takes no connection, if it takes none.
async fn silence(base: &Uri) -> Option<String> {
    let host = base.host()?.trim_matches(['[', ']']);
    let is_tls = base.scheme() == Some(&Scheme::HTTPS);
    let port = base.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let why = match timeout(CONNECT, TcpStream::connect((host, port))).await {
        Ok(Ok(_)) => return None,
        Ok(Err(e)) => e.to_string(),
        Err(_) => "it takes longer than a second".to_owned(),
    };
    Some(format!(
        "nothing answers at {} ({why}); start the program, or correct the address",
        shown(base)
    ))
}
