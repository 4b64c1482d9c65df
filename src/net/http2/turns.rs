//! A connection's task is not woken by what it does itself.
//!
//! The HTTP/2 library wakes the task of its connection whenever an answer gives it something to send. Here the
//! answers are made by that very task, which looks after them anyway: without this, each answer would cost a
//! turn of the task in which there is nothing to do.

use std::{
    future::{Future, poll_fn},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use futures_util::task::AtomicWaker;

/// The task waits; who wakes it wakes it.
const WAITING: u8 = 0;
/// It runs, and nobody has woken it since it last looked at everything.
const RUNNING: u8 = 1;
/// It runs, and has to look once more.
const WOKEN: u8 = 2;

/// More rounds are not made without letting others have their turn.
const MOST_ROUNDS: usize = 4;

struct Turns {
    state: AtomicU8,
    task: AtomicWaker,
}

impl Wake for Turns {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let set = |from, to| {
            let state = &self.state;
            state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
        };
        if set(RUNNING, WOKEN) == Err(WAITING) {
            self.task.wake();
        }
    }
}

/// Told at the beginning of each look at everything: what woke the task before that is seen now.
pub(super) struct Round<'a>(&'a AtomicU8);

impl Round<'_> {
    pub(super) fn begin(&self) {
        self.0.store(RUNNING, Ordering::Release);
    }
}

/// Runs what `poll` does, which is woken by others only. It is given the context for what is to be looked at
/// after each [`Round::begin`], and the task's own for everything else.
pub(super) fn run<T>(
    mut poll: impl FnMut(&mut Context<'_>, &mut Context<'_>, &Round<'_>) -> Poll<T>,
) -> impl Future<Output = T> {
    let turns = Arc::new(Turns {
        state: AtomicU8::new(WAITING),
        task: AtomicWaker::new(),
    });
    let waker = Waker::from(Arc::clone(&turns));
    poll_fn(move |task| {
        turns.task.register(task.waker());
        let round = Round(&turns.state);
        for _ in 0..MOST_ROUNDS {
            round.begin();
            let mut inner = Context::from_waker(&waker);
            if let Poll::Ready(outcome) = poll(&mut inner, task, &round) {
                return Poll::Ready(outcome);
            }
            let state = &turns.state;
            let rests =
                state.compare_exchange(RUNNING, WAITING, Ordering::AcqRel, Ordering::Acquire);
            if rests.is_ok() {
                return Poll::Pending;
            }
        }
        turns.state.store(WAITING, Ordering::Release);
        task.waker().wake_by_ref();
        Poll::Pending
    })
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, task::Poll, thread, time::Duration};

    use futures_util::FutureExt as _;
    use tokio::time::timeout;

    use super::{MOST_ROUNDS, run};

    #[test]
    fn what_the_task_wakes_itself_is_seen_in_the_same_turn() {
        let (rounds, left) = (Cell::new(0), Cell::new(3));
        let task = run(|context, _, _| {
            rounds.set(rounds.get() + 1);
            left.set(left.get() - 1);
            if left.get() == 0 {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        });
        assert_eq!(task.now_or_never(), Some(()), "in one turn");
        assert_eq!(rounds.get(), 3);
    }

    #[test]
    fn what_was_seen_in_this_round_costs_no_other() {
        let rounds = Cell::new(0);
        let task = run(|context, _, round| {
            rounds.set(rounds.get() + 1);
            context.waker().wake_by_ref();
            round.begin();
            Poll::<()>::Pending
        });
        assert_eq!(task.now_or_never(), None);
        assert_eq!(rounds.get(), 1);
    }

    #[tokio::test]
    async fn others_wake_it_and_one_that_never_rests_lets_others_run() {
        let rounds = Cell::new(0);
        let task = run(|context, _, _| {
            rounds.set(rounds.get() + 1);
            if rounds.get() > 2 * MOST_ROUNDS {
                return Poll::Ready(());
            }
            let waker = context.waker().clone();
            if rounds.get() <= MOST_ROUNDS {
                waker.wake();
            } else {
                thread::spawn(move || {
                    thread::sleep(Duration::from_millis(5));
                    waker.wake();
                });
            }
            Poll::Pending
        });
        timeout(Duration::from_secs(10), task).await.unwrap();
    }
}
