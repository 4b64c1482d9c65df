//! HTTP/2 (RFC 9113): the frames are the h2 crate's, the limits ours, the answers the application's.

mod answer;
mod body;
mod budget;
mod date;
mod gather;
mod idle;
mod linger;
mod request;
#[cfg(test)]
mod tests;
mod turns;

use std::{future::Future, io, pin::pin, rc::Rc, task::Poll, time::Duration};

use actix_http::{Request, Response, body::MessageBody};
use actix_service::Service;
use actix_web::{body::BoxBody, http::Method};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use h2::server::Builder;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};

use self::{body::Outgoing, gather::Gathered, idle::Idle};
use super::stream::Peer;

/// Requests that one connection may have under way: RFC 9113 section 6.5.2 recommends no fewer than 100.
const MOST_REQUESTS: u32 = 128;
/// Bytes of a request's head, as RFC 9113 section 6.5.2 counts them: what other servers take, several times.
const MOST_HEAD_BYTES: u32 = 64 * 1024;
/// Bytes of one body that may come before they are read: 30 Mbit/s over a way of 30 ms.
const UPLOAD_WINDOW: u32 = 128 * 1024;
/// The same for all bodies of a connection together.
const CONNECTION_WINDOW: u32 = 256 * 1024;
/// Bytes of one answer that may wait for the socket.
const MOST_WAITING_BYTES: usize = 128 * 1024;
/// Time for the first frames of a connection.
const PREFACE: Duration = Duration::from_secs(10);

/// Serves what comes over a connection until its end, which `stopping` brings after the requests under way: `keep_alive`
/// after the last one, and no more than `most_requests` at the same time.
///
/// # Errors
/// What ended it other than its visitor, the server's stop, or time.
pub(super) async fn serve<T, S, B>(
    stream: T,
    peer: Peer,
    app: Rc<S>,
    (keep_alive, most_requests): (Duration, u32),
    stopping: impl Future<Output = ()>,
) -> io::Result<()>
where
    T: AsyncRead + AsyncWrite + Unpin + 'static,
    S: Service<Request>,
    S::Error: Into<Response<BoxBody>>,
    S::Response: Into<Response<B>>,
    B: MessageBody,
{
    let gathered = Gathered::new(stream);
    let (driven, last) = (gathered.share(), gathered.share());
    let outgoing = Outgoing {
        budget: gathered.budget(),
        flow: Rc::clone(&peer.flow),
    };
    let serving = async move {
        let mut builder = Builder::new();
        builder
            .max_concurrent_streams(MOST_REQUESTS.min(most_requests))
            .max_header_list_size(MOST_HEAD_BYTES)
            .initial_window_size(UPLOAD_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buffer_size(MOST_WAITING_BYTES);
        let mut frames = timeout(PREFACE, builder.handshake(gathered))
            .await
            .inspect_err(|_| peer.flow.end())?
            .map_err(io::Error::other)?;
        let mut idle = Idle::new(keep_alive, frames.ping_pong());
        let mut answers = FuturesUnordered::new();
        let mut stopping = pin!(stopping);
        let mut is_stopping = false;
        turns::run(|context, task, round| {
            if !is_stopping && stopping.as_mut().poll(task).is_ready() {
                is_stopping = true;
                frames.graceful_shutdown();
            }
            loop {
                round.begin();
                while let Poll::Ready(asked) = frames.poll_accept(context) {
                    let Some(asked) = asked else {
                        return Poll::Ready(Ok(()));
                    };
                    let (request, respond) = asked.map_err(io::Error::other)?;
                    let is_head = request.method() == Method::HEAD;
                    let (request, unread) = request::of(request, &peer);
                    let answered = app.call(request);
                    let sent = answer::send(answered, is_head, respond, outgoing.clone());
                    answers.push(async move {
                        sent.await;
                        unread.discard().await;
                    });
                }
                // What was answered is framed when the frames are asked once more.
                let Poll::Ready(Some(())) = answers.poll_next_unpin(context) else {
                    break;
                };
                idle.used();
            }
            idle.poll(task, &mut frames, answers.len())
        })
        .await
    };
    driven.drive(serving).await?;
    linger::linger(last, keep_alive).await;
    Ok(())
}
