//! `webstead rollback`: back to the program before, and to the database as it was, if nothing was written since.

use std::process::ExitCode;

use clap::Args;

use super::{
    Global,
    backup::clock,
    calm::{keep_calm, may_be_broken_off},
    upgrade::{Site, refuse_foreign_place, rehearse_with, replace, version_of},
};
use crate::{
    base::{Error, Result},
    db::{
        Before, DataFolder, Since, before_upgrade, put_back, rehearsal_folder, show_before_upgrade,
    },
    install::{Staged, abandon, previous_of},
    server::handover::refuse_foreign,
};

/// How the way back is gone.
#[derive(Args)]
#[command(
    after_help = "If the upgrade changed the form of the database, the database goes back too, as long as nothing \
    was written since. Otherwise you choose: the program before with the data of today, or with the data as they \
    were. Today's database is kept beside it in any case."
)]
pub(super) struct RollbackArgs {
    /// Look at everything, say what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Go back to the program only; the database stays as it is today, if that program can use it
    #[arg(long, conflicts_with = "lose_changes")]
    keep_data: bool,
    /// Go back to the database as it was before the upgrade, too, without what was written since
    #[arg(long)]
    lose_changes: bool,
}

/// Does it.
pub(super) fn run(args: &RollbackArgs, global: &Global) -> Result<ExitCode> {
    let own = std::env::current_exe().ok();
    let own = own.filter(|program| previous_of(program).exists());
    let site = Site::of(DataFolder::open_existing(&global.data_path())?, own)?;
    let previous = previous_of(&site.place);
    if !previous.exists() {
        return Err(Error::Invalid(format!(
            "there is no {}: an upgrade would have kept the program before there",
            previous.display()
        )));
    }
    refuse_foreign_place(&previous)?;
    refuse_foreign(&previous)?;
    may_be_broken_off(abandon)?;
    let staged = if args.dry_run {
        Staged::kept_to_look_at(&site.place)?
    } else {
        Staged::kept(&site.place)?
    };
    say!("back to     {}", version_of(staged.path())?);
    let today = rehearse_with(staged.path(), site.folder.root());
    let is_older = today.as_ref().map_or(true, |found| found.from > found.to);
    let before = match before_upgrade(&site.folder)? {
        Some(before) if is_older && can_use_before(&staged, &site)? => Some(before),
        _ => None,
    };
    match before {
        Some(before) if !args.keep_data => {
            let can_keep = today.is_ok();
            go_back(args, &site, staged, before, can_keep)
        }
        None if args.lose_changes => Err(Error::Invalid(
            "there is no other database for that program: the upgrade did not change its form, or there was no room \
             to keep it; nothing was changed"
                .into(),
        )),
        _ => {
            today?;
            say!("the data    stay as they are: nothing that was written since is lost");
            replace(&site, staged, args.dry_run)
        }
    }
}

/// Whether the program before can use the database that was kept.
fn can_use_before(staged: &Staged, site: &Site) -> Result<bool> {
    let scratch = rehearsal_folder(&site.folder)?;
    show_before_upgrade(&site.folder, scratch.path())?;
    match rehearse_with(staged.path(), scratch.path()) {
        Ok(_) => Ok(true),
        // What that program says of the data. That it did not start, or said nothing, is no answer.
        Err(Error::Invalid(why)) => {
            warn_of!("The database that was kept stays where it is: {why}");
            Ok(false)
        }
        Err(e) => Err(e),
    }
}

/// Program and database go back together, if nothing is lost by it or the owner wants it so.
fn go_back(
    args: &RollbackArgs,
    site: &Site,
    staged: Staged,
    before: Before,
    can_keep: bool,
) -> Result<ExitCode> {
    let since = clock(before.at);
    if before.since != Since::Nothing && !args.lose_changes {
        let text = choices(&before, can_keep);
        if args.dry_run {
            say!("{text}");
            return Ok(ExitCode::SUCCESS);
        }
        return Err(Error::Invalid(text));
    }
    say!(
        "database    schema {}, as it was on {since}; {}",
        before.schema,
        match before.since {
            Since::Nothing => "nothing was written since".to_owned(),
            since => format!("without {}", counted(since)),
        }
    );
    if args.dry_run {
        say!("Today's database would be kept beside it. Nothing was changed.");
        return Ok(ExitCode::SUCCESS);
    }
    if site.running.is_some() {
        return Err(Error::Invalid(
            "a database is only exchanged while nobody uses it, and the site is running. Nothing was changed. Stop it \
             (a service with `sudo systemctl stop webstead.socket webstead.service`), say this again, and start it"
                .into(),
        ));
    }
    let lock = site.folder.lock_for_server()?;
    // Now nobody writes any more.
    let now = before_upgrade(&site.folder)?.map_or(before.since, |before| before.since);
    if now != before.since {
        return Err(Error::Invalid(
            "something was written just now, so nothing was changed; look again with --dry-run"
                .into(),
        ));
    }
    keep_calm()?;
    // First the database: the newer program can use both, should this be interrupted here.
    let aside = put_back(&site.folder, &lock)?;
    staged.put()?;
    say!(
        "Done: program and database are as they were before the upgrade. Today's database is kept as {}. Start the \
         site again.",
        aside.display()
    );
    Ok(ExitCode::SUCCESS)
}

fn counted(since: Since) -> String {
    match since {
        Since::Nothing => "no change that was written since".into(),
        Since::Changes(1) => "one change that was written since".into(),
        Since::Changes(n) => format!("{n} changes that were written since"),
        Since::AtLeast(n) => {
            format!("at least {n} changes that were written since (older ones are not counted any more)")
        }
        Since::NotKnown => {
            "what was written since, of which nobody can say whether it is something: it is too long ago, or another \
             database was put in its place"
                .into()
        }
    }
}

/// What the owner may choose, where something was written since.
fn choices(before: &Before, can_keep: bool) -> String {
    let keep = if can_keep {
        "`webstead rollback --keep-data` goes back to the program and leaves the database as it is: nothing is lost"
    } else {
        "`webstead rollback --keep-data`, which leaves the database as it is, is not possible: that program cannot \
         use a database of this form"
    };
    format!(
        "the upgrade of {} changed the form of the database; to go back would be without {}. Nothing was changed now. Choose:\n  \
         {keep};\n  `webstead rollback --lose-changes` goes back to the database as it was then, too, and keeps \
         today's beside it as a file",
        clock(before.at),
        counted(before.since)
    )
}
