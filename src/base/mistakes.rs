//! Mistakes in a file of settings, in words for who has written it: where they are, what is wrong, what belongs there.

use std::ops::Range;

use super::words::one_line;

/// Characters of a line that are shown.
const MOST_CHARS: usize = 120;

/// A mistake in a text of TOML: the line, the column (both counted from 1), the line itself and a sentence. `said` is what
/// the reader says of what is at `span`, the value of the setting `key`.
pub fn in_text(text: &str, span: Option<Range<usize>>, said: &str, key: Option<&str>) -> String {
    let why = in_words(said, key);
    let mut at = span.map_or(0, |span| span.start).min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    // What is missing at the end is missing behind the last line that has something.
    let end = text.trim_end().len();
    let is_at_end = at >= end && at > 0;
    let at = if is_at_end { end } else { at };
    let begin = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[..at].matches('\n').count() + 1;
    let column = text[begin..at].chars().count() + 1;
    let source = one_line(text[begin..].lines().next().unwrap_or_default(), MOST_CHARS);
    let place = if is_at_end {
        "the end of the file"
    } else {
        &format!("column {column}")
    };
    format!("line {line}, {place}, `{source}`: {why}")
}

/// That a file is not a text, with the line where it stops being one. `good` is the length of what is UTF-8 before it.
pub fn no_text(bytes: &[u8], good: usize) -> String {
    let good = good.min(bytes.len());
    let line = bytes[..good].split(|b| *b == b'\n').count();
    let begin = bytes[..good]
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |newline| newline + 1);
    let of_line = bytes[begin..].split(|b| *b == b'\n').next();
    let source = String::from_utf8_lossy(of_line.unwrap_or_default());
    let column = String::from_utf8_lossy(&bytes[begin..good]).chars().count() + 1;
    let byte = bytes.get(good).copied().unwrap_or_default();
    format!(
        "line {line}, column {column}, `{}`: the byte {byte:#04X} there is no UTF-8; save the file again as UTF-8, which \
         editors offer as \"encoding\"",
        one_line(&source, MOST_CHARS)
    )
}

/// What a reader of settings says of a value that it cannot use, without the types of this program, of which it speaks
/// (serde's `de::Error`): `invalid type: string "much", expected u16`. `key` is the setting that has the value.
pub fn in_words(said: &str, key: Option<&str>) -> String {
    let said = said.trim();
    let at = key.map_or_else(|| "here".to_owned(), |key| format!("at {key}"));
    let is_type = said.strip_prefix("invalid type: ");
    if let Some(rest) = is_type.or_else(|| said.strip_prefix("invalid value: "))
        && let Some((found, expected)) = rest.split_once(", expected ")
    {
        let (found, is_large) = found_as(found);
        return format!(
            "{found} does not belong {at}, but {}",
            wanted(expected, is_large)
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
    if said.ends_with("number overflowed") || said == "u64 value was too large" {
        return format!("this number is larger than any that belongs {at}");
    }
    if said == "wanted string or table" {
        return "a text in quotation marks belongs here".into();
    }
    of_form(said).map_or_else(|| said.to_owned(), str::to_owned)
}

/// `expected one of `a`, `b`` or `expected `a` or `b`` as a list.
fn choices(said: &str) -> String {
    let said = said.strip_prefix("expected ").unwrap_or_default();
    let said = said.strip_prefix("one of ").unwrap_or(said);
    said.replace(" or ", ", ")
}

/// What was found, and whether it is a number that is larger than usual ones (TOML 1.1, "Integer").
fn found_as(found: &str) -> (String, bool) {
    let (kind, value) = match found.split_once([' ', '`']) {
        Some((kind, value)) => (kind, value),
        None => (found, ""),
    };
    // `99999999999999999999` as i128
    let value = value.split_once("` as ").map_or(value, |(value, _)| value);
    let value = match kind {
        "string" => value,
        _ => value.trim_matches('`'),
    };
    let is_large = kind == "integer" && !value.starts_with('-') && value.parse::<i64>().is_err();
    let words = match kind {
        "string" => format!("the text {value}"),
        "integer" => format!("the number {value}"),
        "floating" => format!("the number {}", value.trim_start_matches("point `")),
        "boolean" => value.to_owned(),
        "sequence" => "a list".into(),
        "map" => "a section or a date".into(),
        _ => found.to_owned(),
    };
    (words, is_large)
}

fn wanted(expected: &str, is_large: bool) -> String {
    let most = |kind: &str| -> Option<u64> {
        Some(match kind {
            "u8" => u8::MAX.into(),
            "u16" => u16::MAX.into(),
            "u32" => u32::MAX.into(),
            "u64" => u64::MAX,
            "usize" => usize::MAX as u64,
            _ => return None,
        })
    };
    let (least, kind) = match expected.strip_prefix("a nonzero ") {
        Some(kind) => (1, kind),
        None => (0, expected),
    };
    match (most(kind), kind) {
        // Nobody has to know an end that is not met.
        (Some(u64::MAX), _) if !is_large => format!("a whole number from {least} on"),
        (Some(most), _) => format!("a whole number from {least} to {most}"),
        (None, "i8" | "i16" | "i32" | "i64" | "i128" | "isize" | "u128") => "a whole number".into(),
        (None, "f32" | "f64") => "a number".into(),
        (None, "a boolean") => "true or false".into(),
        (None, "a string") => "a text in quotation marks".into(),
        (None, "a sequence") => "a list in square brackets".into(),
        (None, "a map") => "a section".into(),
        (None, "any valid TOML value") => "a smaller one".into(),
        (None, other) if other.starts_with("struct ") => "a section".into(),
        (None, other) => other.to_owned(),
    }
}

/// What the parser says of what is no TOML, by how it begins, and what that means for who wrote it.
const FORM: [(&str, &str); 36] = [
    ("duplicate key", "this setting is there twice"),
    (
        "string values must be quoted",
        "a text must be in quotation marks, and something must follow the equals sign",
    ),
    (
        "missing opening quote",
        "a quotation mark is missing before the text",
    ),
    (
        "invalid basic string, expected `\"`",
        "a quotation mark is missing after the text",
    ),
    (
        "invalid literal string, expected `'`",
        "a quotation mark is missing after the text",
    ),
    (
        "invalid multi-line basic string, expected `\"`",
        "three quotation marks are missing after the text of several lines",
    ),
    (
        "missing escaped value",
        "after a backslash in quotation marks one of b, e, f, n, r, x, u, U, \\ or \" belongs; write \\\\ for a backslash, or \
         put the text in single quotation marks",
    ),
    (
        "too few unicode value digits",
        "after \\u belong four digits, and after \\U eight",
    ),
    (
        "invalid basic string",
        "the text has a character that is not visible",
    ),
    (
        "invalid literal string",
        "the text has a character that is not visible",
    ),
    (
        "invalid multi-line",
        "the text has a character that is not visible",
    ),
    (
        "invalid comment character",
        "the remark has a character that is not visible",
    ),
    (
        "carriage return must be",
        "a line ends here in a way that is not known; let the editor write usual ends of lines",
    ),
    (
        "unclosed array table",
        "the two brackets after the name of the section are missing",
    ),
    ("unclosed array", "the bracket ] after the list is missing"),
    ("unclosed inline table", "the brace } is missing"),
    (
        "unclosed table",
        "the bracket ] after the name of the section is missing",
    ),
    ("missing comma", "a comma is missing before this"),
    ("extra comma", "there is a comma too many"),
    ("extra assignment", "there is an equals sign too many"),
    ("extra `=`", "there is an equals sign too many"),
    ("unexpected `=`", "there is an equals sign too many"),
    (
        "missing table open",
        "the bracket [ before the name of the section is missing",
    ),
    (
        "missing array opening",
        "the bracket [ before the list is missing",
    ),
    ("missing inline table opening", "the brace { is missing"),
    (
        "missing key for inline",
        "the name of a setting is missing before this",
    ),
    (
        "missing value for key",
        "a value is missing after the name of the setting, such as name = \"value\"",
    ),
    (
        "key with no value",
        "an equals sign and a value are missing after the name of the setting, such as name = \"value\"",
    ),
    (
        "missing assignment",
        "an equals sign is missing after the name of the setting",
    ),
    (
        "unquoted keys cannot be empty",
        "the name of a setting is missing before this",
    ),
    (
        "invalid unquoted key",
        "the name of a setting has letters, digits, - and _ only; put any other in quotation marks",
    ),
    (
        "invalid key-value pair",
        "a line begins with the name of a setting, or with one of a section such as [listen]",
    ),
    (
        "invalid inline table element",
        "in braces belong settings such as name = \"value\", with commas between them",
    ),
    (
        "unexpected key or value",
        "the line should end before this; write each setting on a line of its own, and texts in quotation marks",
    ),
    (
        "unexpected content",
        "the line should end before this; write each setting on a line of its own, and texts in quotation marks",
    ),
    (
        "cannot extend value",
        "this setting has a value already and cannot be a section too",
    ),
];

/// What is no number, date, true or false either: how the parser takes a text without quotation marks.
const NO_VALUE: &str = "this is no value: texts are in quotation marks, numbers have digits only (and do not begin with 0), \
                        and true and false are in small letters";

fn of_form(said: &str) -> Option<&'static str> {
    let found = FORM.iter().find(|(begins, _)| said.starts_with(begins));
    let no_value = [
        "`_` may only",
        "integers with a radix",
        "invalid binary number",
        "invalid boolean",
        "invalid date",
        "invalid exponent",
        "invalid float",
        "invalid fraction",
        "invalid hexadecimal number",
        "invalid integer",
        "invalid mantissa",
        "invalid octal number",
        "invalid offset",
        "invalid time",
        "invalid value",
        "missing value",
        "radix must",
        "redundant",
        "unexpected leading zero",
        "unexpected sign",
    ];
    match found {
        Some((_, words)) => Some(words),
        None if no_value.iter().any(|begins| said.starts_with(begins)) => Some(NO_VALUE),
        None => None,
    }
}

#[cfg(test)]
#[path = "mistakes_tests.rs"]
mod tests;
