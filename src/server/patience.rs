//! Patience with what fails again and again: tried more and more rarely, and said once.

use std::time::{Duration, Instant};

/// The first pause after a failure, doubled each time.
const FIRST: Duration = Duration::from_secs(2);
/// The longest one.
const MOST: Duration = Duration::from_mins(4);

/// How often something has failed, and how.
#[derive(Default)]
pub(super) struct Patience {
    failures: u32,
    told: String,
    again_at: Option<Instant>,
}

impl Patience {
    /// Whether it may be tried now.
    pub(super) fn is_over(&self) -> bool {
        self.again_at.is_none_or(|at| Instant::now() >= at)
    }

    /// It has failed; whether that is news, and not what was said last.
    pub(super) fn note(&mut self, why: &str) -> bool {
        self.again_at = Some(Instant::now() + pause(self.failures));
        self.failures = self.failures.saturating_add(1);
        let is_news = self.told != why;
        why.clone_into(&mut self.told);
        is_news
    }
}

fn pause(failures: u32) -> Duration {
    FIRST.saturating_mul(1 << failures.min(16)).min(MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_failing_is_said_once_and_tried_every_few_minutes() {
        let mut patience = Patience::default();
        assert!(patience.is_over());
        assert!(patience.note("the disk is full"));
        assert!(!patience.note("the disk is full"));
        assert!(!patience.is_over());
        assert!(patience.note("the disk is gone"));
        let pauses: Vec<u64> = (0..9).map(|failures| pause(failures).as_secs()).collect();
        assert_eq!(pauses, [2, 4, 8, 16, 32, 64, 128, 240, 240]);
        assert_eq!(pause(u32::MAX), MOST);
    }
}
