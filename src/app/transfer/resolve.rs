//! Where links lead: to a post, to a picture, or to nothing that is here.

use std::collections::HashMap;

use percent_encoding::percent_decode_str;

use super::{
    calls::find_calls,
    entry::Entry,
    links::{self, Lines, Link, as_written},
    matching::owner_of,
    report::Report,
};
use crate::db::Database;

/// First parts of addresses that the program itself answers.
const OWN: [&str; 8] = [
    "",
    "archive",
    "tags",
    "feed.xml",
    "sitemap.xml",
    "robots.txt",
    "media",
    "help",
];

/// Knows every file of an import and every address of the site.
pub(super) struct Resolver<'a> {
    /// File to the address of its post, percent-encoded.
    posts: HashMap<String, String>,
    /// The last part of a file's path, without its ending, to the files that have it, in order.
    files_by_name: HashMap<String, Vec<String>>,
    /// File to the address of the media file, percent-encoded.
    media: HashMap<String, String>,
    /// Every address and old address of the import.
    paths: std::collections::HashSet<String>,
    database: &'a Database,
}

enum Target {
    /// Leave it as it is.
    Keep,
    /// It leads to this address.
    To(String),
    /// It leads to nothing that is here.
    Nothing,
}

impl<'a> Resolver<'a> {
    pub(super) fn new<'e>(
        entries: impl Iterator<Item = &'e Entry>,
        media: impl Iterator<Item = (&'e str, String)>,
        database: &'a Database,
    ) -> Self {
        let (mut posts, mut paths) = (HashMap::new(), std::collections::HashSet::new());
        for entry in entries {
            posts.insert(entry.key.clone(), entry.address.href());
            paths.insert(entry.address.as_str().to_owned());
            paths.extend(
                entry
                    .aliases
                    .iter()
                    .map(|(alias, _)| alias.as_str().to_owned()),
            );
        }
        let mut files_by_name: HashMap<String, Vec<String>> = HashMap::new();
        for key in posts.keys() {
            files_by_name
                .entry(short_name(key).to_owned())
                .or_default()
                .push(key.clone());
        }
        for keys in files_by_name.values_mut() {
            keys.sort();
        }
        let media = media.map(|(key, href)| (key.to_owned(), href)).collect();
        Self {
            posts,
            files_by_name,
            media,
            paths,
            database,
        }
    }

    /// The text of an entry with its links leading to where things are on the site.
    pub(super) fn rewrite(&self, entry: &Entry, report: &mut Report) -> String {
        let with_calls = self.rewrite_calls(entry, report);
        let found = links::find(&with_calls);
        let lines = Lines::of(&with_calls);
        let mut with = Vec::new();
        for Link { range, target } in found.links {
            let line = entry.body_line + lines.line_of(range.start) - 1;
            match self.target(&target, &entry.key) {
                Target::Keep => {}
                Target::To(address) => {
                    report.changed(
                        &entry.key,
                        Some(line),
                        "links to files of the folder lead to their addresses here",
                    );
                    with.push((range, as_written(&address)));
                }
                Target::Nothing => {
                    let text = format!("a link leads to nothing that is here: {target}");
                    report.not_understood(&entry.key, Some(line), &text);
                }
            }
        }
        for Link { range, target } in found.odd {
            if !matches!(self.target(&target, &entry.key), Target::Keep) {
                let line = entry.body_line + lines.line_of(range.start) - 1;
                let text = format!("a link is written so that it cannot be followed: {target}");
                report.not_understood(&entry.key, Some(line), &text);
            }
        }
        links::replace(&with_calls, with)
    }

    /// Resolves `{{< ref "x" >}}` and its like; reports every other template call.
    fn rewrite_calls(&self, entry: &Entry, report: &mut Report) -> String {
        let text = &entry.body;
        if !text.contains("{{") && !text.contains("{%") {
            return text.clone();
        }
        let code = links::find(text).code;
        let lines = Lines::of(text);
        let mut with = Vec::new();
        for call in find_calls(text, &code) {
            let line = entry.body_line + lines.line_of(call.range.start) - 1;
            if let Some(address) = call
                .target
                .as_deref()
                .and_then(|name| self.named_post(name, &entry.key))
            {
                with.push((call.range, address));
            } else {
                let first_line = text[call.range].lines().next().unwrap_or("");
                let shown: String = first_line.chars().take(60).collect();
                let text = format!("a template's call is shown as it is: {shown}");
                report.not_understood(&entry.key, Some(line), &text);
            }
        }
        links::replace(text, with)
    }

    fn target(&self, target: &str, from: &str) -> Target {
        let (path, rest) = split_at_query(target);
        if path.is_empty() || has_scheme(path) || path.starts_with("//") {
            return Target::Keep;
        }
        let Ok(decoded) = percent_decode_str(path).decode_utf8() else {
            return Target::Nothing;
        };
        if let Some(key) = decoded.strip_prefix("@/") {
            return self
                .posts
                .get(key)
                .map_or(Target::Nothing, |to| Target::To(format!("{to}{rest}")));
        }
        if let Some(absolute) = decoded.strip_prefix('/') {
            if let Some(to) = self
                .media
                .get(&format!("static/{absolute}"))
                .or_else(|| self.media.get(absolute))
            {
                return Target::To(format!("{to}{rest}"));
            }
            return if self.is_known(&decoded) {
                Target::Keep
            } else {
                Target::Nothing
            };
        }
        let folder = from.rsplit_once('/').map_or("", |(folder, _)| folder);
        let Some(key) = join(folder, &decoded) else {
            return Target::Nothing;
        };
        let found = self.media.get(&key).or_else(|| self.post_of_file(&key));
        found.map_or(Target::Nothing, |to| Target::To(format!("{to}{rest}")))
    }

    /// A file, or a folder with an `index.md`.
    fn post_of_file(&self, key: &str) -> Option<&String> {
        let key = key.trim_end_matches('/');
        self.posts
            .get(key)
            .or_else(|| self.posts.get(&format!("{key}/index.md")))
            .or_else(|| self.posts.get(&format!("{key}.md")))
    }

    /// A post that a template names: by its path, or by the end of it.
    fn named_post(&self, name: &str, from: &str) -> Option<String> {
        let (name, rest) = split_at_query(name);
        let folder = from.rsplit_once('/').map_or("", |(folder, _)| folder);
        let plain = name.trim_start_matches('/').trim_end_matches('/');
        let direct = join(folder, name)
            .and_then(|key| self.post_of_file(&key).cloned())
            .or_else(|| self.post_of_file(plain).cloned());
        let found = direct.or_else(|| {
            let ends = [
                format!("/{plain}"),
                format!("/{plain}.md"),
                format!("/{plain}/index.md"),
            ];
            let files = self.files_by_name.get(short_name(plain))?;
            let fitting = files
                .iter()
                .find(|key| ends.iter().any(|end| format!("/{key}").ends_with(end)))?;
            self.posts.get(fitting).cloned()
        });
        found.map(|address| format!("{address}{rest}"))
    }

    fn is_known(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        let first = path.split('/').nth(1).unwrap_or("");
        OWN.contains(&first)
            || self.paths.contains(path)
            || self
                .database
                .read_blocking(|connection| owner_of(connection, path))
                .is_ok_and(|o| o.is_some())
    }
}

/// What a template calls a file: its name without its ending, or its folder's for `index.md`.
fn short_name(key: &str) -> &str {
    let key = key.strip_suffix(".md").unwrap_or(key);
    let key = key.strip_suffix("/index").unwrap_or(key);
    key.rsplit('/').next().unwrap_or(key)
}

fn split_at_query(target: &str) -> (&str, &str) {
    target.split_at(target.find(['#', '?']).unwrap_or(target.len()))
}

/// `mailto:`, `https:` … (RFC 3986 section 3.1).
fn has_scheme(path: &str) -> bool {
    path.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
    })
}

/// A relative path from a folder, with `.` and `..` resolved; `None` if it leaves the content.
fn join(folder: &str, relative: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in relative.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}
