//! What there is a limited amount of, such as connections or memory: nobody takes the part of everybody else.

use std::{
    cmp::Reverse,
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::network_of;

/// Shares out an amount; cheap to clone, one for all threads.
#[derive(Clone)]
pub struct Shares(Arc<Shared>);

struct Shared {
    most: AtomicUsize,
    most_of_one: AtomicUsize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    in_all: usize,
    of_one: HashMap<IpAddr, usize>,
}

/// What somebody holds of it, until dropped.
pub struct Share {
    shares: Shares,
    network: Option<IpAddr>,
    amount: usize,
}

impl Shares {
    /// So much for all together, and so much for one network: an IPv4 address, or the /64 of an IPv6 one.
    pub fn new(most: usize, most_of_one: usize) -> Self {
        Self(Arc::new(Shared {
            most: most.into(),
            most_of_one: most_of_one.into(),
            taken: Mutex::default(),
        }))
    }

    /// Shares out another amount from now on; nobody loses what they hold.
    pub fn resize(&self, most: usize, most_of_one: usize) {
        self.0.most.store(most, Ordering::Relaxed);
        self.0.most_of_one.store(most_of_one, Ordering::Relaxed);
    }

    /// A share for who asks from `address`, or for who speaks for many; `None` if there is not so much left.
    pub fn take(&self, address: Option<IpAddr>, amount: usize) -> Option<Share> {
        let mut share = Share {
            shares: self.clone(),
            network: address.map(network_of),
            amount: 0,
        };
        share.grow(amount).then_some(share)
    }

    /// How much there is for all together.
    pub fn most(&self) -> usize {
        self.0.most.load(Ordering::Relaxed)
    }

    /// How much is taken now.
    pub fn taken(&self) -> usize {
        self.lock().in_all
    }

    /// The networks that hold most, most first, at most `count` of them.
    pub fn busiest(&self, count: usize) -> Vec<(IpAddr, usize)> {
        let of_one = |(&network, &amount)| (network, amount);
        let mut networks: Vec<_> = self.lock().of_one.iter().map(of_one).collect();
        networks.sort_unstable_by_key(|&(network, amount)| (Reverse(amount), network));
        networks.truncate(count);
        networks
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// Takes more, if there is so much left, and says whether there was.
    pub fn grow(&mut self, amount: usize) -> bool {
        let shares = &self.shares;
        let mut taken = shares.lock();
        if amount > shares.most().saturating_sub(taken.in_all) {
            return false;
        }
        if let Some(network) = self.network {
            let of_one = taken.of_one.entry(network).or_default();
            let most_of_one = shares.0.most_of_one.load(Ordering::Relaxed);
            if amount > most_of_one.saturating_sub(*of_one) {
                if *of_one == 0 {
                    taken.of_one.remove(&network);
                }
                return false;
            }
            *of_one += amount;
        }
        taken.in_all += amount;
        self.amount += amount;
        true
    }

    /// Who holds it; `None` if they speak for many.
    pub fn network(&self) -> Option<IpAddr> {
        self.network
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.amount == 0 {
            return;
        }
        let mut taken = self.shares.lock();
        taken.in_all -= self.amount;
        if let Some(network) = self.network
            && let Some(of_one) = taken.of_one.get_mut(&network)
        {
            *of_one -= self.amount;
            if *of_one == 0 {
                taken.of_one.remove(&network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::{Share, Shares};

    #[test]
    fn one_network_leaves_room_for_others_and_all_together_are_bounded() {
        let shares = Shares::new(5, 3);
        let all_of = |last: u8| -> Vec<Share> {
            let home = Some(IpAddr::from([10, 0, 0, last]));
            std::iter::from_fn(|| shares.take(home, 1)).collect()
        };
        let first = all_of(1);
        assert_eq!(first.len(), 3);
        let second = all_of(2);
        assert_eq!(second.len(), 2);
        assert!(all_of(3).is_empty(), "all are taken");
        assert_eq!(
            shares.busiest(1),
            [(IpAddr::from([10, 0, 0, 1]), 3)],
            "who has most is named first"
        );
        drop(first);
        assert_eq!(all_of(3).len(), 3);
        drop(second);
        assert_eq!(shares.taken(), 0);
        assert!(shares.busiest(9).is_empty(), "nothing is kept of who left");
    }

    #[test]
    fn a_share_grows_as_far_as_there_is_room_and_not_at_all_beyond() {
        let shares = Shares::new(10, 6);
        let home = |text: &str| Some(text.parse().unwrap());
        let mut one = shares.take(home("2001:db8::1"), 4).unwrap();
        assert!(
            shares.take(home("2001:db8::2"), 3).is_none(),
            "a /64 is one"
        );
        assert!(one.grow(2) && !one.grow(1));
        let for_many = shares.take(None, 4).unwrap();
        assert!(shares.take(None, 1).is_none() && shares.take(home("10.0.0.1"), 1).is_none());
        assert!(shares.take(None, usize::MAX).is_none());
        drop(for_many);
        assert_eq!((shares.taken(), shares.busiest(9).len()), (6, 1));
        shares.resize(3, 3);
        assert!(shares.take(None, 1).is_none());
        drop(one);
        assert!(shares.take(home("10.0.0.1"), 3).is_some());
    }
}
