//! What the keys of front matter mean, whichever generator wrote them.

use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use super::report::Report;
use crate::{
    base::{Id, Timestamp},
    text::{date, front_matter::Entry},
};

/// What front matter says.
#[derive(Clone, Debug, Default)]
pub(super) struct Front {
    pub(super) title: Option<String>,
    pub(super) description: Option<String>,
    pub(super) date: Option<Timestamp>,
    pub(super) updated: Option<Timestamp>,
    pub(super) is_draft: bool,
    pub(super) path: Option<String>,
    pub(super) slug: Option<String>,
    pub(super) aliases: Vec<(String, usize)>,
    pub(super) tags: Vec<String>,
    pub(super) categories: Vec<String>,
    pub(super) authors: Vec<String>,
    /// Of our own export: the post's id, revision and kind.
    pub(super) id: Option<Id>,
    pub(super) revision: Option<i64>,
    pub(super) is_page: Option<bool>,
    /// Everything else, for the next export.
    pub(super) extra: Map<String, Value>,
}

/// Saves of one post that an export can speak of; what is above is no number of ours.
const MAX_REVISION: i64 = 1_000_000_000;

/// Keys that generators know and that mean nothing here.
const WITHOUT_EFFECT: [&str; 20] = [
    "template",
    "weight",
    "layout",
    "sort_by",
    "in_search_index",
    "render",
    "insert_anchor_links",
    "generate_feeds",
    "generate_feed",
    "paginate_by",
    "page_template",
    "comments",
    "toc",
    "type",
    "excerpt_separator",
    "image",
    "keywords",
    "series",
    "cover",
    "transparent",
];

/// Reads the entries of one file's front matter.
pub(super) fn read(entries: &[Entry], file: &str, report: &mut Report) -> Front {
    let mut reader = Reader {
        front: Front::default(),
        file,
        report,
    };
    for entry in entries {
        reader.entry(entry);
    }
    reader.front
}

struct Reader<'a> {
    front: Front,
    file: &'a str,
    report: &'a mut Report,
}

impl Reader<'_> {
    fn entry(&mut self, Entry { key, line, value }: &Entry) {
        let line = *line;
        match key.to_lowercase().as_str() {
            "title" => self.front.title = self.text(key, line, value),
            "description" | "summary" | "excerpt" => {
                self.front.description = self
                    .text(key, line, value)
                    .or(self.front.description.take());
            }
            "date" | "published_at" | "publishdate" => self.date_of_publication(key, line, value),
            "updated" | "lastmod" | "last_modified_at" | "modified" => {
                self.front.updated = self.date(key, line, value);
            }
            "draft" => self.front.is_draft |= self.bool(key, line, value),
            "published" => match value {
                Value::Bool(is_published) => self.front.is_draft |= !is_published,
                _ => self.date_of_publication(key, line, value),
            },
            "path" | "url" | "permalink" => self.front.path = self.text(key, line, value),
            "slug" => self.front.slug = self.text(key, line, value),
            "aliases" | "redirect_from" => {
                let aliases = self.list(key, line, value);
                self.front
                    .aliases
                    .extend(aliases.into_iter().map(|alias| (alias, line)));
            }
            "tags" | "tag" => self.tags(key, line, value),
            "categories" | "category" => {
                let categories = self.list(key, line, value);
                self.front.categories.clone_from(&categories);
                self.front.tags.extend(categories);
            }
            "authors" | "author" => {
                let authors = self.list(key, line, value);
                self.front.authors.extend(authors);
            }
            "taxonomies" => self.taxonomies(line, value),
            "extra" => self.extra(line, value),
            name => {
                self.front.extra.insert(key.clone(), value.clone());
                let text = if WITHOUT_EFFECT.contains(&name) {
                    format!("the setting `{key}` is kept for an export, and has no effect here")
                } else {
                    format!(
                        "the setting `{key}` is not known; it is kept for an export, and has no effect here"
                    )
                };
                self.report.not_understood(self.file, Some(line), &text);
            }
        }
    }

    fn date_of_publication(&mut self, key: &str, line: usize, value: &Value) {
        self.front.date = self.date(key, line, value).or(self.front.date);
    }

    /// Zola: `[taxonomies] tags = […]`.
    fn taxonomies(&mut self, line: usize, value: &Value) {
        let Value::Object(taxonomies) = value else {
            return self.wrong("taxonomies", line, "a table of lists");
        };
        for (name, value) in taxonomies {
            match name.as_str() {
                "tags" | "categories" => self.tags(name, line, value),
                "authors" => {
                    let authors = self.list(name, line, value);
                    self.front.authors.extend(authors);
                }
                _ => {
                    let text = format!("the taxonomy `{name}` was taken for tags");
                    self.report.changed(self.file, Some(line), &text);
                    self.tags(name, line, value);
                }
            }
        }
    }

    /// Zola's place for what is one's own; `extra.webstead` is what our export wrote.
    fn extra(&mut self, line: usize, value: &Value) {
        let Value::Object(extra) = value else {
            return self.wrong("extra", line, "a table");
        };
        let mut extra = extra.clone();
        if let Some(Value::Object(own)) = extra.remove("webstead") {
            self.front.id = own
                .get("id")
                .and_then(Value::as_i64)
                .filter(|id| *id > 0)
                .map(Id);
            self.front.revision = own
                .get("revision")
                .and_then(Value::as_i64)
                .filter(|revision| (1..=MAX_REVISION).contains(revision));
            self.front.is_page = own
                .get("kind")
                .and_then(Value::as_str)
                .map(|kind| kind == "page");
        }
        if let Some(author) = extra
            .get("author")
            .filter(|author| author.is_string())
            .cloned()
        {
            let authors = self.list("extra.author", line, &author);
            self.front.authors.extend(authors);
        }
        for key in extra.keys() {
            let text =
                format!("the setting `extra.{key}` is kept for an export, and has no effect here");
            self.report.not_understood(self.file, Some(line), &text);
        }
        if !extra.is_empty() {
            self.front
                .extra
                .insert("extra".into(), Value::Object(extra));
        }
    }

    fn tags(&mut self, key: &str, line: usize, value: &Value) {
        let tags = self.list(key, line, value);
        self.front.tags.extend(tags);
    }

    fn text(&mut self, key: &str, line: usize, value: &Value) -> Option<String> {
        match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => {
                let text = format!("`{key}` is a number, and was taken as text");
                self.report.changed(self.file, Some(line), &text);
                Some(number.to_string())
            }
            Value::Null => None,
            _ => {
                self.wrong(key, line, "text");
                None
            }
        }
    }

    fn bool(&mut self, key: &str, line: usize, value: &Value) -> bool {
        match value {
            Value::Bool(yes) => *yes,
            Value::String(text) if ["true", "yes", "on"].contains(&text.as_str()) => true,
            Value::String(text) if ["false", "no", "off"].contains(&text.as_str()) => false,
            _ => {
                self.wrong(key, line, "true or false");
                // Rather a draft too many than something made public by mistake.
                true
            }
        }
    }

    fn date(&mut self, key: &str, line: usize, value: &Value) -> Option<Timestamp> {
        let Value::String(text) = value else {
            self.wrong(key, line, "a date");
            return None;
        };
        match date::parse(text, &TimeZone::UTC) {
            Ok(at) => Some(at),
            Err(problem) => {
                let text = format!("`{key}` was not used: {problem}");
                self.report.not_understood(self.file, Some(line), &text);
                None
            }
        }
    }

    /// A list of texts, or one text with commas (Jekyll: spaces are not separators in our reading).
    fn list(&mut self, key: &str, line: usize, value: &Value) -> Vec<String> {
        match value {
            Value::String(text)
                if key.contains("author") || key.contains("alias") || key.contains("redirect") =>
            {
                vec![text.clone()]
            }
            Value::String(text) => text
                .split(',')
                .map(|part| part.trim().to_owned())
                .filter(|part| !part.is_empty())
                .collect(),
            Value::Array(items) => items
                .iter()
                .filter_map(|item| match item {
                    Value::Object(table) => {
                        if let Some(Value::String(name)) = table.get("name") {
                            Some(name.clone())
                        } else {
                            self.wrong(key, line, "a list of texts");
                            None
                        }
                    }
                    item => self.text(key, line, item),
                })
                .collect(),
            Value::Null => vec![],
            _ => {
                self.wrong(key, line, "a list of texts");
                vec![]
            }
        }
    }

    fn wrong(&mut self, key: &str, line: usize, wanted: &str) {
        let text = format!("`{key}` is not {wanted}, and was not used");
        self.report.not_understood(self.file, Some(line), &text);
    }
}
