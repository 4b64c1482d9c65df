//! Links in the raw HTML of a Markdown text.

use std::ops::Range;

use super::links::Link;
use crate::text::escape::decode;

/// Attributes that name a file of the site.
const LINKING: [&str; 3] = ["src", "href", "poster"];

/// Finds the links of the tags in a range of the text (WHATWG HTML section 13.2.5, as far as tags go).
pub(super) fn find_in_html(text: &str, range: Range<usize>) -> Vec<Link> {
    let mut scanner = Scanner {
        text: text.get(..range.end).unwrap_or(""),
        at: range.start,
    };
    let mut links = Vec::new();
    while scanner.skip_to_tag() {
        while let Some((name, value)) = scanner.attribute() {
            let is_linking = LINKING.iter().any(|known| name.eq_ignore_ascii_case(known));
            if is_linking && !value.is_empty() {
                let target = decode(&text[value.clone()]);
                links.push(Link {
                    range: value,
                    target,
                });
            }
        }
    }
    links
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    /// Goes behind the name of the next start tag; `false` at the end.
    fn skip_to_tag(&mut self) -> bool {
        while let Some(found) = self.rest().find('<') {
            self.at += found + 1;
            if self.rest().starts_with(|c: char| c.is_ascii_alphabetic()) {
                self.take_while(|c| !c.is_ascii_whitespace() && !matches!(c, '/' | '>'));
                return true;
            }
        }
        false
    }

    /// The next attribute of the tag: its name, and where its value is. `None` at the tag's end.
    fn attribute(&mut self) -> Option<(&'a str, Range<usize>)> {
        self.take_while(|c| c.is_ascii_whitespace() || c == '/');
        if self.rest().starts_with(['>', '<']) {
            return None;
        }
        let name = self.take_while(|c| !c.is_ascii_whitespace() && !matches!(c, '/' | '>' | '='));
        let name = &self.text[name];
        self.take_while(|c| c.is_ascii_whitespace());
        if !self.rest().starts_with('=') {
            return (!name.is_empty()).then_some((name, self.at..self.at));
        }
        self.at += 1;
        self.take_while(|c| c.is_ascii_whitespace());
        let quote = self
            .rest()
            .chars()
            .next()
            .filter(|c| matches!(c, '"' | '\''));
        let value = match quote {
            Some(quote) => {
                self.at += 1;
                let value = self.take_while(|c| c != quote);
                if self.rest().is_empty() {
                    return None;
                }
                self.at += 1;
                value
            }
            None => self.take_while(|c| !c.is_ascii_whitespace() && c != '>'),
        };
        Some((name, value))
    }

    fn take_while(&mut self, is_taken: impl Fn(char) -> bool) -> Range<usize> {
        let start = self.at;
        let rest = self.rest();
        self.at += rest.find(|c| !is_taken(c)).unwrap_or(rest.len());
        start..self.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_links_of_tags_are_found_and_what_only_looks_like_one_is_not() {
        for (html, expected) in [
            ("<img src=a.png alt=x>", &["a.png"][..]),
            ("<img\nSRC = 'a.png'\n/>", &["a.png"]),
            ("<a href=\"a&amp;b.md\"><img src=c>", &["a&b.md", "c"]),
            ("<video poster=p.jpg src=v.mp4>", &["p.jpg", "v.mp4"]),
            ("<b data-src=x title=\" src=y \">src=\"z\"</b>", &[]),
            ("<b src=\"never closed", &[]),
            ("<b src=>", &[]),
            ("a < b src=c <b =d src==e>", &["=e"]),
            ("<b", &[]),
        ] {
            let targets: Vec<_> = find_in_html(html, 0..html.len())
                .into_iter()
                .map(|link| link.target)
                .collect();
            assert_eq!(targets, expected, "{html}");
        }
    }
}
