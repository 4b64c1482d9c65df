//! Public keys of minisign, as people write them.

use minisign_verify::PublicKey;

/// Reads a public key of minisign: what `minisign -G` shows and writes, as a line beginning with `RW`.
///
/// # Errors
/// What is wrong with it, and where the right one is.
pub fn public_key(text: &str) -> Result<PublicKey, String> {
    PublicKey::from_base64(text.trim()).map_err(|_| {
        format!(
            "{text:?} is no public key of minisign: it is the second line of minisign.pub, and begins with RW"
        )
    })
}
