//! Tests of what is said of mistakes in settings.

use std::num::NonZeroUsize;

use proptest::prelude::*;
use serde::Deserialize;

use super::{in_text, in_words, no_text};

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
            "invalid type: integer `99999999999999999999` as i128, expected u32",
            "the number 99999999999999999999 does not belong here, but a whole number from 0 to 4294967295",
        ),
        (
            "invalid value: integer `99999999999999999999` as i128, expected a nonzero u64",
            "the number 99999999999999999999 does not belong here, but a whole number from 1 to 18446744073709551615",
        ),
        (
            "invalid value: integer `-99999999999999999999` as i128, expected u64",
            "the number -99999999999999999999 does not belong here, but a whole number from 0 on",
        ),
        (
            "invalid type: integer `9` as u128, expected any valid TOML value",
            "the number 9 does not belong here, but a smaller one",
        ),
        (
            "integer number overflowed",
            "this number is larger than any that belongs here",
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
            "the bracket ] after the list is missing",
        ),
        ("\"x\" is not a time of day", "\"x\" is not a time of day"),
    ] {
        assert_eq!(in_words(said, None), plain);
    }
    let said = "invalid type: string \"much\", expected u16";
    let at = in_words(said, Some("cache.max_mib"));
    assert!(at.contains("does not belong at cache.max_mib, but"), "{at}");
}

#[test]
fn a_mistake_is_at_its_line_and_column_or_behind_what_comes_last() {
    let text = "a = 1\nü = 2 3\n\n\n";
    let at = |start| in_text(text, Some(start..start), "duplicate key", None);
    let why = "this setting is there twice";
    assert_eq!(at(0), format!("line 1, column 1, `a = 1`: {why}"));
    // Between the two bytes of a letter, too.
    assert_eq!(at(7), format!("line 2, column 1, `ü = 2 3`: {why}"));
    assert_eq!(at(13), format!("line 2, column 7, `ü = 2 3`: {why}"));
    let end = format!("line 2, the end of the file, `ü = 2 3`: {why}");
    assert_eq!(at(text.len()), end);
    assert_eq!(at(9999), end);
    let empty = in_text("", None, "duplicate key", None);
    assert_eq!(empty, format!("line 1, column 1, ``: {why}"));
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(dead_code)] // read, and not looked at
struct Settings {
    text: String,
    list: Vec<String>,
    number: u16,
    many: Option<NonZeroUsize>,
    is_on: bool,
    part: f64,
}

#[test]
fn whatever_is_broken_no_word_of_a_parser_or_of_rust_is_said() {
    let good = "text = \"a\\n\"\nlist = [\"a\", 'b']\nnumber = 9\nmany = 0x1\n\n[part]\nis_on = true\nx = { a = 1, b = \"x\" }\n\
                d = 2020-01-01T10:00:00Z\nm = \"\"\"\na\n\"\"\"\n[[a]]\nf = 1.5e3\n";
    let pieces = [
        "",
        "\"",
        "'",
        "[",
        "]",
        "{",
        "}",
        "=",
        ",",
        ".",
        "#",
        "\n",
        "x",
        "1",
        "_",
        "-",
        "+",
        "\\",
        "\r",
        "\u{1}",
        " ",
        "0",
        "é",
        "\\u12",
        "\"\"\"",
        "'''",
        "99999999999999999999",
        "70000",
        "1e999",
        "99999999999999999999999999999999999999999999",
    ];
    for at in 0..=good.len() {
        for cut in 0..3 {
            for piece in pieces {
                let end = (at + cut).min(good.len());
                let text = format!("{}{piece}{}", &good[..at], &good[end..]);
                // Without the names of settings, and with them.
                let form = toml::from_str::<toml::Table>(&text).err();
                let Some(e) = form.or_else(|| toml::from_str::<Settings>(&text).err()) else {
                    continue;
                };
                let said = in_words(e.message(), None);
                let words = [
                    "expected", "invalid", "i128", "u16", "usize", "key ", "array", "inline",
                    "overflow", "string", "unclosed",
                ];
                let bad = words.iter().find(|word| said.contains(**word));
                assert!(
                    bad.is_none(),
                    "{:?} became {said:?} for {text:?}",
                    e.message()
                );
            }
        }
    }
}

proptest! {
    #[test]
    fn whatever_a_reader_says_there_are_words(
        said in "(invalid type: |unknown field |missing )?\\PC{0,30}(, expected )?\\PC{0,9}", text in "(\\PC|\n){0,40}", at in 0usize..200,
    ) {
        let told = in_text(&text, Some(at..at), &said, Some("a.b"));
        prop_assert!(told.starts_with("line ") && !told.contains('\n'), "{}", told);
    }

    #[test]
    fn a_file_that_is_no_text_is_told_in_one_line(bytes in any::<Vec<u8>>()) {
        if let Err(e) = std::str::from_utf8(&bytes) {
            let told = no_text(&bytes, e.valid_up_to());
            prop_assert!(told.starts_with("line ") && told.contains("0x") && !told.contains('\n'), "{}", told);
        }
    }
}
