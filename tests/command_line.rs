//! The command line: what it says when all is well, and when it is not.

use std::{
    fs::{self, File},
    io::Write,
    net::TcpListener,
    process::{Output, Stdio},
};

use crate::site::{OWNER, PASSWORD, Site, command};

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn help_names_every_command_and_version_is_the_one_of_the_package() {
    let dir = tempfile::tempdir().unwrap();
    let output = command(dir.path()).arg("--help").output().unwrap();
    assert!(output.status.success());
    for word in [
        "serve",
        "status",
        "check",
        "import",
        "export",
        "backup",
        "restore",
        "user",
        "install",
        "uninstall",
        "--https",
        "--http",
        "--data",
        "/help",
    ] {
        assert!(
            text(&output).contains(word),
            "{word} is not in {}",
            text(&output)
        );
    }
    let output = command(dir.path()).arg("--version").output().unwrap();
    assert_eq!(
        text(&output).trim(),
        concat!("webstead ", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn a_bad_settings_file_is_named_with_line_and_key_and_nothing_is_made() {
    for (toml, words) in [
        ("\nlistenn = 1\n", ["line 2", "listenn"]),
        ("[listen]\nhttps = \"nowhere:x\"\n", ["line 2", "https"]),
        ("[cache]\nmax_mib = \"much\"\n", ["line 2", "max_mib"]),
        ("domain = \"https://x\"\n", ["domain", "without https://"]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("webstead.toml"), toml).unwrap();
        let output = command(dir.path())
            .args(["--https", "127.0.0.1:0", "--http", "127.0.0.1:0"])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        for word in words.iter().chain(&["webstead.toml"]) {
            assert!(
                text(&output).contains(word),
                "{word} is not in {}",
                text(&output)
            );
        }
        assert!(!dir.path().join("site.db").exists());
    }
}

#[test]
fn a_busy_port_is_named_with_the_setting_and_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = command(dir.path())
        .args(["--https", &address, "--http", "127.0.0.1:0"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let port = taken.local_addr().unwrap().port().to_string();
    for word in ["--https", port.as_str()] {
        assert!(
            text(&output).contains(word),
            "{word} is not in {}",
            text(&output)
        );
    }
}

#[test]
fn a_second_server_on_the_same_folder_is_refused_and_the_first_goes_on() {
    let site = Site::start();
    let output = command(site.data())
        .args(["--https", "127.0.0.1:0", "--http", "127.0.0.1:0"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output).contains("already serves"),
        "{}",
        text(&output)
    );
    assert_eq!(site.text(&site.client(), "/").0, 200);
}

#[test]
fn a_server_that_ends_lets_go_of_the_folder_last() {
    let site = Site::start();
    let lock = File::open(site.data().join("server.lock")).unwrap();
    assert!(lock.try_lock().is_err() && site.data().join("server.sock").exists());
    site.signal("TERM");
    lock.lock().unwrap();
    // Else it would take away the socket of the one that is started next.
    assert!(!site.data().join("server.sock").exists());
}

#[test]
fn data_of_a_newer_version_or_of_another_program_is_left_alone() {
    let mut site = Site::start();
    site.stop();
    let file = site.data().join("site.db");
    let database = rusqlite::Connection::open(&file).unwrap();
    database.pragma_update(None, "user_version", 99).unwrap();
    database
        .execute("UPDATE compatibility SET oldest = 99", [])
        .unwrap();
    drop(database);
    let before = fs::read(&file).unwrap();
    let output = command(site.data()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output).contains("newer Webstead"),
        "{}",
        text(&output)
    );
    assert_eq!(fs::read(&file).unwrap(), before);

    fs::write(
        &file,
        "this is no database at all, but a text that somebody put here",
    )
    .unwrap();
    let output = command(site.data()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("site.db"), "{}", text(&output));
}

#[test]
fn asked_to_stop_it_closes_the_database_cleanly() {
    let (mut site, editor) = Site::with_owner();
    site.publish(&editor, &[("title", "Post"), ("markdown", "x")]);
    assert_eq!(site.stop().code(), Some(0));
    assert!(
        !site.data().join("site.db-wal").exists(),
        "the log is written back"
    );
}

#[test]
fn accounts_are_made_listed_and_helped_while_the_site_runs() {
    let (site, owner) = Site::with_owner();
    let user = |args: &[&str], password: &str| {
        let mut child = command(site.data())
            .arg("user")
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        writeln!(child.stdin.take().unwrap(), "{password}").unwrap();
        child.wait_with_output().unwrap()
    };
    assert!(
        user(&["add", "Grace", "--password-stdin"], "a fine password")
            .status
            .success()
    );
    let again = user(&["add", "grace", "--password-stdin"], "a fine password");
    assert!(text(&again).contains("already"), "{}", text(&again));
    assert!(text(&user(&["add", "x", "--password-stdin"], "short")).contains("10 or more"));
    let list = text(&user(&["list"], ""));
    assert!(
        list.contains("grace") && list.contains("editor") && list.contains("owner"),
        "{list}"
    );
    let grace = site.sign_in("grace", "a fine password");
    assert_eq!(
        site.get(&grace, "/admin/settings").status(),
        403,
        "settings are the owner's"
    );
    assert!(
        user(
            &["reset-password", OWNER, "--password-stdin"],
            "a new fine password"
        )
        .status
        .success()
    );
    assert_eq!(
        site.get(&owner, "/admin").status(),
        303,
        "a reset signs out everywhere"
    );
    site.sign_in(OWNER, "a new fine password");
    let unknown = user(&["reset-password", "nobody", "--password-stdin"], PASSWORD);
    assert!(
        text(&unknown).contains("no account named nobody"),
        "{}",
        text(&unknown)
    );
}

#[test]
fn check_says_that_all_is_well_or_what_is_not() {
    let mut site = Site::start();
    site.stop();
    let folder = site.data().with_extension("in");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("p.png"), "picture").unwrap();
    assert!(
        command(site.data())
            .arg("import")
            .arg(&folder)
            .output()
            .unwrap()
            .status
            .success()
    );
    let check = || command(site.data()).arg("check").output().unwrap();
    let fine = check();
    assert!(
        fine.status.success() && text(&fine).contains("All is well"),
        "{}",
        text(&fine)
    );
    for file in fs::read_dir(site.data().join("media")).unwrap() {
        fs::write(file.unwrap().path(), "changed").unwrap();
    }
    let damaged = check();
    assert_eq!(damaged.status.code(), Some(1));
    assert!(
        text(&damaged).contains("p.png") && text(&damaged).contains("is damaged"),
        "{}",
        text(&damaged)
    );
    let nowhere = command(&folder).arg("check").output().unwrap();
    assert!(
        text(&nowhere).contains("there is no site"),
        "{}",
        text(&nowhere)
    );
}

#[test]
fn an_import_into_a_running_site_is_seen_without_a_restart() {
    let site = Site::start();
    let client = site.client();
    assert_eq!(site.text(&client, "/hello").0, 404);
    let folder = site.data().with_extension("in");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("hello.md"), "# Hello").unwrap();
    let dry = command(site.data())
        .args(["import", "--dry-run"])
        .arg(&folder)
        .output()
        .unwrap();
    assert!(text(&dry).contains("nothing was written"), "{}", text(&dry));
    assert_eq!(site.text(&client, "/hello").0, 404);
    assert!(
        command(site.data())
            .arg("import")
            .arg(&folder)
            .output()
            .unwrap()
            .status
            .success()
    );
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!(site.text(&client, "/hello").0, 200);
    assert!(
        site.text(&client, "/").1.contains("Hello"),
        "the cached home page too"
    );
}

#[test]
fn the_key_of_the_authority_can_be_read_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let site = Site::start();
    for (name, mode) in [
        ("tls/authority-key.pem", 0o600),
        ("tls/local-key.pem", 0o600),
        ("tls", 0o700),
        (".", 0o700),
    ] {
        let found = fs::metadata(site.data().join(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o777;
        assert_eq!(found, mode, "{name} has {found:o}");
    }
}

#[test]
fn a_command_whose_reader_has_left_ends_quietly() {
    let (site, _owner) = Site::with_owner();
    for words in [
        &["status"][..],
        &["check"],
        &["dns"],
        &["certificate", "list"],
        &["user", "list"],
        &["secret", "list"],
        &["doctor"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command(site.data())
            .args(words)
            .stdout(writer)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
            .wait_with_output()
            .unwrap();
        assert!(
            output.status.code().is_some_and(|code| code < 100),
            "{words:?}: {output:?}"
        );
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            !errors.contains("panicked") && !errors.contains("Broken pipe"),
            "{words:?}: {errors}"
        );
    }
}

#[test]
fn who_mistypes_the_data_folder_is_told_that_there_was_no_site() {
    let dir = tempfile::tempdir().unwrap();
    let blog = dir.path().join("blog");
    fs::create_dir(&blog).unwrap();
    fs::write(blog.join("a.md"), "# A").unwrap();
    let new = dir.path().join("new");
    let import = |more: &[&str]| {
        let output = command(&new).arg("import").args(more).arg(&blog).output();
        output.unwrap()
    };
    for (more, words) in [
        (&["--dry-run"][..], "would come into a new one"),
        (&["--json"], "a new one is made there"),
    ] {
        let output = import(more);
        assert!(output.status.success());
        assert!(text(&output).contains(words), "{}", text(&output));
    }
    let again = import(&[]);
    assert!(
        !text(&again).contains("There is no site"),
        "{}",
        text(&again)
    );
}

#[test]
fn the_first_account_can_be_made_before_the_site_was_ever_served() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let add = |role: &str| {
        let mut child = command(&data)
            .args(["user", "add", OWNER, "--role", role, "--password-stdin"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Who is refused does not read it.
        let _ = writeln!(child.stdin.take().unwrap(), "{PASSWORD}");
        child.wait_with_output().unwrap()
    };
    let editor = add("editor");
    assert!(
        text(&editor).contains("there is no site"),
        "{}",
        text(&editor)
    );
    assert!(!data.exists());
    let owner = add("owner");
    assert!(owner.status.success(), "{}", text(&owner));
    assert!(
        text(&owner).contains("a new one was made"),
        "{}",
        text(&owner)
    );
    let site = Site::start_on(&data);
    assert!(site.setup_path.is_none());
    site.sign_in(OWNER, PASSWORD);
}

#[test]
fn what_is_typed_wrongly_is_told_in_plain_words() {
    let dir = tempfile::tempdir().unwrap();
    for (arguments, words) in [
        (&["install", "--https", "x"][..], "from 1 to 65535"),
        (&["install", "--https", "0"], "from 1 to 65535"),
        (&["serve", "--https", "70000"], "from 0 to 65535"),
        (&["--config", "/no/such/file"], "No such file or directory"),
        (&["import", "/no/such/folder"], "is not a folder"),
        (&["upgrade", "/no/such/file"], ""),
        (
            &["--config", "~/webstead.toml", "check"],
            "/home/ada/webstead.toml",
        ),
        (&["export", "~/out"], "/home/ada/out"),
        (&["backup", "~/backups"], "/home/ada/backups"),
    ] {
        let output = command(dir.path()).args(arguments).output().unwrap();
        assert!(!output.status.success());
        let said = text(&output);
        assert!(said.contains(words), "{arguments:?}: {said}");
        for bad in [
            "os error",
            "u16",
            "invalid digit",
            "non-zero type",
            "panicked",
        ] {
            assert!(!said.contains(bad), "{arguments:?}: {said}");
        }
    }
}
