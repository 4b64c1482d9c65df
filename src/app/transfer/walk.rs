//! Finds the files of a folder, and refuses what leads out of it.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use super::{names::is_markdown, report::Report};
use crate::base::{Error, Result, Timestamp};

/// Folders inside of folders; deeper ones are a mistake or an attack.
const MAX_DEPTH: usize = 32;
/// Files of one import; far more than a site on a small board has.
const MAX_FILES: usize = 200_000;
/// A media file of an import.
pub(super) const MAX_MEDIA_BYTES: u64 = 64 * 1024 * 1024;
/// Folders that site generators put their own things into.
const NOT_CONTENT: [&str; 3] = ["node_modules", "_site", "public"];

/// Files beside the content that build a site and are no part of it.
const OF_A_BUILD: [&str; 6] = [
    "Gemfile",
    "Gemfile.lock",
    "Makefile",
    "Rakefile",
    "package.json",
    "package-lock.json",
];

/// A file to be imported.
#[derive(Clone, Debug)]
pub(super) struct File {
    /// Its path below the content, with `/`; files of a generator's `static` folder start with `static/`.
    pub(super) key: String,
    /// Where it is.
    pub(super) path: PathBuf,
    /// When it was last changed.
    pub(super) modified: Timestamp,
}

/// What a folder holds, in the order of the paths.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub(super) markdown: Vec<File>,
    pub(super) media: Vec<File>,
}

/// Finds all files of `dir`: itself, or its `content` and `static` (Zola, Hugo).
///
/// # Errors
/// [`Error::Invalid`] if it is not a folder that can be read.
pub(super) fn find_files(dir: &Path, report: &mut Report) -> Result<Files> {
    let root = dir.canonicalize().map_err(|e| {
        Error::Invalid(format!(
            "the folder {} cannot be read ({e}); check its name",
            dir.display()
        ))
    })?;
    if !root.is_dir() {
        return Err(Error::Invalid(format!("{} is not a folder", dir.display())));
    }
    let mut walk = Walk {
        root: root.clone(),
        seen: HashSet::new(),
        files: Files::default(),
        report,
    };
    let content = root.join("content");
    if content.is_dir() {
        walk.folder(&content, "", 0)?;
        let text = "of a site with a `content` folder only that and `static` are read";
        walk.report.not_understood(".", None, text);
        if root.join("static").is_dir() {
            walk.folder(&root.join("static"), "static/", 0)?;
        }
    } else {
        walk.folder(&root, "", 0)?;
    }
    let mut files = walk.files;
    files.markdown.sort_by(|a, b| a.key.cmp(&b.key));
    files.media.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(files)
}

/// Hidden, or a generator's own: its output, its layouts, its settings.
fn is_of_a_tool(name: &str) -> bool {
    let is_jekylls_own =
        name.starts_with('_') && !["_posts", "_drafts", "_index.md"].contains(&name);
    name.starts_with('.')
        || is_jekylls_own
        || NOT_CONTENT.contains(&name)
        || OF_A_BUILD.contains(&name)
}

struct Walk<'a> {
    root: PathBuf,
    seen: HashSet<PathBuf>,
    files: Files,
    report: &'a mut Report,
}

impl Walk<'_> {
    fn folder(&mut self, dir: &Path, prefix: &str, depth: usize) -> Result<()> {
        let shown = if prefix.is_empty() { "." } else { prefix };
        if depth > MAX_DEPTH {
            self.report
                .left_out(shown, None, "folders are nested too deeply here");
            return Ok(());
        }
        // A folder that was seen already is reached a second time through a symlink.
        let real = dir
            .canonicalize()
            .map_err(|e| Error::io("opening", dir, e))?;
        if !self.seen.insert(real) {
            self.report.left_out(
                shown,
                None,
                "this symlink leads to a folder that is imported already",
            );
            return Ok(());
        }
        // A site's own data folder holds private keys; nothing of it may become a public file.
        if dir.join("site.db").exists() || dir.join("tls/authority-key.pem").exists() {
            let text = "this is the data folder of a site, with its keys; nothing of it was read";
            self.report.left_out(shown, None, text);
            return Ok(());
        }
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(e) => {
                self.report
                    .left_out(shown, None, &format!("the folder cannot be read ({e})"));
                return Ok(());
            }
        };
        let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
        names.sort();
        for name in names {
            let path = dir.join(&name);
            let Some(name) = name.to_str() else {
                let shown = format!("{prefix}{}", name.to_string_lossy());
                self.report
                    .left_out(&shown, None, "its name is not UTF-8; rename it");
                continue;
            };
            if is_of_a_tool(name) {
                self.report.skipped += 1;
                let text = "hidden files and what belongs to a generator are not content";
                self.report
                    .not_understood(&format!("{prefix}{name}"), None, text);
                continue;
            }
            self.entry(&path, name, &format!("{prefix}{name}"), depth)?;
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, name: &str, key: &str, depth: usize) -> Result<()> {
        // Follows symlinks; `canonicalize` also fails for those that lead nowhere or in a circle.
        let real = match path.canonicalize() {
            Ok(real) => real,
            Err(e) => {
                self.report
                    .left_out(key, None, &format!("it cannot be opened ({e})"));
                return Ok(());
            }
        };
        if !real.starts_with(&self.root) {
            self.report.left_out(
                key,
                None,
                "this symlink leads out of the folder, so it was not followed",
            );
            return Ok(());
        }
        let metadata = match fs::metadata(&real) {
            Ok(metadata) => metadata,
            Err(e) => {
                self.report
                    .left_out(key, None, &format!("it cannot be opened ({e})"));
                return Ok(());
            }
        };
        if metadata.is_dir() {
            return self.folder(path, &format!("{key}/"), depth + 1);
        }
        if !metadata.is_file() {
            self.report.left_out(key, None, "it is not a regular file");
            return Ok(());
        }
        if self.files.markdown.len() + self.files.media.len() >= MAX_FILES {
            return Err(Error::TooLarge(format!(
                "there are more than {MAX_FILES} files; import parts of the folder one after the other"
            )));
        }
        let modified = metadata
            .modified()
            .ok()
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
            .and_then(|since| i64::try_from(since.as_secs()).ok())
            .unwrap_or(0);
        let file = File {
            key: key.to_owned(),
            path: path.to_path_buf(),
            modified: Timestamp(modified),
        };
        if is_markdown(name) && !key.starts_with("static/") {
            self.files.markdown.push(file);
        } else if metadata.len() > MAX_MEDIA_BYTES {
            let text = format!(
                "it has {} MiB, and {} MiB are the most for one file",
                metadata.len() / 1024 / 1024,
                MAX_MEDIA_BYTES / 1024 / 1024
            );
            self.report.left_out(key, None, &text);
        } else {
            self.files.media.push(file);
        }
        Ok(())
    }
}
