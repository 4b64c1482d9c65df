//! The backups that there are, and finding one of them.

use std::str::FromStr;

use super::repository::{Contents, Kept, Repository, number_of};
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
    /// The number by its file, which may be known also where it cannot be read.
    pub of_file: Option<u64>,
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
            of_file: Some(manifest.number),
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
    listed.extend(contents.unreadable.into_iter().map(unreadable));
    // One whose number is not known may be the last one.
    listed.sort_by_key(|backup| backup.of_file.unwrap_or(u64::MAX));
    listed.reverse();
    Ok(listed)
}

fn unreadable((file, why): (String, String)) -> Listed {
    let why = format!(
        "It cannot be read: {why}. As long as {file} lies there, nothing is removed that no other backup needs, because this one may. If you \
         do not expect it to be readable again, `webstead backup forget {}` removes it, after a look",
        name_of(&file)
    );
    Listed {
        number: 0,
        of_file: number_of(&file),
        made_at: Timestamp(0),
        site: file,
        posts: 0,
        files: 0,
        bytes: 0,
        new_bytes: 0,
        warnings: Vec::new(),
        trust: Trust::Bad(vec![why]),
        changes: None,
    }
}

/// A file of a backup without what is the same for all.
pub(super) fn name_of(file: &str) -> &str {
    let name = file.strip_prefix("backups/").unwrap_or(file);
    name.strip_suffix(".json").unwrap_or(name)
}

/// One of them. The latest one is not taken where a newer one cannot be read: who asks for it would not know what is missing.
///
/// # Errors
/// [`Error::Invalid`] if there is none, with what there is; [`Error::Damaged`] if there is one that cannot be read.
pub(super) fn find(repository: &Repository, which: Which) -> Result<Kept> {
    let mut contents = repository.contents()?;
    let place = repository.place();
    let Which::Number(number) = which else {
        refuse_older(&contents, &place)?;
        let last = contents.kept.pop();
        return last.ok_or_else(|| {
            Error::Invalid(format!("there is no backup in {place} that can be read"))
        });
    };
    let is_it = |(file, _): &&(String, String)| number_of(file) == Some(number);
    if let Some(found) = contents
        .kept
        .iter()
        .position(|kept| kept.manifest.number == number)
    {
        return Ok(contents.kept.swap_remove(found));
    }
    Err(match contents.unreadable.iter().find(is_it) {
        Some((file, why)) => Error::Damaged(format!(
            "backup {number} in {place} cannot be read ({file}: {why}); `webstead backup list` shows the others"
        )),
        None => Error::Invalid(format!(
            "there is no backup {number} in {place} that can be read; `webstead backup list` shows those that there are"
        )),
    })
}

/// Refuses the last backup that can be read where there is a newer one.
fn refuse_older(contents: &Contents, place: &str) -> Result<()> {
    let Some((file, why)) = contents.newer_unreadable() else {
        return Ok(());
    };
    let newest = match number_of(file) {
        Some(number) => format!("the newest backup in {place}, {number}, cannot be read"),
        None => format!("a backup in {place} that may be the newest one cannot be read"),
    };
    let older = match contents.kept.last() {
        Some(Kept { manifest, .. }) => format!(
            "The last one that can be read is backup {} of {}, and what was written afterwards is not in it: say {0} instead \
             of `latest` to take that one",
            manifest.number,
            super::moment::clock(manifest.made_at)
        ),
        None => "There is no other".to_owned(),
    };
    Err(Error::Damaged(format!("{newest} ({file}: {why}). {older}")))
}
