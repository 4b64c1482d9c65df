//! `webstead doctor`: every state of the way from a visitor to the site, made to happen with real servers in networks
//! of their own.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    machine::Machine,
    netns::{Connected, HOME, MACHINE, OLD_RESOLVER, RESOLVER, STRANGER},
};

#[test]
#[allow(clippy::too_many_lines)] // one network, one state after the other
fn every_state_of_a_name_is_told_apart() {
    let Some(mut machine) = Machine::new(Connected::Directly) else {
        return;
    };
    let zone = "good A 11.22.33.44\nelsewhere A 11.22.33.99\nboth A 11.22.33.44\nboth A 11.22.33.99\n\
                six AAAA 2a0b:1::20\nmixed A 11.22.33.44\nmixed AAAA 2a0b:9::1\nempty TXT \"x\"\n\
                ring CNAME rung\nrung CNAME ring\ndangling CNAME nothing\nprivate A 192.168.7.20\n\
                alias CNAME good\n";
    let other = "split A 11.22.33.99\nlost A 11.22.33.44\n";
    let first = format!("{zone}split A 11.22.33.44\n");
    if !machine.network.serve_dns(&first, &format!("{zone}{other}")) {
        return;
    }
    let table = [
        ("good.example.net", "name-well", &[HOME][..]),
        ("alias.example.net", "name-well", &[HOME]),
        ("nothing.example.net", "name-missing", &["does not exist"]),
        (
            "elsewhere.example.net",
            "name-elsewhere",
            &["11.22.33.99", HOME, "A record"],
        ),
        ("both.example.net", "name-elsewhere", &["11.22.33.99"]),
        (
            "mixed.example.net",
            "name-elsewhere",
            &["2a0b:9::1", "AAAA"],
        ),
        ("six.example.net", "name-only-ipv6", &["2a0b:1::20", HOME]),
        ("empty.example.net", "name-without-address", &[HOME]),
        (
            "ring.example.net",
            "name-loop",
            &["ring.example.net → rung.example.net"],
        ),
        (
            "dangling.example.net",
            "name-alias-missing",
            &["nothing.example.net"],
        ),
        ("private.example.net", "name-private", &["192.168.7.20"]),
        (
            "split.example.net",
            "name-servers-disagree",
            &["11.22.33.99", "11.22.33.44", "ns2"],
        ),
        (
            "lost.example.net",
            "name-servers-disagree",
            &["no such name"],
        ),
        ("broken.example", "name-local", &[]),
        ("www.broken.net", "name-broken", &["SERVFAIL", "DNSSEC"]),
        ("pi.local", "name-local", &[]),
    ];
    thread::scope(|scope| {
        for (name, state, words) in table {
            let machine = &machine;
            scope.spawn(move || machine.examine(name).must("name", state, words));
        }
    });
    machine
        .examine("six.example.net")
        .must("port", "port-closed-ipv6", &["2a0b:1::20", "refused"]);
    machine
        .examine("nothing.example.net")
        .must("port", "port-nowhere", &["does not lead here"]);
    let found = machine.examine("good.example.net");
    found.must("address", "address-well", &[HOME]);
    found.must("router", "router-none", &[]);
    found.must("port", "port-only-here", &["firewall"]);
    found.must("server", "server-well", &["443"]);
    found.must("application", "application-well", &[]);
    found.must("database", "database-well", &["sound"]);
    // Somebody comes, and that is enough.
    visit(&machine, "11.22.33.99");
    machine
        .examine("good.example.net")
        .must("port", "port-visited", &["ago"]);

    // Who was asked for it an hour ago says what was so then.
    machine.network.ask(OLD_RESOLVER);
    machine.examine("good.example.net").must(
        "name",
        "name-changing",
        &[HOME, OLD_RESOLVER, STRANGER],
    );
    machine.network.ask("");
    machine
        .examine("good.example.net")
        .must("name", "resolver-unset", &["resolv.conf"]);
    machine.network.ask("11.22.33.77");
    machine
        .examine("good.example.net")
        .must("name", "resolver-silent", &["11.22.33.77"]);

    // Somebody who answers, and not like a DNS server: noise, an echo of the question, an answer that is cut off.
    let noise = "import socket,itertools\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\n\
                 s.bind((\"11.22.33.99\",53))\n\
                 for n in itertools.count():\n d,a=s.recvfrom(999)\n \
                 s.sendto((b\"no DNS here\",d,d[:2]+b\"\\x81\\x80\"+d[4:6]+b\"\\0\\x09\"+d[8:])[n%3],a)";
    machine.network.start("net", &["python3", "-c", noise]);
    machine.network.ask("11.22.33.99");
    let deadline = Instant::now() + Duration::from_secs(20);
    let is_silent = || machine.examine("good.example.net").state("name") == "resolver-silent";
    while is_silent() && Instant::now() < deadline {}
    for _ in 0..3 {
        machine.examine("good.example.net").must(
            "name",
            "resolver-garbled",
            &["11.22.33.99", "no DNS server"],
        );
    }

    // The site is on another port, and then another program has the usual one.
    machine.network.ask(RESOLVER);
    machine.stop();
    machine.start(8443, 8080);
    machine
        .examine("good.example.net")
        .must("port", "port-other", &["8443", "webstead install"]);
    machine.network.serve_stranger("home");
    machine.examine("good.example.net").must(
        "port",
        "port-somebody-else",
        &["Another program on this machine", "box.lan", "ss -ltnp"],
    );

    // There is IPv6, and nothing else.
    let words = ["ip", "-4", "addr", "flush", "dev", "to-net"];
    assert!(machine.network.run("home", &words).status.success());
    let found = machine.examine("good.example.net");
    found.must("address", "address-only-ipv6", &["2a0b:1::20"]);
    found.must("router", "router-none-known", &[]);
}

/// What becomes of somebody of the internet who opens an address: the status, 000 if nobody answers.
fn status(machine: &Machine, from: &str, url: &str) -> String {
    let line = format!("curl -sk -m 10 --interface {from} -o /dev/null -w %{{http_code}} {url}");
    let words: Vec<&str> = line.split(' ').collect();
    String::from_utf8(machine.network.run("net", &words).stdout).unwrap()
}

/// Somebody of the internet opens the site.
fn visit(machine: &Machine, from: &str) {
    assert_eq!(status(machine, from, &format!("https://{HOME}/")), "200");
}

#[test]
#[allow(clippy::too_many_lines)] // one router, one setting after the other
fn what_a_router_does_with_visitors_is_told_apart() {
    let Some(mut machine) = Machine::new(Connected::BehindRouter) else {
        return;
    };
    if !machine
        .network
        .serve_dns("home A 11.22.33.44\n", "home A 11.22.33.44\n")
    {
        return;
    }
    let name = "home.example.net";
    let found = machine.examine(name);
    found.must("name", "name-untold", &[HOME]);
    found.must("address", "address-untold", &[MACHINE]);
    found.must("router", "router-untold", &["192.168.7.1", MACHINE]);
    found.must(
        "port",
        "port-closed",
        &["refused", "forward port 443 to 192.168.7.20", "telephone"],
    );

    // Dropped, and not refused.
    machine
        .network
        .forward(&format!("ip daddr {HOME} tcp dport 443 drop;"));
    machine
        .examine(name)
        .must("port", "port-closed", &["dropped"]);

    // Forwarded, and the router reaches itself.
    let to_home = format!("tcp dport 443 dnat to {MACHINE}:443;");
    machine
        .network
        .forward(&format!("ip daddr {HOME} {to_home}"));
    let found = machine.examine(name);
    for (place, state) in [
        ("name", "name-well"),
        ("address", "address-proved"),
        ("router", "router-well"),
    ] {
        found.must(place, state, &[]);
    }
    // Port 80 was forgotten: who types the name alone does not get in, and an authority that looks there does not.
    found.must(
        "port",
        "port-open-443-only",
        &["port 80 is closed", "refused", MACHINE],
    );
    machine
        .examine_with(name, "[certificate]\nchallenge = \"http-01\"\n")
        .must(
            "port",
            "port-80-closed",
            &["http-01", "will not be renewed", "forward port 80"],
        );
    let plain = format!("tcp dport 80 dnat to {MACHINE}:80;");
    machine.network.forward(&format!(
        "ip daddr {HOME} {to_home} ip daddr {HOME} {plain}"
    ));
    machine
        .examine_with(name, "[certificate]\nchallenge = \"http-01\"\n")
        .must("port", "port-open", &["so is port 80"]);

    // Forwarded to somebody else: another program with its own certificate.
    machine.network.serve_stranger("router");
    machine.network.forward("");
    let deadline = Instant::now() + Duration::from_secs(10);
    while machine.examine(name).state("port") == "port-closed" && Instant::now() < deadline {}
    machine
        .examine(name)
        .must("port", "port-somebody-else", &["box.lan", MACHINE]);

    // Forwarded, but the router does not reach itself: its own page answers inside, visitors outside get through.
    machine
        .network
        .forward(&format!("iifname \"to-net\" ip daddr {HOME} {to_home}"));
    machine
        .examine(name)
        .must("port", "port-somebody-else", &["box.lan"]);
    visit(&machine, "11.22.33.99");
    let found = machine.examine(name);
    found.must(
        "router",
        "router-hairpin",
        &["cannot reach its own address"],
    );
    found.must("port", "port-visited", &["ago"]);
    machine
        .examine_with(name, "[certificate]\nchallenge = \"http-01\"\n")
        .must(
            "port",
            "port-80-untold",
            &["http-01", "http://home.example.net on a telephone"],
        );
    let plainly = format!("http://{HOME}/");
    let visited = status(&machine, "11.22.33.99", &plainly);
    assert_eq!(visited, "000", "it is not forwarded");
    machine.network.forward(&format!(
        "iifname \"to-net\" ip daddr {HOME} {to_home} iifname \"to-net\" ip daddr {HOME} {plain}"
    ));
    assert_ne!(status(&machine, "11.22.33.99", &plainly), "000");
    machine
        .examine_with(name, "[certificate]\nchallenge = \"http-01\"\n")
        .must("port", "port-visited", &["so is port 80"]);
    assert!(
        found.0.values().all(|[health, ..]| health != "wrong")
            || found.state("certificate") == "certificate-not-asked"
    );
}

#[test]
fn an_address_that_the_provider_shares_and_a_machine_without_a_network_are_known() {
    let Some(mut machine) = Machine::new(Connected::Shared) else {
        return;
    };
    if !machine
        .network
        .serve_dns("home A 11.22.33.44\n", "home A 11.22.33.44\n")
    {
        return;
    }
    machine.examine("home.example.net").must(
        "address",
        "address-shared",
        &["100.64.3.20", "CGNAT", "tunnel"],
    );
    let down = machine
        .network
        .run("home", &["ip", "link", "set", "to-net", "down"]);
    assert!(down.status.success());
    let found = machine.examine("home.example.net");
    found.must("address", "address-none", &["not connected"]);
    found.must("name", "resolver-silent", &[]);
    found.must("server", "server-well", &[]);
}
