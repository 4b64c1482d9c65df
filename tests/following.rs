//! Names that follow a home behind a router, in BIND, with the real program and miniupnpd (see `router.rs`); and what a
//! name has at BIND: how changes of it are signed, and what is taken away elsewhere because of it.

use std::{fs, os::unix::fs::MetadataExt as _, thread, time::Duration};

use tempfile::TempDir;
use tokio::runtime::Builder;
use webstead::{
    base::secrets,
    net::dns::{Addresses, Failure, FailureKind, Settings, zone_of},
};

use crate::{
    bind::{Bind, SECRET},
    dns_api::{ApiServer, protocols::TOKEN, simple::DuckDns},
    router::{Home, Server, run},
    waiting::{wait_until, wait_within},
};

const FIRST: &str = "11.22.33.44";
const SECOND: &str = "11.22.33.45";

/// A name has this address before the time is over.
fn within(time: Duration, bind: &Bind, address: &str, log: impl Fn() -> String) {
    let is_so = || bind.dig("home.dyn.test", "A") == format!("{address}\n");
    wait_within(time, is_so, || format!("{address}: {}", log()));
}

#[test]
fn a_name_has_the_routers_address_within_a_minute_also_after_an_outage() {
    let Some(mut home) = Home::build("f", FIRST, "") else {
        return;
    };
    let Some(bind) = Bind::start_in(Some(&format!("{}i", home.name))) else {
        return;
    };
    let _site = follow(&home, &bind, "");
    within(Duration::from_mins(1), &bind, FIRST, || home.log());
    assert!(
        home.says(&["dns"])
            .contains("IPv4  11.22.33.44 (from router)")
    );

    // The router goes, and with it the way to the DNS server.
    let mut daemon = home.daemon.take().unwrap();
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    run(&format!("ip -n {}i link set lo down", home.name));
    home.says(&["dns", "update"]);
    let state = home.data().join("dns/state.json");
    let kept = || fs::read_to_string(&state).unwrap();
    assert!(kept().contains("\"unreachable\""), "{}", kept());
    let before = fs::metadata(&state).unwrap();
    // It is tried again and again meanwhile, and that is neither counted nor written.
    thread::sleep(Duration::from_secs(40));
    let after = fs::metadata(&state).unwrap();
    assert_eq!(
        (after.ino(), after.mtime_nsec()),
        (before.ino(), before.mtime_nsec()),
        "{}",
        kept()
    );
    assert!(
        !kept().contains("failures") && !kept().contains("next_try"),
        "{}",
        kept()
    );

    home.moves(FIRST, SECOND);
    run(&format!("ip -n {}i link set lo up", home.name));
    let home = home.with_daemon("");
    within(Duration::from_mins(1), &bind, SECOND, || home.log());
    wait_until("it is well again", || !kept().contains("failure"));
}

#[test]
fn a_router_that_speaks_pcp_alone_tells_its_address_with_a_port_that_it_opens() {
    let Some(home) = Home::build("p", FIRST, "enable_upnp=no") else {
        return;
    };
    // What is asked in version 0 is NAT-PMP (RFC 6886 section 3.2).
    run(&format!(
        "ip netns exec {}r nft 'add chain inet filter input {{ type filter hook input priority 0; }}; \
         add rule inet filter input udp dport 5351 @th,64,8 0 drop'",
        home.name
    ));
    let Some(bind) = Bind::start_in(Some(&format!("{}i", home.name))) else {
        return;
    };
    let _site = follow(&home, &bind, "[router]\nopen_ports = true\n");
    within(Duration::from_mins(1), &bind, FIRST, || home.log());
    let seen = home.says(&["router"]);
    assert!(!seen.contains("speaks NAT-PMP"), "{seen}");
}

/// A site in this home whose name follows the router.
fn follow(home: &Home, bind: &Bind, more: &str) -> Server {
    fs::create_dir_all(home.data().join("secrets")).unwrap();
    fs::write(home.data().join("secrets/dns"), SECRET).unwrap();
    let settings = format!(
        "domain = \"dyn.test\"\n{}follow = [\"home.dyn.test\"]\naddresses_from = [\"router\"]\n{more}",
        bind.settings("home")
    );
    fs::write(home.data().join("webstead.toml"), settings).unwrap();
    home.serve()
}

#[test]
fn bind_takes_changes_that_are_signed_in_each_way_and_no_others() {
    let Some(bind) = Bind::start() else { return };
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let set = |key: &str, algorithm: &str, address: &str| -> Result<(), Failure> {
        let data = TempDir::new().unwrap();
        secrets::write(data.path(), "dns", SECRET).unwrap();
        let keys = bind.settings(key).replace("[dns]\n", "");
        let settings: Settings =
            toml::from_str(&format!("{keys}algorithm = \"{algorithm}\"\n")).unwrap();
        let zone = zone_of(&settings, data.path()).unwrap().unwrap();
        let wanted = Addresses::of(&[address.parse().unwrap()]);
        runtime.block_on(zone.set_addresses("signed.dyn.test", wanted))
    };
    for (key, algorithm, address) in [
        ("home", "hmac-sha256", "8.8.4.1"),
        ("home-384", "hmac-sha384", "8.8.4.2"),
        ("home-512", "hmac-sha512", "8.8.4.3"),
    ] {
        set(key, algorithm, address).unwrap();
        let has = bind.dig("signed.dyn.test", "A");
        assert_eq!(has, format!("{address}\n"), "{algorithm}");
    }
    let failure = set("home-512", "hmac-sha384", "8.8.4.9").unwrap_err();
    assert_eq!(failure.kind, FailureKind::Refused, "{failure}");
    assert_eq!(bind.dig("signed.dyn.test", "A"), "8.8.4.3\n");
}

#[test]
fn one_address_is_taken_away_at_duckdns_and_the_other_one_comes_back() {
    let Some(bind) = Bind::start() else { return };
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let (v4, v6) = ("8.8.4.4", "2a00:1450::1");
    for (gone, left) in [(v6, (v4, "")), (v4, ("", v6)), ("8.8.8.8", (v4, v6))] {
        // What the domain has is asked for in the DNS.
        bind.update(&format!(
            "update delete home.dyn.test\nupdate add home.dyn.test 60 A {v4}\nupdate add home.dyn.test 60 AAAA {v6}"
        ));
        let server = ApiServer::start(DuckDns {
            ip: v4.into(),
            ipv6: v6.into(),
            ..DuckDns::default()
        });
        let data = TempDir::new().unwrap();
        secrets::write(data.path(), "dns", TOKEN).unwrap();
        let keys = format!(
            "provider = \"duckdns\"\nzone = \"dyn.test\"\ncheck_at = [\"127.0.0.1:{}\"]\n{}",
            bind.port,
            server.settings("")
        );
        let settings: Settings = toml::from_str(&keys).unwrap();
        let zone = zone_of(&settings, data.path()).unwrap().unwrap();
        let address = gone.parse().unwrap();
        runtime
            .block_on(zone.remove_address("home.dyn.test", address))
            .unwrap();
        let state = server.state();
        assert_eq!((&*state.ip, &*state.ipv6), left, "{gone}");
        drop(state);
        server.assert_all_was_right();
    }
}
