//! How often others had our name, and how long we wait before we try again.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// How long one is remembered.
const REMEMBERED: Duration = Duration::from_hours(1);
/// From here on there is a pause of 5 seconds (RFC 6762 section 8.1 asks for it at 15 in 10 seconds).
const MANY: usize = 15;
const PAUSE: Duration = Duration::from_secs(5);
/// From here on somebody does it on purpose.
const HOSTILE: usize = 30;
const LONG_PAUSE: Duration = Duration::from_secs(30);
/// Time that is a matter of chance, so that not all machines speak at once (RFC 6762 section 8.1).
pub(super) const CHANCE: Duration = Duration::from_millis(250);

/// The conflicts of the last hour.
#[derive(Debug, Default)]
pub(super) struct Conflicts(VecDeque<Instant>);

impl Conflicts {
    /// There is one more; says how long to wait before the next try.
    pub(super) fn one_more(&mut self, now: Instant) -> Duration {
        self.0
            .retain(|at| now.saturating_duration_since(*at) < REMEMBERED);
        if self.0.len() == HOSTILE {
            self.0.pop_front();
        }
        self.0.push_back(now);
        let pause = match self.0.len() {
            HOSTILE => LONG_PAUSE,
            MANY..HOSTILE => PAUSE,
            _ => Duration::ZERO,
        };
        pause + at_most(CHANCE)
    }
}

/// A time between nothing and this one, by chance.
pub(super) fn at_most(most: Duration) -> Duration {
    let mut bytes = [0; 4];
    // Without chance, all wait as long as they can.
    let part = getrandom::fill(&mut bytes).map_or(u32::MAX, |()| u32::from_be_bytes(bytes));
    most.mul_f64(f64::from(part) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_always_contradicted_tries_less_and_less() {
        let mut conflicts = Conflicts::default();
        let start = Instant::now();
        let (mut now, mut tries) = (start, 0);
        while now < start + Duration::from_hours(1) {
            now += conflicts.one_more(now) + Duration::from_millis(1);
            tries += 1;
        }
        assert!((100..=160).contains(&tries), "{tries} tries in an hour");
        // And later it is as at the beginning.
        let pause = conflicts.one_more(now + REMEMBERED);
        assert!(pause <= CHANCE, "{pause:?}");
    }
}
