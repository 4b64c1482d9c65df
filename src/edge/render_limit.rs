//! How many pages one visitor can have made: those that no cache has.
//!
//! Whoever asks for one address after the other that is not there makes a small machine work without end.
//! What is kept ready costs next to nothing and is not counted.

use std::{
    net::IpAddr,
    num::NonZeroU32,
    sync::{Mutex, PoisonError, RwLock},
    time::{Duration, Instant},
};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock as _};
use serde::Deserialize;

use crate::base::network_of;

/// Above this many remembered networks, those that are at rest are forgotten.
const MANY: usize = 10_000;
/// No more than this many are remembered; nobody is counted while there are more.
const MOST: usize = 4 * MANY;
/// How often resting networks are looked for at most. Who asked for one page is at rest much sooner, so that
/// it takes more requests than a small machine answers to get past [`MOST`].
const FORGET_EVERY: Duration = Duration::from_secs(1);
/// So many files may be asked for where one page may: it can have a hundred pictures.
const FILES_OF_A_PAGE: NonZeroU32 = NonZeroU32::new(10).expect("ten is not zero");

/// Section `[pages]` of `webstead.toml`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Pages that are made for one network at once.
    pub at_once: u32,
    /// Pages a second after that; 0: as many as it likes.
    pub per_second: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            at_once: 200,
            per_second: 20,
        }
    }
}

/// What the application is asked for. Each is counted for itself, so that a page which is kept ready has its
/// pictures whatever else was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Work {
    /// A page, which has to be made.
    Page,
    /// A file, which is sent as it lies on the disk, if it is there.
    File,
}

type Pages = DefaultKeyedRateLimiter<(IpAddr, Work)>;

/// Counts pages that are made, by network: an IPv4 address, or the /64 of an IPv6 one.
pub(super) struct RenderLimit {
    /// `None`: nobody is limited.
    pages: RwLock<Option<Pages>>,
    forgot_at: Mutex<Instant>,
}

impl RenderLimit {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            pages: RwLock::new(Self::pages(settings)),
            forgot_at: Mutex::new(Instant::now()),
        }
    }

    /// Limits in another way from now on, and begins to count anew.
    pub(super) fn replace(&self, settings: Settings) {
        let pages = Self::pages(settings);
        *self.pages.write().unwrap_or_else(PoisonError::into_inner) = pages;
    }

    fn pages(settings: Settings) -> Option<Pages> {
        let quota = NonZeroU32::new(settings.per_second).map(|per_second| {
            let at_once = NonZeroU32::new(settings.at_once).unwrap_or(NonZeroU32::MIN);
            Quota::per_second(per_second.saturating_mul(FILES_OF_A_PAGE))
                .allow_burst(at_once.saturating_mul(FILES_OF_A_PAGE))
        });
        quota.map(RateLimiter::keyed)
    }

    /// Counts what a visitor asked for.
    ///
    /// # Errors
    /// The seconds until it is worth asking again.
    pub(super) fn count(&self, visitor: IpAddr, work: Work) -> Result<(), u64> {
        let pages = self.pages.read().unwrap_or_else(PoisonError::into_inner);
        let Some(pages) = &*pages else {
            return Ok(());
        };
        if pages.len() > MANY {
            let mut forgot_at = self
                .forgot_at
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if forgot_at.elapsed() >= FORGET_EVERY {
                *forgot_at = Instant::now();
                pages.retain_recent();
            }
            if pages.len() > MOST {
                return Ok(());
            }
        }
        let cost = match work {
            Work::Page => FILES_OF_A_PAGE,
            Work::File => NonZeroU32::MIN,
        };
        // There is room for one page at least, so the outer error does not come.
        let counted = pages.check_key_n(&(network_of(visitor), work), cost);
        counted.unwrap_or(Ok(())).map_err(|not_until| {
            let wait = not_until.wait_time_from(pages.clock().now());
            wait.as_secs() + 1
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::{MOST, RenderLimit, Settings, Work};

    #[test]
    fn one_network_is_slowed_down_and_others_are_not() {
        let limit = RenderLimit::new(Settings {
            at_once: 3,
            per_second: 1,
        });
        let home = |n: u8| IpAddr::from([192, 0, 2, n]);
        let counted: Vec<_> = (0..4)
            .map(|_| limit.count(home(1), Work::Page).is_ok())
            .collect();
        assert_eq!(counted, [true, true, true, false]);
        let wait = limit.count(home(1), Work::Page).unwrap_err();
        assert!((1..=2).contains(&wait), "{wait}");
        assert!(limit.count(home(2), Work::Page).is_ok());
        let v6 = |text: &str| text.parse::<IpAddr>().unwrap();
        for n in 0..4 {
            let is_ok = limit
                .count(v6(&format!("2001:db8::{n}")), Work::Page)
                .is_ok();
            assert_eq!(is_ok, n < 3, "a home has a /64");
        }
        let files = (0..40).filter(|_| limit.count(home(1), Work::File).is_ok());
        assert_eq!(files.count(), 30, "ten files for each page");
    }

    #[test]
    fn none_is_limited_where_that_is_set_and_the_memory_is_bounded() {
        let none = RenderLimit::new(Settings {
            at_once: 0,
            per_second: 0,
        });
        assert!((0..10_000).all(|_| none.count(IpAddr::from([192, 0, 2, 1]), Work::Page).is_ok()));
        let limit = RenderLimit::new(Settings::default());
        for n in 0..200_000u32 {
            assert!(limit.count(Ipv4Addr::from(n).into(), Work::Page).is_ok());
        }
        assert!(limit.pages.read().unwrap().as_ref().unwrap().len() <= MOST + 1);
    }
}
