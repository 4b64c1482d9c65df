//! When the disk is checked: arithmetic, without a clock of its own.

use std::time::Duration;

use crate::base::Timestamp;

/// How long after the start the first quick check comes, and how long after each the next.
const FIRST_QUICK: Duration = Duration::from_mins(10);
const QUICK_EVERY: Duration = Duration::from_hours(6);
/// The hour of the night in which everything is checked, on the clock of the machine.
const NIGHT_HOUR: i8 = 3;
/// One night has one full check, also where the clock jumps or the machine starts anew.
const FULL_AFTER: Duration = Duration::from_hours(20);
/// Everything is checked at any time of day when the last time is so long ago: many a machine is never on at night.
const FULL_AT_LATEST: Duration = Duration::from_hours(48);
/// One that did not come to its end is tried again.
const RETRY: Duration = Duration::from_hours(1);

/// What decides.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// How long this process has looked after the disk.
    pub(super) up: Duration,
    /// How long ago it last had everything checked, whatever came of that.
    pub(super) since_try: Option<Duration>,
    /// When everything was last checked, by this process or another, as far as is noted.
    pub(super) last_full: Option<Timestamp>,
    /// What the clock says.
    pub(super) now: Timestamp,
    /// The hour on the clock of the machine.
    pub(super) hour: i8,
}

/// Whether the structures are to be checked now.
pub(super) fn is_quick_due(up: Duration, since_last: Option<Duration>) -> bool {
    since_last.map_or(up > FIRST_QUICK, |since| since > QUICK_EVERY)
}

/// Whether everything is to be checked now.
pub(super) fn is_full_due(times: &Times) -> bool {
    let since_try = times.since_try;
    if times.up <= FIRST_QUICK || since_try.is_some_and(|since| since <= RETRY) {
        return false;
    }
    // A clock that went back says nothing of how long ago it was.
    let age_s = times.last_full.map(|last| times.now.0 - last.0);
    let age = age_s.and_then(|age_s| u64::try_from(age_s).ok());
    let age = age.map(Duration::from_secs);
    let is_night = times.hour == NIGHT_HOUR
        && since_try.is_none_or(|since| since > FULL_AFTER)
        && age.is_none_or(|age| age > FULL_AFTER);
    let is_late = age.is_none_or(|age| age > FULL_AT_LATEST);
    // By no clock at all: one that stands still, or goes back at each start, must not keep it from being done.
    let is_long_ago = since_try.unwrap_or(times.up) > FULL_AT_LATEST;
    is_night || is_late || is_long_ago
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60;
    const HOUR: u64 = 3600;

    #[test]
    fn everything_is_checked_at_night_or_when_the_last_time_is_two_days_ago_also_across_restarts() {
        let now = 1_800_000_000;
        // seconds that it is up, since the last try, since the last full check, hour, due
        for (up, since_try, age, hour, due) in [
            // At night, once.
            (5 * HOUR, None, Some(24 * HOUR), 3, true),
            (5 * HOUR, None, Some(24 * HOUR), 4, false),
            (5 * HOUR, Some(30 * MINUTE), Some(30 * MINUTE), 3, false),
            (11 * MINUTE, None, Some(30 * MINUTE), 3, false),
            (90 * HOUR, Some(24 * HOUR), Some(24 * HOUR), 3, true),
            // On by day only: the time before counts, whoever had it checked.
            (11 * MINUTE, None, Some(49 * HOUR), 9, true),
            (9 * MINUTE, None, Some(49 * HOUR), 9, false),
            (11 * MINUTE, None, Some(47 * HOUR), 9, false),
            (11 * MINUTE, None, Some(400 * HOUR), 20, true),
            // Never, as far as is known.
            (11 * MINUTE, None, None, 9, true),
            (MINUTE, None, None, 3, false),
            // It did not come to its end.
            (90 * MINUTE, Some(30 * MINUTE), Some(60 * HOUR), 9, false),
            (90 * MINUTE, Some(61 * MINUTE), Some(60 * HOUR), 9, true),
            // A clock that stands still.
            (50 * HOUR, None, Some(HOUR), 9, true),
            (50 * HOUR, Some(30 * HOUR), Some(HOUR), 9, false),
        ] {
            let times = Times {
                up: Duration::from_secs(up),
                since_try: since_try.map(Duration::from_secs),
                last_full: age.map(|age: u64| Timestamp(now - i64::try_from(age).unwrap())),
                now: Timestamp(now),
                hour,
            };
            assert_eq!(is_full_due(&times), due, "{times:?}");
        }
        let back = Times {
            up: Duration::from_secs(11 * MINUTE),
            since_try: None,
            last_full: Some(Timestamp(now + 1_000_000)),
            now: Timestamp(now),
            hour: 9,
        };
        assert!(is_full_due(&back), "a date in the future is none");
    }
}
