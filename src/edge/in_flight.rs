//! Counts the requests that are being answered, so that the server can stop when there are none.
//!
//! An HTTP/2 connection stays open for as long as a browser shows the site; waiting for connections
//! would be waiting for people.

use std::{
    io, mem,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use actix_web::{
    body::{BodySize, BoxBody, MessageBody},
    dev::ServiceResponse,
    http::StatusCode,
    web::Bytes,
};

use super::observe::Watched;
use crate::net::Flow;

/// How long nothing must be in flight: time for the last bytes to reach the socket.
const QUIET: Duration = Duration::from_millis(300);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The number of requests in flight; cheap to clone, one for all threads.
#[derive(Clone, Default)]
pub(super) struct InFlight(Arc<AtomicUsize>);

/// One request in flight, until dropped.
pub(super) struct Entered {
    all: InFlight,
    of_connection: Rc<Flow>,
}

impl InFlight {
    /// Counts a request of a connection.
    pub(super) fn enter(&self, connection: &Rc<Flow>) -> Entered {
        self.0.fetch_add(1, Ordering::AcqRel);
        connection.request_begun();
        Entered {
            all: self.clone(),
            of_connection: Rc::clone(connection),
        }
    }

    /// Waits until nothing has been in flight for a moment.
    pub(super) async fn quiet(&self) {
        let mut quiet = Duration::ZERO;
        while quiet < QUIET {
            tokio::time::sleep(LOOK_EVERY).await;
            if self.0.load(Ordering::Acquire) == 0 {
                quiet += LOOK_EVERY;
            } else {
                quiet = Duration::ZERO;
            }
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.all.0.fetch_sub(1, Ordering::AcqRel);
        self.of_connection.request_done();
    }
}

/// Keeps a request in flight until the connection has taken its answer, which the visitor may let wait
/// (RFC 9113 section 5.2).
pub(super) fn until_sent(
    entered: Entered,
    flow: Rc<Flow>,
    watched: Watched,
    response: ServiceResponse<BoxBody>,
) -> ServiceResponse<BoxBody> {
    let is_socket = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    if is_socket {
        flow.framed();
    }
    // Nobody waits for the end of a WebSocket.
    let entered = (!is_socket).then_some(entered);
    match response.response().body().size() {
        BodySize::None | BodySize::Sized(0) => response,
        _ => response.map_body(|_, body| {
            BoxBody::new(Leaving {
                body,
                flow,
                is_undelivered: false,
                waits: None,
                watched,
                _entered: entered,
            })
        }),
    }
}

/// A body that counts as in flight until its last piece was taken.
struct Leaving {
    body: BoxBody,
    flow: Rc<Flow>,
    /// Whether the connection has a piece and did not ask for the next one yet.
    is_undelivered: bool,
    /// Whom to wake when the connection is gone.
    waits: Option<Waker>,
    watched: Watched,
    _entered: Option<Entered>,
}

impl Leaving {
    fn delivered(&mut self) {
        if mem::take(&mut self.is_undelivered) {
            self.flow.piece_gone();
        }
    }

    fn wait(&mut self, waker: &Waker) {
        if !self.waits.as_ref().is_some_and(|old| old.will_wake(waker)) {
            self.stop_waiting();
            self.flow.wait_for_end(waker);
            self.waits = Some(waker.clone());
        }
    }

    fn stop_waiting(&mut self) {
        if let Some(waker) = self.waits.take() {
            self.flow.wait_no_more(&waker);
        }
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.delivered();
        self.stop_waiting();
    }
}

impl MessageBody for Leaving {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        self.delivered();
        if self.flow.is_gone() {
            let gone = io::Error::from(io::ErrorKind::ConnectionAborted);
            return Poll::Ready(Some(Err(gone.into())));
        }
        let piece = Pin::new(&mut self.body).poll_next(context);
        if piece.is_pending() {
            // HTTP/2 answers are tasks of their own, which nobody else tells.
            self.wait(context.waker());
        }
        if let Poll::Ready(Some(Ok(bytes))) = &piece {
            self.watched.sent(bytes.len());
            self.is_undelivered = true;
            self.flow.piece_taken();
        }
        piece
    }
}
