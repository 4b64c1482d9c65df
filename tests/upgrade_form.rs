//! A program takes over that gives the database another form: tried on a copy first, within the room that there is, and
//! only beside a program that can work with it.

use std::{
    fs,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use reqwest::blocking::Client;

use crate::{
    rollback::{SCHEMA, make_older_with_its_pages, make_one_of, number},
    service_manager::ServiceManager,
    site::Site,
    upgrade::{begin_upgrade, run, serving, slow},
    waiting::{signal, wait_until},
};

const NEWER: &str = env!("CARGO_BIN_EXE_webstead");

fn schema(site: &Site) -> i64 {
    number(&site.data().join("site.db"), SCHEMA)
}

/// Puts this program in the place of an older one, as a package does, and gives the older one.
fn exchange(program: &Path) -> PathBuf {
    let aside = program.with_extension("aside");
    fs::rename(program, &aside).unwrap();
    fs::copy(NEWER, program).unwrap();
    aside
}

/// Whether a post can be saved.
fn saves(site: &Site, client: &Client, title: &str) {
    site.publish(client, &[("title", title), ("markdown", "x")]);
    let path = format!("/{}", title.to_lowercase());
    assert_eq!(site.text(client, &path).0, 200);
}

#[test]
fn a_reload_tries_the_new_form_on_a_copy_too_and_tells_what_it_takes() {
    let (site, program, client) = Site::of_program(make_older_with_its_pages);
    let (old, process) = (schema(&site), serving(&site));
    exchange(&program);
    // As a command of a user would do it: the older one still serves.
    let folder = program.with_file_name("texts");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("a.md"), "+++\ntitle = \"A\"\n+++\nx\n").unwrap();
    let (code, text) = run(
        Path::new(NEWER),
        &site,
        &["import", folder.to_str().unwrap()],
    );
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("an older version of Webstead serves"),
        "{text}"
    );
    assert_eq!(schema(&site), old, "it is not changed under its hands");

    let (code, text) = run(Path::new(NEWER), &site, &["reload"]);
    assert_eq!(code, Some(0), "{text}\n{}", site.log());
    let told = format!("database: schema {old} -> {}; on a copy that took", old + 1);
    assert!(text.contains(&told), "{text}");
    assert_eq!(schema(&site), old + 1);
    assert_ne!(serving(&site), process);
    saves(&site, &client, "Since");
    let left = fs::read_dir(site.data()).unwrap();
    let left = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let left: Vec<_> = left.filter(|name| name.contains("rehearsal")).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// A small disk that is there until this is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn at(path: &Path) -> Option<Self> {
        fs::create_dir(path).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=32m", "tmpfs"])
            .arg(path)
            .output()
            .is_ok_and(|output| output.status.success());
        mounted.then(|| Self(path.to_path_buf()))
    }

    fn free(&self) -> u64 {
        let disk = rustix::fs::statvfs(&self.0).unwrap();
        disk.f_bavail * disk.f_frsize
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn without_room_for_the_new_form_nothing_is_changed_on_any_way_and_it_is_said_why() {
    let mut disk = None;
    let (site, program, client) = Site::of_program(|program| {
        disk = SmallDisk::at(&program.with_file_name("data"));
        make_older_with_its_pages(program);
    });
    let Some(disk) = disk else {
        eprintln!("SKIPPED: a small disk cannot be mounted here (it needs root)");
        return;
    };
    let (old, process) = (schema(&site), serving(&site));
    let bytes = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
    let bytes = number(&site.data().join("site.db"), bytes);
    let most = usize::try_from(disk.free()).unwrap() - 2 * usize::try_from(bytes).unwrap();
    let ballast = site.data().join("ballast");
    fs::write(&ballast, vec![7; most]).unwrap();
    let (code, text) = run(
        &program,
        &site,
        &["upgrade", "--unsigned", "--dry-run", NEWER],
    );
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("make room first"), "{text}");
    let (code, text) = run(&program, &site, &["upgrade", "--unsigned", NEWER]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("make room first"), "{text}");
    let older = exchange(&program);
    let (code, text) = run(&program, &site, &["reload"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("make room first"), "{text}");
    assert_eq!((schema(&site), serving(&site)), (old, process));
    saves(&site, &client, "Meanwhile");
    fs::remove_file(&ballast).unwrap();
    let (code, text) = run(&older, &site, &["reload"]);
    assert_eq!(code, Some(0), "{text}\n{}", site.log());
    assert_eq!(schema(&site), old + 1);
    // While its disk still says which process serves.
    drop(site);
}

#[test]
fn a_form_that_the_running_program_cannot_work_with_is_not_made_beside_it() {
    // With pages that only programs of schema 6 reckon with: that migration says so.
    let make_it_of_schema_5 = |program: &Path| make_one_of(program, |_| 5);
    let (mut site, program, client) = Site::of_program(make_it_of_schema_5);
    let (old, process) = (schema(&site), serving(&site));
    let ways = [
        &["upgrade", "--unsigned", "--dry-run", NEWER][..],
        &["upgrade", "--unsigned", NEWER],
        &["reload"],
    ];
    for way in ways {
        let asks = if way[0] == "reload" {
            exchange(&program)
        } else {
            program.clone()
        };
        let (code, text) = run(&asks, &site, way);
        assert_eq!(code, Some(1), "{way:?}: {text}");
        for words in [
            format!("it knows schema {old}"),
            "one that knows schema 6".to_owned(),
            "Or stop the site".to_owned(),
        ] {
            assert!(text.contains(&words), "{way:?}, {words}: {text}");
        }
        assert_eq!((schema(&site), serving(&site)), (old, process), "{way:?}");
    }
    saves(&site, &client, "Meanwhile");
    // While nobody serves, it may.
    site.stop();
    let site = site.restarted_as(&program);
    assert!(schema(&site) > old);
    assert_eq!(site.text(&site.client(), "/meanwhile").0, 200);
}

#[test]
fn a_start_that_changes_the_form_of_the_database_asks_the_service_manager_for_time() {
    let (mut site, _, _) = Site::of_program(make_older_with_its_pages);
    let old = schema(&site);
    site.stop();
    let manager = ServiceManager::at(site.data().with_extension("notify"));
    let mut server = manager.start(site.data(), None);
    let said = manager.hear_until("READY=1");
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(said[0].contains("EXTEND_TIMEOUT_USEC="), "{said:?}");
    assert_eq!(schema(&site), old + 1);
}

#[test]
fn who_saves_while_the_database_is_locked_for_an_upgrade_waits_for_it_and_loses_nothing() {
    let (site, program, client) = Site::of_own_program();
    let dir = tempfile::tempdir().unwrap();
    // Longer than anybody waits for a lock else.
    let Some(newer) = slow(dir.path(), 34) else {
        return;
    };
    let upgrade = begin_upgrade(&program, &site, &newer);
    let migration = rusqlite::Connection::open(site.data().join("site.db")).unwrap();
    migration.execute_batch("BEGIN IMMEDIATE").unwrap();
    let began = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| saves(&site, &client, "Waited"));
        scope.spawn(|| {
            std::thread::sleep(Duration::from_secs(1));
            site.sign_in(crate::site::OWNER, crate::site::PASSWORD);
            assert!(began.elapsed() > Duration::from_secs(31), "it did not wait");
        });
        std::thread::sleep(Duration::from_secs(32));
        migration.execute_batch("COMMIT").unwrap();
    });
    let output = upgrade.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}\n{}", site.log());
}

#[test]
fn the_service_manager_hears_whose_turn_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let manager = ServiceManager::at(dir.path().join("notify"));
    let data = dir.path().join("data");
    let mut server = manager.start(&data, Some(Duration::from_secs(2)));
    let until = |word: &str| manager.hear_until(word).pop().unwrap();
    until("READY=1");
    // The same file under another number is another program.
    let program = dir.path().join("other");
    fs::copy(env!("CARGO_BIN_EXE_webstead"), &program).unwrap();
    let request = format!(
        "{{\"Upgrade\":{{\"program\":{:?}}}}}\n",
        program.to_str().unwrap()
    );
    let mut socket = UnixStream::connect(data.join("server.sock")).unwrap();
    std::io::Write::write_all(&mut socket, request.as_bytes()).unwrap();
    // A reload has a limit, too, which is not that of a program that gets on.
    until("EXTEND_TIMEOUT_USEC=");
    let main = until("MAINPID=");
    let next: u32 = main.trim().trim_start_matches("MAINPID=").parse().unwrap();
    assert_ne!(next, server.id());
    // From here on it is the new process that speaks.
    until("READY=1");
    until("WATCHDOG=1");
    assert!(server.wait().unwrap().success(), "the one before ends");
    signal(next, "TERM");
    until("STOPPING=1");
    wait_until("it ends", || {
        let open = Path::new(&format!("/proc/{next}/fd")).read_dir();
        !open.is_ok_and(|mut open| open.next().is_some())
    });
}
