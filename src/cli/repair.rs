//! `webstead repair`: saves what can be read of a damaged site.

use std::{
    fs::OpenOptions,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;

use super::Global;
use crate::{
    base::{Error, Result, files},
    db::{DataFolder, Salvaged, is_replacing, is_sound, replace, salvage},
};

/// What is done with what could be saved.
#[derive(Args)]
pub(super) struct RepairArgs {
    /// Put what could be saved in the place of the damaged database, which is kept under another name
    #[arg(long)]
    replace: bool,

    /// Keep what could be saved as a new file, on another disk if that of the site is dying or mounted read-only
    #[arg(long, value_name = "FILE", conflicts_with = "replace", value_parser = super::typed_path())]
    to: Option<PathBuf>,
}

/// Salvages into a new file and reports; exits with 1 if something could not be saved.
pub(super) fn run(args: &RepairArgs, global: &Global) -> Result<ExitCode> {
    let folder = DataFolder::open_existing(&global.data_path())?;
    if args.to.is_none() && folder.is_on_read_only_disk() {
        return Err(Error::CannotSave(format!(
            "the disk with {} is mounted read-only, so what can be saved has to go elsewhere: webstead repair --to FILE, \
             a new file on another disk",
            folder.root().display()
        )));
    }
    // Nobody serves it meanwhile.
    let lock = folder.lock_for_server()?;
    let damaged = folder.database();
    let name = |end: &str| files::dated_name(&files::beside(&damaged, end));
    let aside = name(".damaged");
    let new = args.to.clone().unwrap_or_else(|| name(".repaired"));
    begin(&new, folder.root())?;
    let (mut is_well, mut is_replaced) = (false, false);
    let outcome = salvage(&damaged, &new).and_then(|salvaged| {
        // A sound one stays, and with it the log that leads back to any moment.
        is_well = args.to.is_none() && salvaged.is_whole() && is_sound(&folder);
        if args.replace && !is_well {
            replace(&damaged, &new, &aside, &lock)?;
            is_replaced = true;
        }
        Ok(salvaged)
    });
    if let (Err(e), true) = (&outcome, is_replacing(&damaged)) {
        // Whoever opens the folder next goes on with it, so it stays.
        return Err(Error::CannotSave(format!(
            "the repaired database is in {}, and could not be put in its place ({e}). The next command, or the next start \
             of the site, does that; leave the file where it is",
            new.display()
        )));
    }
    // Of a dry run, or of one that failed, nothing is left.
    for end in ["", "-wal", "-shm", "-journal"] {
        let is_kept = end.is_empty() && args.to.is_some() && outcome.is_ok();
        if !is_kept {
            let _ = std::fs::remove_file(files::beside(&new, end));
        }
    }
    let salvaged = outcome?;
    report(&salvaged);
    if is_replaced {
        say!(
            "The site is repaired. The damaged database is kept as {}; remove it when you miss nothing. Then \
             run `webstead check`: pictures and files are looked at there.",
            aside.display()
        );
    } else if is_well {
        say!("Nothing is wrong with the database, so nothing was changed.");
    } else if args.to.is_some() {
        say!(
            "It is in {}, and nothing was changed in {}. To make a site of it: copy what else is in that folder to a new \
             one, without what begins with site.db, put this file in there as site.db, and start it with --data DIR.",
            new.display(),
            folder.root().display()
        );
    } else {
        say!(
            "Nothing was changed. To put this in the place of the damaged database: webstead repair --replace"
        );
    }
    Ok(if salvaged.is_whole() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Makes the new file, for the owner of the site.
fn begin(new: &Path, owners: &Path) -> Result<()> {
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(new)
        .and_then(|made| files::give_to_owner_of(owners, &made));
    made.map_err(|e| Error::io("writing", new, e))
}

fn report(salvaged: &Salvaged) {
    for (table, saved, lost) in &salvaged.tables {
        let lost = if *lost > 0 {
            format!(", {lost} lost")
        } else {
            String::new()
        };
        say!("{table:<16} {saved} rows{lost}");
    }
    for what in &salvaged.of_log {
        say!("found: {what}");
    }
    for note in &salvaged.notes {
        say!("not saved, or in doubt: {note}");
    }
    if salvaged.is_whole() {
        say!("Everything can be read.");
    } else if salvaged.has_no_owner {
        say!(
            "No account of an owner could be saved. Once this is in its place, `webstead user add NAME --role owner` makes \
             one: it asks for a password."
        );
    }
}
