//! Names that follow the addresses of this machine, with the real program, a real DNS server, and providers.

use std::{
    fs,
    net::UdpSocket,
    os::unix::fs::MetadataExt as _,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use crate::{
    bind::{Bind, SECRET},
    certificates::{keep_secret, set},
    dns_api::{
        ApiServer, Reply,
        protocols::TOKEN,
        sets::Hetzner,
        simple::{DynDns2, Outside},
        single_records::{Cloudflare, OVH_SECRET},
    },
    pebble::{Options, Pebble},
    site::{Site, command},
    waiting::{until, wait_within},
};

/// `webstead dns ...` beside the running site.
fn dns(site: &Site, arguments: &[&str]) -> Output {
    command(site.data())
        .arg("dns")
        .args(arguments)
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn outside(address: &str) -> ApiServer<Outside> {
    ApiServer::start(Outside {
        says: address.into(),
    })
}

/// Another address is seen outside from now on, and the site is told to look.
fn move_to(site: &Site, outside: &ApiServer<Outside>, address: &str) -> Output {
    address.clone_into(&mut outside.state().says);
    dns(site, &["update"])
}

#[test]
fn names_in_a_zone_of_bind_follow_the_address_that_is_seen_outside() {
    let Some(bind) = Bind::start() else { return };
    let outside = outside("8.8.4.4");
    let mut site = Site::start();
    keep_secret(&site, SECRET);
    let settings = |outside: &str| {
        format!(
            "domain = \"dyn.test\"\nalso = [\"www.dyn.test\", \"dyn.example\"]\n{}follow = true\n\
             addresses_from = [\"{outside}\"]\n",
            bind.settings("home")
        )
    };
    let roots = outside.roots();
    let good = format!("{}{roots}", settings(outside.base()));
    set(&site, &good);
    until(&site, "both follow", || {
        ["dyn.test", "www.dyn.test"]
            .iter()
            .all(|name| bind.dig(name, "A") == "8.8.4.4\n")
    });
    assert_eq!(
        bind.dig("dyn.test", "NS"),
        "ns.dyn.test.\n",
        "nothing else is changed"
    );
    assert_eq!(bind.dig("other.dyn.test", "A"), "127.0.0.1\n");
    let shown = dns(&site, &[]);
    let text = said(&shown);
    assert!(shown.status.success(), "{text}");
    for word in [
        "IPv4  8.8.4.4 (from https://localhost",
        "dyn.test  8.8.4.4",
        "IPv6  none",
    ] {
        assert!(text.contains(word), "{word} is not in {text}");
    }
    assert!(
        !text.contains("dyn.example"),
        "it is in no zone of ours: {text}"
    );

    // The address changes, and is told by hand; by itself it takes less than a minute.
    let moved = move_to(&site, &outside, "8.8.8.8");
    assert!(moved.status.success(), "{}", said(&moved));
    assert_eq!(bind.dig("www.dyn.test", "A"), "8.8.8.8\n");

    // What stays the same is not written.
    let state = site.data().join("dns/state.json");
    let before = fs::metadata(&state).unwrap();
    assert_eq!(before.mode() & 0o777, 0o600);
    assert!(dns(&site, &["update"]).status.success());
    site = site.restart();
    assert!(dns(&site, &["update"]).status.success());
    let after = fs::metadata(&state).unwrap();
    assert_eq!(
        (after.ino(), after.mtime_nsec()),
        (before.ino(), before.mtime_nsec())
    );
    assert_eq!(
        outside
            .take_met()
            .iter()
            .filter(|line| *line != "GET /")
            .count(),
        0
    );

    // Addresses of a home, a provider's shared ones and garbage are not published.
    for bad in [
        "192.168.1.7",
        "100.64.3.3",
        "127.0.0.1",
        "8.8.8.8 or so",
        "",
    ] {
        let moved = move_to(&site, &outside, bad);
        assert!(
            said(&moved).contains("IPv4  none"),
            "{bad}: {}",
            said(&moved)
        );
        assert_eq!(bind.dig("www.dyn.test", "A"), "8.8.8.8\n", "{bad}");
    }
    // Nobody outside.
    outside.answer_next(Reply::text(500, ""));
    assert!(said(&dns(&site, &["update"])).contains("500"));
    outside.assert_all_was_right();
    assert!(!site.log().contains(SECRET));
}

#[test]
fn a_name_follows_within_a_minute_and_somebody_elses_change_is_put_right() {
    let Some(bind) = Bind::start() else { return };
    let outside = outside("8.8.4.4");
    let site = Site::start();
    keep_secret(&site, SECRET);
    set(
        &site,
        &format!(
            "domain = \"dyn.test\"\n{}follow = [\"home.dyn.test\"]\naddresses_from = [\"interfaces\", \"{}\"]\n{}",
            bind.settings("home"),
            outside.base(),
            outside.roots()
        ),
    );
    until(&site, "it follows", || {
        bind.dig("home.dyn.test", "A") == "8.8.4.4\n"
    });
    "8.8.8.8".clone_into(&mut outside.state().says);
    let began = Instant::now();
    until(&site, "it follows by itself", || {
        bind.dig("home.dyn.test", "A") == "8.8.8.8\n"
    });
    assert!(began.elapsed() < Duration::from_mins(1));
    bind.update("update delete home.dyn.test A\nupdate add home.dyn.test 60 A 9.9.9.9");
    assert!(dns(&site, &["update"]).status.success());
    assert_eq!(bind.dig("home.dyn.test", "A"), "8.8.8.8\n");
    assert_eq!(
        bind.dig("dyn.test", "A"),
        "127.0.0.1\n",
        "only the list follows"
    );
}

#[test]
fn a_provider_that_refuses_is_explained_left_alone_and_asked_again_when_something_changes() {
    let outside = outside("8.8.4.4");
    let provider = ApiServer::start(Cloudflare::default());
    let site = Site::start();
    assert!(said(&dns(&site, &[])).contains("No name follows"));
    let settings = format!(
        "domain = \"home.dyn.test\"\n[dns]\nprovider = \"cloudflare\"\nzone = \"dyn.test\"\nfollow = true\n\
         addresses_from = [\"{}\"]\napi = \"{}/client/v4\"\n",
        outside.base(),
        provider.base()
    );
    let roots = site.data().join("roots.pem");
    let both =
        [provider.roots_file(), outside.roots_file()].map(|file| fs::read_to_string(file).unwrap());
    fs::write(roots, both.concat()).unwrap();
    let settings = format!("{settings}api_roots = \"roots.pem\"\n");
    set(&site, &settings);
    until(&site, "no secret", || {
        site.log().contains("webstead secret set dns")
    });
    keep_secret(&site, "wrong");
    let refused = dns(&site, &["update"]);
    let text = said(&refused);
    assert_eq!(refused.status.code(), Some(1));
    for word in [
        "should have 8.8.4.4",
        "Invalid access token",
        "tried again 20",
    ] {
        assert!(text.contains(word), "{word} is not in {text}");
    }
    // It is left alone for minutes.
    provider.take_met();
    std::thread::sleep(Duration::from_secs(12));
    assert_eq!(provider.take_met(), Vec::<String>::new());
    keep_secret(&site, TOKEN);
    assert!(dns(&site, &["update"]).status.success());
    let values = |name: &str| provider.state().records.values(name, "A");
    assert_eq!(values("home"), ["8.8.4.4"]);
    let limit = Reply::text(429, "slow down").with("retry-after", "600");
    for _ in 0..2 {
        provider.answer_next(limit.clone());
    }
    let limited = said(&move_to(&site, &outside, "8.8.8.8"));
    assert!(limited.contains("asked too often: slow down"), "{limited}");
    assert!(!site.log().contains(TOKEN));
    provider.assert_all_was_right();
    assert!(
        fs::read_to_string(site.data().join("dns/state.json"))
            .unwrap()
            .contains("rate-limited")
    );
}

#[test]
fn dyndns2_is_not_asked_again_after_a_last_word_until_the_secret_changes() {
    let outside = outside("8.8.4.4");
    let provider = ApiServer::start(DynDns2::default());
    let mut site = Site::start();
    // A DNS server that answers nothing, and one that answers garbage.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let garbage = UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = garbage.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = garbage.recv_from(&mut buffer) {
            let id = [buffer[0], buffer[1]];
            for answer in [&buffer[..length / 2], b"\xff\xff\xff", b"", &id] {
                let _ = garbage.send_to(answer, from);
            }
        }
    });
    let both =
        [provider.roots_file(), outside.roots_file()].map(|file| fs::read_to_string(file).unwrap());
    fs::write(site.data().join("roots.pem"), both.concat()).unwrap();
    let settings = format!(
        "domain = \"home.dyn.test\"\n[dns]\nprovider = \"dyndns2\"\nuser = \"ada\"\nfollow = true\n\
         addresses_from = [\"{}\"]\napi = \"{}/nic/update\"\napi_roots = \"roots.pem\"\n\
         check_at = [\"{at}\", \"{}\"]\n",
        outside.base(),
        provider.base(),
        silent.local_addr().unwrap()
    );
    keep_secret(&site, "wrong");
    set(&site, &settings);
    until(&site, "the last word", || site.log().contains("badauth"));
    until(&site, "it is kept", || {
        said(&dns(&site, &[])).contains("not tried again")
    });
    provider.take_met();
    site = site.restart();
    "8.8.8.8".clone_into(&mut outside.state().says);
    std::thread::sleep(Duration::from_secs(15));
    assert_eq!(
        provider.take_met(),
        Vec::<String>::new(),
        "not even after a restart"
    );
    keep_secret(&site, TOKEN);
    until(&site, "it follows", || {
        provider.state().address == "8.8.8.8"
    });
    until(&site, "it is well", || dns(&site, &[]).status.success());
    // Who cannot be asked is believed: the same address again would be abuse.
    provider.take_met();
    dns(&site, &["update"]);
    assert_eq!(provider.take_met(), Vec::<String>::new());
    provider.assert_all_was_right();
}

#[test]
fn a_certificate_for_all_names_below_one_comes_through_the_interface_of_a_provider() {
    let site = Site::start();
    let Some((pebble, bind)) = Pebble::with_bind(&site, Options::default()) else {
        return;
    };
    // The provider's zone is what BIND shows to the world.
    let mut hetzner = Hetzner::default();
    let port = bind.port;
    hetzner.records.publish = Some(Box::new(move |name, kind, values| {
        let mut changes = vec![format!("update delete {name}.dyn.test {kind}")];
        let add = |value| format!("update add {name}.dyn.test 60 {kind} {value}");
        changes.extend(values.iter().map(add));
        crate::bind::update_at(port, &changes.join("\n"));
    }));
    let provider = ApiServer::start(hetzner);
    keep_secret(&site, TOKEN);
    set(
        &site,
        &format!(
            "domain = \"dyn.test\"\n[dns]\nprovider = \"hetzner\"\nzone = \"dyn.test\"\n{}\
             check_at = [\"127.0.0.1:{port}\"]\n{}names = [\"*.dyn.test\"]\nchallenge = \"dns-01\"\n",
            provider.settings("/v1"),
            pebble.settings()
        ),
    );
    for name in ["a.dyn.test", "dyn.test"] {
        crate::certificates::await_certificate(&site, &pebble, name);
    }
    provider.assert_all_was_right();
    assert_eq!(
        bind.dig("_acme-challenge.dyn.test", "TXT"),
        "",
        "the proofs are taken away"
    );
    assert!(!site.log().contains(TOKEN));
}

#[test]
fn a_provider_without_texts_is_not_tried_for_a_proof() {
    let provider = ApiServer::start(DynDns2::default());
    let site = Site::start();
    let Some(pebble) = Pebble::start(&site, Options::default()) else {
        return;
    };
    keep_secret(&site, TOKEN);
    set(
        &site,
        &format!(
            "domain = \"dyn.test\"\n[dns]\nprovider = \"dyndns2\"\nuser = \"ada\"\n{}{}names = [\"*.dyn.test\"]\n",
            provider.settings("/nic/update"),
            pebble.settings()
        ),
    );
    until(&site, "why", || {
        site.log().contains("no certificate for *.dyn.test")
    });
    assert!(site.log().contains("dyndns2 has none"), "{}", site.log());
    assert_eq!(provider.take_met(), Vec::<String>::new());
}

#[test]
fn a_secret_of_several_parts_is_kept_whole_or_not_at_all() {
    let site = Site::with_settings("[dns]\nprovider = \"ovh\"\nzone = \"dyn.test\"\n");
    let try_to_keep = |secret: &str| {
        let mut set = command(site.data())
            .args(["secret", "set", "dns"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut set.stdin.take().unwrap(), secret.as_bytes()).unwrap();
        set.wait_with_output().unwrap()
    };
    let wrong = try_to_keep("only-one\n");
    let text = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(!wrong.status.success());
    assert!(
        text.contains("application key, application secret, consumer key"),
        "{text}"
    );
    assert!(try_to_keep(&format!("{OVH_SECRET}\n")).status.success());
}

#[test]
fn addresses_of_interfaces_are_published_if_the_internet_leads_to_them_and_they_stay() {
    let Some(home) = Home::new() else { return };
    let Some(bind) = Bind::start_in(Some(&home.name)) else {
        return;
    };
    for (address, more) in [
        ("8.8.4.4/32", ""),
        ("192.168.7.7/24", ""),
        ("100.64.1.1/10", ""),
        ("2a00:1450::1/64", "preferred_lft 0"),
        ("2a00:1450::2/64", "valid_lft 7200 preferred_lft 3600"),
        ("fd00::7/64", ""),
    ] {
        home.run(&format!("ip address add {address} dev home {more}"));
    }
    let data = tempfile::tempdir().unwrap();
    let data = data.path().join("data");
    fs::create_dir_all(data.join("secrets")).unwrap();
    fs::write(data.join("secrets/dns"), SECRET).unwrap();
    let settings = format!(
        "domain = \"dyn.test\"\n{}follow = [\"home.dyn.test\"]\naddresses_from = [\"interfaces\"]\n",
        bind.settings("home")
    );
    fs::write(data.join("webstead.toml"), settings).unwrap();
    let mut server = Command::new("ip")
        .args([
            "netns",
            "exec",
            &home.name,
            env!("CARGO_BIN_EXE_webstead"),
            "--data",
        ])
        .arg(&data)
        .args(["--https", "127.0.0.1:0", "--http", "127.0.0.1:0"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let has = |a: &str, aaaa: &str| {
        let found = || {
            (
                bind.dig("home.dyn.test", "A"),
                bind.dig("home.dyn.test", "AAAA"),
            )
        };
        let are_these = || found() == (a.to_owned(), aaaa.to_owned());
        wait_within(Duration::from_secs(50), are_these, || {
            format!("{:?}", found())
        });
    };
    has("8.8.4.4\n", "2a00:1450::2\n");
    // The line comes back with other addresses.
    home.run("ip address del 8.8.4.4/32 dev home");
    home.run("ip address add 8.8.8.8/32 dev home");
    home.run("ip address del 2a00:1450::2/64 dev home");
    home.run("ip address add 2a00:1450:9::3/64 dev home");
    has("8.8.8.8\n", "2a00:1450:9::3\n");
    let _ = server.kill();
    let _ = server.wait();
}

/// A network of its own, with one interface; goes when dropped.
struct Home {
    name: String,
}

impl Home {
    /// `None`, said aloud, if this may not be made here.
    fn new() -> Option<Self> {
        let name = format!("webstead-dns-{}", std::process::id());
        let made = Command::new("ip").args(["netns", "add", &name]).output();
        let is_made = made.is_ok_and(|made| made.status.success());
        if !crate::tools::is_there("ip netns (iproute2, and the right to use it)", is_made) {
            return None;
        }
        let home = Self { name };
        home.run("ip link set lo up");
        home.run("ip link add home type veth peer name away");
        home.run("ip link set home up");
        home.run("ip link set away up");
        Some(home)
    }

    fn run(&self, line: &str) {
        let words = line.split_whitespace();
        let run = Command::new("ip")
            .args(["netns", "exec", &self.name])
            .args(words)
            .output()
            .unwrap();
        assert!(
            run.status.success(),
            "{line}: {}",
            String::from_utf8_lossy(&run.stderr)
        );
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = Command::new("ip")
            .args(["netns", "delete", &self.name])
            .output();
    }
}
