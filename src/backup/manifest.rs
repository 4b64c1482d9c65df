//! What a backup consists of, as it is written into its repository.
//!
//! A repository may come from anywhere: whatever is read here is looked at before it is believed.

use std::path::{Component, Path};

use serde::{Deserialize, Serialize};

use super::object::Reference;
use crate::{
    base::{Error, Result, Timestamp},
    db::LogPlace,
};

/// Bytes of the database in one object: what one change of it costs. A multiple of every size that a page has.
pub(super) const BLOCK_BYTES: usize = 64 * 1024;
/// Blocks that one list names.
pub(super) const BLOCKS_IN_LIST: usize = 512;
/// The most bytes of a manifest, of a list of blocks, and of a list of files.
pub(super) const MAX_MANIFEST_BYTES: usize = 4 * 1024 * 1024;
pub(super) const MAX_LIST_BYTES: usize = BLOCKS_IN_LIST * 72;
pub(super) const MAX_FILES_BYTES: usize = super::object::MAX_BYTES;
/// The largest file and the largest database that are believed.
const MOST_BYTES: u64 = 1 << 44;

/// One backup: the last of it that is written. What no manifest names does not exist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// The form of all this; 1.
    pub(super) format: u32,
    /// The repository that it belongs to.
    pub(super) repository: String,
    /// 1, 2, 3 …; a later backup has a larger one, whatever the clock said.
    pub(super) number: u64,
    /// What the clock said just before its snapshot was taken.
    pub(super) made_at: Timestamp,
    /// The version of the program.
    pub(super) webstead: String,
    /// The site's title.
    pub(super) site: String,
    /// Which site it is: the id of its first account, which it keeps wherever it is restored. A site that was not set up
    /// has none.
    #[serde(default)]
    pub(super) first_account: Option<i64>,
    /// The end of its log of changes: from here on, the log of a later database leads to any moment in between.
    #[serde(default)]
    pub(super) changes: Option<LogPlace>,
    /// The database.
    pub(super) database: DatabaseEntry,
    /// Lists of the files: objects with a line of JSON ([`FileEntry`]) for each, by path.
    pub(super) files: Vec<Reference>,
    /// How many files there are, and their bytes together.
    pub(super) file_count: u64,
    pub(super) file_bytes: u64,
    /// Bytes that this backup added to the repository.
    pub(super) new_bytes: u64,
    /// Whether the folder `secrets` is in it.
    pub(super) has_secrets: bool,
    /// The files that open an encrypted repository, each with its SHA-256.
    pub(super) key_files: Vec<(String, String)>,
    /// What the site had lost already when the backup was made, and what was left out.
    pub(super) warnings: Vec<String>,
    /// How many media files the site had lost: not each of many has a warning. Nothing in backups of before.
    #[serde(default)]
    pub(super) lost_media: Option<u64>,
}

/// The database of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DatabaseEntry {
    /// Its size.
    pub(super) bytes: u64,
    /// Lists of its blocks: objects with a reference in each line, in order.
    pub(super) lists: Vec<Reference>,
    /// Rows of each table.
    pub(super) rows: Vec<(String, u64)>,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileEntry {
    /// Where it is in the data folder, with slashes.
    pub(super) path: String,
    /// Its size.
    pub(super) bytes: u64,
    /// When it was last changed: seconds since 1970, and nanoseconds.
    pub(super) changed: (i64, u32),
    /// Its content, in order.
    pub(super) parts: Vec<Reference>,
}

impl Manifest {
    /// Reads one.
    ///
    /// # Errors
    /// [`Error::Damaged`] in words, and [`Error::Invalid`] if a newer program made it.
    pub(super) fn parse(bytes: &[u8], repository: &str) -> Result<Self> {
        let wrong = |why: String| Error::Damaged(format!("this is not a backup: {why}"));
        let this: Self = serde_json::from_slice(bytes).map_err(|e| wrong(e.to_string()))?;
        if this.format != 1 {
            return Err(Error::Invalid(format!(
                "this backup was made by a newer Webstead ({}); use that one",
                short(&this.webstead)
            )));
        }
        if this.repository != repository {
            return Err(wrong("it belongs to another folder of backups".into()));
        }
        let blocks = this.database.bytes.div_ceil(BLOCK_BYTES as u64);
        let lists = blocks.div_ceil(BLOCKS_IN_LIST as u64);
        if this.database.bytes == 0
            || this.database.bytes > MOST_BYTES
            || lists != this.database.lists.len() as u64
        {
            return Err(wrong("the size of its database cannot be".into()));
        }
        Ok(this)
    }

    /// How many rows a table has.
    pub(super) fn rows(&self, table: &str) -> u64 {
        let of_table = self.database.rows.iter().find(|(name, _)| name == table);
        of_table.map_or(0, |(_, rows)| *rows)
    }
}

/// Reads a list of blocks.
///
/// # Errors
/// [`Error::Damaged`] if a line is no reference, or if there are too many.
pub(super) fn parse_list(bytes: &[u8]) -> Result<Vec<Reference>> {
    let list: Vec<Reference> = text(bytes)?
        .lines()
        .map(str::parse)
        .collect::<Result<_>>()?;
    if list.len() > BLOCKS_IN_LIST {
        return Err(Error::Damaged("a list of blocks is too long".into()));
    }
    Ok(list)
}

/// Writes what [`parse_list`] reads.
pub(super) fn write_list(list: &[Reference]) -> Vec<u8> {
    let mut text = String::with_capacity(list.len() * 68);
    for reference in list {
        text.push_str(&reference.to_string());
        text.push('\n');
    }
    text.into_bytes()
}

/// Reads a list of files.
///
/// # Errors
/// [`Error::Damaged`] if one is not of a data folder.
pub(super) fn parse_files(bytes: &[u8]) -> Result<Vec<FileEntry>> {
    let parse = |line: &str| {
        let entry: FileEntry = serde_json::from_str(line)
            .map_err(|e| Error::Damaged(format!("a list of files cannot be read: {e}")))?;
        let most = entry.parts.len() as u64 * super::object::MAX_BYTES as u64;
        if !is_in_data_folder(&entry.path) || entry.bytes > most.min(MOST_BYTES) {
            return Err(Error::Damaged(format!(
                "{:?} is not a file of a data folder, and nothing of this backup is written",
                short(&entry.path)
            )));
        }
        Ok(entry)
    };
    text(bytes)?.lines().map(parse).collect()
}

/// Writes what [`parse_files`] reads.
pub(super) fn write_files(files: &[FileEntry]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for entry in files {
        serde_json::to_writer(&mut bytes, entry).map_err(Error::internal)?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}

fn text(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| Error::Damaged("a list is not text".into()))
}

/// So that what is hostile is not long, too.
fn short(text: &str) -> String {
    text.chars().take(80).collect()
}

/// Whether a backup may have a file here: below one of the folders that belong to a site, by a plain way.
fn is_in_data_folder(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    let is_plain = Path::new(path)
        .components()
        .all(|part| matches!(part, Component::Normal(_)))
        && parts
            .iter()
            .all(|part| !part.is_empty() && part.len() <= 255 && *part != "." && *part != "..")
        && !path.contains('\0');
    let is_media = |name: &str| {
        name.len() == 64 && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    is_plain
        && match parts[..] {
            ["media", name] => is_media(name),
            ["webstead.toml"] | ["tls" | "public" | "secrets", _, ..] => true,
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(path: &str) -> FileEntry {
        FileEntry {
            path: path.into(),
            bytes: 5,
            changed: (1, 2),
            parts: vec!["a".repeat(64).parse().unwrap()],
        }
    }

    #[test]
    fn only_files_of_a_data_folder_are_believed() {
        let media = format!("media/{}", "0a".repeat(32));
        for path in [
            "webstead.toml",
            "tls/public/a.pem",
            "public/.well-known/x",
            &media,
        ] {
            let list = write_files(&[entry(path)]).unwrap();
            assert_eq!(parse_files(&list).unwrap(), [entry(path)]);
        }
        let long = format!("public/{}", "x".repeat(300));
        for path in [
            "",
            "/",
            "/etc/passwd",
            "..",
            "public/../../x",
            "public/./x",
            "public//x",
            "public/x/",
            "public",
            "site.db",
            "site.db-wal",
            "server.lock",
            "media/x",
            "media/../x",
            "tls/\0",
            "other/x",
            &long,
            "./public/x",
            "public/..",
        ] {
            let list = write_files(&[entry(path)]).unwrap();
            assert!(parse_files(&list).is_err(), "{path:?}");
        }
        let mut large = entry("public/x");
        large.bytes = 9 << 20;
        let list = write_files(&[large]).unwrap();
        assert!(parse_files(&list).is_err(), "more than its parts can have");
    }

    proptest! {
        #[test]
        fn whatever_is_read_there_are_words_and_no_panic(bytes: Vec<u8>, text in "\\PC*") {
            for bytes in [&bytes[..], text.as_bytes()] {
                let _ = Manifest::parse(bytes, "x");
                let _ = parse_list(bytes);
                let _ = parse_files(bytes);
            }
            prop_assert!(!is_in_data_folder(&text) || !text.contains(".."));
        }
    }
}
