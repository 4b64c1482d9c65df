//! Installing as a service, as far as it can be seen without changing this machine, and asking how the
//! site is. `cross/boot` does the rest in a system of its own.

use std::{
    fs,
    os::unix::fs::{MetadataExt, chown},
    path::Path,
    process::{Command, Output, Stdio},
};

use crate::{
    site::{Site, command},
    tools::is_there,
    waiting::signal,
};

fn webstead(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_webstead"))
        .args(arguments)
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn status_tells_where_the_site_is_and_whether_it_answers() {
    let (mut site, _) = Site::with_owner();
    let data = site.data().to_path_buf();
    let status = || command(&data).arg("status").output().unwrap();
    let running = status();
    assert_eq!(running.status.code(), Some(0), "{}", text(&running));
    for words in [
        "Your site:  https://localhost:",
        "/sign-in",
        "It answers over HTTPS",
    ] {
        assert!(text(&running).contains(words), "{}", text(&running));
    }
    assert!(!text(&running).contains("/setup"), "the link is used up");
    assert!(site.stop().success());
    let stopped = status();
    assert_eq!(stopped.status.code(), Some(3), "{}", text(&stopped));
    assert!(text(&stopped).contains("does not run"));
    drop(site);
    let gone = status();
    assert_eq!(gone.status.code(), Some(1));
    assert!(text(&gone).contains("there is no site in"));
}

#[test]
fn status_gives_the_set_up_link_of_a_new_site() {
    let site = Site::start();
    let output = command(site.data()).arg("status").output().unwrap();
    let link = site.setup_path.as_ref().unwrap();
    assert!(text(&output).contains(link), "{}", text(&output));
}

#[test]
fn a_machine_without_systemd_is_told_what_to_do() {
    if Path::new("/run/systemd/system").exists() {
        println!("skipped: this machine is run by systemd; cross/boot tries it in one of its own");
        return;
    }
    for arguments in [
        ["install", "--dry-run"].as_slice(),
        &["install"],
        &["uninstall", "--dry-run"],
        &["uninstall", "--purge", "--yes"],
    ] {
        let output = webstead(arguments);
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output).contains("OpenRC"), "{}", text(&output));
    }
}

#[test]
fn a_site_that_starts_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let waiting = command(dir.path())
        .args(["status", "--wait"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut server = command(dir.path())
        .args(["serve", "--https", "127.0.0.1:0", "--http", "127.0.0.1:0"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let waited = waiting.wait_with_output().unwrap();
    signal(server.id(), "TERM");
    assert!(server.wait().unwrap().success());
    assert!(waited.status.success());
    assert!(text(&waited).contains("It answers"), "{}", text(&waited));
}

#[test]
fn help_of_install_lists_nothing_that_install_refuses() {
    for command in ["install", "uninstall"] {
        let help = text(&webstead(&[command, "--help"]));
        assert!(help.contains("--dry-run"), "{help}");
        assert!(
            !help.contains("--data") && !help.contains("--config"),
            "{help}"
        );
    }
}

#[test]
fn the_service_manager_understands_the_units_and_finds_their_sandbox_tight() {
    let tool = "systemd-analyze";
    let found = Command::new(tool).arg("--version").output().is_ok();
    if !is_there(tool, found) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("cross/systemd");
    // The program that the unit names need not be on this machine.
    let service = fs::read_to_string(root.join("webstead.service"))
        .unwrap()
        .replace("/usr/local/bin/webstead", env!("CARGO_BIN_EXE_webstead"));
    let unit = folder.path().join("webstead.service");
    fs::write(&unit, service).unwrap();
    let socket = folder.path().join("webstead.socket");
    fs::copy(root.join("webstead.socket"), &socket).unwrap();
    let analyze = |arguments: &[&str], file: &Path| {
        let output = Command::new(tool).args(arguments).arg(file).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", text(&output));
        text(&output)
    };
    for file in [&unit, &socket] {
        let words = analyze(&["verify"], file);
        assert!(!words.contains("webstead"), "{words}");
    }
    // In tenths: 1.5 is what a service may have at most.
    analyze(&["security", "--offline=true", "--threshold=15"], &unit);
}

#[test]
fn what_makes_no_sense_for_a_service_is_refused() {
    for (arguments, code, words) in [
        (["install", "--data", "/x"].as_slice(), 1, "--from"),
        (&["install", "--https", "0"], 2, "--https"),
        (&["install", "--https", "70000"], 2, "--https"),
        (&["uninstall", "--yes"], 2, "--purge"),
    ] {
        let output = webstead(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert!(text(&output).contains(words), "{}", text(&output));
    }
}

#[test]
fn what_root_brings_in_belongs_to_whom_the_data_folder_belongs_to() {
    let dir = tempfile::tempdir().unwrap();
    let (data, blog) = (dir.path().join("data"), dir.path().join("blog"));
    fs::create_dir_all(&blog).unwrap();
    fs::create_dir_all(&data).unwrap();
    let nobody = 65534;
    if chown(&data, Some(nobody), Some(nobody)).is_err() {
        println!("skipped: only root can give a folder to somebody else");
        return;
    }
    fs::write(
        blog.join("post.md"),
        "+++\ntitle = \"Post\"\n+++\n[a](a.txt)\n",
    )
    .unwrap();
    fs::write(blog.join("a.txt"), "text").unwrap();
    let output = command(&data).arg("import").arg(&blog).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let mut found = Vec::new();
    for folder in [data.clone(), data.join("media")] {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            assert_eq!(fs::metadata(&path).unwrap().uid(), nobody, "{path:?}");
            found.push(path);
        }
    }
    assert!(
        found.contains(&data.join("site.db")) && found.len() >= 3,
        "{found:?}"
    );
}
