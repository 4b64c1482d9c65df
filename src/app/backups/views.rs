//! What the page of the backups needs.

use askama::Template;

use super::{
    form::{Kind, PlaceForm},
    live::{Backup, Found, Seen, Trust},
};
use crate::{
    app::layout::{FieldErrors, Shell},
    base::{
        Timestamp, size_text,
        words::{counted, posts_and_pages},
    },
};

/// One backup.
pub struct BackupRow {
    /// Its number.
    pub number: u64,
    /// The number by its file, also where it cannot be read.
    pub of_file: Option<u64>,
    /// When it was made.
    pub made_at: Timestamp,
    /// What is in it, in words.
    pub contents: String,
    /// Whether it can be relied on: a word, and how it looks.
    pub trust: (&'static str, &'static str),
    /// What is wrong with it, and what the site had lost already.
    pub problems: Vec<String>,
}

/// Backups.
#[derive(Template)]
#[template(path = "backups/backups.html")]
pub struct BackupsPage {
    /// The frame.
    pub shell: Shell,
    /// How things are.
    pub seen: Seen,
    /// The backups, the last one first.
    pub rows: Vec<BackupRow>,
    /// Those before them.
    pub more: usize,
}

/// Where backups go. Posts its fields by their names to `/admin/backups/place`.
#[derive(Template)]
#[template(path = "backups/place.html")]
pub struct PlacePage {
    /// The frame.
    pub shell: Shell,
    /// As it was typed.
    pub form: PlaceForm,
    /// Every kind of place, and whether it is the one that was chosen.
    pub kinds: Vec<(Kind, bool)>,
    /// The kind of place that was chosen.
    pub kind: Option<Kind>,
    /// Whether there is a secret for it.
    pub has_secret: bool,
    /// The line with which another machine lets this site in.
    pub own_key: String,
    /// Whether `webstead.toml` says it.
    pub is_of_file: bool,
    /// Whether one is set.
    pub is_kept: bool,
    /// What was found there, if it was looked at.
    pub found: Option<Found>,
    /// What is wrong with what was typed.
    pub errors: FieldErrors,
}

impl PlacePage {
    fn is_folder(&self) -> bool {
        self.kind == Some(Kind::Folder)
    }

    fn is_bucket(&self) -> bool {
        self.kind == Some(Kind::Bucket)
    }

    fn is_machine(&self) -> bool {
        self.kind == Some(Kind::Machine)
    }
}

/// How a backup is shown.
pub fn row_of(backup: &Backup) -> BackupRow {
    let mut problems = backup.warnings.clone();
    let trust = match &backup.trust {
        Trust::Proven => ("proven", "published"),
        Trust::Untried => ("not tried", ""),
        Trust::Bad(why) => {
            problems.insert(0, why.clone());
            ("not sound", "failed")
        }
    };
    let contents = format!(
        "{}, {}, {}; {} were written for it",
        posts_and_pages(backup.posts),
        counted(backup.files, "file", "files"),
        size_text(backup.bytes),
        size_text(backup.new_bytes)
    );
    BackupRow {
        number: backup.number,
        of_file: backup.of_file,
        made_at: backup.made_at,
        contents,
        trust,
        problems,
    }
}
