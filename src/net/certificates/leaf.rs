//! stub
use crate::base::*;
use std::path::Path;
/// stub
pub fn local_certificate(
    _d: &Path,
    names: &[crate::net::names::Name],
) -> Result<rustls::sign::CertifiedKey> {
    let n: Vec<String> = names.iter().map(|n| n.to_str().to_string()).collect();
    let k = rcgen::generate_simple_self_signed(n).map_err(Error::internal)?;
    let key = rustls::pki_types::PrivateKeyDer::try_from(k.signing_key.serialize_der())
        .map_err(Error::internal)?;
    Ok(rustls::sign::CertifiedKey::new(
        vec![k.cert.der().clone()],
        rustls::crypto::ring::sign::any_supported_type(&key).map_err(Error::internal)?,
    ))
}
