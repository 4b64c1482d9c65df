//! What was typed into the form of the site's names, key by key.

use serde_json::Value;

use crate::app::names::live::FieldError;

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
