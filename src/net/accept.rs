//! From an accepted socket to the protocol: a place, the real address, TLS, then requests.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use actix_http::{
    Extensions, HttpService, Protocol, Request, Response, body::MessageBody, error::DispatchError,
};
use actix_server::GracefulShutdownSignal;
use actix_service::{
    IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt as _, apply_fn_factory,
    fn_factory, fn_service, map_config,
};
use actix_web::{body::BoxBody, dev::AppConfig};
use rustls::ServerConfig;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsAcceptor;

use super::{
    admission::Admission,
    flow::Flows,
    gather::Gathered,
    handshakes::Handshakes,
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

/// Time for who still sends to read an answer that came before they were done (RFC 9112 section 9.6).
const LINGER: Duration = Duration::from_secs(5);

/// What every connection meets before its first request; cheap to clone, one for all threads.
#[derive(Clone)]
pub struct Door {
    /// `None`: plain HTTP.
    tls: Option<TlsAcceptor>,
    admission: Admission,
    trusted: Arc<TrustedProxies>,
    handshakes: Arc<Handshakes>,
}

impl Door {
    /// A door to HTTPS.
    pub fn https(
        mut tls: ServerConfig,
        admission: Admission,
        trusted: Arc<TrustedProxies>,
        handshakes: Arc<Handshakes>,
    ) -> Self {
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Self {
            tls: Some(TlsAcceptor::from(Arc::new(tls))),
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

    /// A connection from its first byte to its last.
    async fn open(
        &self,
        tcp: TcpStream,
        flows: &Flows,
    ) -> io::Result<(Stream, Protocol, Option<SocketAddr>)> {
        let mut tcp = tcp;
        let from = tcp.peer_addr()?;
        let is_trusted = self.trusted.contains(from.ip());
        let address = if is_trusted && self.trusted.speak_proxy_protocol() {
            timeout(HANDSHAKE, proxy_protocol::read(&mut tcp))
                .await??
                .unwrap_or(from)
        } else {
            from
        };
        let is_for_many = is_trusted && address == from;
        let place = self.admission.enter(address.ip(), is_for_many);
        let place = place.ok_or_else(|| io::Error::other("all places are taken"))?;
        let socket = Socket::new(tcp, address, flows.begin(), place);
        let Some(tls) = &self.tls else {
            return Ok((Stream::Plain(socket), Protocol::Http1, Some(address)));
        };
        let stream = match timeout(HANDSHAKE, tls.accept(socket)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(e)) => {
                self.handshakes.failed();
                return Err(e);
            }
            Err(slow) => {
                self.handshakes.failed();
                return Err(slow.into());
            }
        };
        let session = stream.get_ref().1;
        self.handshakes.done(session);
        let is_http2 = session.alpn_protocol() == Some(b"h2");
        let stream = Box::new(stream);
        let (stream, protocol) = if is_http2 {
            stream.get_ref().0.framed();
            (Stream::Gathered(Gathered::new(stream)), Protocol::Http2)
        } else {
            (Stream::Tls(stream), Protocol::Http1)
        };
        Ok((stream, protocol, Some(address)))
    }
}

/// Serves what comes through a door with an application; one is made for each thread.
pub fn serve<A, F, B>(
    door: Door,
    stopping: GracefulShutdownSignal,
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
    let requests = HttpService::build()
        .graceful_shutdown_signal(move || {
            let stopping = stopping.clone();
            async move { stopping.notified().await }
        })
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(REQUEST_HEAD)
        .client_disconnect_timeout(LINGER)
        .on_connect_ext(|stream: &Stream, data: &mut Extensions| {
            data.insert(stream.peer());
        })
        .finish(map_config(app, |()| AppConfig::default()));
    let opened = fn_factory(move || {
        let door = door.clone();
        async move {
            let flows = Flows::watched();
            Ok::<_, ()>(fn_service(move |tcp: TcpStream| {
                let (door, flows) = (door.clone(), flows.clone());
                async move {
                    let opened = door.open(tcp, &flows).await;
                    opened.inspect_err(|e| log::debug!("a connection was not opened: {e}"))
                }
            }))
        }
    });
    let served = apply_fn_factory(requests, |(stream, protocol, address), requests| {
        let gathered = match &stream {
            Stream::Gathered(gathered) => Some(gathered.share()),
            _ => None,
        };
        let serving = requests.call((stream, protocol, address));
        async move {
            match gathered {
                Some(gathered) => gathered.drive(serving).await,
                None => serving.await,
            }
        }
    });
    opened.map_err(DispatchError::Io).and_then(served)
}
