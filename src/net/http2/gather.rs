//! What a connection writes in one turn of its task goes out together.
//!
//! The HTTP/2 library flushes after each frame with a part of a body, and the frame that ends an answer is
//! one of its own: that is a TLS record, a system call and a packet more for each answer. So what is written
//! while the connection's task runs is gathered, and goes out when the task has nothing more to do.
//!
//! Whoever has a large answer waits while much of what the library was given has not gone out ([`Budget`]).

use std::{
    cell::{RefCell, RefMut},
    future::{Future, poll_fn},
    io::{self, IoSlice},
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, ready},
};

use actix_web::web::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::budget::Budget;

/// What is gathered at most before it must go out: two of the frames that HTTP/2 has by default (RFC 9113
/// section 4.2).
const MOST_BYTES: usize = 2 * 16_384;

/// A stream whose writes wait for the end of the turn; all clones of it are one.
pub(super) struct Gathered<S>(Rc<RefCell<Inner<S>>>);

struct Inner<S> {
    stream: S,
    waiting: BytesMut,
    /// Whether what is below may hold bytes back: TLS takes more than the socket does.
    is_unflushed: bool,
    /// Whether who writes was told to wait, in this turn.
    is_refused: bool,
    budget: Budget,
    /// What kept the bytes from going out, for who writes or reads next.
    failure: Option<io::ErrorKind>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Gathered<S> {
    pub(super) fn new(stream: S) -> Self {
        Self(Rc::new(RefCell::new(Inner {
            stream,
            waiting: BytesMut::new(),
            is_unflushed: false,
            is_refused: false,
            budget: Budget::default(),
            failure: None,
        })))
    }

    /// The same stream, for [`Gathered::drive`].
    pub(super) fn share(&self) -> Self {
        Self(Rc::clone(&self.0))
    }

    /// What the answers may have in it.
    pub(super) fn budget(&self) -> Budget {
        self.inner().budget.clone()
    }

    /// Runs the task that reads and writes the other half; what it wrote goes out after each turn.
    pub(super) async fn drive<F: Future>(self, task: F) -> F::Output {
        let mut task = pin!(task);
        poll_fn(|context| {
            self.inner().is_refused = false;
            let outcome = task.as_mut().poll(context);
            let mut inner = self.inner();
            match inner.poll_send(context) {
                Poll::Ready(Ok(())) if !inner.is_refused => inner.budget.renew(),
                Poll::Ready(Err(e)) => {
                    inner.failure = Some(e.kind());
                    // The task does not wait for what failed; its next read tells it.
                    context.waker().wake_by_ref();
                }
                _ => {}
            }
            outcome
        })
        .await
    }

    fn inner(&self) -> RefMut<'_, Inner<S>> {
        self.0.borrow_mut()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Inner<S> {
    fn check(&self) -> io::Result<()> {
        self.failure.map_or(Ok(()), |kind| Err(kind.into()))
    }

    /// Sends what waits.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_unflushed || self.failure.is_some() {
            return Poll::Ready(Ok(()));
        }
        while !self.waiting.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, &self.waiting))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.waiting.advance(written);
        }
        // An idle connection keeps no memory for this.
        self.waiting = BytesMut::new();
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        self.is_unflushed = false;
        Poll::Ready(Ok(()))
    }

    /// Waits until there is room for more.
    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        if self.waiting.len() >= MOST_BYTES {
            let sent = self.poll_send(context);
            self.is_refused |= sent.is_pending();
            ready!(sent)?;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Gathered<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut inner = self.inner();
        inner.check()?;
        Pin::new(&mut inner.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Gathered<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut inner = self.inner();
        ready!(inner.poll_room(context))?;
        inner.waiting.extend_from_slice(bytes);
        inner.is_unflushed = true;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut inner = self.inner();
        ready!(inner.poll_room(context))?;
        let length = slices.iter().map(|slice| slice.len()).sum();
        inner.waiting.reserve(length);
        for slice in slices {
            inner.waiting.extend_from_slice(slice);
        }
        inner.is_unflushed = true;
        Poll::Ready(Ok(length))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Nothing to do: what was written goes out at the end of the turn.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.inner().check())
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.inner();
        inner.check()?;
        ready!(inner.poll_send(context))?;
        Pin::new(&mut inner.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt as _;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, BufWriter, DuplexStream, duplex},
        time::timeout,
    };

    use super::{Gathered, MOST_BYTES};

    fn pair(room: usize) -> (Gathered<DuplexStream>, Gathered<DuplexStream>, DuplexStream) {
        let (ours, theirs) = duplex(room);
        let gathered = Gathered::new(ours);
        (gathered.share(), gathered, theirs)
    }

    #[tokio::test]
    async fn what_is_written_in_one_turn_arrives_together_and_whole() {
        let (handle, mut stream, mut theirs) = pair(1 << 20);
        let task = async {
            for piece in ["head", "body", "end"] {
                stream.write_all(piece.as_bytes()).await.unwrap();
                stream.flush().await.unwrap();
                let early = theirs.read(&mut [0; 11]).now_or_never();
                assert!(early.is_none(), "it went out in parts");
            }
            tokio::task::yield_now().await;
            let mut all = [0; 99];
            let length = theirs.read(&mut all).await.unwrap();
            assert_eq!(&all[..length], b"headbodyend");
        };
        handle.drive(task).await;
    }

    #[tokio::test]
    async fn more_than_may_be_gathered_waits_for_the_reader_and_nothing_is_lost() {
        let (handle, mut stream, mut theirs) = pair(1000);
        let sent: Vec<u8> = (0..=250).cycle().take(10 * MOST_BYTES).collect();
        let expected = sent.clone();
        let reader = tokio::spawn(async move {
            let mut got = Vec::new();
            theirs.read_to_end(&mut got).await.unwrap();
            got
        });
        let task = async move {
            for piece in sent.chunks(9000) {
                stream.write_all(piece).await.unwrap();
            }
            assert!(stream.0.borrow().waiting.len() < MOST_BYTES + 9000);
            stream.shutdown().await.unwrap();
        };
        handle.drive(task).await;
        assert!(reader.await.unwrap() == expected);
    }

    #[tokio::test]
    async fn what_the_layer_below_holds_back_goes_out_when_there_is_room() {
        let (ours, mut theirs) = duplex(1000);
        let mut stream = Gathered::new(BufWriter::with_capacity(1 << 16, ours));
        let handle = stream.share();
        let task = async {
            let sent = vec![7; 50_000];
            stream.write_all(&sent).await.unwrap();
            let mut all = vec![0; 50_000];
            theirs.read_exact(&mut all).await.unwrap();
            assert!(all == sent);
        };
        let drive = handle.drive(task);
        timeout(Duration::from_secs(10), drive).await.unwrap();
    }

    #[tokio::test]
    async fn who_reads_is_told_that_writing_failed() {
        let (handle, mut stream, theirs) = pair(10);
        drop(theirs);
        let task = async {
            stream.write_all(b"for nobody").await.unwrap();
            tokio::task::yield_now().await;
            stream.read(&mut [0; 1]).await
        };
        assert!(handle.drive(task).await.is_err());
    }
}
