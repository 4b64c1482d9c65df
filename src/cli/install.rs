//! `webstead install` and `uninstall`: a service of this machine, and no service again.

use std::{
    num::NonZeroU16,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;

use super::{
    Global,
    addresses::{self, For},
    calm::keep_calm,
    confirm::confirm,
    say, status,
};
use crate::{
    base::{Error, Result},
    db::DataFolder,
    install::{self, Choices, DATA, Data, Plan},
};

/// What the service is installed with.
#[derive(Args)]
#[allow(clippy::doc_markdown)] // --help shows these comments as they are
pub(super) struct InstallArgs {
    #[command(flatten)]
    elsewhere: Elsewhere,
    /// Say every step, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// The port for HTTPS [default: 443, or the one that is installed]
    #[arg(long, value_name = "PORT", value_parser = port)]
    https: Option<NonZeroU16>,
    /// The port for plain HTTP, which is only sent on to HTTPS [default: 80, or the one that is installed]
    #[arg(long, value_name = "PORT", value_parser = port)]
    http: Option<NonZeroU16>,
    /// Begin with a copy of the site in this data folder, e.g. that of a trial
    #[arg(long, value_name = "DIR", value_parser = super::typed_path())]
    from: Option<PathBuf>,
}

fn port(text: &str) -> std::result::Result<NonZeroU16, String> {
    text.parse()
        .map_err(|_| "a port is a number from 1 to 65535".into())
}

/// What the other commands take, kept out of `--help`: the service has its own folder, and they are refused.
#[derive(Args)]
struct Elsewhere {
    #[arg(long, hide = true, value_parser = super::typed_path())]
    data: Option<PathBuf>,
    #[arg(long, hide = true, value_parser = super::typed_path())]
    config: Option<PathBuf>,
}

/// How the service is taken away.
#[derive(Args)]
pub(super) struct UninstallArgs {
    #[command(flatten)]
    elsewhere: Elsewhere,
    /// Say every step, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Delete the site too: every post, picture and account
    #[arg(long)]
    purge: bool,
    /// Do not ask before the site is deleted
    #[arg(long, requires = "purge")]
    yes: bool,
}

/// Installs this program as a service, or brings the installed one to this version.
pub(super) fn install(args: &InstallArgs, global: &Global) -> Result<ExitCode> {
    refuse_elsewhere(&args.elsewhere, global)?;
    let plan = install::install(&Choices {
        https: args.https.map(NonZeroU16::get),
        http: args.http.map(NonZeroU16::get),
        from: args.from.clone(),
    })?;
    if args.dry_run {
        return Ok(show(&plan));
    }
    refuse_without_root("install")?;
    let heading = format!("Installing Webstead {}:", env!("CARGO_PKG_VERSION"));
    perform(&heading, &plan)?;
    let folder = DataFolder::open_existing(Path::new(DATA))?;
    if let Some(started) = status::started(&folder)? {
        // It is done, whether somebody reads this or not.
        let _ = addresses::tell(&mut say::Output::new(), &started, DATA, For::TheNetwork);
    }
    say!("It starts with the machine. `sudo webstead status` shows this again.");
    Ok(ExitCode::SUCCESS)
}

/// Takes the service away.
pub(super) fn uninstall(args: &UninstallArgs, global: &Global) -> Result<ExitCode> {
    refuse_elsewhere(&args.elsewhere, global)?;
    let data = if args.purge { Data::Delete } else { Data::Keep };
    let plan = install::uninstall(data)?;
    if args.dry_run {
        return Ok(show(&plan));
    }
    refuse_without_root("uninstall")?;
    if args.purge && !args.yes {
        confirm(
            &format!("This deletes every post, picture and account in {DATA}, for ever."),
            "delete",
            "--purge deletes the site and asks before it does, but nobody can answer here; add --yes",
        )?;
    }
    perform("Taking Webstead away:", &plan)?;
    match data {
        Data::Keep if Path::new(DATA).exists() => say!(
            "Your site is still in {DATA}. When you install Webstead again, it is back; to delete it, \
             `sudo rm -r {DATA}`."
        ),
        _ => say!("Nothing of it is left."),
    }
    Ok(ExitCode::SUCCESS)
}

fn refuse_elsewhere(here: &Elsewhere, global: &Global) -> Result<()> {
    let given = [&here.data, &here.config, &global.data, &global.config];
    if given.iter().all(|path| path.is_none()) {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "the service has its data and its settings in {DATA}, so --data and --config have no place here. \
         `install --from DIR` begins with a copy of a site; the manual shows how to have the data on another \
         disk (/help/as-a-service)"
    )))
}

fn refuse_without_root(command: &str) -> Result<()> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let own = std::env::current_exe().unwrap_or_else(|_| "webstead".into());
    Err(Error::Forbidden(format!(
        "this changes the system, and only root may do that: `sudo {} {command}`. With --dry-run it says \
         what it would do, and does nothing",
        own.display()
    )))
}

fn show(plan: &Plan) -> ExitCode {
    say!("This would be done, in this order:");
    for step in plan.steps() {
        say!("  {}", line(step));
    }
    say!("Nothing was changed.");
    ExitCode::SUCCESS
}

fn perform(heading: &str, plan: &Plan) -> Result<()> {
    say!("{heading}");
    keep_calm()?;
    plan.perform(
        |step| say!("  {}", line(step)),
        |progress| say!("      {progress}"),
    )?;
    say!();
    Ok(())
}

fn line(step: &install::Step) -> String {
    let already = if step.is_done_already() {
        " (it is so already)"
    } else {
        ""
    };
    format!("{}{already}", step.what)
}
