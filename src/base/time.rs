//! Time as the program stores it: whole seconds since 1970, UTC.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::{civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};

/// A moment in whole seconds since 1970-01-01T00:00:00Z; years −9999 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// What the clock of this machine says.
    pub fn now() -> Self {
        let seconds = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.as_secs());
        Self(i64::try_from(seconds).unwrap_or(i64::MAX))
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
