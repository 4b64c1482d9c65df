//! Counts the requests that are being answered, so that the server can stop when there are none.
//!
//! An HTTP/2 connection stays open for as long as a browser shows the site; waiting for connections
//! would be waiting for people.

use std::{
    mem,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
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
pub(super) struct Entered(InFlight);

impl InFlight {
    /// Counts a request.
    pub(super) fn enter(&self) -> Entered {
        self.0.fetch_add(1, Ordering::AcqRel);
        Entered(self.clone())
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
        self.0.0.fetch_sub(1, Ordering::AcqRel);
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
    // Nobody waits for the end of a WebSocket.
    let entered = (response.status() != StatusCode::SWITCHING_PROTOCOLS).then_some(entered);
    match response.response().body().size() {
        BodySize::None | BodySize::Sized(0) => response,
        _ => response.map_body(|_, body| {
            BoxBody::new(Leaving {
                body,
                flow,
                is_undelivered: false,
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
    watched: Watched,
    _entered: Option<Entered>,
}

impl Leaving {
    fn delivered(&mut self) {
        if mem::take(&mut self.is_undelivered) {
            self.flow.piece_gone();
        }
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.delivered();
    }
}

impl MessageBody for Leaving {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        self.delivered();
        let piece = Pin::new(&mut self.body).poll_next(context);
        if let Poll::Ready(Some(Ok(bytes))) = &piece {
            self.watched.sent(bytes.len());
            self.is_undelivered = true;
            self.flow.piece_taken();
        }
        piece
    }
}
