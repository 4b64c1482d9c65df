//! When a name is tried again: arithmetic, without clock or files.

use std::time::Duration;

use crate::{
    base::Timestamp,
    net::dns::{Failure, FailureKind},
};

/// Seconds until the next try where nobody could be asked, be it for hours: a name follows within a minute after the
/// line has come back, and until then a try bothers nobody.
pub(super) const UNREACHABLE_S: i64 = 25;
/// Seconds until the next try, after the first failure and those after it.
const BACK_OFF_S: [i64; 6] = [30, 60, 5 * 60, 15 * 60, 3600, 4 * 3600];
/// A provider that said no is not asked sooner: its mind changes by hand.
const AFTER_NO_S: i64 = 5 * 60;
/// A provider that wants to be left alone for longer is asked once a day.
const MOST_WAIT_S: i64 = 24 * 3600;

/// When it is tried again after so many failures, of which `last` is the last, if a moment says so. `spread` is from 0
/// to 1, so that not all homes come at once.
pub(super) fn next_try(
    failures: u32,
    last: &Failure,
    now: Timestamp,
    spread: f64,
) -> Option<Timestamp> {
    match last.kind {
        // All the time, or not before something is another.
        FailureKind::Unreachable | FailureKind::Final | FailureKind::Address => return None,
        FailureKind::Trouble
        | FailureKind::RateLimited
        | FailureKind::Refused
        | FailureKind::Setup => {}
    }
    let step = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX);
    let mut usual = BACK_OFF_S[step.min(BACK_OFF_S.len() - 1)];
    if last.kind != FailureKind::Trouble {
        usual = usual.max(AFTER_NO_S);
    }
    let usual = spread_out(usual, spread);
    let asked = last.retry_at.map_or(0, |at| at.0 - now.0);
    Some(Timestamp(now.0 + usual.max(asked).min(MOST_WAIT_S)))
}

/// The pause where nobody could be asked.
pub(super) fn while_unreachable() -> Duration {
    seconds(spread_out(UNREACHABLE_S, chance()))
}

/// As long as that is none.
pub(super) fn seconds(seconds: i64) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
}

/// Some seconds, a quarter more or less.
pub(super) fn spread_out(seconds: i64, spread: f64) -> i64 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)] // at most a day
    let half = (seconds as f64 / 2.0 * spread.clamp(0.0, 1.0)) as i64;
    seconds * 3 / 4 + half
}

/// Whether the moment of a next try has come, or was noted by a clock that was wrong.
pub(super) fn has_come(at: Timestamp, now: Timestamp) -> bool {
    at <= now || at.0 - now.0 > MOST_WAIT_S + 3600
}

/// A number from 0 to 1.
pub(super) fn chance() -> f64 {
    let mut bytes = [0; 2];
    match getrandom::fill(&mut bytes) {
        Ok(()) => f64::from(u16::from_be_bytes(bytes)) / f64::from(u16::MAX),
        Err(_) => 0.5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_become_rarer_and_who_asks_for_patience_gets_some() {
        let now = Timestamp(1_000_000);
        let wait = |failures, kind, retry: Option<i64>| {
            let last = Failure {
                retry_at: retry.map(|s| Timestamp(now.0 + s)),
                ..Failure::new(kind, "x")
            };
            next_try(failures, &last, now, 0.5).map(|at| at.0 - now.0)
        };
        let trouble: Vec<i64> = (1..8)
            .filter_map(|n| wait(n, FailureKind::Trouble, None))
            .collect();
        assert_eq!(trouble, [29, 60, 300, 900, 3600, 14400, 14400]);
        for (kind, retry, waits) in [
            (FailureKind::Refused, None, Some(300)),
            (FailureKind::RateLimited, Some(7200), Some(7200)),
            (FailureKind::RateLimited, Some(90 * 86400), Some(86400)),
            (FailureKind::Trouble, Some(-5), Some(29)),
            (FailureKind::Unreachable, None, None),
            (FailureKind::Final, None, None),
            (FailureKind::Address, None, None),
        ] {
            assert_eq!(wait(1, kind, retry), waits, "{kind:?}");
        }
        assert!(while_unreachable() < Duration::from_secs(45));
        assert!(has_come(now, now) && !has_come(Timestamp(now.0 + 60), now));
        assert!(
            has_come(Timestamp(now.0 + 90 * 86400), now),
            "a wrong clock"
        );
        for spread in [0.0, 0.3, 1.0] {
            assert!((75..=125).contains(&spread_out(100, spread)));
        }
    }
}
