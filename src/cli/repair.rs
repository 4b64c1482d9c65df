//! `webstead repair`: saves what can be read of a damaged site.

use std::{os::unix::fs::OpenOptionsExt as _, process::ExitCode};

use clap::Args;

use super::Global;
use crate::{
    base::{Error, Result, Timestamp, files},
    db::{DataFolder, Health, replace, salvage},
};

/// What is done with what could be saved.
#[derive(Args)]
pub(super) struct RepairArgs {
    /// Put what could be saved in the place of the damaged database, which is kept under another name
    #[arg(long)]
    replace: bool,
}

/// Salvages into a new file and reports; exits with 1 if something could not be saved.
pub(super) fn run(args: &RepairArgs, global: &Global) -> Result<ExitCode> {
    let folder = DataFolder::open_existing(&global.data_path())?;
    // Nobody serves it meanwhile.
    let lock = folder.lock_for_server()?;
    let damaged = folder.database();
    let stamp = Timestamp::now().to_jiff().strftime("%Y%m%d-%H%M%S");
    let new = folder.root().join(format!("site.db.repaired-{stamp}"));
    let aside = folder.root().join(format!("site.db.damaged-{stamp}"));
    let made = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)
        .and_then(|made| files::give_to_owner_of(folder.root(), &made));
    made.map_err(|e| Error::io("writing", &new, e))?;
    let outcome = salvage(&damaged, &new).and_then(|salvaged| {
        if args.replace {
            replace(&damaged, &new, &aside, &lock)?;
            Health::forget_damage(folder.root())?;
        }
        Ok(salvaged)
    });
    // Of a dry run, or of one that failed, nothing is left.
    for end in ["", "-wal", "-shm", "-journal"] {
        let mut name = new.clone().into_os_string();
        name.push(end);
        let _ = std::fs::remove_file(name);
    }
    let salvaged = outcome?;
    for (table, saved, lost) in &salvaged.tables {
        let lost = if *lost > 0 {
            format!(", {lost} lost")
        } else {
            String::new()
        };
        say!("{table:<16} {saved} rows{lost}");
    }
    for note in &salvaged.notes {
        say!("not saved, or in doubt: {note}");
    }
    if salvaged.is_whole() {
        say!("Everything can be read.");
    }
    if args.replace {
        say!(
            "The site is repaired. The damaged database is kept as {}; remove it when you miss nothing. Then \
             run `webstead check`: pictures and files are looked at there.",
            aside.display()
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
