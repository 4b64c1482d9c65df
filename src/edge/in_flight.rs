//! Counts the requests that are being answered: there are not more than there is room for, and the server can
//! stop when there are none.
//!
//! An HTTP/2 connection stays open for as long as a browser shows the site; waiting for connections
//! would be waiting for people.

use std::{
    net::IpAddr,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use actix_web::{
    body::{BodySize, BoxBody, MessageBody},
    dev::ServiceResponse,
    http::{StatusCode, Version},
    web::Bytes,
};

use super::observe::Watched;
use crate::{
    base::{Share, Shares},
    net::{Flow, Peer, admission},
};

/// How long nothing must be in flight: time for the last bytes to reach the socket.
const QUIET: Duration = Duration::from_millis(300);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// With its head, less than the 8 KiB with which a connection of HTTP/1.1 begins.
const SMALL_PIECE: usize = 7 * 1024;
/// With what is put around it, less than a record of TLS has (RFC 8446 section 5.1).
const LARGE_PIECE: usize = 16_000;
/// Of a larger body, it counts more that it leaves in few pieces.
const SMALL_BODY: u64 = 64 * 1024;

/// The requests in flight; cheap to clone, one for all threads.
#[derive(Clone)]
pub(super) struct InFlight {
    count: Arc<AtomicUsize>,
    places: Shares,
}

/// One request in flight, until dropped.
pub(super) struct Entered {
    counted: Counted,
    place: Share,
}

/// That the server waits for a request when it stops.
struct Counted {
    count: Arc<AtomicUsize>,
    of_connection: Rc<Flow>,
}

impl InFlight {
    /// As many requests at the same time as there may be connections, because those of HTTP/2 have many in one.
    pub(super) fn new(limits: admission::Limits) -> Self {
        let (most, of_one) = places(limits);
        Self {
            count: Arc::default(),
            places: Shares::new(most, of_one),
        }
    }

    /// Takes other limits from now on.
    pub(super) fn replace(&self, limits: admission::Limits) {
        let (most, of_one) = places(limits);
        self.places.resize(most, of_one);
    }

    /// Counts a request of a connection; `visitor` is who asks, if it is known. `None` if there are too many.
    pub(super) fn enter(&self, connection: &Rc<Flow>, visitor: Option<IpAddr>) -> Option<Entered> {
        let place = self.places.take(visitor, 1)?;
        self.count.fetch_add(1, Ordering::AcqRel);
        connection.request_begun();
        let counted = Counted {
            count: Arc::clone(&self.count),
            of_connection: Rc::clone(connection),
        };
        Some(Entered { counted, place })
    }

    /// How many there are now.
    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Waits until nothing has been in flight for a moment.
    pub(super) async fn quiet(&self) {
        let mut quiet = Duration::ZERO;
        while quiet < QUIET {
            tokio::time::sleep(LOOK_EVERY).await;
            if self.count() == 0 {
                quiet += LOOK_EVERY;
            } else {
                quiet = Duration::ZERO;
            }
        }
    }
}

/// Requests in all, and of one network.
fn places(limits: admission::Limits) -> (usize, usize) {
    (limits.connections, limits.requests_of_one())
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::AcqRel);
        self.of_connection.request_done();
    }
}

/// Keeps a request in flight until the connection has taken its answer, which the visitor may let wait
/// (RFC 9113 section 5.2).
///
/// `is_head`: whether HEAD was asked, to which the answer is the head alone.
pub(super) fn until_sent(
    entered: Entered,
    peer: &Peer,
    is_head: bool,
    watched: Watched,
    response: ServiceResponse<BoxBody>,
) -> ServiceResponse<BoxBody> {
    let is_socket = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    if is_socket {
        peer.flow.framed();
    }
    let Entered { counted, place } = entered;
    // Nobody waits for the end of a WebSocket, but it has its place.
    let counted = (!is_socket).then_some(counted);
    let size = response.response().body().size();
    if matches!(size, BodySize::None | BodySize::Sized(0)) {
        return response;
    }
    let is_http1 = response.request().version() < Version::HTTP_2;
    let most = if is_http1 && peer.is_one_of_many {
        most_at_once(size)
    } else {
        usize::MAX
    };
    response.map_body(|_, body| {
        BoxBody::new(Leaving {
            body,
            is_head,
            rest: Bytes::new(),
            most,
            watched,
            _counted: counted,
            _place: place,
        })
    })
}

/// Bytes of a body that leave at once over HTTP/1.1 while there are many connections.
///
/// The connection copies them to a buffer that it keeps for its next answer: what that grows to is what the
/// connection takes while it is idle.
fn most_at_once(size: BodySize) -> usize {
    match size {
        BodySize::Sized(bytes) if bytes <= SMALL_BODY => SMALL_PIECE,
        _ => LARGE_PIECE,
    }
}

/// A body that counts as in flight until its last piece was taken.
struct Leaving {
    body: BoxBody,
    /// Only its length is said: the protocol below would read all of it, and send nothing.
    is_head: bool,
    /// What was taken from the body and has not left.
    rest: Bytes,
    /// Bytes that leave at once.
    most: usize,
    watched: Watched,
    _counted: Option<Counted>,
    _place: Share,
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
        if self.is_head {
            return Poll::Ready(None);
        }
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_next(context)) {
                Some(Ok(bytes)) => self.rest = bytes,
                Some(Err(e)) => {
                    self.watched.broke_off(&e);
                    return Poll::Ready(Some(Err(e)));
                }
                None => return Poll::Ready(None),
            }
        }
        let length = self.rest.len().min(self.most);
        self.watched.sent(length);
        Poll::Ready(Some(Ok(self.rest.split_to(length))))
    }
}
