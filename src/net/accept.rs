//! From an accepted socket to the protocol: a place, the real address, TLS, then requests.

use std::{
    future::ready,
    io,
    net::SocketAddr,
    rc::Rc,
    sync::{Arc, Once},
    time::Duration,
};

use actix_http::{
    Extensions, HttpService, Request, Response, body::MessageBody, error::DispatchError,
};
use actix_service::{IntoServiceFactory, Service, ServiceFactory, fn_factory, fn_service};
use actix_web::{body::BoxBody, dev::AppConfig};
use rustls::ServerConfig;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsAcceptor;

use super::{
    admission::Admission,
    certificates::Kind,
    challenges::ACME_TLS,
    flow::Flows,
    handshakes::Handshakes,
    http2,
    leaving::Leaving,
    proxy_protocol,
    stream::{Socket, Stream},
    trust::TrustedProxies,
};

/// Time for the handshake, and for the PROXY header before it.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Time for the head of a request to arrive (RFC 9110 section 15.5.9).
const REQUEST_HEAD: Duration = Duration::from_secs(20);
/// Time that an idle connection is kept for the next request.
const KEEP_ALIVE: Duration = Duration::from_mins(1);
/// The same for one that came when many others were there.
const KEEP_ALIVE_IN_CROWD: Duration = Duration::from_secs(10);

/// A head waits for the first piece of its body and goes out with it; pieces do not wait for each other, so that the
/// buffer stays as small as they are.
const WRITE_AFTER: usize = 1024;
/// Time for who still sends to read an answer that came before they were done (RFC 9112 section 9.6).
const LINGER: Duration = Duration::from_secs(5);

/// What every connection meets before its first request; cheap to clone, one for all threads.
#[derive(Clone)]
pub struct Door {
    /// For connections of each [`Kind`]. `None`: plain HTTP.
    tls: Option<[TlsAcceptor; Kind::ALL.len()]>,
    admission: Admission,
    trusted: Arc<TrustedProxies>,
    handshakes: Arc<Handshakes>,
}

impl Door {
    /// A door to HTTPS, with what holds for connections of each [`Kind`].
    pub fn https(
        tls: [ServerConfig; Kind::ALL.len()],
        admission: Admission,
        trusted: Arc<TrustedProxies>,
        handshakes: Arc<Handshakes>,
    ) -> Self {
        let protocols: [&[u8]; 3] = [b"h2", b"http/1.1", ACME_TLS];
        let tls = tls.map(|mut tls| {
            tls.alpn_protocols = protocols.map(<[u8]>::to_vec).into();
            TlsAcceptor::from(Arc::new(tls))
        });
        Self {
            tls: Some(tls),
            admission,
            trusted,
            handshakes,
        }
    }

    /// A door to plain HTTP that shares the places of this one.
    #[must_use]
    pub fn http(&self) -> Self {
        Self {
            tls: None,
            ..self.clone()
        }
    }

    /// What a connection meets before its first request.
    async fn open(&self, tcp: TcpStream, flows: &Flows) -> io::Result<Opened> {
        let mut tcp = tcp;
        let from = tcp.peer_addr()?;
        let own = tcp.local_addr()?.ip().to_canonical();
        let is_trusted = self.trusted.contains(from.ip());
        let address = if self.trusted.announce(from.ip()) {
            let announced = timeout(HANDSHAKE, proxy_protocol::read(&mut tcp)).await?;
            announced
                .inspect_err(|e| match e.kind() {
                    // A look whether somebody is there.
                    io::ErrorKind::UnexpectedEof => {}
                    _ => warn_once(from, e),
                })?
                .unwrap_or(from)
        } else {
            from
        };
        let is_for_many = is_trusted && address == from;
        let place = self.admission.enter(address.ip(), is_for_many);
        let place = place.ok_or_else(|| io::Error::other("all places are taken"))?;
        let flow = flows.begin();
        let socket = Socket::new(tcp, address, Rc::clone(&flow), place);
        let Some(tls) = &self.tls else {
            return Ok(Opened::Http1(Stream::Plain(socket)));
        };
        let kind = Kind::of(own, address.ip());
        let mut accepting = tls[kind.index()].accept(socket);
        let stream = match timeout(HANDSHAKE, &mut accepting).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(e)) => {
                self.handshakes.failed();
                return Err(e);
            }
            Err(slow) => {
                self.handshakes.failed();
                flow.end();
                return Err(slow.into());
            }
        };
        // What came until now was no request: browsers open connections in reserve.
        flow.asked();
        let session = stream.get_ref().1;
        self.handshakes.done(session);
        let is_http2 = session.alpn_protocol() == Some(b"h2");
        if session.alpn_protocol() == Some(ACME_TLS) {
            // An authority has seen what it asked for.
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let stream = Stream::Tls(Box::new(stream));
        Ok(if is_http2 {
            Opened::Http2(stream)
        } else {
            Opened::Http1(stream)
        })
    }
}

/// A proxy that is set up wrongly keeps every visitor out; who comes straight from its machine is one of many.
fn warn_once(from: SocketAddr, error: &io::Error) {
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        log::warn!(
            "refused a connection from the trusted proxy {}: {error}; make it send the PROXY protocol to both \
             ports, or take proxy_protocol out of webstead.toml (this is said once)",
            from.ip()
        );
    });
}

/// A connection on which requests may come.
enum Opened {
    Http1(Stream),
    Http2(Stream),
}

/// Serves what comes through a door with an application, until the process leaves; one is made for each thread.
pub fn serve<A, F, B>(
    door: Door,
    leaving: Leaving,
    app: A,
) -> impl ServiceFactory<TcpStream, Config = (), Response = ()>
where
    A: IntoServiceFactory<F, Request>,
    F: ServiceFactory<Request, Config = AppConfig> + 'static,
    F::Error: Into<Response<BoxBody>> + 'static,
    F::InitError: std::fmt::Debug,
    F::Response: Into<Response<B>> + 'static,
    <F::Service as Service<Request>>::Future: 'static,
    B: MessageBody + 'static,
{
    let app = app.into_factory();
    fn_factory(move || {
        let (door, leaving) = (door.clone(), leaving.clone());
        let app = app.new_service(AppConfig::default());
        async move {
            let app = Rc::new(
                app.await
                    .map_err(|e| log::error!("no application: {e:?}"))?,
            );
            let http1 = |keep_alive| http1(Rc::clone(&app), leaving.clone(), keep_alive);
            let patient = Rc::new(http1(KEEP_ALIVE).await?);
            let in_crowd = Rc::new(http1(KEEP_ALIVE_IN_CROWD).await?);
            let flows = Flows::watched();
            Ok::<_, ()>(fn_service(move |tcp: TcpStream| {
                let (door, flows, leaving) = (door.clone(), flows.clone(), leaving.clone());
                let (app, patient, in_crowd) =
                    (Rc::clone(&app), Rc::clone(&patient), Rc::clone(&in_crowd));
                async move {
                    // In boxes, so that an idle connection takes the memory of its own protocol only.
                    let opened = Box::pin(door.open(tcp, &flows)).await;
                    let opened =
                        opened.inspect_err(|e| log::debug!("a connection was not opened: {e}"));
                    match opened? {
                        Opened::Http1(stream) => {
                            let address = stream.peer().address;
                            let is_in_crowd = stream.is_in_crowd();
                            let http1 = if is_in_crowd { in_crowd } else { patient };
                            let served = Box::pin(http1.call((stream, Some(address)))).await;
                            served.map_err(|e| io::Error::other(e.to_string()))
                        }
                        Opened::Http2(stream) => {
                            let peer = stream.peer();
                            peer.flow.framed();
                            let stopping = async move { leaving.begun().await };
                            let keep_alive = if stream.is_in_crowd() {
                                KEEP_ALIVE_IN_CROWD
                            } else {
                                KEEP_ALIVE
                            };
                            let served = http2::serve(
                                stream,
                                peer,
                                app,
                                (keep_alive, door.admission.most_requests()),
                                stopping,
                            );
                            Box::pin(served).await
                        }
                    }
                }
            }))
        }
    })
}

/// HTTP/1.1 (RFC 9112) for an application.
async fn http1<S, B>(
    app: Rc<S>,
    leaving: Leaving,
    keep_alive: Duration,
) -> Result<impl Service<(Stream, Option<SocketAddr>), Response = (), Error = DispatchError>, ()>
where
    S: Service<Request> + 'static,
    S::Error: Into<Response<BoxBody>>,
    S::Response: Into<Response<B>>,
    S::Future: 'static,
    B: MessageBody + 'static,
{
    HttpService::build()
        .graceful_shutdown_signal(move || {
            let leaving = leaving.clone();
            async move { leaving.idle_closed().await }
        })
        .h1_write_buffer_size(WRITE_AFTER)
        .keep_alive(keep_alive)
        .client_request_timeout(REQUEST_HEAD)
        .client_disconnect_timeout(LINGER)
        .on_connect_ext(|stream: &Stream, data: &mut Extensions| {
            data.insert(stream.peer());
        })
        .h1(fn_factory(move || ready(Ok::<_, ()>(Rc::clone(&app)))))
        .new_service(())
        .await
}
