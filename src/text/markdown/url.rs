//! Addresses in links and images: which are allowed, and how they are written.

use std::fmt::Write as _;

use url::{ParseError, Url};

use crate::text::address::changes_direction;

/// Schemes that a link may have.
pub(super) const SCHEMES: &[&str] = &["http", "https", "mailto", "tel"];

/// Images that may be written into the text itself. No SVG: it can hold script.
const DATA_IMAGES: &[&str] = &["image/png", "image/jpeg", "image/gif", "image/webp"];

/// Whether an element may lead there.
///
/// # Errors
/// What it is that may not be there, in words for the list of what was removed.
pub(super) fn check(element: &str, address: &str) -> Result<(), String> {
    let thing = match element {
        "img" => "image",
        "audio" | "video" | "source" => "media",
        _ => "link",
    };
    // `Url` reads an address as browsers do, who skip tabs, line ends and leading control characters.
    match Url::parse(address) {
        Err(ParseError::RelativeUrlWithoutBase) => Ok(()),
        Err(_) => Err(format!("broken {thing}")),
        Ok(url) if url.scheme() == "data" && element == "img" && is_data_image(url.path()) => {
            Ok(())
        }
        Ok(url) if SCHEMES.contains(&url.scheme()) => Ok(()),
        Ok(url) => {
            let scheme: String = url.scheme().chars().take(30).collect();
            Err(format!("{scheme}: {thing}"))
        }
    }
}

/// Whether a link leads to another site.
pub(super) fn is_external(address: &str) -> bool {
    let start = address
        .trim_start()
        .get(..8)
        .unwrap_or(address.trim_start())
        .to_ascii_lowercase();
    start.starts_with("http://") || start.starts_with("https://") || start.starts_with("//")
}

/// An address as an attribute's value needs it, before HTML escaping: characters that a URL cannot
/// have are percent-encoded (URL Living Standard section 4.3); escapes that are there stay.
pub(super) fn encoded(address: &str) -> String {
    let address = address.trim();
    let keeps_brackets = address.contains("://["); // an IPv6 host
    let bytes = address.as_bytes();
    let mut out = String::with_capacity(address.len());
    for (i, c) in address.char_indices() {
        let is_escape = || {
            bytes
                .get(i + 1..i + 3)
                .is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
        };
        let keep = match c {
            ' ' | '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}' => false,
            '[' | ']' => keeps_brackets,
            '%' => is_escape(),
            _ => !c.is_control() && !c.is_whitespace() && !changes_direction(c),
        };
        if keep {
            out.push(c);
        } else {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                // Writing to a String cannot fail.
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

fn is_data_image(path: &str) -> bool {
    let kind = path.split([';', ',']).next().unwrap_or_default();
    DATA_IMAGES
        .iter()
        .any(|image| kind.eq_ignore_ascii_case(image))
}
