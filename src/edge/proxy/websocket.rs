//! Web sockets: after the handshake, bytes go both ways until one side is done (RFC 6455 section 4).

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_web::{
    HttpResponse,
    body::{BodySize, BoxBody, MessageBody},
    dev::Payload,
    http::{
        Method, Version,
        header::{self, HeaderMap},
    },
    web::{Bytes, BytesMut},
};
use futures_util::StreamExt as _;
use hyper::{Response, body::Incoming, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf, ReadHalf, WriteHalf};

use super::{headers, upstreams::Load};

/// What is read at once.
const PIECE_BYTES: usize = 16 * 1024;

type Upstream = TokioIo<Upgraded>;

/// Whether a request asks for a WebSocket (RFC 6455 section 4.1, RFC 9110 section 7.8).
///
/// HTTP/2 has another way (RFC 8441), which is not offered, so that browsers come over HTTP/1.1.
pub(super) fn is_wanted(method: &Method, version: Version, headers: &HeaderMap) -> bool {
    let options = headers.get_all(header::CONNECTION);
    let is_for_us = options
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|option| option.trim().eq_ignore_ascii_case("upgrade"));
    version == Version::HTTP_11
        && method == Method::GET
        && is_for_us
        && headers
            .get(header::UPGRADE)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Joins a visitor with a program that has agreed to a WebSocket.
///
/// # Errors
/// What kept the program from switching after all.
pub(super) async fn join(
    mut answer: Response<Incoming>,
    visitor: Payload,
    load: Load,
) -> Result<HttpResponse, hyper::Error> {
    let upstream = TokioIo::new(hyper::upgrade::on(&mut answer).await?);
    let (read, write) = tokio::io::split(upstream);
    actix_web::rt::spawn(send(visitor, write));
    let mut response = HttpResponse::SwitchingProtocols();
    response.upgrade("websocket");
    let mut response = response.message_body(BoxBody::new(FromUpstream {
        read,
        buffer: BytesMut::new(),
        _load: load,
    }));
    if let Ok(response) = &mut response {
        headers::to_visitor(answer.headers(), response.headers_mut());
    }
    Ok(response.unwrap_or_else(|_| HttpResponse::InternalServerError().finish()))
}

/// From the visitor to the program, until either is done.
async fn send(mut visitor: Payload, mut upstream: WriteHalf<Upstream>) {
    while let Some(Ok(piece)) = visitor.next().await {
        if upstream.write_all(&piece).await.is_err() || upstream.flush().await.is_err() {
            return;
        }
    }
    let _ = upstream.shutdown().await;
}

/// From the program to the visitor.
struct FromUpstream {
    read: ReadHalf<Upstream>,
    buffer: BytesMut,
    _load: Load,
}

impl MessageBody for FromUpstream {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Bytes>>> {
        let this = &mut *self;
        this.buffer.resize(PIECE_BYTES, 0);
        let mut piece = ReadBuf::new(&mut this.buffer);
        let outcome = ready!(Pin::new(&mut this.read).poll_read(context, &mut piece));
        let count = piece.filled().len();
        Poll::Ready(match outcome {
            Err(e) => Some(Err(e)),
            Ok(()) if count == 0 => None,
            Ok(()) => Some(Ok(this.buffer.split_to(count).freeze())),
        })
    }
}
