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
    let usable = dns::usable_secret(settings, token).map_err(|e| beside_the_field(&words(e)))?;
    let before = TokenBefore(secrets::read(data, dns::SECRET_NAME).map_err(words)?);
    secrets::write(data, dns::SECRET_NAME, &usable).map_err(words)?;
    let Err(why) = dns::zone_of(settings, data) else {
        return Ok(before);
    };
    put_back(data, before).map_err(words)?;
    Err(beside_the_field(&words(why)))
}

/// What is wrong, where one sees which field is meant, and the way back on the command line is none.
fn beside_the_field(why: &str) -> String {
    let why = why.split("; set it").next().unwrap_or_default();
    match why.strip_prefix("the secret for [dns] ") {
        Some(what) => format!("What was typed {what}."),
        None => why.to_owned(),
    }
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
    use crate::app::names::providers::PROVIDERS;

    #[test]
    fn every_provider_is_found_by_the_name_that_the_file_has_and_its_secret_has_one_name() {
        for provider in &PROVIDERS {
            let settings: dns::Settings = serde_json::from_str(&provider.example(None)).unwrap();
            assert_eq!(settings.provider_name(), Some(provider.id));
            // The command line and the page call it the same.
            let of_page = provider.token.to_lowercase();
            for part in settings.parts_of_secret() {
                let word = part.split(' ').next().unwrap().to_lowercase();
                assert!(of_page.contains(&word), "{part} is not in {of_page}");
            }
        }
    }

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
        for (token, word) in [
            ("a\nb", "What was typed has an end of a line"),
            (
                "a b",
                "has a space in it, which no personal access token has.",
            ),
        ] {
            let why = set(data.path(), &settings, token).err().unwrap();
            assert!(
                why.contains(word) && !why.contains("webstead secret"),
                "{why}"
            );
            assert_eq!(kept(), None);
        }
    }
}
