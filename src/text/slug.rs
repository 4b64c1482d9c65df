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
    let mut slug = String::new();
    // Words are separated by anything that is not a letter, a digit or a mark on one.
    // A title of a megabyte is not read to its end: what is beyond cannot be in the slug.
    for c in title.chars().take(MAX_SLUG_CHARS * 40) {
        push_letters(c, &mut slug);
    }
    let slug: String = slug.nfc().collect();
    shorten(slug.trim_matches('-'))
}

/// Adds what a character becomes: its base letters, or one hyphen for what is not a word.
fn push_letters(c: char, slug: &mut String) {
    // Apostrophes do not part words: `don't` is `dont`, not `don-t`.
    if matches!(c, '\'' | '’' | 'ʼ' | '`' | '´') {
        return;
    }
    let mut any = false;
    for part in std::iter::once(c).nfkd() {
        for low in part.to_lowercase() {
            if let Some(letters) = without_decomposition(low) {
                slug.push_str(letters);
                any = true;
            } else if low.is_alphanumeric() {
                slug.push(low);
                any = true;
            } else if is_combining_mark(low) {
                // A mark on a Latin letter is an accent and goes; elsewhere (Devanagari, Arabic,
                // Hebrew) it belongs to the spelling.
                if slug
                    .chars()
                    .next_back()
                    .is_some_and(|base| !base.is_ascii() && base != '-')
                {
                    slug.push(low);
                }
                any = true;
            }
        }
    }
    if !any && !slug.is_empty() && !slug.ends_with('-') {
        slug.push('-');
    }
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
