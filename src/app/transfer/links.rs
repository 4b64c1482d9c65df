//! Links in the Markdown text itself: found exactly, rewritten, everything else byte for byte.

use std::ops::Range;

use pulldown_cmark::{Event, LinkType, Options, Parser, Tag};

/// A link's destination in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// Where it is written.
    pub(super) range: Range<usize>,
    /// What is written there.
    pub(super) target: String,
}

/// What a text holds that an import looks at.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Destinations of links and pictures, in order.
    pub(super) links: Vec<Link>,
    /// Code, in which nothing is a link or a template.
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
        push(text, &range, "]:", &definition.dest, &mut found.links);
    }
    for (event, range) in parser.into_offset_iter() {
        match event {
            Event::Start(
                Tag::Link {
                    link_type: LinkType::Inline,
                    dest_url,
                    ..
                }
                | Tag::Image {
                    link_type: LinkType::Inline,
                    dest_url,
                    ..
                },
            ) => push(text, &range, "](", &dest_url, &mut found.links),
            Event::Code(_) | Event::Start(Tag::CodeBlock(_)) => found.code.push(range),
            Event::Html(_) | Event::InlineHtml(_) => attributes(text, &range, &mut found.links),
            _ => {}
        }
    }
    found.links.sort_by_key(|link| link.range.start);
    found.links.dedup_by_key(|link| link.range.start);
    found
}

/// Finds the written form of a destination behind the last `mark` of a construct.
fn push(text: &str, range: &Range<usize>, mark: &str, target: &str, links: &mut Vec<Link>) {
    let Some(source) = text.get(range.clone()) else {
        return;
    };
    // A title may hold the mark too, so every place is looked at, the last first.
    for (at, _) in source.rmatch_indices(mark) {
        let rest = &source[at + mark.len()..];
        let skipped = rest.len() - rest.trim_start_matches([' ', '\t', '\n', '<']).len();
        if !target.is_empty() && rest[skipped..].starts_with(target) {
            let start = range.start + at + mark.len() + skipped;
            links.push(Link {
                range: start..start + target.len(),
                target: target.to_owned(),
            });
            return;
        }
    }
}

/// Finds `src="…"` and `href="…"` of raw HTML.
fn attributes(text: &str, range: &Range<usize>, links: &mut Vec<Link>) {
    let Some(source) = text.get(range.clone()) else {
        return;
    };
    let lower = source.to_ascii_lowercase();
    for name in ["src", "href"] {
        for (at, _) in lower.match_indices(name) {
            let is_start = at > 0 && source.as_bytes()[at - 1].is_ascii_whitespace();
            let rest = source[at + name.len()..].trim_start();
            let Some(rest) = rest.strip_prefix('=').map(str::trim_start) else {
                continue;
            };
            let Some(quote) = rest.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
                continue;
            };
            let Some(length) = rest[1..].find(quote) else {
                continue;
            };
            if is_start && length > 0 {
                let start = range.start + (source.len() - rest.len()) + 1;
                links.push(Link {
                    range: start..start + length,
                    target: rest[1..=length].to_owned(),
                });
            }
        }
    }
}

/// A template's call in the text, outside of code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) range: Range<usize>,
    /// For a call that only names another file (`ref`, `relref`, `post_url`, `link`): that name.
    pub(super) target: Option<String>,
}

/// Finds `{{< … >}}`, `{{% … %}}`, `{{ … }}` and `{% … %}` outside of code.
pub(super) fn find_calls(text: &str, code: &[Range<usize>]) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut from = 0;
    while let Some(at) = text[from..]
        .find("{{")
        .into_iter()
        .chain(text[from..].find("{%"))
        .min()
    {
        let start = from + at;
        let close = if text[start..].starts_with("{%") {
            "%}"
        } else {
            "}}"
        };
        let Some(length) = text[start + 2..].find(close) else {
            from = start + 2;
            continue;
        };
        let end = start + 2 + length + 2;
        from = end;
        if code.iter().any(|range| range.contains(&start)) || text[start..end].contains('\n') {
            continue;
        }
        let inner = text[start + 2..end - 2].trim_matches(['<', '>', '%', ' ', '-']);
        let target = ["relref ", "ref ", "post_url ", "link "]
            .iter()
            .find_map(|word| inner.strip_prefix(word))
            .map(|name| name.trim().trim_matches(['"', '\'', '`']).to_owned());
        calls.push(Call {
            range: start..end,
            target,
        });
    }
    calls
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

/// The line of a byte, from 1.
pub(super) fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()[..at.min(text.len())]
        .split(|b| *b == b'\n')
        .count()
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
    fn template_calls_are_found_outside_of_code() {
        let text = "a {{< ref \"x.md\" >}} b {% post_url 2014-01-01-y %} `{{ no }}` {{ img(src=1) }} {{ open";
        let targets: Vec<_> = find_calls(text, &find(text).code)
            .into_iter()
            .map(|c| c.target)
            .collect();
        assert_eq!(
            targets,
            [Some("x.md".into()), Some("2014-01-01-y".into()), None]
        );
    }
}
