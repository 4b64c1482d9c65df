//! Passwords: argon2id, one hash at a time.

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::base::{Error, Result};

/// Characters that a password needs at least (NIST SP 800-63B-4 section 3.1.1.2 asks for 15 where a
/// password is all, 8 where it is not; we slow guessing down and so take a middle way).
pub const MIN_PASSWORD_CHARS: usize = 10;
/// Bytes of a password at most, so that hashing is bounded.
pub const MAX_PASSWORD_BYTES: usize = 1024;

/// OWASP's Password Storage Cheat Sheet, second of its equal choices: 12 MiB, three passes. The first
/// one's 19 MiB is more than an idle site uses in all.
const MEMORY_KIB: u32 = 12 * 1024;
const PASSES: u32 = 3;

/// Passwords that wait for their turn; more are sent away, so that nobody waits for minutes.
const MAX_WAITING: usize = 32;

/// Hashes and checks passwords, one at a time: two at once would double the memory of a small board.
pub struct Passwords {
    one: Semaphore,
    waiting: Semaphore,
}

impl Default for Passwords {
    fn default() -> Self {
        Self::new()
    }
}

impl Passwords {
    /// A new checker.
    pub fn new() -> Self {
        Self {
            one: Semaphore::new(1),
            waiting: Semaphore::new(MAX_WAITING),
        }
    }

    /// Hashes a password, off the async threads.
    ///
    /// # Errors
    /// [`Error::Busy`] if too many wait.
    pub async fn hash(&self, password: String) -> Result<String> {
        let _turn = self.turn().await?;
        tokio::task::spawn_blocking(move || hash(&password))
            .await
            .map_err(Error::internal)?
    }

    /// Whether the password fits the stored hash; `None` (no such account) takes as long and is no.
    ///
    /// # Errors
    /// [`Error::Busy`] if too many wait.
    pub async fn verify(&self, password: String, stored: Option<String>) -> Result<bool> {
        let _turn = self.turn().await?;
        let exists = stored.is_some();
        let stored = stored.unwrap_or_else(|| DECOY.to_owned());
        let fits = tokio::task::spawn_blocking(move || verify(&password, &stored))
            .await
            .map_err(Error::internal)?;
        Ok(fits && exists)
    }

    async fn turn(&self) -> Result<(SemaphorePermit<'_>, SemaphorePermit<'_>)> {
        let place = self
            .waiting
            .try_acquire()
            .map_err(|_| Error::Busy("too many passwords wait to be checked"))?;
        let turn = self.one.acquire().await.map_err(Error::internal)?;
        Ok((place, turn))
    }
}

/// Tells what is wrong with a new password, if anything.
pub fn problem(password: &str) -> Option<String> {
    let chars = password.chars().count();
    if chars < MIN_PASSWORD_CHARS {
        return Some(format!(
            "The password has {chars} characters; take {MIN_PASSWORD_CHARS} or more. A few words are easy to keep."
        ));
    }
    if password.len() > MAX_PASSWORD_BYTES {
        return Some(format!(
            "The password is too long; {MAX_PASSWORD_BYTES} bytes are the most."
        ));
    }
    None
}

/// Hashes a password now, on this thread.
pub fn hash(password: &str) -> Result<String> {
    let hash = hasher()?
        .hash_password(password.as_bytes())
        .map_err(Error::internal)?;
    Ok(hash.to_string())
}

fn verify(password: &str, stored: &str) -> bool {
    if password.len() > MAX_PASSWORD_BYTES {
        return false;
    }
    let Ok(hasher) = hasher() else { return false };
    PasswordHash::new(stored)
        .is_ok_and(|parsed| hasher.verify_password(password.as_bytes(), &parsed).is_ok())
}

fn hasher() -> Result<Argon2<'static>> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).map_err(Error::internal)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// Checked where there is no such account, so that both take the same time. Made by [`hash`] with the
/// constants above; nobody knows of what.
const DECOY: &str = "$argon2id$v=19$m=12288,t=3,p=1$MDEyMzQ1Njc4OWFiY2RlZg$JTLXKdVk7oXo0VdS3rOzGLUHCzVe6Wz9ZyqO1vdAqLU";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_fits_its_own_hash_and_no_other() {
        let stored = hash("correct horse battery").unwrap();
        assert!(
            stored.starts_with("$argon2id$v=19$m=12288,t=3,p=1$"),
            "{stored}"
        );
        assert!(verify("correct horse battery", &stored));
        assert!(!verify("correct horse batterz", &stored));
    }

    #[test]
    fn the_decoy_is_a_real_hash_that_costs_the_same() {
        assert!(PasswordHash::new(DECOY).is_ok());
        assert!(!verify("", DECOY));
    }
}
