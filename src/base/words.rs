//! Words of somebody else, for a terminal, a log or a page.

use std::borrow::Cow;

/// What somebody else said, in one line of at most `most` characters and without any that steer a terminal or turn the
/// direction of the text (Unicode Standard Annex 9, section 2).
pub fn one_line(text: &str, most: usize) -> String {
    let steers =
        |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || steers(c))
        .filter(|word| !word.is_empty())
        .collect();
    let line = words.join(" ");
    match line.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// What a system or a library says, without the numbers that mean something to programmers only: `(os error 28)`.
pub fn without_numbers(text: &str) -> Cow<'_, str> {
    const MARK: &str = " (os error ";
    if !text.contains(MARK) {
        return text.into();
    }
    let mut parts = text.split(MARK);
    let first = parts.next().unwrap_or_default().to_owned();
    let whole = parts.fold(first, |whole, part| match part.split_once(')') {
        Some((number, rest)) if number.bytes().all(|b| b.is_ascii_digit()) => whole + rest,
        _ => whole + MARK + part,
    });
    whole.into()
}

/// What a reader of settings says of a value that it cannot use, in words for who has written it. It speaks of types
/// of this program (serde's `de::Error`): `invalid type: string "much", expected u16`.
pub fn of_settings(said: &str) -> String {
    let said = said.trim();
    let is_type = said.strip_prefix("invalid type: ");
    if let Some(rest) = is_type.or_else(|| said.strip_prefix("invalid value: "))
        && let Some((found, expected)) = rest.split_once(", expected ")
    {
        return format!(
            "{} does not belong here, but {}",
            found_as(found),
            wanted(expected)
        );
    }
    if let Some(rest) = said.strip_prefix("unknown field ")
        && let Some((name, others)) = rest.split_once(", ")
    {
        let others = choices(others);
        return match others.as_str() {
            "" => format!("there is no setting {name} here, and no other"),
            others => format!("there is no setting {name} here; there are: {others}"),
        };
    }
    if let Some(rest) = said.strip_prefix("unknown variant ")
        && let Some((name, others)) = rest.split_once(", ")
    {
        return format!(
            "{name} cannot be chosen here; write one of these: {}",
            choices(others)
        );
    }
    if let Some(name) = said.strip_prefix("missing field ") {
        return format!("the setting {name} is missing");
    }
    match said {
        "wanted string or table" => "a text in quotation marks belongs here".into(),
        "duplicate key" => "this setting is there twice".into(),
        "string values must be quoted, expected literal string" => {
            "a text must be in quotation marks, and something must follow the equals sign".into()
        }
        said => said.into(),
    }
}

/// `expected one of `a`, `b`` or `expected `a` or `b`` as a list.
fn choices(said: &str) -> String {
    let said = said.strip_prefix("expected ").unwrap_or_default();
    let said = said.strip_prefix("one of ").unwrap_or(said);
    said.replace(" or ", ", ")
}

fn found_as(found: &str) -> String {
    let (kind, value) = match found.split_once([' ', '`']) {
        Some((kind, value)) => (kind, value.trim_matches('`')),
        None => (found, ""),
    };
    match kind {
        "string" => format!("the text {value}"),
        "integer" => format!("the number {value}"),
        "floating" => format!("the number {}", value.trim_start_matches("point `")),
        "boolean" => value.to_owned(),
        "sequence" => "a list".into(),
        "map" => "a section or a date".into(),
        _ => found.to_owned(),
    }
}

fn wanted(expected: &str) -> String {
    let most = |kind: &str| -> Option<u64> {
        Some(match kind {
            "u8" => u8::MAX.into(),
            "u16" => u16::MAX.into(),
            "u32" => u32::MAX.into(),
            "u64" | "usize" => u64::MAX,
            _ => return None,
        })
    };
    let (least, kind) = match expected.strip_prefix("a nonzero ") {
        Some(kind) => (1, kind),
        None => (0, expected),
    };
    match (most(kind), kind) {
        (Some(u64::MAX), _) if least == 0 => "a whole number from 0 on".into(),
        (Some(u64::MAX), _) => "a whole number from 1 on".into(),
        (Some(most), _) => format!("a whole number from {least} to {most}"),
        (None, "i8" | "i16" | "i32" | "i64" | "isize") => "a whole number".into(),
        (None, "f32" | "f64") => "a number".into(),
        (None, "a boolean") => "true or false".into(),
        (None, "a string") => "a text in quotation marks".into(),
        (None, "a sequence") => "a list in square brackets".into(),
        (None, "a map") => "a section".into(),
        (None, other) if other.starts_with("struct ") => "a section".into(),
        (None, other) => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{of_settings, one_line, without_numbers};

    #[test]
    fn what_the_system_says_has_no_numbers_for_programmers() {
        for (text, plain) in [
            ("no room (os error 28)", "no room"),
            ("a (os error 2): b (os error 13); c", "a: b; c"),
            (
                "a (os error) b (os error x) c",
                "a (os error) b (os error x) c",
            ),
            ("(os error 2", "(os error 2"),
        ] {
            assert_eq!(without_numbers(text), plain);
        }
    }

    #[test]
    fn mistakes_in_settings_are_told_without_the_types_of_this_program() {
        for (said, plain) in [
            (
                "invalid type: string \"much\", expected u16",
                "the text \"much\" does not belong here, but a whole number from 0 to 65535",
            ),
            (
                "invalid value: integer `0`, expected a nonzero usize",
                "the number 0 does not belong here, but a whole number from 1 on",
            ),
            (
                "invalid type: floating point `1.5`, expected a nonzero u32",
                "the number 1.5 does not belong here, but a whole number from 1 to 4294967295",
            ),
            (
                "invalid type: boolean `true`, expected a string",
                "true does not belong here, but a text in quotation marks",
            ),
            (
                "invalid type: map, expected a sequence",
                "a section or a date does not belong here, but a list in square brackets",
            ),
            (
                "invalid type: sequence, expected struct Settings",
                "a list does not belong here, but a section",
            ),
            (
                "invalid type: integer `3`, expected true, false or a list of names",
                "the number 3 does not belong here, but true, false or a list of names",
            ),
            (
                "unknown field `htps`, expected `https` or `http`",
                "there is no setting `htps` here; there are: `https`, `http`",
            ),
            (
                "unknown field `a`, there are no fields",
                "there is no setting `a` here, and no other",
            ),
            (
                "unknown variant `x`, expected one of `off`, `json`",
                "`x` cannot be chosen here; write one of these: `off`, `json`",
            ),
            ("missing field `zone`", "the setting `zone` is missing"),
            (
                "unclosed array, expected `]`",
                "unclosed array, expected `]`",
            ),
        ] {
            assert_eq!(of_settings(said), plain);
        }
    }

    #[test]
    fn what_steers_a_terminal_is_left_out() {
        for (text, line) in [
            ("a\n\t b ", "a b"),
            ("\u{1b}[2J\u{1b}]0;x\u{7}red", "[2J ]0;x red"),
            ("\u{9b}31m\u{202e}gro.elpmaxe", "31m gro.elpmaxe"),
            ("1234567890123456", "123456789012345…"),
        ] {
            assert_eq!(one_line(text, 15), line);
        }
    }

    proptest! {
        #[test]
        fn whatever_a_reader_says_there_are_words(said in "(invalid type: |unknown field |missing )?\\PC{0,30}(, expected )?\\PC{0,9}") {
            let _ = (of_settings(&said), without_numbers(&said));
        }

        #[test]
        fn a_line_has_an_end_and_nothing_that_steers(text in any::<String>(), most in 0usize..50) {
            let line = one_line(&text, most);
            prop_assert!(line.chars().count() <= most + 1);
            prop_assert!(!line.chars().any(char::is_control));
        }
    }
}
