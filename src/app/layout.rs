//! The frame around every page: what the head, the header and the footer need to know.

use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::base::{Id, Timestamp};

/// Languages that are usually written from right to left.
const RIGHT_TO_LEFT: &[&str] = &[
    "ar", "arc", "ckb", "dv", "fa", "he", "ks", "ps", "sd", "ug", "ur", "yi",
];

/// The site's settings and menu, read once for each version of the site and shared.
#[derive(Clone, Debug)]
pub struct Site {
    /// The id of the site: that of the setting of its name, which is made at set-up and stays when the
    /// name changes; 0 before.
    pub id: Id,
    /// The name of the site; may be empty before set-up.
    pub title: String,
    /// One line under the name; may be empty.
    pub tagline: String,
    /// The language that the site is written in, as a BCP 47 tag: `en`, `de-CH`.
    pub language: String,
    /// Where the site's days begin and end.
    pub zone: TimeZone,
    /// Published pages, in the order of the menu.
    pub menu: Vec<Link>,
    /// How many posts a list shows.
    pub posts_per_page: usize,
    /// Whether the owner's account exists.
    pub is_set_up: bool,
}

/// A link as it is printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// What a person reads.
    pub title: String,
    /// Where it leads; percent-encoded already.
    pub href: String,
}

/// What every page's frame needs.
#[derive(Clone, Debug)]
pub struct Shell {
    /// The site.
    pub site: Arc<Site>,
    /// Where the site is: `https://example.org`, without a slash at the end.
    pub base_url: String,
    /// The address of this page, as links to it are written; starts with a slash.
    pub path: String,
    /// Which screen of a list this is, as the address has it behind the path: `?before=…`, or nothing.
    pub query: String,
    /// The title of this page; empty on the first page.
    pub title: String,
    /// One or two plain sentences for search engines and link previews; may be empty.
    pub description: String,
    /// `OpenGraph`'s kind of page: `website` or `article` (<https://ogp.me>).
    pub og_type: &'static str,
    /// The whole address of a picture for link previews.
    pub og_image: Option<String>,
    /// When the page was published, for link previews.
    pub published: Option<Timestamp>,
    /// Who is signed in.
    pub reader: Option<Reader>,
    /// What the person should be told about what they just did.
    pub notice: Option<Notice>,
    /// What is wrong with the disk, for those who are signed in.
    pub alarms: Vec<String>,
    /// An editor's page: not for search engines, no `OpenGraph`.
    pub is_private: bool,
}

/// Somebody who is signed in.
#[derive(Clone, Debug)]
pub struct Reader {
    /// The name that visitors see.
    pub display_name: String,
    /// Whether they may change settings.
    pub is_owner: bool,
}

/// A message at the top of the page.
#[derive(Clone, Debug)]
pub struct Notice {
    /// How it looks.
    pub kind: NoticeKind,
    /// What it says; plain text.
    pub text: String,
    /// A way back.
    pub undo: Option<Undo>,
}

impl Notice {
    /// It worked; with a way back, if there is one.
    pub fn good(text: &str, undo: Option<Undo>) -> Self {
        Self {
            kind: NoticeKind::Good,
            text: text.to_owned(),
            undo,
        }
    }
}

/// What kind of message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticeKind {
    /// It worked.
    Good,
    /// It worked, but look.
    Warning,
    /// It did not work.
    Bad,
}

/// A button that takes back what was just done.
#[derive(Clone, Debug)]
pub struct Undo {
    /// Where its form is posted.
    pub action: String,
    /// What the button says.
    pub label: String,
}

/// The name of a field, and the message that is shown beside it.
pub type FieldError = (&'static str, String);

/// What is wrong with a form.
#[derive(Clone, Debug, Default)]
pub struct FieldErrors(pub Vec<FieldError>);

impl FieldErrors {
    /// The message for a field.
    pub fn get(&self, field: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(name, _)| *name == field)
            .map(|(_, message)| message.as_str())
    }

    /// Whether there is nothing wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The title, or a word that can be clicked when there is none.
pub fn or_untitled(title: &str) -> &str {
    if title.trim().is_empty() {
        "Untitled"
    } else {
        title
    }
}

impl NoticeKind {
    /// How a screen reader announces it: at once only if something went wrong.
    pub fn role(self) -> &'static str {
        match self {
            Self::Good | Self::Warning => "status",
            Self::Bad => "alert",
        }
    }

    /// The kind as a CSS class.
    pub fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warning => "warning",
            Self::Bad => "bad",
        }
    }
}

impl Shell {
    /// A day in the site's zone: `12 December 2014`.
    pub fn day(&self, t: &Timestamp) -> String {
        self.format(*t, "%-d %B %Y")
    }

    /// A day and the time in the site's zone: `12 December 2014, 09:30`.
    pub fn day_time(&self, t: &Timestamp) -> String {
        self.format(*t, "%-d %B %Y, %H:%M")
    }

    /// A day without its year in the site's zone, for lists under a year: `12 Dec`.
    pub fn short_day(&self, t: &Timestamp) -> String {
        self.format(*t, "%-d %b")
    }

    /// The whole address of this page: the one by which others should know it.
    pub fn canonical(&self) -> String {
        format!("{}{}{}", self.base_url, self.path, self.query)
    }

    /// What the browser's tab and a search engine show.
    pub fn document_title(&self) -> String {
        match (self.title.is_empty(), self.site.title.is_empty()) {
            (true, true) => "A new website".to_owned(),
            (true, false) => self.site.title.clone(),
            (false, true) => self.title.clone(),
            (false, false) => format!("{} · {}", self.title, self.site.title),
        }
    }

    /// The title of this page alone, for link previews.
    pub fn short_title(&self) -> &str {
        if self.title.is_empty() {
            self.site_title()
        } else {
            &self.title
        }
    }

    /// The language of the page: the editor's pages are in English whatever the site is in.
    pub fn language(&self) -> &str {
        if self.is_private || self.site.language.is_empty() {
            "en"
        } else {
            &self.site.language
        }
    }

    /// Which way the language is written: `ltr` or `rtl`.
    pub fn direction(&self) -> &'static str {
        let language = self.language().split('-').next().unwrap_or_default();
        if RIGHT_TO_LEFT.contains(&language.to_ascii_lowercase().as_str()) {
            "rtl"
        } else {
            "ltr"
        }
    }

    /// Whether the page needs what only editors see: the bar, forms.
    pub fn has_admin_styles(&self) -> bool {
        self.is_private || self.reader.is_some()
    }

    /// The name of the site, or a stand-in before set-up.
    pub fn site_title(&self) -> &str {
        if self.site.title.is_empty() {
            "A new website"
        } else {
            &self.site.title
        }
    }

    /// The time of a day in the site's zone: `9 Dec, 09:30:05`.
    pub fn clock(&self, t: &Timestamp) -> String {
        self.format(*t, "%-d %b, %H:%M:%S")
    }

    fn format(&self, t: Timestamp, how: &str) -> String {
        t.to_jiff()
            .to_zoned(self.site.zone.clone())
            .strftime(how)
            .to_string()
    }
}
