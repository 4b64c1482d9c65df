//! How far this machine's clock is from the authority's: with a wrong one, a good certificate seems to have ended, or
//! not to have begun, and another one is ordered, again and again.

use super::{Failure, FailureKind};
use crate::base::{Timestamp, words::counted};

const HOUR_S: i64 = 3600;
const DAY_S: i64 = 24 * HOUR_S;
/// Seconds that a clock may be behind: by so much Let's Encrypt dates its certificates back.
const MOST_BEHIND_S: i64 = HOUR_S;
/// Seconds that it may be ahead. Then a certificate is renewed earlier, and no more often.
const MOST_AHEAD_S: i64 = 2 * DAY_S;

/// Whether a certificate may be ordered with a clock that is so many seconds ahead of the authority's.
///
/// # Errors
/// A failure that says what to do, if it is too far away in either direction.
pub(super) fn check(ahead_s: i64, now: Timestamp) -> Result<(), Failure> {
    if (-MOST_BEHIND_S..=MOST_AHEAD_S).contains(&ahead_s) {
        return Ok(());
    }
    let side = if ahead_s < 0 { "behind" } else { "ahead of" };
    let text = format!(
        "the clock of this machine says {} and is {} {side} that of the authority, so no certificate is ordered before \
         it is right; look whether this machine can reach a time server (timedatectl), or set the clock",
        // The day and the hour: the same words while it is looked at every few minutes.
        now.rfc3339()
            .get(..13)
            .unwrap_or_default()
            .replace('T', " at "),
        span(ahead_s),
    );
    Err(Failure::new(FailureKind::Clock, text))
}

/// A time in whole hours or days.
fn span(seconds: i64) -> String {
    let hours = (seconds / HOUR_S).unsigned_abs();
    if hours < 48 {
        counted(hours, "hour", "hours")
    } else {
        counted(hours / 24, "day", "days")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_far_from_the_authoritys_keeps_orders_back_and_says_so() {
        let now = Timestamp(1_800_000_000);
        for (ahead_s, words) in [
            (0, None),
            (-HOUR_S, None),
            (DAY_S, None),
            (-HOUR_S - 1, Some("1 hour behind")),
            (-5 * HOUR_S, Some("5 hours behind")),
            (-90 * DAY_S, Some("90 days behind")),
            (3 * DAY_S, Some("3 days ahead of")),
        ] {
            let failure = check(ahead_s, now).err();
            assert_eq!(failure.is_some(), words.is_some(), "{ahead_s}");
            let Some(failure) = failure else { continue };
            assert_eq!(failure.kind, FailureKind::Clock);
            assert!(failure.text.contains(words.unwrap()), "{}", failure.text);
            assert!(failure.text.contains("timedatectl"), "{}", failure.text);
        }
    }
}
