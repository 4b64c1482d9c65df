//! `webstead doctor`: the states of certificates, the program, its pages, the database and the disk, made to happen.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    dns_api::{ApiServer, Protocol, Reply, Seen},
    doctor::{Found, PROGRAM},
    pebble::{Options, Pebble},
    site::{Site, command},
    tools::is_there,
};

/// What the doctor sees of the site in a data folder.
fn look(data: &Path) -> Found {
    Found::read(command(data).args(["doctor", "--json"]).output().unwrap())
}

#[test]
fn a_server_that_does_not_run_or_hangs_and_pages_that_fail_are_told_apart() {
    let site = Site::start();
    let examine = || look(site.data());
    let found = examine();
    found.must("name", "name-unset", &["your own network"]);
    found.must("server", "server-well", &[]);
    found.must("application", "application-well", &[]);

    site.signal("STOP");
    let found = examine();
    site.signal("CONT");
    found.must("server", "server-silent", &["does not answer"]);
    found.must("application", "application-unknown", &[]);

    // A table that is gone is a fault of every page.
    let spoil = |sql: &str| {
        let connection = rusqlite::Connection::open(site.data().join("site.db")).unwrap();
        connection.execute_batch(sql).unwrap();
    };
    let page = |status: u16| {
        let client = site.client();
        let deadline = Instant::now() + Duration::from_secs(20);
        while site.get(&client, "/").status().as_u16() != status {
            assert!(Instant::now() < deadline, "no {status}");
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    spoil("ALTER TABLE posts RENAME TO posts_away");
    // What another process writes is noticed within half a second, and kept pages are good until then.
    std::thread::sleep(Duration::from_secs(1));
    page(500);
    examine().must("application", "application-failing", &["500"]);
    spoil("ALTER TABLE posts_away RENAME TO posts");
    page(200);
    examine().must("application", "application-errors", &["requests failed"]);

    let mut site = site;
    site.stop();
    let found = look(site.data());
    found.must("server", "server-not-running", &["systemctl start"]);
    found.must("application", "application-unknown", &[]);
    found.must("database", "database-well", &[]);
    fs::write(site.data().join("webstead.toml"), "domain = 5\n").unwrap();
    look(site.data()).must("server", "settings-unreadable", &["domain = 5"]);
}

#[test]
fn a_program_behind_that_is_away_is_named() {
    let settings = "[hosts.\"a.localhost\"]\nproxy = [\"http://127.0.0.1:1\"]\nhealth = \"/up\"\n";
    let site = Site::with_settings(settings);
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let found = look(site.data());
        if found.state("application") == "program-down" {
            found.must(
                "application",
                "program-down",
                &["a.localhost", "127.0.0.1:1"],
            );
            break;
        }
        assert!(Instant::now() < deadline, "{:?}", found.0);
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// A file system in memory, mounted until it is dropped.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: PathBuf, options: &str) -> Option<Self> {
        fs::create_dir_all(&at).unwrap();
        let words = ["-t", "tmpfs", "-o", options, "tmpfs"];
        let mounted = Command::new("mount")
            .args(words)
            .arg(&at)
            .stderr(Stdio::null())
            .status();
        let is_mounted = mounted.is_ok_and(|status| status.success());
        is_there("mount, and the rights of root,", is_mounted).then_some(Self(at))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_damaged_database_and_a_disk_that_is_full_or_read_only_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::mount(dir.path().join("disk"), "size=64m") else {
        return;
    };
    let data = disk.0.join("data");
    let (mut site, owner) = {
        let site = Site::start_on(&data);
        let owner = site.set_up();
        (site, owner)
    };
    let text = "a long text that fills pages of the database. ".repeat(2000);
    for title in ["One", "Two", "Three"] {
        site.publish(&owner, &[("title", title), ("markdown", &text)]);
    }
    let examine = || look(&data);
    examine().must("database", "database-well", &["free"]);
    let filler = disk.0.join("filler");
    fs::write(&filler, vec![1; 45 * 1024 * 1024]).unwrap();
    examine().must("database", "disk-full", &["MB are left"]);
    fs::remove_file(&filler).unwrap();
    site.stop();
    let remount = |how: &str| {
        let options = format!("remount,{how}");
        let done = Command::new("mount")
            .args(["-o", &options])
            .arg(&disk.0)
            .status();
        assert!(done.unwrap().success());
    };
    remount("ro");
    examine().must("database", "disk-read-only", &["SD card"]);
    remount("rw");
    examine().must("database", "database-well", &[]);
    let file = data.join("site.db");
    let mut bytes = fs::read(&file).unwrap();
    let (from, until) = (bytes.len() / 3, bytes.len() * 2 / 3);
    for page in bytes[from / 4096 * 4096..until].chunks_mut(4096) {
        let length = page.len().min(2048);
        page[..length].fill(0xA5);
    }
    fs::write(&file, &bytes).unwrap();
    examine().must("database", "database-damaged", &["backup"]);
    fs::write(&file, b"").unwrap();
    let output = command(&data).args(["doctor"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[test]
#[allow(clippy::too_many_lines)] // one site, from its first name to its last
fn what_an_authority_says_is_said_in_its_own_words_and_a_certificate_that_ends_is_noticed() {
    let mut site = Site::start();
    let options = Options {
        validity_s: 9 * 24 * 3600,
        ..Options::default()
    };
    let Some(mut pebble) = Pebble::start(&site, options) else {
        return;
    };
    let can_mount = Command::new("unshare").args(["--mount", "true"]).status();
    let can_mount = can_mount.is_ok_and(|status| status.success());
    if !is_there("unshare, and the rights of root,", can_mount) {
        return;
    }
    let nobody = site.data().join("resolv.conf");
    fs::write(&nobody, "nameserver 127.0.0.1\n").unwrap();
    let nobody = nobody.to_str().unwrap().to_owned();
    let examine = |site: &Site, before: &[&str], roots: &str| {
        let doctor = command(site.data());
        let words = doctor
            .get_args()
            .map(|word| word.to_str().unwrap().to_owned());
        // These names are nobody's, so nobody is asked for them: there is no DNS server on this machine.
        let alone = "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"";
        let mut all: Vec<String> = ["unshare", "--mount", "sh", "-c", alone]
            .map(str::to_owned)
            .into();
        all.push(nobody.clone());
        all.extend(before.iter().map(|word| (*word).to_owned()));
        all.push(PROGRAM.to_owned());
        all.extend(words);
        all.extend(["doctor".to_owned(), "--json".to_owned()]);
        let output = Command::new(&all[0])
            .args(&all[1..])
            .env("SSL_CERT_FILE", roots)
            .env_remove("SSL_CERT_DIR")
            .env_remove("STATE_DIRECTORY")
            .output();
        Found::read(output.unwrap())
    };
    let roots = site.data().join("roots.pem");
    fs::write(&roots, pebble.root()).unwrap();
    let roots = roots.to_str().unwrap().to_owned();
    let settings = pebble.settings();
    let set = |site: &Site, name: &str, more: &str| {
        let text = format!("domain = \"{name}\"\n{settings}{more}");
        fs::write(site.data().join("webstead.toml"), text).unwrap();
        site.signal("HUP");
    };
    let until = |site: &Site, state: &str| {
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            let found = examine(site, &[], &roots);
            if found.state("certificate") == state {
                return found;
            }
            assert!(
                Instant::now() < deadline,
                "{state}: {:?} {}",
                found.0["certificate"],
                site.log()
            );
            std::thread::sleep(Duration::from_millis(300));
        }
    };
    fs::write(
        site.data().join("webstead.toml"),
        "domain = \"good.test.example.com\"\n",
    )
    .unwrap();
    site.signal("HUP");
    until(&site, "certificate-not-asked");

    // The authority will have nothing to do with this name.
    set(&site, "blocked.test", "");
    let found = until(&site, "certificate-refused");
    found.must("certificate", "certificate-refused", &["policy", "It says"]);
    // The name leads somewhere where nobody answers.
    pebble.tell_dns(
        "add-a",
        "{\"host\":\"away.test.\",\"addresses\":[\"127.0.0.9\"]}",
    );
    set(&site, "away.test", "");
    let found = until(&site, "certificate-not-proved");
    found.must(
        "certificate",
        "certificate-not-proved",
        &["refused", "before this station"],
    );

    set(&site, "good.test", "");
    until(&site, "certificate-well").must("certificate", "certificate-well", &["Pebble"]);
    // A machine, and so a browser, that knows other authorities only.
    let strangers = site.data().join("tls/authority-cert.pem");
    let found = examine(&site, &[], strangers.to_str().unwrap());
    found.must("certificate", "certificate-unknown-authority", &["staging"]);
    found.must("server", "server-well", &[]);

    if is_there(
        "faketime",
        Command::new("faketime").arg("--help").output().is_ok(),
    ) {
        let found = examine(&site, &["faketime", "-f", "-3d"], &roots);
        found.must(
            "server",
            "clock-wrong",
            &["3 days behind", "localhost", "timedatectl"],
        );
        found.must("certificate", "certificate-not-yet", &["clock"]);
        let found = examine(&site, &["faketime", "-f", "+8d"], &roots);
        found.must("server", "clock-wrong", &["8 days ahead"]);
        found.must("certificate", "certificate-ends", &["ends in"]);
        let found = examine(&site, &["faketime", "2024-01-01 00:00:00"], &roots);
        found.must("server", "clock-unset", &["never set"]);
    }
    // The owner's files are for another name, and then none at all.
    let file = fs::read_to_string(site.data().join("tls/public/good.test.pem")).unwrap();
    fs::write(site.data().join("own.pem"), file).unwrap();
    let own = "files = [{ certificate = \"own.pem\", key = \"own.pem\" }]\n";
    pebble.stop();
    set(&site, "other.test", own);
    let found = until(&site, "certificate-authority-silent");
    found.must("certificate", "certificate-authority-silent", &["internet"]);
    let only_own = format!("domain = \"other.test\"\n[certificate]\n{own}");
    fs::write(site.data().join("webstead.toml"), only_own).unwrap();
    site.signal("HUP");
    until(&site, "certificate-other-name").must(
        "certificate",
        "certificate-other-name",
        &["good.test", "not for other.test"],
    );
    fs::write(site.data().join("own.pem"), "nothing").unwrap();
    let broken = format!("domain = \"other.test\"\n[certificate]\n{own}");
    fs::write(site.data().join("webstead.toml"), broken).unwrap();
    until(&site, "certificate-files").must("certificate", "certificate-files", &["own.pem"]);
    site.stop();
}

/// An authority (RFC 8555) that was asked too often: an account it still gives.
struct AngryAuthority;

/// The words of Let's Encrypt (<https://letsencrypt.org/docs/rate-limits/>).
const TOO_MANY: &str =
    "too many certificates (50) already issued for \"limited.test\" in the last 168h0m0s";

impl Protocol for AngryAuthority {
    fn answer(&mut self, seen: &Seen) -> Reply {
        let base = format!("https://{}", seen.header("host"));
        let at = |path: &str| format!("{base}{path}");
        let reply = match seen.path.as_str() {
            "/dir" => Reply::json(
                200,
                serde_json::json!({
                    "newNonce": at("/nonce"), "newAccount": at("/account"), "newOrder": at("/order"),
                    "revokeCert": at("/revoke"), "keyChange": at("/key"),
                }),
            ),
            "/account" => Reply::json(201, serde_json::json!({ "status": "valid" }))
                .with("location", &at("/account/1")),
            "/order" => {
                let problem = serde_json::json!({
                    "type": "urn:ietf:params:acme:error:rateLimited", "detail": TOO_MANY, "status": 429,
                });
                let reply =
                    Reply::json(429, problem).with("content-type", "application/problem+json");
                reply.with("retry-after", "5400")
            }
            _ => Reply::text(200, ""),
        };
        reply.with("replay-nonce", "bm9uY2U")
    }
}

#[test]
fn an_authority_that_was_asked_too_often_says_until_when() {
    let authority = ApiServer::start(AngryAuthority);
    let settings = format!(
        "domain = \"limited.test\"\n[certificate]\nagree_to_terms = true\nauthority = \"{}/dir\"\n\
         authority_roots = \"{}\"\n",
        authority.base(),
        authority.roots_file().display(),
    );
    let site = Site::with_settings(&settings);
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let found = look(site.data());
        if found.state("certificate") == "certificate-rate-limit" {
            let [_, _, says, remedy] = &found.0["certificate"];
            assert!(
                says.contains("asked too often") && says.contains("too many certificates (50)"),
                "{says}"
            );
            let (_, end) = says.split_once(" until ").expect("it says until when");
            assert!(end.starts_with("20"), "{says}");
            assert!(remedy.starts_with("Wait"), "{remedy}");
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{:?} {}",
            found.0["certificate"],
            site.log()
        );
        std::thread::sleep(Duration::from_millis(500));
    }
}
