//! Plain text from rendered HTML: excerpts and the count of words.

use super::escape;

/// Elements whose text is not prose: code, tables, headings, footnotes, what is folded away.
const NOT_PROSE: &[&str] = &[
    "pre", "table", "h1", "h2", "h3", "h4", "h5", "h6", "section", "details", "figure", "nav",
];

/// The plain text of the first paragraphs, at most `max_chars` characters (the `…` included),
/// cut after a whole word, with `…` if something was cut off.
///
/// `html` is what [`super::markdown::render`] gives. Headings, code blocks, tables and footnotes
/// are left out; a text that has no paragraph gives what it has.
pub fn excerpt(html: &str, max_chars: usize) -> String {
    let mut text = String::new();
    // Text beyond this cannot be in the excerpt, however many blanks it has.
    let enough = max_chars.saturating_mul(4).saturating_add(4);
    collect(html, true, |part| {
        text.push_str(part);
        text.len() <= enough.saturating_mul(4)
    });
    if text.trim().is_empty() {
        collect(html, false, |part| {
            text.push_str(part);
            text.len() <= enough.saturating_mul(4)
        });
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    shorten(&words.join(" "), max_chars)
}

/// How many words a reader reads: runs of characters between blanks; in scripts that write
/// without blanks (Chinese, Japanese) every two characters count as one.
pub fn word_count(html: &str) -> usize {
    let mut words = 0;
    let mut dense = 0;
    let mut in_word = false;
    collect(html, false, |part| {
        for c in part.chars() {
            let is_dense = matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{20000}'..='\u{3ffff}');
            if is_dense {
                dense += 1;
                in_word = false;
            } else if c.is_alphanumeric() {
                words += usize::from(!in_word);
                in_word = true;
            } else if c.is_whitespace() {
                in_word = false;
            }
        }
        true
    });
    words + dense / 2
}

/// All text of HTML as it stands, character references read.
#[cfg(test)]
pub(super) fn plain_text(html: &str) -> String {
    let mut text = String::new();
    let mut rest = html;
    while let Some(open) = rest.find('<') {
        text.push_str(&escape::decode(&rest[..open]));
        rest = rest[open..]
            .find('>')
            .map_or("", |at| &rest[open + at + 1..]);
    }
    text.push_str(&escape::decode(rest));
    text
}

/// Gives the text of well-formed HTML to `take`, part by part, until it says that it has enough.
fn collect(html: &str, prose_only: bool, mut take: impl FnMut(&str) -> bool) {
    let mut rest = html;
    // The element that is being left out, and how many of its name are open.
    let mut skipping: Option<(String, usize)> = None;
    while !rest.is_empty() {
        let open = rest.find('<').unwrap_or(rest.len());
        if skipping.is_none() && open > 0 && !take(&escape::decode(&rest[..open])) {
            return;
        }
        let Some(end) = rest[open..].find('>') else {
            return;
        };
        let tag = &rest[open + 1..open + end];
        rest = &rest[open + end + 1..];
        let is_end = tag.starts_with('/');
        let name: &str = tag
            .trim_start_matches('/')
            .split([' ', '\n', '\t'])
            .next()
            .unwrap_or_default();
        if let Some((skipped, depth)) = &mut skipping {
            if skipped == name {
                *depth = if is_end { *depth - 1 } else { *depth + 1 };
                if *depth == 0 {
                    skipping = None;
                }
            }
            continue;
        }
        let is_ours = tag.contains("class=\"anchor\"")
            || tag.contains("class=\"footnote-ref\"")
            || tag.contains("class=\"alert-title\"");
        if !is_end && (is_ours || prose_only && NOT_PROSE.contains(&name)) {
            skipping = Some((name.to_owned(), 1));
            continue;
        }
        let is_inline = matches!(
            name,
            "a" | "abbr"
                | "b"
                | "bdi"
                | "bdo"
                | "cite"
                | "code"
                | "del"
                | "dfn"
                | "em"
                | "i"
                | "ins"
                | "kbd"
                | "mark"
                | "q"
                | "s"
                | "samp"
                | "small"
                | "span"
                | "strong"
                | "sub"
                | "sup"
                | "time"
                | "u"
                | "var"
                | "wbr"
        );
        if !is_inline && !take(" ") {
            return;
        }
    }
}

/// At most so many characters, whole words.
fn shorten(text: &str, max_chars: usize) -> String {
    if text.chars().count() <= max_chars {
        return text.to_owned();
    }
    let Some(room) = max_chars.checked_sub(1) else {
        return String::new();
    };
    let end = text
        .char_indices()
        .nth(room)
        .map_or(text.len(), |(at, _)| at);
    let head = &text[..end];
    let cut = if text[end..].starts_with(' ') {
        head
    } else {
        head.rfind(' ').map_or(head, |at| &head[..at])
    };
    format!(
        "{}…",
        cut.trim_end_matches([' ', ',', ';', ':', '.', '–', '—'])
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::markdown::{Options, render};
    use proptest::prelude::*;

    #[test]
    fn an_excerpt_is_prose_without_headings_code_and_tables() {
        let html = "<h2 id=\"a\">Title<a class=\"anchor\" href=\"#a\">#</a></h2>\n<p>One <em>two</em>&amp; three.</p>\n<pre><code>four</code></pre>\n<p>Five</p>";
        assert_eq!(excerpt(html, 100), "One two& three. Five");
        assert_eq!(excerpt(html, 12), "One two&…");
        assert_eq!(excerpt(html, 0), "");
        assert_eq!(excerpt("<h2>Only</h2>", 100), "Only");
        assert_eq!(excerpt("", 100), "");
    }

    #[test]
    fn words_are_counted_as_a_reader_reads_them() {
        for (html, words) in [
            ("<p>One two</p><p>three</p>", 3),
            ("<p>don’t — 3.5</p>", 2),
            ("<p>b<em>ol</em>d</p>", 1),
            ("<p>日本語です</p>", 2),
            ("<h2>A<a class=\"anchor\" href=\"#a\">#</a></h2>", 1),
            ("", 0),
        ] {
            assert_eq!(word_count(html), words, "{html}");
        }
    }

    #[test]
    fn the_numbers_of_footnotes_are_no_words_of_the_text() {
        let markdown = "One[^a] two <a href=\"/x\">three[^a]</a>.\n\n[^a]: Four.\n";
        let html = render(markdown, &Options::default()).html;
        assert_eq!(excerpt(&html, 100), "One two three.");
    }

    proptest! {
        #[test]
        fn an_excerpt_is_never_longer_than_it_may_be(html in "\\PC{0,200}", max in 0usize..60) {
            prop_assert!(excerpt(&html, max).chars().count() <= max);
        }

        #[test]
        fn an_excerpt_of_text_that_fits_is_the_text(words in "[a-z]{1,9}( [a-z]{1,9}){0,9}") {
            prop_assert_eq!(excerpt(&format!("<p>{words}</p>"), 200), words);
        }
    }
}
