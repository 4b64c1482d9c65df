//! How much of its answers a connection may have in memory.
//!
//! One connection may ask for a hundred large files and take none of them. So nothing more is read for any of
//! its answers while much has not gone out, or while many pieces wait for the visitor's windows.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::{Context, Poll, Waker},
};

/// Bytes that the HTTP/2 library may have to send, of all answers of a connection together.
const MOST_GIVEN: usize = 128 * 1024;
/// Answers of which a piece was read and waits for a window: a browser has one such for each video that stands.
const MOST_HELD: usize = 32;

/// What one connection has in memory; cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Budget(Rc<Spent>);

#[derive(Default)]
struct Spent {
    /// Bytes that the library was given since everything was out.
    given: Cell<usize>,
    held: Cell<usize>,
    waiting: RefCell<Vec<Waker>>,
}

/// A piece that was read and not wholly given away yet.
pub(super) struct Held(Budget);

impl Budget {
    /// Waits until a piece may be read.
    pub(super) fn poll_room(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.0.given.get() < MOST_GIVEN && self.0.held.get() < MOST_HELD {
            return Poll::Ready(());
        }
        let mut waiting = self.0.waiting.borrow_mut();
        if !waiting.iter().any(|other| other.will_wake(context.waker())) {
            waiting.push(context.waker().clone());
        }
        Poll::Pending
    }

    /// A piece was read.
    pub(super) fn hold(&self) -> Held {
        self.0.held.set(self.0.held.get() + 1);
        Held(self.clone())
    }

    /// The library was given some bytes.
    pub(super) fn give(&self, bytes: usize) {
        self.0.given.set(self.0.given.get() + bytes);
    }

    /// All that the library was given went out.
    pub(super) fn renew(&self) {
        self.0.given.set(0);
        self.wake();
    }

    fn wake(&self) {
        for waker in self.0.waiting.take() {
            waker.wake();
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let held = &self.0.0.held;
        if held.replace(held.get() - 1) == MOST_HELD {
            self.0.wake();
        }
    }
}
