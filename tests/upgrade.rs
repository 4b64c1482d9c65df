//! Another program takes over, or does not: what the owner asks for, and what is refused.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use crate::{
    site::Site,
    tools::{is_possible, is_there},
    waiting::{signal, until},
};

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Runs a command of the program on the site's data.
pub(crate) fn run(program: &Path, site: &Site, arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(program)
        .arg("--data")
        .arg(site.data())
        .args(arguments)
        .output()
        .unwrap();
    (output.status.code(), said(&output))
}

/// The process that serves now.
pub(crate) fn serving(site: &Site) -> u32 {
    let lock = fs::read_to_string(site.data().join("server.lock")).unwrap();
    lock.lines().next().unwrap().parse().unwrap()
}

/// Programs that are not fit to take over, each in its own way. Empty where there is no compiler.
pub(crate) fn broken(folder: &Path) -> Vec<(&'static str, PathBuf)> {
    let path = |name: &str| folder.join(name);
    let own = fs::read(env!("CARGO_BIN_EXE_webstead")).unwrap();
    let runs = |path: &Path| {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    let mut all = vec![
        ("is no program", path("text")),
        ("is for another machine", path("foreign")),
        ("is cut off", path("cut")),
        ("may not be run", path("closed")),
    ];
    fs::write(path("text"), "#!/bin/sh\nsleep 100 # and more\n").unwrap();
    let mut foreign = own.clone();
    foreign[18] = if foreign[18] == 62 { 183 } else { 62 };
    fs::write(path("foreign"), foreign).unwrap();
    fs::write(path("cut"), &own[..own.len() / 3]).unwrap();
    fs::write(path("closed"), &own).unwrap();
    for name in ["text", "foreign", "cut"] {
        runs(&path(name));
    }
    fs::set_permissions(path("closed"), fs::Permissions::from_mode(0o600)).unwrap();
    let sources = [
        ("ends at once", "int main(void) { return 3; }"),
        ("hangs", "int main(void) { for (;;) pause(); }"),
        ("crashes", "int main(void) { sleep(1); abort(); }"),
        (
            "fails its migration",
            "int main(void) { static const char s[] = \"{\\\"Failed\\\":\\\"its migration failed\\\"}\\n\"; \
             write(0, s, sizeof s - 1); sleep(1); return 1; }",
        ),
        (
            "prints without end",
            "int main(void) { static char s[65536]; for (int i = 0; i < 65536; i++) s[i] = i % 64 ? 'x' : 10; \
             for (;;) write(2, s, sizeof s); }",
        ),
        (
            "says nonsense",
            "int main(void) { write(0, \"nonsense\\n\", 9); sleep(30); return 0; }",
        ),
        (
            "says that it is ready and hangs",
            "int main(void) { static const char s[] = \"{\\\"Ready\\\":{\\\"version\\\":\\\"9\\\"}}\\n\"; \
             write(0, s, sizeof s - 1); sleep(60); return 0; }",
        ),
        (
            "says that it is ready and is not",
            "int main(void) { static const char s[] = \"{\\\"Ready\\\":{\\\"version\\\":\\\"9\\\"}}\\n\"; \
             write(0, s, sizeof s - 1); sleep(1); return 0; }",
        ),
    ];
    if !is_there("cc", Command::new("cc").arg("--version").output().is_ok()) {
        return all;
    }
    for (number, (name, source)) in sources.into_iter().enumerate() {
        let (file, source_file) = (path(&format!("broken{number}")), path("broken.c"));
        let head = "#include <unistd.h>\n#include <stdlib.h>\n";
        fs::write(&source_file, format!("{head}{source}\n")).unwrap();
        let made = Command::new("cc")
            .arg("-w")
            .arg("-o")
            .args([&file, &source_file])
            .status();
        assert!(made.unwrap().success());
        all.push((name, file));
    }
    all
}

#[test]
fn another_process_takes_over_and_who_started_the_first_still_has_it_in_hand() {
    let (mut site, program, client) = Site::of_own_program();
    let first = serving(&site);
    assert_eq!(first, site.process_id());
    let setup_is_used_up = site.setup_path.is_some();
    assert!(setup_is_used_up);
    for _ in 0..2 {
        let before = serving(&site);
        let newer = site.data().with_extension("newer");
        fs::copy(&program, &newer).unwrap();
        let (code, text) = run(
            &program,
            &site,
            &["upgrade", "--unsigned", newer.to_str().unwrap()],
        );
        assert_eq!(code, Some(0), "{text}\n{}", site.log());
        assert_ne!(serving(&site), before);
        assert_eq!(site.text(&client, "/admin").0, 200, "still signed in");
    }
    assert!(fs::exists(program.with_file_name("webstead.previous")).unwrap());
    let (code, text) = run(&program, &site, &["rollback"]);
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = run(&program, &site, &["status"]);
    assert_eq!(code, Some(0), "{text}");
    // Ctrl-C reaches every process of a terminal; the first one ends when the last has ended.
    let last = serving(&site);
    for process in [site.process_id(), last] {
        signal(process, "INT");
    }
    assert_eq!(site.wait_for_end().code(), Some(0), "{}", site.log());
    assert!(!Path::new(&format!("/proc/{last}")).exists());
    assert!(!site.data().join("server.sock").exists());
}

#[test]
fn a_program_that_is_not_fit_does_not_take_over_and_everybody_is_told_why() {
    let (site, program, client) = Site::of_own_program();
    let dir = tempfile::tempdir().unwrap();
    let settings = site.data().join("webstead.toml");
    fs::write(settings, "[upgrade]\nready_s = 3\n").unwrap();
    assert_eq!(run(&program, &site, &["reload"]).0, Some(0));
    let (process, whole) = (serving(&site), fs::read(&program).unwrap());
    for (name, file) in broken(dir.path()) {
        // As a package does it: the file is in its place, and the server is asked to go on as that.
        let aside = program.with_extension("aside");
        fs::rename(&program, &aside).unwrap();
        fs::copy(&file, &program).unwrap();
        let (code, text) = run(&aside, &site, &["reload"]);
        fs::rename(&aside, &program).unwrap();
        assert_eq!(code, Some(1), "one that {name}: {text}");
        let why = match name {
            "is no program" => "no program",
            "is for another machine" => "another kind of machine",
            "is cut off" => "not downloaded or copied whole",
            "may not be run" => "ermission denied",
            "ends at once" => "exit code 3",
            "hangs" => {
                "not ready within 3 seconds, nor did it say that it gets on ([upgrade] ready_s"
            }
            // Its limit is none of the settings.
            "says that it is ready and hangs" => "took no connections within 10 seconds, which",
            "crashes" => "signal: 6",
            "fails its migration" => "its migration failed",
            "prints without end" => "prints without end: more than 1 MiB",
            "says nonsense" => "nobody understands",
            _ => "the new program",
        };
        assert!(text.contains(why), "one that {name}: {text}");
        let log = site.log();
        assert!(log.contains("this process goes on"));
        assert!(
            log.len() < 64 << 20,
            "one that {name}: {} bytes in the log",
            log.len()
        );
        assert_eq!(serving(&site), process, "one that {name}");
        assert_eq!(site.text(&client, "/").0, 200);
        if name == "may not be run" || name == "says that it is ready and hangs" {
            // By hand, it is copied to where it may be run; and nobody waits for the other one twice.
            continue;
        }
        // By hand it does not even come that far, or the one before comes back.
        let file = file.to_str().unwrap();
        let (code, text) = run(&program, &site, &["upgrade", "--unsigned", file]);
        assert_eq!(code, Some(1), "one that {name}: {text}");
        assert_eq!(fs::read(&program).unwrap(), whole);
        let staged = program.with_extension("new");
        assert!(!staged.exists(), "one that {name}");
    }
}

#[test]
fn a_program_is_taken_that_is_signed_by_whom_the_owner_trusts() {
    let found = Command::new("minisign").arg("-v").output().is_ok();
    if !is_there("minisign", found) {
        return;
    }
    let (site, program, _) = Site::of_own_program();
    let dir = tempfile::tempdir().unwrap();
    let newer = dir.path().join("newer");
    fs::copy(&program, &newer).unwrap();
    let key = |name: &str| {
        let (public, secret) = (
            dir.path().join(format!("{name}.pub")),
            dir.path().join(name),
        );
        let made = Command::new("minisign")
            .args(["-G", "-W", "-p"])
            .arg(&public)
            .arg("-s")
            .arg(&secret)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", said(&made));
        let public = fs::read_to_string(public).unwrap();
        (public.lines().nth(1).unwrap().to_owned(), secret)
    };
    let ((ours, secret), (theirs, _)) = (key("ours"), key("theirs"));
    let upgrade = |more: &[&str]| {
        let all = [&["upgrade", newer.to_str().unwrap()], more].concat();
        run(&program, &site, &all)
    };
    let (code, text) = upgrade(&["--key", &ours]);
    assert_eq!(code, Some(1));
    assert!(
        text.contains("is not signed") && text.contains("--unsigned"),
        "{text}"
    );
    // As releases are signed.
    let sign = Path::new(env!("CARGO_MANIFEST_DIR")).join("cross/sign");
    let signed = Command::new(sign).args([&secret, &newer]).output().unwrap();
    assert!(signed.status.success(), "{}", said(&signed));
    for (keys, code) in [(&[][..], 1), (&["--key", &theirs], 1)] {
        let (found, text) = upgrade(keys);
        assert_eq!(found, Some(code), "{text}");
    }
    let before = serving(&site);
    let (code, text) = upgrade(&["--dry-run", "--key", &ours]);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("file:newer") && text.contains("Nothing was changed"),
        "{text}"
    );
    assert_eq!(serving(&site), before);
    let settings = format!("[upgrade]\nkeys = [\"{ours}\"]\n");
    fs::write(site.data().join("webstead.toml"), settings).unwrap();
    let (code, text) = upgrade(&[]);
    assert_eq!(code, Some(0), "{text}");
    assert_ne!(serving(&site), before);
    // One byte of another program is none of the signature's.
    let mut bytes = fs::read(&newer).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&newer, bytes).unwrap();
    let (code, text) = upgrade(&[]);
    assert_eq!(code, Some(1));
    assert!(text.contains("not of this file"), "{text}");
}

/// A program that is this one, but does not get on for a while when it is to take over.
pub(crate) fn slow(folder: &Path, seconds: u32) -> Option<PathBuf> {
    this_but(folder, &format!("sleep({seconds});"))
}

/// A program that is this one, but does something else before when it is to take over.
fn this_but(folder: &Path, instead: &str) -> Option<PathBuf> {
    if !is_there("cc", Command::new("cc").arg("--version").output().is_ok()) {
        return None;
    }
    let (file, source_file) = (folder.join("slow"), folder.join("slow.c"));
    let real = env!("CARGO_BIN_EXE_webstead");
    let source = format!(
        "#include <signal.h>\n#include <stdlib.h>\n#include <unistd.h>\nint main(int count, char **words) {{\n\
         if (getenv(\"WEBSTEAD_HANDOVER\")) {{ {instead} }}\n execv(\"{real}\", words);\n return 9;\n}}\n"
    );
    fs::write(&source_file, source).unwrap();
    let mut compile = Command::new("cc");
    let made = compile.arg("-o").args([&file, &source_file]).status();
    assert!(made.unwrap().success());
    Some(file)
}

/// Begins an upgrade and waits until the server has started the new program.
pub(crate) fn begin_upgrade(program: &Path, site: &Site, newer: &Path) -> std::process::Child {
    let begun = site.log().matches("handing over to").count();
    // What runs in the background of a shell ignores an interrupt, and so does all that it starts.
    let upgrade = Command::new("env")
        .arg("--default-signal=INT")
        .arg(program)
        .arg("--data")
        .arg(site.data())
        .args(["upgrade", "--unsigned"])
        .arg(newer)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    until(site, "the new program is started", || {
        site.log().matches("handing over to").count() > begun
    });
    upgrade
}

#[test]
fn an_upgrade_that_is_broken_off_leaves_the_program_in_its_place_and_others_wait_for_it() {
    let (site, program, client) = Site::of_own_program();
    let dir = tempfile::tempdir().unwrap();
    let Some(newer) = slow(dir.path(), 3) else {
        return;
    };
    let (process, whole) = (serving(&site), fs::read(&program).unwrap());
    // Whatever ends who asks, the one before goes on.
    for (before, name) in ["KILL", "INT", "HUP", "TERM"].into_iter().enumerate() {
        let upgrade = begin_upgrade(&program, &site, &newer);
        signal(upgrade.id(), name);
        let output = upgrade.wait_with_output().unwrap();
        assert!(!output.status.success(), "{name}");
        if name != "KILL" {
            let text = said(&output);
            let sentence = "broken off; the program before goes on";
            assert!(text.contains(sentence), "{name}: {text}");
            for end in ["new", "undo"] {
                assert!(!program.with_extension(end).exists(), "{name}: .{end}");
            }
        }
        until(&site, name, || {
            site.log().matches("who asked for it has ended").count() > before
        });
        assert_eq!(serving(&site), process);
        assert_eq!(fs::read(&program).unwrap(), whole);
        assert_eq!(site.text(&client, "/").0, 200);
    }
    // A second one is told that it is not its turn.
    let upgrade = begin_upgrade(&program, &site, &newer);
    let second = ["upgrade", "--unsigned", newer.to_str().unwrap()];
    let (code, text) = run(&program, &site, &second);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("another upgrade"), "{text}");
    let output = upgrade.wait_with_output().unwrap();
    assert!(output.status.success(), "{}\n{}", said(&output), site.log());
    assert_ne!(serving(&site), process);
    assert_eq!(fs::read(&program).unwrap(), fs::read(&newer).unwrap());
    assert_eq!(fs::read(program.with_extension("previous")).unwrap(), whole);
    let beside = fs::read_dir(program.parent().unwrap()).unwrap();
    let names = beside.filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    assert_eq!(names.filter(|name| name.starts_with("webstead")).count(), 2);
    let (code, text) = run(&program, &site, &["rollback"]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(fs::read(&program).unwrap(), whole);
}

#[test]
fn where_the_server_is_killed_in_an_upgrade_nobody_is_said_to_serve_and_no_process_stays() {
    let (mut site, program, _) = Site::of_own_program();
    let dir = tempfile::tempdir().unwrap();
    let Some(stubborn) = this_but(dir.path(), "signal(SIGTERM, SIG_IGN); for (;;) pause();") else {
        return;
    };
    // From now on the first process is a guard.
    let newer = ["upgrade", "--unsigned", env!("CARGO_BIN_EXE_webstead")];
    let (code, text) = run(&program, &site, &newer);
    assert_eq!(code, Some(0), "{text}");
    until(&site, "the first has become a guard", || {
        site.log().contains("finished what was in flight")
    });
    let upgrade = begin_upgrade(&program, &site, &stubborn);
    signal(serving(&site), "KILL");
    // Its supervisor sees that the site has ended, and badly.
    assert_eq!(site.wait_for_end().code(), Some(137), "{}", site.log());
    let output = upgrade.wait_with_output().unwrap();
    let text = said(&output);
    assert!(
        !output.status.success() && text.contains("Nobody serves the site now"),
        "{text}"
    );
    assert!(!text.contains("goes on serving"), "{text}");
    let (code, text) = run(&program, &site, &["status"]);
    assert_eq!(code, Some(3), "{text}");
    // What a killed upgrade has left goes at the next start.
    for end in ["new", "undo"] {
        fs::write(program.with_extension(end), "left").unwrap();
    }
    let site = site.restarted_as(&program);
    until(&site, "what was left is swept", || {
        !["new", "undo"]
            .iter()
            .any(|end| program.with_extension(end).exists())
    });
}

#[test]
fn the_new_program_leads_only_once_who_asked_for_it_is_not_to_be_ended_any_more() {
    let (site, program, _) = Site::of_own_program();
    let process = serving(&site);
    let ask_until_ready = || {
        let mut stream = UnixStream::connect(site.data().join("server.sock")).unwrap();
        let at = format!("\"program\":{program:?},\"place\":{program:?},\"ready_s\":null");
        writeln!(stream, "{{\"Upgrade\":{{{at},\"confirms\":true}}}}").unwrap();
        let mut lines = BufReader::new(&stream).lines();
        assert!(lines.any(|line| line.unwrap().contains("Ready")));
        stream
    };
    drop(ask_until_ready());
    until(&site, "it is taken back", || {
        site.log().contains("who asked for it has ended")
    });
    assert_eq!(serving(&site), process);
    let mut stream = ask_until_ready();
    assert_eq!(serving(&site), process);
    stream.write_all(b"\n").unwrap();
    let mut lines = BufReader::new(&stream).lines();
    assert!(lines.any(|line| line.unwrap().contains("Done")));
    assert_ne!(serving(&site), process);
}

#[test]
fn of_a_server_that_is_frozen_everybody_is_told_so_soon() {
    let (site, program, _) = Site::of_own_program();
    let process = serving(&site);
    signal(process, "STOP");
    for (arguments, seconds) in [(["status"], 15), (["reload"], 30)] {
        let began = Instant::now();
        let (code, text) = run(&program, &site, &arguments);
        let took = began.elapsed();
        assert_eq!(code, Some(1), "{arguments:?}: {text}");
        assert!(text.contains("does not answer"), "{arguments:?}: {text}");
        assert!(
            took < Duration::from_secs(seconds),
            "{arguments:?}: {took:?}"
        );
    }
    signal(process, "CONT");
    let (code, text) = run(&program, &site, &["status"]);
    assert_eq!(code, Some(0), "{text}");
}

#[test]
fn another_user_may_not_ask_the_server_and_may_not_name_programs() {
    let is_root = rustix::process::geteuid().is_root();
    let found = Command::new("setpriv").arg("--version").output().is_ok()
        && Command::new("/usr/bin/perl").arg("-v").output().is_ok();
    if !is_possible("to be another user", is_root) || !is_there("setpriv or perl", found) {
        return;
    }
    let (site, program, _) = Site::of_own_program();
    let open = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    // Everything is open but the socket itself.
    for folder in [site.data(), site.data().parent().unwrap()] {
        open(folder, 0o755);
    }
    let socket = site.data().join("server.sock");
    let ask = |request: &str| {
        // Of the system, because another user may not look into folders of root.
        let script = "socket S, AF_UNIX, SOCK_STREAM, 0 or die; \
             connect S, pack_sockaddr_un $ARGV[0] or do { print \"refused: $!\"; exit }; \
             syswrite S, \"$ARGV[1]\\n\"; print while <S>";
        let output = Command::new("setpriv")
            .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
            .args(["/usr/bin/perl", "-MSocket", "-e", script])
            .arg(&socket)
            .arg(request)
            .env("LC_ALL", "C")
            .output();
        said(&output.unwrap())
    };
    let text = ask("\"Reload\"");
    assert!(text.contains("refused: Permission denied"), "{text}");
    assert!(!site.log().contains("read again"), "{}", site.log());
    // Where somebody has opened it, others may ask for what is there, and for nothing else.
    open(&socket, 0o666);
    let process = serving(&site);
    let path = program.to_str().unwrap();
    for request in [
        format!("{{\"Upgrade\":{{\"program\":{path:?}}}}}"),
        format!("{{\"Upgrade\":{{\"program\":null,\"place\":{path:?}}}}}"),
    ] {
        let text = ask(&request);
        assert!(text.contains("from nobody else"), "{request}: {text}");
    }
    let text = ask("\"Reload\"");
    assert!(text.contains("Done"), "{text}");
    assert_eq!(serving(&site), process);
}
