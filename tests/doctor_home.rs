//! `webstead doctor` at a home behind a router that says something of itself (miniupnpd), or nothing: whose address it
//! is, and what is known of one that changes.

use crate::{
    dns_api::{ApiServer, simple::Outside},
    machine::Machine,
    netns::{Connected, HOME, MACHINE, STRANGER},
};

/// The address that the provider gives the home later.
const LATER: &str = "11.22.33.45";

/// A home with two names: one that leads to it, and one that leads to somebody else.
fn home() -> Option<Machine> {
    let mut machine = Machine::without_site(Connected::BehindRouter)?;
    let zone = format!("home A {HOME}\nold A {STRANGER}\n");
    machine.network.serve_dns(&zone, &zone).then_some(machine)
}

fn named(name: &str, more: &str) -> String {
    format!("domain = \"{name}.example.net\"\n{more}")
}

#[test]
fn a_home_whose_router_says_nothing_knows_its_address_from_dynamic_dns() {
    let Some(mut machine) = home() else { return };
    machine.start(443, 80);
    let found = machine.look_without_time_service();
    found.must("address", "address-private", &[MACHINE]);
    found.must("router", "router-not-needed", &[]);
    found.must("port", "port-no-name", &[]);
    found.must("certificate", "certificate-local", &["/trust"]);
    found.must("server", "clock-untold", &["UTC", "Compare", "set-ntp"]);
    machine.look().must("server", "server-well", &["443"]);

    // The name has an address at which somebody else lives by now, and may not be changed from here.
    machine.network.serve_stranger("net");
    let outside = machine
        .network
        .namespaces
        .inside("home", || ApiServer::start(Outside { says: HOME.into() }));
    let follow = format!(
        "[dns]\nprovider = \"rfc2136\"\nserver = \"11.22.33.54\"\nzone = \"example.net\"\nkey = \"home\"\n\
         follow = true\naddresses_from = [\"{}\"]\napi_roots = \"{}\"\n",
        outside.base(),
        outside.roots_file().display()
    );
    machine.set(&named("old", &follow));
    let found = machine.until("name", "name-elsewhere");
    found.must(
        "name",
        "name-elsewhere",
        &[STRANGER, HOME, "dynamic DNS found it", "ago", "A record"],
    );
    found.must("address", "address-untold", &[MACHINE, HOME]);
    found.must("port", "port-nowhere", &["does not lead here"]);

    // The name leads here, until the address is another one.
    machine.set(&named("home", &follow));
    machine.until("name", "name-well");
    LATER.clone_into(&mut outside.state().says);
    machine.says(&["dns", "update"]);
    machine
        .until("name", "name-behind")
        .must("name", "name-behind", &[HOME, LATER, "follow"]);

    machine.stop();
    let found = machine.look();
    found.must("name", "name-untold", &[LATER]);
    found.must("port", "port-not-running", &["does not run"]);
    found.must("server", "server-not-running", &[]);
}

#[test]
fn what_a_router_says_of_its_address_counts_and_a_change_is_remembered() {
    let Some(mut machine) = home() else { return };
    if !machine.network.speak("", &[]) {
        return;
    }
    machine.set(&named("old", ""));
    machine.start(443, 80);
    let found = machine.look();
    found.must("name", "name-elsewhere", &[STRANGER, HOME]);
    found.must("address", "address-well", &[HOME]);
    found.must("router", "router-unmapped", &["nobody"]);
    found.must("port", "port-nowhere", &[]);

    // It passes visitors on, and does not reach itself.
    machine.set(&named("home", "[router]\nopen_ports = true\n"));
    let found = machine.until("port", "port-untold");
    found.must("port", "port-untold", &["reach itself", "telephone"]);
    found.must("router", "router-mapped", &[MACHINE]);
    found.must("name", "name-well", &[HOME]);

    // The doctor has been there, and knows it after a restart.
    machine.stop();
    machine.network.moves_to(LATER);
    machine.start(443, 80);
    let found = machine.look();
    found.must("name", "name-behind", &[HOME, LATER, "dynamic DNS"]);
    found.must("address", "address-changes", &[LATER, "dynamic DNS"]);

    // The provider shares its address, or another router stands in front.
    for (address, state, words) in [
        ("100.64.3.20", "address-shared", ["CGNAT", "tunnel"]),
        (
            "192.168.178.2",
            "address-behind-another",
            ["another router", "bridge"],
        ),
    ] {
        machine.network.moves_to(address);
        let says =
            |address: &str| format!("<NewExternalIPAddress>{address}</NewExternalIPAddress>");
        let change = format!("{}=>{}", says(""), says(address));
        machine.network.speak("enable_natpmp=no", &[&change]);
        let found = machine.look();
        found.must("address", state, &words);
        found.must("address", state, &[address]);
    }
}
