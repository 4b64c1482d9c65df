//! `webstead backup`: makes, lists, tries and thins out backups. Works while the site is running.

use std::{
    io::IsTerminal as _,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::AtomicBool,
};

use clap::{Args, Subcommand};
use jiff::tz::TimeZone;

use super::{
    Global,
    confirm::confirm,
    place::{FromArgs, MachineArgs, StoreArgs, ask_passphrase, ask_passphrase_as, target},
    progress::Bar,
    say,
};
use crate::{
    backup::{
        self, Encryption, Keys, Listed, Outcome, Recipient, Repository, Round, Rule, Source,
        Target, Trust, Which,
    },
    base::{
        Error, Result, Timestamp, size_text,
        words::{counted, posts_and_pages},
    },
    config::Config,
    db::DataFolder,
    server::stores,
};

/// What to do with backups.
#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "The first backup to a place copies everything; the next ones only what has changed. Each is \
    restored for a try, so that you know that it works. webstead restore brings a site back."
)]
pub(super) struct BackupArgs {
    #[command(subcommand)]
    command: Option<BackupCommand>,

    #[command(flatten)]
    make: MakeArgs,
}

#[derive(Subcommand)]
enum BackupCommand {
    /// List the backups, the last one first
    List {
        #[command(flatten)]
        from: FromArgs,
    },
    /// Try a backup: restore it for a look at everything, and throw that away
    Verify {
        /// Its number, or `latest`
        #[arg(default_value = "latest")]
        backup: Which,

        /// Try every backup, which may take long
        #[arg(long, conflicts_with = "backup")]
        all: bool,

        #[command(flatten)]
        from: FromArgs,
    },
    /// Make a pair of keys for encrypted backups: the public one for webstead.toml, the secret one to be kept safe
    NewKey,
    /// Show the key with which this site goes to another machine by SFTP: the line for `authorized_keys` there
    SshKey,
    /// Remove one backup, such as one that cannot be read: it keeps all others from being tidied up
    Forget {
        /// Its number, or its file as `webstead backup list` shows it
        backup: String,

        /// Do not ask
        #[arg(long)]
        yes: bool,

        #[command(flatten)]
        from: FromArgs,
    },
    /// Remove the backups that the rule in webstead.toml does not keep
    Prune {
        /// Only say which would go
        #[arg(long)]
        dry_run: bool,

        #[command(flatten)]
        from: FromArgs,
    },
}

/// How to make one.
#[derive(Args)]
#[allow(clippy::struct_excessive_bools)] // each is an option of the command line
struct MakeArgs {
    /// A folder, best on another disk, a bucket such as `s3://my-bucket/site`, or a folder on another machine such as
    /// `sftp://ada@nas.example/backups` [default: the place that is set]
    to: Option<Target>,

    /// Do not try the backup: it counts as unproven then
    #[arg(long)]
    without_verify: bool,

    /// Go on with the backups that are in the place, though it cannot be told whether they are of this site alone, as those
    /// of the site that this one is a copy of
    #[arg(long)]
    take_over: bool,

    /// Take the folder `secrets` along: keep the backup as secret as that
    #[arg(long)]
    with_secrets: bool,

    /// Encrypt a new place to this public key of age; may be given several times
    #[arg(long, value_name = "AGE1…")]
    encrypt_to: Vec<Recipient>,

    /// Encrypt a new place with a passphrase, which is asked for
    #[arg(long)]
    passphrase: bool,

    /// A file with the secret key of age, for an encrypted place that this machine does not know
    #[arg(long, value_name = "FILE", value_parser = super::typed_path())]
    key: Option<PathBuf>,

    // Last, because their headings hold for what comes behind them.
    #[command(flatten)]
    store: StoreArgs,

    #[command(flatten)]
    machine: MachineArgs,
}

/// Does it.
pub(super) fn run(args: &BackupArgs, global: &Global) -> Result<ExitCode> {
    match &args.command {
        None => make(&args.make, global),
        Some(BackupCommand::List { from }) => list(&from.open(global)?),
        Some(BackupCommand::Verify { backup, all, from }) => {
            let repository = from.open(global)?;
            verify(&repository, (!all).then_some(*backup), &global.data_path())
        }
        Some(BackupCommand::SshKey) => {
            let folder = DataFolder::open_existing(&global.data_path())?;
            say!("{}", stores::own_key_line(folder.root())?);
            Ok(ExitCode::SUCCESS)
        }
        Some(BackupCommand::NewKey) => {
            say::text(format_args!("{}", backup::keys::new_identity()));
            Ok(ExitCode::SUCCESS)
        }
        Some(BackupCommand::Forget { backup, yes, from }) => {
            forget(&from.open(global)?, backup, *yes)
        }
        Some(BackupCommand::Prune { dry_run, from }) => {
            let config = Config::load(global.config.as_deref(), &global.data_path())?;
            prune(&from.open(global)?, config.backup.rule(), *dry_run)
        }
    }
}

fn prune(repository: &Repository, rule: Rule, is_dry_run: bool) -> Result<ExitCode> {
    let pruned = backup::prune(repository, rule, is_dry_run)?;
    let numbers = |list: &[u64]| match list {
        [] => "none".to_owned(),
        list => list
            .iter()
            .map(u64::to_string)
            .collect::<Vec<_>>()
            .join(", "),
    };
    let (goes, stays) = (numbers(&pruned.removed), numbers(&pruned.kept));
    if is_dry_run {
        say!("These backups would go: {goes}. These would stay: {stays}.");
        for why in &pruned.unswept {
            warn_of!(
                "problem: {why}: it would stay too, and with it everything that only removed backups needed"
            );
        }
        return Ok(code_of(pruned.unswept.is_empty()));
    }
    let freed = size_text(pruned.freed_bytes);
    say!("Removed: {goes}. Kept: {stays}. {freed} are free again.");
    Ok(told_unswept(&pruned.unswept))
}

fn forget(repository: &Repository, backup: &str, is_sure: bool) -> Result<ExitCode> {
    let unwanted = backup::find_unwanted(repository, backup)?;
    if !is_sure {
        let what = format!("{} It cannot be had back.", unwanted.what);
        confirm(
            &what,
            "forget",
            "there is nobody to ask; --yes says that you are sure",
        )?;
    }
    let (freed, unswept) = backup::forget(repository, &unwanted)?;
    say!("Removed. {} are free again.", size_text(freed));
    Ok(told_unswept(&unswept))
}

/// What a command ends with that looked whether something is well.
fn code_of(is_well: bool) -> ExitCode {
    if is_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Says why what no backup needs any more is still there; that is a failure, for the place goes on filling up.
fn told_unswept(reasons: &[String]) -> ExitCode {
    if reasons.is_empty() {
        return ExitCode::SUCCESS;
    }
    for why in reasons {
        warn_of!("problem: {why}");
    }
    warn_of!(
        "What only removed backups needed is still there, because what these need is not known. If you do without one of \
         them, `webstead backup forget` and its number or file removes it; try others first with `webstead backup verify \
         --all`."
    );
    ExitCode::FAILURE
}

fn make(args: &MakeArgs, global: &Global) -> Result<ExitCode> {
    let folder = DataFolder::open_existing(&global.data_path())?;
    let target = target(
        args.to.as_ref(),
        (&args.store, &args.machine),
        "`webstead backup PLACE`",
        global,
    )?;
    let config = Config::load(global.config.as_deref(), folder.root())?;
    let source = Source {
        folder,
        settings: config.file,
        with_secrets: args.with_secrets || config.backup.secrets,
        database: None,
        keeps_changes: config.backup.changes_mib > 0,
    };
    let round = Round {
        source: &source,
        target: &target,
        // Who names a place knows it; that of the settings may be a disk that is not there.
        takes_new_place: args.to.is_some(),
        takes_over: args.take_over,
        tries: !args.without_verify,
        keys: Keys {
            data: Some(source.folder.root()),
            identity: args.key.clone(),
            passphrase: Some(&ask_passphrase),
        },
        encryption: encryption(args, config.backup.encrypt_to)?,
        rule: None,
    };
    let bar = Bar::new();
    let progress = |doing: &str, done: usize, total: usize| bar.show(doing, done, total);
    let Outcome { made, trial, .. } = round.go(&progress, &AtomicBool::new(false))?;
    drop(bar);
    say!(
        "Backup {} is in {target}: {} and {}, {}. {} were written for it.",
        made.number,
        posts_and_pages(made.posts),
        counted(made.files, "file", "files"),
        size_text(made.bytes),
        size_text(made.new_bytes),
    );
    for warning in &made.warnings {
        warn_of!("warning: {warning}");
    }
    if source.is_read_only() {
        warn_of!(
            "warning: the disk of the site is mounted read-only, so this machine does not remember the backup, and takes \
             no changes; if it is a card that is dying, put another one in and restore this backup there"
        );
    }
    if target.is_on_disk_of(source.folder.root()) {
        warn_of!("warning: it is on the same disk as the site, and would be lost with it");
    }
    match trial {
        None => say!("It was not tried; `webstead backup verify` does that."),
        Some(Ok(trial)) => return Ok(told(&trial)),
        Some(Err(e)) => {
            warn_of!(
                "It could not be tried, so it does not count as proven; `webstead backup verify` tries it again."
            );
            return Err(e);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn encryption(args: &MakeArgs, of_file: Vec<Recipient>) -> Result<Encryption> {
    let passphrase = if args.passphrase {
        Some(ask_twice()?)
    } else {
        None
    };
    let to = match &args.encrypt_to[..] {
        // By hand, a passphrase is instead of what the file says.
        [] if args.passphrase => Vec::new(),
        [] => of_file,
        given => given.to_vec(),
    };
    Ok(Encryption { to, passphrase })
}

fn ask_twice() -> Result<String> {
    const SHORTEST: usize = 12;
    let first = ask_passphrase_as("A passphrase for these backups: ")?;
    if first.chars().count() < SHORTEST {
        return Err(Error::Invalid(format!(
            "a passphrase has {SHORTEST} characters or more: whoever has the backups can try as many as they like"
        )));
    }
    if std::io::stdin().is_terminal()
        && ask_passphrase_as("The same passphrase once more: ")? != first
    {
        return Err(Error::Invalid(
            "these are two different passphrases; nothing was written".into(),
        ));
    }
    Ok(first)
}

fn told(trial: &backup::Trial) -> ExitCode {
    if trial.problems.is_empty() {
        say!(
            "Backup {} was restored for a try, and it is sound.",
            trial.number
        );
        return ExitCode::SUCCESS;
    }
    for problem in &trial.problems {
        warn_of!("problem: {problem}");
    }
    warn_of!(
        "Backup {} is not sound. The next backup writes anew what the site still has of it.",
        trial.number
    );
    ExitCode::FAILURE
}

fn verify(repository: &Repository, which: Option<Which>, data: &Path) -> Result<ExitCode> {
    let mut is_well = true;
    let numbers = if let Some(which) = which {
        vec![which]
    } else {
        let (readable, unreadable): (Vec<_>, Vec<_>) = backup::list(repository)?
            .into_iter()
            .partition(|backup| backup.number > 0);
        for backup in &unreadable {
            is_well = false;
            warn_of!("problem: {}", unread(backup));
        }
        let numbers = readable.iter().map(|backup| backup.number);
        numbers.map(Which::Number).collect()
    };
    let scratch = if data.is_dir() {
        data.to_path_buf()
    } else {
        std::env::temp_dir()
    };
    for which in numbers {
        let bar = Bar::new();
        let progress = |doing: &str, done: usize, total: usize| bar.show(doing, done, total);
        let trial = backup::try_out(
            repository,
            which,
            &scratch,
            &progress,
            &AtomicBool::new(false),
        )?;
        drop(bar);
        is_well &= told(&trial) == ExitCode::SUCCESS;
    }
    Ok(code_of(is_well))
}

fn list(repository: &Repository) -> Result<ExitCode> {
    let backups = backup::list(repository)?;
    if backups.is_empty() {
        say!("There is no backup in {} yet.", repository.place());
    }
    let mut is_well = true;
    for backup in backups {
        is_well &= !matches!(backup.trust, Trust::Bad(_));
        say!("{}", line(&backup));
        for warning in &backup.warnings {
            say!("      {warning}");
        }
        if let Trust::Bad(problems) = &backup.trust {
            for problem in problems {
                say!("      {problem}");
            }
        }
    }
    if !is_well {
        warn_of!("problem: not every backup that there is can be relied on");
    }
    Ok(code_of(is_well))
}

/// A backup that cannot be read, in words.
fn unread(backup: &Listed) -> String {
    match backup.of_file {
        Some(number) => format!("backup {number} cannot be read ({})", backup.site),
        None => format!("{} is a backup that cannot be read", backup.site),
    }
}

fn line(backup: &Listed) -> String {
    if backup.number == 0 {
        let number = backup.of_file.map_or("-".to_owned(), |n| n.to_string());
        return format!("{number:>5} {}  CANNOT BE READ", backup.site);
    }
    let trust = match &backup.trust {
        Trust::Proven(_) => "sound",
        Trust::Untried => "not tried",
        Trust::Bad(_) => "NOT SOUND",
    };
    format!(
        "{:>5} {}  {:>9}, {} new  {}, {}  {trust}",
        backup.number,
        clock(backup.made_at),
        size_text(backup.bytes),
        size_text(backup.new_bytes),
        posts_and_pages(backup.posts),
        counted(backup.files, "file", "files"),
    )
}

/// A moment on the clock of this machine.
pub(super) fn clock(moment: Timestamp) -> String {
    let here = moment.to_jiff().to_zoned(TimeZone::system());
    here.strftime("%Y-%m-%d %H:%M").to_string()
}
