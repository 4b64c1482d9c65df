//! `webstead export`: the site as a folder of Markdown files. Works while the site is running.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use super::{Global, progress::Bar};
use crate::{
    app::transfer::export::export,
    base::{
        Result,
        words::{counted, posts_and_pages},
    },
    db::{DataFolder, Database, MediaStore},
};

/// Where to write to.
#[derive(Args)]
pub(super) struct ExportArgs {
    /// A new or empty folder; nothing is overwritten
    #[arg(value_parser = super::typed_path())]
    dir: PathBuf,
}

/// Writes it.
pub(super) fn run(args: &ExportArgs, global: &Global) -> Result<ExitCode> {
    let folder = DataFolder::open_existing(&global.data_path())?;
    let database = Database::open_to_read(&folder.database())?;
    let bar = Bar::new();
    let progress = |doing: &str, done: usize, total: usize| bar.show(doing, done, total);
    let report = export(&database, &MediaStore::new(&folder), &args.dir, &progress)?;
    drop(bar);
    say!(
        "{} and {} are in {}.",
        posts_and_pages(report.posts as u64),
        counted(report.media as u64, "file", "files"),
        args.dir.display()
    );
    if report.trashed > 0 {
        say!(
            "Not written, as it is in the trash: {}.",
            posts_and_pages(report.trashed as u64)
        );
    }
    Ok(ExitCode::SUCCESS)
}
