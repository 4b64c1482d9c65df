//! Front matter in JSON, as Hugo writes it.

use serde::Deserialize;
use serde_json::{Deserializer, Map, Value};

use super::{Entry, MAX_FRONT_MATTER_BYTES, Problem, line_at, too_large};

/// Reads the object at the start of the file; also gives the byte after its `}`.
pub(super) fn read(source: &str) -> Result<(Vec<Entry>, usize), Problem> {
    // The reader stops after the object, so the body is not read; but one that is never closed is
    // only looked at as far as front matter may go.
    let end = floor_char_boundary(source, MAX_FRONT_MATTER_BYTES);
    let mut stream = Deserializer::from_str(&source[..end]).into_iter::<Map<String, Value>>();
    let map = match stream.next() {
        Some(Ok(map)) => map,
        Some(Err(error)) if error.is_eof() && end < source.len() => return Err(too_large()),
        Some(Err(error)) if error.is_eof() => {
            return Err(Problem::new(
                1,
                "the front matter opens with { and is never closed; add } after the last setting",
            ));
        }
        Some(Err(error)) => {
            let text = error.to_string();
            let what = text.split(" at line ").next().unwrap_or(&text);
            return Err(Problem::new(
                error.line().max(1),
                format!("this is not valid JSON: {what}"),
            ));
        }
        None => return Ok((Vec::new(), 0)),
    };
    let end = stream.byte_offset();
    let keys = keys(&source[..end]);
    if let Some((line, key)) = first_duplicate(&keys) {
        return Err(Problem::new(
            line,
            format!("“{key}” is there twice; remove one"),
        ));
    }
    let entries = map
        .into_iter()
        .map(|(key, value)| Entry {
            line: keys
                .iter()
                .find(|(_, name)| *name == key)
                .map_or(1, |(line, _)| *line),
            key,
            value,
        })
        .collect();
    Ok((entries, end))
}

/// The keys of the outermost object with their lines. The object is known to be valid JSON.
fn keys(object: &str) -> Vec<(usize, String)> {
    let bytes = object.as_bytes();
    let mut keys = Vec::new();
    let mut depth = 0_usize;
    let mut is_key_next = false;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'{' | b'[' => {
                depth += 1;
                is_key_next = depth == 1;
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' if depth == 1 => is_key_next = true,
            b'"' => {
                let end = end_of_string(bytes, at);
                if is_key_next && depth == 1 {
                    let mut reader = Deserializer::from_str(&object[at..end]);
                    if let Ok(key) = String::deserialize(&mut reader) {
                        keys.push((line_at(object, at), key));
                    }
                    is_key_next = false;
                }
                at = end;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    keys
}

/// The byte after the string that opens here.
fn end_of_string(bytes: &[u8], open: usize) -> usize {
    let mut at = open + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The second of two equal keys.
fn first_duplicate(keys: &[(usize, String)]) -> Option<(usize, &str)> {
    let mut seen = std::collections::HashSet::new();
    keys.iter()
        .find(|(_, key)| !seen.insert(key.as_str()))
        .map(|(line, key)| (*line, key.as_str()))
}

/// The last character boundary at or before a byte.
fn floor_char_boundary(text: &str, byte: usize) -> usize {
    let mut at = byte.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
