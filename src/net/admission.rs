//! How many connections there may be: in all, and of one network.
//!
//! Defends against who opens connections and holds them (RFC 9112 section 9.5 leaves closing them to the
//! server): one network cannot take the places of everybody else, and all together cannot take more
//! memory and descriptors than there are.

use std::{
    net::IpAddr,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use serde::Deserialize;

use crate::base::{LimitKind, Limited, Share, Shares, Timestamp};

/// More connections than this have to do with less memory each.
const MANY: usize = 256;

/// Section `[limits]` of `webstead.toml`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Connections at the same time; not said: as many as there is room for.
    pub connections: Option<NonZeroUsize>,
    /// Connections at the same time of one network: an IPv4 address, or the /64 of an IPv6 one. Not said: 512, or
    /// half of all where that is less.
    pub connections_per_network: Option<NonZeroUsize>,
}

/// How many connections there may be, once it is known what there is room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// At the same time.
    pub connections: usize,
    /// Of one network, at the same time.
    pub connections_per_network: usize,
}

impl Limits {
    /// Requests that all connections of one network may have under way: that leaves others half, and is enough for
    /// an office.
    pub fn requests_of_one(&self) -> usize {
        (self.connections / 2).max(1)
    }
}

/// Gives places to connections; cheap to clone, one for all threads.
#[derive(Clone)]
pub struct Admission {
    places: Shares,
    refused: Arc<AtomicU64>,
    limited: Arc<Limited>,
}

/// The place of one connection, until dropped.
pub struct Place {
    share: Share,
    is_one_of_many: bool,
    is_in_crowd: bool,
    limited: Arc<Limited>,
}

impl Admission {
    /// Within these limits. Who is limited is noted.
    pub fn new(limits: Limits, limited: Arc<Limited>) -> Self {
        Self {
            places: Shares::new(limits.connections, limits.connections_per_network),
            refused: Arc::default(),
            limited,
        }
    }

    /// Takes other limits from now on; open connections stay.
    pub fn replace(&self, limits: Limits) {
        let places = &self.places;
        places.resize(limits.connections, limits.connections_per_network);
    }

    /// A place for a connection from `address`, or for one of a trusted proxy; `None` if there is none left.
    pub fn enter(&self, address: IpAddr, is_for_many: bool) -> Option<Place> {
        let address = (!is_for_many).then_some(address);
        let Some(share) = self.places.take(address, 1) else {
            self.refused.fetch_add(1, Ordering::Relaxed);
            let now = Timestamp::now();
            self.limited.note(address, LimitKind::Connections, now);
            return None;
        };
        let taken = self.places.taken();
        Some(Place {
            share,
            is_one_of_many: taken > MANY,
            is_in_crowd: taken > self.places.most() / 2,
            limited: Arc::clone(&self.limited),
        })
    }

    /// Requests that one connection may have under way: no more than its network may have, so that a browser waits and
    /// is not refused.
    pub(super) fn most_requests(&self) -> u32 {
        let limits = Limits {
            connections: self.most(),
            connections_per_network: self.most(),
        };
        u32::try_from(limits.requests_of_one()).unwrap_or(u32::MAX)
    }

    /// How many there may be.
    pub fn most(&self) -> usize {
        self.places.most()
    }

    /// Connections that are open now.
    pub fn open(&self) -> usize {
        self.places.taken()
    }

    /// Connections that were refused since the start.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// The networks with the most connections, most first, at most `count` of them.
    pub fn busiest(&self, count: usize) -> Vec<(IpAddr, usize)> {
        self.places.busiest(count)
    }
}

impl Place {
    /// Whether there were many connections when this one came.
    pub(super) fn is_one_of_many(&self) -> bool {
        self.is_one_of_many
    }

    /// Whether more than half of the places were taken when this connection came: others may need it soon.
    pub(super) fn is_in_crowd(&self) -> bool {
        self.is_in_crowd
    }

    /// Whoever has it was too slow.
    pub(super) fn note_slow(&self) {
        let (network, now) = (self.share.network(), Timestamp::now());
        self.limited.note(network, LimitKind::Slow, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(connections: usize, connections_per_network: usize) -> Admission {
        let limits = Limits {
            connections,
            connections_per_network,
        };
        Admission::new(limits, Arc::default())
    }

    #[test]
    fn who_is_refused_is_counted_and_noted() {
        let admission = admission(9, 2);
        let visitor = IpAddr::from([10, 0, 0, 1]);
        let places: Vec<_> = std::iter::from_fn(|| admission.enter(visitor, false)).collect();
        assert_eq!((places.len(), admission.open()), (2, 2));
        assert_eq!(admission.refused(), 1);
        let noted = admission.limited.list(Timestamp::now());
        assert_eq!(noted[0].kind, LimitKind::Connections);
    }

    #[test]
    fn a_trusted_proxy_may_have_all_places() {
        let admission = admission(9, 1);
        let proxy = IpAddr::from([127, 0, 0, 1]);
        let places: Vec<_> = std::iter::from_fn(|| admission.enter(proxy, true)).collect();
        assert_eq!(places.len(), 9);
    }
}
