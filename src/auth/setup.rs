//! The one-time link that makes the owner's account.

use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::sessions::Token;
use crate::base::Result;

/// The secret of the one-time link: new at every start, gone once it was used.
pub struct SetupLink(Mutex<Option<String>>);

impl SetupLink {
    /// A link for a site that has no owner yet, or none.
    pub fn new(is_needed: bool) -> Result<Self> {
        let token = if is_needed {
            Some(Token::new()?.as_str().to_owned())
        } else {
            None
        };
        Ok(Self(Mutex::new(token)))
    }

    /// The link that a process before has shown, with its secret.
    pub fn of(token: &str) -> Self {
        Self(Mutex::new(Some(token.to_owned())))
    }

    /// The path of the link, if it was not used yet.
    pub fn path(&self) -> Option<String> {
        self.token().map(|token| format!("/setup?token={token}"))
    }

    /// Whether `given` is the secret.
    pub fn fits(&self, given: &str) -> bool {
        // Hashes are compared, so that the time it takes tells nothing of the secret.
        self.token()
            .is_some_and(|token| Sha256::digest(&token) == Sha256::digest(given))
    }

    /// Ends the link.
    pub fn finish(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The secret, if it was not used yet.
    pub fn token(&self) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
