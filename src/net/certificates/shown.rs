//! Which certificate a connection is shown.

use std::{
    net::IpAddr,
    sync::{Arc, PoisonError, RwLock},
};

use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::chain::Chain;
use crate::net::challenges::{ACME_TLS, Challenges};

/// The certificates that new connections are shown; open connections go on as they are.
#[derive(Debug)]
pub struct Shown {
    local: RwLock<Arc<CertifiedKey>>,
    public: RwLock<Vec<Arc<Chain>>>,
    challenges: Arc<Challenges>,
}

impl Shown {
    /// Shows this certificate of the machine's own authority for every name, until there are others.
    pub fn new(local: CertifiedKey, challenges: Arc<Challenges>) -> Arc<Self> {
        Arc::new(Self {
            local: RwLock::new(Arc::new(local)),
            public: RwLock::default(),
            challenges,
        })
    }

    /// Shows this one for every name that no other certificate is for.
    pub fn replace_local(&self, key: CertifiedKey) {
        *self.local.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
    }

    /// Shows these for the names that they are for; the first that covers a name is shown.
    pub fn replace_public(&self, chains: Vec<Arc<Chain>>) {
        *self.public.write().unwrap_or_else(PoisonError::into_inner) = chains;
    }

    /// What connections are shown that come to an address of this kind.
    pub fn over(self: &Arc<Self>, kind: Kind) -> Arc<dyn ResolvesServerCert> {
        let shown = Arc::clone(self);
        Arc::new(Over { shown, kind })
    }

    /// The certificate for a name in lower case, or for a connection that names none: browsers send no name
    /// when they are asked for an address (RFC 6066 section 3). Which address that was is not known behind a router,
    /// but of which kind it is.
    pub fn for_name(&self, name: Option<&str>, kind: Kind) -> Arc<CertifiedKey> {
        let public = self.public.read().unwrap_or_else(PoisonError::into_inner);
        let has_address = |chain: &Arc<Chain>, is_meant: fn(&IpAddr) -> bool| {
            let mut names = chain.names().iter().filter_map(|name| name.parse().ok());
            names.any(|address| is_meant(&address))
        };
        let of_kind = match kind {
            Kind::V4 => IpAddr::is_ipv4,
            Kind::V6 => IpAddr::is_ipv6,
        };
        let found = if let Some(name) = name {
            public.iter().find(|chain| chain.covers(name))
        } else {
            let own = public.iter().find(|chain| has_address(chain, of_kind));
            own.or_else(|| public.iter().find(|chain| has_address(chain, |_| true)))
        };
        let local = || Arc::clone(&self.local.read().unwrap_or_else(PoisonError::into_inner));
        found.map_or_else(local, |chain| Arc::clone(chain.key()))
    }
}

/// Which kind of address a connection came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// What connections are shown that come to an address of one kind.
#[derive(Debug)]
struct Over {
    shown: Arc<Shown>,
    kind: Kind,
}

impl ResolvesServerCert for Over {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(str::to_ascii_lowercase);
        // RFC 8737 section 3: an authority that asks so must be shown that answer, and nobody else may be.
        let mut offered = hello.alpn().into_iter().flatten();
        if offered.next() == Some(ACME_TLS) && offered.next().is_none() {
            return self.shown.challenges.certificate(name.as_deref()?);
        }
        Some(self.shown.for_name(name.as_deref(), self.kind))
    }
}
