//! One Markdown file, read and understood as far as it can be on its own.

use std::fs;

use serde_json::{Map, Value};

use super::{
    dates::{date_of_path, split_dated_name},
    export::KEPT_SETTINGS,
    front::{self, Front},
    report::Report,
    walk::File,
};
use crate::{
    app::{
        posts::post::{Kind, MAX_MARKDOWN_BYTES, MAX_TITLE_CHARS, one_line},
        settings::queries::MAX_SITE_TITLE_CHARS,
    },
    base::{Id, Timestamp},
    text::{address::Address, front_matter, slug::slugify},
};

/// Bytes of a Markdown file with its front matter.
const MAX_FILE_BYTES: u64 = (MAX_MARKDOWN_BYTES + front_matter::MAX_FRONT_MATTER_BYTES) as u64;

/// What a file says that becomes a post or page.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Its file below the folder: what the report names.
    pub(super) key: String,
    /// Its file, from the root of the machine: which post it is at the next import.
    pub(super) origin: String,
    pub(super) kind: Kind,
    pub(super) title: String,
    pub(super) description: String,
    pub(super) published_at: Option<Timestamp>,
    /// The date that a draft has given itself.
    pub(super) draft_at: Option<Timestamp>,
    /// Nothing says when it was published, so it is the time when the file was last changed.
    pub(super) is_date_of_file: bool,
    pub(super) updated_at: Option<Timestamp>,
    pub(super) address: Address,
    /// Old addresses, with the line that names them.
    pub(super) aliases: Vec<(Address, usize)>,
    pub(super) tags: Vec<String>,
    pub(super) authors: Vec<String>,
    /// The id that our own export wrote.
    pub(super) id: Option<Id>,
    /// The revision that our own export wrote.
    pub(super) revision: Option<i64>,
    pub(super) extra: Map<String, Value>,
    pub(super) body: String,
    /// The line of the file in which the body starts.
    pub(super) body_line: usize,
}

/// What became of a Markdown file.
pub(super) enum Outcome {
    Entry(Box<Entry>),
    /// The root's `_index.md`: settings of the site.
    Site(Vec<(&'static str, String)>),
    /// Nothing to import; the report says why.
    Nothing,
}

/// Reads a file. What is wrong with it is in the report.
pub(super) fn read(file: &File, report: &mut Report) -> Outcome {
    match read_text(file) {
        Ok(source) => understand(file, &source, report),
        Err((line, why)) => {
            report.left_out(&file.key, line, &why);
            Outcome::Nothing
        }
    }
}

fn read_text(file: &File) -> Result<String, (Option<usize>, String)> {
    let size = fs::metadata(&file.path).map_or(0, |metadata| metadata.len());
    if size > MAX_FILE_BYTES {
        let text = format!(
            "it has {size} bytes, and {MAX_MARKDOWN_BYTES} are the most for one post; split it into parts"
        );
        return Err((None, text));
    }
    let bytes = fs::read(&file.path).map_err(|e| (None, format!("it cannot be read ({e})")))?;
    let line_of = |at: usize| bytes[..at].split(|b| *b == b'\n').count();
    if let Some(at) = bytes.iter().position(|b| *b == 0) {
        return Err((
            Some(line_of(at)),
            "it holds NUL bytes, so it is not text".into(),
        ));
    }
    String::from_utf8(bytes.clone()).map_err(|e| {
        let line = line_of(e.utf8_error().valid_up_to());
        (Some(line), "it is not UTF-8 text; convert it".into())
    })
}

fn understand(file: &File, source: &str, report: &mut Report) -> Outcome {
    let parsed = match front_matter::parse(source) {
        Ok(parsed) => parsed,
        Err(problem) => {
            report.left_out(&file.key, Some(problem.line), &problem.message);
            return Outcome::Nothing;
        }
    };
    let name = file.key.rsplit('/').next().unwrap_or(&file.key);
    let is_section = name == "_index.md";
    if is_section && parsed.body.trim().is_empty() {
        return section(file, &parsed.values, report);
    }
    let front = front::read(&parsed.values, &file.key, report);
    let body = parsed.body.replace("\r\n", "\n");
    entry(file, front, body, parsed.body_line, report)
        .map_or(Outcome::Nothing, |entry| Outcome::Entry(Box::new(entry)))
}

/// `_index.md` without a text: settings of a section, which has no page here.
fn section(file: &File, values: &[front_matter::Entry], report: &mut Report) -> Outcome {
    let text_of = |key: &str| {
        values
            .iter()
            .find(|entry| entry.key == key)
            .and_then(|entry| entry.value.as_str())
            .map(one_line)
    };
    if file.key == "_index.md" {
        let keys: Vec<_> = values
            .iter()
            .map(|entry| entry.key.as_str())
            .filter(|key| !matches!(*key, "title" | "description" | "extra"))
            .collect();
        if !keys.is_empty() {
            let text = format!(
                "settings of the whole site that have no effect here: {}",
                keys.join(", ")
            );
            report.not_understood(&file.key, None, &text);
        }
        let own = values
            .iter()
            .find(|entry| entry.key == "extra")
            .map(|entry| &entry.value["webstead"]);
        let kept = KEPT_SETTINGS.iter().filter_map(|name| {
            let value = own?.get(*name)?.as_str()?;
            is_setting(name, value).then(|| (*name, value.to_owned()))
        });
        let mut short_text_of = |key: &str| {
            let text = text_of(key)?;
            if text.chars().count() > MAX_SITE_TITLE_CHARS {
                let remark = format!("the site's {key} was too long and was cut");
                report.changed(&file.key, None, &remark);
            }
            Some(text.chars().take(MAX_SITE_TITLE_CHARS).collect())
        };
        let named = [
            ("title", short_text_of("title")),
            ("tagline", short_text_of("description")),
        ];
        let named = named
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        return Outcome::Site(named.chain(kept).collect());
    }
    report.left_out(
        &file.key,
        None,
        "it holds the settings of a section and no text, and there are no sections here",
    );
    Outcome::Nothing
}

/// Whether a setting of our own export can be one.
fn is_setting(name: &str, value: &str) -> bool {
    match name {
        "time_zone" => jiff::tz::TimeZone::get(value).is_ok(),
        "posts_per_page" => value
            .parse()
            .is_ok_and(|posts: usize| (1..=100).contains(&posts)),
        _ => {
            value.len() <= 35
                && value
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        }
    }
}

fn entry(
    file: &File,
    front: Front,
    mut body: String,
    mut body_line: usize,
    report: &mut Report,
) -> Option<Entry> {
    let place = Place::of(&file.key);
    if front.title.is_none() && body.trim().is_empty() {
        report.left_out(&file.key, None, "it has neither a title nor a text");
        return None;
    }
    let title = title_of(&front, &place, &mut body, &mut body_line, &file.key, report);
    let title = cut_title(title, &file.key, report);
    if let Some(pattern) = front
        .path
        .as_deref()
        .filter(|path| path_of_url(path).contains(':'))
    {
        let text = format!(
            "the address pattern `{pattern}` is not understood; the address was made from the file's name"
        );
        report.not_understood(&file.key, None, &text);
    }
    let address = match address_of(&front, &place) {
        Ok(address) => address,
        Err((wanted, why)) => {
            let made = Address::parse(&format!("post-{}", slugify(&file.key))).ok()?;
            let text = format!(
                "its address `{wanted}` cannot be used here ({why}), so it is at {}",
                made.as_str()
            );
            report.changed(&file.key, None, &text);
            made
        }
    };
    let date = front
        .date
        .or(place.date)
        .or_else(|| date_of_path(address.as_str()));
    let is_page = front
        .is_page
        .unwrap_or(date.is_none() && !place.is_in_stream());
    let is_draft = front.is_draft || place.is_draft;
    let draft_at = front.date.filter(|_| is_draft);
    let is_date_of_file = date.is_none();
    let date = date.unwrap_or_else(|| {
        if !is_page && !is_draft {
            report.changed(
                &file.key,
                None,
                "it has no date; the time when the file was last changed was taken",
            );
        }
        file.modified
    });
    let mut aliases = Vec::new();
    let jekyll_html = place
        .is_jekyll
        .then(|| (format!("{}.html", address.as_str()), 1));
    for (alias, line) in front.aliases.iter().cloned().chain(jekyll_html) {
        match Address::parse(path_of_url(&alias)) {
            Ok(alias) if alias == address => {}
            Ok(alias) => aliases.push((alias, line)),
            Err(why) => {
                let text = format!("the old address `{alias}` was not used: {why}");
                report.not_understood(&file.key, Some(line), &text);
            }
        }
    }
    Some(Entry {
        key: file.key.clone(),
        origin: file.path.to_string_lossy().into_owned(),
        kind: if is_page { Kind::Page } else { Kind::Post },
        title,
        description: front.description.unwrap_or_default(),
        published_at: (!is_draft).then_some(date),
        draft_at,
        is_date_of_file,
        updated_at: front.updated,
        address,
        aliases,
        tags: front.tags,
        authors: front.authors,
        id: front.id,
        revision: front.revision,
        extra: front.extra,
        body,
        body_line,
    })
}

/// The title that is given, else the first heading, else the file's name.
fn title_of(
    front: &Front,
    place: &Place,
    body: &mut String,
    body_line: &mut usize,
    key: &str,
    report: &mut Report,
) -> String {
    let given = front.title.as_deref().map(one_line);
    if let Some(title) = given.filter(|title| !title.is_empty()) {
        return title;
    }
    if let Some(title) = take_heading(body, body_line) {
        let text = "it has no title; its first heading was taken for it";
        report.changed(key, None, text);
        return title;
    }
    let text = "it has no title; the file's name was taken for it";
    report.changed(key, None, text);
    place.stem.replace(['-', '_'], " ")
}

/// A title that is longer than the site takes loses its end, not the whole post.
fn cut_title(title: String, key: &str, report: &mut Report) -> String {
    if title.chars().count() <= MAX_TITLE_CHARS {
        return title;
    }
    report.changed(key, None, "its title was too long and was cut");
    title
        .chars()
        .take(MAX_TITLE_CHARS - 1)
        .chain(['…'])
        .collect()
}

/// Where a file is, and what its name says.
struct Place {
    /// The folder's part of the address, without slashes at the ends.
    folder: String,
    /// The file's name without date and ending; for `index.md`, the folder's name.
    stem: String,
    date: Option<Timestamp>,
    day: Option<String>,
    is_jekyll: bool,
    /// In Jekyll's `_drafts`.
    is_draft: bool,
}

impl Place {
    fn of(key: &str) -> Self {
        let (folder, name) = key.rsplit_once('/').unwrap_or(("", key));
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        let (folder, stem) = match stem {
            "index" | "_index" if !folder.is_empty() => {
                folder.rsplit_once('/').unwrap_or(("", folder))
            }
            _ => (folder, stem),
        };
        let is_jekyll = folder
            .split('/')
            .any(|part| part == "_posts" || part == "_drafts");
        let dated = split_dated_name(stem);
        Self {
            folder: folder
                .split('/')
                .filter(|part| !part.starts_with('_'))
                .collect::<Vec<_>>()
                .join("/"),
            stem: dated.map_or(stem, |(_, rest)| rest).to_owned(),
            date: dated.map(|(at, _)| at),
            day: dated.map(|_| stem[..10].replace('-', "/")),
            is_jekyll,
            is_draft: folder.split('/').any(|part| part == "_drafts"),
        }
    }

    /// Whether it is in a folder of dated things.
    fn is_in_stream(&self) -> bool {
        self.is_jekyll
            || self
                .folder
                .split('/')
                .any(|part| matches!(part, "posts" | "post" | "blog" | "news" | "articles"))
    }
}

/// The address: the one that is given, else one from the folders and the name.
fn address_of(front: &Front, place: &Place) -> Result<Address, (String, String)> {
    let parse = |text: &str| Address::parse(text).map_err(|e| (text.to_owned(), e.to_string()));
    if let Some(path) = front
        .path
        .as_deref()
        .map(path_of_url)
        .filter(|path| !path.contains(':'))
    {
        return parse(path);
    }
    let name = match &front.slug {
        Some(slug) => slug.trim_matches('/').to_owned(),
        None => slugify(&place.stem),
    };
    let mut parts: Vec<String> = Vec::new();
    if place.is_jekyll {
        parts.extend(front.categories.iter().map(|category| slugify(category)));
        parts.extend(place.day.clone());
    } else {
        parts.extend(place.folder.split('/').map(slugify));
    }
    parts.push(name);
    parts.retain(|part| !part.is_empty());
    parse(&parts.join("/"))
}

/// The path of a whole URL; anything else as it is.
fn path_of_url(text: &str) -> &str {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    rest.map_or(text, |rest| rest.find('/').map_or("/", |at| &rest[at..]))
}

/// Takes a first `# Heading` off the body; the page shows the title itself.
fn take_heading(body: &mut String, body_line: &mut usize) -> Option<String> {
    let start = body.len() - body.trim_start().len();
    let line = body[start..].lines().next()?;
    let title = one_line(line.strip_prefix("# ")?.trim_end_matches('#'));
    if title.is_empty() {
        return None;
    }
    let end = (start + line.len() + 1).min(body.len());
    *body_line += body[..end].matches('\n').count();
    body.replace_range(..end, "");
    Some(title)
}
