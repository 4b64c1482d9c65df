//! Time as the program stores it: whole seconds since 1970, UTC.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicI64, Ordering},
    },
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use jiff::{civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};

/// 2026-01-01T00:00:00Z. A clock that says less was not set: this program is younger.
pub const EARLIEST_S: i64 = 1_767_225_600;

/// What a clock that was not set should have said, at the least, when this process began: milliseconds since 1970.
static BEGAN_MS: AtomicI64 = AtomicI64::new(EARLIEST_S * 1000);
static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Milliseconds since 1970, as the machine's clock says; a guess if it was not set (see [`Timestamp::now`]).
pub(super) fn now_ms() -> i64 {
    let clock = clock_ms();
    if clock >= EARLIEST_S * 1000 {
        return clock;
    }
    BEGAN_MS
        .load(Ordering::Relaxed)
        .saturating_add(elapsed_ms())
}

/// It is later than this (milliseconds since 1970): something has this date that was made before.
pub(super) fn it_is_after(known_ms: i64) {
    let began = known_ms.saturating_sub(elapsed_ms());
    BEGAN_MS.fetch_max(began, Ordering::Relaxed);
}

fn clock_ms() -> i64 {
    let clock = SystemTime::now().duration_since(UNIX_EPOCH);
    clock.map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}

fn elapsed_ms() -> i64 {
    i64::try_from(BEGAN.elapsed().as_millis()).unwrap_or(i64::MAX)
}

/// A clock that was set while the program ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockSet {
    /// When this process began, by the clock as it was.
    pub began: Timestamp,
    /// When the clock was set, by the clock as it was.
    pub ended: Timestamp,
    /// By how many seconds it was set forward; back, if negative.
    pub by_s: i64,
    /// Whether it had never been set before, so that it was wrong for certain.
    pub is_first: bool,
}

/// A moment in whole seconds since 1970-01-01T00:00:00Z; years −9999 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// What time it is: what the clock of this machine says, if it was ever set.
    ///
    /// A board without a battery starts in 1970. Until its clock is set, the last moment that is known (that of the
    /// last change of the database, or when this program was made) is taken for its start, so that dates are
    /// plausible, and rise.
    pub fn now() -> Self {
        Self(now_ms().div_euclid(1000))
    }

    /// A date as HTTP has it (RFC 9110 section 5.6.7): `Fri, 31 Dec 1999 23:59:59 GMT`. `None` if it is none.
    pub fn of_http_date(text: &str) -> Option<Self> {
        let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text);
        date.ok().map(Self::from)
    }

    /// What the clock of this machine says, right or wrong.
    pub fn of_clock() -> Self {
        Self(clock_ms().div_euclid(1000))
    }

    /// Whether the clock of this machine was set: it says no time before this program was made.
    pub fn is_clock_set() -> bool {
        Self::of_clock().0 >= EARLIEST_S
    }

    /// The moment as jiff knows it; outside of jiff's years, the first or last one of them.
    pub fn to_jiff(self) -> jiff::Timestamp {
        let limit = if self.0 < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        };
        jiff::Timestamp::from_second(self.0).unwrap_or(limit)
    }

    /// The day in a time zone.
    pub fn date_in(self, zone: &TimeZone) -> Date {
        self.to_jiff().to_zoned(zone.clone()).date()
    }

    /// RFC 3339 in UTC, as feeds and `<time datetime>` want it: `2014-12-12T00:00:00Z`.
    pub fn rfc3339(self) -> String {
        self.to_jiff().to_string()
    }
}

impl From<jiff::Timestamp> for Timestamp {
    fn from(t: jiff::Timestamp) -> Self {
        Self(t.as_second())
    }
}
