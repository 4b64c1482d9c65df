//! Ids: 64-bit, made by the program, in the order of time.

use std::{
    fmt,
    str::FromStr,
    sync::atomic::{AtomicI64, Ordering},
};

use serde::{Deserialize, Serialize};

use super::time::{it_is_after, now_ms};

/// 2024-01-01T00:00:00Z in milliseconds since 1970: ids count from here.
const EPOCH_MS: i64 = 1_704_067_200_000;
/// Low bits for ids of one millisecond. 20 bits of random start leave 43 for time: until the year 2302.
const RANDOM_BITS: u32 = 20;

/// The largest id that is believed: there is room for counting on from it.
const MAX_KNOWN: i64 = i64::MAX >> 1;

/// The last id that this process made, so that ids rise even when the clock stands or goes back.
static LAST: AtomicI64 = AtomicI64::new(0);

/// The id of a row or a change: positive, unique, and later ids of one machine are larger.
///
/// Layout: 43 bits of milliseconds since 2024, then 20 random bits. Two machines can make the same
/// id only in the same millisecond with a chance of one in a million.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Id(pub i64);

impl Id {
    /// A new id, larger than every one that this process made before.
    pub fn new() -> Self {
        let ms = now_ms().saturating_sub(EPOCH_MS).max(0);
        let mut random = [0u8; 4];
        // Without randomness ids are still unique here, by the counting below.
        let _ = getrandom::fill(&mut random);
        let low = i64::from(u32::from_le_bytes(random)) & ((1 << RANDOM_BITS) - 1);
        let candidate = (ms << RANDOM_BITS) | low;
        let mut last = LAST.load(Ordering::Relaxed);
        loop {
            // With the clock behind, other processes that rose above the same id must not count the same ones.
            let next = if candidate > last {
                candidate
            } else {
                last + 1 + low
            };
            match LAST.compare_exchange_weak(last, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Self(next),
                Err(seen) => last = seen,
            }
        }
    }

    /// Makes all later ids larger than this one: the clock of a small board may start in the past.
    pub fn rise_above(known: Self) {
        let known = known.0.min(MAX_KNOWN);
        LAST.fetch_max(known, Ordering::Relaxed);
        it_is_after(EPOCH_MS + (known >> RANDOM_BITS));
    }

    /// The smallest id that could have been made at `unix_ms` (milliseconds since 1970).
    pub fn first_at(unix_ms: i64) -> Self {
        Self(unix_ms.saturating_sub(EPOCH_MS).max(0) << RANDOM_BITS)
    }
}

impl Default for Id {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Id {
    type Err = std::num::ParseIntError;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        s.parse().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::Id;

    #[test]
    fn ids_rise_and_are_positive() {
        let ids: Vec<Id> = (0..100_000).map(|_| Id::new()).collect();
        assert!(ids[0].0 > 0);
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn ids_rise_above_those_that_are_known_whatever_the_clock_says() {
        let known = Id(Id::new().0 + (1 << 40));
        Id::rise_above(known);
        assert!(Id::new() > known);
        // Another process that rose above the same one does not count the same ids.
        let next: Vec<i64> = (0..8).map(|_| Id::new().0).collect();
        assert!(next.windows(2).any(|pair| pair[1] - pair[0] > 1));
        Id::rise_above(Id(i64::MAX));
        assert!(Id::new() < Id::new());
    }
}
