//! Writing front matter in TOML, for export.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// Settings as TOML front matter, with its `+++` lines.
///
/// Every string is on one line, so that no text can close the front matter. Settings whose value is
/// a table come last, each as a `[section]`; TOML would count what follows them as theirs.
/// TOML knows no null, so these are left out; whole numbers over 2^63 become strings.
pub fn write_toml(values: &Map<String, Value>) -> String {
    let mut text = "+++\n".to_owned();
    let (tables, plain): (Vec<_>, Vec<_>) = values
        .iter()
        .filter(|(_, value)| !value.is_null())
        .partition(|(_, value)| value.is_object());
    for (key, value) in plain {
        push_pair(key, value, &mut text);
        text.push('\n');
    }
    for (key, table) in tables {
        text.push_str("\n[");
        push_key(key, &mut text);
        text.push_str("]\n");
        for (key, value) in table.as_object().into_iter().flatten() {
            if !value.is_null() {
                push_pair(key, value, &mut text);
                text.push('\n');
            }
        }
    }
    text.push_str("+++\n");
    text
}

/// `key = value`.
fn push_pair(key: &str, value: &Value, text: &mut String) {
    push_key(key, text);
    text.push_str(" = ");
    push_value(value, text);
}

/// A key, in quotes where it must be.
fn push_key(key: &str, text: &mut String) {
    let is_bare = !key.is_empty()
        && key
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if is_bare {
        text.push_str(key);
    } else {
        push_string(key, text);
    }
}

/// A value on one line.
fn push_value(value: &Value, text: &mut String) {
    match value {
        Value::Null => text.push_str("\"\""),
        Value::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => text.push_str(&whole.to_string()),
            // `{:?}` always has a point or an exponent, which makes it a float in TOML too.
            (None, Some(float)) if number.is_f64() => {
                let _ = write!(text, "{float:?}");
            }
            _ => push_string(&number.to_string(), text),
        },
        Value::String(value) => push_string(value, text),
        Value::Array(items) => {
            text.push('[');
            let mut separator = "";
            for item in items.iter().filter(|item| !item.is_null()) {
                text.push_str(separator);
                push_value(item, text);
                separator = ", ";
            }
            text.push(']');
        }
        Value::Object(table) => {
            text.push('{');
            let mut separator = " ";
            for (key, value) in table.iter().filter(|(_, value)| !value.is_null()) {
                text.push_str(separator);
                push_pair(key, value, text);
                separator = ", ";
            }
            text.push_str(" }");
        }
    }
}

/// A basic string of TOML 1.0. Characters that turn or hide the text around them are escaped too,
/// so that a person who reads the file sees them.
fn push_string(value: &str, text: &mut String) {
    text.push('"');
    for c in value.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            _ if c.is_control() || crate::text::address::changes_direction(c) => {
                let _ = write!(text, "\\u{:04X}", u32::from(c));
            }
            _ => text.push(c),
        }
    }
    text.push('"');
}
