//! `webstead check`: whether settings and data are sound. It writes nothing.

use std::process::ExitCode;

use clap::Args;
use rusqlite::Connection;

use super::Global;
use crate::{
    app::{
        hosts::queries::{StoredHost, list_hosts},
        names::queries::list_names,
    },
    base::Result,
    config::Config,
    db::{DataFolder, MediaStore, integrity_problems, open_to_look},
    edge::hosts::Hosts,
    net::certificates::LocalAuthority,
    server::{stored_name_problems, stored_problems},
};

/// What is looked at.
#[derive(Args)]
pub(super) struct CheckArgs {
    /// Do not read every picture and file, which takes minutes where there are many
    #[arg(long)]
    without_media: bool,
}

/// Checks and reports; exits with 1 if something is wrong.
pub(super) fn run(args: &CheckArgs, global: &Global) -> ExitCode {
    let data = global.data_path();
    let mut problems = Vec::new();
    let config = Config::load(global.config.as_deref(), &data);
    match &config {
        Ok(config) => {
            let found = Hosts::problems(&config.hosts, &data);
            problems.extend(found.map(|(name, why)| format!("hosts.\"{name}\": {why}")));
            let own = config.certificate.files.iter();
            let own = own.filter_map(|files| files.read(&data).err());
            problems.extend(own.map(|e| e.to_string()));
            if problems.is_empty() {
                println!("settings   fine");
            }
        }
        Err(e) => problems.push(e.to_string()),
    }
    let config = config.unwrap_or_default();
    match check_data(args, &DataFolder::open_existing(&data), &config) {
        Ok((counts, found)) => {
            println!("{counts}");
            problems.extend(found);
        }
        Err(e) => problems.push(e.to_string()),
    }
    if problems.is_empty() {
        println!("All is well.");
        return ExitCode::SUCCESS;
    }
    for problem in &problems {
        eprintln!("problem: {problem}");
    }
    ExitCode::FAILURE
}

/// The hosts that were set in the browser; a database of before there were any has no table of them.
fn stored_hosts(connection: &Connection) -> Result<Vec<StoredHost>> {
    let has_them = "SELECT count(*) FROM sqlite_schema WHERE name = 'hosts'";
    let tables: i64 = connection.query_row(has_them, [], |row| row.get(0))?;
    if tables == 0 {
        return Ok(Vec::new());
    }
    list_hosts(connection)
}

fn check_data(
    args: &CheckArgs,
    folder: &Result<DataFolder>,
    config: &Config,
) -> Result<(String, Vec<String>)> {
    let folder = match folder {
        Ok(folder) => folder,
        Err(e) => return Err(crate::base::Error::Invalid(e.to_string())),
    };
    LocalAuthority::check(folder.root())?;
    let connection = open_to_look(&folder.database())?;
    let media = MediaStore::new(folder);
    let mut problems = integrity_problems(&connection)?;
    let names = list_names(&connection)?;
    problems.extend(stored_name_problems(config, &names));
    problems.extend(stored_problems(
        config,
        &names,
        &stored_hosts(&connection)?,
        folder.root(),
    ));
    let mut statement = connection.prepare("SELECT hash, name FROM media ORDER BY id")?;
    let files: Vec<(String, String)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (hash, name) in &files {
        if !args.without_media && !media.is_sound(hash) {
            problems.push(format!(
                "the file {name} ({}) is missing or damaged; restore it from a backup or import it again",
                media.path(hash).display()
            ));
        }
    }
    let posts: i64 = connection.query_row("SELECT count(*) FROM posts", [], |row| row.get(0))?;
    let counts = format!(
        "database   {posts} posts and pages\nmedia      {} files{}",
        files.len(),
        if args.without_media {
            ", not looked at"
        } else {
            ""
        }
    );
    Ok((counts, problems))
}
