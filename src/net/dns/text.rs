//! A text as zone files and interfaces of providers write it (RFC 1035 section 5.1).

/// The longest text of one part (RFC 1035 section 3.3).
pub(super) const MOST_BYTES: usize = 255;

/// A text in quotation marks.
pub(super) fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\"")
}

/// The text of a value: what is in its quotation marks, all parts together, or all of it if it has none.
pub(super) fn unquoted(value: &str) -> String {
    let value = value.trim();
    if !value.starts_with('"') {
        return value.to_owned();
    }
    let mut bytes = Vec::new();
    let mut rest = value.bytes();
    let mut is_inside = false;
    while let Some(byte) = rest.next() {
        match byte {
            b'"' => is_inside = !is_inside,
            b'\\' if is_inside => match code_of(rest.clone()) {
                Some(code) => {
                    bytes.push(code);
                    rest.nth(2);
                }
                None => bytes.extend(rest.next()),
            },
            other if is_inside => bytes.push(other),
            // White space between two parts.
            _ => {}
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What three decimal digits stand for: `065`.
fn code_of(mut ahead: std::str::Bytes<'_>) -> Option<u8> {
    let mut code = 0u16;
    for _ in 0..3 {
        let digit = ahead.next().filter(u8::is_ascii_digit)?;
        code = code * 10 + u16::from(digit - b'0');
    }
    u8::try_from(code).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{quoted, unquoted};

    #[test]
    fn texts_are_read_as_providers_write_them() {
        for (value, text) in [
            ("abc", "abc"),
            (" \"abc\" ", "abc"),
            ("\"abc\" \"def\"", "abcdef"),
            ("\"a\\\"b\\\\c\\065\"", "a\"b\\cA"),
            ("\"a\\999\"", "a999"),
            ("\"a", "a"),
            ("\"a\\", "a"),
            ("\"\"", ""),
            ("", ""),
        ] {
            assert_eq!(unquoted(value), text, "{value:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_quoted_is_read_as_it_was(text in "\\PC{0,60}") {
            prop_assert_eq!(unquoted(&quoted(&text)), text);
        }

        #[test]
        fn no_value_is_too_strange(value in "[\"\\\\0-9a ü]{0,40}") {
            let _ = unquoted(&value);
        }
    }
}
