//! `webstead secret`: what providers gave, kept apart from the site.

use std::{
    io::{self, BufRead, BufReader, ErrorKind, IsTerminal, Read as _},
    process::ExitCode,
};

use clap::Subcommand;

use super::{Global, place::with_browsers};
use crate::{
    backup::Target,
    base::{Error, Result, one_line, secrets},
    config::Config,
    db::DataFolder,
    net::{acme, dns},
    server::stores::{self, PASSWORD_SECRET, STORE_SECRET},
};

/// Far more than a secret may have: what is longer is told to be so.
const MOST_BYTES: u64 = 64 * 1024;
/// Characters that are shown of what is no name.
const MOST_SHOWN: usize = 64;

/// What to do with secrets.
#[derive(Subcommand)]
pub(super) enum SecretCommand {
    /// Keep a secret; asks for it, or reads the first line of standard input
    Set {
        /// What it is for: dns, s3 for backups in a bucket, sftp for the password on another machine, or external-account
        /// for the key that an authority of certificates gave you
        name: String,
        /// The place that the password is for [default: the place that is set]; it is sent to no other
        #[arg(long = "for", value_name = "sftp://…")]
        place: Option<Target>,
    },
    /// List the names of the secrets that there are
    List,
    /// Forget a secret
    Remove {
        /// What it was for
        name: String,
        /// Also the key of encrypted backups, without which this machine can neither make nor read them
        #[arg(long)]
        yes: bool,
    },
}

/// Does it.
pub(super) fn run(command: &SecretCommand, global: &Global) -> Result<ExitCode> {
    let folder = DataFolder::open_existing(&global.data_path())?;
    let data = folder.root();
    match command {
        SecretCommand::Set { name, place } => {
            if place.is_some() && name != PASSWORD_SECRET {
                return Err(Error::Invalid(format!(
                    "--for says which machine a password is for, and belongs to {PASSWORD_SECRET} alone; leave it out for {name:?}"
                )));
            }
            let secret = match &**name {
                STORE_SECRET => in_one_piece(name, ask_alone("the key of the store")?)?,
                PASSWORD_SECRET => ask_for_machine(place.clone(), &folder, global)?,
                dns::SECRET_NAME => ask_for_dns(&folder, global)?,
                acme::SECRET_NAME => {
                    let key = in_one_piece(name, ask_alone("the key of the external account")?)?;
                    acme::check_external_key(&key)?;
                    key
                }
                _ => {
                    return Err(Error::Invalid(format!(
                        "there is no use for a secret named {:?}; there are {}, {STORE_SECRET}, {PASSWORD_SECRET} and {}",
                        one_line(name, MOST_SHOWN),
                        dns::SECRET_NAME,
                        acme::SECRET_NAME
                    )));
                }
            };
            secrets::write(data, name, &secret)?;
            say!("The secret is kept, for this machine alone: an export does not have it.");
        }
        SecretCommand::List => {
            let names = secrets::names(data)?;
            if names.is_empty() {
                // Not among the names, for who reads those.
                warn_of!("There is no secret yet; `webstead secret set NAME` keeps one.");
            }
            for name in names {
                say!("{name}");
            }
        }
        SecretCommand::Remove { name, yes } => {
            if name.starts_with("backup-") && secrets::read(data, name)?.is_some() && !yes {
                return Err(Error::Invalid(format!(
                    "{name} is the key of encrypted backups: without it this machine can neither make nor read them. \
                     If you want that, say --yes"
                )));
            }
            if !secrets::remove(data, name)? {
                return Err(Error::Invalid(format!("there is no secret named {name:?}")));
            }
            say!("The secret is gone.");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What the DNS provider of the settings gave.
fn ask_for_dns(folder: &DataFolder, global: &Global) -> Result<String> {
    // A setting that is wrong is told of elsewhere, and keeps no secret from being kept.
    let config = Config::load(global.config.as_deref(), folder.root()).unwrap_or_default();
    let config = with_browsers(config, folder.root());
    let secret = ask_parts(dns::SECRET_NAME, config.dns.parts_of_secret())?;
    dns::usable_secret(&config.dns, &secret)
}

/// That a secret is there, and has no character that no key or password has: what was copied with more around it opens
/// nothing, and nobody would see why.
fn in_one_piece(name: &str, secret: String) -> Result<String> {
    let bare = secret.trim();
    let what = if bare.is_empty() {
        "is empty"
    } else if bare.contains(char::is_control) {
        "has a character in it that cannot be seen"
    } else {
        return Ok(secret);
    };
    Err(Error::Invalid(format!(
        "what was given for {name} {what}, so nothing was changed; copy it alone, and set it again"
    )))
}

/// The password on another machine, with the machine that it is for.
fn ask_for_machine(given: Option<Target>, folder: &DataFolder, global: &Global) -> Result<String> {
    let target = given.or_else(|| {
        let config = Config::load(global.config.as_deref(), folder.root()).ok()?;
        with_browsers(config, folder.root()).backup.to
    });
    let place = target.as_ref().and_then(Target::on_machine);
    let place = place.ok_or_else(|| {
        Error::Invalid(
            "say for which machine the password is, as it is sent to no other: --for sftp://ada@nas.example/backups".into(),
        )
    })?;
    let whose = format!("the password of {} on {}", place.user, place.host);
    stores::bound(place, &in_one_piece(&whose, ask_alone(&whose)?)?)
}

/// Asks for each part of a secret, or reads a line with all of them.
fn ask_parts(name: &str, parts: &[&str]) -> Result<String> {
    if parts.len() == 1 || !io::stdin().is_terminal() {
        return ask_alone(&format!("{name} ({})", parts.join(", ")));
    }
    let typed: Vec<String> = parts
        .iter()
        .map(|part| ask(&format!("{name}, {part}")))
        .collect::<Result<_>>()?;
    Ok(typed.join(" "))
}

/// Asks for a secret; where there is no terminal, it is all that is in the first line of standard input, and nothing may
/// have come behind it.
fn ask_alone(name: &str) -> Result<String> {
    if io::stdin().is_terminal() {
        return ask(name);
    }
    let mut line = String::new();
    let mut input = BufReader::new(io::stdin().lock().take(MOST_BYTES));
    input.read_line(&mut line).map_err(|e| match e.kind() {
        ErrorKind::InvalidData => Error::Invalid(format!(
            "what was given for {name} is no text (UTF-8), so nothing was changed; copy the secret alone, and set it again"
        )),
        _ => Error::io("reading", "standard input", e),
    })?;
    if input.buffer().trim_ascii().is_empty() {
        return Ok(line);
    }
    Err(Error::Invalid(format!(
        "there is more than one line for {name} on standard input, so nothing was changed; give the secret alone, in \
         one line"
    )))
}

/// Asks for a secret; where there is no terminal, it is the next line of standard input.
pub(super) fn ask(name: &str) -> Result<String> {
    ask_as(&format!("The secret for {name}: "))
}

/// The same in other words.
pub(super) fn ask_as(words: &str) -> Result<String> {
    if io::stdin().is_terminal() {
        let typed = rpassword::prompt_password(words);
        return typed.map_err(|e| Error::io("reading", "the terminal", e));
    }
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    read.map_err(|e| Error::io("reading", "standard input", e))?;
    Ok(line)
}
