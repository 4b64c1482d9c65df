//! Slows the guessing of passwords down, per account and per address.

use std::{
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    time::Duration,
};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock};

use crate::base::{Error, Result};

/// Tries at once, then one every `ACCOUNT_PERIOD`: about 2,900 guesses a day against one account.
const ACCOUNT_BURST: u32 = 10;
const ACCOUNT_PERIOD: Duration = Duration::from_secs(30);
/// Tries at once, then one every `ADDRESS_PERIOD`, from one address or IPv6 network of a home (/64).
const ADDRESS_BURST: u32 = 20;
const ADDRESS_PERIOD: Duration = Duration::from_secs(10);
/// Above this many remembered keys, those that are at rest are forgotten.
const MAX_KEYS: usize = 10_000;

/// Counts tries to sign in. In memory, of this machine.
pub struct Throttle {
    accounts: DefaultKeyedRateLimiter<String>,
    addresses: DefaultKeyedRateLimiter<IpAddr>,
}

impl Throttle {
    /// A throttle that has seen nobody.
    pub fn new() -> Self {
        Self {
            accounts: RateLimiter::keyed(quota(ACCOUNT_PERIOD, ACCOUNT_BURST)),
            addresses: RateLimiter::keyed(quota(ADDRESS_PERIOD, ADDRESS_BURST)),
        }
    }

    /// Counts a try.
    ///
    /// # Errors
    /// [`Error::TooMany`] with the seconds to wait.
    pub fn try_once(&self, account: &str, address: Option<IpAddr>) -> Result<()> {
        if self.accounts.len() > MAX_KEYS {
            self.accounts.retain_recent();
        }
        if self.addresses.len() > MAX_KEYS {
            self.addresses.retain_recent();
        }
        if let Some(address) = address {
            wait_of(self.addresses.check_key(&network_of(address)))?;
        }
        // A long name is no account; its start is enough to count by.
        wait_of(
            self.accounts
                .check_key(&account.chars().take(64).collect::<String>()),
        )
    }
}

impl Default for Throttle {
    fn default() -> Self {
        Self::new()
    }
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

/// An IPv4 address itself; of an IPv6 address its /64, which one home has to itself.
fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => IpAddr::V4(v4),
            None => IpAddr::V6(Ipv6Addr::from(u128::from(v6) & !u128::from(u64::MAX))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_eleventh_guess_at_an_account_must_wait_and_another_account_need_not() {
        let throttle = Throttle::new();
        for _ in 0..ACCOUNT_BURST {
            throttle.try_once("ada", None).unwrap();
        }
        let error = throttle.try_once("ada", None).unwrap_err();
        assert!(
            matches!(
                error,
                Error::TooMany {
                    retry_after_s: 1..=31
                }
            ),
            "{error:?}"
        );
        throttle.try_once("grace", None).unwrap();
    }

    #[test]
    fn addresses_of_one_home_network_count_together() {
        let throttle = Throttle::new();
        for guess in 0..ADDRESS_BURST {
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
