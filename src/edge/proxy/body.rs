//! Bodies on their way through: a piece at a time, in both directions.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use actix_web::{
    body::{BodySize, MessageBody},
    dev::Payload,
    web::Bytes,
};
use futures_util::StreamExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::{
    sync::mpsc::{Receiver, channel},
    time::timeout,
};

/// How long a visitor may be silent in the middle of a body.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a visitor sends, on its way to the program behind. A copy that was never asked for a piece leaves
/// the whole to the next one, so that another program can be tried.
#[derive(Clone)]
pub(super) struct Sent {
    pieces: Arc<Mutex<Option<Receiver<io::Result<Bytes>>>>>,
    /// In bytes; `None` if it was not said, or there is none to send.
    length: Option<u64>,
    is_empty: bool,
    /// Bytes that went to the program.
    bytes: Arc<AtomicU64>,
}

impl Sent {
    /// No body.
    pub(super) fn nothing() -> Self {
        Self {
            pieces: Arc::default(),
            length: Some(0),
            is_empty: true,
            bytes: Arc::default(),
        }
    }

    /// The body of a request, `length` bytes long if that was said.
    pub(super) fn from_visitor(mut payload: Payload, length: Option<u64>) -> Self {
        let (sender, pieces) = channel(1);
        actix_web::rt::spawn(async move {
            loop {
                let piece = match timeout(PATIENCE, payload.next()).await {
                    Ok(None) => break,
                    Ok(Some(piece)) => piece.map_err(io::Error::other),
                    Err(slow) => Err(slow.into()),
                };
                let is_last = piece.is_err();
                if sender.send(piece).await.is_err() || is_last {
                    break;
                }
            }
        });
        Self {
            pieces: Arc::new(Mutex::new(Some(pieces))),
            length,
            is_empty: false,
            bytes: Arc::default(),
        }
    }

    /// Whether it can be sent once more from its beginning.
    pub(super) fn is_whole(&self) -> bool {
        self.is_empty || self.lock(|pieces| pieces.is_some())
    }

    /// Whether its length was not said.
    pub(super) fn has_no_length(&self) -> bool {
        self.length.is_none()
    }

    /// Bytes that were taken from it so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn lock<T>(&self, look: impl FnOnce(&mut Option<Receiver<io::Result<Bytes>>>) -> T) -> T {
        look(&mut self.pieces.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// [`Sent`] as the client library takes it.
pub(super) struct Sending {
    whole: Sent,
    begun: Option<Receiver<io::Result<Bytes>>>,
}

impl From<Sent> for Sending {
    fn from(whole: Sent) -> Self {
        Self { whole, begun: None }
    }
}

impl Body for Sending {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.begun.is_none() {
            self.begun = self.whole.lock(Option::take);
        }
        let Some(pieces) = &mut self.begun else {
            return Poll::Ready(None);
        };
        let piece = ready!(pieces.poll_recv(context));
        if let Some(Ok(bytes)) = &piece {
            let bytes = bytes.len() as u64;
            self.whole.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.whole.is_empty
    }

    fn size_hint(&self) -> SizeHint {
        self.whole
            .length
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// What the program behind answers, on its way to the visitor. `guard` lives as long.
pub(super) struct Answered<Guard> {
    body: Incoming,
    size: BodySize,
    _guard: Guard,
}

impl<Guard> Answered<Guard> {
    /// A body of a size that may be another one than what comes: the answer to HEAD has none.
    pub(super) fn new(body: Incoming, length: Option<u64>, guard: Guard) -> Self {
        let size = length.map_or(BodySize::Stream, BodySize::Sized);
        Self {
            body,
            size,
            _guard: guard,
        }
    }
}

impl<Guard: Unpin> MessageBody for Answered<Guard> {
    type Error = hyper::Error;

    fn size(&self) -> BodySize {
        self.size
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        loop {
            let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(context)?) else {
                return Poll::Ready(None);
            };
            // Trailers have no place in what is sent on; they may be left out (RFC 9110 section 6.5.1).
            if let Ok(piece) = frame.into_data() {
                return Poll::Ready(Some(Ok(piece)));
            }
        }
    }
}
