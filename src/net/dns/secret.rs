//! The secret that lets this machine change names: in a file of its own, so that no export or backup takes it along.

use std::path::Path;

use crate::base::{Error, Result, secrets};

/// What it is called: `webstead secret set dns`.
pub const SECRET_NAME: &str = "dns";

/// The secret.
///
/// # Errors
/// [`Error::Invalid`] with the remedy if there is none.
pub(super) fn read(data: &Path) -> Result<String> {
    secrets::read(data, SECRET_NAME)?.ok_or_else(|| {
        Error::Invalid(format!(
            "there is no secret for [dns]; set it with `webstead secret set {SECRET_NAME}`"
        ))
    })
}
