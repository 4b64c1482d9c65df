//! What a word of YAML means: a text, a number, a truth value, nothing.
//!
//! As the core schema of YAML 1.2.2 has it (section 10.3.2), and beside that the `yes`, `no`, `on`, `off` and
//! the binary and grouped numbers of YAML 1.1, because the generators that blogs come from know them.

use granit_parser::{ScalarStyle, Tag};
use serde_json::{Number, Value};

/// The meaning of a scalar.
///
/// # Errors
/// A number that is none, and a text that is not what its tag says.
pub(super) fn resolve(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, String> {
    let string = || Value::String(text.to_owned());
    let unfit = || format!("{text:?} is not what its tag says");
    let named = ["str", "int", "float", "bool", "null"];
    let kind = tag.and_then(|tag| named.iter().find(|kind| tag.is_yaml_core_schema_tag(kind)));
    match (kind, tag) {
        (Some(&"int"), _) => integer(text).ok_or_else(unfit),
        (Some(&"float"), _) => float(text)?.ok_or_else(unfit),
        (Some(&"bool"), _) => boolean(text).ok_or_else(unfit),
        (Some(&"null"), _) => Ok(Value::Null),
        // A tag of somebody's own says that it is no plain word.
        (Some(_), _) | (None, Some(_)) => Ok(string()),
        (None, None) if style != ScalarStyle::Plain => Ok(string()),
        (None, None) => plain(text),
    }
}

fn plain(text: &str) -> Result<Value, String> {
    if matches!(text, "" | "~" | "null" | "Null" | "NULL") {
        return Ok(Value::Null);
    }
    if let Some(value) = boolean(text).or_else(|| integer(text)) {
        return Ok(value);
    }
    Ok(float(text)?.unwrap_or_else(|| Value::String(text.to_owned())))
}

fn boolean(text: &str) -> Option<Value> {
    let is = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    if is(&["true", "yes", "on", "y"]) {
        Some(Value::Bool(true))
    } else if is(&["false", "no", "off", "n"]) {
        Some(Value::Bool(false))
    } else {
        None
    }
}

fn integer(text: &str) -> Option<Value> {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = match digits.get(..2) {
        Some("0x") => (16, &digits[2..]),
        Some("0o") => (8, &digits[2..]),
        Some("0b") => (2, &digits[2..]),
        _ => (10, digits),
    };
    let is_grouped = digits
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let has_edges = digits.starts_with('_') || digits.ends_with('_');
    // 017 is octal for YAML 1.1 and decimal for 1.2: it stays a number of its digits.
    if digits.is_empty() || !is_grouped || has_edges {
        return None;
    }
    let digits = digits.replace('_', "");
    let number = i128::from_str_radix(&digits, radix).ok()?;
    let number = if is_negative { -number } else { number };
    Number::from_i128(number).map(Value::Number)
}

/// `None` if it does not look like a number.
fn float(text: &str) -> Result<Option<Value>, String> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_infinite = [".inf", ".nan"]
        .iter()
        .any(|word| word.eq_ignore_ascii_case(unsigned));
    let looks_like_one = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && unsigned.bytes().any(|byte| byte.is_ascii_digit())
        && unsigned
            .bytes()
            .all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte));
    if !is_infinite && !looks_like_one {
        return Ok(None);
    }
    let Ok(number) = (if is_infinite {
        Ok(f64::NAN)
    } else {
        text.parse::<f64>()
    }) else {
        return Ok(None);
    };
    let number = Number::from_f64(number);
    let number = number.ok_or_else(|| format!("{text} is no number that can be kept"))?;
    Ok(Some(Value::Number(number)))
}
