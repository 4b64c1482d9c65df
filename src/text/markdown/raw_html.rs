//! Reading raw HTML as it stands in Markdown: tags, text, comments.
//!
//! It reads every character once, whatever the input. A tag that is not finished is text.

/// A piece of raw HTML.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// Text; character references are not decoded.
    Text(&'a str),
    /// `<name attribute="value">`.
    Open {
        /// In lower case.
        name: String,
        /// Names in lower case, values decoded, in order; a name that comes again is left out.
        attributes: Vec<(String, String)>,
        /// Where `<` is.
        at: usize,
    },
    /// `</name>`.
    Close {
        /// In lower case.
        name: String,
    },
    /// A comment, doctype or processing instruction: nothing to show.
    Comment,
}

/// The tokens of raw HTML.
pub(super) struct Tokens<'a> {
    html: &'a str,
    at: usize,
}

/// Attributes of one tag; more are left out.
const MAX_ATTRIBUTES: usize = 50;

impl<'a> Tokens<'a> {
    /// From the start of the HTML.
    pub(super) fn new(html: &'a str) -> Self {
        Self { html, at: 0 }
    }

    /// Goes to behind `</name>`, or to the end if there is none; whether there was.
    pub(super) fn skip_past_close(&mut self, name: &str) -> bool {
        let rest = &self.html.as_bytes()[self.at..];
        let found = rest.windows(name.len() + 2).position(|window| {
            window.starts_with(b"</") && window[2..].eq_ignore_ascii_case(name.as_bytes())
        });
        let end = found.and_then(|start| {
            rest[start..]
                .iter()
                .position(|&b| b == b'>')
                .map(|length| start + length + 1)
        });
        self.at = end.map_or(self.html.len(), |end| self.at + end);
        end.is_some()
    }

    /// A comment-like thing that starts at `self.at`; the end of it, exclusive.
    fn comment_end(&self) -> usize {
        let rest = &self.html[self.at..];
        let end = if let Some(inside) = rest.strip_prefix("<!--") {
            if inside.starts_with('>') {
                Some(5)
            } else if inside.starts_with("->") {
                Some(6)
            } else {
                // The other end only counts before this one, so that a thousand comments are not each
                // read to the end of the text.
                let usual = inside.find("-->");
                let other = inside[..usual.unwrap_or(inside.len())].find("--!>");
                other.map(|i| i + 8).or(usual.map(|i| i + 7))
            }
        } else {
            rest.find('>').map(|i| i + 1)
        };
        end.map_or(self.html.len(), |end| self.at + end)
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let rest = &self.html[self.at..];
        let bytes = rest.as_bytes();
        let first = *bytes.first()?;
        let starts_letter = |i: usize| bytes.get(i).is_some_and(u8::is_ascii_alphabetic);
        if first == b'<' && (starts_letter(1) || (bytes.get(1) == Some(&b'/') && starts_letter(2)))
        {
            return Some(if let Some((token, length)) = read_tag(rest, self.at) {
                self.at += length;
                token
            } else {
                self.at = self.html.len();
                Token::Text(rest)
            });
        }
        if first == b'<' && matches!(bytes.get(1), Some(b'!' | b'?' | b'/')) {
            self.at = self.comment_end();
            return Some(Token::Comment);
        }
        let end = bytes[1..]
            .iter()
            .position(|&b| b == b'<')
            .map_or(rest.len(), |i| i + 1);
        self.at += end;
        Some(Token::Text(&rest[..end]))
    }
}

/// A whole tag at the start of `rest`, and its length; `None` if it does not end.
fn read_tag(rest: &str, at: usize) -> Option<(Token<'static>, usize)> {
    let bytes = rest.as_bytes();
    let closing = bytes.get(1) == Some(&b'/');
    let name_start = if closing { 2 } else { 1 };
    let is_space = |b: u8| b.is_ascii_whitespace();
    let mut i = name_start;
    let skip = |from: usize, stop: &dyn Fn(u8) -> bool| {
        bytes[from..]
            .iter()
            .position(|&b| stop(b))
            .map(|n| from + n)
    };
    i = skip(i, &|b| is_space(b) || b == b'/' || b == b'>')?;
    let name = rest[name_start..i].to_ascii_lowercase();
    let mut attributes: Vec<(String, String)> = Vec::new();
    loop {
        i = skip(i, &|b| !is_space(b) && b != b'/')?;
        if bytes[i] == b'>' {
            let token = if closing {
                Token::Close { name }
            } else {
                Token::Open {
                    name,
                    attributes,
                    at,
                }
            };
            return Some((token, i + 1));
        }
        // A name may begin with `=` and then runs on (HTML Living Standard section 13.2.5.32).
        let start = i;
        i = skip(i + 1, &|b| is_space(b) || matches!(b, b'/' | b'>' | b'='))?;
        let attribute = rest[start..i].to_ascii_lowercase();
        let after = skip(i, &|b| !is_space(b))?;
        let mut value = "";
        if bytes[after] == b'=' {
            i = skip(after + 1, &|b| !is_space(b))?;
            let quote = bytes[i];
            if matches!(quote, b'"' | b'\'') {
                let end = skip(i + 1, &|b| b == quote)?;
                value = &rest[i + 1..end];
                i = end + 1;
            } else {
                let end = skip(i, &|b| is_space(b) || b == b'>')?;
                value = &rest[i..end];
                i = end;
            }
        }
        if attributes.len() < MAX_ATTRIBUTES && attributes.iter().all(|(n, _)| *n != attribute) {
            attributes.push((attribute, decoded(value)));
        }
    }
}

/// Text with its character references (`&amp;`, `&#106;`) decoded.
pub(super) fn decoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('&') {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        // The longest name has 31 characters (HTML Living Standard section 13.5).
        let length = rest.bytes().take(34).position(|b| b == b';').map(|i| i + 1);
        let reference = length.and_then(|length| Some((reference(&rest[1..length - 1])?, length)));
        if let Some((character, length)) = reference {
            out.push_str(&character);
            rest = &rest[length..];
        } else {
            out.push('&');
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    out
}

/// What a reference stands for, from the part between `&` and `;`.
fn reference(name: &str) -> Option<String> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        };
        let character = char::from_u32(code)
            .filter(|&c| c != '\0')
            .unwrap_or('\u{FFFD}');
        return Some(character.to_string());
    }
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    let usual = match name {
        "amp" => "&",
        "lt" => "<",
        "gt" => ">",
        "quot" => "\"",
        "apos" => "'",
        "nbsp" => "\u{A0}",
        _ => "",
    };
    if !usual.is_empty() {
        return Some(usual.to_owned());
    }
    // The other two thousand names are in the HTML parser; its text tells whether it knew the name.
    let text = ammonia::Builder::empty()
        .clean(&format!("&{name};"))
        .to_string();
    let text = text
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&");
    (!text.contains(name)).then_some(text)
}
