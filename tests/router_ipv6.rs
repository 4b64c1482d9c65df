//! Visitors over IPv6, where nothing is passed on and the router's firewall decides: a real router (miniupnpd, with the
//! kernel's own firewall) between this machine and a visitor, each in a network namespace of its own (see `router.rs`).

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::{
    machine::Found,
    miniupnpd,
    router::{Home, ROUTER, Server, run},
    site::PASSWORD,
    tools::is_there,
    waiting::{wait_until, wait_within},
};

/// This machine, and as the kernel writes it in a rule of the router's.
const OWN: &str = "2a0b:77::20";
const IN_A_RULE: &str = "0x2a0b0077000000000000000000000020";
/// The address that it has later.
const LATER: &str = "2a0b:77::21";
const LATER_IN_A_RULE: &str = "0x2a0b0077000000000000000000000021";

/// Both ways into a home.
fn home(name: &str, settings: &str) -> Option<Home> {
    let home = Home::connect(name, "11.22.33.44")?;
    let n = &home.name;
    run(&format!(
        "set -e; ip -n {n}r addr add 2a0b:77::1/64 dev in0 nodad; ip -n {n}r addr add fe80::1/64 dev in0 nodad
         ip -n {n}r addr add 2a0b:33::44/64 dev ext0 nodad; ip -n {n}o addr add 2a0b:33::1/64 dev ext1 nodad
         ip -n {n}i addr add {OWN}/64 dev in1 nodad
         ip netns exec {n}r sysctl -qw net.ipv6.conf.all.forwarding=1
         ip -n {n}i -6 route add default via fe80::1 dev in1
         ip -n {n}o -6 route add 2a0b:77::/64 via 2a0b:33::44"
    ));
    Some(home.with_daemon(settings))
}

/// The router does not hear PCP over IPv6, which miniupnpd cannot be told otherwise.
fn deaf(home: &Home) {
    run(&format!(
        "ip netns exec {}r nft 'add table ip6 deaf; add chain ip6 deaf in {{ type filter hook input priority 0; }}; \
         add rule ip6 deaf in udp dport 5351 drop'",
        home.name
    ));
}

fn serve(home: &Home) -> Server {
    home.serve_at("[::]:443", "[::]:80")
}

/// A home whose router hears UPnP only, and whose site may ask it.
fn over_upnp(name: &str, more: &str) -> Option<(Home, Dns, Server)> {
    let home = home(name, &format!("enable_natpmp=no\n{more}"))?;
    deaf(&home);
    let dns = Dns::start(&home, &format!("home AAAA {OWN}"))?;
    set(&home, true);
    let site = serve(&home);
    Some((home, dns, site))
}

/// What the router's kernel lets in.
fn lets_in(home: &Home) -> String {
    home.chain("miniupnpd")
}

fn lets_in_both(home: &Home, own: &str) -> bool {
    let rules = lets_in(home);
    let has = |port: &str| {
        rules
            .lines()
            .any(|rule| rule.contains(port) && rule.contains(own))
    };
    has("dport 443 ") && has("dport 80 ")
}

/// A DNS server on this machine, at which the site's name leads to an address.
struct Dns(Child, PathBuf);

impl Dns {
    fn start(home: &Home, records: &str) -> Option<Self> {
        if !is_there("bind9", Path::new("/usr/sbin/named").exists()) {
            return None;
        }
        let at = home.data().parent().unwrap().to_path_buf();
        let shown = at.display();
        let config = format!(
            "options {{ directory \"{shown}\"; listen-on {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no;\n\
             pid-file none; session-keyfile \"{shown}/session.key\"; dnssec-validation no; }};\ncontrols {{}};\n\
             zone \"example.net\" {{ type primary; file \"zone\"; }};\n"
        );
        fs::write(at.join("named.conf"), config).unwrap();
        let zone = format!(
            "$TTL 60\n@ SOA ns root 1 3600 600 86400 60\n@ NS ns\nns A 127.0.0.1\n{records}\n"
        );
        fs::write(at.join("zone"), zone).unwrap();
        let folder = Path::new("/etc/netns").join(format!("{}i", home.name));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("resolv.conf"), "nameserver 127.0.0.1\n").unwrap();
        let log = at.join("named.log");
        let child = Command::new("ip")
            .args([
                "netns",
                "exec",
                &format!("{}i", home.name),
                "/usr/sbin/named",
                "-g",
                "-c",
            ])
            .arg(at.join("named.conf"))
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let dns = Self(child, folder);
        wait_until("BIND runs", || {
            fs::read_to_string(&log)
                .unwrap()
                .contains("all zones loaded")
        });
        Some(dns)
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        let _ = fs::remove_dir_all(&self.1);
        let _ = fs::remove_dir("/etc/netns");
    }
}

/// Lets the daemon speak through a front that changes its words (see [`miniupnpd::FRONT`]), until that is dropped.
fn speak_through(home: &Home, change: &str) -> Server {
    let n = &home.name;
    run(&format!(
        "ip netns exec {n}r nft add rule inet filter prerouting iifname in0 tcp dport 5000 redirect to :5001"
    ));
    let front = Command::new("ip")
        .args([
            "netns",
            "exec",
            &format!("{n}r"),
            "python3",
            "-c",
            miniupnpd::FRONT,
        ])
        .args(["5001", &format!("{ROUTER}:5000"), change])
        .spawn()
        .unwrap();
    let front = Server(front);
    wait_until("the front answers", || {
        let line = format!("ip netns exec {n}i curl -sf -m 1 http://{ROUTER}:5000/rootDesc.xml");
        let asked = Command::new("sh").args(["-c", &line]).output();
        asked.unwrap().status.success()
    });
    front
}

fn examine(home: &Home) -> Found {
    Found::read(home.webstead(&["doctor", "--json"]).output().unwrap())
}

fn set(home: &Home, is_open: bool) {
    let text = format!("domain = \"home.example.net\"\n[router]\nopen_ports = {is_open}\n");
    fs::create_dir_all(home.data()).unwrap();
    fs::write(home.data().join("webstead.toml"), text).unwrap();
}

#[test]
fn visitors_come_in_over_ipv6_with_consent_only_and_no_more_when_it_is_taken_back() {
    // What it does not close at once, it closes soon.
    let Some(home) = home("v", "min_lifetime=2") else {
        return;
    };
    let Some(_dns) = Dns::start(&home, &format!("home AAAA {OWN}")) else {
        return;
    };
    set(&home, false);
    let site = serve(&home);
    let seen = home.says(&["router"]);
    for words in [
        "Over IPv6, the router is fe80::1, and visitors come to 2a0b:77::20",
        "firewall for IPv6 is on, and can be asked to let visitors in (PCP or UPnP)",
    ] {
        assert!(seen.contains(words), "{words} is missing: {seen}");
    }
    let address = format!("https://[{OWN}]/");
    assert_eq!(home.visit(&address), "000", "nobody has consented");
    assert!(!lets_in(&home).contains("dport"));
    examine(&home).must("router", "router-ipv6-not-asked", &[OWN, "ask the router"]);

    set(&home, true);
    site.signal("HUP");
    wait_until("both ports are let in", || lets_in_both(&home, IN_A_RULE));
    assert_eq!(home.visit(&address), "200", "{}", home.log());
    assert_eq!(
        home.visit(&format!("http://[{OWN}]/")).chars().next(),
        Some('3')
    );
    wait_until("it is written down", || {
        home.says(&["router"])
            .contains("port 80 of 2a0b:77::20, over IPv6 (PCP")
    });
    examine(&home).must("router", "router-ipv6-visited", &[]);

    // A restart leaves it so.
    drop(site);
    assert!(lets_in_both(&home, IN_A_RULE));
    let site = serve(&home);
    examine(&home).must("router", "router-lets-ipv6-in", &[OWN]);

    // The machine has another address now: that is noticed within a minute.
    let n = &home.name;
    run(&format!(
        "ip -n {n}i addr add {LATER}/64 dev in1 nodad && ip -n {n}i addr del {OWN}/64 dev in1"
    ));
    let is_let_in = || home.visit(&format!("https://[{LATER}]/")) == "200";
    wait_within(Duration::from_secs(90), is_let_in, || {
        format!("{} {}", lets_in(&home), home.log())
    });
    wait_until("it is written down", || {
        home.says(&["router"])
            .contains("port 80 of 2a0b:77::21, over IPv6")
    });

    set(&home, false);
    site.signal("HUP");
    wait_until("nobody comes in there any more", || {
        !lets_in(&home).contains("0021")
    });
    assert_eq!(home.visit(&format!("https://[{LATER}]/")), "000");
    wait_until("it is forgotten", || {
        let kept = fs::read_to_string(home.data().join("router.json")).unwrap_or_default();
        !kept.contains("2a0b")
    });
}

#[test]
fn of_several_addresses_the_one_that_the_name_has_is_let_in() {
    let Some(home) = home("u", "") else {
        return;
    };
    run(&format!(
        "ip -n {}i addr add {LATER}/64 dev in1 nodad",
        home.name
    ));
    let Some(_dns) = Dns::start(&home, &format!("home AAAA {OWN}")) else {
        return;
    };
    set(&home, true);
    // As the site knows it that has let its name follow.
    let known = format!("{{\"v6\":{{\"address\":\"{LATER}\",\"source\":\"interfaces\"}}}}");
    fs::create_dir(home.data().join("dns")).unwrap();
    fs::write(home.data().join("dns/state.json"), known).unwrap();
    let _site = serve(&home);
    wait_until("both ports are let in", || {
        lets_in_both(&home, LATER_IN_A_RULE)
    });
    assert!(!lets_in(&home).contains(IN_A_RULE), "{}", lets_in(&home));
    let state = "router-lets-ipv6-elsewhere";
    wait_until("the doctor says so", || {
        examine(&home).state("router") == state
    });
    examine(&home).must("router", state, &[OWN, LATER, "AAAA record"]);
    assert_eq!(home.visit(&format!("https://[{LATER}]/")), "200");
    let other = home.visit(&format!("https://[{OWN}]/"));
    assert_eq!(other, "000", "the router lets nobody in to another address");
}

#[test]
fn a_firewall_that_is_off_and_one_that_lets_nobody_ask_are_told_apart() {
    let Some(home) = home("y", "enable_natpmp=no") else {
        return;
    };
    deaf(&home);
    let Some(_dns) = Dns::start(&home, &format!("home AAAA {OWN}")) else {
        return;
    };
    set(&home, false);
    let _site = serve(&home);
    for (field, state, words) in [
        ("FirewallEnabled", "router-ipv6-open", "off"),
        (
            "InboundPinholeAllowed",
            "router-ipv6-asks-nobody",
            "allow port 443 of IPv6",
        ),
    ] {
        let change = format!("<{field}>1</{field}>=><{field}>0</{field}>");
        let _front = speak_through(&home, &change);
        examine(&home).must("router", state, &[words]);
    }
}

#[test]
fn a_router_that_refuses_over_ipv6_is_told_in_its_own_words_and_seen_in_the_browser() {
    // Over UPnP, miniupnpd opens no port below 1024, as the standard advises.
    let Some((home, _dns, _site)) = over_upnp("w", "") else {
        return;
    };
    wait_until("it is told", || {
        home.says(&["router"])
            .contains("does not let visitors in over IPv6 to port 443 of 2a0b:77::20")
    });
    let told = home.says(&["router"]);
    assert!(told.contains("UPnP: it refuses (606"), "{told}");
    assert!(
        home.passes_on().contains("192.168.77.20:443"),
        "IPv4 does not suffer"
    );
    examine(&home).must(
        "router",
        "router-refuses-ipv6",
        &["606", "allow port 443 of IPv6"],
    );
    home.set_up_at("https://192.168.77.20", PASSWORD);
    home.browse_at(
        "https://192.168.77.20",
        "/admin/name/router/look",
        Some(&[]),
    );
    let page = home.browse_at("https://192.168.77.20", "/admin/name/router", None);
    for words in [
        "Not done: the router does not let visitors in over IPv6 to port 443",
        "Its firewall for IPv6 is on, and can be asked to let visitors in (UPnP)",
    ] {
        assert!(page.contains(words), "{words} is missing: {page}");
    }
}

#[test]
fn a_router_that_knows_no_such_request_is_told_apart_from_one_that_refuses() {
    let Some((home, _dns, _site)) = over_upnp("t", "force_igd_desc_v1=yes") else {
        return;
    };
    wait_until("IPv4 is passed on", || {
        home.passes_on().contains("192.168.77.20:443")
    });
    let told = home.says(&["router"]);
    assert!(
        told.contains("knows no request to let visitors in"),
        "{told}"
    );
    assert!(!told.contains("Not done"), "nothing was refused: {told}");
    let words = ["no request", "allow port 443 of IPv6"];
    examine(&home).must("router", "router-ipv6-untold", &words);
}

#[test]
fn where_the_site_listens_elsewhere_no_door_is_opened_over_ipv6_and_why_is_said() {
    let Some(home) = home("x", "") else {
        return;
    };
    home.set(true);
    let _site = home.serve_at("[::]:8443", "[::]:8080");
    wait_until("IPv4 is passed on", || {
        home.passes_on().contains("192.168.77.20:8080")
    });
    let told = home.says(&["router"]);
    assert!(
        told.contains("visitors come to port 443, and the site listens on 8443"),
        "{told}"
    );
    assert!(!lets_in(&home).contains("2a0b"), "{}", lets_in(&home));
}
