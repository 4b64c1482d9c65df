//! The token for changing names: kept if it is one, and put back where nothing came of it.

use std::path::Path;

use crate::{
    app::names::live::TokenBefore,
    base::{Error, Result, secrets},
    net::dns,
};

/// Keeps a token for these settings; gives the one before.
///
/// # Errors
/// Why it is none, in words; the one before is still there then.
pub(super) fn set(
    data: &Path,
    settings: &dns::Settings,
    token: &str,
) -> std::result::Result<TokenBefore, String> {
    let words = |e: Error| e.to_string();
    let before = TokenBefore(secrets::read(data, dns::SECRET_NAME).map_err(words)?);
    secrets::write(data, dns::SECRET_NAME, token).map_err(words)?;
    let Err(why) = dns::zone_of(settings, data) else {
        return Ok(before);
    };
    put_back(data, before).map_err(words)?;
    let why = why.to_string();
    // The way back on the command line is none for who is here.
    let why = why.split("; set it").next().unwrap_or_default();
    Err(why.to_owned())
}

/// Keeps the token that there was before.
///
/// # Errors
/// [`Error::Io`]
pub(super) fn put_back(data: &Path, TokenBefore(before): TokenBefore) -> Result<()> {
    match before {
        Some(before) => secrets::write(data, dns::SECRET_NAME, &before),
        None => secrets::remove(data, dns::SECRET_NAME).map(drop),
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_token_that_came_to_nothing_makes_way_for_the_one_before() {
        let data = TempDir::new().unwrap();
        let settings: dns::Settings =
            toml::from_str("provider = \"gandi\"\nzone = \"example.org\"").unwrap();
        let kept = || secrets::read(data.path(), dns::SECRET_NAME).unwrap();
        let first = set(data.path(), &settings, "first").unwrap();
        let second = set(data.path(), &settings, "second").unwrap();
        assert_eq!(kept().as_deref(), Some("second"));
        put_back(data.path(), second).unwrap();
        assert_eq!(kept().as_deref(), Some("first"));
        put_back(data.path(), first).unwrap();
        assert_eq!(kept(), None);
    }
}
