//! The command line: one file for each command.

#[macro_use]
mod say;

mod addresses;
mod aftermath;
mod backup;
mod calm;
mod certificate;
mod certificate_list;
mod check;
mod confirm;
mod dns;
mod doctor;
mod export;
mod import;
mod install;
mod moment;
mod place;
mod progress;
mod repair;
mod restore;
mod rollback;
mod router;
mod secret;
mod serve;
mod status;
mod upgrade;
mod user;

use std::{path::PathBuf, process::ExitCode};

use clap::{
    Args, Parser, Subcommand,
    builder::{PathBufValueParser, TypedValueParser},
};

use crate::{
    base::{Error, Result, paths},
    db::DataFolder,
    server::{guard, handover::tether},
};

/// A whole website in one file: HTTPS, web server, application and database.
///
/// Without a command, serves the site of the data folder; makes a new one if there is none.
#[derive(Parser)]
#[command(name = "webstead", version, max_term_width = 100)]
#[command(after_help = "The manual is in every site, at /help.")]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    serve: serve::ServeArgs,

    #[command(flatten)]
    global: Global,
}

/// What every command takes.
#[derive(Args)]
#[allow(clippy::doc_markdown)] // --help shows these comments as they are
struct Global {
    /// The data folder, where everything of a site is [default: $STATE_DIRECTORY; for the installed
    /// program /var/lib/webstead; else ./webstead-data]
    #[arg(long, global = true, value_name = "DIR", value_parser = typed_path())]
    data: Option<PathBuf>,

    /// The settings file [default: webstead.toml in the data folder]
    #[arg(long, global = true, value_name = "FILE", value_parser = typed_path())]
    config: Option<PathBuf>,
}

impl Global {
    /// The data folder's path: `--data`, else systemd's, else the service's where this program is its
    /// program, else one in the working directory.
    fn data_path(&self) -> PathBuf {
        if let Some(given) = &self.data {
            return given.clone();
        }
        // systemd may name several folders, separated by colons (systemd.exec(5)); ours is the first.
        let given = std::env::var("STATE_DIRECTORY").unwrap_or_default();
        match given.split(':').next() {
            Some(first) if !first.is_empty() => PathBuf::from(first),
            _ => crate::install::data_of_installed_program()
                .map_or_else(|| PathBuf::from("webstead-data"), PathBuf::from),
        }
    }
}

/// A path of the command line. A shell has made a folder of `~` before, if there was one and it was not quoted.
fn typed_path() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(paths::whole)
}

#[derive(Subcommand)]
enum Command {
    /// Serve the site over HTTPS (this is what no command does too)
    Serve(serve::ServeArgs),
    /// Say whether the site runs, and where it is
    Status(status::StatusArgs),
    /// Look at the whole way from a visitor to the site, and say what is wrong with it
    Doctor(doctor::DoctorArgs),
    /// Check settings and data, and say what is wrong
    Check(check::CheckArgs),
    /// Save what can be read of a damaged site
    Repair(repair::RepairArgs),
    /// Bring in a folder of Markdown files (Zola, Hugo, Jekyll), all or nothing
    Import(import::ImportArgs),
    /// Write the whole site as a folder of Markdown files
    Export(export::ExportArgs),
    /// Back the site up, and look after its backups
    Backup(Box<backup::BackupArgs>),
    /// Bring a site back from a backup
    Restore(Box<restore::RestoreArgs>),
    /// Make, list and help accounts
    User {
        #[command(subcommand)]
        command: user::UserCommand,
    },
    /// List, renew and revoke certificates of a public authority
    Certificate {
        #[command(subcommand)]
        command: certificate::CertificateCommand,
    },
    /// Say what the router at home does, or close what it was asked to open
    Router {
        #[command(subcommand)]
        command: Option<router::RouterCommand>,
    },
    /// Say which names follow the addresses of this machine, and what they have
    Dns {
        #[command(subcommand)]
        command: Option<dns::DnsCommand>,
    },
    /// Keep secrets that providers gave, apart from the site
    Secret {
        #[command(subcommand)]
        command: secret::SecretCommand,
    },
    /// Make this program a service that starts with the machine, or bring the installed one to this version
    Install(install::InstallArgs),
    /// Take the service away; the site stays unless it is purged
    Uninstall(install::UninstallArgs),
    /// Let another program take over from the one that serves, without losing a request
    Upgrade(upgrade::UpgradeArgs),
    /// Go back to the program before the last upgrade, and to its database if nothing was written since
    Rollback(rollback::RollbackArgs),
    /// Let the running server read its settings again, or go on as the program that lies on the disk now
    Reload,
    #[command(name = guard::COMMAND, hide = true)]
    Guard,
    #[command(name = tether::COMMAND, hide = true)]
    Tether { process: u32 },
    #[command(name = upgrade::REHEARSE, hide = true)]
    Rehearse,
}

impl Cli {
    /// Runs what the command line says.
    pub fn run(self) -> Result<ExitCode> {
        let global = self.global;
        if self.command.is_some() && self.serve.is_given() {
            return Err(Error::Invalid(
                "--https and --http belong behind the command `serve`; the other commands do not listen".into(),
            ));
        }
        match self.command {
            None => serve::run(&self.serve, &global),
            Some(Command::Serve(args)) => serve::run(&args, &global),
            Some(Command::Status(args)) => status::run(&args, &global),
            Some(Command::Doctor(args)) => doctor::run(&args, &global),
            Some(Command::Check(args)) => Ok(check::run(&args, &global)),
            Some(Command::Repair(args)) => repair::run(&args, &global),
            Some(Command::Import(args)) => import::run(&args, &global),
            Some(Command::Export(args)) => export::run(&args, &global),
            Some(Command::Backup(args)) => backup::run(&args, &global),
            Some(Command::Restore(args)) => restore::run(&args, &global),
            Some(Command::User { command }) => user::run(&command, &global),
            Some(Command::Certificate { command }) => certificate::run(&command, &global),
            Some(Command::Router { command }) => router::run(command.as_ref(), &global),
            Some(Command::Dns { command }) => dns::run(command.as_ref(), &global),
            Some(Command::Secret { command }) => secret::run(&command, &global),
            Some(Command::Install(args)) => install::install(&args, &global),
            Some(Command::Uninstall(args)) => install::uninstall(&args, &global),
            Some(Command::Upgrade(args)) => upgrade::upgrade(&args, &global),
            Some(Command::Rollback(args)) => rollback::run(&args, &global),
            Some(Command::Reload) => upgrade::reload(&global),
            Some(Command::Rehearse) => upgrade::try_migrations(&global),
            Some(Command::Tether { process }) => Ok(ExitCode::from(tether::run(process))),
            Some(Command::Guard) => {
                let folder = DataFolder::open_existing(&global.data_path())?;
                guard::run(&folder).map(ExitCode::from)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory as _};

    use super::Cli;

    /// Every command below this one, with its words.
    fn all(command: &Command, words: &str, found: &mut Vec<(String, Command)>) {
        found.push((words.to_owned(), command.clone()));
        for below in command.get_subcommands() {
            all(below, &format!("{words} {}", below.get_name()), found);
        }
    }

    #[test]
    fn each_heading_of_help_has_the_flags_that_it_is_about_and_no_others() {
        let mut command = Cli::command();
        command.build();
        let mut commands = Vec::new();
        all(&command, "webstead", &mut commands);
        let mut with_headings = Vec::new();
        for (words, command) in commands {
            for argument in command.get_arguments() {
                let flag = argument.get_long().unwrap_or_default();
                let heading = match flag {
                    "endpoint" | "region" | "key-id" => Some("For a bucket"),
                    "host-key" | "ssh-key" => Some("For another machine"),
                    _ => None,
                };
                assert_eq!(argument.get_help_heading(), heading, "{words} --{flag}");
                if heading.is_some() && !with_headings.contains(&words) {
                    with_headings.push(words.clone());
                }
            }
        }
        assert_eq!(with_headings.len(), 6, "{with_headings:?}");
    }
}
