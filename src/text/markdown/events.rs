//! From what the Markdown parser finds to HTML.

use std::ops::Range;

use pulldown_cmark::{Alignment, BlockQuoteKind, CodeBlockKind, Event, LinkType, Tag, TagEnd};

use super::{
    footnotes::Footnotes,
    raw_html::{Token, Tokens},
    url,
    writer::{Closing, MAX_DEPTH, Writer, attribute, escape},
};
use crate::text::highlight::{Highlighter, language_of};

/// Bytes of code of one text that are coloured; the rest is shown plain. Colouring is the slow
/// part: on a small board about a second for this much.
const MAX_HIGHLIGHTED_BYTES: usize = 200_000;

/// An image whose alternative text is being collected.
struct Image {
    /// Images open within each other; only the outermost is shown.
    depth: usize,
    address: String,
    title: String,
    alt: String,
    offset: usize,
}

/// Turns events into HTML.
pub(super) struct Renderer<'a> {
    /// Where it is written.
    pub writer: Writer<'a>,
    /// Footnotes and what refers to them.
    pub footnotes: Footnotes,
    image: Option<Image>,
    /// Language and text of the code block that is open.
    code: Option<(String, String)>,
    highlighted_bytes: usize,
    /// The grammars; they go when the text is done.
    highlighter: Highlighter,
    alignments: Vec<Alignment>,
    column: usize,
    in_table_head: bool,
    /// The raw HTML block that is open, and where its lines come from.
    block: Option<(String, Vec<(usize, usize)>)>,
    /// Everything in the line is dropped until this element ends.
    dropping: Option<&'static str>,
}

impl<'a> Renderer<'a> {
    /// A renderer that writes there.
    pub(super) fn new(writer: Writer<'a>) -> Self {
        Self {
            writer,
            footnotes: Footnotes::default(),
            image: None,
            code: None,
            highlighted_bytes: 0,
            highlighter: Highlighter::default(),
            alignments: Vec::new(),
            column: 0,
            in_table_head: false,
            block: None,
            dropping: None,
        }
    }

    /// Writes one event.
    pub(super) fn event(&mut self, event: Event<'_>, range: Range<usize>) {
        let offset = range.start;
        if self.dropping.is_some() && self.drops(&event) {
            return;
        }
        match event {
            Event::Start(tag) => self.start(tag, offset),
            Event::End(end) => self.end(end),
            Event::Html(html) => match &mut self.block {
                Some((text, origins)) => {
                    origins.push((text.len(), offset));
                    text.push_str(&html);
                }
                None => self.raw(&html, &[(0, offset)]),
            },
            Event::InlineHtml(html) => {
                if self.image.is_none() {
                    self.raw(&html, &[(0, offset)]);
                }
            }
            Event::Text(text) | Event::InlineMath(text) | Event::DisplayMath(text) => {
                self.text(&text);
            }
            Event::Code(text) if self.image.is_some() => self.text(&text),
            Event::Code(text) => {
                self.writer.html("<code>");
                self.writer.text(&text);
                self.writer.html("</code>");
            }
            Event::SoftBreak => self.text("\n"),
            Event::HardBreak if self.image.is_some() => self.text("\n"),
            Event::HardBreak => {
                self.writer.html("<br>");
                self.writer.text("\n");
            }
            Event::Rule => {
                self.writer.end_paragraph();
                self.writer.html("<hr>\n");
            }
            Event::FootnoteReference(label) => {
                // A link in a link is not HTML, and an image's text has no links.
                if self.image.is_none() {
                    self.footnotes.refer(&label, &mut self.writer);
                }
            }
            Event::TaskListMarker(is_done) => self.checkbox(is_done),
        }
    }

    /// Whether the event is within an inline element that is dropped with its content.
    fn drops(&mut self, event: &Event<'_>) -> bool {
        match event {
            Event::InlineHtml(html) => {
                let is_end = matches!(Tokens::new(html).next(),
                    Some(Token::Close { name }) if Some(name.as_str()) == self.dropping);
                if is_end {
                    self.dropping = None;
                }
                true
            }
            Event::Start(
                Tag::Emphasis
                | Tag::Strong
                | Tag::Strikethrough
                | Tag::Link { .. }
                | Tag::Image { .. },
            ) => {
                self.writer.open_nothing();
                true
            }
            Event::End(
                TagEnd::Emphasis
                | TagEnd::Strong
                | TagEnd::Strikethrough
                | TagEnd::Link
                | TagEnd::Image,
            ) => false,
            Event::Start(_) | Event::End(_) | Event::Html(_) | Event::Rule => {
                self.dropping = None;
                false
            }
            _ => true,
        }
    }

    fn raw(&mut self, html: &str, origins: &[(usize, usize)]) {
        self.dropping = self.writer.raw(html, origins);
    }

    fn text(&mut self, text: &str) {
        if let Some((_, code)) = &mut self.code {
            code.push_str(text);
        } else if let Some(image) = &mut self.image {
            image.alt.push_str(text);
        } else {
            self.writer.text(text);
        }
    }

    fn start(&mut self, tag: Tag<'_>, offset: usize) {
        let writer = &mut self.writer;
        match tag {
            Tag::Paragraph => self.block("p", "<p>", Closing::With("</p>\n")),
            Tag::Heading {
                level, id, classes, ..
            } => {
                let id = id.map(|id| id.to_string());
                self.heading(level as u8, id, &classes.join(" "));
            }
            Tag::BlockQuote(kind) => self.quote(kind, offset),
            Tag::CodeBlock(kind) => {
                writer.open_nothing();
                let language = match kind {
                    CodeBlockKind::Fenced(info) => info.to_string(),
                    CodeBlockKind::Indented => String::new(),
                };
                self.code = Some((language, String::new()));
            }
            Tag::HtmlBlock => {
                writer.open_nothing();
                self.block = Some((String::new(), Vec::new()));
            }
            Tag::List(start) => self.list(start, offset),
            Tag::Item => {
                let is_in_list = writer
                    .frame
                    .stack
                    .last()
                    .is_some_and(|o| matches!(o.name, "ol" | "ul"));
                if is_in_list {
                    writer.open("li", "<li>", Closing::With("</li>\n"));
                } else {
                    writer.open_nothing();
                }
            }
            Tag::FootnoteDefinition(label) => {
                writer.open_nothing();
                self.footnotes.start(&label, writer);
            }
            Tag::Table(alignments) => {
                self.alignments = alignments;
                let start = "<div class=\"table\" role=\"group\" tabindex=\"0\" aria-label=\"Table\"><table>";
                self.block("table", start, Closing::With("</table></div>\n"));
            }
            Tag::TableHead => {
                self.column = 0;
                self.in_table_head = true;
                writer.open("tr", "<thead><tr>", Closing::With("</tr></thead>\n"));
            }
            Tag::TableRow => {
                self.column = 0;
                writer.open("tr", "<tr>", Closing::With("</tr>\n"));
            }
            Tag::TableCell => self.cell(),
            Tag::Emphasis => self.inline("em", "<em>", offset),
            Tag::Strong => self.inline("strong", "<strong>", offset),
            Tag::Strikethrough => self.inline("del", "<del>", offset),
            Tag::Link {
                link_type,
                dest_url,
                title,
                ..
            } => {
                let address = match link_type {
                    LinkType::Email => format!("mailto:{dest_url}"),
                    _ => dest_url.to_string(),
                };
                self.link(&address, &title, offset);
            }
            Tag::Image {
                dest_url, title, ..
            } => {
                writer.open_nothing();
                match &mut self.image {
                    Some(image) => image.depth += 1,
                    None => {
                        self.image = Some(Image {
                            depth: 1,
                            address: dest_url.to_string(),
                            title: title.to_string(),
                            alt: String::new(),
                            offset,
                        });
                    }
                }
            }
            // Switched off in the parser; whatever it may find later is shown as its content.
            _ => writer.open_nothing(),
        }
    }

    fn end(&mut self, end: TagEnd) {
        match end {
            TagEnd::CodeBlock => {
                if let Some((language, code)) = self.code.take() {
                    self.code_block(&language, &code);
                }
            }
            TagEnd::HtmlBlock => {
                if let Some((html, origins)) = self.block.take()
                    && !origins.is_empty()
                {
                    self.raw(&html, &origins);
                    // What an HTML block leaves open ends with it.
                    self.dropping = None;
                }
            }
            TagEnd::Image => {
                if let Some(image) = &mut self.image {
                    image.depth -= 1;
                    if image.depth == 0 {
                        self.write_image();
                    }
                }
            }
            TagEnd::FootnoteDefinition => self.footnotes.end(&mut self.writer),
            TagEnd::TableHead => self.in_table_head = false,
            _ => {}
        }
        self.writer.close();
    }

    /// A heading, unless one is open around it.
    fn heading(&mut self, level: u8, id: Option<String>, classes: &str) {
        let writer = &mut self.writer;
        writer.end_paragraph();
        if writer.is_in_heading() {
            return writer.open_nothing();
        }
        let mut attributes = String::new();
        if !classes.is_empty() {
            attribute(&mut attributes, "class", classes);
        }
        let id = id.filter(|id| !id.trim().is_empty());
        writer.open_heading(level, id, attributes);
        writer.open("h1", "", Closing::Heading);
    }

    /// A list, with the number of its first item if it is ordered.
    fn list(&mut self, start: Option<u64>, offset: usize) {
        let tag = match start {
            None => "<ul>\n".to_owned(),
            Some(1) => "<ol>\n".to_owned(),
            Some(start) => format!("<ol start=\"{start}\">\n"),
        };
        let (name, close) = if start.is_some() {
            ("ol", "</ol>\n")
        } else {
            ("ul", "</ul>\n")
        };
        self.nesting_block(name, &tag, Closing::With(close), 2, offset);
    }

    /// A block that cannot hold itself.
    fn block(&mut self, name: &'static str, start: &str, close: Closing) {
        self.writer.end_paragraph();
        self.writer.open(name, start, close);
    }

    /// A block that can hold itself, if there is room for `levels` more.
    fn nesting_block(
        &mut self,
        name: &'static str,
        start: &str,
        close: Closing,
        levels: usize,
        offset: usize,
    ) {
        self.writer.end_paragraph();
        if self.writer.frame.stack.len() + levels <= MAX_DEPTH {
            self.writer.open(name, start, close);
        } else {
            self.too_deep(offset);
        }
    }

    /// An element within a line.
    fn inline(&mut self, name: &'static str, start: &str, offset: usize) {
        if self.image.is_some() {
            self.writer.open_nothing();
        } else if self.writer.has_room() {
            self.writer.open(name, start, Closing::Tag);
        } else {
            self.too_deep(offset);
        }
    }

    fn too_deep(&mut self, offset: usize) {
        self.writer.open_nothing();
        self.writer
            .remove_once(offset, "nesting deeper than 60 levels");
    }

    fn quote(&mut self, kind: Option<BlockQuoteKind>, offset: usize) {
        let (class, title) = match kind {
            None => {
                return self.nesting_block(
                    "blockquote",
                    "<blockquote>\n",
                    Closing::With("</blockquote>\n"),
                    1,
                    offset,
                );
            }
            Some(BlockQuoteKind::Note) => ("note", "Note"),
            Some(BlockQuoteKind::Tip) => ("tip", "Tip"),
            Some(BlockQuoteKind::Important) => ("important", "Important"),
            Some(BlockQuoteKind::Warning) => ("warning", "Warning"),
            Some(BlockQuoteKind::Caution) => ("caution", "Caution"),
        };
        let start = format!(
            "<div class=\"alert alert-{class}\" role=\"note\">\n<p class=\"alert-title\">{title}</p>\n"
        );
        self.nesting_block("div", &start, Closing::With("</div>\n"), 1, offset);
    }

    fn cell(&mut self) {
        let align = match self.alignments.get(self.column) {
            Some(Alignment::Left) => " class=\"align-left\"",
            Some(Alignment::Center) => " class=\"align-center\"",
            Some(Alignment::Right) => " class=\"align-right\"",
            _ => "",
        };
        self.column += 1;
        if self.in_table_head {
            self.writer
                .open("th", &format!("<th scope=\"col\"{align}>"), Closing::Tag);
        } else {
            self.writer
                .open("td", &format!("<td{align}>"), Closing::Tag);
        }
    }

    fn link(&mut self, address: &str, title: &str, offset: usize) {
        if self.image.is_some() || self.writer.is_open("a") {
            return self.writer.open_nothing();
        }
        let Some(address) = self.writer.destination("a", address, offset) else {
            return self.writer.open_nothing();
        };
        let mut start = "<a".to_owned();
        attribute(&mut start, "href", &address);
        if !title.is_empty() {
            attribute(&mut start, "title", title);
        }
        if url::is_external(&address) {
            start.push_str(" rel=\"noopener\"");
        }
        start.push('>');
        self.inline("a", &start, offset);
    }

    fn write_image(&mut self) {
        let Some(image) = self.image.take() else {
            return;
        };
        let writer = &mut self.writer;
        let alt = image.alt.split_whitespace().collect::<Vec<_>>().join(" ");
        let address = writer.destination("img", &image.address, image.offset);
        let Some(address) = address.filter(|address| !address.is_empty()) else {
            return writer.text(&alt);
        };
        let mut tag = "<img".to_owned();
        attribute(&mut tag, "src", &address);
        attribute(&mut tag, "alt", &alt);
        if !image.title.is_empty() {
            attribute(&mut tag, "title", &image.title);
        }
        tag.push_str(" loading=\"lazy\" decoding=\"async\">");
        writer.html(&tag);
    }

    fn code_block(&mut self, info: &str, code: &str) {
        let language = language_of(info);
        let writer = &mut self.writer;
        writer.end_paragraph();
        writer.html("<pre tabindex=\"0\"><code");
        if !language.is_empty() {
            let mut class = String::new();
            attribute(&mut class, "class", &format!("language-{language}"));
            writer.html(&class);
        }
        writer.html(">");
        let fits = self.highlighted_bytes + code.len() <= MAX_HIGHLIGHTED_BYTES;
        let coloured = if fits && !language.is_empty() {
            self.highlighter.highlight(code, &language)
        } else {
            None
        };
        if let Some(html) = coloured {
            self.highlighted_bytes += code.len();
            writer.html(&html);
        } else {
            let mut html = String::with_capacity(code.len());
            escape(&mut html, code);
            writer.html(&html);
        }
        writer.html("</code></pre>\n");
    }

    /// A box of a task list. It is the first thing in its item, so the item's start is still the
    /// end of the output.
    fn checkbox(&mut self, is_done: bool) {
        let writer = &mut self.writer;
        for (start, with_class) in [
            ("<li>", "<li class=\"task\">"),
            ("<li><p>", "<li class=\"task\"><p>"),
        ] {
            if writer.frame.out.ends_with(start) {
                let length = writer.frame.out.len() - start.len();
                writer.frame.out.truncate(length);
                writer.html(with_class);
            }
        }
        let (label, checked) = if is_done {
            ("Done", " checked")
        } else {
            ("To do", "")
        };
        writer.html(&format!(
            "<input type=\"checkbox\" aria-label=\"{label}\" disabled{checked}> "
        ));
    }
}
