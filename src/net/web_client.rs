//! Asks other servers over HTTPS, such as an authority for a certificate.

use std::{io, net::IpAddr, path::Path, time::Duration};

use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::{Request, Response, body::Bytes};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{
        CertificateDer,
        pem::{Error as PemError, PemObject as _},
    },
};
use tokio::time::timeout;

use super::{connector::Within, tls, unreached::in_words};
use crate::base::{Error, Result};

/// Time for a whole answer. Who is asked may be at the other end of the world, and busy.
const PATIENCE: Duration = Duration::from_secs(30);
/// Time for a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(20);
/// Bytes of an answer: far more than a certificate with its chain has.
const MOST_BYTES: usize = 256 * 1024;

/// Why there is no answer.
#[derive(Debug)]
pub enum Unanswered {
    /// In words: no connection came about, or none to somebody to believe. Perhaps there is no line.
    Unconnected(String),
    /// In words: there was a connection, but no answer, or not in time.
    Unreachable(String),
    /// Far too much.
    TooLarge(String),
}

impl Unanswered {
    /// Only the words.
    pub fn into_words(self) -> String {
        match self {
            Self::Unconnected(why) | Self::Unreachable(why) | Self::TooLarge(why) => why,
        }
    }
}

/// What makes one client different from another.
#[derive(Clone, Copy, Default)]
struct Manner {
    /// Comes from an address of this kind only.
    own: Option<IpAddr>,
    /// Speaks plain HTTP too, where it is asked to.
    is_plain_allowed: bool,
}

/// A client that speaks HTTPS only, unless it was made otherwise; cheap to clone.
#[derive(Clone)]
pub struct WebClient {
    client: Client<Within<HttpsConnector<HttpConnector>>, Full<Bytes>>,
}

impl WebClient {
    /// Believes whom this machine trusts, and the authorities of one more file in PEM.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there is nothing to trust, or nothing in the file.
    pub fn new(more: Option<&Path>) -> Result<Self> {
        Self::from(more, Manner::default())
    }

    /// [`WebClient::new`] that speaks plain HTTP too: for addresses that were looked at before.
    ///
    /// # Errors
    /// As [`WebClient::new`].
    pub fn also_plain(more: Option<&Path>) -> Result<Self> {
        let is_plain_allowed = true;
        Self::from(
            more,
            Manner {
                is_plain_allowed,
                ..Manner::default()
            },
        )
    }

    /// [`WebClient::new`] that comes from an address of this kind only, and so is seen with one.
    ///
    /// # Errors
    /// As [`WebClient::new`].
    pub fn over(more: Option<&Path>, kind: IpAddr) -> Result<Self> {
        let own = Some(kind);
        Self::from(
            more,
            Manner {
                own,
                ..Manner::default()
            },
        )
    }

    fn from(more: Option<&Path>, manner: Manner) -> Result<Self> {
        let mut roots = machine_roots();
        if let Some(file) = more {
            add_file(&mut roots, file)?;
        }
        if roots.is_empty() {
            return Err(Error::Invalid(NOTHING_TRUSTED.into()));
        }
        let tls = ClientConfig::builder_with_provider(tls::provider())
            .with_safe_default_protocol_versions()
            .map_err(Error::internal)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT));
        tcp.set_local_address(manner.own);
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls);
        let builder = if manner.is_plain_allowed {
            builder.https_or_http()
        } else {
            builder.https_only()
        };
        let connector = builder.enable_http1().wrap_connector(tcp);
        let connector = Within::new(CONNECT * 2, connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(connector);
        Ok(Self { client })
    }

    /// The answer, whatever its status is.
    ///
    /// # Errors
    /// In words: nobody answers, not in time, nobody to believe, or far too much.
    pub async fn send(
        &self,
        request: Request<Bytes>,
    ) -> std::result::Result<Response<Bytes>, String> {
        self.ask(request).await.map_err(Unanswered::into_words)
    }

    /// [`WebClient::send`] that says how far it came.
    ///
    /// # Errors
    /// [`Unanswered`] with the reason.
    pub async fn ask(
        &self,
        request: Request<Bytes>,
    ) -> std::result::Result<Response<Bytes>, Unanswered> {
        self.send_within(request, MOST_BYTES, PATIENCE).await
    }

    /// [`WebClient::ask`] with other limits.
    ///
    /// # Errors
    /// [`Unanswered`] with the reason.
    pub async fn send_within(
        &self,
        request: Request<Bytes>,
        most_bytes: usize,
        patience: Duration,
    ) -> std::result::Result<Response<Bytes>, Unanswered> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        let asked = async {
            let answer = self.client.request(request.map(Full::new)).await;
            let answer = answer.map_err(|e| {
                let why = format!("{host} cannot be reached: {}", in_words(&e));
                if e.is_connect() {
                    Unanswered::Unconnected(why)
                } else {
                    Unanswered::Unreachable(why)
                }
            })?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, most_bytes).collect().await;
            let body = body.map_err(|e| {
                let why = format!("the answer of {host} broke off: {e}");
                if e.is::<LengthLimitError>() {
                    Unanswered::TooLarge(why)
                } else {
                    Unanswered::Unreachable(why)
                }
            })?;
            Ok(Response::from_parts(head, body.to_bytes()))
        };
        let late = |_| {
            Err(Unanswered::Unreachable(format!(
                "{host} did not answer within {} s",
                patience.as_secs()
            )))
        };
        timeout(patience, asked).await.unwrap_or_else(late)
    }
}

/// What is said where a machine has no list of authorities.
pub const NOTHING_TRUSTED: &str =
    "this machine trusts no authority (on Debian, install the package ca-certificates)";

/// Whom this machine trusts; empty if it has no list.
pub fn machine_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

fn add_file(roots: &mut RootCertStore, file: &Path) -> Result<()> {
    let shown = file.display();
    let wrong = |why: &str| Error::Invalid(format!("the authorities in {shown}: {why}"));
    let certificates = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
        .map_err(|e| match e {
            PemError::Io(e) if e.kind() == io::ErrorKind::NotFound => {
                wrong("there is no such file")
            }
            PemError::Io(e) => wrong(&format!("the file cannot be read ({e})")),
            _ => wrong("the file is damaged, or not PEM; copy it once more"),
        })?;
    let (added, _) = roots.add_parsable_certificates(certificates);
    if added == 0 {
        return Err(wrong(
            "there is no certificate of an authority in this file; it has to be PEM, which begins with -----BEGIN \
             CERTIFICATE-----",
        ));
    }
    Ok(())
}
