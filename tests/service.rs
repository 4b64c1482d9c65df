//! Under a service manager: sockets from outside, and signs of life.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    net::{TcpListener, TcpStream},
    os::{fd::OwnedFd, unix::fs::MetadataExt},
    process::{Command, Stdio},
    time::Duration,
};

use reqwest::blocking::Client;

use crate::{
    service_manager::ServiceManager,
    site::command,
    tools::is_there,
    waiting::{signal, wait_until},
};

#[test]
fn the_service_manager_hears_when_it_is_ready_alive_and_stopping() {
    let dir = tempfile::tempdir().unwrap();
    let manager = ServiceManager::at(dir.path().join("notify"));
    let watchdog = Some(Duration::from_millis(400));
    let mut server = manager.start(&dir.path().join("data"), watchdog);
    let ready = manager.hear();
    assert!(
        ready.contains("READY=1") && ready.contains("STATUS=serving https://"),
        "{ready}"
    );
    for _ in 0..3 {
        let alive = manager.hear();
        assert!(alive.contains("WATCHDOG=1"), "{alive}");
    }
    signal(server.id(), "TERM");
    manager.hear_until("STOPPING=1");
    assert!(server.wait().unwrap().success());
}

#[test]
fn sockets_that_the_service_manager_holds_are_taken_and_a_wrong_number_is_refused() {
    let tool = "systemd-socket-activate";
    let found = Command::new(tool).arg("--version").output().is_ok();
    if !is_there(tool, found) {
        return;
    }
    // reqwest comes without an implementation of cryptography; that of the program serves here too.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dir = tempfile::tempdir().unwrap();
    let free = || {
        TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
    };
    let (https, http) = (free(), free());
    let serve = |sockets: &[String]| {
        let mut manager = Command::new(tool);
        for socket in sockets {
            manager.args(["-l", socket]);
        }
        let program = command(&dir.path().join("data"));
        manager
            .arg(program.get_program())
            .args(program.get_args())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let knock = |socket| {
        wait_until("somebody listens", || TcpStream::connect(socket).is_ok());
    };
    let mut alone = serve(&[https.to_string()]);
    knock(https);
    let log = BufReader::new(alone.stderr.take().unwrap());
    let refusal = log
        .lines()
        .map_while(Result::ok)
        .find(|line| line.contains("two are needed"));
    assert!(refusal.is_some());
    assert!(!alone.wait().unwrap().success());

    let mut both = serve(&[https.to_string(), http.to_string()]);
    knock(https);
    let client = Client::builder()
        .tls_danger_accept_invalid_certs(true)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let page = client.get(format!("https://{https}/")).send().unwrap();
    assert_eq!(page.status(), 200);
    let sent_on = client.get(format!("http://{http}/x")).send().unwrap();
    assert_eq!(
        sent_on.headers()["location"].to_str().unwrap(),
        format!("https://{https}/x")
    );
    signal(both.id(), "TERM");
    assert!(both.wait().unwrap().success());
}

#[test]
fn the_journal_is_given_levels_and_everything_else_times() {
    for (is_journal, expected) in [
        (Some(true), "<6>listening on"),
        (Some(false), " INFO ] listening on"),
        (None, " INFO ] listening on"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let (log, theirs) = io::pipe().unwrap();
        let pipe = File::from(OwnedFd::from(theirs.try_clone().unwrap()))
            .metadata()
            .unwrap();
        let own = format!("{}:{}", pipe.dev(), pipe.ino());
        let variable = is_journal.map(|it_is| if it_is { own } else { "8:1234".into() });
        let mut program = command(&dir.path().join("data"));
        program.args(["--https", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
        program.env_remove("JOURNAL_STREAM");
        program.envs(variable.map(|value| ("JOURNAL_STREAM", value)));
        let mut server = program
            .stdout(Stdio::null())
            .stderr(theirs)
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut log = BufReader::new(log);
        log.read_line(&mut line).unwrap();
        signal(server.id(), "TERM");
        server.wait().unwrap();
        assert!(line.contains(expected), "{line}");
    }
}
