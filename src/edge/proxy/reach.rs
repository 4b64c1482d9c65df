//! Whether the programs behind take connections at this moment.

use std::{io, net::SocketAddr, time::Duration};

use futures_util::future::join_all;
use hyper::http::{Uri, uri::Scheme};
use tokio::{net::TcpStream, time::timeout};

use super::Proxy;

/// Time for a program to take a connection; somebody waits for the page that shows it.
const PATIENCE: Duration = Duration::from_secs(1);

impl Proxy {
    /// Where the programs listen, and what is wrong with those that take no connection.
    pub(in crate::edge) async fn reach(&self) -> (Vec<String>, Vec<String>) {
        let bases = self.upstreams.all().iter().map(|upstream| &upstream.base);
        let shown = |base: &Uri| base.to_string().trim_end_matches('/').to_owned();
        let tried = bases.clone().map(|base| async move {
            let why = match timeout(PATIENCE, self.connect(base)).await {
                Ok(Ok(())) => return None,
                Ok(Err(e)) => e.to_string(),
                Err(_) => "it takes longer than a second".to_owned(),
            };
            Some(format!(
                "nothing answers at {} ({why}); start the program, or correct the address",
                shown(base)
            ))
        });
        let problems = join_all(tried).await.into_iter().flatten().collect();
        (bases.map(shown).collect(), problems)
    }

    async fn connect(&self, base: &Uri) -> io::Result<()> {
        let host = base.host().unwrap_or_default().trim_matches(['[', ']']);
        let is_tls = base.scheme() == Some(&Scheme::HTTPS);
        let port = base.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let addresses: Vec<SocketAddr> = if let Ok(ip) = host.parse() {
            vec![SocketAddr::new(ip, port)]
        } else {
            let found = self.resolver.addresses(host).await?.into_iter();
            found
                .map(|found| SocketAddr::new(found.ip(), port))
                .collect()
        };
        TcpStream::connect(&*addresses).await.map(drop)
    }
}
