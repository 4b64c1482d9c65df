//! Which changes are committed together.

use std::{
    sync::mpsc::Receiver,
    time::{Duration, Instant},
};

/// Changes in one transaction, so that the first of them does not wait for ever.
const MAX_BATCH: usize = 256;
/// How long a change waits for others of people who are saving at the same time: nobody notices it, and what the log
/// has of indexes is written once for all of them.
const WAIT: Duration = Duration::from_millis(10);

/// Takes what waits, and for a moment also what is likely to come.
pub(super) struct Gathering<T> {
    /// What came during the commit before.
    waiting: Vec<T>,
    /// How many were saving at once a moment ago. Who is alone never waits.
    expected: usize,
}

impl<T> Gathering<T> {
    pub(super) fn new() -> Self {
        Self {
            waiting: Vec::new(),
            expected: 1,
        }
    }

    /// What came while the last batch was committed; then the next one begins with it.
    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The next batch. `first` is what was waited for.
    pub(super) fn batch(&mut self, first: Option<T>, jobs: &Receiver<T>) -> Vec<T> {
        let mut batch = std::mem::take(&mut self.waiting);
        batch.extend(first);
        batch.extend(jobs.try_iter().take(MAX_BATCH.saturating_sub(batch.len())));
        let until = Instant::now() + WAIT;
        while batch.len() < self.expected.min(MAX_BATCH)
            && let Ok(job) = jobs.recv_timeout(until.saturating_duration_since(Instant::now()))
        {
            batch.push(job);
        }
        batch
    }

    /// After a batch of so many was committed and before anybody was answered: who else is there by now?
    pub(super) fn look(&mut self, committed: usize, jobs: &Receiver<T>) {
        self.waiting.extend(jobs.try_iter().take(MAX_BATCH));
        self.expected = committed + self.waiting.len();
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc::sync_channel, thread, time::Instant};

    use super::{Gathering, MAX_BATCH, WAIT};

    #[test]
    fn who_saves_alone_does_not_wait() {
        let (sender, jobs) = sync_channel(8);
        let mut gathering = Gathering::new();
        for n in 0..3 {
            let began = Instant::now();
            assert_eq!(gathering.batch(Some(n), &jobs), [n]);
            assert!(began.elapsed() < WAIT);
            gathering.look(1, &jobs);
            assert!(!gathering.has_waiting());
        }
        drop(sender);
    }

    #[test]
    fn those_who_save_at_once_are_waited_for_but_not_for_long() {
        let (sender, jobs) = sync_channel(8);
        let mut gathering = Gathering::new();
        let first = gathering.batch(Some(1), &jobs);
        sender.send(2).unwrap();
        gathering.look(first.len(), &jobs);
        assert!(gathering.has_waiting());
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(WAIT / 4);
                sender.send(3).unwrap();
            });
            assert_eq!(gathering.batch(None, &jobs), [2, 3]);
        });
        gathering.look(2, &jobs);
        // One of them has gone.
        let began = Instant::now();
        assert_eq!(gathering.batch(Some(4), &jobs), [4]);
        assert!(began.elapsed() >= WAIT);
        gathering.look(1, &jobs);
        let began = Instant::now();
        assert_eq!(gathering.batch(Some(5), &jobs), [5]);
        assert!(began.elapsed() < WAIT);
    }

    #[test]
    fn a_batch_has_an_end_and_nothing_is_left_out() {
        let (sender, jobs) = sync_channel(2 * MAX_BATCH);
        (0..2 * MAX_BATCH).for_each(|n| sender.send(n).unwrap());
        let (mut gathering, mut seen) = (Gathering::new(), Vec::new());
        while seen.len() < 2 * MAX_BATCH {
            let batch = gathering.batch(None, &jobs);
            assert!(!batch.is_empty() && batch.len() <= MAX_BATCH);
            gathering.look(batch.len(), &jobs);
            seen.extend(batch);
        }
        assert!(seen.into_iter().eq(0..2 * MAX_BATCH));
    }
}
