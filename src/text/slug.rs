//! Slugs: a title as it can stand in an address.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Characters of a slug at most. Longer ones are cut off in messages and by people who copy them.
pub const MAX_SLUG_CHARS: usize = 80;

/// The slug of a title: lower case letters and digits, joined by single hyphens.
///
/// Latin letters lose their accents (`Čapek` → `capek`); letters and digits of other scripts stay
/// as they are, in lower case. At most [`MAX_SLUG_CHARS`], cut at a hyphen where there is one.
/// It is empty only if the title has no letter and no digit. A slug's slug is itself.
pub fn slugify(title: &str) -> String {
    // A title of a megabyte is not read to its end: what is beyond cannot be in the slug.
    let letters = title
        .chars()
        .take(MAX_SLUG_CHARS * 40)
        // Apostrophes do not part words: `don't` is `dont`, not `don-t`.
        .filter(|c| !matches!(c, '\'' | '’' | 'ʼ' | '`' | '´'))
        .nfkd()
        .flat_map(char::to_lowercase)
        .nfkd();
    let mut slug = String::new();
    // Whether a mark belongs to the spelling: one on a Latin letter is an accent and goes, one on
    // a letter of another script (Devanagari, Arabic, Hebrew) stays.
    let mut keeps_marks = false;
    for c in letters {
        if is_combining_mark(c) {
            if keeps_marks {
                slug.push(c);
            }
        } else if let Some(latin) = without_decomposition(c) {
            slug.push_str(latin);
            keeps_marks = false;
        } else if c.is_alphanumeric() {
            slug.push(c);
            keeps_marks = !c.is_ascii();
        } else {
            if !slug.is_empty() && !slug.ends_with('-') {
                slug.push('-');
            }
            keeps_marks = false;
        }
    }
    let slug: String = slug.nfc().collect();
    shorten(slug.trim_matches('-'))
}

/// Latin letters that Unicode does not take apart, but that people write with other letters.
fn without_decomposition(c: char) -> Option<&'static str> {
    Some(match c {
        'ß' => "ss",
        'æ' => "ae",
        'œ' => "oe",
        'ø' => "o",
        'đ' | 'ð' => "d",
        'ł' => "l",
        'þ' => "th",
        'ħ' => "h",
        'ı' => "i",
        'ŧ' => "t",
        _ => return None,
    })
}

/// At most [`MAX_SLUG_CHARS`], cut after a whole word unless the first word is longer than that.
fn shorten(slug: &str) -> String {
    let Some((end, next)) = slug.char_indices().nth(MAX_SLUG_CHARS) else {
        return slug.to_owned();
    };
    let head = &slug[..end];
    let cut = match head.rfind('-') {
        _ if next == '-' => head,
        Some(hyphen) => &head[..hyphen],
        None => head,
    };
    cut.trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn titles_become_what_people_expect() {
        for (title, slug) in [
            ("Announcing Rust 1.0", "announcing-rust-1-0"),
            ("  Hello,   World!  ", "hello-world"),
            ("Čapek & Çelik: naïve café", "capek-celik-naive-cafe"),
            ("Straße Ærø łódź", "strasse-aero-lodz"),
            ("Don't panic", "dont-panic"),
            ("C++ / C#", "c-c"),
            ("日本語 タイトル", "日本語-タイトル"),
            ("Привет, Мир", "привет-мир"),
            ("ΑΒΓ ά", "αβγ-ά"),
            ("नमस्ते", "नमस्ते"),
            ("ＡＢＣ１２", "abc12"),
            ("İstanbul", "istanbul"),
            ("ﬁne ½", "fine-1-2"),
            ("../../etc/passwd%2f", "etc-passwd-2f"),
            ("a\u{202e}b\u{0}c", "a-b-c"),
            ("😀", ""),
            ("", ""),
            ("---", ""),
        ] {
            assert_eq!(slugify(title), slug, "{title:?}");
        }
    }

    #[test]
    fn a_long_title_is_cut_after_a_word() {
        assert_eq!(slugify(&"word ".repeat(2_000)), ["word"; 16].join("-"));
        assert_eq!(slugify(&"w".repeat(10_000)).chars().count(), MAX_SLUG_CHARS);
        assert_eq!(
            slugify(&"語".repeat(10_000)).chars().count(),
            MAX_SLUG_CHARS
        );
    }

    /// Text in which what is hard to slug is usual.
    fn title() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<String>(),
            "[a-zA-Z0-9 .,/%'-]{0,120}",
            "[àÉßŁİıǅΣςأबि한글ﬁ½Ⅷ²\u{301}\u{5b0}\u{200d} -]{0,120}",
        ]
    }

    proptest! {
        #[test]
        fn a_slug_of_a_slug_is_itself(title in title()) {
            let slug = slugify(&title);
            prop_assert_eq!(slugify(&slug), slug);
        }

        #[test]
        fn a_slug_can_stand_in_any_address(title in title()) {
            let slug = slugify(&title);
            prop_assert!(slug.chars().count() <= MAX_SLUG_CHARS);
            prop_assert!(!slug.starts_with('-') && !slug.ends_with('-') && !slug.contains("--"), "{}", slug);
            for c in slug.chars() {
                prop_assert!(c == '-' || c.is_alphanumeric() || is_combining_mark(c), "{:?} in {}", c, slug);
                prop_assert!(!c.is_ascii_uppercase(), "{}", slug);
            }
        }

        #[test]
        fn a_title_with_a_letter_or_digit_has_a_slug(title in "\\PC{0,20}[a-zA-Z0-9é語]\\PC{0,20}") {
            prop_assert!(!slugify(&title).is_empty());
        }
    }
}
