//! `webstead check`: whether settings and data are sound. It writes nothing, but for the
//! note by which a server that runs hears of damage.

use std::{path::Path, process::ExitCode, thread, time::Duration};

use clap::Args;

use super::{Global, say};
use crate::{
    app::names::queries::list_names,
    base::{
        Result, Space, Verdict,
        words::{counted, posts_and_pages},
    },
    config::Config,
    db::{DataFolder, Depth, Found, Health, Trouble, check, open_to_look},
    jobs::disk::Ledger,
    net::{certificates, dns},
    server::{self, certificate_problems, stored_name_problems, stored_problems, stores},
};

/// How long a gentle check rests after each file.
const REST: Duration = Duration::from_millis(20);

/// Exit code where nothing is wrong that could be looked at, and not all could be.
const COULD_NOT_LOOK: u8 = 4;

/// What is looked at.
#[derive(Args)]
#[allow(clippy::struct_excessive_bools)] // each is an option of the command line
pub(super) struct CheckArgs {
    /// Do not read every picture and file, which takes minutes where there are many
    #[arg(long)]
    without_media: bool,

    /// Look only whether the structures of the database are sound
    #[arg(long, conflicts_with = "without_media")]
    quick: bool,

    /// Leave the processor and the disk to others, and take longer
    #[arg(long)]
    gently: bool,

    /// Say what was found in the data as JSON, for programs
    #[arg(long)]
    json: bool,
}

impl CheckArgs {
    fn depth(&self) -> Depth {
        match (self.quick, self.without_media) {
            (true, _) => Depth::Quick,
            (_, true) => Depth::WithoutMedia,
            _ => Depth::Full,
        }
    }
}

/// Checks and reports; exits with 1 if something is wrong, and with 4 if only something could not be looked at.
pub(super) fn run(args: &CheckArgs, global: &Global) -> ExitCode {
    if args.gently {
        // Where that is not allowed, it goes on as it is.
        let _ = rustix::process::nice(19);
    }
    let data = global.data_path();
    if args.json {
        return as_json(args, &data);
    }
    let config = Config::load(global.config.as_deref(), &data);
    let mut problems = match &config {
        Ok(config) => problems_of_file(config, &data),
        Err(e) => vec![e.to_string()],
    };
    let is_file_fine = problems.is_empty();
    let config = config.unwrap_or_default();
    let folder = DataFolder::at(&data);
    let mut warnings = Vec::new();
    if folder.is_on_read_only_disk() {
        warnings.push(DataFolder::says_read_only(&data.display().to_string()));
    }
    if let Some(trouble) = Space::of(&data).ok().and_then(Trouble::of_space) {
        match trouble {
            Trouble::Full => problems.push(trouble.text()),
            trouble => warnings.push(trouble.text()),
        }
    }
    let found = look(args, &folder);
    problems.extend(found.damage().map(str::to_owned));
    // A database that is damaged is not asked what was set in the browser.
    let is_readable = found.database.is_empty();
    let together = is_readable.then(|| problems_together(&folder, &config));
    let is_fine = |all: &Result<Beside>| matches!(all, Ok((wrong, _)) if wrong.is_empty());
    if is_file_fine && together.as_ref().is_none_or(is_fine) {
        say!("settings   fine");
    }
    if let Some(together) = together {
        say!("{}", counts(args, &found));
        for beside in [certificates::look_at_local(folder.root()), together] {
            match beside {
                Ok((others, doubts)) => {
                    problems.extend(others);
                    warnings.extend(doubts);
                }
                Err(e) => problems.push(e.to_string()),
            }
        }
    }
    for problem in &problems {
        warn_of!("problem: {problem}");
    }
    for warning in &warnings {
        warn_of!("warning: {warning}");
    }
    for why in found.unseen() {
        warn_of!("could not be looked at: {why}");
    }
    for note in &found.notes {
        say!("note: {note}");
    }
    if problems.is_empty() && found.unseen().next().is_none() {
        say!(
            "{}",
            match warnings[..] {
                _ if found.is_uncompared =>
                    "Nothing wrong was found, but mind the note: damage that SQLite does not see would not be either.",
                [] => "All is well.",
                _ => "Nothing is damaged or wrongly set, but mind what is above.",
            }
        );
    }
    exit_code(!problems.is_empty(), &found)
}

/// What is wrong with what is in `webstead.toml`.
fn problems_of_file(config: &Config, data: &Path) -> Vec<String> {
    let own = config.certificate.files.iter();
    let own = own.filter_map(|files| files.read(data).err());
    let mut problems = server::file_problems(config, data);
    problems.extend(own.map(|e| e.to_string()));
    problems.extend(config.listen.problem());
    problems
}

fn counts(args: &CheckArgs, found: &Found) -> String {
    match args.depth() {
        Depth::Quick => "database   looked at its structures only".to_owned(),
        depth => format!(
            "database   {}\nmedia      {}{}",
            posts_and_pages(found.posts),
            counted(found.media_files, "file", "files"),
            if depth == Depth::Full {
                ""
            } else {
                ", not looked at"
            }
        ),
    }
}

/// For the server, which asks another process so that a large check is out of its way.
fn as_json(args: &CheckArgs, data: &Path) -> ExitCode {
    let found = look(args, &DataFolder::at(data));
    match serde_json::to_string(&found) {
        Ok(text) => say::raw(format_args!("{text}\n")),
        Err(e) => warn_of!("{e}"),
    }
    exit_code(found.damage().next().is_some(), &found)
}

fn exit_code(is_wrong: bool, found: &Found) -> ExitCode {
    match found.unseen().next() {
        _ if is_wrong => ExitCode::FAILURE,
        Some(_) => ExitCode::from(COULD_NOT_LOOK),
        None => ExitCode::SUCCESS,
    }
}

fn look(args: &CheckArgs, folder: &DataFolder) -> Found {
    let ledger = Ledger::load(folder.root());
    let unknown = ledger.as_ref().err().map(Verdict::of);
    let before = ledger.unwrap_or_default().known_files;
    let mut found = check(folder, args.depth(), &before, || {
        if args.gently {
            thread::sleep(REST);
        }
    });
    found.files.extend(unknown);
    // Whoever asked for the check: a server whose own it is hears of it twice, and it counts once.
    let damage = found.database.iter().find_map(Verdict::damage);
    if let Some(Err(e)) = damage.map(|damage| Health::tell_server(folder, damage)) {
        warn_of!("problem: {e}");
    }
    found
}

/// What is wrong; and what may work, and may not.
type Beside = (Vec<String>, Vec<String>);

/// How it stands with what is set in the browser and in the file together.
fn problems_together(folder: &DataFolder, config: &Config) -> Result<Beside> {
    let (mut problems, mut doubts) = (Vec::new(), Vec::new());
    let connection = open_to_look(&folder.database())?;
    let (names, hosts) = (list_names(&connection)?, server::stored_hosts(&connection)?);
    problems.extend(stored_name_problems(config, &names));
    let counting = server::with_stored(config, folder)?;
    problems.extend(counting.router.problem(&counting.listen));
    let (wrong, doubtful) = certificate_problems(&counting, &hosts);
    problems.extend(wrong);
    doubts.extend(doubtful);
    // Without its secret, nobody changes a name.
    problems.extend(
        dns::zone_of(&counting.dns, folder.root())
            .err()
            .map(|e| e.to_string()),
    );
    if config.backup.to.is_none() {
        problems.extend(stores::problems(&counting.backup, folder.root()));
    }
    problems.extend(stored_problems(config, &names, &hosts, folder.root()));
    Ok((problems, doubts))
}
