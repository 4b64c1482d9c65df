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
use crate::{
    base::is_global,
    net::challenges::{ACME_TLS, Challenges},
};

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

    /// What connections of this kind are shown.
    pub fn over(self: &Arc<Self>, kind: Kind) -> Arc<dyn ResolvesServerCert> {
        let shown = Arc::clone(self);
        Arc::new(Over { shown, kind })
    }

    /// The certificate for a name in lower case, or for a connection that names none: browsers send no name when they
    /// are asked for an address (RFC 6066 section 3).
    ///
    /// Which address that was is not known behind a router, but of which kind it is. Who comes from one's own network
    /// came to an address of it: they are shown what the machine's own authority signed, unless somebody else did that
    /// for such an address.
    pub fn for_name(&self, name: Option<&str>, kind: Kind) -> Arc<CertifiedKey> {
        let public = self.public.read().unwrap_or_else(PoisonError::into_inner);
        let found = if let Some(name) = name {
            public.iter().find(|chain| chain.covers(name))
        } else {
            let with_address = |is_meant: &dyn Fn(IpAddr) -> bool| {
                public.iter().find(|chain| {
                    let mut names = chain.names().iter().filter_map(|name| name.parse().ok());
                    names.any(is_meant)
                })
            };
            let is_of_side = |address: IpAddr| is_global(address) != kind.is_from_home;
            let own = with_address(&|ip| is_of_side(ip) && ip.is_ipv6() == kind.is_v6);
            own.or_else(|| with_address(&|ip| is_of_side(ip) && !kind.is_from_home))
        };
        let local = || Arc::clone(&self.local.read().unwrap_or_else(PoisonError::into_inner));
        found.map_or_else(local, |chain| Arc::clone(chain.key()))
    }
}

/// Which kind of address a connection came to, and from which side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Whether it is one of IPv6.
    pub is_v6: bool,
    /// Whether it came from one's own network to an address of that.
    pub is_from_home: bool,
}

impl Kind {
    /// All of them, each at its [`Kind::index`].
    pub const ALL: [Self; 4] = [
        Self::new(false, false),
        Self::new(true, false),
        Self::new(false, true),
        Self::new(true, true),
    ];

    const fn new(is_v6: bool, is_from_home: bool) -> Self {
        Self {
            is_v6,
            is_from_home,
        }
    }

    /// That of a connection to an address of this machine, from somebody.
    pub fn of(own: IpAddr, from: IpAddr) -> Self {
        Self {
            is_v6: own.is_ipv6(),
            is_from_home: !is_global(own) && !is_global(from),
        }
    }

    /// Where it is in [`Kind::ALL`].
    pub fn index(self) -> usize {
        usize::from(self.is_v6) + 2 * usize::from(self.is_from_home)
    }
}

/// What connections of one kind are shown.
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

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn chain(name: &str) -> Arc<Chain> {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Arc::new(Chain::parse(&pem, &key.serialize_pem()).unwrap())
    }

    #[test]
    fn who_comes_to_an_address_is_shown_what_is_for_it_and_at_home_what_the_machine_signed() {
        for kind in Kind::ALL {
            assert_eq!(Kind::ALL[kind.index()], kind);
        }
        let [v4, v6, home, local] = ["9.9.9.9", "2a00::1", "192.168.1.5", "pi.local"].map(chain);
        let (router, pi) = ("192.168.1.1", "192.168.1.5");
        for (public, own, from, expected) in [
            (vec![&v4, &v6], pi, "8.8.8.8", &v4),
            (vec![&v4, &v6], "9.9.9.9", "8.8.8.8", &v4),
            // A neighbour of a rented machine.
            (vec![&v4, &v6], "9.9.9.9", "10.0.0.2", &v4),
            (vec![&v4, &v6], "2a00::1", "2a01::1", &v6),
            (vec![&v4], "fd00::5", "2a01::1", &v4),
            (vec![&v4, &v6], pi, "192.168.1.9", &local),
            (vec![&v4, &v6], pi, router, &local),
            (vec![&v4, &v6], "fe80::5", "fe80::9", &local),
            (vec![&v4, &home], pi, "192.168.1.9", &home),
            (vec![&v4, &home], pi, "8.8.8.8", &v4),
            (vec![&home], pi, "8.8.8.8", &local),
        ] {
            let shown = Shown::new((**local.key()).clone(), Arc::default());
            shown.replace_public(public.into_iter().cloned().collect());
            let kind = Kind::of(own.parse().unwrap(), from.parse().unwrap());
            let found = shown.for_name(None, kind);
            let found = found.cert[0] == expected.key().cert[0];
            assert!(found, "{from} at {own}: not {:?}", expected.names());
        }
    }
}
