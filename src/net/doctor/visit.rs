//! One request to whoever answers under an address, whatever certificate it shows.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{
    HeaderMap, Request, StatusCode,
    body::Bytes,
    client::conn::http1,
    header::{CONNECTION, HOST, HeaderName},
};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::net::{proxy_protocol, tls};

/// Time for a connection. A router that drops what it does not want never answers.
const CONNECT: Duration = Duration::from_secs(3);
/// Time for everything after it.
const ANSWER: Duration = Duration::from_secs(5);
/// More than what is asked for here has.
const MOST_BYTES: usize = 64 * 1024;

/// What is asked, and how.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    /// The name of the site, for the handshake and the request.
    pub(super) host: &'a str,
    pub(super) path: &'a str,
    /// Whether the connection begins with a PROXY header.
    pub(super) is_announced: bool,
}

/// What was answered.
pub(super) struct Answered {
    /// The certificate that was shown, and those with it.
    pub(super) certificates: Vec<CertificateDer<'static>>,
    /// Status, headers and text; why there are none, if there was a handshake and nothing more.
    pub(super) answer: Result<(StatusCode, HeaderMap, Bytes), String>,
}

impl Answered {
    /// A header of the answer, in text.
    pub(super) fn header(&self, name: HeaderName) -> Option<String> {
        let (_, headers, _) = self.answer.as_ref().ok()?;
        Some(headers.get(name)?.to_str().ok()?.to_owned())
    }

    /// The text of an answer that is no error.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.answer {
            Ok((status, _, body)) if *status == StatusCode::OK => std::str::from_utf8(body).ok(),
            _ => None,
        }
    }
}

/// Why nobody answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Nobody {
    Refused,
    Silent,
    Unreachable(String),
    /// Somebody is there, and does not speak TLS.
    NoTls(String),
}

/// Asks over HTTPS.
pub(super) async fn visit(to: SocketAddr, asked: Asked<'_>) -> Result<Answered, Nobody> {
    let tcp = connect(to).await?;
    let late = |_| Err(Nobody::NoTls("it took too long".into()));
    timeout(ANSWER, talk(tcp, asked)).await.unwrap_or_else(late)
}

/// Asks over plain HTTP.
pub(super) async fn visit_plain(to: SocketAddr, asked: Asked<'_>) -> Result<Answered, Nobody> {
    let tcp = connect(to).await?;
    let answer = timeout(ANSWER, request(tcp, asked)).await;
    Ok(Answered {
        certificates: Vec::new(),
        answer: answer.unwrap_or_else(|_| Err("it took too long".into())),
    })
}

async fn connect(to: SocketAddr) -> Result<TcpStream, Nobody> {
    match timeout(CONNECT, TcpStream::connect(to)).await {
        Ok(Ok(tcp)) => Ok(tcp),
        Ok(Err(e)) if e.kind() == io::ErrorKind::ConnectionRefused => Err(Nobody::Refused),
        Ok(Err(e)) if e.kind() == io::ErrorKind::TimedOut => Err(Nobody::Silent),
        Ok(Err(e)) => Err(Nobody::Unreachable(e.to_string())),
        Err(_) => Err(Nobody::Silent),
    }
}

async fn talk(mut tcp: TcpStream, asked: Asked<'_>) -> Result<Answered, Nobody> {
    let no_tls = |e: &dyn std::fmt::Display| Nobody::NoTls(e.to_string());
    if asked.is_announced {
        let announced = tcp.write_all(proxy_protocol::OF_ONESELF).await;
        announced.map_err(|e| no_tls(&e))?;
    }
    let host = ServerName::try_from(asked.host.to_owned()).map_err(|e| no_tls(&e))?;
    let connector = TlsConnector::from(Arc::new(config().map_err(|e| no_tls(&e))?));
    let stream = connector.connect(host, tcp).await.map_err(|e| no_tls(&e))?;
    let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let certificates = shown.iter().map(|one| one.clone().into_owned()).collect();
    let answer = timeout(ANSWER / 2, request(stream, asked)).await;
    Ok(Answered {
        certificates,
        answer: answer.unwrap_or_else(|_| Err("it took too long".into())),
    })
}

async fn request(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    asked: Asked<'_>,
) -> Result<(StatusCode, HeaderMap, Bytes), String> {
    let wrong = |e: hyper::Error| e.to_string();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(wrong)?;
    let request = Request::get(asked.path)
        .header(HOST, asked.host)
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|e| e.to_string())?;
    let talk = async {
        let (head, body) = sender
            .send_request(request)
            .await
            .map_err(wrong)?
            .into_parts();
        let body = Limited::new(body, MOST_BYTES).collect().await;
        let body = body.map_err(|e| e.to_string())?.to_bytes();
        Ok((head.status, head.headers, body))
    };
    tokio::pin!(talk);
    tokio::select! {
        biased;
        answer = &mut talk => answer,
        // What came before the end is still there.
        _ = connection => talk.await,
    }
}

fn config() -> Result<ClientConfig, rustls::Error> {
    let provider = tls::provider();
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    Ok(config)
}

/// Lets anybody show anything: who it is, is what we want to know. Nothing secret is sent to them.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
