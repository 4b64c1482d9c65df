//! The HTML being written: always balanced, never deeper than [`MAX_DEPTH`].
//!
//! Markdown and raw HTML open and close elements on one stack. An end tag without its start is
//! left out, a start tag without its end is closed where the element around it ends. So the HTML
//! parser that sanitises the result never meets misnested formatting, which is what makes it
//! quadratic, nor a deep tree.

use std::collections::HashSet;

use super::{Heading, Options, Removed, ids::Ids, url};
use crate::text::slug::slugify;

/// Open elements at most. Deeper quotes, lists and tags are left out, and their content kept.
/// Browsers stop at 512; people stop at ten.
pub(super) const MAX_DEPTH: usize = 60;

/// Entries in the list of what was removed; it is for people to read.
const MAX_REMOVED: usize = 10_000;

/// An element that is open.
pub(super) struct Open {
    /// Its name.
    pub name: &'static str,
    /// What closes it.
    pub close: Closing,
    /// Which Markdown element opened it; 0 for raw HTML.
    pub serial: usize,
}

/// How an element is closed.
#[derive(Clone, Copy)]
pub(super) enum Closing {
    /// By its end tag.
    Tag,
    /// By this.
    With(&'static str),
    /// As a heading, whose start is written only then.
    Heading,
}

/// A heading that is open.
struct OpenHeading {
    /// Where in the output its content starts.
    start: usize,
    level: u8,
    id: Option<String>,
    /// Other attributes as they are written.
    attributes: String,
    text: String,
}

/// The output, and what of it waits while a footnote is written.
#[derive(Default)]
pub(super) struct Frame {
    /// The HTML so far.
    pub out: String,
    /// What is open in it, the innermost last.
    pub stack: Vec<Open>,
    heading: Option<OpenHeading>,
}

/// Writes HTML.
pub(super) struct Writer<'a> {
    /// What the caller wants.
    pub options: &'a Options<'a>,
    /// Where the HTML goes now.
    pub frame: Frame,
    /// Ids in use.
    pub ids: Ids,
    /// What was left out.
    pub removed: Vec<Removed>,
    /// Headings that are finished.
    pub headings: Vec<Heading>,
    /// Headings whose sections go on: as they were written, and as they are shown.
    sections: Vec<(u8, u8)>,
    /// For every Markdown element that is open: its serial, or `None` if it was not written.
    markdown: Vec<Option<usize>>,
    last_serial: usize,
    /// Where each line of the Markdown starts.
    lines: Vec<usize>,
    /// Labels already warned about, so that each is said once.
    said: HashSet<&'static str>,
}

impl<'a> Writer<'a> {
    /// A writer for one text.
    pub(super) fn new(markdown: &str, options: &'a Options<'a>) -> Self {
        let ends = markdown
            .bytes()
            .enumerate()
            .filter(|&(_, b)| b == b'\n')
            .map(|(i, _)| i + 1);
        Self {
            options,
            frame: Frame::default(),
            ids: Ids::default(),
            removed: Vec::new(),
            headings: Vec::new(),
            sections: Vec::new(),
            markdown: Vec::new(),
            last_serial: 0,
            lines: std::iter::once(0).chain(ends).collect(),
            said: HashSet::new(),
        }
    }

    /// Notes that something was left out.
    pub(super) fn remove(&mut self, offset: usize, what: String) {
        if self.removed.len() > MAX_REMOVED {
            return;
        }
        let line = self.lines.partition_point(|&start| start <= offset).max(1);
        let what = if self.removed.len() == MAX_REMOVED {
            "and more".to_owned()
        } else {
            what
        };
        self.removed.push(Removed { line, what });
    }

    /// Notes something that is worth saying once a text.
    pub(super) fn remove_once(&mut self, offset: usize, what: &'static str) {
        if self.said.insert(what) {
            self.remove(offset, what.to_owned());
        }
    }

    /// Writes text, escaped.
    pub(super) fn text(&mut self, text: &str) {
        if let Some(heading) = &mut self.frame.heading {
            heading.text.push_str(text);
        }
        escape(&mut self.frame.out, text);
    }

    /// Writes HTML that is known to be good.
    pub(super) fn html(&mut self, html: &str) {
        self.frame.out.push_str(html);
    }

    /// Whether another element may be opened that can hold itself.
    pub(super) fn has_room(&self) -> bool {
        self.frame.stack.len() < MAX_DEPTH
    }

    /// Whether an element of that name is open.
    pub(super) fn is_open(&self, name: &str) -> bool {
        self.frame.stack.iter().any(|open| open.name == name)
    }

    /// Whether a heading is open.
    pub(super) fn is_in_heading(&self) -> bool {
        self.frame.heading.is_some()
    }

    /// Opens an element for Markdown; `start` is its whole start tag.
    pub(super) fn open(&mut self, name: &'static str, start: &str, close: Closing) {
        self.html(start);
        self.last_serial += 1;
        self.markdown.push(Some(self.last_serial));
        self.frame.stack.push(Open {
            name,
            close,
            serial: self.last_serial,
        });
    }

    /// Notes a Markdown element that is not written, so that its end is not either.
    pub(super) fn open_nothing(&mut self) {
        self.markdown.push(None);
    }

    /// Closes the innermost Markdown element, and raw HTML that was left open in it.
    pub(super) fn close(&mut self) {
        let Some(Some(serial)) = self.markdown.pop() else {
            return;
        };
        if let Some(depth) = self
            .frame
            .stack
            .iter()
            .rposition(|open| open.serial == serial)
        {
            self.close_to(depth);
        }
    }

    /// Closes elements until `depth` are open.
    pub(super) fn close_to(&mut self, depth: usize) {
        while self.frame.stack.len() > depth {
            let Some(open) = self.frame.stack.pop() else {
                return;
            };
            match open.close {
                Closing::Heading => self.close_heading(),
                // What was in it is gone.
                _ if open.name == "p" && self.frame.out.ends_with("<p>") => {
                    let length = self.frame.out.len() - "<p>".len();
                    self.frame.out.truncate(length);
                }
                Closing::With(end) => self.html(end),
                Closing::Tag => {
                    self.html("</");
                    self.html(open.name);
                    self.html(">");
                }
            }
        }
    }

    /// Closes an open paragraph, as browsers do before everything that is a block.
    pub(super) fn end_paragraph(&mut self) {
        for depth in (0..self.frame.stack.len()).rev() {
            match self.frame.stack[depth].name {
                "p" => return self.close_to(depth),
                "td" | "th" | "caption" => return,
                _ => {}
            }
        }
    }

    /// Starts a heading. The caller then pushes its entry, with an empty `close`, on the stack.
    pub(super) fn open_heading(&mut self, level: u8, id: Option<String>, attributes: String) {
        let start = self.frame.out.len();
        self.frame.heading = Some(OpenHeading {
            start,
            level,
            id,
            attributes,
            text: String::new(),
        });
    }

    /// The level at which a heading is shown: below the page's own `h1`, and one below the section
    /// that it is in, so that no level is skipped (WCAG technique G141).
    fn shown_level(&mut self, written: u8) -> u8 {
        while self
            .sections
            .last()
            .is_some_and(|(above, _)| *above >= written)
        {
            self.sections.pop();
        }
        let level = (self.sections.last().map_or(1, |(_, shown)| *shown) + 1).min(6);
        self.sections.push((written, level));
        level
    }

    /// Writes a heading with its id and its link, now that its text is known.
    fn close_heading(&mut self) {
        let Some(heading) = self.frame.heading.take() else {
            return;
        };
        let inner = self.frame.out.split_off(heading.start);
        let text = heading
            .text
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        if text.is_empty() && !inner.contains("<img") {
            return;
        }
        let wanted = heading.id.unwrap_or_else(|| slugify(&text));
        let id = self.ids.claim(if wanted.is_empty() {
            "section"
        } else {
            &wanted
        });
        let level = self.shown_level(heading.level);
        let (mut id_attribute, mut href) = (String::new(), String::new());
        escape(&mut id_attribute, &id);
        escape(&mut href, &url::encoded(&format!("#{id}")));
        let attributes = heading.attributes;
        self.html(&format!(
            "<h{level} id=\"{id_attribute}\"{attributes}>{}",
            inner.trim()
        ));
        // No link within a link, neither around the heading nor in it.
        if !self.is_open("a") {
            self.html(&format!(
                " <a class=\"anchor\" href=\"{href}\" aria-label=\"Link to this section\">#</a>"
            ));
        }
        self.html(&format!("</h{level}>\n"));
        self.headings.push(Heading { level, id, text });
    }

    /// A destination after the caller's rewriting; `None`, and noted, if it may not be there.
    pub(super) fn destination(
        &mut self,
        element: &str,
        address: &str,
        offset: usize,
    ) -> Option<String> {
        let rewritten = self.options.link.and_then(|link| link(address));
        let address = rewritten.as_deref().unwrap_or(address);
        match url::check(element, address) {
            Ok(()) => Some(url::encoded(address)),
            Err(what) => {
                self.remove(offset, what);
                None
            }
        }
    }
}

/// Adds text, escaped for HTML: as content or between double quotes.
pub(super) fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            '\r' => {}
            // HTML has no place for control characters (Living Standard section 13.1.4).
            _ if c.is_control() => out.push('\u{FFFD}'),
            _ => out.push(c),
        }
    }
}

/// ` name="value"`, escaped.
pub(super) fn attribute(out: &mut String, name: &str, value: &str) {
    out.push(' ');
    out.push_str(name);
    out.push_str("=\"");
    escape(out, value);
    out.push('"');
}
