//! The secret that lets this machine change names: in a file of its own, so that no export takes it along, and a
//! backup only where the owner wants secrets in it.

use std::path::Path;

use super::{
    Settings,
    settings::{Provider, WebKind},
};
use crate::base::{Error, Result, secrets};

/// What it is called: `webstead secret set dns`.
pub const SECRET_NAME: &str = "dns";

/// The parts of the secret that these settings need.
///
/// # Errors
/// [`Error::Invalid`] with the remedy if there is none, or if it is none.
pub(super) fn read(data: &Path, settings: &Settings) -> Result<Vec<String>> {
    let secret = secrets::read(data, SECRET_NAME)?.ok_or_else(|| {
        let wanted = settings.parts_of_secret().join(", ");
        Error::Invalid(format!(
            "there is no secret for [dns] ({wanted}), so no name can be changed; set it with \
             `webstead secret set {SECRET_NAME}`"
        ))
    })?;
    parts(&secret, settings)
}

/// A secret in its parts, which white space separates; a password may have some inside.
///
/// # Errors
/// [`Error::Invalid`] with what is wrong with it.
pub(super) fn parts(secret: &str, settings: &Settings) -> Result<Vec<String>> {
    let wrong = |what: String| {
        Err(Error::Invalid(format!(
            "the secret for [dns] {what}; set it with `webstead secret set {SECRET_NAME}`"
        )))
    };
    let (names, secret) = (settings.parts_of_secret(), secret.trim());
    if secret.is_empty() {
        return wrong("is empty".into());
    }
    // A password may; and what is for an unknown use is kept as it is.
    let may_have_spaces = match &settings.provider {
        Some(Provider::Web(web)) => web.kind == WebKind::DynDns2,
        Some(Provider::Rfc2136(_)) => false,
        None => true,
    };
    let is_odd = |c: char| c.is_control() && (names.len() == 1 || !c.is_whitespace());
    if secret.contains(is_odd) {
        return wrong(
            "has an end of a line or another character in it that cannot be seen, as if more was copied than it".into(),
        );
    }
    if names.len() == 1 && !may_have_spaces && secret.contains(char::is_whitespace) {
        return wrong(format!("has a space in it, which no {} has", names[0]));
    }
    if names.len() == 1 {
        return Ok(vec![secret.to_owned()]);
    }
    let parts: Vec<String> = secret.split_whitespace().map(str::to_owned).collect();
    if parts.len() == names.len() {
        return Ok(parts);
    }
    wrong(format!(
        "has {} parts and not {}: {}, with a space between",
        names.len(),
        parts.len(),
        names.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use crate::net::dns::{Settings, usable_secret};

    #[test]
    fn a_secret_is_one_that_the_provider_can_use_or_it_is_said_why_not() {
        let web = |name: &str| format!("provider = \"{name}\"\nzone = \"a.net\"");
        let password = "provider = \"dyndns2\"\nuser = \"ada\"\napi = \"https://a.example\"";
        let server =
            "provider = \"rfc2136\"\nserver = \"192.0.2.1\"\nzone = \"a.net\"\nkey = \"a_b\"";
        let (gandi, ovh) = (&*web("gandi"), &*web("ovh"));
        for (settings, secret, expected) in [
            (gandi, " abc\n", Ok("abc")),
            (gandi, "a\nb", Err("an end of a line")),
            (gandi, "a\u{1b}[2Jb", Err("cannot be seen")),
            (gandi, "a\0b", Err("cannot be seen")),
            (gandi, "a b", Err("a space in it")),
            (gandi, " \r\n\t", Err("is empty")),
            (gandi, "", Err("is empty")),
            (password, " pass word ", Ok("pass word")),
            (password, "pass\nword", Err("an end of a line")),
            (ovh, "a  b\tc\n", Ok("a b c")),
            (ovh, "a\nb\nc", Ok("a b c")),
            (ovh, "a b", Err("has 3 parts and not 2: application key")),
            (ovh, "a b\u{7} c", Err("cannot be seen")),
            (server, "c2VjcmV0", Ok("c2VjcmV0")),
            (server, "c2VjcmV", Err("not base64")),
            (server, "c2Vj cmV0", Err("a space in it")),
            (server, "not base64!", Err("a space in it")),
            (server, "hmac-sha256:home:c2VjcmV0", Err("not base64")),
            ("", "any thing", Ok("any thing")),
            ("", "a\u{7}", Err("cannot be seen")),
        ] {
            let settings: Settings = toml::from_str(settings).unwrap();
            let found = usable_secret(&settings, secret);
            match (found, expected) {
                (Ok(kept), Ok(expected)) => assert_eq!(kept, expected),
                (Err(why), Err(word)) => {
                    let why = why.to_string();
                    assert!(why.contains(word), "{secret:?}: {why}");
                    assert!(why.contains("webstead secret set dns"), "{why}");
                }
                (found, _) => panic!("{settings:?} {secret:?}: {found:?}"),
            }
        }
    }
}
