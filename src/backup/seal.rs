//! The key of a sealed repository: what is in it, and what its parts are called, is known only to who has the key.

use data_encoding::HEXLOWER;
use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hmac,
};

use crate::base::{Error, Result};

/// 256 random bits, and what is derived from them.
///
/// Sealed bytes are a nonce (12 random bytes) and the output of ChaCha20-Poly1305 (RFC 8439) with the name of
/// the file as additional data, so that no file can stand for another. Names are HMAC-SHA-256 of the content.
/// Both keys are HMAC-SHA-256 of a word under the 256 bits.
pub(super) struct Key {
    bytes: [u8; 32],
    sealing: LessSafeKey,
    naming: hmac::Key,
}

impl Key {
    /// A new one.
    ///
    /// # Errors
    /// [`Error::Internal`] if the system gives no random numbers.
    pub(super) fn new() -> Result<Self> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(Error::internal)?;
        Self::of(bytes)
    }

    fn of(bytes: [u8; 32]) -> Result<Self> {
        let root = hmac::Key::new(hmac::HMAC_SHA256, &bytes);
        let derive = |word: &str| hmac::sign(&root, word.as_bytes());
        let sealing = UnboundKey::new(&CHACHA20_POLY1305, derive("sealing").as_ref());
        let sealing = sealing.map_err(|_| Error::Internal("a key of the wrong length".into()))?;
        Ok(Self {
            bytes,
            sealing: LessSafeKey::new(sealing),
            naming: hmac::Key::new(hmac::HMAC_SHA256, derive("names").as_ref()),
        })
    }

    /// The key that was written down as 64 hexadecimal digits.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it was not.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let bytes = HEXLOWER.decode(text.trim().as_bytes()).ok();
        let bytes = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let wrong = || Error::Invalid("a key of backups has 64 hexadecimal digits".into());
        Self::of(bytes.ok_or_else(wrong)?)
    }

    /// 64 hexadecimal digits.
    pub(super) fn text(&self) -> String {
        HEXLOWER.encode(&self.bytes)
    }

    /// What content is called.
    pub(super) fn name(&self, content: &[u8]) -> [u8; 32] {
        let mut name = [0; 32];
        name.copy_from_slice(hmac::sign(&self.naming, content).as_ref());
        name
    }

    /// Seals the content of the file that is called `name`.
    pub(super) fn seal(&self, name: &[u8], content: Vec<u8>) -> Result<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(Error::internal)?;
        let mut sealed = Vec::with_capacity(NONCE_LEN + content.len() + 16);
        sealed.extend_from_slice(&nonce);
        let mut rest = content;
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.sealing
            .seal_in_place_append_tag(nonce, Aad::from(name), &mut rest)
            .map_err(|_| Error::Internal("what is to be sealed is too large".into()))?;
        sealed.append(&mut rest);
        Ok(sealed)
    }

    /// What was sealed under this name; `None` if it was not, or not with this key.
    pub(super) fn open(&self, name: &[u8], sealed: Vec<u8>) -> Option<Vec<u8>> {
        let (nonce, rest) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut rest = rest.to_vec();
        let opened = self
            .sealing
            .open_in_place(nonce, Aad::from(name), &mut rest);
        let bytes = opened.ok()?.len();
        rest.truncate(bytes);
        Some(rest)
    }
}
