//! Writes a site as a folder of Markdown files with front matter and media.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use rusqlite::Connection;
use serde_json::{Map, Value, json};

use super::{
    links::{self, Link},
    plan::Progress,
};
use crate::{
    app::{
        media::queries::{ADDRESS_HASH_CHARS, Medium, list_all},
        posts::{
            post::Post,
            queries::{find_post, list_ids, old_addresses_of},
        },
        settings::queries::list_settings,
    },
    base::{Error, Id, Result},
    db::{Database, MediaStore},
    text::front_matter::write_toml,
};

/// Bytes of one part of a path that every file system takes, with room for `-2` and `.md`.
const MAX_NAME_BYTES: usize = 200;

/// Settings of the site that only we know; they are written below `extra.webstead`.
pub(super) const KEPT_SETTINGS: [&str; 3] = ["language", "time_zone", "posts_per_page"];

/// What was written.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExportReport {
    /// Posts and pages.
    pub posts: usize,
    /// Media files.
    pub media: usize,
    /// Posts in the trash, which were not written.
    pub trashed: usize,
}

/// Writes the whole site to `dir`, which must not be there yet or be empty.
///
/// Everything is written beside it first and renamed at the end, so `dir` is whole or not there.
///
/// # Errors
/// [`Error::Invalid`] if `dir` has something in it, [`Error::Io`] with the file that failed.
pub fn export(
    database: &Database,
    store: &MediaStore,
    dir: &Path,
    progress: Progress<'_>,
) -> Result<ExportReport> {
    check_target(dir)?;
    let name = dir.file_name().ok_or_else(|| {
        Error::Invalid(format!(
            "{} cannot be written to; name a new folder",
            dir.display()
        ))
    })?;
    let temporary = dir.with_file_name(format!(".{}.{}.tmp", name.to_string_lossy(), Id::new()));
    let outcome = write_all(database, store, &temporary, progress).and_then(|report| {
        if dir.is_dir() {
            fs::remove_dir(dir).map_err(|e| Error::io("replacing", dir, e))?;
        }
        fs::rename(&temporary, dir).map_err(|e| Error::io("writing", dir, e))?;
        Ok(report)
    });
    if outcome.is_err() {
        // Only what we have just made ourselves, under a name of our own.
        let _ = fs::remove_dir_all(&temporary);
    }
    outcome
}

fn check_target(dir: &Path) -> Result<()> {
    match fs::read_dir(dir) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(Error::Invalid(format!(
            "{} is not a folder that can be written to ({e}); name a new folder",
            dir.display()
        ))),
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(Error::Invalid(format!(
                "{} is not empty, and nothing in it is overwritten; name a new folder",
                dir.display()
            ))),
        },
    }
}

fn write_all(
    database: &Database,
    store: &MediaStore,
    root: &Path,
    progress: Progress<'_>,
) -> Result<ExportReport> {
    let (ids, media, settings, trashed) = database.read_blocking(|connection| {
        let (ids, trashed) = list_ids(connection)?;
        Ok((
            ids,
            list_all(connection)?,
            list_settings(connection)?,
            trashed,
        ))
    })?;
    let mut writer = Writer {
        root: root.to_path_buf(),
        store,
        media: media
            .iter()
            .map(|medium| (medium.hash[..ADDRESS_HASH_CHARS].to_owned(), medium))
            .collect(),
        used: HashSet::new(),
        names: HashSet::new(),
        files: 0,
    };
    fs::create_dir_all(root).map_err(|e| Error::io("making", root, e))?;
    writer.site(&settings)?;
    for (done, id) in ids.iter().enumerate() {
        progress("Writing posts", done, ids.len());
        let (post, aliases, extra) = database.read_blocking(|connection| read(connection, *id))?;
        writer.post(&post, &aliases, extra)?;
    }
    let unused: Vec<_> = media
        .iter()
        .filter(|medium| !writer.used.contains(&medium.hash))
        .collect();
    let mut taken = HashSet::new();
    for (done, medium) in unused.iter().enumerate() {
        progress("Writing files", done, unused.len());
        let name = free_name(&mut taken, &safe_name(&medium.name));
        writer.copy(medium, &Path::new("media").join(name))?;
    }
    Ok(ExportReport {
        posts: ids.len(),
        media: writer.files,
        trashed,
    })
}

fn read(connection: &Connection, id: Id) -> Result<(Post, Vec<String>, Map<String, Value>)> {
    let extra: String = connection
        .prepare_cached("SELECT extra FROM posts WHERE id = ?1")?
        .query_row([id.0], |r| r.get(0))?;
    let extra = match serde_json::from_str(&extra) {
        Ok(Value::Object(extra)) => extra,
        _ => Map::new(),
    };
    Ok((
        find_post(connection, id)?,
        old_addresses_of(connection, id)?,
        extra,
    ))
}

struct Writer<'a> {
    root: PathBuf,
    store: &'a MediaStore,
    /// Media by the part of their hash that addresses carry.
    media: HashMap<String, &'a Medium>,
    /// Hashes of media that a post has with it.
    used: HashSet<String>,
    /// Paths of posts that are taken, in lower case: some file systems do not tell the cases apart.
    names: HashSet<String>,
    files: usize,
}

impl Writer<'_> {
    /// `_index.md`: the site's name and tagline.
    fn site(&self, settings: &HashMap<String, String>) -> Result<()> {
        let mut front = Map::new();
        for (name, key) in [("title", "title"), ("tagline", "description")] {
            if let Some(value) = settings.get(name).filter(|value| !value.is_empty()) {
                front.insert(key.into(), json!(value));
            }
        }
        let own: Map<String, Value> = KEPT_SETTINGS
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), json!(settings.get(*name)?))))
            .collect();
        if !own.is_empty() {
            front.insert("extra".into(), json!({ "webstead": own }));
        }
        self.write(Path::new("_index.md"), write_toml(&front).as_bytes())
    }

    fn post(&mut self, post: &Post, aliases: &[String], extra: Map<String, Value>) -> Result<()> {
        let path = self.path_of(post);
        let (markdown, media) = self.with_local_links(&post.content.markdown);
        let mut text = write_toml(&front_of(post, aliases, extra));
        // Not one byte between them: what was imported comes out as it went in.
        text.push_str(&markdown);
        if media.is_empty() {
            return self.write(Path::new(&format!("{path}.md")), text.as_bytes());
        }
        for (name, medium) in &media {
            self.copy(medium, &Path::new(&path).join(name))?;
        }
        self.write(&Path::new(&path).join("index.md"), text.as_bytes())
    }

    /// The address as a path of files: safe on every file system, and taken by nobody else.
    fn path_of(&mut self, post: &Post) -> String {
        let address = post.content.address.as_str().trim_start_matches('/');
        let parts: Vec<String> = address.split('/').map(safe_name).collect();
        free_name(&mut self.names, &parts.join("/"))
    }

    /// The text with its media beside it, and those media by the names that they have there.
    fn with_local_links(&mut self, markdown: &str) -> (String, Vec<(String, Medium)>) {
        let (mut with, mut names) = (Vec::new(), HashMap::<String, String>::new());
        let (mut taken, mut media) = (HashSet::from(["index.md".to_owned()]), Vec::new());
        for Link { range, target } in links::find(markdown).links {
            let Some(rest) = target.strip_prefix("/media/") else {
                continue;
            };
            let Some((hash, _)) = rest.split_once('/') else {
                continue;
            };
            let Some(medium) = self.media.get(hash) else {
                continue;
            };
            let name = names.entry(medium.hash.clone()).or_insert_with(|| {
                let name = free_name(&mut taken, &safe_name(&medium.name));
                media.push((name.clone(), (*medium).clone()));
                name
            });
            self.used.insert(medium.hash.clone());
            let encoded = crate::text::address::Address::from_stored(name.clone()).href();
            let suffix = target.find(['#', '?']).map_or("", |at| &target[at..]);
            with.push((range, format!("{encoded}{suffix}")));
        }
        (links::replace(markdown, with), media)
    }

    fn copy(&mut self, medium: &Medium, to: &Path) -> Result<()> {
        let from = self.store.path(&medium.hash);
        let bytes = fs::read(&from).map_err(|e| Error::io("reading", from, e))?;
        self.files += 1;
        self.write(to, &bytes)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let path = self.root.join(path);
        let written = path
            .parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| File::create_new(&path))
            .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
        written.map_err(|e| Error::io("writing", path, e))
    }
}

/// A post's front matter, as Zola writes it; what only we know is in `extra.webstead`.
fn front_of(post: &Post, aliases: &[String], kept: Map<String, Value>) -> Map<String, Value> {
    let content = &post.content;
    let mut front = Map::new();
    front.insert("title".into(), json!(content.title));
    if let Some(at) = content.published_at {
        front.insert("date".into(), json!(at.rfc3339()));
        if post.updated_at != at {
            front.insert("updated".into(), json!(post.updated_at.rfc3339()));
        }
    } else {
        front.insert("draft".into(), json!(true));
        front.insert("updated".into(), json!(post.updated_at.rfc3339()));
    }
    front.insert("path".into(), json!(content.address.as_str()));
    if !aliases.is_empty() {
        front.insert("aliases".into(), json!(aliases));
    }
    if !content.description.is_empty() {
        front.insert("description".into(), json!(content.description));
    }
    if !content.authors.is_empty() {
        front.insert("authors".into(), json!(content.authors));
    }
    let mut extra = Map::new();
    for (key, value) in kept {
        match (key.as_str(), value) {
            ("extra", Value::Object(values)) => extra.extend(values),
            (_, value) if !front.contains_key(&key) => {
                front.insert(key, value);
            }
            _ => {}
        }
    }
    if !content.tags.is_empty() {
        front.insert("taxonomies".into(), json!({ "tags": content.tags }));
    }
    let own = json!({ "id": post.id, "kind": content.kind.as_str() });
    extra.insert("webstead".into(), own);
    front.insert("extra".into(), Value::Object(extra));
    front
}

/// A name that every file system takes and that the import reads as a file of content.
fn safe_name(name: &str) -> String {
    let mut safe: String = name
        .chars()
        .map(|c| {
            if c.is_control() || "/\\:*?\"<>|".contains(c) {
                '-'
            } else {
                c
            }
        })
        .collect();
    while safe.len() > MAX_NAME_BYTES {
        safe.pop();
    }
    // A leading dot hides a file; these names mean something else to an import.
    let is_special = safe.is_empty()
        || safe.starts_with(['.', '_'])
        || [
            "index",
            "index.md",
            "node_modules",
            "public",
            "static",
            "content",
        ]
        .contains(&safe.as_str());
    if is_special {
        format!("x-{safe}")
    } else {
        safe
    }
}

/// `name`, or with `-2`, `-3` … before its ending if it is taken.
fn free_name(taken: &mut HashSet<String>, name: &str) -> String {
    let (stem, end) = match name.rsplit_once('.') {
        Some((stem, end)) if !stem.is_empty() && !end.contains('/') => (stem, format!(".{end}")),
        _ => (name, String::new()),
    };
    let mut free = name.to_owned();
    let mut number = 2;
    while !taken.insert(free.to_lowercase()) {
        free = format!("{stem}-{number}{end}");
        number += 1;
    }
    free
}
