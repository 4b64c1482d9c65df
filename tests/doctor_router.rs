//! `webstead doctor`: what a router says of itself, with a real one (see `router.rs`), and an address that changes.

use std::fs;

use crate::{machine::Found, router::Home, site::PASSWORD, waiting::wait_until};

/// Sets the site's name, and whether the router is asked.
fn set(home: &Home, is_open: bool) {
    let text = format!("domain = \"home.example.net\"\n[router]\nopen_ports = {is_open}\n");
    fs::create_dir_all(home.data()).unwrap();
    fs::write(home.data().join("webstead.toml"), text).unwrap();
}

fn examine(home: &Home) -> Found {
    Found::read(home.webstead(&["doctor", "--json"]).output().unwrap())
}

#[test]
fn a_port_that_leads_nowhere_here_or_to_another_machine_is_told_apart() {
    let Some(home) = Home::build("f", "11.22.33.44", "") else {
        return;
    };
    set(&home, false);
    let site = home.serve();
    let found = examine(&home);
    found.must(
        "router",
        "router-unmapped",
        &["nobody", "192.168.77.20 port 8443", "ask the router"],
    );
    found.must("address", "address-well", &["11.22.33.44"]);

    set(&home, true);
    site.signal("HUP");
    wait_until("both ports lead here", || {
        let rules = home.passes_on();
        rules.contains("192.168.77.20:8443") && rules.contains("192.168.77.20:8080")
    });
    examine(&home).must("router", "router-mapped", &["192.168.77.20:8443"]);
    let led = |host: &str| home.led_to("11.22.33.44", host);
    // Who comes to port 80 of the router is sent to its port 443, not to that of this machine.
    wait_until("it is known that port 443 leads here", || {
        led("home.example.net") == "https://home.example.net/a"
    });
    for (host, expected) in [
        ("www.home.example.net", "https://www.home.example.net/a"),
        ("home.example.net:8080", "https://home.example.net:8443/a"),
        ("192.168.77.20", "https://192.168.77.20:8443/a"),
    ] {
        assert_eq!(led(host), expected);
    }

    set(&home, false);
    site.signal("HUP");
    wait_until("both are closed", || !home.passes_on().contains("dnat"));
    home.neighbour_takes(443);
    examine(&home).must("router", "router-to-another", &["192.168.77.7:443"]);
}

#[test]
fn a_router_that_was_asked_and_refuses_is_told_in_its_own_words() {
    let refuses = "deny 443 192.168.77.0/24 1-65535";
    for settings in [refuses.to_owned(), format!("{refuses}\nenable_upnp=no")] {
        let Some(home) = Home::build("g", "11.22.33.44", &settings) else {
            return;
        };
        set(&home, true);
        let _site = home.serve();
        wait_until("it is told", || home.says(&["router"]).contains("Not done"));
        examine(&home).must("router", "router-refused", &["port 443", "by hand", "UPnP"]);
    }
}

#[test]
fn an_address_that_changes_is_noticed_and_what_to_do_is_said() {
    let Some(home) = Home::build("h", "11.22.33.44", "") else {
        return;
    };
    set(&home, false);
    let _site = home.serve();
    home.set_up(PASSWORD);
    home.browse("/admin/doctor", Some(&[]));
    let page = home.browse("/admin/doctor", None);
    assert!(
        page.contains("the public address 11.22.33.44") && !page.contains("it changes"),
        "{page}"
    );
    home.moves("11.22.33.44", "11.22.33.45");
    home.browse("/admin/doctor", Some(&[]));
    let page = home.browse("/admin/doctor", None);
    for words in [
        "the public address 11.22.33.45",
        "It was another one before: it changes",
        "dynamic DNS",
    ] {
        assert!(page.contains(words), "{words} is missing: {page}");
    }
}
