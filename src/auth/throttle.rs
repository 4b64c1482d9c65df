//! Slows the guessing of passwords down, per account and per network.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    num::NonZeroU32,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock};

use crate::base::{Error, Result, network_of};

/// Tries at once, then one every `TRY_PERIOD`, against one account from one network: about 2,900
/// guesses a day.
const TRY_BURST: u32 = 10;
const TRY_PERIOD: Duration = Duration::from_secs(30);
/// Tries at once, then one every `NETWORK_PERIOD`, from one network, whatever the account.
const NETWORK_BURST: u32 = 20;
const NETWORK_PERIOD: Duration = Duration::from_secs(10);
/// Tries at once, then one every `ACCOUNT_PERIOD`, against one account from all networks that have never
/// signed in to it: many machines together make about 8,600 guesses a day.
const ACCOUNT_BURST: u32 = 100;
const ACCOUNT_PERIOD: Duration = Duration::from_secs(10);
/// Above this many remembered keys of a kind, those that are at rest are forgotten.
const MAX_KEYS: usize = 10_000;
/// No more than this many are remembered; who is new then must wait.
const MAX_KEYS_EVER: usize = 4 * MAX_KEYS;
/// How often resting keys are looked for at most.
const FORGET_EVERY: Duration = Duration::from_secs(10);
/// What those who are new wait while no more keys can be remembered.
const WAIT_FOR_ROOM_S: u64 = 60;
/// Characters of a name that count: a longer one is no account.
const NAME_CHARS: usize = 64;

type Limiter<Key> = DefaultKeyedRateLimiter<Key>;
/// From where: an IPv4 address, or the /64 of an IPv6 one; `None`: unknown.
type Network = Option<IpAddr>;

/// Counts tries to sign in. In memory, of this machine.
///
/// A stranger cannot keep the owner out: the narrow limit is for each network on its own, and the wide
/// one does not hold for networks from which the account was signed in to before.
pub struct Throttle {
    tries: Limiter<(String, Network)>,
    networks: Limiter<IpAddr>,
    accounts: Limiter<String>,
    state: Mutex<State>,
}

struct State {
    known: HashSet<(String, Network)>,
    /// How often the person of a session has typed their password rightly.
    right: HashMap<String, u64>,
    forgot_at: Instant,
}

impl Throttle {
    /// A throttle that has seen nobody.
    pub fn new() -> Self {
        Self {
            tries: RateLimiter::keyed(quota(TRY_PERIOD, TRY_BURST)),
            networks: RateLimiter::keyed(quota(NETWORK_PERIOD, NETWORK_BURST)),
            accounts: RateLimiter::keyed(quota(ACCOUNT_PERIOD, ACCOUNT_BURST)),
            state: Mutex::new(State {
                known: HashSet::new(),
                right: HashMap::new(),
                forgot_at: Instant::now(),
            }),
        }
    }

    /// Counts a try against an account from an address.
    ///
    /// # Errors
    /// [`Error::TooMany`] with the seconds to wait.
    pub fn try_once(&self, account: &str, address: Option<IpAddr>) -> Result<()> {
        self.make_room()?;
        let key = key_of(account, address);
        if let Some(network) = key.1 {
            wait_of(self.networks.check_key(&network))?;
        }
        wait_of(self.tries.check_key(&key))?;
        let is_known = self.state().known.contains(&key);
        if is_known {
            return Ok(());
        }
        wait_of(self.accounts.check_key(&key.0))
    }

    /// Counts a try of the person of a session to confirm who they are. Nobody else can use up their tries.
    ///
    /// # Errors
    /// [`Error::TooMany`] with the seconds to wait.
    pub fn try_to_confirm(&self, session: &str) -> Result<()> {
        let right = self.state().right.get(session).copied().unwrap_or_default();
        self.try_once(&format!("session {session} {right}"), None)
    }

    /// Forgets the tries of a session whose person has typed their password rightly.
    pub fn confirmed(&self, session: &str) {
        let mut state = self.state();
        if state.right.len() >= MAX_KEYS {
            state.right.clear();
        }
        *state.right.entry(session.to_owned()).or_default() += 1;
    }

    /// Remembers that somebody has signed in to the account from this address.
    pub fn succeeded(&self, account: &str, address: Option<IpAddr>) {
        let mut state = self.state();
        if state.known.len() >= MAX_KEYS {
            state.known.clear();
        }
        state.known.insert(key_of(account, address));
    }

    /// Forgets keys at rest when there are many; refuses when that does not help.
    fn make_room(&self) -> Result<()> {
        let most = || {
            self.tries
                .len()
                .max(self.networks.len())
                .max(self.accounts.len())
        };
        if most() <= MAX_KEYS {
            return Ok(());
        }
        let mut state = self.state();
        if state.forgot_at.elapsed() >= FORGET_EVERY {
            state.forgot_at = Instant::now();
            self.tries.retain_recent();
            self.networks.retain_recent();
            self.accounts.retain_recent();
        }
        if most() > MAX_KEYS_EVER {
            return Err(Error::TooMany {
                retry_after_s: WAIT_FOR_ROOM_S,
            });
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Throttle {
    fn default() -> Self {
        Self::new()
    }
}

fn key_of(account: &str, address: Option<IpAddr>) -> (String, Network) {
    let name = account.chars().take(NAME_CHARS).collect();
    (name, address.map(network_of))
}

fn quota(period: Duration, burst: u32) -> Quota {
    let quota = Quota::with_period(period).expect("the period is not zero");
    quota.allow_burst(NonZeroU32::new(burst).expect("the burst is not zero"))
}

fn wait_of<T>(
    checked: Result<T, governor::NotUntil<<governor::clock::DefaultClock as Clock>::Instant>>,
) -> Result<()> {
    match checked {
        Ok(_) => Ok(()),
        Err(until) => {
            let wait = until.wait_time_from(governor::clock::DefaultClock::default().now());
            Err(Error::TooMany {
                retry_after_s: wait.as_secs() + 1,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u32) -> IpAddr {
        IpAddr::from((0x0a00_0000 + n).to_be_bytes())
    }

    #[test]
    fn the_eleventh_guess_at_an_account_must_wait_and_another_account_need_not() {
        let throttle = Throttle::new();
        for _ in 0..TRY_BURST {
            throttle.try_once("ada", Some(address(1))).unwrap();
        }
        let error = throttle.try_once("ada", Some(address(1))).unwrap_err();
        assert!(
            matches!(
                error,
                Error::TooMany {
                    retry_after_s: 1..=31
                }
            ),
            "{error:?}"
        );
        throttle.try_once("grace", Some(address(1))).unwrap();
    }

    #[test]
    fn strangers_cannot_keep_the_owner_out() {
        let throttle = Throttle::new();
        throttle.try_once("ada", Some(address(1))).unwrap();
        throttle.succeeded("ada", Some(address(1)));
        for _ in 0..2 * TRY_BURST {
            let _ = throttle.try_once("ada", Some(address(2)));
        }
        throttle.try_once("ada", Some(address(3))).unwrap();
        let refused = (100..300)
            .filter(|n| throttle.try_once("ada", Some(address(*n))).is_err())
            .count();
        assert!(
            refused >= 90,
            "many machines together are slowed down too: {refused}"
        );
        throttle.try_once("ada", Some(address(1))).unwrap();
    }

    #[test]
    fn it_remembers_a_bounded_number_of_guesses() {
        let throttle = Throttle::new();
        let last = (0..100_000)
            .map(|n| throttle.try_once(&format!("user{n}"), Some(address(n))))
            .take_while(Result::is_ok)
            .count();
        assert!(throttle.tries.len() <= MAX_KEYS_EVER + 1, "{last}");
    }

    #[test]
    fn addresses_of_one_home_network_count_together() {
        let throttle = Throttle::new();
        for guess in 0..NETWORK_BURST {
            let address = format!("2001:db8::{guess:x}").parse().unwrap();
            throttle
                .try_once(&format!("user{guess}"), Some(address))
                .unwrap();
        }
        let same_home = "2001:db8::ffff".parse().unwrap();
        assert!(throttle.try_once("other", Some(same_home)).is_err());
        let elsewhere = "2001:db8:0:1::1".parse().unwrap();
        throttle.try_once("other", Some(elsewhere)).unwrap();
    }
}
