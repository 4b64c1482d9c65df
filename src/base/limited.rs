//! Who was limited, for what, how often and when: what the owner is shown of it.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{Timestamp, network_of};

/// Networks and reasons that are remembered; the one that was limited the longest time ago makes room.
const MOST_ENTRIES: usize = 1024;
/// After so many seconds without another time, nobody needs to know.
const FORGET_AFTER_S: i64 = 24 * 3600;

/// What somebody did too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LimitKind {
    /// Connections at the same time.
    Connections,
    /// Requests at the same time.
    Requests,
    /// Reading or sending too slowly.
    Slow,
    /// Tries to sign in.
    Guesses,
    /// Forms on their way in.
    Forms,
    /// Pages that had to be made.
    Pages,
    /// Nothing: there was too much to do for everybody.
    Busy,
}

impl LimitKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Connections,
        Self::Requests,
        Self::Slow,
        Self::Guesses,
        Self::Forms,
        Self::Pages,
        Self::Busy,
    ];

    /// A word for machines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Requests => "requests",
            Self::Slow => "slow",
            Self::Guesses => "guesses",
            Self::Forms => "forms",
            Self::Pages => "pages",
            Self::Busy => "busy",
        }
    }
}

/// A network that was limited for a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitedNetwork {
    /// An IPv4 address, or the /64 of an IPv6 one.
    pub network: IpAddr,
    /// The reason.
    pub kind: LimitKind,
    /// How often since `first`.
    pub times: u64,
    /// The first time.
    pub first: Timestamp,
    /// The last time.
    pub last: Timestamp,
}

/// Remembers who was limited; one for all threads.
#[derive(Default)]
pub struct Limited {
    networks: Mutex<Networks>,
    totals: [AtomicU64; LimitKind::ALL.len()],
}

type Key = (IpAddr, LimitKind);

#[derive(Default)]
struct Networks {
    /// Each with its number in `order`.
    entries: HashMap<Key, (u64, LimitedNetwork)>,
    /// The one that was limited the longest time ago first. Seconds would not tell: there can be very many
    /// in one.
    order: BTreeMap<u64, Key>,
    next: u64,
}

impl Networks {
    fn note(&mut self, key: Key, now: Timestamp) {
        let (network, kind) = key;
        let number = self.next;
        self.next += 1;
        let (noted, entry) = self.entries.entry(key).or_insert_with(|| {
            let entry = LimitedNetwork {
                network,
                kind,
                times: 0,
                first: now,
                last: now,
            };
            (number, entry)
        });
        if now.0 - entry.last.0 >= FORGET_AFTER_S {
            (entry.times, entry.first) = (0, now);
        }
        entry.times += 1;
        entry.last = now;
        let noted = std::mem::replace(noted, number);
        self.order.remove(&noted);
        self.order.insert(number, key);
        if self.entries.len() > MOST_ENTRIES
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.entries.remove(&oldest);
        }
    }
}

impl Limited {
    /// Somebody was limited at `now`; `None` if it is not known who.
    pub fn note(&self, address: Option<IpAddr>, kind: LimitKind, now: Timestamp) {
        self.totals[kind as usize].fetch_add(1, Ordering::Relaxed);
        if let Some(network) = address.map(network_of) {
            self.networks().note((network, kind), now);
        }
    }

    /// Who was limited within a day, the last ones first.
    pub fn list(&self, now: Timestamp) -> Vec<LimitedNetwork> {
        let networks = self.networks();
        let last_first = networks.order.values().rev();
        last_first
            .filter_map(|key| networks.entries.get(key).map(|(_, entry)| *entry))
            .filter(|entry| now.0 - entry.last.0 < FORGET_AFTER_S)
            .collect()
    }

    /// How often since the start, by reason.
    pub fn totals(&self) -> [(LimitKind, u64); LimitKind::ALL.len()] {
        LimitKind::ALL.map(|kind| (kind, self.totals[kind as usize].load(Ordering::Relaxed)))
    }

    fn networks(&self) -> MutexGuard<'_, Networks> {
        self.networks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::{FORGET_AFTER_S, LimitKind, Limited, MOST_ENTRIES};
    use crate::base::Timestamp;

    #[test]
    fn who_was_limited_is_remembered_for_a_day_with_how_often() {
        let limited = Limited::default();
        let home = Some(IpAddr::from([192, 0, 2, 1]));
        for at in [10, 20, 30] {
            limited.note(home, LimitKind::Pages, Timestamp(at));
        }
        limited.note(home, LimitKind::Guesses, Timestamp(40));
        limited.note(None, LimitKind::Guesses, Timestamp(50));
        let seen: Vec<_> = limited
            .list(Timestamp(60))
            .iter()
            .map(|e| (e.kind, e.times))
            .collect();
        assert_eq!(seen, [(LimitKind::Guesses, 1), (LimitKind::Pages, 3)]);
        assert_eq!(limited.totals()[LimitKind::Guesses as usize].1, 2);
        assert_eq!(limited.list(Timestamp(31 + FORGET_AFTER_S)).len(), 1);
        let next_day = Timestamp(99 + FORGET_AFTER_S);
        assert!(limited.list(next_day).is_empty());
        limited.note(home, LimitKind::Pages, next_day);
        let seen = limited.list(next_day);
        assert_eq!((seen[0].times, seen[0].first), (1, next_day), "a new day");
    }

    #[test]
    fn many_networks_take_a_bounded_amount_of_memory_and_the_last_ones_stay() {
        let limited = Limited::default();
        for n in 0..100_000u32 {
            let address = IpAddr::from(Ipv4Addr::from(n));
            limited.note(
                Some(address),
                LimitKind::Connections,
                Timestamp(i64::from(n)),
            );
            if n % 1000 == 0 {
                let kept = limited.list(Timestamp(i64::from(n)));
                assert!(kept.len() <= MOST_ENTRIES);
                assert_eq!(kept[0].network, address);
            }
        }
        let home = IpAddr::from([192, 0, 2, 1]);
        for n in 0..10_000u32 {
            // All in one second, as an attack comes.
            limited.note(
                Some(Ipv4Addr::from(n).into()),
                LimitKind::Slow,
                Timestamp(100_000),
            );
            limited.note(Some(home), LimitKind::Pages, Timestamp(100_000));
        }
        let kept = limited.list(Timestamp(100_000));
        assert_eq!(kept.len(), MOST_ENTRIES);
        assert_eq!(
            (kept[0].network, kept[0].times),
            (home, 10_000),
            "one that goes on is not pushed out by those that come once"
        );
        let networks = limited.networks();
        assert_eq!(networks.order.len(), networks.entries.len());
    }
}
