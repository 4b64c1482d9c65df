//! Addresses: the path at which a post or page stands.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use thiserror::Error;

/// Bytes of an address at most. Old proxies and some mail programs cut URLs at 512.
pub const MAX_ADDRESS_BYTES: usize = 400;

/// First segments that belong to the program itself.
pub const RESERVED: &[&str] = &[
    ".well-known",
    "admin",
    "apple-touch-icon.png",
    "archive",
    "assets",
    "favicon.ico",
    "favicon.svg",
    "feed.xml",
    "healthz",
    "help",
    "media",
    "metrics",
    "readyz",
    "robots.txt",
    "setup",
    "sign-in",
    "sign-out",
    "tags",
    "trust",
];

/// What a path may hold as it is: `pchar` and `/` of RFC 3986 section 3.3.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~') // unreserved
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=') // sub-delims
    .remove(b':')
    .remove(b'@')
    .remove(b'/');

/// An address of this site: `/2014/12/12/1.0-Timeline`.
///
/// Decoded, with a slash at its start and none at its end, free of what [`AddressProblem`] names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(String);

/// Why a text cannot be an address; each message says what to do.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AddressProblem {
    /// Nothing, or only a slash: that is the home page.
    #[error("the address is empty; write at least one word, for example /about")]
    Empty,
    /// More than [`MAX_ADDRESS_BYTES`].
    #[error("the address has {bytes} bytes; shorten it to {MAX_ADDRESS_BYTES}")]
    TooLong {
        /// Bytes it has.
        bytes: usize,
    },
    /// `//`.
    #[error("the address has two slashes in a row; leave one of them out")]
    EmptySegment,
    /// `.` or `..` as a whole segment: browsers resolve these before they ask.
    #[error("the address has “{segment}” between its slashes; leave it out")]
    DotSegment {
        /// `.` or `..`.
        segment: String,
    },
    /// A control character, NUL included.
    #[error("the address has an invisible control character (U+{code:04X}); remove it")]
    Control {
        /// Its code point.
        code: u32,
    },
    /// A character that turns or hides the text around it: it could show a false address.
    #[error(
        "the address has an invisible character that changes the direction of text (U+{code:04X}); remove it"
    )]
    Bidi {
        /// Its code point.
        code: u32,
    },
    /// `?`, `#` or `\`.
    #[error(
        "the address has the character “{character}”, which has another meaning there; leave it out"
    )]
    Character {
        /// The character.
        character: char,
    },
    /// The `%xx` escapes in it do not make UTF-8 text.
    #[error("the address has % escapes that are not UTF-8 text; write the letters themselves")]
    NotUtf8,
    /// The first segment is in [`RESERVED`].
    #[error(
        "addresses that begin with /{segment} belong to the program itself; begin with another word"
    )]
    Reserved {
        /// The first segment.
        segment: String,
    },
}

impl Address {
    /// An address from what a person, a file or a request says.
    ///
    /// The slash at the start may be missing, and one at the end is dropped; `%xx` escapes are
    /// decoded (a `%` that begins no escape stays). Upper and lower case stay as they are.
    ///
    /// # Errors
    /// [`AddressProblem`]: the first thing that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, AddressProblem> {
        // Three bytes for each of the decoded ones; no need to decode what is longer.
        if text.len() > MAX_ADDRESS_BYTES * 3 + 2 {
            return Err(AddressProblem::TooLong { bytes: text.len() });
        }
        let decoded = percent_decode_str(text)
            .decode_utf8()
            .map_err(|_| AddressProblem::NotUtf8)?;
        let path = decoded.strip_prefix('/').unwrap_or(&decoded);
        let path = path.strip_suffix('/').unwrap_or(path);
        check(path)?;
        Ok(Self(format!("/{path}")))
    }

    /// An address that [`Address::as_str`] gave before, from the database. It is not checked again:
    /// a rule that became stricter must not hide a post that is there.
    pub fn from_stored(path: String) -> Self {
        Self(path)
    }

    /// The decoded path: for people and for the database.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path as HTML attributes and HTTP headers need it: percent-encoded (RFC 3986 section 3.3).
    pub fn href(&self) -> String {
        utf8_percent_encode(&self.0, PATH).to_string()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Checks a decoded path without its outer slashes.
fn check(path: &str) -> Result<(), AddressProblem> {
    if path.is_empty() {
        return Err(AddressProblem::Empty);
    }
    if path.len() + 1 > MAX_ADDRESS_BYTES {
        return Err(AddressProblem::TooLong {
            bytes: path.len() + 1,
        });
    }
    for character in path.chars() {
        let code = u32::from(character);
        match character {
            _ if character.is_control() => return Err(AddressProblem::Control { code }),
            '\\' | '?' | '#' => return Err(AddressProblem::Character { character }),
            _ if changes_direction(character) => return Err(AddressProblem::Bidi { code }),
            _ => {}
        }
    }
    for segment in path.split('/') {
        match segment {
            "" => return Err(AddressProblem::EmptySegment),
            "." | ".." => {
                return Err(AddressProblem::DotSegment {
                    segment: segment.to_owned(),
                });
            }
            _ => {}
        }
    }
    let first = path.split('/').next().unwrap_or_default();
    if is_reserved(first) {
        return Err(AddressProblem::Reserved {
            segment: first.to_owned(),
        });
    }
    Ok(())
}

/// Explicit formatting characters of the bidirectional algorithm (UAX #9 section 2), and the
/// separators that end a line although they are no control characters.
pub(crate) fn changes_direction(c: char) -> bool {
    matches!(c, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Whether a first segment belongs to the program, in whatever case it is written.
fn is_reserved(segment: &str) -> bool {
    let segment = segment.to_ascii_lowercase();
    let is_sitemap = segment
        .strip_prefix("sitemap")
        .is_some_and(|rest| rest.strip_suffix(".xml").is_some());
    is_sitemap || RESERVED.contains(&segment.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_are_read_in_every_form_that_people_write() {
        for (text, path, href) in [
            (
                "/2014/12/12/1.0-Timeline",
                "/2014/12/12/1.0-Timeline",
                "/2014/12/12/1.0-Timeline",
            ),
            ("about", "/about", "/about"),
            ("about/", "/about", "/about"),
            ("/Über uns/", "/Über uns", "/%C3%9Cber%20uns"),
            ("/%C3%9Cber%20uns", "/Über uns", "/%C3%9Cber%20uns"),
            ("/100%", "/100%", "/100%25"),
            ("/100%25", "/100%", "/100%25"),
            (
                "/a:b@c;d=e,f+g!$&'()*~",
                "/a:b@c;d=e,f+g!$&'()*~",
                "/a:b@c;d=e,f+g!$&'()*~",
            ),
            ("/a\"<b>", "/a\"<b>", "/a%22%3Cb%3E"),
            ("/日本", "/日本", "/%E6%97%A5%E6%9C%AC"),
            ("/atom.xml", "/atom.xml", "/atom.xml"),
            ("/administration", "/administration", "/administration"),
            ("/blog/admin", "/blog/admin", "/blog/admin"),
            ("/...", "/...", "/..."),
        ] {
            let address = Address::parse(text).expect(text);
            assert_eq!(
                (address.as_str(), address.href().as_str()),
                (path, href),
                "{text}"
            );
            assert_eq!(address.to_string(), path);
        }
    }

    #[test]
    fn what_cannot_be_an_address_is_refused_with_what_to_do() {
        let long = "a".repeat(MAX_ADDRESS_BYTES);
        let many = "%61".repeat(10_000);
        for (text, words) in [
            ("", "at least one word"),
            ("/", "at least one word"),
            ("//", "at least one word"),
            ("/a//b", "two slashes"),
            ("/a//", "two slashes"),
            ("//a.example/b", "two slashes"),
            ("/a/../b", "leave it out"),
            ("/./b", "leave it out"),
            ("/%2e%2E/b", "leave it out"),
            ("/a\0", "remove it"),
            ("/a%00", "remove it"),
            ("/a%0d%0aSet-Cookie:x", "remove it"),
            ("/a\u{85}", "remove it"),
            ("/a\u{202e}b", "direction"),
            ("/a%E2%80%AEb", "direction"),
            ("/a\\b", "leave it out"),
            ("/a?b", "leave it out"),
            ("/a%3Fb", "leave it out"),
            ("/a#b", "leave it out"),
            ("/%ff", "letters themselves"),
            ("/admin", "/admin belong"),
            ("/Admin/x", "/Admin belong"),
            ("/%61dmin", "/admin belong"),
            ("/assets/x.css", "belong"),
            ("/.well-known/x", "belong"),
            ("/sitemap.xml", "belong"),
            ("/sitemap-2014.xml", "belong"),
            ("/feed.xml", "belong"),
            (&long, "shorten it"),
            (&many, "shorten it"),
        ] {
            let problem = Address::parse(text).expect_err(text).to_string();
            assert!(problem.contains(words), "{text:?}: {problem}");
            assert!(problem.len() < 300, "{problem}");
            assert!(!problem.contains('\u{202e}'), "{problem}");
        }
    }

    #[test]
    fn every_reserved_word_is_refused() {
        for word in RESERVED {
            assert!(
                Address::parse(word).is_err() && Address::parse(&format!("/{word}/a")).is_err()
            );
        }
    }

    #[test]
    fn what_the_database_gives_back_is_not_checked_again() {
        assert_eq!(Address::from_stored("/admin".to_owned()).as_str(), "/admin");
    }

    proptest! {
        #[test]
        fn an_address_leads_back_to_itself(text in prop_oneof![any::<String>(), "/?[a-z0-9 %.ü?/-]{0,30}"]) {
            if let Ok(address) = Address::parse(&text) {
                prop_assert_eq!(Address::parse(&address.href()), Ok(address.clone()), "by its link");
                let is_good = |b: u8| b.is_ascii_graphic() && !b"\"<>\\^`{|}?#".contains(&b);
                let all_good = address.href().bytes().all(is_good);
                prop_assert!(all_good, "{}", address.href());
                prop_assert!(address.as_str().starts_with('/') && !address.as_str().ends_with('/'));
            }
        }
    }
}
