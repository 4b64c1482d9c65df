//! A disk that fails at one operation after the other while a backup is made or restored, a database is repaired, or its
//! form is changed: everything is as it was or as it should become, and the same command does it the next time.

use std::{
    collections::HashSet,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use super::{
    faults::{FAULTS, check, step, titles},
    shim::Disk,
};
use crate::{rollback::make_older_with_its_pages, site::command};

/// Which of the operations fail in turn, where not all do.
const STEP: usize = 61;

fn done(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    output
}

fn import(data: &Path, title: &str) {
    let folder = tempfile::tempdir().unwrap();
    let picture = format!("GIF89a {title}").repeat(300);
    fs::write(folder.path().join("picture.gif"), picture).unwrap();
    let text = format!("---\ntitle: {title}\ndate: 2024-02-01\n---\n![](picture.gif)\n");
    let file = folder
        .path()
        .join(format!("{}.md", title.replace(' ', "-")));
    fs::write(file, text).unwrap();
    done(command(data).arg("import").arg(folder.path()));
}

/// What was and what is to become of a folder with a site.
struct Folders {
    disk: Disk,
    data: PathBuf,
}

impl Folders {
    /// With a site of some posts; nothing where disks cannot fail.
    fn new() -> Option<Self> {
        let disk = Disk::new()?;
        let data = disk.root.join("site");
        for n in 0..3 {
            import(&data, &format!("post {n}"));
        }
        Some(Self { disk, data })
    }

    fn copy(&self, of: &Path, name: &str) -> PathBuf {
        let to = self.disk.root.join(name);
        let _ = fs::remove_dir_all(&to);
        done(Command::new("cp").arg("-a").arg(of).arg(&to));
        to
    }

    /// Lets each operation of a command fail in turn, and `look` at what became of it; says how many commands failed.
    fn fail_each(
        &self,
        mut prepare: impl FnMut(&str) -> Command,
        mut look: impl FnMut(&str, bool),
    ) -> usize {
        let mut failed = 0;
        for (number, (kind, errno)) in FAULTS.into_iter().enumerate() {
            let mut after = number;
            loop {
                let when = format!("{kind:?} {errno} after {after}");
                let mut program = prepare(&when);
                let before = self.disk.mend().0;
                self.disk.fail(&[kind], "", after as u64, 1, errno);
                let output = program.envs(self.disk.environment()).output().unwrap();
                let was_hit = self.disk.mend().0 > before;
                let said = [output.stderr, output.stdout].concat();
                let said = String::from_utf8_lossy(&said).into_owned();
                assert!(!said.contains("panicked"), "{when}: {said}");
                let is_done = output.status.success();
                assert!(is_done || !said.is_empty(), "{when}");
                assert!(is_done || was_hit, "{when}: {said}");
                failed += usize::from(!is_done);
                look(&format!("{when}: {said}"), is_done);
                if !was_hit {
                    break;
                }
                after += step(STEP);
            }
        }
        failed
    }
}

#[test]
fn whatever_fails_while_a_backup_is_made_those_before_stay_and_the_next_one_works() {
    let Some(folders) = Folders::new() else {
        return;
    };
    let (data, place) = (&folders.data, folders.disk.root.join("backups"));
    done(command(data).arg("backup").arg(&place));
    let is_listed = |number: &str| {
        // It complains of one that could not be tried.
        let mut list = command(data);
        list.args(["backup", "list", "--from"]).arg(&place);
        let listed = String::from_utf8(list.output().unwrap().stdout).unwrap();
        let mut lines = listed.lines();
        lines.any(|line| line.split_whitespace().next() == Some(number))
    };
    let (mut count, mut last) = (0, "1".to_owned());
    let failed = folders.fail_each(
        |_| {
            count += 1;
            import(data, &format!("since {count}"));
            let mut backup = command(data);
            backup.arg("backup").arg(&place);
            backup
        },
        |when, is_done| {
            let made = when.split_once(" is in /");
            let made = made.and_then(|(text, _)| text.rsplit_once("Backup "));
            assert!(made.is_some() || !is_done, "{when}");
            assert!(!when.contains("is not sound"), "{when}");
            if let Some((_, number)) = made {
                number.clone_into(&mut last);
            }
            assert!(is_listed(&last), "{when}: {last} is not there");
            let verify = ["backup", "verify", "--from"];
            let output = command(data).args(verify).arg(&place).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{when}: {said}");
        },
    );
    done(command(data).arg("backup").arg(&place));
    done(
        command(data)
            .args(["backup", "verify", "--all", "--from"])
            .arg(&place),
    );
    check(data, "at the end");
    assert!(failed > 5, "{failed} backups failed");
}

#[test]
fn whatever_fails_while_a_site_is_restored_it_is_the_one_before_or_that_of_the_backup() {
    let Some(folders) = Folders::new() else {
        return;
    };
    let (data, place) = (&folders.data, folders.disk.root.join("backups"));
    done(command(data).arg("backup").arg(&place));
    let of_backup = titles(data);
    import(data, "since");
    let (before, original) = (titles(data), folders.copy(data, "original"));
    // What was there is kept beside it.
    let set_aside = || -> Vec<PathBuf> {
        let beside = fs::read_dir(&folders.disk.root).unwrap();
        let beside = beside.map(|entry| entry.unwrap().path());
        beside
            .filter(|path| path.to_str().unwrap().contains("copy.before-"))
            .collect()
    };
    let failed = folders.fail_each(
        |_| {
            for folder in set_aside() {
                fs::remove_dir_all(folder).unwrap();
            }
            let copy = folders.copy(&original, "copy");
            let mut restore = command(&copy);
            restore.args(["restore", "latest", "--from"]).arg(&place);
            restore
        },
        |when, is_done| {
            let copy = folders.disk.root.join("copy");
            let found = titles(&copy);
            let is_whole = found == of_backup || (found == before && !is_done);
            assert!(is_whole, "{when}: {found:?}");
            check(&copy, when);
            for folder in set_aside() {
                assert_eq!(titles(&folder), before, "{when}");
            }
            done(
                command(&copy)
                    .args(["restore", "latest", "--from"])
                    .arg(&place),
            );
            assert_eq!(titles(&copy), of_backup, "{when}");
        },
    );
    assert!(failed > 5, "{failed} restores failed");
}

/// Lets each operation of a command on copies of a site fail in turn: its posts stay, and the same command does it the next
/// time.
fn posts_stay(folders: &Folders, site: &Path, arguments: &[&OsStr]) {
    let posts: HashSet<String> = titles(site);
    let failed = folders.fail_each(
        |_| {
            let mut program = command(&folders.copy(site, "copy"));
            program.args(arguments);
            program
        },
        |when, _| {
            let copy = folders.disk.root.join("copy");
            assert_eq!(titles(&copy), posts, "{when}");
            done(command(&copy).args(arguments));
            check(&copy, when);
            assert_eq!(titles(&copy), posts, "{when}");
        },
    );
    assert!(failed > 5, "{failed} commands failed");
}

#[test]
fn whatever_fails_while_a_database_is_repaired_nothing_more_is_lost() {
    let Some(folders) = Folders::new() else {
        return;
    };
    // Rows can be read; something is wrong all the same.
    let open = rusqlite::Connection::open(folders.data.join("site.db")).unwrap();
    open.execute_batch("DELETE FROM guard").unwrap();
    drop(open);
    let repair = ["repair", "--replace"].map(OsStr::new);
    posts_stay(&folders, &folders.data, &repair);
}

#[test]
fn whatever_fails_while_a_database_gets_another_form_it_has_one_of_both() {
    let Some(folders) = Folders::new() else {
        return;
    };
    let old = folders.disk.root.join("old");
    let (older, program) = (old.join("data"), old.join("webstead"));
    fs::create_dir(&old).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_webstead"), &program).unwrap();
    make_older_with_its_pages(&program);
    let blog = tempfile::tempdir().unwrap();
    fs::write(blog.path().join("a.md"), "---\ntitle: old\n---\nx\n").unwrap();
    let import = [OsStr::new("import"), blog.path().as_os_str()];
    let mut import_old = Command::new(&program);
    done(import_old.arg("--data").arg(&older).args(import));
    posts_stay(&folders, &older, &import);
}
