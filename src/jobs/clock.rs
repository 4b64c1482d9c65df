//! Notices that the machine's clock was set, and lets what was made before follow it.

use std::time::{Duration, Instant};

use crate::{
    base::{Timestamp, time::ClockSet},
    db::{Change, Database},
};

/// How often the clock is looked at; it costs two readings of it.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// A clock that moves by this many seconds more or less than time itself was set. What is less harms nobody.
const WAS_SET_S: i64 = 3600;

/// Compares the clock with time that nobody sets.
pub(super) struct Watch {
    began: Timestamp,
    last: (Timestamp, Instant),
    was_ever_set: bool,
}

impl Default for Watch {
    fn default() -> Self {
        let now = Timestamp::now();
        Self {
            began: now,
            last: (now, Instant::now()),
            was_ever_set: Timestamp::is_clock_set(),
        }
    }
}

impl Watch {
    /// What became of the clock since this was asked before, if it was set.
    pub(super) fn was_set(&mut self) -> Option<ClockSet> {
        self.looked(
            (Timestamp::now(), Instant::now()),
            Timestamp::is_clock_set(),
        )
    }

    fn looked(&mut self, now: (Timestamp, Instant), is_set: bool) -> Option<ClockSet> {
        let passed = now.1.saturating_duration_since(self.last.1).as_secs();
        let ended = Timestamp(self.last.0.0.saturating_add_unsigned(passed));
        let by_s = now.0.0 - ended.0;
        self.last = now;
        let is_first = is_set && !self.was_ever_set;
        self.was_ever_set |= is_set;
        // A guess that was right by chance is no guess any more, and needs nothing.
        if by_s.abs() < WAS_SET_S {
            return None;
        }
        let set = ClockSet {
            began: self.began,
            ended,
            by_s,
            is_first,
        };
        // What this process has made before follows the clock, so the next time it is there.
        self.began = Timestamp(self.began.0 + by_s);
        Some(set)
    }
}

/// Applies the changes that `follow` makes when the clock was set, and does `after`, off the async threads.
///
/// Runs until it is dropped.
pub async fn watch(
    database: Database,
    follow: Vec<fn(&ClockSet) -> Change>,
    after: impl Fn() + Clone + Send + 'static,
) {
    if !Timestamp::is_clock_set() {
        log::warn!(
            "the clock of this machine was never set (it says {}): until it is, dates are counted from {}, and are \
             put right afterwards",
            Timestamp::of_clock().rfc3339(),
            Timestamp::now().rfc3339()
        );
    }
    let mut clock = Watch::default();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Some(set) = clock.was_set() else {
            continue;
        };
        log::warn!(
            "the clock of this machine was set, from {} to {}",
            set.ended.rfc3339(),
            Timestamp(set.ended.0 + set.by_s).rfc3339()
        );
        let mut change = Change::new();
        for follow in &follow {
            change.extend(follow(&set));
        }
        if let Err(e) = database.apply(change).await {
            log::warn!("dates that were made before the clock was set stay as they are: {e}");
        }
        let after = after.clone();
        if tokio::task::spawn_blocking(after).await.is_err() {
            log::error!("what follows the clock ended with a panic");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_jumps_there_and_back_takes_what_was_made_along() {
        let (start, began) = (Instant::now(), Timestamp(1_800_000_000));
        let mut watch = Watch {
            began,
            last: (began, start),
            was_ever_set: false,
        };
        let mut look = |clock_s: i64, after_s: u64, is_set| {
            watch.looked(
                (
                    Timestamp(began.0 + clock_s),
                    start + Duration::from_secs(after_s),
                ),
                is_set,
            )
        };
        assert_eq!(look(2, 2, false), None);
        // Summer time is no matter of this clock; half an hour is nobody's concern.
        assert_eq!(look(1804, 4, false), None);
        let first = look(1_000_000, 6, true).unwrap();
        assert!(first.is_first);
        assert_eq!((first.began, first.ended.0 - began.0), (began, 1806));
        let by_s = first.by_s;
        let back = look(8, 8, true).unwrap();
        assert_eq!(back.began.0, began.0 + by_s);
        assert!(!back.is_first && back.by_s < 0);
        assert_eq!(back.ended.0 - began.0, 1_000_002);
        assert_eq!(look(10, 10, true), None);
    }
}
