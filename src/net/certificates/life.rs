//! From when to when a certificate is valid, also on a machine whose clock stands.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// 2026-01-01: no certificate of ours is older than the program.
const EARLIEST_S: u64 = 1_767_225_600;
const DAY_S: u64 = 24 * 3600;

type Moment = time::OffsetDateTime;

/// Seconds since 1970; a clock that was never set is taken for [`EARLIEST_S`].
pub(super) fn now_s() -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    now.max(EARLIEST_S)
}

/// From yesterday (other clocks may be behind) for `days`.
pub(super) fn validity(days: i64) -> (Moment, Moment) {
    let start = now_s() - DAY_S;
    let end = start + DAY_S * u64::try_from(days).unwrap_or(1);
    let moment = |seconds| Moment::from(UNIX_EPOCH + Duration::from_secs(seconds));
    (moment(start), moment(end))
}
