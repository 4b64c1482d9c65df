//! When the next backup is due: arithmetic, without a clock of its own.

use jiff::{Zoned, civil::Time, tz::TimeZone};

use super::{Record, Untried};
use crate::base::Timestamp;

/// Seconds after which one that failed is tried again.
const RETRY_S: i64 = 3600;
/// After so long without one, the owner is warned: this many of the times between two.
const LATE: i64 = 3;
const DAY_S: i64 = 24 * 3600;

/// When backups are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Every day at this time.
    Daily(Time),
    /// So many seconds after the last one.
    Every(i64),
}

impl When {
    /// Seconds between two.
    pub fn period_s(self) -> i64 {
        match self {
            Self::Daily(_) => DAY_S,
            Self::Every(seconds) => seconds,
        }
    }
}

/// Whether a backup is due. `waited_s` is how long this process has waited for it, by a clock that nobody sets.
///
/// One that was missed, because the machine was off, is made up for. A clock that went back, as that of a small
/// board does at its start, makes none; unless it stays there for a whole period.
pub fn is_due(when: When, record: &Record, now: Timestamp, waited_s: i64, zone: &TimeZone) -> bool {
    let waits = record
        .last_begun
        .filter(|_| record.last_made < record.last_begun)
        .is_some_and(|begun| (0..RETRY_S).contains(&(now.0 - begun.0)));
    if waits {
        return false;
    }
    if record.is_broken_off {
        return true;
    }
    let Some(made) = record.last_made else {
        return true;
    };
    if made > now {
        return waited_s >= when.period_s();
    }
    match when {
        When::Every(seconds) => now.0 - made.0 >= seconds,
        When::Daily(time) => made < last_time(time, now, zone),
    }
}

/// Whether a backup that was made and could not be tried is to be tried again.
pub fn is_trial_due(untried: &Untried, now: Timestamp) -> bool {
    let waits = |last: Timestamp| (0..RETRY_S).contains(&(now.0 - last.0));
    !untried.last_try.is_some_and(waits)
}

/// The last moment at which it was this time of day.
fn last_time(time: Time, now: Timestamp, zone: &TimeZone) -> Timestamp {
    let now_here = now.to_jiff().to_zoned(zone.clone());
    let at = |day: jiff::civil::Date| -> Option<Zoned> {
        jiff::civil::DateTime::from_parts(day, time)
            .to_zoned(zone.clone())
            .ok()
    };
    let today = at(now_here.date()).filter(|moment| *moment <= now_here);
    let moment = today.or_else(|| at(now_here.date().yesterday().ok()?));
    moment.map_or(now, |moment| moment.timestamp().into())
}

/// What the owner is to be told, if anything. A first backup has a period's time.
pub fn warning(when: When, record: &Record, now: Timestamp, waited_s: i64) -> Option<String> {
    let late_s = LATE * when.period_s();
    let days = |seconds: i64| match seconds / DAY_S {
        0 => format!("{} hours", seconds / 3600),
        1 => "a day".to_owned(),
        days => format!("{days} days"),
    };
    match record.last_proven {
        Some(proven) if now.0 - proven.0 > late_s => Some(format!(
            "The last backup that is known to be sound is {} old.",
            days(now.0 - proven.0)
        )),
        None if record.failed.is_some() || waited_s > when.period_s() => {
            Some("There is no backup that is known to be sound.".to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: When = When::Daily(Time::constant(12, 0, 0, 0));

    fn at(text: &str) -> Timestamp {
        text.parse::<jiff::Timestamp>().unwrap().into()
    }

    fn state(begun: &str, made: &str) -> Record {
        let read = |text: &str| (!text.is_empty()).then(|| at(text));
        Record {
            last_begun: read(begun),
            last_made: read(made),
            ..Record::default()
        }
    }

    #[test]
    fn one_that_was_broken_off_is_made_again_at_once_also_where_none_is_due() {
        let mut record = state("", "2026-11-26T12:01:00Z");
        let due = |record: &Record| {
            let now = at("2026-11-26T13:00:00Z");
            is_due(NOON, record, now, 0, &TimeZone::UTC)
        };
        assert!(!due(&record));
        record.is_broken_off = true;
        assert!(due(&record));
    }

    #[test]
    fn a_backup_is_due_at_its_time_once_and_is_made_up_for() {
        let table = [
            // begun, made, now, due
            ("", "", "2026-11-26T01:00:00Z", true),
            (
                "2026-11-26T12:00:00Z",
                "2026-11-26T12:01:00Z",
                "2026-11-26T13:00:00Z",
                false,
            ),
            (
                "2026-11-26T12:00:00Z",
                "2026-11-26T12:01:00Z",
                "2026-11-27T11:59:00Z",
                false,
            ),
            (
                "2026-11-26T12:00:00Z",
                "2026-11-26T12:01:00Z",
                "2026-11-27T12:00:00Z",
                true,
            ),
            (
                "2026-11-26T12:00:00Z",
                "2026-11-26T12:01:00Z",
                "2026-12-20T07:00:00Z",
                true,
            ),
            // One by hand counts.
            (
                "2026-11-25T12:00:00Z",
                "2026-11-26T12:30:00Z",
                "2026-11-26T13:00:00Z",
                false,
            ),
            // It failed, or the power did.
            (
                "2026-11-27T12:00:00Z",
                "2026-11-26T12:01:00Z",
                "2026-11-27T12:30:00Z",
                false,
            ),
            (
                "2026-11-27T12:00:00Z",
                "2026-11-26T12:01:00Z",
                "2026-11-27T13:00:00Z",
                true,
            ),
            ("2026-11-27T12:00:00Z", "", "2026-11-27T12:30:00Z", false),
            // The clock is in 1970, or it was in 2099.
            (
                "2026-11-26T12:00:00Z",
                "2026-11-26T12:01:00Z",
                "1970-01-01T00:05:00Z",
                false,
            ),
            (
                "2099-11-26T12:00:00Z",
                "2099-11-26T12:01:00Z",
                "2026-11-27T12:30:00Z",
                false,
            ),
        ];
        for (begun, made, now, due) in table {
            let state = state(begun, made);
            assert_eq!(
                is_due(NOON, &state, at(now), 60, &TimeZone::UTC),
                due,
                "{begun} {made} {now}"
            );
        }
        let jumped = state("2099-11-26T12:00:00Z", "2099-11-26T12:01:00Z");
        let now = at("2026-11-27T12:30:00Z");
        assert!(is_due(NOON, &jumped, now, DAY_S, &TimeZone::UTC));
        let every = When::Every(3600);
        let hourly = state("2026-11-26T12:00:00Z", "2026-11-26T12:01:00Z");
        assert!(!is_due(
            every,
            &hourly,
            at("2026-11-26T13:00:00Z"),
            0,
            &TimeZone::UTC
        ));
        assert!(is_due(
            every,
            &hourly,
            at("2026-11-26T13:01:00Z"),
            0,
            &TimeZone::UTC
        ));
    }

    #[test]
    fn the_owner_is_warned_when_the_last_good_one_is_too_old() {
        let now = at("2026-11-27T12:00:00Z");
        let mut state = Record::default();
        assert_eq!(warning(NOON, &state, now, 60), None, "it has just begun");
        assert!(warning(NOON, &state, now, DAY_S + 1).is_some());
        state.last_proven = Some(Timestamp(now.0 - 2 * DAY_S));
        assert_eq!(warning(NOON, &state, now, 10 * DAY_S), None);
        state.last_proven = Some(Timestamp(now.0 - 4 * DAY_S));
        assert!(warning(NOON, &state, now, 0).unwrap().contains("4 days"));
    }
}
