//! From when to when a certificate is valid, also on a machine whose clock was never set.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::date_time_ymd;
use time::OffsetDateTime;

use crate::base::{Timestamp, time::EARLIEST_S};

/// 24 hours.
pub(super) const DAY: Duration = Duration::from_hours(24);
/// 2026-01-01T00:00:00Z, since 1970. A clock that says less was not set: this program is younger.
pub(super) const EARLIEST: Duration = Duration::from_secs(EARLIEST_S.unsigned_abs());

/// Whole seconds since 1970, as the machine's clock says, or as well as can be guessed; no less than [`EARLIEST`].
pub(super) fn now() -> Duration {
    let now = u64::try_from(Timestamp::now().0).unwrap_or_default();
    Duration::from_secs(now).max(EARLIEST)
}

/// What a clock says, since 1970, but no less than [`EARLIEST`].
pub(super) fn believable(clock: SystemTime) -> Duration {
    since_1970(clock).max(EARLIEST)
}

/// Whether a clock says what it may say.
pub(in crate::net) fn is_believable(clock: SystemTime) -> bool {
    since_1970(clock) >= EARLIEST
}

/// `notBefore` and `notAfter` of a certificate made at `now` (since 1970) for `life`.
///
/// It begins a day earlier, because other clocks may be behind, and that day is part of its life.
pub(super) fn validity(now: Duration, life: Duration) -> (OffsetDateTime, OffsetDateTime) {
    let start = date_time_ymd(1970, 1, 1) + now.saturating_sub(DAY);
    (start, start + life)
}

fn since_1970(clock: SystemTime) -> Duration {
    // Certificates count whole seconds.
    Duration::from_secs(clock.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()))
}
