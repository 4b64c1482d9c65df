//! The secret that lets this machine change names: in a file of its own, so that no export takes it along, and a
//! backup only where the owner wants secrets in it.

use std::path::Path;

use super::Settings;
use crate::base::{Error, Result, secrets};

/// What it is called: `webstead secret set dns`.
pub const SECRET_NAME: &str = "dns";

/// The parts of the secret that these settings need.
///
/// # Errors
/// [`Error::Invalid`] with the remedy if there is none, or if it has another number of parts.
pub(super) fn read(data: &Path, settings: &Settings) -> Result<Vec<String>> {
    let secret = secrets::read(data, SECRET_NAME)?.ok_or_else(|| {
        Error::Invalid(format!(
            "there is no secret for [dns]; set it with `webstead secret set {SECRET_NAME}`"
        ))
    })?;
    parts(&secret, settings.parts_of_secret())
}

/// A secret in its parts, which white space separates; one that has only one part may have some inside.
///
/// # Errors
/// [`Error::Invalid`] if there are more or fewer than `names`.
pub fn parts(secret: &str, names: &[&str]) -> Result<Vec<String>> {
    if names.len() == 1 {
        return Ok(vec![secret.trim().to_owned()]);
    }
    let parts: Vec<String> = secret.split_whitespace().map(str::to_owned).collect();
    if parts.len() == names.len() {
        return Ok(parts);
    }
    Err(Error::Invalid(format!(
        "the secret for [dns] has {} parts and not {}: {}, with a space between; set it with \
         `webstead secret set {SECRET_NAME}`",
        names.len(),
        parts.len(),
        names.join(", ")
    )))
}

#[cfg(test)]
mod tests {
    use super::parts;

    #[test]
    fn a_secret_has_as_many_parts_as_the_provider_wants() {
        assert_eq!(parts(" pass word ", &["password"]).unwrap(), ["pass word"]);
        assert_eq!(parts("a  b\tc", &["x", "y", "z"]).unwrap(), ["a", "b", "c"]);
        let wrong = parts("a b", &["x", "y", "z"]).unwrap_err().to_string();
        assert!(wrong.contains("3 parts and not 2: x, y, z"), "{wrong}");
    }
}
