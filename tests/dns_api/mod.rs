//! Interfaces of DNS providers, over real HTTPS on loopback. Each checks every field of every request against what
//! its provider has published, and answers as that says.

pub(crate) mod protocols;
pub(crate) mod sets;
pub(crate) mod simple;
pub(crate) mod single_records;

use std::{
    collections::VecDeque,
    convert::Infallible,
    fs,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use http_body_util::{BodyExt as _, Collected, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    header::HeaderMap,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tempfile::TempDir;
use tokio::{net::TcpListener, runtime::Runtime, sync::oneshot};
use tokio_rustls::TlsAcceptor;

/// A request.
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    /// In the order in which they came.
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    /// All of it, as it was signed.
    pub(crate) url: String,
}

impl Seen {
    /// `GET /path`
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// A header's text; empty if it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The value of a key of the query that is there once.
    pub(crate) fn query(&self, key: &str) -> Option<&str> {
        let mut values = self.query.iter().filter(|(name, _)| name == key);
        let value = values.next().map(|(_, value)| &**value);
        assert!(values.next().is_none(), "{key} is there twice");
        value
    }

    /// The keys of the query, sorted.
    pub(crate) fn query_keys(&self) -> Vec<&str> {
        let mut keys: Vec<&str> = self.query.iter().map(|(key, _)| &**key).collect();
        keys.sort_unstable();
        keys
    }

    /// The body, which is JSON and says so.
    pub(crate) fn json(&self) -> serde_json::Value {
        assert_eq!(self.header("content-type"), "application/json");
        serde_json::from_str(&self.body).unwrap()
    }

    /// The keys of a body that is an object, sorted.
    pub(crate) fn json_keys(&self) -> Vec<String> {
        let value = self.json();
        let mut keys: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn json(status: u16, value: serde_json::Value) -> Self {
        Self {
            status,
            headers: vec![("content-type", "application/json".into())],
            body: value.to_string(),
        }
    }

    pub(crate) fn text(status: u16, text: &str) -> Self {
        Self {
            status,
            headers: vec![("content-type", "text/plain".into())],
            body: text.into(),
        }
    }

    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

/// The interface of a provider, with its records. What a request has wrong is a panic.
pub(crate) trait Protocol: Send + 'static {
    fn answer(&mut self, seen: &Seen) -> Reply;
}

struct Shared<P> {
    protocol: Mutex<P>,
    /// What is answered next, whatever is asked.
    canned: Mutex<VecDeque<Reply>>,
    /// The requests that were met, `GET /path`.
    met: Mutex<Vec<String>>,
    complaints: Mutex<Vec<String>>,
    base: String,
}

/// A server that speaks a protocol; ends when dropped.
pub(crate) struct ApiServer<P> {
    shared: Arc<Shared<P>>,
    dir: TempDir,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<P: Protocol> ApiServer<P> {
    /// On a free port of loopback, over IPv4 and, where that is there, over IPv6.
    pub(crate) fn start(protocol: P) -> Self {
        let dir = TempDir::new().unwrap();
        let acceptor = acceptor(&dir);
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let v6: SocketAddr = format!("[::1]:{port}").parse().unwrap();
        let v6 = runtime.block_on(TcpListener::bind(v6)).ok();
        let shared = Arc::new(Shared {
            protocol: Mutex::new(protocol),
            canned: Mutex::default(),
            met: Mutex::default(),
            complaints: Mutex::default(),
            base: format!("https://localhost:{port}"),
        });
        let (stop, stopped) = oneshot::channel();
        for listener in std::iter::once(listener).chain(v6) {
            let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
            runtime.spawn(async move {
                while let Ok((tcp, _)) = listener.accept().await {
                    let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
                    tokio::spawn(async move {
                        let Ok(tls) = acceptor.accept(tcp).await else {
                            return;
                        };
                        let service = service_fn(|request| answer(&shared, request));
                        let served =
                            http1::Builder::new().serve_connection(TokioIo::new(tls), service);
                        let _ = served.await;
                    });
                }
            });
        }
        let thread = std::thread::spawn(move || {
            let _ = runtime.block_on(stopped);
            runtime.shutdown_background();
        });
        Self {
            shared,
            dir,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Where it is: `https://localhost:PORT`
    pub(crate) fn base(&self) -> &str {
        &self.shared.base
    }

    /// The keys of `[dns]` that lead here: `path` is what the provider's own address has behind the host.
    pub(crate) fn settings(&self, path: &str) -> String {
        format!("api = \"{}{path}\"\n{}", self.base(), self.roots())
    }

    /// The key of `[dns]` that lets this be believed.
    pub(crate) fn roots(&self) -> String {
        format!("api_roots = \"{}\"\n", self.roots_file().display())
    }

    /// Whom to believe that it is this.
    pub(crate) fn roots_file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// Answers this next, once, whatever is asked.
    pub(crate) fn answer_next(&self, reply: Reply) {
        lock(&self.shared.canned).push_back(reply);
    }

    /// What it has.
    pub(crate) fn state(&self) -> MutexGuard<'_, P> {
        lock(&self.shared.protocol)
    }

    /// The requests since this was asked last.
    pub(crate) fn take_met(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.shared.met))
    }

    /// Panics with what was wrong with requests, if something was.
    pub(crate) fn assert_all_was_right(&self) {
        let complaints = lock(&self.shared.complaints);
        assert!(complaints.is_empty(), "{complaints:?}");
    }
}

impl<P> Drop for ApiServer<P> {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn answer<P: Protocol>(
    shared: &Arc<Shared<P>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body
        .collect()
        .await
        .map(Collected::to_bytes)
        .unwrap_or_default();
    let query = head.uri.query().unwrap_or_default();
    let seen = Seen {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: serde_urlencoded::from_str(query).unwrap_or_default(),
        url: format!("{}{}", shared.base, head.uri),
        headers: head.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    lock(&shared.met).push(seen.line());
    let canned = lock(&shared.canned).pop_front();
    let reply = canned.unwrap_or_else(|| {
        let shared = Arc::clone(shared);
        // A protocol may wait for another program.
        tokio::task::block_in_place(|| {
            catch_unwind(AssertUnwindSafe(|| lock(&shared.protocol).answer(&seen))).unwrap_or_else(
                |why| {
                    let why = why.downcast_ref::<String>().cloned();
                    let why = format!("{}: {}", seen.url, why.unwrap_or_else(|| "wrong".into()));
                    lock(&shared.complaints).push(why);
                    Reply::text(500, "a request was wrong")
                },
            )
        })
    });
    let mut response = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    Ok(response.body(Full::new(Bytes::from(reply.body))).unwrap())
}

fn acceptor(dir: &TempDir) -> TlsAcceptor {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    fs::write(dir.path().join("ca.pem"), issuer.pem()).unwrap();
    let chain = vec![CertificateDer::from_pem_slice(certificate.pem().as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}
