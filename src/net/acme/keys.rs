//! The key that a certificate is for, where it is a new one.

use getrandom::SysRng;
use rcgen::KeyPair;
use rsa::{PrivateKey, pkcs8::EncodePrivateKey as _};
use rustix::process::setpriority_process;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::Failure;

/// Bits of a new RSA key: as many as authorities ask for (CA/Browser Forum Baseline Requirements section 6.1.5). More
/// make each handshake slower.
const RSA_BITS: usize = 2048;
/// The priority of the thread that makes one: the lowest. Visitors go first.
const NICE: i32 = 19;

/// What kind of key a certificate is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyKind {
    /// ECDSA with P-256: small and quick, and known to everybody for ten years.
    #[default]
    Ecdsa,
    /// RSA, for devices that are older than that.
    Rsa,
}

impl KeyKind {
    /// All of them, the usual one first.
    pub const ALL: [Self; 2] = [Self::Ecdsa, Self::Rsa];

    /// As it is written in settings: `rsa`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ecdsa => "ecdsa",
            Self::Rsa => "rsa",
        }
    }

    /// A new key of this kind.
    ///
    /// # Errors
    /// If the system gives no randomness.
    pub(super) async fn make(self) -> Result<KeyPair, Failure> {
        match self {
            Self::Ecdsa => KeyPair::generate().map_err(Failure::setup),
            Self::Rsa => make_rsa_apart().await,
        }
    }
}

/// Makes a key in a thread of its own: that takes a tenth of a second on a PC, and far longer on a small board.
async fn make_rsa_apart() -> Result<KeyPair, Failure> {
    let (done, made) = oneshot::channel();
    let work = move || {
        // On Linux this is the priority of the thread alone.
        if let Err(e) = setpriority_process(None, NICE) {
            log::debug!("the priority of making a key stays as it is: {e}");
        }
        // Who has asked may be gone.
        let _ = done.send(make_rsa());
    };
    let thread = std::thread::Builder::new().name("rsa-key".into());
    thread.spawn(work).map_err(Failure::setup)?;
    made.await.map_err(Failure::setup)?
}

/// The crate makes it, ring signs with it: no secret is worked with here where somebody could take the time.
fn make_rsa() -> Result<KeyPair, Failure> {
    let key = PrivateKey::new(&mut SysRng, RSA_BITS).map_err(Failure::setup)?;
    let der = key.to_pkcs8_der().map_err(Failure::setup)?;
    let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der.as_bytes()));
    KeyPair::try_from(&der).map_err(Failure::setup)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::CertificateParams;

    use super::{KeyKind, RSA_BITS};

    #[tokio::test(flavor = "current_thread")]
    async fn what_else_there_is_to_do_goes_on_while_an_rsa_key_is_made() {
        let mut turns = 0;
        let others = async {
            loop {
                turns += 1;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            made = KeyKind::Rsa.make() => drop(made.unwrap()),
            () = others => {}
        }
        assert!(turns > 3, "{turns}");
    }

    #[tokio::test]
    async fn a_key_of_each_kind_signs_what_others_check() {
        for kind in KeyKind::ALL {
            let key = kind.make().await.unwrap();
            let params = CertificateParams::new(["a.example".to_owned()]).unwrap();
            let certificate = params.self_signed(&key).unwrap();
            let (_, parsed) = x509_parser::parse_x509_certificate(certificate.der()).unwrap();
            parsed.verify_signature(None).unwrap();
            let bits = parsed.public_key().parsed().unwrap().key_size();
            assert_eq!(bits, if kind == KeyKind::Rsa { RSA_BITS } else { 256 });
        }
    }
}
