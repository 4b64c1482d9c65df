//! What the page of the backups needs.

use askama::Template;

use super::live::{Backup, Seen, Trust};
use crate::{
    app::layout::Shell,
    base::{Timestamp, size_text},
};

/// One backup.
pub struct BackupRow {
    /// Its number.
    pub number: u64,
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
        "{} posts and pages, {} files, {}; {} were written for it",
        backup.posts,
        backup.files,
        size_text(backup.bytes),
        size_text(backup.new_bytes)
    );
    BackupRow {
        number: backup.number,
        made_at: backup.made_at,
        contents,
        trust,
        problems,
    }
}
