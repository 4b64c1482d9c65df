//! When a connection on which nothing happens ends.

use std::{
    future::Future as _,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use actix_web::web::Bytes;
use h2::{Ping, PingPong, Reason, server::Connection};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, Sleep, sleep},
};

/// Ends a connection that was not used for a while, and one whose other end is lost while an answer goes on:
/// a telephone out of reach says no goodbye.
pub(super) struct Idle {
    patience: Duration,
    used_at: Instant,
    timer: Pin<Box<Sleep>>,
    pings: Option<PingPong>,
    is_asked: bool,
}

impl Idle {
    pub(super) fn new(patience: Duration, pings: Option<PingPong>) -> Self {
        Self {
            patience,
            used_at: Instant::now(),
            timer: Box::pin(sleep(patience)),
            pings,
            is_asked: false,
        }
    }

    /// A request was answered.
    pub(super) fn used(&mut self) {
        self.used_at = Instant::now();
    }

    /// Ready when the connection is to be given up; one that is merely unused is told to end.
    pub(super) fn poll<T: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        context: &mut Context<'_>,
        frames: &mut Connection<T, Bytes>,
        requests: usize,
    ) -> Poll<io::Result<()>> {
        while self.timer.as_mut().poll(context).is_ready() {
            let ends_at = self.used_at + self.patience;
            let now = Instant::now();
            let next = if requests > 0 {
                if self.is_asked && !self.is_answered(context) {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
                self.ask();
                now + self.patience
            } else if now < ends_at {
                ends_at
            } else {
                // Who asks at this moment is told that it was not heard, and asks again (RFC 9113 section 6.8).
                frames.abrupt_shutdown(Reason::NO_ERROR);
                context.waker().wake_by_ref();
                now + self.patience
            };
            self.timer.as_mut().reset(next);
        }
        Poll::Pending
    }

    fn is_answered(&mut self, context: &mut Context<'_>) -> bool {
        let pings = self.pings.as_mut();
        pings.is_none_or(|pings| pings.poll_pong(context).is_ready())
    }

    fn ask(&mut self) {
        let pings = self.pings.as_mut();
        self.is_asked = pings.is_some_and(|pings| pings.send_ping(Ping::opaque()).is_ok());
    }
}
