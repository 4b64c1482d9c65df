//! Which way a name is proved first, where it is known that nobody outside gets in: behind a real router (miniupnpd),
//! with an authority in the internet (Pebble) and a zone that may be changed (BIND).

use std::fs;

use serde_json::Value;

use crate::{
    bind::SECRET,
    machine::{Machine, PROGRAM},
    netns::{AUTHORITY, Connected, HOME},
    pebble_outside::PebbleOutside,
};

/// The provider shares it among homes.
const SHARED: &str = "100.64.3.20";

/// What is kept of a name.
fn kept(machine: &Machine, name: &str) -> Value {
    let file = machine
        .data()
        .join(format!("tls/public/{name}.example.net.json"));
    let text = fs::read_to_string(file).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

#[test]
fn where_nobody_outside_gets_in_the_first_order_is_proved_through_the_dns_and_nothing_fails() {
    let Some(mut machine) = Machine::without_site(Connected::BehindRouter) else {
        return;
    };
    let names =
        ["asked", "followed", "refused", "unknown"].map(|name| format!("{name} A {HOME}\n"));
    let zone = format!("ca A {AUTHORITY}\n{}", names.concat());
    if !machine.network.serve_dns(&zone, &zone) {
        return;
    }
    let Some(authority) = PebbleOutside::start(&machine.network) else {
        return;
    };
    machine.start(443, 80);
    let keep = format!(
        "echo {SECRET} | {PROGRAM} --data {} secret set dns",
        machine.data().display()
    );
    let set = machine.network.run("home", &["sh", "-c", &keep]);
    assert!(set.status.success(), "{set:?}");
    machine.stop();
    let dns = "[dns]\nprovider = \"rfc2136\"\nserver = \"11.22.33.54\"\nzone = \"example.net\"\nkey = \"home\"\n\
               check_at = [\"11.22.33.54:53\"]\n";
    let says = |address: &str| format!("<NewExternalIPAddress>{address}</NewExternalIPAddress>");
    let shared = format!("{}=>{}", says(""), says(SHARED));
    let ask = "[router]\nopen_ports = true\n";
    let follow = "follow = true\naddresses_from = [\"router\"]\n";
    let denies = "deny 443 192.168.7.0/24 1-65535\ndeny 80 192.168.7.0/24 1-65535";
    for (name, address, daemon, change, more, failed) in [
        (
            "asked",
            SHARED,
            "enable_natpmp=no",
            Some(&shared),
            ask,
            &[][..],
        ),
        (
            "followed",
            SHARED,
            "enable_natpmp=no",
            Some(&shared),
            follow,
            &[],
        ),
        ("refused", HOME, denies, None, ask, &[]),
        // Nobody is asked.
        ("unknown", HOME, "", None, "", &["http-01", "tls-alpn-01"]),
    ] {
        machine.network.moves_to(address);
        let changes: Vec<&str> = change.iter().map(|change| change.as_str()).collect();
        if !machine.network.speak(daemon, &changes) {
            return;
        }
        let certificate = authority.settings();
        machine.set(&format!(
            "domain = \"{name}.example.net\"\n{certificate}{dns}{more}"
        ));
        machine.start(443, 80);
        machine.wait("a certificate", |machine| {
            kept(machine, name)["challenge"].is_string()
        });
        let seen = kept(&machine, name);
        assert_eq!(seen["challenge"], "dns-01", "{name}: {seen}");
        let tried = seen["tried"]["failed"].as_array().unwrap();
        let ways: Vec<&str> = tried
            .iter()
            .filter_map(|way| way["challenge"].as_str())
            .collect();
        assert_eq!(ways, failed, "{name}: {seen}");
        let refused = seen["tried"]["refused"].as_array().unwrap();
        assert_eq!(refused.len(), failed.len(), "{name}: {seen}");
        machine.stop();
    }
}
