//! Where backups are, as it is said on the command line, and who is asked for the way there.

use std::{io::IsTerminal as _, path::PathBuf, sync::Arc};

use clap::Args;

use super::{Global, confirm::confirm, secret};
use crate::{
    backup::{
        Keys, Repository, Settings, Target,
        s3::{Endpoint, Region, S3Settings},
        sftp::{HostKey, SftpSettings},
    },
    base::{Error, Result},
    config::Config,
    db::DataFolder,
    server::{
        stores::{self, Person, Ways},
        with_stored,
    },
};

/// How to get at a bucket, where webstead.toml does not say it.
#[derive(Args)]
#[command(next_help_heading = "For a bucket")]
pub(super) struct StoreArgs {
    /// The address of the store, without the bucket [default: Amazon's, of the region]
    #[arg(long, value_name = "URL")]
    endpoint: Option<Endpoint>,

    /// The region of the bucket
    #[arg(long)]
    region: Option<Region>,

    /// The key that the store has given you; its secret half is asked for, unless `webstead secret set s3` has it
    #[arg(long, value_name = "ID")]
    key_id: Option<String>,
}

impl StoreArgs {
    fn or(&self, of_file: S3Settings) -> S3Settings {
        let given = S3Settings {
            endpoint: self.endpoint.clone(),
            region: self.region.clone(),
            key_id: self.key_id.clone(),
            roots: None,
        };
        given.or(of_file)
    }
}

/// How to get at another machine, where webstead.toml does not say it.
#[derive(Args)]
#[command(next_help_heading = "For another machine")]
pub(super) struct MachineArgs {
    /// The key by which it is known, as `ssh-keygen -lf FILE.pub` shows it there; who makes backups there remembers it
    #[arg(long, value_name = "SHA256:…")]
    host_key: Option<HostKey>,

    /// A file with a key that is allowed there [default: the one of this site, which `webstead backup ssh-key` shows]
    #[arg(long, value_name = "FILE", value_parser = super::typed_path())]
    ssh_key: Option<PathBuf>,
}

impl MachineArgs {
    fn or(&self, of_file: SftpSettings) -> Result<SftpSettings> {
        let file = self.ssh_key.as_ref().map(std::path::absolute).transpose();
        let given = SftpSettings {
            host_key: self.host_key.clone(),
            key_file: file.map_err(|e| Error::io("finding", "the key", e))?,
        };
        Ok(given.or(of_file))
    }
}

/// Where backups are.
#[derive(Args)]
pub(super) struct FromArgs {
    /// The folder with the backups, a bucket such as `s3://my-bucket/site`, or a folder on another machine such as
    /// `sftp://ada@nas.example/backups` [default: the place that is set]
    #[arg(long = "from", value_name = "PLACE")]
    place: Option<Target>,

    /// A file with the secret key of age that opens them, if they are encrypted and this machine does not
    /// have their key
    #[arg(long, value_name = "FILE", value_parser = super::typed_path())]
    key: Option<PathBuf>,

    // Last, because their headings hold for what comes behind them.
    #[command(flatten)]
    store: StoreArgs,

    #[command(flatten)]
    machine: MachineArgs,
}

impl FromArgs {
    /// Opens the place that is meant.
    ///
    /// # Errors
    /// [`Error::Invalid`] if none is, or if it has no backups that can be opened.
    pub(super) fn open(&self, global: &Global) -> Result<Repository> {
        let data = global.data_path();
        let keys = Keys {
            data: Some(&data),
            identity: self.key.clone(),
            passphrase: Some(&ask_passphrase),
        };
        self.target(global)?.open(&keys)
    }

    /// The place that is meant.
    ///
    /// # Errors
    /// [`Error::Invalid`] if none is.
    fn target(&self, global: &Global) -> Result<Target> {
        target(
            self.place.as_ref(),
            (&self.store, &self.machine),
            "--from PLACE",
            global,
        )
    }
}

/// The place that is given, or that of webstead.toml; `how` is how one is given.
///
/// # Errors
/// [`Error::Invalid`] if there is none, or if webstead.toml has a mistake.
pub(super) fn target(
    given: Option<&Target>,
    (store, machine): (&StoreArgs, &MachineArgs),
    how: &str,
    global: &Global,
) -> Result<Target> {
    let data = global.data_path();
    let config =
        Config::load(global.config.as_deref(), &data).map(|file| with_browsers(file, &data));
    // A mistake in the settings is no reason not to bring a site back from a place that is said here.
    let of_file = match (given, config) {
        (_, Ok(config)) => config.backup,
        (Some(_), Err(_)) => Settings::default(),
        (None, Err(e)) => return Err(e),
    };
    let target = match given {
        Some(given) => {
            let here = std::env::current_dir().map_err(|e| Error::io("finding", "this folder", e))?;
            given.seen_from(&here)
        }
        None => of_file.to.map(|to| to.seen_from(&data)).ok_or_else(|| {
            Error::Invalid(format!(
                "say where the backups are, with {how}, or once and for all under Backups in the browser, or with `to` under [backup] in webstead.toml"
            ))
        })?,
    };
    let ways = Ways {
        s3: store.or(of_file.s3),
        sftp: machine.or(of_file.sftp)?,
        given_host_key: machine.host_key.clone(),
        given_secret: None,
        data,
        tries: stores::TRIES,
        person: Some(Person {
            store_secret: || secret::ask("the key of the store"),
            password: |whose| secret::ask(&format!("the password of {whose}")),
            is_its_key,
        }),
        stop: Arc::default(),
    };
    Ok(ways.to(target))
}

/// These settings, and those of the browser. What cannot be read of the latter is no reason not to bring a site back.
pub(super) fn with_browsers(file: Config, data: &std::path::Path) -> Config {
    let folder = DataFolder::open_existing(data).ok();
    let both = folder.and_then(|folder| with_stored(&file, &folder).ok());
    both.unwrap_or(file)
}

/// Asks whether a machine that was never met is the right one. Where nobody can be asked, it is not.
fn is_its_key(machine: &str, key: &str) -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        return Ok(false);
    }
    confirm(
        &format!(
            "{machine} was never met. It shows the key\n    {key}\nIs that its own? There, `ssh-keygen -lf \
             /etc/ssh/ssh_host_ed25519_key.pub` shows it."
        ),
        "yes",
        "nobody can be asked",
    )?;
    Ok(true)
}

/// Asks for the passphrase of encrypted backups.
pub(super) fn ask_passphrase() -> Result<String> {
    ask_passphrase_as("The passphrase of these backups: ")
}

/// The same in other words.
pub(super) fn ask_passphrase_as(words: &str) -> Result<String> {
    let typed = secret::ask_as(words)?;
    Ok(typed.trim_end_matches(['\r', '\n']).to_owned())
}
