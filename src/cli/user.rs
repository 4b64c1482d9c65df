//! `webstead user`: accounts, from the command line. Works while the site is running.

use std::{
    io::{self, BufRead, IsTerminal},
    process::ExitCode,
};

use clap::{Args, Subcommand, ValueEnum};

use super::Global;
use crate::{
    auth::{
        password,
        users::{self, User, find_user, insert_user, list_users, parse_display_name, parse_name},
    },
    base::{Error, Id, Result, Timestamp},
    db::{DataFolder, Database},
};

/// What to do with accounts.
#[derive(Subcommand)]
pub(super) enum UserCommand {
    /// Make an account
    Add {
        /// The name to sign in with
        name: String,
        /// What visitors see as the author [default: the name]
        #[arg(long)]
        display_name: Option<String>,
        /// What the account may do
        #[arg(long, value_enum, default_value_t = RoleArg::Editor)]
        role: RoleArg,
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// List all accounts
    List,
    /// Set a new password and sign the account out everywhere
    ResetPassword {
        /// The name to sign in with
        name: String,
        #[command(flatten)]
        password: PasswordArgs,
    },
}

/// Where the password comes from.
#[derive(Args)]
pub(super) struct PasswordArgs {
    /// Read the password from the first line of standard input instead of asking for it
    #[arg(long)]
    password_stdin: bool,
}

/// `--role`
#[derive(Clone, Copy, ValueEnum)]
pub(super) enum RoleArg {
    /// Everything, settings too
    Owner,
    /// Write, publish and delete
    Editor,
}

/// Does it.
pub(super) fn run(command: &UserCommand, global: &Global) -> Result<ExitCode> {
    let data = global.data_path();
    let begins_a_site = matches!(
        command,
        UserCommand::Add {
            role: RoleArg::Owner,
            ..
        }
    ) && !data.join("site.db").exists();
    let folder = if begins_a_site {
        DataFolder::open_or_create(&data)?
    } else {
        DataFolder::open_existing(&data)?
    };
    let database = if matches!(command, UserCommand::List) {
        Database::open_to_read(&folder.database())?
    } else {
        Database::open(&folder.database())?
    };
    if begins_a_site {
        warn_of!(
            "There was no site in {}: a new one was made there.",
            data.display()
        );
    }
    match command {
        UserCommand::Add {
            name,
            display_name,
            role,
            password,
        } => {
            let name = parse_name(name)?;
            let display_name = parse_display_name(display_name.as_deref().unwrap_or(""), &name)?;
            if find(&database, &name)?.is_some() {
                return Err(Error::Invalid(format!(
                    "there is an account named {name} already"
                )));
            }
            let role = match role {
                RoleArg::Owner => users::Role::Owner,
                RoleArg::Editor => users::Role::Editor,
            };
            let has_owner = database.read_blocking(users::has_owner)?;
            if !has_owner && role == users::Role::Editor {
                return Err(Error::Invalid(
                    "this site has no owner yet, and only an owner can change its settings; make the \
                     owner's account first, with --role owner or with the link that the server prints"
                        .into(),
                ));
            }
            let hash = password::hash(&ask_password(password)?)?;
            let user = User {
                id: Id::new(),
                name,
                display_name,
                role,
            };
            match database.apply_blocking(insert_user(&user, &hash, Timestamp::now())) {
                Err(Error::Conflict(_)) => {
                    return Err(Error::Invalid(format!(
                        "there is an account named {} already",
                        user.name
                    )));
                }
                outcome => outcome?,
            }
            say!("{} ({}) can sign in now.", user.name, role.as_str());
        }
        UserCommand::List => {
            let users = database.read_blocking(list_users)?;
            if users.is_empty() {
                say!(
                    "Nobody has an account yet; start the server and open the link that it prints."
                );
            }
            for user in users {
                say!(
                    "{:<20} {:<8} {}",
                    user.name,
                    user.role.as_str(),
                    user.display_name
                );
            }
        }
        UserCommand::ResetPassword { name, password } => {
            let name = parse_name(name)?;
            let user = find(&database, &name)?.ok_or_else(|| {
                Error::Invalid(format!(
                    "there is no account named {name}; `webstead user list` shows them"
                ))
            })?;
            let hash = password::hash(&ask_password(password)?)?;
            database.apply_blocking(users::update_password(user.id, &hash, None))?;
            say!("{name} has a new password and is signed out everywhere.");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn find(database: &Database, name: &str) -> Result<Option<User>> {
    Ok(database
        .read_blocking(|connection| find_user(connection, name))?
        .map(|(user, _)| user))
}

fn ask_password(args: &PasswordArgs) -> Result<String> {
    let typed = if args.password_stdin {
        let mut line = String::new();
        io::stdin()
            .lock()
            .read_line(&mut line)
            .map_err(|e| Error::io("reading", "standard input", e))?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    } else if io::stdin().is_terminal() {
        let ask = |prompt| {
            rpassword::prompt_password(prompt).map_err(|e| Error::io("reading", "the terminal", e))
        };
        let first = ask("New password: ")?;
        if ask("Once more: ")? != first {
            return Err(Error::Invalid(
                "the two passwords differ; nothing was changed".into(),
            ));
        }
        first
    } else {
        return Err(Error::Invalid(
            "there is no terminal to ask for the password; give it with --password-stdin".into(),
        ));
    };
    match password::problem(&typed) {
        Some(problem) => Err(Error::Invalid(problem)),
        None => Ok(typed),
    }
}
