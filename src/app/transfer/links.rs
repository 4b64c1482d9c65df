//! Links in the Markdown text itself: found exactly, rewritten, everything else byte for byte.

use std::{fmt::Write, ops::Range};

use pulldown_cmark::{CowStr, Event, LinkType, Options, Parser, Tag, TagEnd};

use super::html_links::find_in_html;

/// A link's destination in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// Where it is written.
    pub(super) range: Range<usize>,
    /// Where it leads: what is written there, with its escapes and character references read.
    pub(super) target: String,
}

/// What a text holds that an import looks at.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Destinations of links and pictures, in order.
    pub(super) links: Vec<Link>,
    /// Links whose destination cannot be found in the text, each with the range of the whole link.
    pub(super) odd: Vec<Link>,
    /// Code, in order, in which nothing is a link or a template.
    pub(super) code: Vec<Range<usize>>,
}

/// Finds the links and the code of a text.
pub(super) fn find(text: &str) -> Found {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_HEADING_ATTRIBUTES
        | Options::ENABLE_GFM;
    let mut found = Found::default();
    let parser = Parser::new_ext(text, options);
    for (_, definition) in parser.reference_definitions().iter() {
        let range = definition.span.clone();
        let mark = end_of_label(text, &range);
        found.add(text, mark, range, &definition.dest);
    }
    let mut open: Vec<OpenLink> = Vec::new();
    for (event, range) in parser.into_offset_iter() {
        if let Some(link) = open.last_mut().filter(|link| link.range != range) {
            link.text_end = link.text_end.max(range.end);
        }
        match event {
            Event::Start(Tag::Link {
                link_type,
                dest_url,
                ..
            }) => open.push(OpenLink::new(range, "[", link_type, dest_url)),
            Event::Start(Tag::Image {
                link_type,
                dest_url,
                ..
            }) => open.push(OpenLink::new(range, "![", link_type, dest_url)),
            Event::End(TagEnd::Link | TagEnd::Image) => {
                if let Some(link) = open.pop().filter(|link| link.is_inline) {
                    let rest = text.get(link.text_end..link.range.end).unwrap_or("");
                    let mark = rest.find("](").map(|at| link.text_end + at + 2);
                    found.add(text, mark, link.range, &link.target);
                }
            }
            Event::Code(_) | Event::Start(Tag::CodeBlock(_)) => found.code.push(range),
            Event::InlineHtml(_) | Event::Start(Tag::HtmlBlock) => {
                found.links.extend(find_in_html(text, range));
            }
            _ => {}
        }
    }
    found.links.sort_by_key(|link| link.range.start);
    found.links.dedup_by_key(|link| link.range.start);
    found
}

/// A link whose text is being read.
struct OpenLink<'a> {
    range: Range<usize>,
    /// Where its text ends, as far as it has been read.
    text_end: usize,
    is_inline: bool,
    target: CowStr<'a>,
}

impl<'a> OpenLink<'a> {
    fn new(range: Range<usize>, mark: &str, kind: LinkType, target: CowStr<'a>) -> Self {
        Self {
            text_end: range.start + mark.len(),
            range,
            is_inline: kind == LinkType::Inline,
            target,
        }
    }
}

impl Found {
    /// Adds a link whose destination is written behind `mark`, somewhere in `range`.
    fn add(&mut self, text: &str, mark: Option<usize>, range: Range<usize>, target: &str) {
        if target.is_empty() {
            return;
        }
        let written = mark.and_then(|mark| destination(text, mark..range.end));
        let link = |range| Link {
            range,
            target: target.to_owned(),
        };
        match written {
            Some(written) => self.links.push(link(written)),
            None => self.odd.push(link(range)),
        }
    }
}

/// Where a destination is written (`CommonMark` 0.31, "link destination"), if it is written plainly.
fn destination(text: &str, within: Range<usize>) -> Option<Range<usize>> {
    let source = text.get(within.clone())?;
    let start = source.find(|c: char| !c.is_ascii_whitespace())?;
    let is_bracketed = source[start..].starts_with('<');
    let start = start + usize::from(is_bracketed);
    let (mut depth, mut is_escaped) = (0, false);
    let length = source[start..].find(|c: char| {
        if is_escaped {
            is_escaped = false;
            return false;
        }
        is_escaped = c == '\\';
        if is_bracketed {
            return c == '>';
        }
        depth += i32::from(c == '(') - i32::from(c == ')');
        depth < 0 || c.is_ascii_whitespace()
    });
    let length = match length {
        Some(length) => length,
        // The definition of a reference may end with its destination.
        None if !is_bracketed => source.len() - start,
        None => return None,
    };
    // The mark of a quotation stands where a line goes on.
    let is_quotation = source[start..].starts_with('>');
    (length > 0 && !is_quotation).then_some(within.start + start..within.start + start + length)
}

/// Where the destination of `[label]: destination` may begin.
fn end_of_label(text: &str, range: &Range<usize>) -> Option<usize> {
    let source = text.get(range.clone())?;
    let mut is_escaped = false;
    let end = source.find(|c| {
        let was_escaped = is_escaped;
        is_escaped = c == '\\' && !was_escaped;
        c == ']' && !was_escaped
    })?;
    source[end..]
        .starts_with("]:")
        .then_some(range.start + end + 2)
}

/// An address as it can stand in Markdown and in HTML without ending what it stands in.
pub(super) fn as_written(address: &str) -> String {
    let mut written = String::with_capacity(address.len());
    // `&lt;` would be read as `<`; without a semicolon there is no character reference.
    let has_references = address.contains(';');
    for c in address.chars() {
        match c {
            '(' | ')' | '<' | '>' | '"' | '\'' | '`' | '\\' | '|' => {
                // Writing to a String cannot fail.
                let _ = write!(written, "%{:02X}", u32::from(c));
            }
            '&' if has_references => written.push_str("%26"),
            c if c.is_ascii_whitespace() || c.is_control() => written.push_str("%20"),
            c => written.push(c),
        }
    }
    written
}

/// Puts other text into ranges that do not overlap.
pub(super) fn replace(text: &str, mut with: Vec<(Range<usize>, String)>) -> String {
    with.sort_by_key(|(range, _)| range.start);
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for (range, new) in with {
        if range.start >= from {
            out.push_str(&text[from..range.start]);
            out.push_str(&new);
            from = range.end;
        }
    }
    out.push_str(&text[from..]);
    out
}

/// Where the lines of a text start: many places are told their line after one pass over it.
pub(super) struct Lines(Vec<usize>);

impl Lines {
    /// The lines of a text.
    pub(super) fn of(text: &str) -> Self {
        Self(text.match_indices('\n').map(|(at, _)| at + 1).collect())
    }

    /// The line of a byte, from 1.
    pub(super) fn line_of(&self, at: usize) -> usize {
        1 + self.0.partition_point(|start| *start <= at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_link_is_found_where_it_is_written_and_code_is_left_alone() {
        let text = "[a](one.md \"](x)\") ![b](<two.png>) [c][r] [![i](three.png)](four.md)\n\n\
                    `[no](no.md)`\n\n```\n[no](no.md)\n```\n\n<img alt=\"x\" src='five.png'>\n\n\
                    <p data-src=\"no\"><a href=\"six.md\">y</a></p>\n\n[r]: seven.md 'title'\n";
        let mut targets: Vec<_> = find(text)
            .links
            .into_iter()
            .map(|link| {
                assert_eq!(&text[link.range.clone()], link.target);
                link.target
            })
            .collect();
        targets.sort();
        assert_eq!(
            targets,
            [
                "five.png",
                "four.md",
                "one.md",
                "seven.md",
                "six.md",
                "three.png",
                "two.png"
            ]
        );
    }

    #[test]
    fn a_destination_is_found_however_it_is_written() {
        for (text, written, target) in [
            ("[a](my\\_p.png)", "my\\_p.png", "my_p.png"),
            ("[a](a&amp;b.png)", "a&amp;b.png", "a&b.png"),
            ("[a](<a b.png> \"t\")", "a b.png", "a b.png"),
            ("[a](a(1).png)", "a(1).png", "a(1).png"),
            ("[a](a\\).png 't')", "a\\).png", "a).png"),
            ("[*a*](\nb.png\n)", "b.png", "b.png"),
            ("[](b.png)", "b.png", "b.png"),
            ("[a `](x)` b](c.png)", "c.png", "c.png"),
            ("[l]\n\n[l]: <d e.md>", "d e.md", "d e.md"),
            ("[l\\]: x]\n\n[l\\]: x]: f.md", "f.md", "f.md"),
            ("> [a](g.md)", "g.md", "g.md"),
        ] {
            let found = find(text);
            let [link] = &found.links[..] else {
                panic!("{text}: {found:?}");
            };
            assert_eq!(
                (&text[link.range.clone()], &*link.target),
                (written, target)
            );
        }
        let odd = find("> [a](\n> b.md)");
        assert_eq!((odd.links.len(), &*odd.odd[0].target), (0, "b.md"));
    }

    #[test]
    fn an_address_leaves_the_link_that_it_is_written_into_whole() {
        for address in ["/a(b", "/a)b", "/a'b", "/a&lt;b", "/x#a b", "/x?q\"(\\"] {
            for text in ["[t](HERE)", "[t](<HERE>)", "<b src=HERE>", "<b src='HERE'>"] {
                let text = text.replace("HERE", &as_written(address));
                let found = find(&text);
                let [link] = &found.links[..] else {
                    panic!("{text}: {found:?}");
                };
                assert_eq!(link.target, as_written(address), "{text}");
            }
        }
    }

    #[test]
    fn lines_are_counted_from_one() {
        let lines = Lines::of("a\nb\n\nc");
        let of_all: Vec<_> = (0..7).map(|at| lines.line_of(at)).collect();
        assert_eq!(of_all, [1, 1, 2, 2, 3, 4, 4]);
    }
}
