//! Words of somebody else, for a terminal, a log or a page.

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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::one_line;

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
        fn a_line_has_an_end_and_nothing_that_steers(text in any::<String>(), most in 0usize..50) {
            let line = one_line(&text, most);
            prop_assert!(line.chars().count() <= most + 1);
            prop_assert!(!line.chars().any(char::is_control));
        }
    }
}
