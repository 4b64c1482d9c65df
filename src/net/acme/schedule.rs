//! When a certificate is renewed, and when it is tried again: arithmetic, without clock or files.

use super::Failure;
use crate::base::Timestamp;

/// Seconds until the next try, after the first failure and those after it.
const BACK_OFF_S: [i64; 6] = [60, 5 * 60, 15 * 60, 3600, 4 * 3600, 12 * 3600];
/// Seconds until it is looked again for what the owner is to put right: a record, a name, the clock. No order is made
/// for it.
const WAITING_S: i64 = 5 * 60;
/// An authority that wants to be left alone for longer is asked once a day.
const MOST_WAIT_S: i64 = 24 * 3600;
/// A moment of a try that is further away was noted by a clock that was wrong.
const MOST_AHEAD_S: i64 = MOST_WAIT_S + 3600;

/// From when until when an authority wants a certificate to be renewed (RFC 9773 section 4.2).
pub(super) type Window = (Timestamp, Timestamp);

/// When a certificate with these dates is renewed.
///
/// In the window that the authority advises, else when a third of its life is left. `spread`, 0 to 1, is the
/// same each time it is asked for and another one for each certificate, so that not all homes come at once.
pub(super) fn renewal_time(
    from: Timestamp,
    until: Timestamp,
    advised: Option<Window>,
    spread: f64,
) -> Timestamp {
    let life = (until.0 - from.0).max(0);
    match advised {
        // Advice to renew after the end, or never, is none.
        Some((start, end)) if start <= end && start.0 < until.0 - life / 10 => {
            let latest = end.0.min(until.0 - life / 10);
            Timestamp(start.0 + part((latest - start.0).max(0), spread))
        }
        _ => Timestamp(until.0 - life / 3 - part(life / 30, spread)),
    }
}

/// When it is tried again after so many failures, of which `last` is the last.
///
/// `until`: when the certificate ends that is there now. The nearer that is, the sooner it is tried.
pub(super) fn next_try(
    failures: u32,
    last: &Failure,
    until: Option<Timestamp>,
    now: Timestamp,
    spread: f64,
) -> Timestamp {
    let step = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX);
    let usual = BACK_OFF_S[step.min(BACK_OFF_S.len() - 1)];
    let usual = if last.is_of_waiting() {
        usual.min(WAITING_S)
    } else {
        usual * 3 / 4 + part(usual / 2, spread)
    };
    let left = until.map(|until| until.0 - now.0).filter(|left| *left > 0);
    let soon = left.map_or(usual, |left| usual.min((left / 4).max(1)));
    let asked = last.retry_at.map_or(0, |at| at.0 - now.0);
    Timestamp(now.0 + soon.max(asked).min(MOST_WAIT_S))
}

/// How many failures there are with this one, for [`next_try`]. Days of waiting for the owner make nothing later that
/// comes after it, and nothing that the owner does makes the next try later.
pub(super) fn counted(
    failures: u32,
    before: Option<&Failure>,
    now: &Failure,
    by_owner: bool,
) -> u32 {
    if by_owner {
        return 1;
    }
    if before.is_some_and(Failure::is_of_waiting) && !now.is_of_waiting() {
        return 1;
    }
    failures.saturating_add(1)
}

/// Whether the moment of a next try has come, or was noted by a clock that was wrong.
pub(super) fn has_come(at: Timestamp, now: Timestamp) -> bool {
    at <= now || at.0 - now.0 > MOST_AHEAD_S
}

/// A part of some seconds.
fn part(seconds: i64, of_one: f64) -> i64 {
    // Lives of certificates are far below the 52 bits of a float.
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
    let part = (seconds as f64 * of_one.clamp(0.0, 1.0)) as i64;
    part
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::FailureKind, *};

    const DAY: i64 = 24 * 3600;

    fn failure(retry_at: Option<i64>) -> Failure {
        Failure {
            retry_at: retry_at.map(Timestamp),
            ..Failure::new(FailureKind::Unreachable, "down")
        }
    }

    #[test]
    fn a_certificate_is_renewed_when_its_authority_says_or_when_a_third_is_left() {
        let (from, until) = (Timestamp(0), Timestamp(90 * DAY));
        let at = |window: Option<(i64, i64)>, spread| {
            let window = window.map(|(a, b)| (Timestamp(a * DAY), Timestamp(b * DAY)));
            renewal_time(from, until, window, spread).0 * 10 / DAY
        };
        for (window, spread, expected) in [
            (None, 0.0, 600),
            (None, 1.0, 570),
            (Some((40, 50)), 0.0, 400),
            (Some((40, 50)), 0.5, 450),
            // It was revoked: at once.
            (Some((-2, -1)), 0.5, -15),
            // An authority that lies.
            (Some((200, 300)), 0.5, 585),
            (Some((50, 40)), 0.5, 585),
            (Some((80, 5000)), 1.0, 810),
        ] {
            let tenths = at(window, spread);
            assert_eq!(tenths, expected, "{window:?} {spread}");
        }
        // Six days, as short-lived ones have.
        assert_eq!(renewal_time(from, Timestamp(6 * DAY), None, 0.0).0, 4 * DAY);
    }

    #[test]
    fn tries_become_rarer_and_an_authority_that_asks_for_patience_gets_some() {
        let now = Timestamp(1_000_000);
        let wait = |failures, last: &Failure, left: Option<i64>| {
            let until = left.map(|left| Timestamp(now.0 + left));
            next_try(failures, last, until, now, 0.5).0 - now.0
        };
        let usual = failure(None);
        let waits: Vec<i64> = (1..8).map(|n| wait(n, &usual, None)).collect();
        assert_eq!(waits, [60, 300, 900, 3600, 14400, 43200, 43200]);
        assert_eq!(wait(6, &usual, Some(4 * 3600)), 3600, "it ends soon");
        assert_eq!(wait(6, &usual, Some(-5)), 43200, "it has ended");
        assert_eq!(wait(1, &failure(Some(now.0 + 7200)), None), 7200);
        assert_eq!(wait(1, &failure(Some(now.0 + 300 * DAY)), None), DAY);
        assert_eq!(wait(1, &failure(Some(now.0 - 7200)), None), 60);
        let record = Failure::new(FailureKind::Record, "not there");
        let waits: Vec<i64> = (1..5).map(|n| wait(n, &record, None)).collect();
        assert_eq!(waits, [60, 300, 300, 300], "its owner is at it");
        assert_eq!(counted(900, Some(&record), &record, false), 901);
        assert_eq!(
            counted(900, Some(&record), &usual, false),
            1,
            "the first of its kind"
        );
        assert_eq!(counted(1, Some(&usual), &usual, false), 2);
        assert_eq!(counted(0, None, &usual, false), 1);
        assert_eq!(counted(5, Some(&usual), &usual, true), 1, "it begins anew");
        assert!(has_come(Timestamp(now.0 + 300 * DAY), now), "a wrong clock");
    }

    proptest! {
        #[test]
        fn an_authority_that_is_away_for_less_than_a_third_of_a_life_leaves_nobody_without(
            days in 6i64..400, spread in 0.0f64..1.0, starts in 0.0f64..1.0, lasts in 0.0f64..0.9,
        ) {
            let (from, until) = (Timestamp(0), Timestamp(days * DAY));
            let mut now = renewal_time(from, until, None, spread);
            let third = days * DAY / 3;
            // It goes away before the renewal, and comes back before the end.
            let away_until = now.0 + part(third, lasts) - part(third / 100, starts);
            let mut failures = 0;
            while now.0 < away_until {
                failures += 1;
                now = next_try(failures, &failure(None), Some(until), now, spread);
                prop_assert!(failures < 1000);
            }
            prop_assert!(now < until, "{} days, {} failures", days, failures);
        }
    }
}
