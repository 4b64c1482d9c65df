//! What was typed into the form of the site's names, key by key.

use serde_json::Value;

use crate::{
    app::names::live::FieldError,
    net::acme::{self, CertificateName},
};

/// The value of a key as it was typed.
pub(super) fn text_of<'a>(table: &'a Value, key: &str) -> &'a str {
    table[key].as_str().unwrap_or_default().trim()
}

/// The values of a key as they were typed.
pub(super) fn texts_of<'a>(table: &'a Value, key: &str) -> impl Iterator<Item = &'a str> {
    let all = table[key].as_array().into_iter().flatten();
    all.filter_map(Value::as_str)
}

/// A key of `[certificate]` that is not empty, if its module takes it.
pub(super) fn checked<T: TryFrom<String, Error = String> + Into<String>>(
    field: &'static str,
    text: &str,
    errors: &mut Vec<FieldError>,
) -> Option<String> {
    if text.is_empty() {
        return None;
    }
    match T::try_from(text.to_owned()) {
        Ok(value) => Some(value.into()),
        Err(why) => {
            // The file's words name its key.
            let bare = why
                .strip_prefix(field)
                .and_then(|why| why.strip_prefix(" = "));
            errors.push((field, bare.unwrap_or(&why).to_owned()));
            None
        }
    }
}

/// Each name once, and how many are too many.
pub(super) fn add(names: &mut Vec<String>, name: String) {
    if !names.contains(&name) {
        names.push(name);
    }
}

/// The names of the site that were typed, as they are kept: its domain, and those that lead to it. `name` says whether
/// one may be.
pub(super) fn names_of_site(
    typed: &Value,
    name: impl Fn(&str) -> Result<String, String>,
    errors: &mut Vec<FieldError>,
) -> (Option<String>, Vec<String>) {
    let text = text_of(typed, "domain");
    let mut domain = None;
    if !text.is_empty() {
        match name(text) {
            Ok(name) => domain = Some(name),
            Err(why) => errors.push(("domain", why)),
        }
    }
    let is_www = |longer: &str, shorter: &str| longer.strip_prefix("www.") == Some(shorter);
    let mut also = Vec::new();
    for other in texts_of(typed, "also") {
        match name(other) {
            Ok(name) => add(&mut also, name),
            // One mistake is told once, beside the domain.
            Err(_) if domain.is_none() && (is_www(other, text) || is_www(text, other)) => {}
            Err(why) => {
                errors.push(("also", why));
                break;
            }
        }
    }
    also.retain(|name| Some(name) != domain.as_ref());
    (domain, also)
}

/// More names that certificates are wanted for, as they are kept. `asked` says which authority.
pub(super) fn names_for_certificates(
    certificate: &Value,
    asked: &acme::Settings,
    errors: &mut Vec<FieldError>,
) -> Vec<String> {
    let mut more = Vec::new();
    for text in texts_of(certificate, "names") {
        let Some(name) = checked::<CertificateName>("more_names", text, errors) else {
            break;
        };
        if let Some(why) = asked.unfit(&name) {
            errors.push(("more_names", why));
            break;
        }
        add(&mut more, name);
    }
    more
}

/// The names of the site among these keys.
pub(super) fn all_of_site(keys: &Value) -> Vec<String> {
    let also = keys["also"].as_array().into_iter().flatten();
    let all = keys.get("domain").into_iter().chain(also);
    all.filter_map(|name| name.as_str().map(str::to_owned))
        .collect()
}
