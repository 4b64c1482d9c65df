//! `webstead doctor`: the states of the program, its pages, the database and the disk, made to happen in networks that have
//! nothing but their loopback.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use time::OffsetDateTime;

use crate::{
    dns_api::{ApiServer, Protocol, Reply, Seen},
    machine::{Found, say_of_clock},
    namespaces::alone,
    pebble::section,
    site::{Site, command},
    tools::is_there,
    waiting::{found_within, wait_until},
};

/// What the doctor sees of the site in a data folder.
fn look(data: &Path) -> Found {
    Found::read(command(data).args(["doctor", "--json"]).output().unwrap())
}

#[test]
fn a_server_that_does_not_run_or_hangs_and_pages_that_fail_are_told_apart() {
    alone(|| {
        let site = Site::start();
        let examine = || look(site.data());
        let found = examine();
        found.must("name", "name-unset", &["your own network"]);
        found.must("address", "address-none", &["not connected"]);
        // Whether somebody sets the clock is this machine's own affair.
        let server = &found.0["server"];
        assert!(
            ["server-well", "clock-untold"].contains(&found.state("server")),
            "{server:?}"
        );
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
            wait_until(&format!("it answers {status}"), || {
                site.get(&client, "/").status().as_u16() == status
            });
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
    });
}

#[test]
fn a_clock_is_right_where_whoever_sets_it_says_so() {
    alone(|| {
        let site = Site::start();
        let dir = tempfile::tempdir().unwrap();
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{path}", dir.path().display());
        let tracking =
            "50CAB2A1,80.202.178.161,3,1764291600.1,-0.0,0.0,0.0,-1.2,-0.0,0.0,0.0,0.0,64.2";
        let normal = format!("echo {tracking},Normal");
        let unset = format!("echo '{tracking},Not synchronised'");
        for (timedatectl, chronyc, state) in [
            ("echo yes", "exit 1", "server-well"),
            ("echo no", "exit 1", "clock-untold"),
            ("exec sleep 60", &*normal, "server-well"),
            ("exit 1", &normal, "server-well"),
            ("exit 1", &unset, "clock-untold"),
            (
                "echo yes; exit 1",
                "echo 506 Cannot talk to daemon",
                "clock-untold",
            ),
        ] {
            say_of_clock(dir.path(), timedatectl, chronyc);
            let mut doctor = command(site.data());
            doctor.env("PATH", &path);
            let found = Found::read(doctor.args(["doctor", "--json"]).output().unwrap());
            let mark = Path::new("/run/systemd/timesync/synchronized");
            let state = if mark.exists() { "server-well" } else { state };
            assert_eq!(found.state("server"), state, "{timedatectl}; {chronyc}");
        }
    });
}

/// The doctor, or the server, and whoever may come between it and the kernel: strace(1), in the words of its `-e inject=`.
fn between_it_and_the_kernel(data: &Path, inject: &str, words: &[&str]) -> Option<Command> {
    let has_strace = Command::new("strace").arg("-V").output().is_ok();
    if !is_there("strace", has_strace) {
        return None;
    }
    let (call, _) = inject.split_once(':').unwrap();
    let mut strace = Command::new("strace");
    // The program stays this one's own child.
    strace.args([
        "-D",
        "-f",
        "-o",
        "/dev/null",
        "-e",
        &format!("trace={call}"),
    ]);
    strace.args(["-e", &format!("inject={inject}")]);
    if call == "pread64" {
        strace.arg("-P").arg(data.join("site.db"));
    }
    strace.arg(command(data).get_program());
    strace.arg("--data").arg(data).args(words);
    strace.env_remove("STATE_DIRECTORY");
    Some(strace)
}

#[test]
fn a_site_that_begins_and_a_disk_that_is_slow_or_fails_are_told_apart() {
    alone(|| {
        let mut site = Site::start();
        site.stop();
        let data = site.data();
        let through = |inject: &str| {
            let doctor = between_it_and_the_kernel(data, inject, &["doctor", "--json"]);
            doctor.map(|mut doctor| Found::read(doctor.output().unwrap()))
        };
        let Some(found) = through("pread64:error=EIO") else {
            return;
        };
        found.must("database", "database-unseen", &["webstead check"]);
        // It has the folder, and no socket yet.
        let words = ["serve", "--https", "127.0.0.1:0", "--http", "127.0.0.1:0"];
        let server = between_it_and_the_kernel(data, "listen:delay_enter=5000000", &words);
        let mut server = server.unwrap();
        let mut server = server
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let found = found_within(Duration::from_secs(20), || {
            let found = look(data);
            if found.state("server") == "server-not-running" {
                return Err("it does not begin".into());
            }
            Ok(found)
        });
        let _ = server.kill();
        let _ = server.wait();
        found.must("server", "server-starting", &["in a moment"]);

        let large = "INSERT INTO large VALUES (zeroblob(10000));".repeat(80);
        let large = format!("BEGIN; CREATE TABLE large (bytes BLOB); {large} COMMIT");
        let database = rusqlite::Connection::open(data.join("site.db")).unwrap();
        database.execute_batch(&large).unwrap();
        drop(database);
        let found = through("pread64:delay_enter=40000").unwrap();
        found.must("database", "database-large", &["webstead check"]);
    });
}

#[test]
fn a_program_behind_that_is_away_is_named() {
    alone(|| {
        let settings =
            "[hosts.\"a.localhost\"]\nproxy = [\"http://127.0.0.1:1\"]\nhealth = \"/up\"\n";
        let site = Site::with_settings(settings);
        let found = found_within(Duration::from_secs(30), || {
            let found = look(site.data());
            if found.state("application") == "program-down" {
                return Ok(found);
            }
            Err(format!("{:?}", found.0))
        });
        let words = ["a.localhost", "127.0.0.1:1"];
        found.must("application", "program-down", &words);
    });
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
    alone(|| {
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
    });
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
    alone(|| {
        let authority = ApiServer::start(AngryAuthority);
        let settings = |name: &str| {
            let directory = format!("{}/dir", authority.base());
            let certificate = section(&directory, &authority.roots_file());
            format!("domain = \"{name}\"\n{certificate}")
        };
        let site = Site::with_settings(&settings("limited.test"));
        let roots = keep_certificate(site.data(), "kept.test");
        let until = |state: &str| {
            found_within(Duration::from_mins(1), || {
                let mut doctor = command(site.data());
                doctor
                    .env("SSL_CERT_FILE", &roots)
                    .env_remove("SSL_CERT_DIR");
                let found = Found::read(doctor.args(["doctor", "--json"]).output().unwrap());
                if found.state("certificate") == state {
                    return Ok(found);
                }
                Err(format!("{:?} {}", found.0["certificate"], site.log()))
            })
        };
        let found = until("certificate-rate-limit");
        let words = ["asked too often", "too many certificates (50)", "Wait"];
        found.must("certificate", "certificate-rate-limit", &words);
        is_until_the_end_of_the_limit(&found);

        // The same where there is a certificate, whose renewal is refused for now.
        fs::write(site.data().join("webstead.toml"), settings("kept.test")).unwrap();
        site.signal("HUP");
        until("certificate-well");
        let asked = command(site.data())
            .args(["certificate", "renew", "kept.test"])
            .output();
        assert_eq!(
            asked.unwrap().status.code(),
            Some(1),
            "it waits for the answer"
        );
        let found = until("certificate-renewal-waits");
        let words = [
            "holds for another",
            "is not renewed",
            "too many certificates (50)",
            "Wait",
        ];
        found.must("certificate", "certificate-renewal-waits", &words);
        is_until_the_end_of_the_limit(&found);
    });
}

/// The authority said `Retry-After: 5400` within the last two minutes.
fn is_until_the_end_of_the_limit(found: &Found) {
    let [_, _, says, _] = &found.0["certificate"];
    let (_, end) = says.split_once(" until ").expect("it says until when");
    let end = end.get(..16).unwrap().replace(' ', "T");
    let end: jiff::Timestamp = format!("{end}:00Z").parse().unwrap();
    let left = end.as_second() - jiff::Timestamp::now().as_second();
    assert!((5400 - 180..=5400).contains(&left), "{left} s: {says}");
}

/// Puts a certificate for a name where the site keeps those of authorities; says where its authority's is.
fn keep_certificate(data: &Path, name: &str) -> PathBuf {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    let now = OffsetDateTime::now_utc();
    params.not_before = now - Duration::from_hours(24);
    params.not_after = now + Duration::from_hours(89 * 24);
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let folder = data.join("tls/public");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join(format!("{name}.pem"));
    fs::write(&file, key.serialize_pem() + &certificate.pem()).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let roots = data.join("roots.pem");
    fs::write(&roots, issuer.pem()).unwrap();
    roots
}
