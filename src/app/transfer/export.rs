//! Writes a site as a folder of Markdown files with front matter and media.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use percent_encoding::percent_decode_str;
use rusqlite::Connection;
use serde_json::{Map, Value, json};

use super::{
    links::{self, Link},
    names::{free_name, free_place, is_markdown, safe_name},
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
    base::{Error, Id, Result, files},
    db::{Database, MediaStore},
    text::front_matter::write_toml,
};

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
        let above = std::path::absolute(dir).map_err(|e| Error::io("finding", dir, e))?;
        sync_folders(&temporary)
            .and_then(|()| fs::rename(&temporary, dir))
            .and_then(|()| above.parent().map_or(Ok(()), files::sync_folder))
            .map_err(|e| Error::io("writing", dir, e))?;
        Ok(report)
    });
    if outcome.is_err() {
        // Only what we have just made ourselves, under a name of our own.
        let _ = fs::remove_dir_all(&temporary);
    }
    outcome
}

/// Makes the names in a folder last, and in all that are in it.
fn sync_folders(folder: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_folders(&entry.path())?;
        }
    }
    files::sync_folder(folder)
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
        .filter(|medium| {
            let written = (medium.hash.clone(), safe_name(&medium.name));
            !writer.used.contains(&written)
        })
        .collect();
    let mut taken = HashSet::new();
    for (done, medium) in unused.iter().enumerate() {
        progress("Writing files", done, unused.len());
        let name = safe_name(&medium.name);
        let path = if is_markdown(&name) {
            as_download(medium, &name)
        } else {
            Path::new("media").join(free_place(&mut taken, &name))
        };
        writer.copy(medium, &path)?;
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
    /// Media that a post has with it: hash and name.
    used: HashSet<(String, String)>,
    /// Paths of posts that are taken, in lower case: some file systems do not tell the cases apart.
    names: HashSet<String>,
    files: usize,
}

impl<'a> Writer<'a> {
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
        for (place, medium) in &media {
            self.copy(medium, &Path::new(&path).join(place))?;
        }
        self.write(&Path::new(&path).join("index.md"), text.as_bytes())
    }

    /// The address as a path of files: safe on every file system, and taken by nobody else.
    fn path_of(&mut self, post: &Post) -> String {
        let address = post.content.address.as_str().trim_start_matches('/');
        let parts: Vec<String> = address.split('/').map(safe_name).collect();
        free_name(&mut self.names, &parts.join("/"))
    }

    /// The text with its media beside it, and those media by the places that they have there.
    fn with_local_links(&mut self, markdown: &str) -> (String, Vec<(String, Medium)>) {
        let mut with = Vec::new();
        let mut places = HashMap::<(String, String), String>::new();
        let (mut taken, mut media) = (HashSet::from(["index.md".to_owned()]), Vec::new());
        for Link { range, target } in links::find(markdown).links {
            let Some((medium, name)) = self.medium_at(&target) else {
                continue;
            };
            if is_markdown(&name) {
                // Beside the post it would come back as a page.
                continue;
            }
            let key = (medium.hash.clone(), name.clone());
            let place = places.entry(key.clone()).or_insert_with(|| {
                let place = free_place(&mut taken, &name);
                media.push((place.clone(), medium.clone()));
                place
            });
            self.used.insert(key);
            let encoded = crate::text::address::Address::from_stored(place.clone()).href();
            let suffix = target.find(['#', '?']).map_or("", |at| &target[at..]);
            let written = links::as_written(&format!("{encoded}{suffix}"));
            with.push((range, written));
        }
        (links::replace(markdown, with), media)
    }

    /// The file that a link leads to, with the name that the link gives it: two posts may have the
    /// same picture by two names.
    fn medium_at(&self, target: &str) -> Option<(&'a Medium, String)> {
        let path = &target[..target.find(['#', '?']).unwrap_or(target.len())];
        let (hash, name) = path.strip_prefix("/media/")?.split_once('/')?;
        let medium = *self.media.get(hash)?;
        let name = percent_decode_str(name).decode_utf8().ok()?;
        let is_safe = !name.is_empty() && safe_name(&name) == name;
        let name = if is_safe {
            name.into_owned()
        } else {
            safe_name(&medium.name)
        };
        Some((medium, name))
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
        if let Some(at) = content.draft_at {
            front.insert("date".into(), json!(at.rfc3339()));
        }
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
    let own = json!({ "id": post.id, "revision": post.revision, "kind": content.kind.as_str() });
    extra.insert("webstead".into(), own);
    front.insert("extra".into(), Value::Object(extra));
    front
}

/// Where a Markdown file to download is written: in `static` it is no post, and links find it.
fn as_download(medium: &Medium, name: &str) -> PathBuf {
    Path::new("static/media")
        .join(&medium.hash[..ADDRESS_HASH_CHARS])
        .join(name)
}
