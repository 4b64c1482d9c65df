//! `webstead status`: whether the site runs and answers, and where it is.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Args;

use super::{
    Global,
    addresses::{self, For},
    say,
};
use crate::{
    auth::users,
    base::{Result, Space, Verdict},
    db::{DataFolder, Health, Trouble, open_to_look},
    install,
    net::certificates::AuthorityCertificate,
    server::{self, Started},
};

/// No server runs on the folder (the code of the Linux Standard Base for `status`).
const NOT_RUNNING: u8 = 3;

/// Time for each step of an answer. Who asks wants to know now.
const PATIENCE: Duration = Duration::from_secs(5);

/// How the site is asked for.
#[derive(Args)]
pub(super) struct StatusArgs {
    /// Wait until the site answers, a minute at most
    #[arg(long)]
    wait: bool,
}

/// Looks, and says; exits with 0 if the site answers, 3 if it does not run, 1 if it runs and does not answer.
pub(super) fn run(args: &StatusArgs, global: &Global) -> Result<ExitCode> {
    let data = global.data_path();
    if args.wait {
        install::await_answer(&data)?;
    }
    let folder = DataFolder::open_existing(&data)?;
    let Some(running) = folder.running_server()? else {
        say!("The site in {} does not run.", data.display());
        return Ok(ExitCode::from(NOT_RUNNING));
    };
    let Some(started) = started(&folder)? else {
        if folder.is_on_read_only_disk() {
            say!(
                "The site runs; its disk is read-only, so it cannot say here where it is. Its log does."
            );
            return Ok(ExitCode::FAILURE);
        }
        say!("The site is starting (process {}).", running.process);
        return Ok(ExitCode::FAILURE);
    };
    let shown = data.canonicalize().unwrap_or_else(|_| data.clone());
    addresses::tell(
        &mut say::Output::new(),
        &started,
        &shown.display().to_string(),
        For::TheNetwork,
    )?;
    if let Ok(authority) = AuthorityCertificate::of(&data) {
        say!(
            "Its own authority, to compare with /trust: {}",
            authority.fingerprint().join(":")
        );
    }
    if let Verdict::Damaged(what) = Health::known_damage(folder.root()) {
        say!("{}", Trouble::Damaged(what).text());
    }
    if let Ok(space) = Space::of(folder.root())
        && let Some(trouble) = Trouble::of_space(space)
    {
        say!("{}", trouble.text());
    }
    let began = Instant::now();
    match started.ask(&data, PATIENCE) {
        Ok(status) if status < 500 => {
            say!("It answers over HTTPS (process {}).", running.process);
            Ok(ExitCode::SUCCESS)
        }
        Ok(status) => {
            say!("It answers with an error ({status}); its log says why.");
            Ok(ExitCode::FAILURE)
        }
        Err(_) if began.elapsed() >= PATIENCE => {
            say!(
                "It does not answer within {} seconds (process {}): it hangs, or has far too much to do. Its log may say \
                 why. If it goes on, start it anew (a service with `sudo systemctl restart webstead`).",
                PATIENCE.as_secs(),
                running.process
            );
            Ok(ExitCode::FAILURE)
        }
        Err(e) => Err(e),
    }
}

/// What the running server told, without the link that sets the site up once that is used up.
pub(super) fn started(folder: &DataFolder) -> Result<Option<Started>> {
    let started = server::running(folder)?;
    Ok(started.map(|started| Started {
        setup_path: started.setup_path.filter(|_| !has_owner(folder)),
        ..started
    }))
}

fn has_owner(folder: &DataFolder) -> bool {
    open_to_look(&folder.database())
        .and_then(|connection| users::has_users(&connection))
        .unwrap_or(false)
}
