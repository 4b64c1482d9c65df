//! The backups that there are, and finding one of them.

use std::str::FromStr;

use super::repository::{Kept, Repository};
use crate::{
    base::{Error, Result, Timestamp},
    db::LogPlace,
};

/// A backup, as people ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The one that was made last.
    Latest,
    /// The one with this number.
    Number(u64),
}

impl FromStr for Which {
    type Err = String;
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        if text == "latest" {
            return Ok(Self::Latest);
        }
        let wrong = || format!("{text:?} is neither the number of a backup nor `latest`");
        text.parse().map(Self::Number).map_err(|_| wrong())
    }
}

/// Whether a backup can be relied on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It was restored for a try, and all was well.
    Proven(Timestamp),
    /// It was never tried.
    Untried,
    /// It was tried, and this is wrong with it.
    Bad(Vec<String>),
}

/// A line of the list.
#[derive(Clone, Debug)]
pub struct Listed {
    /// 1, 2, 3 …; 0 if it cannot be read.
    pub number: u64,
    /// When it was made.
    pub made_at: Timestamp,
    /// The site's title.
    pub site: String,
    /// Posts and pages.
    pub posts: u64,
    /// Files beside the database.
    pub files: u64,
    /// Bytes of the site.
    pub bytes: u64,
    /// Bytes that the backup has added.
    pub new_bytes: u64,
    /// What the site had lost already.
    pub warnings: Vec<String>,
    /// Whether it can be relied on.
    pub trust: Trust,
    /// The end of its log of changes, if it has one.
    pub changes: Option<LogPlace>,
}

/// Every backup of a repository, the last one first.
///
/// # Errors
/// If the place does not answer.
pub fn list(repository: &Repository) -> Result<Vec<Listed>> {
    let contents = repository.contents()?;
    let (mut listed, all_tried) = (Vec::new(), repository.all_tried()?);
    for Kept { name, manifest } in contents.kept {
        let trust = match repository.tried_among(&all_tried, &name)? {
            None => Trust::Untried,
            Some(tried) if tried.problems.is_empty() => Trust::Proven(tried.at),
            Some(tried) => Trust::Bad(tried.problems),
        };
        listed.push(Listed {
            number: manifest.number,
            made_at: manifest.made_at,
            posts: manifest.rows("posts"),
            files: manifest.file_count,
            bytes: manifest.database.bytes + manifest.file_bytes,
            new_bytes: manifest.new_bytes,
            site: manifest.site,
            warnings: manifest.warnings,
            trust,
            changes: manifest.changes,
        });
    }
    for (file, why) in contents.unreadable {
        let why = format!(
            "{why}. As long as {file} lies there, nothing is removed that no other backup needs, because this one may. If \
             you do not expect it to be readable again, `webstead backup forget {}` removes it, after a look",
            name_of(&file)
        );
        listed.insert(
            0,
            Listed {
                number: 0,
                made_at: Timestamp(0),
                site: file,
                posts: 0,
                files: 0,
                bytes: 0,
                new_bytes: 0,
                warnings: Vec::new(),
                trust: Trust::Bad(vec![why]),
                changes: None,
            },
        );
    }
    listed.reverse();
    Ok(listed)
}

/// A file of a backup without what is the same for all.
pub(super) fn name_of(file: &str) -> &str {
    let name = file.strip_prefix("backups/").unwrap_or(file);
    name.strip_suffix(".json").unwrap_or(name)
}

/// One of them.
///
/// # Errors
/// [`Error::Invalid`] if there is none, with what there is.
pub(super) fn find(repository: &Repository, which: Which) -> Result<Kept> {
    let contents = repository.contents()?;
    let place = repository.place();
    let found = match which {
        Which::Latest => contents.kept.into_iter().next_back(),
        Which::Number(number) => {
            let mut kept = contents.kept.into_iter();
            kept.find(|kept| kept.manifest.number == number)
        }
    };
    found.ok_or_else(|| {
        Error::Invalid(match which {
            Which::Latest => format!("there is no backup in {place} that can be read"),
            Which::Number(number) => format!(
                "there is no backup {number} in {place} that can be read; `webstead backup list` shows those that there are"
            ),
        })
    })
}
