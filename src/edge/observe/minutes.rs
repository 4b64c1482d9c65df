//! How many requests there were in each minute of the last hour.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Minutes that are remembered.
pub const MINUTES: usize = 60;
const MINUTE: Duration = Duration::from_mins(1);

/// Requests of one minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Minute {
    /// Answered with a status below 400.
    pub well: u64,
    /// Answered with a status from 400: not there, refused, limited.
    pub refused: u64,
    /// Answered with a status from 500: something broke, or there was too much to do.
    pub failed: u64,
}

/// Counts requests by minute; one for all threads.
pub(super) struct Minutes {
    started: Instant,
    ring: Mutex<Ring>,
}

struct Ring {
    /// The minute since the start that was counted last.
    last: u64,
    /// A minute is at its number modulo the length.
    minutes: [Minute; MINUTES],
}

impl Minutes {
    pub(super) fn new() -> Self {
        Self {
            started: Instant::now(),
            ring: Mutex::new(Ring {
                last: 0,
                minutes: [Minute::default(); MINUTES],
            }),
        }
    }

    /// Counts a request that was answered.
    pub(super) fn count(&self, status: u16) {
        self.at(self.started.elapsed(), |ring| {
            let minute = &mut ring.minutes[place(ring.last)];
            match status {
                500.. => minute.failed += 1,
                400.. => minute.refused += 1,
                _ => minute.well += 1,
            }
        });
    }

    /// The last hour, oldest first; its last minute is not over.
    pub(super) fn last_hour(&self) -> [Minute; MINUTES] {
        self.at(self.started.elapsed(), |ring| {
            let mut hour = ring.minutes;
            hour.rotate_left(place(ring.last) + 1);
            hour
        })
    }

    fn at<T>(&self, time: Duration, what: impl FnOnce(&mut Ring) -> T) -> T {
        let now = time.as_secs() / MINUTE.as_secs();
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        // What nobody counted in is empty.
        let passed = now.saturating_sub(ring.last).min(MINUTES as u64);
        for minute in now + 1 - passed..=now {
            ring.minutes[place(minute)] = Minute::default();
        }
        ring.last = ring.last.max(now);
        what(&mut ring)
    }
}

fn place(minute: u64) -> usize {
    usize::try_from(minute % MINUTES as u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{MINUTES, Minutes, place};

    #[test]
    fn requests_are_counted_in_their_minute_and_forgotten_after_an_hour() {
        let minutes = Minutes::new();
        let add = |minute: u64| {
            minutes.at(Duration::from_mins(minute), |ring| {
                ring.minutes[place(ring.last)].well += 1;
            });
        };
        let hour = |minute: u64| {
            minutes.at(Duration::from_mins(minute), |ring| {
                let mut hour = ring.minutes;
                hour.rotate_left(place(ring.last) + 1);
                hour.map(|minute| minute.well)
            })
        };
        add(0);
        add(0);
        add(3);
        let seen = hour(3);
        assert_eq!((seen[MINUTES - 4], seen[MINUTES - 1]), (2, 1));
        assert_eq!(seen.iter().sum::<u64>(), 3);
        assert_eq!(hour(59).iter().sum::<u64>(), 3);
        assert_eq!(hour(60).iter().sum::<u64>(), 1, "an hour later");
        add(200);
        assert_eq!(hour(200).iter().sum::<u64>(), 1, "after a quiet night");
        assert_eq!(hour(200)[MINUTES - 1], 1);
    }
}
