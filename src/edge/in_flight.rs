//! Counts the requests that are being answered, so that the server can stop when there are none.
//!
//! An HTTP/2 connection stays open for as long as a browser shows the site; waiting for connections
//! would be waiting for people.

use std::{
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

    /// How many there are now.
    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::Acquire)
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
                watched,
                _entered: entered,
            })
        }),
    }
}

/// A body that counts as in flight until its last piece was taken.
struct Leaving {
    body: BoxBody,
    watched: Watched,
    _entered: Option<Entered>,
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
        let piece = Pin::new(&mut self.body).poll_next(context);
        if let Poll::Ready(Some(Ok(bytes))) = &piece {
            self.watched.sent(bytes.len());
        }
        piece
    }
}
