//! Programs behind a proxy: an HTTP server and a WebSocket server, both real, on free ports of loopback.

use std::{
    convert::Infallible,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::stream;
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::BoxBody};
use hyper::{
    Request, Response,
    body::{Bytes, Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{runtime::Runtime, sync::oneshot};

/// An HTTP server that says what it was asked. Ends when dropped.
pub(crate) struct Upstream {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Connections that it has accepted.
    pub(crate) connections: Arc<AtomicUsize>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Upstream {
    /// On a free port.
    pub(crate) fn start(name: &'static str) -> Self {
        Self::start_on(name, "127.0.0.1:0".parse().unwrap())
    }

    /// On this address.
    pub(crate) fn start_on(name: &'static str, address: SocketAddr) -> Self {
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.set_reuseaddr(true).unwrap();
            socket.bind(address).unwrap();
            socket.listen(64).unwrap()
        });
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        let (stop, stopped) = oneshot::channel();
        let accept = async move {
            while let Ok((tcp, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                let service = service_fn(move |request| answer(name, request));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(tcp), service));
            }
        };
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept => {}
                    _ = stopped => {}
                }
            });
            runtime.shutdown_background();
        });
        Self {
            address,
            connections,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// `http://ADDRESS`
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

type Answer = Response<BoxBody<Bytes, Infallible>>;

async fn answer(name: &str, request: Request<Incoming>) -> Result<Answer, hyper::Error> {
    let (parts, body) = request.into_parts();
    let answer = Response::builder().header("x-upstream", name);
    match parts.uri.path() {
        "/slow" => tokio::time::sleep(Duration::from_secs(3)).await,
        "/picky" => {
            let host = parts.headers.get("host").map(|host| host.to_str().unwrap());
            let status = if host == Some(crate::hosts::APP) {
                200
            } else {
                400
            };
            return Ok(answer.status(status).body(full("picky")).unwrap());
        }
        "/unwell" => {
            return Ok(answer.status(503).body(full("unwell")).unwrap());
        }
        "/break" => {
            // The answer ends before it is complete.
            let pieces = stream::unfold(0, |sent| async move {
                tokio::time::sleep(Duration::from_millis(100)).await;
                let piece = Frame::data(Bytes::from_static(b"half"));
                (sent < 1).then_some((Ok(piece), sent + 1))
            });
            let body = BoxBody::new(StreamBody::new(pieces));
            return Ok(answer.header("content-length", "1000").body(body).unwrap());
        }
        "/events" => {
            let pieces = stream::unfold(0, |sent| async move {
                tokio::time::sleep(Duration::from_millis(300)).await;
                let piece = Frame::data(Bytes::from(format!("data: {sent}\n\n")));
                (sent < 3).then_some((Ok(piece), sent + 1))
            });
            let body = BoxBody::new(StreamBody::new(pieces));
            return Ok(answer
                .header("content-type", "text/event-stream")
                .body(body)
                .unwrap());
        }
        "/hop" => {
            let answer = answer
                .header("connection", "x-secret")
                .header("x-secret", "1")
                .header("keep-alive", "timeout=5")
                .header("set-cookie", "a=1")
                .header("set-cookie", "b=2");
            return Ok(answer.body(full("hop")).unwrap());
        }
        _ => {}
    }
    let body = body.collect().await?.to_bytes();
    let mut lines = vec![format!("{} {}", parts.method, parts.uri)];
    for (header, value) in &parts.headers {
        lines.push(format!("{header}: {}", value.to_str().unwrap()));
    }
    lines.push(format!("body: {} bytes", body.len()));
    Ok(answer.body(full(&lines.join("\n"))).unwrap())
}

fn full(text: &str) -> BoxBody<Bytes, Infallible> {
    Full::new(Bytes::copy_from_slice(text.as_bytes())).boxed()
}

/// Starts a WebSocket server that sends back what it gets, in capital letters; it ends with the tests.
pub(crate) fn start_websocket() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((tcp, _)) = listener.accept() {
            std::thread::spawn(move || {
                let Ok(mut socket) = tungstenite::accept(tcp) else {
                    return;
                };
                while let Ok(message) = socket.read() {
                    let Ok(text) = message.to_text() else { return };
                    if message.is_close() || socket.send(text.to_uppercase().into()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// A program that answers everything with these bytes.
pub(crate) fn raw_upstream(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    format!("http://{address}")
}
