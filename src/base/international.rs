//! International names as people write them, where that cannot deceive: `xn--bcher-kva.example` is `bücher.example`.
//!
//! What is kept, sent and read by programs stays in ASCII (RFC 5890). A label is shown in its letters only if they are of
//! one script, or of those that one language mixes, and do not all look like Latin ones, as browsers have it (UTS 39
//! section 5.2, "Highly Restrictive", and <https://chromium.googlesource.com/chromium/src/+/main/docs/idn.md>).

use std::borrow::Cow;

use url::{Host, quirks::domain_to_unicode};

/// How a label begins that stands for other letters (RFC 5890 section 2.3.2.1).
const PREFIX: &str = "xn--";

/// A script whose letters are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Script {
    Latin,
    Greek,
    Cyrillic,
    Armenian,
    Hebrew,
    Arabic,
    Devanagari,
    Bengali,
    Tamil,
    Thai,
    Georgian,
    Hangul,
    /// Hiragana and Katakana.
    Kana,
    Bopomofo,
    Han,
}

/// The letters of each script that names have today, without those that are looked at twice: `ı`, `þ`.
const LETTERS: [(u32, u32, Script); 34] = {
    use Script::{
        Arabic, Armenian, Bengali, Bopomofo, Cyrillic, Devanagari, Georgian, Greek, Han, Hangul,
        Hebrew, Kana, Latin, Tamil, Thai,
    };
    [
        (0x61, 0x7a, Latin),
        (0xdf, 0xf6, Latin),
        (0xf8, 0xfd, Latin),
        (0xff, 0x130, Latin),
        (0x132, 0x137, Latin),
        (0x139, 0x148, Latin),
        (0x14a, 0x17e, Latin),
        (0x1a1, 0x1a1, Latin),
        (0x1b0, 0x1b0, Latin),
        (0x1ce, 0x1dc, Latin),
        (0x219, 0x219, Latin),
        (0x21b, 0x21b, Latin),
        (0x1e00, 0x1e99, Latin),
        (0x1e9b, 0x1eff, Latin),
        (0x390, 0x390, Greek),
        (0x3ac, 0x3ce, Greek),
        (0x430, 0x45f, Cyrillic),
        (0x491, 0x491, Cyrillic),
        (0x561, 0x586, Armenian),
        (0x5d0, 0x5ea, Hebrew),
        (0x620, 0x63a, Arabic),
        (0x641, 0x64a, Arabic),
        (0x679, 0x6d3, Arabic),
        (0x901, 0x963, Devanagari),
        (0x981, 0x9e3, Bengali),
        (0xb82, 0xbcd, Tamil),
        (0xe01, 0xe4e, Thai),
        (0x10d0, 0x10f0, Georgian),
        (0xac00, 0xd7a3, Hangul),
        (0x3041, 0x3096, Kana),
        (0x30a1, 0x30fe, Kana),
        (0x3105, 0x312f, Bopomofo),
        (0x3400, 0x4dbf, Han),
        (0x4e00, 0x9fff, Han),
    ]
};

/// Letters that look like Latin ones, of scripts that have many.
const LOOK_ALIKE: [(Script, &str); 3] = [
    (Script::Greek, "αγικνοπρτυχω"),
    (Script::Cyrillic, "агеикмнопрстухъьѕіјѡҽһԁԛԝ"),
    (Script::Armenian, "ագզհյոսցքօ"),
];

/// A name as people write it; as it is where that could be taken for another name.
pub fn as_written(name: &str) -> Cow<'_, str> {
    if !name.contains(PREFIX) {
        return name.into();
    }
    let labels: Vec<Cow<'_, str>> = name.split('.').map(label).collect();
    labels.join(".").into()
}

/// [`as_written`], with the name as it is behind it in parentheses if that is another one.
pub fn with_ascii(name: &str) -> Cow<'_, str> {
    let written = as_written(name);
    if written == name {
        return written;
    }
    format!("{written} ({name})").into()
}

/// A text for people in which international names are as people write them, each with the name as it is behind it
/// where it comes first. Commands in backticks, records (`_acme-challenge.…`) and addresses of pages stay as they are,
/// because they are copied.
pub fn in_text(text: &str) -> Cow<'_, str> {
    if !text.contains(PREFIX) {
        return text.into();
    }
    let mut told: Vec<&str> = Vec::new();
    let mut out = String::with_capacity(text.len() * 2);
    for (at, part) in text.split('`').enumerate() {
        if at > 0 {
            out.push('`');
        }
        if at % 2 == 0 {
            names_in(part, &mut told, &mut out);
        } else {
            out.push_str(part);
        }
    }
    out.into()
}

/// Writes a part of a text with its names as people write them.
fn names_in<'a>(part: &'a str, told: &mut Vec<&'a str>, out: &mut String) {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || "-._*:/@?=&%#".contains(c);
    let mut rest = part;
    while let Some(at) = rest.find(is_of_name) {
        out.push_str(&rest[..at]);
        let word = &rest[at..];
        let end = word.find(|c| !is_of_name(c)).unwrap_or(word.len());
        let whole = &word[..end];
        let name = whole.trim_end_matches(['.', ':', '?']);
        let is_name = name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-.*".contains(c));
        if !is_name || !name.contains(PREFIX) {
            out.push_str(name);
        } else if told.contains(&name) {
            out.push_str(&as_written(name));
        } else {
            told.push(name);
            out.push_str(&with_ascii(name));
        }
        out.push_str(&whole[name.len()..]);
        rest = &word[end..];
    }
    out.push_str(rest);
}

/// One label in its letters, if that cannot deceive.
fn label(label: &str) -> Cow<'_, str> {
    if !label.starts_with(PREFIX) {
        return label.into();
    }
    let written = domain_to_unicode(label);
    // It is shown only if who types it comes to the same name.
    let is_same = matches!(Host::parse(&written), Ok(Host::Domain(typed)) if typed == label);
    if is_same && is_plain(&written) {
        written.into()
    } else {
        label.into()
    }
}

/// Whether letters are of one script, or of those that one language mixes, and do not all look like Latin ones.
fn is_plain(label: &str) -> bool {
    use Script::{Bopomofo, Han, Hangul, Kana, Latin};
    let mut scripts: Vec<Script> = Vec::new();
    for c in label.chars().filter(|c| !c.is_ascii_digit() && *c != '-') {
        let code = u32::from(c);
        let mut ranges = LETTERS.iter();
        let Some((_, _, script)) = ranges.find(|(from, to, _)| (*from..=*to).contains(&code))
        else {
            return false;
        };
        if !scripts.contains(script) {
            scripts.push(*script);
        }
    }
    let all_of = |allowed: &[Script]| scripts.iter().all(|script| allowed.contains(script));
    let is_of_one_language = scripts.len() <= 1
        || all_of(&[Latin, Han, Kana])
        || all_of(&[Latin, Han, Bopomofo])
        || all_of(&[Latin, Han, Hangul]);
    let looks_latin = LOOK_ALIKE.iter().any(|(script, letters)| {
        let is_alike = |c: char| c.is_ascii() || letters.contains(c);
        scripts[..] == [*script] && label.chars().all(is_alike)
    });
    is_of_one_language && !looks_latin
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::Host;

    use super::{as_written, in_text, with_ascii};

    /// As requests have it.
    fn ascii(name: &str) -> String {
        match Host::parse(name) {
            Ok(Host::Domain(name)) => name,
            other => panic!("{name}: {other:?}"),
        }
    }

    #[test]
    fn a_name_is_shown_as_people_write_it_unless_it_could_be_taken_for_another() {
        for name in [
            "bücher.example",
            "www.größe.example",
            "smørrebrød.example",
            "žluťoučký.example",
            "πέτρος.example",
            "правда.example",
            "москва.example",
            "例え.example",
            "テスト-web.example",
            "中文.example",
            "한국어.example",
            "שלום.example",
            "مثال.example",
            "उदाहरण.example",
            "ไทย.example",
            "example.org",
        ] {
            assert_eq!(as_written(&ascii(name)), name);
        }
        for name in [
            // Cyrillic with a Latin l; Cyrillic alone that looks Latin; Greek, Armenian likewise.
            "раураl.example",
            "аррӏе.example",
            "росет.example",
            "ора.example",
            "ορο.example",
            "սօ.example",
            "gıthub.example",
            "latin漢ру.example",
            // Not of letters.
            "i❤.example",
            "ꭰꭲ.example",
        ] {
            let ascii = ascii(name);
            assert_eq!(as_written(&ascii), ascii, "{name}");
            assert_eq!(with_ascii(&ascii), ascii, "{name}");
        }
        for (given, shown) in [
            (
                "xn--bcher-kva.example",
                "bücher.example (xn--bcher-kva.example)",
            ),
            (
                "*.xn--bcher-kva.example",
                "*.bücher.example (*.xn--bcher-kva.example)",
            ),
            ("example.org", "example.org"),
            ("xn--zzzzzzzzz.example", "xn--zzzzzzzzz.example"),
            ("xn--.example", "xn--.example"),
            ("192.0.2.1", "192.0.2.1"),
        ] {
            assert_eq!(with_ascii(given), shown);
        }
    }

    #[test]
    fn names_in_a_text_are_shown_so_and_what_is_copied_is_not() {
        let name = "xn--bcher-kva.example";
        for (text, shown) in [
            (
                format!("{name} leads here, {name}."),
                format!("bücher.example ({name}) leads here, bücher.example."),
            ),
            (
                format!("\"{name}\": `webstead certificate renew {name}`"),
                format!("\"bücher.example ({name})\": `webstead certificate renew {name}`"),
            ),
            (
                format!("_acme-challenge.{name} https://{name}:8443/ ada@{name}"),
                format!("_acme-challenge.{name} https://{name}:8443/ ada@{name}"),
            ),
            (
                format!("({name}): no; `{name}"),
                format!("(bücher.example ({name})): no; `{name}"),
            ),
            ("nothing".into(), "nothing".into()),
        ] {
            assert_eq!(in_text(&text), shown);
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_typed_as_the_same_name(text in "[a-zß-žα-ωа-я一-三ぁ-ん0-9\\-]{1,12}(\\.[a-zü]{1,5})?") {
            if let Ok(Host::Domain(name)) = Host::parse(&text) {
                prop_assert_eq!(ascii(&as_written(&name)), name);
            }
        }

        #[test]
        fn any_text_can_be_shown(text in "\\PC{0,30}(xn--[a-z0-9\\-.]{0,12}\\PC{0,9}){0,3}") {
            let _ = (in_text(&text), as_written(&text));
        }
    }
}
