//! The domain types: a post (or page), and what makes one valid.

use crate::{
    base::{Id, Timestamp},
    text::{
        address::Address,
        excerpt::{excerpt, word_count},
        markdown::{self, Options, RENDERER_VERSION},
        packed,
        slug::slugify,
    },
};

pub use crate::text::line::one_line;

/// Characters of a title. Longer ones do not fit into a browser's tab, a feed or an address.
pub const MAX_TITLE_CHARS: usize = 300;
/// Characters of a description.
pub const MAX_DESCRIPTION_CHARS: usize = 1000;
/// Bytes of Markdown: about 80,000 words, and with its HTML still one change.
pub const MAX_MARKDOWN_BYTES: usize = 512 * 1024;
/// Tags of one post.
pub const MAX_TAGS: usize = 50;
/// Characters of a tag or an author.
pub const MAX_NAME_CHARS: usize = 100;
/// Authors of one post.
pub const MAX_AUTHORS: usize = 50;
/// Markdown and HTML together that are kept in the database; above that the HTML is made when read.
const MAX_STORED_BYTES: usize = 900_000;
/// Characters of an excerpt.
const EXCERPT_CHARS: usize = 240;

/// A post belongs to the stream of news, a page stands beside it and in the menu.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Dated, listed on the home page, in feeds and in the archive.
    Post,
    /// Timeless, listed in the menu.
    Page,
}

impl Kind {
    /// As the database and forms write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Post => "post",
            Self::Page => "page",
        }
    }

    /// From the database or a form; anything but `page` is a post.
    pub fn from_name(name: &str) -> Self {
        if name == "page" {
            Self::Page
        } else {
            Self::Post
        }
    }
}

/// What an editor writes of a post, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Content {
    /// Post or page.
    pub kind: Kind,
    /// Not empty, at most [`MAX_TITLE_CHARS`].
    pub title: String,
    /// May be empty, at most [`MAX_DESCRIPTION_CHARS`].
    pub description: String,
    /// At most [`MAX_MARKDOWN_BYTES`].
    pub markdown: String,
    /// Names as they are printed; their slugs differ from each other.
    pub tags: Vec<String>,
    /// The by-line, in order.
    pub authors: Vec<String>,
    /// Where the post is.
    pub address: Address,
    /// When it was, or is said to have been, published; `None` for a draft.
    pub published_at: Option<Timestamp>,
    /// The date that a draft will have when it is published; `None` for the moment of publishing, and
    /// for what is published.
    pub draft_at: Option<Timestamp>,
}

/// A problem of one field: the field's name and what to do about it.
pub type FieldProblem = (&'static str, String);

impl Content {
    /// The date that the editor's form shows: the one it has, or for a draft will have.
    pub fn date(&self) -> Option<Timestamp> {
        self.published_at.or(self.draft_at)
    }

    /// Checks the lengths and tidies the names; every problem is reported, not only the first.
    pub fn checked(mut self) -> Result<Self, Vec<FieldProblem>> {
        let mut problems = Vec::new();
        self.title = one_line(&self.title);
        self.description = one_line(&self.description);
        let title_chars = self.title.chars().count();
        if title_chars == 0 {
            problems.push(("title", "Give it a title.".to_owned()));
        } else if title_chars > MAX_TITLE_CHARS {
            problems.push((
                "title",
                format!("The title has {title_chars} characters; shorten it to {MAX_TITLE_CHARS}."),
            ));
        }
        let chars = self.description.chars().count();
        if chars > MAX_DESCRIPTION_CHARS {
            problems.push((
                "description",
                format!(
                    "The description has {chars} characters; shorten it to {MAX_DESCRIPTION_CHARS}."
                ),
            ));
        }
        let bytes = self.markdown.len();
        if bytes > MAX_MARKDOWN_BYTES {
            problems.push((
                "markdown",
                format!(
                    "The text has {bytes} bytes, and {MAX_MARKDOWN_BYTES} fit into one post; split it into parts."
                ),
            ));
        }
        if self.markdown.contains('\0') {
            problems.push((
                "markdown",
                "The text holds a NUL character; remove it.".to_owned(),
            ));
        }
        self.tags = tidy_names(&self.tags, tag_slug);
        self.authors = tidy_names(&self.authors, str::to_owned);
        check_names("tags", "tag", &self.tags, MAX_TAGS, &mut problems);
        check_names(
            "authors",
            "author",
            &self.authors,
            MAX_AUTHORS,
            &mut problems,
        );
        for tag in self.tags.iter().filter(|tag| tag_slug(tag).is_empty()) {
            problems.push((
                "tags",
                format!("The tag “{tag}” needs a letter or a digit."),
            ));
        }
        if problems.is_empty() {
            Ok(self)
        } else {
            Err(problems)
        }
    }
}

/// What is made from the Markdown and stored beside it.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// Sanitised HTML; `None` if it is too large to keep.
    pub html: Option<String>,
    /// The first words.
    pub excerpt: String,
    /// Words in the text.
    pub words: usize,
    /// [`RENDERER_VERSION`] that made it.
    pub renderer: i64,
    /// The text and the HTML as they are to be stored, if it is better to pack them.
    pub packed: Option<Vec<u8>>,
}

impl Rendered {
    /// Renders Markdown. Takes milliseconds (a Pi: a hundred); call it off the async threads.
    pub fn from_markdown(markdown: &str) -> Self {
        Self::from_html(
            markdown,
            markdown::render(markdown, &Options::default()).html,
        )
    }

    /// The same of HTML that [`markdown::render`] has made of this Markdown.
    pub fn from_html(markdown: &str, html: String) -> Self {
        Self {
            excerpt: excerpt(&html, EXCERPT_CHARS),
            words: word_count(&html),
            renderer: RENDERER_VERSION,
            html: (html.len() + markdown.len() <= MAX_STORED_BYTES).then_some(html),
            packed: None,
        }
    }

    /// The same, packed with the Markdown that it was made from. On a small board it takes up to 0.1 s.
    #[must_use]
    pub fn packed_with(mut self, markdown: &str) -> Self {
        let html = self.html.as_deref();
        self.packed = html.and_then(|html| packed::pack(markdown, html));
        self
    }
}

/// A post as it is in the database, whole.
#[derive(Clone, Debug)]
pub struct Post {
    /// Its id.
    pub id: Id,
    /// Rises with every save.
    pub revision: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last saved.
    pub updated_at: Timestamp,
    /// When it was put into the trash, if it is there.
    pub trashed_at: Option<Timestamp>,
    /// What the editor wrote.
    pub content: Content,
    /// What was made of it.
    pub rendered: Rendered,
}

impl Post {
    /// The HTML: the stored one if this renderer made it, else made now.
    pub fn html(&self) -> String {
        match &self.rendered.html {
            Some(html) if self.rendered.renderer == RENDERER_VERSION => html.clone(),
            _ => markdown::render(&self.content.markdown, &Options::default()).html,
        }
    }

    /// The description, or the first words where there is none.
    pub fn summary(&self) -> &str {
        if self.content.description.is_empty() {
            &self.rendered.excerpt
        } else {
            &self.content.description
        }
    }
}

/// A tag's name and address part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// As it is printed.
    pub name: String,
    /// As it is in the address `/tags/SLUG`.
    pub slug: String,
}

/// The address part of a tag. Signs that tell names apart are words: C, C++ and C# are three tags.
pub fn tag_slug(name: &str) -> String {
    slugify(&name.replace('+', " plus ").replace('#', " sharp "))
}

/// Names of a comma- or semicolon-separated field.
pub fn split_names(field: &str, separator: char) -> Vec<String> {
    field
        .split(separator)
        .map(one_line)
        .filter(|name| !name.is_empty())
        .collect()
}

fn tidy_names(names: &[String], key: impl Fn(&str) -> String) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    names
        .iter()
        .map(|name| one_line(name))
        .filter(|name| !name.is_empty() && seen.insert(key(name)))
        .collect()
}

fn check_names(
    field: &'static str,
    one: &str,
    names: &[String],
    most: usize,
    problems: &mut Vec<FieldProblem>,
) {
    if names.len() > most {
        problems.push((
            field,
            format!("There are {} {field}; {most} are the most.", names.len()),
        ));
    }
    if let Some(long) = names.iter().find(|n| n.chars().count() > MAX_NAME_CHARS) {
        let start: String = long.chars().take(30).collect();
        problems.push((
            field,
            format!("The {one} “{start}…” is too long; shorten it to {MAX_NAME_CHARS} characters."),
        ));
    }
}
