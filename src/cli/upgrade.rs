//! `webstead upgrade` and `reload`: another program takes over, and no request is lost.

use std::{
    cell::Cell,
    fs::{self, File},
    io::{ErrorKind, Read},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Duration,
};

use clap::Args;

use super::{
    Global,
    aftermath::who_serves_after,
    calm::{keep_calm, may_be_broken_off},
    say,
};
use crate::{
    base::{Error, Result, child::output_within, files, words::one_line},
    config::Config,
    db::{DataFolder, Pace, Rehearsal, rehearse},
    install::{self, DATA, Key, PROGRAM, Staged, previous_of, verify},
    server::{
        self, Started,
        control::{self, Request},
        handover::refuse_foreign,
    },
};

/// No program is larger.
const MOST_BYTES: u64 = 256 * 1024 * 1024;
/// Time for a program to say its version, on the slowest board.
const SAYS_VERSION_WITHIN: Duration = Duration::from_secs(15);
/// What is shown of a version, and of what a program complains about, in characters.
const MOST_OF_VERSION: usize = 64;
const MOST_OF_COMPLAINT: usize = 1000;
/// No server runs, or none that can be asked.
const NOT_RUNNING: u8 = 3;
/// What is kept out of `--help`: the new program is asked how it gets on with the database.
pub(super) const REHEARSE: &str = "rehearse";

/// To what the site is upgraded.
#[derive(Args)]
#[allow(clippy::doc_markdown)] // --help shows these comments as they are
pub(super) struct UpgradeArgs {
    /// The new program; its signature is beside it, as FILE.minisig
    #[arg(value_name = "FILE", value_parser = super::typed_path())]
    file: PathBuf,
    /// Look at everything, rehearse the changes of the database, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Take a program that nobody has signed
    #[arg(long)]
    unsigned: bool,
    /// Trust this key of minisign, too; those in [upgrade] keys of webstead.toml are trusted anyway
    #[arg(long, value_name = "KEY")]
    key: Vec<String>,
    /// Take an older version than the one that runs
    #[arg(long)]
    downgrade: bool,
}

/// Checks a program, puts it in the place of the one that runs, and lets it take over.
pub(super) fn upgrade(args: &UpgradeArgs, global: &Global) -> Result<ExitCode> {
    let folder = DataFolder::open_existing(&global.data_path())?;
    let bytes = read(&args.file)?;
    refuse_foreign(&args.file)?;
    if args.unsigned {
        say!("signature   not looked at (--unsigned)");
    } else {
        let comment = verify(&args.file, &bytes, &keys(args, global, folder.root())?)?;
        say!("signature   good: {comment}");
    }
    let site = Site::of(folder, None)?;
    if site.place == Path::new(PROGRAM) && global.data_path() == Path::new(DATA) {
        return install_as_service(args, &site, &bytes);
    }
    may_be_broken_off(install::abandon)?;
    let staged = Staged::new(&site.place, &bytes)?;
    site.refuse_older(staged.path(), args.downgrade)?;
    replace(&site, staged, args.dry_run)
}

/// Asks the running server to read its settings again, or to go on as the program that lies on the disk now.
pub(super) fn reload(global: &Global) -> Result<ExitCode> {
    let folder = DataFolder::open_existing(&global.data_path())?;
    if !control::can_be_asked(&folder)? {
        warn_of!(
            "webstead: no server runs on {} that can be asked",
            folder.root().display()
        );
        return Ok(ExitCode::from(NOT_RUNNING));
    }
    say!(
        "{}",
        control::ask(&folder, &what_is_there_now(&folder)?, tell)?
    );
    Ok(ExitCode::SUCCESS)
}

/// What a reload asks for. A package whose program was not fit has the one before start from elsewhere
/// (`cross/debian/postinst`); then it is the package's turn again.
fn what_is_there_now(folder: &DataFolder) -> Result<Request> {
    let packaged = Path::new(install::PACKAGED_PROGRAM);
    let is_packaged = std::env::current_exe().is_ok_and(|own| own == packaged);
    let is_before = |started: Started| started.program == Path::new(install::KEPT_PROGRAM);
    Ok(
        if is_packaged && server::running(folder)?.is_some_and(is_before) {
            let program = Some(packaged.to_path_buf());
            let place = program.clone();
            Request::Upgrade {
                program,
                place,
                confirms: false,
            }
        } else {
            Request::Reload
        },
    )
}

/// Tries this program's migrations on a copy of the database; for `webstead upgrade`, which reads what is printed.
pub(super) fn try_migrations(global: &Global) -> Result<ExitCode> {
    let folder = DataFolder::open_existing(&global.data_path())?;
    let rehearsal = rehearse(&folder, Pace::unwatched())?;
    let line = serde_json::to_string(&rehearsal).map_err(Error::internal)?;
    say::raw(format_args!("{line}\n"));
    Ok(ExitCode::SUCCESS)
}

/// A site, and the program that it has.
pub(super) struct Site {
    pub(super) folder: DataFolder,
    pub(super) running: Option<Started>,
    /// Where its program lies.
    pub(super) place: PathBuf,
}

impl Site {
    /// With the place of the program if the site does not run, where that is known.
    pub(super) fn of(folder: DataFolder, at_rest: Option<PathBuf>) -> Result<Self> {
        let running = server::running(&folder)?;
        if !control::can_be_asked(&folder)? && running.is_some() {
            return Err(Error::Invalid(
                "the server that runs is of a version that cannot hand over: put the new program in its place and \
                 restart it, this once"
                    .into(),
            ));
        }
        let place = match (&running, at_rest) {
            (Some(started), _) => started.program.clone(),
            (None, _) if folder.root() == Path::new(DATA) => PROGRAM.into(),
            (None, Some(place)) => place,
            (None, None) => {
                return Err(Error::Invalid(format!(
                    "the site in {} does not run, so no program has to take over: start the new one",
                    folder.root().display()
                )));
            }
        };
        if place == Path::new(install::PACKAGED_PROGRAM) {
            return Err(Error::Invalid(
                "this Webstead is a package of the system, which keeps its programs itself: `sudo apt install \
                 ./webstead_VERSION.deb` brings another version, a newer or an older one, and no request is lost"
                    .into(),
            ));
        }
        refuse_foreign_place(&place)?;
        Ok(Self {
            folder,
            running,
            place,
        })
    }

    /// Lets a program try its migrations, tells what came of it, and refuses what would not do.
    fn rehearse(&self, program: &Path) -> Result<()> {
        let rehearsal = rehearse_with(program, self.folder.root())?;
        say!("database    {rehearsal}");
        rehearsal.refuse_without_room(&self.folder)?;
        match &self.running {
            Some(running) if running.schema > 0 => rehearsal.refuse_beside(running.schema),
            _ => Ok(()),
        }
    }

    fn refuse_older(&self, program: &Path, is_wanted: bool) -> Result<()> {
        let new = version_of(program)?;
        let running = self.running.as_ref().map_or("", |started| &started.version);
        say!("version     {running} -> {new}");
        if is_wanted || numbers(&new) >= numbers(running) {
            return Ok(());
        }
        Err(Error::Invalid(format!(
            "{new} is older than {running}, which runs; --downgrade takes it nevertheless"
        )))
    }
}

/// Where the program lies is the word of who runs the site, and root starts what lies there: only if nobody but root
/// could have put it there.
pub(super) fn refuse_foreign_place(place: &Path) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    for path in place
        .ancestors()
        .filter(|path| !path.as_os_str().is_empty())
    {
        let found = match fs::symlink_metadata(path) {
            Ok(found) => found,
            // Somebody has removed the program that runs; the folder says who may put another one there.
            Err(e) if e.kind() == ErrorKind::NotFound => continue,
            Err(e) => return Err(Error::io("looking at", path, e)),
        };
        // In a folder like /tmp nobody can take away what is not theirs.
        let may_others_write = found.mode() & 0o022 != 0 && found.mode() & 0o1000 == 0;
        if found.uid() != 0 || may_others_write && !found.is_symlink() {
            return Err(Error::Forbidden(format!(
                "{} can be changed by others than root, so root does not start what lies there; run this command as \
                 the user that the site runs as",
                path.display()
            )));
        }
    }
    Ok(())
}

fn keys(args: &UpgradeArgs, global: &Global, root: &Path) -> Result<Vec<Key>> {
    let config = Config::load(global.config.as_deref(), root)?;
    let mut keys = Key::compiled_in()?;
    for key in config.upgrade.keys.iter().chain(&args.key) {
        keys.push(Key::parse(key)?);
    }
    Ok(keys)
}

fn read(file: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if fs::metadata(file).is_err_and(|e| e.kind() == ErrorKind::NotFound) {
        return Err(Error::Invalid(format!(
            "there is no file {}; give the path of the new program, as it was downloaded",
            file.display()
        )));
    }
    files::refuse_irregular(file)?;
    File::open(file)
        .and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|e| Error::io("reading", file, e))?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(Error::TooLarge(format!(
            "{} is too large for a program of Webstead",
            file.display()
        )));
    }
    Ok(bytes)
}

/// The service's program comes with its units: the new one installs itself, and hands over.
fn install_as_service(args: &UpgradeArgs, site: &Site, bytes: &[u8]) -> Result<ExitCode> {
    may_be_broken_off(install::abandon)?;
    let staged = Staged::to_look_at(&site.place, bytes)?;
    site.refuse_older(staged.path(), args.downgrade)?;
    if args.dry_run {
        site.rehearse(staged.path())?;
    }
    // Who is asked to stop is the other one, which knows where it is.
    keep_calm()?;
    let mut install = Command::new(staged.path());
    install.arg("install");
    if args.dry_run {
        install.arg("--dry-run");
    }
    let status = install.status();
    let status = status.map_err(|e| Error::io("starting", staged.path(), e))?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Lets a program take over, and puts it into the place of the one before. If that is not to be, nothing was changed.
pub(super) fn replace(site: &Site, mut staged: Staged, is_dry: bool) -> Result<ExitCode> {
    // Where a program takes over, it does that itself before it changes anything.
    if is_dry || site.running.is_none() {
        site.rehearse(staged.path())?;
    }
    if is_dry {
        say!(
            "It would take the place of {}, which is kept as {}. Nothing was changed.",
            site.place.display(),
            previous_of(&site.place).display()
        );
        return Ok(ExitCode::SUCCESS);
    }
    if site.running.is_none() {
        keep_calm()?;
        staged.put()?;
        say!("The site does not run; the new program is in its place for the next start.");
        return Ok(ExitCode::SUCCESS);
    }
    let request = Request::Upgrade {
        program: Some(absolute(staged.path())?),
        place: Some(absolute(&site.place)?),
        confirms: true,
    };
    staged.prepare()?;
    // Until the other one is to lead, who is asked to end may: the server takes everything back.
    let before = site.folder.running_server()?.map(|server| server.process);
    let is_calm = Cell::new(false);
    let calm_down = || keep_calm().map(|()| is_calm.set(true));
    match control::ask_and_confirm(&site.folder, &request, tell, calm_down) {
        Ok(text) => {
            // An older server does not say when it is time.
            if !is_calm.get()
                && let Err(e) = keep_calm()
            {
                warn_of!("webstead: {e}");
            }
            let beside = staged.path().to_path_buf();
            staged.put().map_err(|e| {
                Error::Invalid(format!(
                    "{e}\nThe new program serves now, and could not be put in its place; at the next start, the \
                     program before starts. Mend the cause, then: mv {} {}",
                    beside.display(),
                    site.place.display()
                ))
            })?;
            say!("Done: {text}. The program before is kept; `webstead rollback` goes back to it.");
            Ok(ExitCode::SUCCESS)
        }
        Err(e) => Err(Error::Invalid(format!(
            "{e}\n{}",
            who_serves_after(&site.folder, before)
        ))),
    }
}

/// As the server finds it, whose folder is another one.
fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|e| Error::io("looking for", path, e))
}

fn tell(text: &str) {
    say!("            {text}");
}

/// What a program calls itself, such as `0.2.0`.
pub(super) fn version_of(program: &Path) -> Result<String> {
    let unfit = |why: String| {
        Error::Invalid(format!(
            "the new program does not start on this machine: {why}"
        ))
    };
    let output = output_within(Command::new(program).arg("--version"), SAYS_VERSION_WITHIN)
        .map_err(|e| match e.kind() {
            ErrorKind::PermissionDenied => unfit(format!(
                "{e}; is {} on a disk from which no programs are started (noexec)?",
                program.display()
            )),
            _ => unfit(e.to_string()),
        })?;
    let said = String::from_utf8_lossy(&output.stdout);
    // It is shown, whatever it is.
    let said = one_line(said.lines().next().unwrap_or_default(), MOST_OF_VERSION);
    match said.strip_prefix("webstead ") {
        Some(version) if output.status.success() => Ok(version.to_owned()),
        Some(_) | None if output.status.success() => {
            Err(unfit("it does not say that it is webstead".into()))
        }
        _ => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(unfit(match said.trim() {
                "" => format!(
                    "it ended with {} and said nothing; was it downloaded whole?",
                    output.status
                ),
                said => format!("{}: {}", output.status, one_line(said, MOST_OF_COMPLAINT)),
            }))
        }
    }
}

/// The numbers of a version; what is not one counts as 0.
fn numbers(version: &str) -> Vec<u64> {
    let plain = version.split(['-', '+']).next().unwrap_or_default();
    plain
        .split('.')
        .map(|number| number.parse().unwrap_or(0))
        .collect()
}

/// Lets the new program try its migrations.
pub(super) fn rehearse_with(program: &Path, root: &Path) -> Result<Rehearsal> {
    let mut rehearse = Command::new(program);
    rehearse.arg("--data").arg(root).arg(REHEARSE);
    let within = Rehearsal::within(&DataFolder::at(root));
    let output =
        output_within(&mut rehearse, within).map_err(|e| Error::io("starting", program, e))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(Error::Invalid(format!(
            "the new program cannot use this site's data: {}\nNothing was changed.",
            said.trim()
        )));
    }
    serde_json::from_slice(&output.stdout).map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::chown, process::Command};

    use super::{numbers, read, refuse_foreign_place, version_of};

    #[test]
    fn what_is_no_file_is_told_and_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        assert!(
            Command::new("mkfifo")
                .arg(&pipe)
                .status()
                .unwrap()
                .success()
        );
        for (path, word) in [
            (dir.path().join("missing"), "there is no file"),
            (dir.path().to_path_buf(), "a folder"),
            (pipe, "a pipe"),
        ] {
            let told = read(&path).unwrap_err().to_string();
            assert!(told.contains(word), "{told}");
        }
    }

    #[test]
    fn a_version_is_one_short_line_whatever_the_program_prints() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("program");
        for (printed, shown) in [
            (r"webstead 9.9.9\nfoo\n", Some("9.9.9")),
            (r"webstead 9.9\033[2J\r\t8\n", Some("9.9 [2J 8")),
            (r"foo\nwebstead 9.9.9\n", None),
            ("", None),
        ] {
            // Written by another process: one that another test starts meanwhile would have it open for writing.
            let script = format!("#!/bin/sh\nprintf '{printed}'\n");
            let made = Command::new("sh")
                .args([
                    "-c",
                    "printf %s \"$1\" > \"$2\" && chmod 755 \"$2\"",
                    "sh",
                    &script,
                ])
                .arg(&program)
                .status();
            assert!(made.unwrap().success());
            assert_eq!(version_of(&program).ok().as_deref(), shown, "{printed}");
        }
    }

    #[test]
    fn versions_are_compared_by_their_numbers() {
        assert!(numbers("0.10.0") > numbers("0.9.12"));
        assert!(numbers("1.0.0-rc1") >= numbers("1.0.0"));
        assert!(numbers("0.2.0") > numbers(""));
    }

    #[test]
    fn root_starts_nothing_that_others_could_have_put_there() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("webstead");
        refuse_foreign_place(&place).unwrap();
        fs::write(&place, "").unwrap();
        refuse_foreign_place(&place).unwrap();
        let nobody = Some(65_534);
        for path in [&*place, dir.path()] {
            chown(path, nobody, None).unwrap();
            let refused = refuse_foreign_place(&place).unwrap_err().to_string();
            assert!(refused.contains(&path.display().to_string()), "{refused}");
            chown(path, Some(0), None).unwrap();
        }
    }
}
