//! `webstead doctor`: the states of a certificate and of the clock, with an authority in the internet (Pebble), which asks
//! the DNS (BIND) and knocks at the machine.

use std::{iter, process::Command};

use crate::{
    acme2certifier::Acme2Certifier,
    bind::Bind,
    faketime::Clock,
    machine::{Found, Machine},
    namespaces::alone,
    netns::{AUTHORITY, Connected, HOME, STRANGER},
    pebble_outside::PebbleOutside,
    site::{Site, command},
    tools::is_there,
    waiting::wait_until,
};

/// A machine with names that lead to it and one that leads to somebody else, and the authority.
fn machine() -> Option<(Machine, PebbleOutside)> {
    let mut machine = Machine::without_site(Connected::Directly)?;
    let names = ["good", "blocked", "slow", "other", "later", "never", "host"]
        .map(|name| format!("{name} A {HOME}\n"));
    let zone = format!("ca A {AUTHORITY}\naway A {STRANGER}\n{}", names.concat());
    let has_dns = machine.network.serve_dns(&zone, &zone);
    let authority = has_dns.then(|| PebbleOutside::start(&machine.network))??;
    machine.start(443, 80);
    Some((machine, authority))
}

fn named(name: &str, more: &str) -> String {
    format!("domain = \"{name}.example.net\"\n{more}")
}

#[test]
#[allow(clippy::too_many_lines)] // one machine, from its first name to its last
fn every_state_of_a_certificate_is_told_apart_and_the_authority_is_quoted() {
    let Some((mut machine, mut authority)) = machine() else {
        return;
    };
    let settings = authority.settings();
    machine.set("domain = \"pi.local\"\n");
    machine
        .until("certificate", "certificate-own-network")
        .must("certificate", "certificate-own-network", &["pi.local"]);
    machine.set(&named("good", ""));
    machine.until("certificate", "certificate-not-asked").must(
        "certificate",
        "certificate-not-asked",
        &["agree_to_terms"],
    );

    let bound = "external_account = { id = \"kid\", key = \"not base64!\" }\n";
    machine.set(&named("good", &format!("{settings}{bound}")));
    machine.until("certificate", "certificate-setup").must(
        "certificate",
        "certificate-setup",
        &["not base64"],
    );
    // The authority will have nothing to do with this name.
    machine.set(&named("blocked", &settings));
    machine.until("certificate", "certificate-refused").must(
        "certificate",
        "certificate-refused",
        &["policy", "It says"],
    );
    // The name leads somewhere where nobody answers.
    machine.set(&named("away", &settings));
    machine.until("certificate", "certificate-not-proved").must(
        "certificate",
        "certificate-not-proved",
        &["refused", "before this station"],
    );
    // The authority takes its time.
    authority.signal("STOP");
    machine.set(&named("slow", &settings));
    machine.until("certificate", "certificate-coming").must(
        "certificate",
        "certificate-coming",
        &["two minutes"],
    );
    authority.signal("CONT");

    machine.set(&named("good", &settings));
    let root = authority.root(&machine.network);
    let trusting = format!("SSL_CERT_FILE={}", root.display());
    let trusting = ["env", "-u", "SSL_CERT_DIR", &trusting];
    machine
        .until_with(&trusting, "certificate", "certificate-well")
        .must("certificate", "certificate-well", &["Pebble", "8 days"]);
    // A machine, and so a browser, that knows other authorities only.
    let stranger = format!(
        "SSL_CERT_FILE={}/tls/authority-cert.pem",
        machine.data().display()
    );
    let found = machine.ask(&["env", "-u", "SSL_CERT_DIR", &stranger], &[]);
    found.must("certificate", "certificate-unknown-authority", &["staging"]);
    found.must("server", "server-well", &[]);
    clocks(&machine, &trusting);
    further_names(&machine, &settings, &trusting);
    machine.set(&named("good", &settings));

    // The next time it is refused, and that is said at once.
    authority.refuse(&machine.network, "good.example.net");
    let asked = machine.says(&["certificate", "renew", "good.example.net"]);
    assert_eq!(asked.status.code(), Some(1), "{asked:?}");
    machine
        .until_with(&trusting, "certificate", "certificate-not-renewed")
        .must(
            "certificate",
            "certificate-not-renewed",
            &["8 days", "not renewed", "policy"],
        );

    // The DNS knows no such name, so nobody was asked.
    machine.set(&named("nothing", &settings));
    machine.until("certificate", "certificate-no-way").must(
        "certificate",
        "certificate-no-way",
        &[
            "there is no name nothing.example.net",
            "before this station",
        ],
    );
    with_a_wrong_clock(&mut machine, &named("later", &settings));

    // The owner's files are for another name, and then none at all.
    let pem = machine.data().join("tls/public/good.example.net.pem");
    let own = machine.data().join("own.pem");
    std::fs::copy(pem, &own).unwrap();
    let files = "files = [{ certificate = \"own.pem\", key = \"own.pem\" }]\n";
    authority.stop();
    machine.set(&named("other", &format!("{settings}{files}")));
    machine
        .until("certificate", "certificate-authority-silent")
        .must(
            "certificate",
            "certificate-authority-silent",
            &["nobody listens there", "its port too"],
        );
    let only_own = format!("[certificate]\n{files}");
    // They fit, and then they do not: what was shown before is shown on.
    machine.set(&named("good", &only_own));
    machine
        .until_with(&trusting, "certificate", "certificate-well")
        .must("certificate", "certificate-well", &["your own files"]);
    let sound = std::fs::read(&own).unwrap();
    std::fs::write(&own, "nothing").unwrap();
    machine
        .until_with(&trusting, "certificate", "certificate-files")
        .must(
            "certificate",
            "certificate-files",
            &[
                "own.pem: there is no private key",
                "shown instead",
                "readable",
            ],
        );
    std::fs::write(&own, sound).unwrap();
    machine.set(&named("other", &only_own));
    machine.until("certificate", "certificate-other-name").must(
        "certificate",
        "certificate-other-name",
        &["good.example.net", "not for other"],
    );
    std::fs::write(own, "nothing").unwrap();
    machine.set(&named("other", &only_own));
    machine.until("certificate", "certificate-files").must(
        "certificate",
        "certificate-files",
        &["own.pem"],
    );

    machine.stop();
    machine.set(&named("never", &settings));
    machine
        .look()
        .must("certificate", "certificate-not-running", &["does not run"]);
}

#[test]
fn a_record_that_the_owner_is_to_make_is_named() {
    alone(|| {
        let Some(bind) = Bind::start() else { return };
        let Some(authority) = Acme2Certifier::start(bind.port) else {
            return;
        };
        let settings = format!(
            "domain = \"hand.dyn.test\"\n{}challenge = \"dns-persist-01\"\n[dns]\ncheck_at = [\"127.0.0.1:{}\"]\n",
            authority.settings(),
            bind.port
        );
        let site = Site::with_settings(&settings);
        let found = || {
            Found::read(
                command(site.data())
                    .args(["doctor", "--json"])
                    .output()
                    .unwrap(),
            )
        };
        wait_until("the record was looked for", || {
            found().state("certificate") == "certificate-no-record"
        });
        let words = ["_validation-persist.hand.dyn.test", "accounturi", "by hand"];
        found().must("certificate", "certificate-no-record", &words);
    });
}

/// Other names of the site, each in a sentence of its own; the stations stay those of the domain.
fn further_names(machine: &Machine, settings: &str, trusting: &[&str]) {
    let folder = machine.network.dir().join("host");
    std::fs::create_dir_all(&folder).unwrap();
    machine.set(&format!(
        "domain = \"good.example.net\"\nalso = [\"away.example.net\"]\n{settings}names = [\"nothing.example.net\"]\n\
         [hosts.\"host.example.net\"]\nfiles = \"{}\"\n",
        folder.display()
    ));
    wait_until("the host has its certificate", || {
        let found = machine.ask(trusting, &[]);
        found.further("host.example.net")[0] == "name-well"
    });
    let found = machine.ask(trusting, &[]);
    found.must("name", "name-well", &["good.example.net"]);
    found.must("certificate", "certificate-well", &["good.example.net"]);
    for (name, state, says, remedy) in [
        (
            "host.example.net",
            "name-well",
            "leads here, and its certificate holds",
            "",
        ),
        ("away.example.net", "name-elsewhere", "not here", "A record"),
        (
            "nothing.example.net",
            "name-missing",
            "does not exist",
            "spelling",
        ),
        // Nobody has named it, and it is not there.
        ("www.good.example.net", "", "", ""),
    ] {
        let [found, said, advised] = found.further(name);
        assert_eq!(found, state, "{name}: {said}");
        assert!(said.contains(says), "{name}: {said}");
        assert!(advised.contains(remedy), "{name}: {advised}");
    }
    let text = machine.says(&["doctor"]);
    let text = String::from_utf8_lossy(&text.stdout);
    let (stations, further) = text.split_once("Further names:").unwrap();
    assert!(!stations.contains("away.example.net") && further.contains("away.example.net"));
}

/// A site that sees that its clock is wrong orders nothing; then it runs with the right one.
fn with_a_wrong_clock(machine: &mut Machine, settings: &str) {
    machine.stop();
    if let Some(clock) = Clock::saying("-3h") {
        machine.set(settings);
        let variables = clock.environment().into_iter();
        let variables = variables.map(|(name, value)| format!("{name}={}", value.display()));
        let words: Vec<String> = iter::once("env".to_owned()).chain(variables).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        machine.begin_with(&words, 443, 80);
        machine.until("certificate", "certificate-clock").must(
            "certificate",
            "certificate-clock",
            &["3 hours", "timedatectl"],
        );
        machine.stop();
    }
    machine.start(443, 80);
}

/// A clock that is wrong, where an authority is there to compare it with.
fn clocks(machine: &Machine, trusting: &[&str]) {
    let found = Command::new("faketime").arg("--help").output().is_ok();
    if !is_there("faketime", found) {
        return;
    }
    let at = |time: &str| -> Found {
        let faketime = ["faketime", "-f", time];
        machine.ask(&[trusting, &faketime].concat(), &[])
    };
    for (time, server, words, certificate) in [
        (
            "-3d",
            "clock-wrong",
            "3 days behind, as ca.example.net says",
            "certificate-not-yet",
        ),
        ("+8d", "clock-wrong", "8 days ahead", "certificate-ends"),
        ("+11d", "clock-wrong", "11 days ahead", "certificate-ended"),
        (
            "@2024-01-01 00:00:00",
            "clock-unset",
            "never set",
            "certificate-not-yet",
        ),
    ] {
        let found = at(time);
        found.must("server", server, &[words, "timedatectl"]);
        found.must("certificate", certificate, &[]);
    }
}
