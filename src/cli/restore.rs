//! `webstead restore`: a site from a backup, or as it was at a moment. What is there before is set aside, whole.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::AtomicBool,
};

use clap::Args;

use super::{
    Global,
    backup::clock,
    moment,
    place::{FromArgs, with_browsers},
    progress::Bar,
};
use crate::{
    backup::{self, Moment, To, Wanted, Which},
    base::{
        Result, Timestamp, size_text,
        words::{counted, posts_and_pages},
    },
    config::{self, Config},
};

/// Which backup, and where to.
#[derive(Args)]
#[command(
    after_help = "The site must not be running, unless this is a --dry-run or goes to another folder with --to. What is in the folder is not overwritten: it is set aside, \
    whole, under a dated name beside it. Interrupted, the command leaves everything as it was."
)]
pub(super) struct RestoreArgs {
    /// The number of a backup, or `latest`; `webstead backup list` shows them
    #[arg(required_unless_present = "at")]
    backup: Option<Which>,

    /// The site as it was at a moment, such as "2026-11-27 14:02" or "10 minutes ago": the last backup before it, and what
    /// was written until then, from the log of the site that is there or of a later backup
    #[arg(long, value_name = "WHEN", value_parser = moment::parse, conflicts_with = "backup", allow_hyphen_values = true)]
    at: Option<Timestamp>,

    /// The folder for the site [default: the data folder]
    #[arg(long, value_name = "DIR", value_parser = super::typed_path())]
    to: Option<PathBuf>,

    /// Only say what would change; write nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    from: FromArgs,
}

/// Does it.
pub(super) fn run(args: &RestoreArgs, global: &Global) -> Result<ExitCode> {
    let repository = args.from.open(global)?;
    let to = args.to.clone().unwrap_or_else(|| global.data_path());
    let bar = Bar::new();
    let progress = |doing: &str, done: usize, total: usize| bar.show(doing, done, total);
    let stop = AtomicBool::new(false);
    let data = global.data_path();
    let wanted = match args.at {
        Some(at) => Wanted::Moment(Moment { at, data: &data }),
        None => Wanted::Backup(args.backup.unwrap_or(Which::Latest)),
    };
    if args.dry_run {
        let preview = backup::preview(&repository, wanted, &to, &progress, &stop)?;
        let reach = backup::reach(&backup::list(&repository)?, &data);
        drop(bar);
        print_preview(&preview, &to);
        if let (Some(_), Ok(Some(since))) = (&preview.replay, reach) {
            say!(
                "Any moment since {} can be reached.",
                moment::exactly(since)
            );
        }
        return Ok(ExitCode::SUCCESS);
    }
    let whole = |path: &Path| {
        path.canonicalize()
            .or_else(|_| std::path::absolute(path))
            .ok()
    };
    let folder = To {
        folder: &to,
        is_copy: whole(&to) != whole(&data),
    };
    let restored = backup::restore(&repository, wanted, folder, &progress, &stop)?;
    drop(bar);
    let what = match (args.at, restored.changes) {
        (Some(at), Some(changes)) => format!(
            "The site as it was at {} (backup {} of {}, and {} since)",
            moment::exactly(at),
            restored.number,
            clock(restored.made_at),
            counted(changes, "change", "changes")
        ),
        _ => format!(
            "The site of backup {}, of {},",
            restored.number,
            clock(restored.made_at)
        ),
    };
    say!(
        "{what} is in {}: {} and {}.",
        to.display(),
        posts_and_pages(restored.posts),
        counted(restored.files, "file", "files")
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
    say_where_its_backups_go(&to, restored.is_copy);
    Ok(ExitCode::SUCCESS)
}

/// Says whether a restored site makes backups of its own, if it does not or must be asked first.
fn say_where_its_backups_go(to: &Path, is_copy: bool) {
    let settings = to.join(config::FILE_NAME);
    let how = format!(
        "choose a place under Backups in the browser, or write it as `to` under [backup] in {}",
        settings.display()
    );
    // What is wrong with the settings, `webstead check` says.
    let config = Config::load(None, to).map(|file| with_browsers(file, to));
    match config.ok().and_then(|config| config.backup.to) {
        None => say!("This site makes no backups of its own by itself: {how}."),
        Some(place) if is_copy => say!(
            "It is a copy. In {place}, where the backups of the first site are, it makes none unless you say so (`webstead \
             --data {} backup --take-over`); for a place of its own, {how}.",
            to.display()
        ),
        Some(_) => {}
    }
}

fn print_replay(preview: &backup::Preview, replay: &backup::Replay, to: &Path) {
    say!(
        "The site as it was at {} would be restored to {}, with {}. Nothing was changed.",
        moment::exactly(replay.at),
        to.display(),
        posts_and_pages(preview.posts)
    );
    let last = replay.last.map_or_else(String::new, |last| {
        format!(", the last one of {}", moment::exactly(last))
    });
    say!(
        "It would be made of backup {} of {} and {} since{last}. webstead.toml and the folders public and tls \
         would be those of the backup.",
        preview.number,
        clock(preview.made_at),
        counted(replay.changes, "change", "changes")
    );
    if replay.is_clock_back {
        warn_of!(
            "warning: the clock of the machine was set back meanwhile, so what was before this moment is not certain"
        );
    }
    for lost in &replay.lost {
        warn_of!("warning: {lost}");
    }
}

fn print_preview(preview: &backup::Preview, to: &Path) {
    match &preview.replay {
        None => say!(
            "Backup {} of {} would be restored to {}: {} and {}, {}. Nothing was changed.",
            preview.number,
            clock(preview.made_at),
            to.display(),
            posts_and_pages(preview.posts),
            counted(preview.files, "file", "files"),
            size_text(preview.bytes)
        ),
        Some(replay) => print_replay(preview, replay, to),
    }
    let Some(changes) = &preview.changes else {
        let what = if preview.is_unreadable {
            "The site that is there is damaged and cannot be compared. It would be set aside."
        } else {
            "There is no site yet."
        };
        say!("{what}");
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
            "{:>6} {} {what}{}",
            titles.len(),
            if titles.len() == 1 {
                "post or page"
            } else {
                "posts and pages"
            },
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
        "{:>6} {} would come back, {} would be gone",
        changes.media_back,
        if changes.media_back == 1 {
            "picture or file"
        } else {
            "pictures and files"
        },
        changes.media_gone
    );
    for other in &changes.others {
        say!("       {other}");
    }
}
