//! How many connections there may be: in all, and of one network.
//!
//! Defends against who opens connections and holds them (RFC 9112 section 9.5 leaves closing them to the
//! server): one network cannot take the places of everybody else, and all together cannot take more
//! memory and descriptors than there are.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use rustix::process::{Resource, getrlimit};
use serde::Deserialize;

use crate::base::{LimitKind, Limited, Timestamp, network_of};

/// What else needs descriptors: the database, media, files that are being sent, upstreams.
const DESCRIPTORS_KEPT: u64 = 512;

/// Section `[limits]` of `webstead.toml`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Connections at the same time; one that is idle takes about 20 kB of memory.
    pub connections: usize,
    /// Connections at the same time of one network: an IPv4 address, or the /64 of an IPv6 one.
    pub connections_per_network: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connections: 8192,
            connections_per_network: 512,
        }
    }
}

/// Gives places to connections; cheap to clone, one for all threads.
#[derive(Clone)]
pub struct Admission(Arc<Shared>);

struct Shared {
    limits: Settings,
    taken: Mutex<Taken>,
    refused: AtomicU64,
    limited: Arc<Limited>,
}

#[derive(Default)]
struct Taken {
    in_all: usize,
    by_network: HashMap<IpAddr, usize>,
}

/// The place of one connection, until dropped.
pub struct Place {
    admission: Admission,
    /// `None`: a trusted proxy, which speaks for many.
    network: Option<IpAddr>,
}

impl Admission {
    /// Within these limits, and with what the system lets a process have open. Who is limited is noted.
    pub fn new(mut limits: Settings, limited: Arc<Limited>) -> Self {
        if let Some(descriptors) = getrlimit(Resource::Nofile).current {
            let room = descriptors.saturating_sub(DESCRIPTORS_KEPT).max(64);
            limits.connections = limits
                .connections
                .min(usize::try_from(room).unwrap_or(usize::MAX));
        }
        Self(Arc::new(Shared {
            limits,
            taken: Mutex::default(),
            refused: AtomicU64::new(0),
            limited,
        }))
    }

    /// A place for a connection from `address`, or for one of a trusted proxy; `None` if there is none left.
    pub fn enter(&self, address: IpAddr, is_trusted: bool) -> Option<Place> {
        let network = (!is_trusted).then(|| network_of(address));
        let mut taken = self.taken();
        let limits = &self.0.limits;
        let of_network = network.and_then(|network| taken.by_network.get(&network).copied());
        let is_full = taken.in_all >= limits.connections
            || of_network.unwrap_or(0) >= limits.connections_per_network;
        if is_full {
            drop(taken);
            self.0.refused.fetch_add(1, Ordering::Relaxed);
            let limited = &self.0.limited;
            limited.note(network, LimitKind::Connections, Timestamp::now());
            return None;
        }
        taken.in_all += 1;
        if let Some(network) = network {
            *taken.by_network.entry(network).or_default() += 1;
        }
        Some(Place {
            admission: self.clone(),
            network,
        })
    }

    /// How many there may be.
    pub fn most(&self) -> usize {
        self.0.limits.connections
    }

    /// Connections that are open now.
    pub fn open(&self) -> usize {
        self.taken().in_all
    }

    /// Connections that were refused since the start.
    pub fn refused(&self) -> u64 {
        self.0.refused.load(Ordering::Relaxed)
    }

    /// The networks with the most connections, most first, at most `count` of them.
    pub fn busiest(&self, count: usize) -> Vec<(IpAddr, usize)> {
        let mut networks: Vec<_> = {
            let taken = self.taken();
            taken.by_network.iter().map(|(&ip, &n)| (ip, n)).collect()
        };
        networks.sort_unstable_by_key(|&(ip, n)| (std::cmp::Reverse(n), ip));
        networks.truncate(count);
        networks
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Whoever has it was too slow.
    pub(super) fn note_slow(&self) {
        let limited = &self.admission.0.limited;
        limited.note(self.network, LimitKind::Slow, Timestamp::now());
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.admission.taken();
        taken.in_all -= 1;
        let Some(network) = self.network else { return };
        if let Some(count) = taken.by_network.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                taken.by_network.remove(&network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_network_leaves_room_for_others_and_all_together_are_bounded() {
        let admission = Admission::new(
            Settings {
                connections: 5,
                connections_per_network: 3,
            },
            Arc::default(),
        );
        let enter = |last| admission.enter([10, 0, 0, last].into(), false);
        let first: Vec<Place> = std::iter::from_fn(|| enter(1)).collect();
        assert_eq!(first.len(), 3);
        let second: Vec<Place> = std::iter::from_fn(|| enter(2)).collect();
        assert_eq!(second.len(), 2);
        assert!(enter(3).is_none(), "all places are taken");
        assert_eq!(admission.refused(), 3);
        assert_eq!(
            admission.busiest(1),
            [(IpAddr::from([10, 0, 0, 1]), 3)],
            "who has most is named first"
        );
        drop(first);
        assert!(enter(3).is_some());
        drop(second);
        assert_eq!(admission.open(), 0);
        assert!(
            admission.busiest(9).is_empty(),
            "nothing is kept of who left"
        );
    }

    #[test]
    fn a_trusted_proxy_may_have_all_places() {
        let admission = Admission::new(
            Settings {
                connections: 9,
                connections_per_network: 1,
            },
            Arc::default(),
        );
        let proxy = IpAddr::from([127, 0, 0, 1]);
        let places: Vec<_> = std::iter::from_fn(|| admission.enter(proxy, true)).collect();
        assert_eq!(places.len(), 9);
    }
}
