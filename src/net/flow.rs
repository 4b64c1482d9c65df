//! Whether a connection moves: who reads slowly or not at all is let go.
//!
//! A visitor may open a page and never read it, and leave the socket's buffer full. No timer of the protocols
//! below notices. So each connection counts the bytes that went out and whether some wait, and a look every few
//! seconds at all connections of a thread ends those that had bytes waiting and moved next to none for a minute.
//! Over HTTP/2, where each answer has a window of its own (RFC 9113 section 5.2), `http2::body` looks at each.

use std::{
    cell::{Cell, RefCell},
    rc::{Rc, Weak},
    task::{Context, Waker},
    time::{Duration, Instant},
};

/// How often the connections are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Looks in a row that find a connection standing, after which it is closed.
const PATIENCE: u8 = 6;
/// Looks that find a request begun and its head not complete, after which the connection is closed: the timer
/// of the protocol below is for the first request on a connection only.
const HEAD_PATIENCE: u8 = 3;
/// After this time an incomplete head was slow, whoever ended the connection: the protocol below gives the first
/// one 20 seconds, by a clock of its own that is half a second fast.
const SLOW_HEAD: Duration = Duration::from_secs(15);
/// What must go out in a second: slower than any telephone.
pub(super) const LEAST_PER_SECOND: u64 = 64;
/// What must go out between two looks.
const LEAST_BYTES: u64 = LEAST_PER_SECOND * LOOK_EVERY.as_secs();

/// What goes out over one connection; on its thread only.
#[derive(Default)]
pub struct Flow {
    sent: Cell<u64>,
    sent_at_last_look: Cell<u64>,
    is_write_blocked: Cell<bool>,
    /// Whether an answer was given up.
    has_given_up: Cell<bool>,
    stood: Cell<u8>,
    is_ended: Cell<bool>,
    reader: RefCell<Option<Waker>>,
    /// Requests that are under way.
    requests: Cell<usize>,
    /// Since when there are bytes that are no request yet, and for how many looks.
    asking_since: Cell<Option<Instant>>,
    asked_for: Cell<u8>,
    /// Whether frames may come without a request, as in HTTP/2.
    is_framed: Cell<bool>,
}

impl Flow {
    /// Bytes were taken by the socket.
    pub(super) fn sent(&self, bytes: usize) {
        self.sent.set(self.sent.get() + bytes as u64);
        self.is_write_blocked.set(false);
    }

    /// The socket takes no more for now.
    pub(super) fn blocked(&self) {
        self.is_write_blocked.set(true);
    }

    /// Remembers who to wake when the connection is ended from here.
    pub(super) fn waits_for_input(&self, context: &Context<'_>) {
        let mut reader = self.reader.borrow_mut();
        match &mut *reader {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
    }

    /// Bytes came from the visitor.
    pub(super) fn heard(&self) {
        if self.requests.get() == 0 && self.asking_since.get().is_none() {
            self.asking_since.set(Some(Instant::now()));
        }
    }

    /// Frames of a protocol come, of which not all are requests: HTTP/2, or a WebSocket.
    pub fn framed(&self) {
        self.is_framed.set(true);
    }

    /// The head of a request is complete.
    pub fn asked(&self) {
        self.asking_since.set(None);
        self.asked_for.set(0);
    }

    /// A request is under way.
    pub fn request_begun(&self) {
        self.requests.set(self.requests.get() + 1);
    }

    /// A request is answered, or given up.
    pub fn request_done(&self) {
        self.requests.set(self.requests.get() - 1);
    }

    /// Whether the connection is to be closed.
    pub(super) fn is_ended(&self) -> bool {
        self.is_ended.get()
    }

    /// Whether the visitor read or sent too slowly, now that the connection is at its end.
    pub(super) fn was_slow(&self, now: Instant) -> bool {
        let asking = self.asking_since.get().filter(|_| !self.is_framed.get());
        let is_slow = |since| now.saturating_duration_since(since) >= SLOW_HEAD;
        self.is_ended() || self.has_given_up.get() || asking.is_some_and(is_slow)
    }

    /// An answer was given up, because the visitor took next to nothing of it.
    pub(super) fn gave_up(&self) {
        self.has_given_up.set(true);
    }

    /// One look: counts how often it stood, and ends it when that was too often.
    fn look(&self) {
        if self.asking_since.get().is_some() && !self.is_framed.get() {
            self.asked_for.set(self.asked_for.get() + 1);
            if self.asked_for.get() >= HEAD_PATIENCE {
                return self.end();
            }
        }
        let moved = self.sent.get() - self.sent_at_last_look.replace(self.sent.get());
        if !self.is_write_blocked.get() || moved >= LEAST_BYTES {
            self.stood.set(0);
            return;
        }
        self.stood.set(self.stood.get() + 1);
        if self.stood.get() >= PATIENCE {
            self.end();
        }
    }

    /// Lets the visitor go.
    pub(super) fn end(&self) {
        self.is_ended.set(true);
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
    }
}

/// The connections of one thread.
#[derive(Clone, Default)]
pub(super) struct Flows(Rc<RefCell<Vec<Weak<Flow>>>>);

impl Flows {
    /// Looks at the connections for as long as the thread goes on.
    pub(super) fn watched() -> Self {
        let flows = Self::default();
        let looked_at = Rc::downgrade(&flows.0);
        actix_web::rt::spawn(async move {
            let mut ticks = tokio::time::interval(LOOK_EVERY);
            loop {
                ticks.tick().await;
                let Some(flows) = looked_at.upgrade() else {
                    break;
                };
                flows.borrow_mut().retain(|flow| match flow.upgrade() {
                    Some(flow) => {
                        flow.look();
                        true
                    }
                    None => false,
                });
            }
        });
        flows
    }

    /// A new connection.
    pub(super) fn begin(&self) -> Rc<Flow> {
        let flow = Rc::new(Flow::default());
        self.0.borrow_mut().push(Rc::downgrade(&flow));
        flow
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::{Flow, LEAST_BYTES, PATIENCE, SLOW_HEAD};

    /// Looks `PATIENCE` times after `between` each, and says whether the connection was ended.
    fn ends(flow: &Flow, between: impl Fn(&Flow)) -> bool {
        for _ in 0..PATIENCE {
            between(flow);
            flow.look();
        }
        flow.is_ended()
    }

    #[test]
    fn who_takes_nothing_or_a_trickle_is_let_go() {
        assert!(ends(&Flow::default(), Flow::blocked), "the socket is full");
        assert!(
            ends(&Flow::default(), |flow| {
                flow.sent(32);
                flow.blocked();
            }),
            "a trickle"
        );
    }

    #[test]
    fn who_begins_a_request_and_does_not_end_it_is_let_go() {
        let slow = Flow::default();
        slow.asked();
        assert!(ends(&slow, Flow::heard), "one byte now and then");
        assert!(
            !ends(&Flow::default(), |flow| {
                flow.heard();
                flow.asked();
            }),
            "one request after the other"
        );
        let short = Flow::default();
        short.heard();
        let now = Instant::now();
        assert!(!short.was_slow(now), "it may be a farewell");
        assert!(short.was_slow(now + SLOW_HEAD), "another timer ends it");
        short.asked();
        assert!(!short.was_slow(now + SLOW_HEAD), "it was complete");
        let long = Flow::default();
        long.request_begun();
        assert!(!ends(&long, Flow::heard), "a body that takes its time");
        let frames = Flow::default();
        frames.framed();
        assert!(!ends(&frames, Flow::heard), "HTTP/2 has frames of its own");
    }

    #[test]
    fn who_is_idle_or_slow_stays() {
        assert!(!ends(&Flow::default(), |_| {}), "nothing waits");
        assert!(!ends(&Flow::default(), |flow| {
            flow.sent(usize::try_from(LEAST_BYTES).unwrap());
            flow.blocked();
        }));
        let delivered = Flow::default();
        assert!(!ends(&delivered, |flow| {
            flow.blocked();
            flow.sent(1);
        }));
    }
}
