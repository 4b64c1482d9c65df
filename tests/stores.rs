//! Backups in a bucket, against moto: another's server that speaks S3, and that checks keys, signatures and rights.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use reqwest::blocking::{Client, RequestBuilder};
use rustls::crypto::ring;

use crate::{
    backup::{killed, page, site_with_posts, text},
    site::{OWNER, PASSWORD, Site, command},
    tools::{free_port, is_there, node_modules},
    waiting::wait_for_port,
};

const REGION: &str = "us-east-1";

/// A server with one bucket, `my-bucket`. Ended, by its process id, when dropped.
struct Store {
    child: Child,
    endpoint: String,
    client: Client,
    /// A key that may do everything, with its secret half.
    key: (String, String),
    /// One that may only read.
    reader: (String, String),
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Store {
    /// Starts one; `None` if it is not installed.
    fn start() -> Option<Self> {
        let program = std::env::var_os("WEBSTEAD_MOTO").map_or_else(
            || {
                node_modules()
                    .with_file_name("moto")
                    .join("bin/moto_server")
            },
            PathBuf::from,
        );
        if !is_there("moto (PyPI: moto[server])", program.is_file()) {
            return None;
        }
        // What the tests speak TLS with, before the first client.
        let _ = ring::default_provider().install_default();
        let port = free_port();
        let child = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let none = (String::new(), String::new());
        let mut store = Self {
            child,
            endpoint: format!("http://127.0.0.1:{port}"),
            client: Client::new(),
            key: none.clone(),
            reader: none,
        };
        wait_for_port(port, Duration::from_secs(90), || "moto".into());
        let bucket = store.client.put(format!("{}/my-bucket", store.endpoint));
        answered(bucket, "s3");
        store.key = store.user("ada", "s3:*");
        store.reader = store.user("reader", r#"s3:Get*","s3:List*"#);
        store.check_keys("0");
        Some(store)
    }

    /// After so many requests keys, signatures and rights are checked.
    fn check_keys(&self, after: &str) {
        let address = format!("{}/moto-api/reset-auth", self.endpoint);
        let answer = self.client.post(address).body(after.to_owned()).send();
        assert!(answer.unwrap().status().is_success());
    }

    /// A user with rights, and their key.
    fn user(&self, name: &str, rights: &str) -> (String, String) {
        let rights = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":["{rights}"],"Resource":"*"}}]}}"#
        );
        let ask = |action: &str, more: &[(&str, &str)]| {
            let form = [
                ("Action", action),
                ("Version", "2010-05-08"),
                ("UserName", name),
            ];
            let form: Vec<_> = form.iter().chain(more).collect();
            answered(self.client.post(&self.endpoint).form(&form), "iam")
        };
        ask("CreateUser", &[]);
        ask(
            "PutUserPolicy",
            &[("PolicyName", "all"), ("PolicyDocument", &rights)],
        );
        let made = ask("CreateAccessKey", &[]);
        let of = |name: &str| {
            let text = made.split(&format!("<{name}>")).nth(1).unwrap();
            text.split('<').next().unwrap().to_owned()
        };
        (of("AccessKeyId"), of("SecretAccessKey"))
    }

    /// `[backup]` for a place in it.
    fn settings(&self, to: &str, key: &str) -> String {
        format!(
            "[backup]\nto = \"{to}\"\nevery = \"6 hours\"\nkeep_hours = 0\n\n[backup.s3]\nendpoint = \"{}\"\nkey_id = \"{key}\"\n",
            self.endpoint
        )
    }
}

/// What moto answers to a request that sets it up.
fn answered(request: RequestBuilder, service: &str) -> String {
    // Keys are not checked yet; moto sees here which service is meant.
    let who = format!(
        "AWS4-HMAC-SHA256 Credential=x/20260101/{REGION}/{service}/aws4_request, SignedHeaders=host, Signature=x"
    );
    let answer = request.header("authorization", who).send().unwrap();
    let (status, text) = (answer.status(), answer.text().unwrap());
    assert!(status.is_success(), "{text}");
    text
}

/// Runs a command with lines on its standard input.
pub(crate) fn fed(data: &Path, arguments: &[&str], lines: &str) -> Output {
    let mut child = command(data)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Who asks for nothing, or refuses before it reads, may have ended before.
    let _ = child.stdin.take().unwrap().write_all(lines.as_bytes());
    child.wait_with_output().unwrap()
}

/// The same; says whether it succeeded, and what it said.
pub(crate) fn said(data: &Path, arguments: &[&str], lines: &str) -> (bool, String) {
    let output = fed(data, arguments, lines);
    (output.status.success(), text(&output))
}

pub(crate) fn done(data: &Path, arguments: &[&str], lines: &str) -> String {
    let (is_done, text) = said(data, arguments, lines);
    assert!(is_done, "{text}");
    text
}

pub(crate) fn refused(data: &Path, arguments: &[&str], lines: &str) -> String {
    let (is_done, text) = said(data, arguments, lines);
    assert!(!is_done, "{text}");
    text
}

/// Nobody goes on as long as another machine has its lock.
pub(crate) fn all_are_busy(data: &Path) {
    for arguments in [&["backup"][..], &["backup", "verify"], &["backup", "prune"]] {
        let told = refused(data, arguments, "");
        assert!(
            told.contains("busy") && told.contains("change-other"),
            "{told}"
        );
    }
}

fn set_up(site: &Site, store: &Store, to: &str) {
    let settings = store.settings(to, &store.key.0);
    fs::write(site.data().join("webstead.toml"), settings).unwrap();
    done(site.data(), &["secret", "set", "s3"], &store.key.1);
}

/// Makes a second backup, which has one post more, and has the first one tried.
pub(crate) fn back_up_again(site: &Site, client: &Client) {
    site.publish(client, &[("title", "Since then"), ("markdown", "x")]);
    let told = done(site.data(), &["backup"], "");
    assert!(
        told.contains("Backup 2") && told.contains("is sound"),
        "{told}"
    );
    let told = done(site.data(), &["backup", "list"], "");
    assert_eq!(told.matches("sound").count(), 2, "{told}");
    let told = done(site.data(), &["backup", "verify", "1"], "");
    assert!(told.contains("Backup 1 was restored for a try"), "{told}");
}

#[test]
fn a_new_machine_with_one_backup_from_a_bucket_is_the_same_site() {
    let Some(store) = Store::start() else { return };
    let (site, client, dir) = site_with_posts(4);
    set_up(&site, &store, "s3://my-bucket/sites/home");
    let told = done(site.data(), &["backup"], "");
    assert!(
        told.contains("Backup 1 is in s3://my-bucket/sites/home") && told.contains("is sound"),
        "{told}"
    );
    assert!(!told.contains("same disk"), "{told}");
    back_up_again(&site, &client);
    let told = done(site.data(), &["backup", "prune", "--dry-run"], "");
    assert!(
        told.contains("would go: 1") && told.contains("would stay: 2"),
        "{told}"
    );
    let told = done(site.data(), &["restore", "1", "--dry-run"], "");
    assert!(told.contains("Since then"), "{told}");
    let told = done(site.data(), &["backup", "prune"], "");
    assert!(told.contains("Removed: 1. Kept: 2."), "{told}");
    // A new machine has the program, and its owner has what the store gave them.
    let new = dir.path().join("new");
    let told = done(
        &new,
        &[
            "restore",
            "latest",
            "--from",
            "s3://my-bucket/sites/home",
            "--endpoint",
            &store.endpoint,
            "--key-id",
            &store.key.0,
        ],
        &format!("{}\n", store.key.1),
    );
    assert!(told.contains("5 posts"), "{told}");
    let restored = Site::start_on(&new);
    for n in 0..4 {
        let path = format!("/post-{n}");
        assert_eq!(page(&site, &path), page(&restored, &path));
    }
    assert_eq!(restored.text(&restored.client(), "/since-then").0, 200);
}

#[test]
fn an_encrypted_backup_in_a_bucket_is_opened_by_who_has_both_secrets() {
    let Some(store) = Store::start() else { return };
    let (site, _, dir) = site_with_posts(1);
    set_up(&site, &store, "s3://my-bucket");
    let word = "a long passphrase\n";
    let told = done(site.data(), &["backup", "--passphrase"], word);
    assert!(told.contains("is sound"), "{told}");
    let new = dir.path().join("new");
    let restore = [
        "restore",
        "latest",
        "--from",
        "s3://my-bucket",
        "--endpoint",
        &store.endpoint,
        "--key-id",
        &store.key.0,
    ];
    let told = refused(
        &new,
        &restore,
        &format!("{}\nanother passphrase\n", store.key.1),
    );
    assert!(told.contains("not the passphrase"), "{told}");
    let told = done(&new, &restore, &format!("{}\n{word}", store.key.1));
    assert!(told.contains("1 post or page"), "{told}");
}

#[test]
fn what_a_store_refuses_is_told_with_its_remedy_and_on_the_owners_page() {
    let Some(store) = Store::start() else { return };
    let (site, _) = Site::with_owner();
    set_up(&site, &store, "s3://my-bucket/x");
    done(site.data(), &["backup"], "");
    done(site.data(), &["secret", "set", "s3"], "wrong");
    let told = refused(site.data(), &["backup"], "");
    assert!(told.contains("webstead secret set s3"), "{told}");
    done(site.data(), &["secret", "set", "s3"], &store.key.1);
    let with = |more: &[&str], word: &str| {
        let told = refused(site.data(), &[&["backup", "list"], more].concat(), "");
        assert!(told.contains(word), "{told}");
    };
    with(
        &["--key-id", "AKIANOBODY"],
        "does not know the key AKIANOBODY",
    );
    with(
        &["--from", "s3://no-bucket-of-ours"],
        "no bucket no-bucket-of-ours",
    );
    with(
        &["--from", "s3://my-bucket/y"],
        "there are no backups in s3://my-bucket/y",
    );
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let begun = Instant::now();
    with(&["--endpoint", &nobody], "cannot be reached");
    assert!(
        begun.elapsed() > Duration::from_secs(10),
        "it is tried again"
    );
    with(&["--endpoint", "http://192.0.2.1"], "for everybody to read");
    // Who may only read restores, and makes no backup.
    done(site.data(), &["secret", "set", "s3"], &store.reader.1);
    let reader = ["--key-id", &*store.reader.0];
    done(
        site.data(),
        &[&["backup", "list"], &reader[..]].concat(),
        "",
    );
    let told = refused(site.data(), &[&["backup"], &reader[..]].concat(), "");
    assert!(told.contains("PutObject"), "{told}");
    let told = done(
        site.data(),
        &[&["restore", "latest", "--dry-run"], &reader[..]].concat(),
        "",
    );
    assert!(told.contains("would be restored"), "{told}");
    // The page says the same.
    let site = site.restart();
    let client = site.sign_in(OWNER, PASSWORD);
    let (_, html) = site.text(&client, "/admin/backups");
    assert!(
        html.contains("s3://my-bucket/x") && html.contains("webstead secret set s3"),
        "{html}"
    );
    done(site.data(), &["secret", "set", "s3"], &store.key.1);
    let (_, html) = site.text(&client, "/admin/backups");
    assert!(
        html.contains("Backup 1") && html.contains("proven"),
        "{html}"
    );
}

#[test]
fn a_backup_that_is_cut_off_leaves_the_bucket_as_it_was_and_nobody_interferes() {
    let Some(store) = Store::start() else { return };
    let (site, _, _dir) = site_with_posts(40);
    set_up(&site, &store, "s3://my-bucket/x");
    let first = done(site.data(), &["backup"], "");
    assert!(first.contains("is sound"), "{first}");
    for n in 0..4 {
        let mut noise = vec![0; 3_000_000];
        getrandom::fill(&mut noise).unwrap();
        fs::create_dir_all(site.data().join("public")).unwrap();
        fs::write(site.data().join(format!("public/{n}.bin")), noise).unwrap();
        killed(
            site.data(),
            &["backup"],
            Duration::from_millis(150 + 150 * n),
        );
        let told = done(site.data(), &["backup", "verify"], "");
        assert!(told.contains("is sound"), "{told}");
    }
    // The lock of a process that was killed holds nobody up; that of another machine does.
    let told = done(site.data(), &["backup", "--without-verify"], "");
    assert!(told.contains("is in s3://"), "{told}");
    store.check_keys("inf");
    let lock = format!("{}/my-bucket/x/locks/change-other", store.endpoint);
    answered(store.client.put(&lock).body("another machine 1"), "s3");
    all_are_busy(site.data());
    answered(store.client.delete(&lock), "s3");
    done(site.data(), &["backup"], "");
    let all = format!("{}/my-bucket?list-type=2&prefix=x/locks/", store.endpoint);
    let left = answered(store.client.get(all), "s3");
    assert!(!left.contains("<Key>"), "{left}");
}
