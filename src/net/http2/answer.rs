//! The answer to one request.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use actix_http::{Response, ResponseHead, body::MessageBody};
use actix_web::{
    body::{BodySize, BoxBody},
    http::{
        StatusCode, Version,
        header::{self, HeaderName},
    },
    web::Bytes,
};
use h2::server::SendResponse;

use super::{
    body::{self, Outgoing},
    date,
};

/// Sends what the application answers. It is given up when the visitor takes the request back.
pub(super) async fn send<F, R, E, B>(
    answered: F,
    is_head: bool,
    mut respond: SendResponse<Bytes>,
    outgoing: Outgoing,
) where
    F: Future<Output = Result<R, E>>,
    R: Into<Response<B>>,
    E: Into<Response<BoxBody>>,
    B: MessageBody,
{
    let answer = {
        let mut answered = pin!(answered);
        poll_fn(|context| match answered.as_mut().poll(context) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending => respond.poll_reset(context).map(|_| None),
        })
        .await
    };
    let sent = match answer {
        None => return,
        Some(Ok(answer)) => send_whole(answer.into(), is_head, respond, &outgoing).await,
        Some(Err(error)) => send_whole(error.into(), is_head, respond, &outgoing).await,
    };
    if let Err(e) = sent {
        log::debug!("an answer was not sent whole: {e}");
    }
}

async fn send_whole<B: MessageBody>(
    answer: Response<B>,
    is_head: bool,
    mut respond: SendResponse<Bytes>,
    outgoing: &Outgoing,
) -> Result<(), h2::Error> {
    let (answer, body) = answer.into_parts();
    let size = match answer.status() {
        // RFC 9110 section 8.6: neither says how long it is.
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => BodySize::None,
        _ => body.size(),
    };
    let is_all = is_head || size.is_eof();
    let stream = respond.send_response(head(answer.head(), size), is_all)?;
    if is_all {
        return Ok(());
    }
    body::send(body, size, stream, outgoing).await
}

/// Status and headers. What only HTTP/1.1 has is left out (RFC 9113 section 8.2.2).
fn head(answer: &ResponseHead, size: BodySize) -> http::Response<()> {
    const OF_HTTP1: [HeaderName; 5] = [
        header::CONNECTION,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
    ];
    let mut response = http::Response::new(());
    *response.status_mut() = answer.status;
    *response.version_mut() = Version::HTTP_2;
    let headers = response.headers_mut();
    headers.reserve(answer.headers().len() + 2);
    for (name, value) in answer.headers() {
        let is_said_by_size = *name == header::CONTENT_LENGTH && size != BodySize::Stream;
        if !is_said_by_size && !OF_HTTP1.contains(name) {
            headers.append(name.clone(), value.clone());
        }
    }
    if let BodySize::Sized(bytes) = size {
        headers.insert(header::CONTENT_LENGTH, bytes.into());
    }
    if !headers.contains_key(header::DATE)
        && let Some(date) = date::now()
    {
        headers.insert(header::DATE, date);
    }
    response
}
