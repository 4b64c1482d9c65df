//! Programs that make load from outside judge: none of very many answers is wrong, late or missing.

use std::process::Command;

use crate::{site::Site, tools::is_there};

fn is_installed(program: &str) -> bool {
    let asked = Command::new(program).arg("--version").output();
    is_there(program, asked.is_ok())
}

fn run(program: &str, arguments: &[&str], url: &str) -> String {
    let output = Command::new(program).args(arguments).arg(url).output();
    let output = output.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{program}: {text}");
    text
}

/// A site that is asked by one address only, and very much.
fn site() -> Site {
    let site = Site::with_settings("[pages]\nper_second = 0");
    let public = site.data().join("public");
    std::fs::create_dir(&public).unwrap();
    std::fs::write(public.join("file.txt"), vec![b'x'; 100_000]).unwrap();
    site
}

#[test]
fn wrk_gets_a_good_answer_to_every_request() {
    if !is_installed("wrk") {
        return;
    }
    let site = site();
    for path in ["/", "/archive?x=1", "/file.txt"] {
        let text = run(
            "wrk",
            &["-t1", "-c50", "-d2s", "--timeout", "10s"],
            &site.url(path),
        );
        let is_bad = text.contains("Non-2xx") || text.contains("Socket errors");
        assert!(!is_bad && text.contains("requests in"), "{path}: {text}");
    }
}

#[test]
fn h2load_gets_a_good_answer_to_every_request() {
    if !is_installed("h2load") {
        return;
    }
    let site = site();
    for (protocol, at_once) in [
        ("--npn-list=http/1.1", "-m1"),
        ("--npn-list=h2", "-m1"),
        ("--npn-list=h2", "-m100"),
    ] {
        for path in ["/", "/file.txt"] {
            let arguments = ["-n5000", "-c10", at_once, protocol];
            let text = run("h2load", &arguments, &site.url(path));
            let all = "5000 succeeded, 0 failed, 0 errored, 0 timeout";
            let is_well = text.contains(all) && text.contains("status codes: 5000 2xx");
            assert!(is_well, "{path} {arguments:?}: {text}");
        }
    }
}
