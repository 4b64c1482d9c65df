//! An import, planned: everything is read, resolved and compared, and nothing is touched.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use super::{
    compare::{Verdict, claim_ids, compare},
    entry::{self, Entry, Outcome},
    matching::{Existing, Matched, has_medium, match_all, owner_of},
    names::safe_name,
    report::Report,
    resolve::Resolver,
    stage,
    walk::{self, File},
};
use crate::{
    app::{
        media::queries::Medium,
        posts::post::{Content, MAX_NAME_CHARS, Rendered, tag_slug},
        settings::queries::list_settings,
    },
    base::{Error, Id, Result},
    db::{Database, MediaStore, hash_of},
    text::markdown::{Options, render},
};

/// Told how far the work is: what is being done, how much is done, how much there is.
pub type Progress<'a> = &'a (dyn Fn(&str, usize, usize) + Sync);

/// An import that is ready to happen.
pub struct Plan {
    /// What it will do.
    pub report: Report,
    pub(super) posts: Vec<PlannedPost>,
    pub(super) origins: Vec<PlannedOrigin>,
    pub(super) media: Vec<PlannedMedium>,
    /// Files that are here already; a damaged one is put right.
    media_here: Vec<PlannedMedium>,
    /// Settings of the site that are not set yet.
    pub(super) settings: Vec<(&'static str, String)>,
}

/// A post that will be made or changed.
pub(super) struct PlannedPost {
    pub(super) id: Id,
    pub(super) entry: Entry,
    pub(super) content: Content,
    pub(super) rendered: Rendered,
    pub(super) digest: String,
    /// The revision that it will have.
    pub(super) revision: i64,
    /// The revision that it has, if it is here.
    pub(super) expected_revision: Option<i64>,
}

/// A post that will remember the file that it comes from, and is not changed.
pub(super) struct PlannedOrigin {
    pub(super) id: Id,
    pub(super) revision: i64,
    pub(super) origin: String,
    pub(super) digest: String,
}

/// A file that will be stored.
pub(super) struct PlannedMedium {
    pub(super) medium: Medium,
    pub(super) path: PathBuf,
    pub(super) key: String,
    /// Pixels, of an image.
    pub(super) size: Option<(usize, usize)>,
}

impl Plan {
    /// Reads a folder and compares it with the site.
    ///
    /// If it `is_replacing`, what the folder says wins over what was changed on the site, and over
    /// posts that came from elsewhere and have the address of a file.
    ///
    /// # Errors
    /// What keeps the whole import from happening; problems of single files are in the report.
    pub fn read(
        database: &Database,
        dir: &Path,
        is_replacing: bool,
        progress: Progress<'_>,
    ) -> Result<Self> {
        let mut report = Report::default();
        let files = walk::find_files(dir, &mut report)?;
        report.files = files.markdown.len() + files.media.len() + report.left_out.len();

        let mut settings = Vec::new();
        let mut entries = read_entries(&files.markdown, &mut settings, &mut report, progress);
        claim_ids(&mut entries, &mut report);
        let media = read_media(&files.media, &mut report, progress);
        let (entries, media, settings) = database.read_blocking(|connection| {
            let mut wanted = Vec::new();
            for medium in media {
                let is_here = has_medium(connection, &medium.medium.hash)?;
                wanted.push((medium, is_here));
            }
            let stored = list_settings(connection)?;
            settings.retain(|(name, value): &(&str, String)| {
                !value.is_empty() && stored.get(*name).is_none_or(String::is_empty)
            });
            let matched = match_all(connection, claim_addresses(entries, &mut report))?;
            Ok((
                check_owners(connection, matched, &mut report)?,
                wanted,
                settings,
            ))
        })?;

        let resolver = Resolver::new(
            entries.iter().map(|(_, entry)| entry),
            media
                .iter()
                .map(|(medium, _)| (medium.key.as_str(), medium.medium.href())),
            database,
        );
        let rendered_all = render_all(entries, &resolver, progress);
        let (mut posts, mut origins) = (Vec::new(), Vec::new());
        for (existing, entry, outcome, remarks) in rendered_all {
            report.changed.extend(remarks.changed);
            report.not_understood.extend(remarks.not_understood);
            match outcome {
                Ok((content, rendered)) => {
                    match compare(
                        existing,
                        entry,
                        content,
                        rendered,
                        is_replacing,
                        &mut report,
                    ) {
                        Verdict::Write(post) => posts.push(*post),
                        Verdict::Remember(origin) => origins.push(origin),
                        Verdict::Nothing => {}
                    }
                }
                Err(why) => report.left_out(&entry.key, None, &why),
            }
        }
        count_media(&media, &mut report);
        report.redirects = posts.iter().map(|post| post.entry.aliases.len()).sum();
        // One row for each content: two files may have the same, and the first name is its name.
        let mut by_hash: BTreeMap<String, PlannedMedium> = BTreeMap::new();
        let mut media_here = Vec::new();
        for (medium, is_here) in media {
            if is_here {
                media_here.push(medium);
                continue;
            }
            let hash = medium.medium.hash.clone();
            let known = by_hash.get(&hash);
            if known.is_none_or(|known| medium.medium.name < known.medium.name) {
                by_hash.insert(hash, medium);
            }
        }
        Ok(Self {
            report,
            posts,
            origins,
            media_here,
            media: by_hash.into_values().collect(),
            settings,
        })
    }

    /// Makes it happen: all of it, or nothing that anybody sees.
    ///
    /// # Errors
    /// [`Error::CannotSave`] and the like; [`Error::Conflict`] if the site was changed in between.
    pub fn apply(
        mut self,
        database: &Database,
        store: &MediaStore,
        progress: Progress<'_>,
    ) -> Result<Report> {
        let total = self.media.len();
        for (done, medium) in self.media.iter().enumerate() {
            progress("Storing files", done, total);
            let bytes =
                std::fs::read(&medium.path).map_err(|e| Error::io("reading", &medium.path, e))?;
            let hash = store.store(&bytes)?;
            if hash != medium.medium.hash {
                return Err(Error::Invalid(format!(
                    "{} changed while it was imported; nothing came in, start again",
                    medium.path.display()
                )));
            }
        }
        let total = self.media_here.len();
        for (done, medium) in self.media_here.iter().enumerate() {
            progress("Checking files", done, total);
            self.report.media_mended += usize::from(mend(medium, store)?);
        }
        stage::apply(&self, database, progress)?;
        Ok(self.report)
    }
}

/// Stores a file again that the site has and that was damaged or lost there.
fn mend(medium: &PlannedMedium, store: &MediaStore) -> Result<bool> {
    if store.look(&medium.medium.hash).is_sound() {
        return Ok(false);
    }
    let bytes = std::fs::read(&medium.path).map_err(|e| Error::io("reading", &medium.path, e))?;
    Ok(store.store(&bytes)? == medium.medium.hash)
}

fn read_entries(
    files: &[File],
    settings: &mut Vec<(&'static str, String)>,
    report: &mut Report,
    progress: Progress<'_>,
) -> Vec<Entry> {
    let mut entries = Vec::new();
    for (done, file) in files.iter().enumerate() {
        progress("Reading posts", done, files.len());
        match entry::read(file, report) {
            Outcome::Entry(entry) => entries.push(*entry),
            Outcome::Site(named) => {
                settings.extend(named);
                report.changed(
                    &file.key,
                    None,
                    "the site's name and tagline were taken from it, where none are set",
                );
            }
            Outcome::Nothing => {}
        }
    }
    // Ids rise in this order, so posts of one day stay in the order that our export noted.
    entries.sort_by(|a, b| (a.published_at, a.id, &a.key).cmp(&(b.published_at, b.id, &b.key)));
    entries
}

fn read_media(files: &[File], report: &mut Report, progress: Progress<'_>) -> Vec<PlannedMedium> {
    let mut media = Vec::new();
    for (done, file) in files.iter().enumerate() {
        progress("Reading files", done, files.len());
        let bytes = match std::fs::read(&file.path) {
            Ok(bytes) => bytes,
            Err(e) => {
                report.left_out(&file.key, None, &format!("it cannot be read ({e})"));
                continue;
            }
        };
        let name = safe_name(file.key.rsplit('/').next().unwrap_or(&file.key));
        let content_type = mime_guess::from_path(&name)
            .first_or_octet_stream()
            .essence_str()
            .to_owned();
        let size = content_type
            .starts_with("image/")
            .then(|| imagesize::blob_size(&bytes).ok())
            .flatten()
            .map(|size| (size.width, size.height));
        let medium = Medium {
            hash: hash_of(&bytes),
            name,
            content_type,
            size_bytes: i64::try_from(bytes.len()).unwrap_or(i64::MAX),
        };
        media.push(PlannedMedium {
            medium,
            path: file.path.clone(),
            key: file.key.clone(),
            size,
        });
    }
    media
}

/// Of two files with one address the first keeps it; an alias gives way to an address.
fn claim_addresses(entries: Vec<Entry>, report: &mut Report) -> Vec<Entry> {
    let mut by_key: Vec<&Entry> = entries.iter().collect();
    by_key.sort_by(|a, b| a.key.cmp(&b.key));
    let mut owners: HashMap<String, String> = HashMap::new();
    for entry in by_key {
        owners
            .entry(entry.address.as_str().to_owned())
            .or_insert_with(|| entry.key.clone());
    }
    let addresses = owners.clone();
    let mut kept = Vec::new();
    for mut entry in entries {
        let owner = &addresses[entry.address.as_str()];
        if *owner != entry.key {
            let text = format!("{owner} has the same address, {}", entry.address.as_str());
            report.left_out(&entry.key, None, &text);
            continue;
        }
        let (key, mut fine) = (entry.key.clone(), Vec::new());
        for (alias, line) in std::mem::take(&mut entry.aliases) {
            match owners.get(alias.as_str()) {
                Some(owner) if *owner == key && fine.iter().any(|(known, _)| *known == alias) => {}
                Some(owner) => {
                    let text = format!(
                        "the old address {} was not used: {owner} has it",
                        alias.as_str()
                    );
                    report.not_understood(&key, Some(line), &text);
                }
                None => {
                    owners.insert(alias.as_str().to_owned(), key.clone());
                    fine.push((alias, line));
                }
            }
        }
        entry.aliases = fine;
        kept.push(entry);
    }
    kept
}

/// Leaves out what would take the address of another post of the site.
fn check_owners(
    connection: &rusqlite::Connection,
    matched: Vec<Matched>,
    report: &mut Report,
) -> Result<Vec<Matched>> {
    let mut kept = Vec::new();
    for (existing, mut entry) in matched {
        let own = existing.as_ref().map(|existing| existing.post.id);
        let is_other = |owner: Option<Id>| owner.is_some() && owner != own;
        if is_other(owner_of(connection, entry.address.as_str())?) {
            let text = format!(
                "another post of the site has or had its address, {}",
                entry.address.as_str()
            );
            report.left_out(&entry.key, None, &text);
            continue;
        }
        let mut fine = Vec::new();
        for (alias, line) in std::mem::take(&mut entry.aliases) {
            if is_other(owner_of(connection, alias.as_str())?) {
                let text = format!(
                    "the old address {} was not used: another post of the site has it",
                    alias.as_str()
                );
                report.not_understood(&entry.key, Some(line), &text);
            } else {
                fine.push((alias, line));
            }
        }
        entry.aliases = fine;
        kept.push((existing, entry));
    }
    Ok(kept)
}

type Resolved = (
    Option<Existing>,
    Entry,
    Result<(Content, Rendered), String>,
    Report,
);

/// Rewrites links and renders, on as many threads as there are cores.
fn render_all(
    entries: Vec<Matched>,
    resolver: &Resolver<'_>,
    progress: Progress<'_>,
) -> Vec<Resolved> {
    let total = entries.len();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let done = std::sync::atomic::AtomicUsize::new(0);
    let queue = std::sync::Mutex::new(entries.into_iter().enumerate());
    let results = std::sync::Mutex::new(Vec::with_capacity(total));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let next = queue
                        .lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner)
                        .next();
                    let Some((number, (existing, entry))) = next else {
                        break;
                    };
                    let mut remarks = Report::default();
                    let outcome = content_of(&entry, resolver, &mut remarks);
                    progress(
                        "Rendering",
                        done.fetch_add(1, std::sync::atomic::Ordering::Relaxed),
                        total,
                    );
                    results
                        .lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner)
                        .push((number, (existing, entry, outcome, remarks)));
                }
            });
        }
    });
    let mut results = results
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    results.sort_by_key(|(number, _)| *number);
    results.into_iter().map(|(_, resolved)| resolved).collect()
}

fn content_of(
    entry: &Entry,
    resolver: &Resolver<'_>,
    remarks: &mut Report,
) -> Result<(Content, Rendered), String> {
    let content = Content {
        kind: entry.kind,
        title: entry.title.clone(),
        description: entry.description.clone(),
        markdown: resolver.rewrite(entry, remarks),
        tags: usable_tags(entry, remarks),
        authors: entry.authors.clone(),
        address: entry.address.clone(),
        published_at: entry.published_at,
        draft_at: entry.draft_at,
    };
    let content = content.checked().map_err(|problems| {
        problems
            .into_iter()
            .map(|(_, text)| text)
            .collect::<Vec<_>>()
            .join(" ")
    })?;
    let shown = render(&content.markdown, &Options::default());
    for removed in shown.removed {
        // "style attribute on <div>" and "… on <td>" are one thing to tell.
        let what = match removed.what.split_once(" attribute on ") {
            Some((name, _)) => format!("{name} attributes are not shown"),
            None => format!("{} is not shown", removed.what),
        };
        remarks.not_understood(&entry.key, Some(entry.body_line + removed.line - 1), &what);
    }
    let rendered = Rendered::from_html(&content.markdown, shown.html);
    Ok((content, rendered))
}

/// The tags that can have an address; one odd tag does not cost the post.
fn usable_tags(entry: &Entry, remarks: &mut Report) -> Vec<String> {
    let is_usable =
        |tag: &&String| !tag_slug(tag).is_empty() && tag.chars().count() <= MAX_NAME_CHARS;
    for tag in entry.tags.iter().filter(|tag| !is_usable(tag)) {
        let tag: String = tag.chars().take(40).collect();
        remarks.changed(
            &entry.key,
            None,
            &format!("a tag was dropped, it cannot be one: {tag}"),
        );
    }
    entry.tags.iter().filter(is_usable).cloned().collect()
}

/// Counts files by content: a copy of another file is no new one.
fn count_media(media: &[(PlannedMedium, bool)], report: &mut Report) {
    let mut seen = std::collections::HashSet::new();
    report.media_new = media
        .iter()
        .filter(|(medium, is_here)| !is_here && seen.insert(&medium.medium.hash))
        .count();
    report.media_unchanged = media.len() - report.media_new;
}
