//! `webstead restore`: a site from a backup. What is there before is set aside, whole.

use std::{path::PathBuf, process::ExitCode, sync::atomic::AtomicBool};

use clap::Args;

use super::{
    Global,
    backup::{From, clock},
    progress::Bar,
};
use crate::{
    backup::{self, Which},
    base::{Result, size_text},
};

/// Which backup, and where to.
#[derive(Args)]
#[command(
    after_help = "The site must not be running. What is in the folder is not overwritten: it is set aside, \
    whole, under a dated name beside it. Interrupted, the command leaves everything as it was."
)]
pub(super) struct RestoreArgs {
    /// The number of a backup, or `latest`; `webstead backup list` shows them
    backup: Which,

    #[command(flatten)]
    from: From,

    /// The folder for the site [default: the data folder]
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,

    /// Only say what would change; write nothing
    #[arg(long)]
    dry_run: bool,
}

/// Does it.
pub(super) fn run(args: &RestoreArgs, global: &Global) -> Result<ExitCode> {
    let repository = args.from.open(global)?;
    let to = args.to.clone().unwrap_or_else(|| global.data_path());
    let bar = Bar::new();
    let progress = |doing: &str, done: usize, total: usize| bar.show(doing, done, total);
    let stop = AtomicBool::new(false);
    if args.dry_run {
        let preview = backup::preview(&repository, args.backup, &to, &progress, &stop)?;
        drop(bar);
        print_preview(&preview, &to);
        return Ok(ExitCode::SUCCESS);
    }
    let restored = backup::restore(&repository, args.backup, &to, &progress, &stop)?;
    drop(bar);
    say!(
        "The site of backup {}, of {}, is in {}: {} posts and pages and {} files.",
        restored.number,
        clock(restored.made_at),
        to.display(),
        restored.posts,
        restored.files
    );
    for warning in &restored.warnings {
        warn_of!("warning: {warning}");
    }
    if let Some(aside) = restored.set_aside {
        say!(
            "What was there before is in {}; remove it when you do not need it any more.",
            aside.display()
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn print_preview(preview: &backup::Preview, to: &std::path::Path) {
    say!(
        "Backup {} of {} would be restored to {}: {} posts and pages and {} files, {}. Nothing was changed.",
        preview.number,
        clock(preview.made_at),
        to.display(),
        preview.posts,
        preview.files,
        size_text(preview.bytes)
    );
    let Some(changes) = &preview.changes else {
        say!("There is no site yet.");
        return;
    };
    say!("The site that is there would be set aside. Compared with it:");
    for (what, titles) in [
        ("would come back", &changes.back),
        ("would be as it was then", &changes.older),
        ("would be gone", &changes.gone),
    ] {
        const SHOWN: usize = 20;
        say!(
            "{:>6} posts and pages {what}{}",
            titles.len(),
            if titles.is_empty() { "" } else { ":" }
        );
        for title in titles.iter().take(SHOWN) {
            say!("         {title}");
        }
        if titles.len() > SHOWN {
            say!("         and {} more", titles.len() - SHOWN);
        }
    }
    say!(
        "{:>6} pictures and files would come back, {} would be gone",
        changes.media_back,
        changes.media_gone
    );
    for other in &changes.others {
        say!("       {other}");
    }
}
