//! Whom to believe that a program behind HTTPS is who it says.

use std::{path::Path, sync::Arc};

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};

use crate::{
    base::{Error, Result},
    net::web_client::{NOTHING_TRUSTED, machine_roots},
};

/// The client's side of TLS with what this machine trusts, or with the certificates of one file.
///
/// # Errors
/// [`Error::Invalid`] if there is nothing to trust.
pub(super) fn client(file: Option<&Path>) -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(Error::internal)?;
    let Some(file) = file else {
        let roots = machine_roots();
        if roots.is_empty() {
            return Err(Error::Invalid(format!(
                "{NOTHING_TRUSTED}; or name the program's own certificate with certificate = \"FILE.pem\""
            )));
        }
        return Ok(builder.with_root_certificates(roots).with_no_client_auth());
    };
    let verifier = OfFile::read(file, provider)?;
    Ok(builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

/// The client's side of TLS that believes nobody, for hosts that need none.
pub(super) fn none() -> Result<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder
        .with_safe_default_protocol_versions()
        .map_err(Error::internal)?;
    Ok(builder
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth())
}

/// Believes whom an authority of the file has signed, and who shows a certificate of the file itself: most
/// devices at home have one that nobody signed.
#[derive(Debug)]
struct OfFile {
    certificates: Vec<CertificateDer<'static>>,
    authorities: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl OfFile {
    fn read(file: &Path, provider: Arc<CryptoProvider>) -> Result<Self> {
        let shown = file.display();
        let certificates = CertificateDer::pem_file_iter(file)
            .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
            .map_err(|e| {
                Error::Invalid(format!("certificate = \"{shown}\" cannot be read: {e}"))
            })?;
        if certificates.is_empty() {
            return Err(Error::Invalid(format!(
                "certificate = \"{shown}\": there is no certificate in this file; it has to be PEM, which \
                 begins with -----BEGIN CERTIFICATE-----"
            )));
        }
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates.iter().cloned());
        let authorities =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        Ok(Self {
            certificates,
            authorities: authorities.build().ok(),
            provider,
        })
    }
}

impl ServerCertVerifier for OfFile {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        if self.certificates.iter().any(|known| known == end_entity) {
            return Ok(ServerCertVerified::assertion());
        }
        let unknown = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        self.authorities
            .as_ref()
            .ok_or(unknown)?
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
