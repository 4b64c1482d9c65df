//! A request as the application takes it.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_http::{HttpMessage as _, Payload, Request, error::PayloadError};
use actix_web::web::Bytes;
use futures_util::Stream;
use h2::RecvStream;

use crate::net::Peer;

/// The request of these frames, with its connection's [`Peer`] among its extensions.
pub(super) fn of(request: http::Request<RecvStream>, peer: &Peer) -> Request {
    let (parts, body) = request.into_parts();
    let payload = if body.is_end_stream() {
        Payload::None
    } else {
        Payload::Stream {
            payload: Box::pin(Upload(body)) as Pin<Box<dyn Stream<Item = _>>>,
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
    request
}

/// The body of a request. More of it may come as it is read (RFC 9113 section 5.2).
struct Upload(RecvStream);

impl Stream for Upload {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let broken = |e: h2::Error| PayloadError::Io(io::Error::other(e));
        let piece = ready!(self.0.poll_data(context));
        Poll::Ready(piece.map(|piece| {
            let piece = piece.map_err(broken)?;
            let flow = self.0.flow_control();
            flow.release_capacity(piece.len()).map_err(broken)?;
            Ok(piece)
        }))
    }
}
