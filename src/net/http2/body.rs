//! The body of an answer, sent as fast as the visitor takes it.

use std::{
    future::poll_fn,
    pin::pin,
    rc::Rc,
    task::{Poll, ready},
    time::Duration,
};

use actix_http::body::MessageBody;
use actix_web::{body::BodySize, web::Bytes};
use h2::{Reason, SendStream};
use tokio::time::{Instant, timeout};

use super::budget::Budget;
use crate::net::flow::{Flow, LEAST_PER_SECOND};

/// How long an answer may wait for a window in which less than [`LEAST_PER_SECOND`] goes out.
const PERIOD: Duration = Duration::from_mins(1);

/// Where answers go: what all of one connection share.
#[derive(Clone)]
pub(super) struct Outgoing {
    pub(super) budget: Budget,
    pub(super) flow: Rc<Flow>,
}

/// Sends a body of this size, and ends the stream with its last piece.
///
/// # Errors
/// What became of the stream or the connection.
pub(super) async fn send<B: MessageBody>(
    body: B,
    size: BodySize,
    mut stream: SendStream<Bytes>,
    outgoing: &Outgoing,
) -> Result<(), h2::Error> {
    let mut body = pin!(body);
    let mut patience = Patience::new(&outgoing.flow);
    let mut left = match size {
        BodySize::Sized(bytes) => Some(bytes),
        _ => None,
    };
    loop {
        // Nothing is read for who has no room for it.
        if room(&mut stream, 1, &mut patience).await? == 0 {
            return Ok(());
        }
        let piece = poll_fn(|context| {
            let piece = match outgoing.budget.poll_room(context) {
                Poll::Ready(()) => body.as_mut().poll_next(context),
                Poll::Pending => Poll::Pending,
            };
            match piece {
                Poll::Ready(piece) => Poll::Ready(Some(piece)),
                Poll::Pending => stream.poll_reset(context).map(|_| None),
            }
        });
        let Some(piece) = piece.await else {
            return Ok(());
        };
        let _held = outgoing.budget.hold();
        let mut piece = match piece {
            Some(Ok(piece)) => piece,
            None if left.is_none() => return stream.send_data(Bytes::new(), true),
            // The visitor must see that something is missing.
            broken => {
                if let Some(Err(e)) = broken {
                    log::debug!("an answer broke off: {}", e.into());
                }
                stream.send_reset(Reason::INTERNAL_ERROR);
                return Ok(());
            }
        };
        while !piece.is_empty() {
            let bytes = room(&mut stream, piece.len(), &mut patience).await?;
            if bytes == 0 {
                return Ok(());
            }
            let part = piece.split_to(bytes.min(piece.len()));
            patience.moved += part.len() as u64;
            outgoing.budget.give(part.len());
            left = left.map(|left| left.saturating_sub(part.len() as u64));
            let is_last = left == Some(0);
            stream.send_data(part, is_last)?;
            if is_last {
                return Ok(());
            }
        }
    }
}

/// How long an answer waits for its visitor: others of the connection say nothing about it.
struct Patience<'a> {
    flow: &'a Flow,
    /// How long it has waited since it was looked at last.
    waited: Duration,
    /// Bytes that went out since then.
    moved: u64,
}

impl<'a> Patience<'a> {
    fn new(flow: &'a Flow) -> Self {
        Self {
            flow,
            waited: Duration::ZERO,
            moved: 0,
        }
    }

    /// Adds a time that it has waited; whether that is enough.
    fn is_at_its_end(&mut self, waited: Duration) -> bool {
        self.waited += waited;
        if self.waited < PERIOD {
            return false;
        }
        let least = LEAST_PER_SECOND * PERIOD.as_secs();
        let is_enough = self.moved < least;
        (self.waited, self.moved) = (Duration::ZERO, 0);
        is_enough
    }
}

/// Waits until the visitor's windows have room for something, and says for how much, at most `wanted` bytes;
/// 0 if the stream has ended (RFC 9113 section 5.2), or was ended because the visitor takes next to nothing.
async fn room(
    stream: &mut SendStream<Bytes>,
    wanted: usize,
    patience: &mut Patience<'_>,
) -> Result<usize, h2::Error> {
    stream.reserve_capacity(wanted);
    if stream.capacity() > 0 {
        return Ok(stream.capacity());
    }
    loop {
        let since = Instant::now();
        let room = poll_fn(|context| {
            loop {
                match ready!(stream.poll_capacity(context)) {
                    Some(Ok(0)) => {}
                    Some(room) => return Poll::Ready(room),
                    None => return Poll::Ready(Ok(0)),
                }
            }
        });
        let room = timeout(PERIOD.saturating_sub(patience.waited), room).await;
        let is_enough = patience.is_at_its_end(since.elapsed());
        match room {
            Ok(room) if !is_enough => return room,
            Err(_) if !is_enough => {}
            _ => {
                patience.flow.gave_up();
                stream.send_reset(Reason::CANCEL);
                return Ok(0);
            }
        }
    }
}
