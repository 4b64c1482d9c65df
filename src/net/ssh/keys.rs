//! Keys for SSH: a new one, one of a file, and how people see them.

use russh::keys::{
    Algorithm, HashAlg,
    ssh_key::{LineEnding, private::Ed25519Keypair},
};

use crate::base::{Error, Result};

pub use russh::keys::{PrivateKey, PublicKey};

/// What our keys are called where they are allowed.
const COMMENT: &str = "webstead";

/// A new key, as OpenSSH writes it (<https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.key>).
///
/// # Errors
/// [`Error::Internal`] if there is no randomness.
pub fn new_key() -> Result<String> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(Error::internal)?;
    let pair = Ed25519Keypair::from_seed(&seed);
    let key = PrivateKey::new(pair.into(), COMMENT).map_err(Error::internal)?;
    let text = key.to_openssh(LineEnding::LF).map_err(Error::internal)?;
    Ok(text.to_string())
}

/// Reads a key.
///
/// # Errors
/// In words, for after the name of the key.
pub fn read_key(text: &str) -> std::result::Result<PrivateKey, String> {
    const LEGACY: [&str; 3] = [
        "BEGIN RSA PRIVATE KEY",
        "BEGIN EC PRIVATE KEY",
        "BEGIN PRIVATE KEY",
    ];
    if LEGACY.iter().any(|start| text.contains(start)) {
        return Err(
            "is not in the form of OpenSSH; `ssh-keygen -t ed25519` makes one that is".into(),
        );
    }
    let key = PrivateKey::from_openssh(text)
        .map_err(|e| format!("is not a secret key for SSH ({e}); is it the file without .pub?"))?;
    if key.is_encrypted() {
        return Err(
            "has a passphrase, which nobody is there to type when backups are made at night; give a key without one, \
             that may do nothing else"
                .into(),
        );
    }
    let name = key.algorithm();
    if !matches!(name, Algorithm::Ed25519 | Algorithm::Ecdsa { .. }) {
        return Err(format!(
            "is of the kind {name}; take one of Ed25519 (`ssh-keygen -t ed25519`) or ECDSA"
        ));
    }
    Ok(key)
}

/// The public half, as a line for `authorized_keys`.
pub fn public_line(key: &PrivateKey) -> String {
    let mut public = key.public_key().clone();
    public.set_comment(COMMENT);
    public.to_openssh().unwrap_or_default()
}

/// How people compare a key: `SHA256:` and its digest in base64, as `ssh-keygen -l` shows it.
pub fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_is_one_of_its_own_and_can_be_read_again() {
        let (one, other) = (new_key().unwrap(), new_key().unwrap());
        assert_ne!(one, other);
        let key = read_key(&one).unwrap();
        let line = public_line(&key);
        assert!(
            line.starts_with("ssh-ed25519 AAAA") && line.ends_with(" webstead"),
            "{line}"
        );
        assert!(fingerprint(key.public_key()).starts_with("SHA256:"));
    }

    #[test]
    fn what_is_no_key_is_told_with_a_remedy() {
        let public = public_line(&read_key(&new_key().unwrap()).unwrap());
        for (text, word) in [
            ("", ".pub"),
            (&*public, ".pub"),
            ("-----BEGIN RSA PRIVATE KEY-----", "ed25519"),
        ] {
            let error = read_key(text).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }
}
