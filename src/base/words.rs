//! Words of somebody else, for a terminal, a log or a page.

use std::borrow::Cow;

/// What somebody else said, in one line of at most `most` characters and without any that steer a terminal or turn the
/// direction of the text.
pub fn one_line(text: &str, most: usize) -> String {
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

/// A text of several lines without what steers a terminal or turns the direction of the text.
pub fn without_steering(text: &str) -> Cow<'_, str> {
    let steers = |c: char| steers(c) && c != '\n' && c != '\t';
    if text.contains(steers) {
        text.replace(steers, "\u{fffd}").into()
    } else {
        text.into()
    }
}

/// Whether a character steers a terminal or turns the direction of the text (Unicode Standard Annex 9, section 2).
fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// So many of something, for people: `1 file`, `2 files`.
pub fn counted(count: u64, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

/// So many posts and pages, for people.
pub fn posts_and_pages(count: u64) -> String {
    counted(count, "post or page", "posts and pages")
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{one_line, without_numbers, without_steering};

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

    #[test]
    fn lines_stay_and_what_steers_is_shown_as_a_mark() {
        for (text, shown) in [
            ("a\n\tb", "a\n\tb"),
            ("a\u{1b}[2Jb\n", "a\u{fffd}[2Jb\n"),
            ("\u{202e}a\r", "\u{fffd}a\u{fffd}"),
        ] {
            assert_eq!(without_steering(text), shown);
        }
    }

    proptest! {
        #[test]
        fn whatever_a_system_says_there_are_words(said in "\\PC{0,30}( \\(os error )?\\PC{0,9}") {
            let _ = without_numbers(&said);
        }

        #[test]
        fn a_line_has_an_end_and_nothing_that_steers(text in any::<String>(), most in 0usize..50) {
            let line = one_line(&text, most);
            prop_assert!(line.chars().count() <= most + 1);
            prop_assert!(!line.chars().any(char::is_control));
        }
    }
}
