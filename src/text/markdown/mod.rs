//! Markdown to HTML that is safe to show.
//!
//! `events` walks through what the parser finds, `raw` and `raw_html` read the HTML in between,
//! `writer` keeps the output balanced and flat, and `sanitise` reads all of it once more by `rules`.

mod events;
mod footnotes;
#[cfg(test)]
mod hostile_tests;
mod ids;
#[cfg(test)]
mod output_tests;
mod raw;
mod raw_html;
mod rules;
mod sanitise;
mod url;
mod writer;

use pulldown_cmark::{Options as Extensions, Parser};

use self::{events::Renderer, writer::Writer};

/// What the parser knows beyond `CommonMark`.
const EXTENSIONS: Extensions = Extensions::ENABLE_TABLES
    .union(Extensions::ENABLE_FOOTNOTES)
    .union(Extensions::ENABLE_STRIKETHROUGH)
    .union(Extensions::ENABLE_TASKLISTS)
    .union(Extensions::ENABLE_HEADING_ATTRIBUTES)
    .union(Extensions::ENABLE_GFM);

/// Increased whenever the same Markdown gives other HTML, so that stored HTML is made again.
pub const RENDERER_VERSION: i64 = 1;

/// Gives another destination for one of a link or an image; `None` keeps it.
pub type Rewrite<'a> = &'a dyn Fn(&str) -> Option<String>;

/// How to render.
#[derive(Clone, Copy, Default)]
pub struct Options<'a> {
    /// Called with every link and image destination; `Some` replaces it. Called before sanitising.
    pub link: Option<Rewrite<'a>>,
}

/// What Markdown became.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    /// The HTML, sanitised.
    pub html: String,
    /// What was left out of it, in the order of the text.
    pub removed: Vec<Removed>,
    /// Its headings, in the order of the text.
    pub headings: Vec<Heading>,
}

/// Something that is not allowed and was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// The line of the Markdown, from 1.
    pub line: usize,
    /// What it was: `<script>`, `style attribute on <div>`, `javascript: link`.
    pub what: String,
}

/// A heading of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heading {
    /// 1 to 6, as it is in the HTML.
    pub level: u8,
    /// The `id` in the HTML.
    pub id: String,
    /// Its plain text.
    pub text: String,
}

/// Renders Markdown to HTML that is safe to show. Takes any input; never panics.
///
/// `CommonMark` with tables, footnotes, task lists, strikethrough, alerts (`> [!NOTE]`) and heading
/// attributes (`{#id .class}`). Raw HTML is kept as far as it is allowed. Time and memory grow with
/// the length of the input; what is nested deeper than 60 levels is shown flat.
pub fn render(markdown: &str, options: &Options) -> Rendered {
    let markdown = markdown.strip_prefix('\u{FEFF}').unwrap_or(markdown);
    let mut renderer = Renderer::new(Writer::new(markdown, options));
    for (event, range) in Parser::new_ext(markdown, EXTENSIONS).into_offset_iter() {
        renderer.event(event, range);
    }
    let Renderer {
        mut writer,
        footnotes,
        ..
    } = renderer;
    writer.close_to(0);
    footnotes.write_list(&mut writer);
    Rendered {
        html: sanitise::sanitise(&writer.frame.out),
        removed: writer.removed,
        headings: writer.headings,
    }
}
