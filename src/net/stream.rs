//! A connection as the protocols see it: plain or TLS, counted and bounded.

use std::{
    io::{self, IoSlice},
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Instant,
};

use actix_web::{HttpMessage as _, dev::ServiceRequest};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

use super::{admission::Place, flow::Flow};

/// The other end of a connection; every request on it has it ([`Peer::of`]).
#[derive(Clone)]
pub struct Peer {
    /// Where the visitor is.
    pub address: SocketAddr,
    /// Whether the connection is encrypted.
    pub is_tls: bool,
    /// The name that was asked for in the handshake (RFC 6066 section 3), in lower case.
    pub server_name: Option<Rc<str>>,
    /// What goes out to the visitor.
    pub flow: Rc<Flow>,
    /// Whether there were many connections when it came: it has to do with less memory.
    pub is_one_of_many: bool,
}

impl Peer {
    /// Who sent a request.
    pub fn of(request: &ServiceRequest) -> Option<Self> {
        let of_http1 = || request.conn_data::<Self>().cloned();
        request.extensions().get().cloned().or_else(of_http1)
    }

    fn new(socket: &Socket, is_tls: bool, server_name: Option<&str>) -> Self {
        Self {
            address: socket.address,
            is_tls,
            server_name: server_name.map(|name| name.to_ascii_lowercase().into()),
            flow: Rc::clone(&socket.flow),
            is_one_of_many: socket.place.is_one_of_many(),
        }
    }
}

/// A socket that has its place and counts what goes out.
pub(super) struct Socket {
    tcp: TcpStream,
    pub(super) address: SocketAddr,
    pub(super) flow: Rc<Flow>,
    place: Place,
}

impl Socket {
    pub(super) fn new(tcp: TcpStream, address: SocketAddr, flow: Rc<Flow>, place: Place) -> Self {
        Self {
            tcp,
            address,
            flow,
            place,
        }
    }

    fn noted(&self, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &outcome {
            Poll::Ready(Ok(bytes)) => self.flow.sent(*bytes),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.flow.blocked(),
        }
        outcome
    }

    /// The error of who was let go.
    fn check(&self) -> io::Result<()> {
        if self.flow.is_ended() {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the visitor is too slow",
            ));
        }
        Ok(())
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.flow.was_slow(Instant::now()) {
            self.place.note_slow();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check()?;
        let outcome = Pin::new(&mut self.tcp).poll_read(context, buffer);
        if outcome.is_pending() {
            self.flow.waits_for_input(context);
        } else {
            self.flow.heard();
        }
        outcome
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        let outcome = Pin::new(&mut self.tcp).poll_write(context, bytes);
        self.noted(outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        let outcome = Pin::new(&mut self.tcp).poll_write_vectored(context, slices);
        self.noted(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}

/// What requests come over. One type for both, so that the protocols are in the program once.
pub(super) enum Stream {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>),
}

impl Stream {
    fn socket(&self) -> &Socket {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(tls) => tls.get_ref().0,
        }
    }

    /// Whether many others came before it.
    pub(super) fn is_in_crowd(&self) -> bool {
        self.socket().place.is_in_crowd()
    }

    /// Who is at the other end.
    pub(super) fn peer(&self) -> Peer {
        match self {
            Self::Plain(socket) => Peer::new(socket, false, None),
            Self::Tls(tls) => {
                let (socket, session) = tls.get_ref();
                Peer::new(socket, true, session.server_name())
            }
        }
    }
}

/// Calls a method of whichever stream it is.
macro_rules! either {
    ($self:ident, $method:ident $(, $argument:expr)*) => {
        match $self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).$method($($argument),*),
            Stream::Tls(stream) => Pin::new(stream).$method($($argument),*),
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let stream = self.get_mut();
        let outcome = match stream {
            Self::Plain(socket) => Pin::new(socket).poll_read(context, buffer),
            Self::Tls(tls) => Pin::new(tls).poll_read(context, buffer),
        };
        if buffer.filled().len() > before {
            // It may have come together with the end of the handshake.
            stream.socket().flow.heard();
        }
        outcome
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(self, poll_write, context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, poll_write_vectored, context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, poll_flush, context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, poll_shutdown, context)
    }
}
