//! A request as the application takes it.

use std::{
    cell::Cell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use actix_http::{HttpMessage as _, Payload, Request, error::PayloadError};
use actix_web::web::Bytes;
use futures_util::Stream;
use h2::RecvStream;

use crate::net::Peer;

/// Time for who still sends to see the answer and stop: several clients lose an answer that is followed at once by
/// the reset that RFC 9113 section 8.1 allows.
const LINGER: Duration = Duration::from_secs(5);

/// What is left of a request's body when nobody reads it any more.
#[derive(Clone, Default)]
pub(super) struct Unread(Rc<Cell<Option<RecvStream>>>);

impl Unread {
    /// Takes what still comes, for a while, once the answer is sent.
    pub(super) async fn discard(self) {
        let Some(mut body) = self.0.take() else {
            return;
        };
        let rest = async {
            while let Some(Ok(piece)) = body.data().await {
                if body.flow_control().release_capacity(piece.len()).is_err() {
                    break;
                }
            }
        };
        // Late is late: then the reset says it.
        let _ = tokio::time::timeout(LINGER, rest).await;
    }
}

/// The request of these frames, with its connection's [`Peer`] among its extensions, and what will be left of its
/// body.
pub(super) fn of(request: http::Request<RecvStream>, peer: &Peer) -> (Request, Unread) {
    let (parts, body) = request.into_parts();
    let unread = Unread::default();
    let payload = if body.is_end_stream() {
        Payload::None
    } else {
        let upload = Upload {
            body: Some(body),
            left: unread.clone(),
        };
        Payload::Stream {
            payload: Box::pin(upload) as Pin<Box<dyn Stream<Item = _>>>,
        }
    };
    let mut request = Request::with_payload(payload);
    let head = request.head_mut();
    head.uri = parts.uri;
    head.method = parts.method;
    head.version = parts.version;
    head.headers = parts.headers.into();
    head.peer_addr = Some(peer.address);
    request.extensions_mut().insert(peer.clone());
    (request, unread)
}

/// The body of a request. More of it may come as it is read (RFC 9113 section 5.2).
struct Upload {
    /// There until this is dropped.
    body: Option<RecvStream>,
    left: Unread,
}

impl Drop for Upload {
    fn drop(&mut self) {
        let body = self.body.take();
        self.left.0.set(body.filter(|body| !body.is_end_stream()));
    }
}

impl Stream for Upload {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let broken = |e: h2::Error| PayloadError::Io(io::Error::other(e));
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let piece = ready!(body.poll_data(context));
        Poll::Ready(piece.map(|piece| {
            let piece = piece.map_err(broken)?;
            let flow = body.flow_control();
            flow.release_capacity(piece.len()).map_err(broken)?;
            Ok(piece)
        }))
    }
}
