//! What the tests for HTTP caches say of a program behind: through Webstead it is as without.
//!
//! The suite is <https://cache-tests.fyi>. What it asks of a cache on the way holds for one that keeps nothing, if
//! it changes nothing: ages, validators, conditions, ranges and what else caches of visitors live on.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use crate::{
    hosts::APP,
    site::Site,
    tools::{is_there, node_modules},
};

/// The suite's own server; ends when dropped.
struct Origin {
    process: Child,
    url: String,
}

impl Origin {
    fn start(suite: &PathBuf) -> Self {
        let mut process = Command::new("node")
            .arg("server/server.mjs")
            .current_dir(suite)
            .envs([
                ("npm_config_protocol", "http"),
                ("npm_config_port", "0"),
                ("npm_config_pidfile", "/dev/null"),
            ])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = lines.next().unwrap().unwrap();
        let port: u16 = line
            .trim_end_matches('/')
            .rsplit(':')
            .next()
            .unwrap()
            .parse()
            .unwrap();
        Self {
            process,
            url: format!("http://127.0.0.1:{port}"),
        }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What became of each test of the suite: `true`, or what kind of thing went wrong.
fn outcomes(
    suite: &PathBuf,
    base: &str,
    authority: Option<PathBuf>,
    options: &str,
) -> BTreeMap<String, Value> {
    let output = Command::new("node")
        .args(["--no-warnings", "cli.mjs"])
        .current_dir(suite)
        .envs([
            ("npm_config_base", base),
            ("npm_config_id", ""),
            ("NODE_OPTIONS", options),
            ("npm_package_config_id", ""),
        ])
        .envs(authority.map(|file| ("NODE_EXTRA_CA_CERTS", file)))
        .output()
        .unwrap();
    let all: BTreeMap<String, Value> = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)));
    let kind = |outcome: Value| outcome.get(0).cloned().unwrap_or(outcome);
    all.into_iter()
        .map(|(test, outcome)| (test, kind(outcome)))
        .collect()
}

#[test]
fn caches_see_a_program_behind_as_they_see_it_without_us() {
    let folder = node_modules().join("http-cache-tests");
    let is_installed =
        folder.join("cli.mjs").is_file() && node_modules().join("node-fetch").is_dir();
    if !is_there(
        "the tests for HTTP caches (npm: http-cache-tests)",
        is_installed,
    ) {
        return;
    }
    let origin = Origin::start(&folder);
    let site = Site::with_settings(&format!("[hosts.\"{APP}\"]\nproxy = {:?}", origin.url));
    // Browsers know by themselves that names below `localhost` are here (RFC 6761 section 6.3); node asks the system.
    let names = site.data().join("names.cjs");
    std::fs::write(
        &names,
        "const dns = require('dns'), lookup = dns.lookup;\n\
         dns.lookup = (name, ...rest) => lookup(name.endsWith('.localhost') ? '127.0.0.1' : name, ...rest);\n",
    )
    .unwrap();
    let options = format!("--require={}", names.display());
    let authority = site.data().join("tls/authority-cert.pem");
    let through = site.base.replace("127.0.0.1", APP);
    // The suite waits for seconds to pass, and a machine that is busy elsewhere is late: what is a difference is one
    // each time.
    let mut different: Option<BTreeSet<String>> = None;
    for _ in 0..4 {
        let (direct, through) = std::thread::scope(|threads| {
            let direct = threads.spawn(|| outcomes(&folder, &origin.url, None, ""));
            let through = outcomes(&folder, &through, Some(authority.clone()), &options);
            (direct.join().unwrap(), through)
        });
        assert!(direct.len() > 300, "{} tests", direct.len());
        assert!(direct.keys().eq(through.keys()));
        let now = direct.into_iter().filter_map(|(test, outcome)| {
            // The origin closes the connection, or says a wrong length: that is an answer of ours then.
            let is_same = through[&test] == outcome || outcome == "FetchError";
            let is_answered = through[&test] != "FetchError";
            let said = format!(
                "{test}: {outcome} without us, {} through us",
                through[&test]
            );
            (!is_same || !is_answered).then_some(said)
        });
        let now: BTreeSet<String> = now.collect();
        let before = different.get_or_insert_with(|| now.clone());
        before.retain(|test| now.contains(test));
        if before.is_empty() {
            return;
        }
    }
    panic!("{different:#?}");
}
