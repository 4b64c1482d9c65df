//! Networks of their own, in namespaces of the kernel: a home behind a router, and the internet with its DNS.
//!
//! The addresses of that internet are no documentation addresses, because those are not of the internet to the program;
//! nothing leaves the namespaces, which have no way out.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use tempfile::TempDir;

use crate::{
    bind::SECRET,
    miniupnpd,
    namespaces::Namespaces,
    tools::is_there,
    waiting::{wait_until, wait_within},
};

/// The home's address on the internet, where it has one.
pub(crate) const HOME: &str = "11.22.33.44";
/// The machine's address behind the router.
pub(crate) const MACHINE: &str = "192.168.7.20";
/// The DNS server that the machine is told to ask.
pub(crate) const RESOLVER: &str = "11.22.33.53";
/// Another one, which says what was so before: every name leads to [`STRANGER`].
pub(crate) const OLD_RESOLVER: &str = "11.22.33.52";
/// An address of somebody else.
pub(crate) const STRANGER: &str = "11.22.33.99";
/// The address of an authority for certificates.
pub(crate) const AUTHORITY: &str = "11.22.33.60";
/// The servers of the zone `example.net`.
const ZONE_SERVERS: [&str; 2] = ["11.22.33.54", "11.22.33.55"];

/// How the machine is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Connected {
    /// It has a public address itself.
    Directly,
    /// Behind a router with a public address, which lets nobody in until it is told to.
    BehindRouter,
    /// With an address that the provider shares among homes.
    Shared,
}

/// A machine, perhaps a router, and the internet; taken away when dropped.
pub(crate) struct Network {
    // Ended before the places are gone.
    children: Children,
    daemon: Children,
    pub(crate) namespaces: Namespaces,
    dir: TempDir,
}

/// Programs; ended when dropped.
#[derive(Default)]
struct Children(Vec<Child>);

impl Drop for Children {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Network {
    /// `None`, said aloud, where networks cannot be made: that needs root, `ip` and `nft`.
    pub(crate) fn new(connected: Connected) -> Option<Self> {
        let mut network = Self {
            children: Children::default(),
            daemon: Children::default(),
            namespaces: Namespaces::new(&["nft"])?,
            dir: TempDir::new().unwrap(),
        };
        network.namespaces.make("net");
        network.namespaces.make("home");
        match connected {
            Connected::Directly => {
                network.link("net", "11.22.33.1/24", "home", &format!("{HOME}/24"));
                network.route("home", "11.22.33.1");
                let own = "addr add 2a0b:1::20/64 dev to-net nodad";
                network.namespaces.ip("home", own);
            }
            Connected::Shared => {
                network.link("net", "100.64.3.1/24", "home", "100.64.3.20/24");
                network.route("home", "100.64.3.1");
            }
            Connected::BehindRouter => {
                network.namespaces.make("router");
                network.link("net", "11.22.33.1/24", "router", &format!("{HOME}/24"));
                network.link("router", "192.168.7.1/24", "home", &format!("{MACHINE}/24"));
                network.route("router", "11.22.33.1");
                network.route("home", "192.168.7.1");
                let forward = "echo 1 > /proc/sys/net/ipv4/ip_forward";
                assert!(
                    network
                        .run("router", &["sh", "-c", forward])
                        .status
                        .success()
                );
                network.forward("");
            }
        }
        let others = [RESOLVER, OLD_RESOLVER, AUTHORITY, STRANGER];
        for address in others.into_iter().chain(ZONE_SERVERS) {
            let add = format!("addr add {address}/32 dev lo");
            network.namespaces.ip("net", &add);
            if connected == Connected::Directly || connected == Connected::BehindRouter {
                // The home believes that they are on its own line.
                let proxy = "echo 1 > /proc/sys/net/ipv4/conf/all/proxy_arp";
                assert!(network.run("net", &["sh", "-c", proxy]).status.success());
            }
        }
        network.ask(RESOLVER);
        Some(network)
    }

    /// Lets the router do this with what comes: rules of nftables for the chain that changes destinations. What goes
    /// out has the router's own address.
    pub(crate) fn forward(&self, rules: &str) {
        let text = format!(
            "flush ruleset\ntable ip home {{\n\
             chain in {{ type nat hook prerouting priority -100; {rules} }}\n\
             chain out {{ type nat hook postrouting priority 100; ip saddr 192.168.7.0/24 masquerade; }}\n}}\n"
        );
        let file = self.dir.path().join("rules");
        fs::write(&file, text).unwrap();
        let set = self.run("router", &["nft", "-f", file.to_str().unwrap()]);
        assert!(set.status.success(), "{set:?}");
    }

    /// Which DNS server the machine asks; none, if this is empty.
    pub(crate) fn ask(&self, server: &str) {
        let text = match server {
            "" => "search lan\n".to_owned(),
            server => format!("nameserver {server}\n"),
        };
        self.namespaces.etc("home", "resolv.conf", &text);
    }

    /// The provider gives the router another address, the first of whose network is the provider's.
    pub(crate) fn moves_to(&self, address: &str) {
        let (network, _) = address.rsplit_once('.').unwrap();
        let _ = self.run(
            "net",
            &[
                "ip",
                "addr",
                "add",
                &format!("{network}.1/24"),
                "dev",
                "to-router",
            ],
        );
        self.namespaces.ip("router", "addr flush dev to-net");
        let add = format!("addr add {address}/24 dev to-net");
        self.namespaces.ip("router", &add);
        self.route("router", &format!("{network}.1"));
    }

    /// The router's daemon that speaks to machines at home, with these settings; with changes of its words, as in
    /// [`miniupnpd::FRONT`]. One that spoke before is ended, and what it passed on is forgotten.
    pub(crate) fn speak(&mut self, settings: &str, changes: &[&str]) -> bool {
        self.daemon = Children::default();
        if !is_there("miniupnpd", Path::new(miniupnpd::DAEMON).exists()) {
            return false;
        }
        let at = self.dir.path().to_path_buf();
        let sides = miniupnpd::Sides {
            outside: "to-net",
            inside: "to-home",
            network: "192.168.7.0/24",
        };
        let listens = miniupnpd::write(&at, &sides, settings);
        let file = |name: &str| at.join(name).to_str().unwrap().to_owned();
        let set = self.run("router", &["nft", "-f", &file("table")]);
        assert!(set.status.success(), "{set:?}");
        if !changes.is_empty() {
            let front =
                "add rule inet filter prerouting iifname to-home tcp dport 5000 redirect to :5001";
            let set = self.run("router", &["nft", front]);
            assert!(set.status.success(), "{set:?}");
            let words = [
                "python3",
                "-c",
                miniupnpd::FRONT,
                "5001",
                "192.168.7.1:5000",
            ];
            let front = self.command("router", &[&words[..], changes].concat());
            self.daemon.0.push({ front }.spawn().unwrap());
        }
        let log = at.join("router.log");
        let words = [
            miniupnpd::DAEMON,
            "-d",
            "-f",
            &file("conf"),
            "-P",
            &file("pid"),
        ];
        let mut daemon = self.command("router", &words);
        daemon.stderr(fs::File::create(&log).unwrap());
        self.daemon.0.push(daemon.spawn().unwrap());
        wait_until("the router listens", || {
            let is_front = changes.is_empty() || {
                let asked = [
                    "curl",
                    "-s",
                    "-m",
                    "1",
                    "http://192.168.7.1:5000/rootDesc.xml",
                ];
                self.run("home", &asked).status.success()
            };
            is_front && fs::read_to_string(&log).unwrap().contains(listens)
        });
        true
    }

    /// Starts BIND with the zone `example.net`: one server of it has the first text, the other one the second. The
    /// machine's resolver says what the first does, and who has the key of [`bind`](crate::bind) may change the first. The
    /// zones `broken.example` and `broken.net` cannot be loaded.
    pub(crate) fn serve_dns(&mut self, first: &str, second: &str) -> bool {
        if !is_there("bind9", Path::new("/usr/sbin/named").exists()) {
            return false;
        }
        let at = self.dir.path().to_path_buf();
        let shown = at.display();
        let begin = "$TTL 60\n@ SOA ns1 root 1 3600 600 86400 60\n@ NS ns1\n@ NS ns2\n\
                     ns1 A 11.22.33.54\nns2 A 11.22.33.55\n";
        for (file, text) in [("first", first), ("second", second)] {
            fs::write(at.join(file), format!("{begin}{text}")).unwrap();
        }
        fs::write(at.join("broken"), "nothing like a zone\n").unwrap();
        fs::write(at.join("old"), format!("{begin}* A {STRANGER}\n")).unwrap();
        let view = |name: &str, to: &str, more: &str| {
            format!(
                "view {name} {{ match-destinations {{ {to} }}; recursion no;\n\
                 zone \"example.net\" {{ type primary; file \"{name}\"; {more} }};\n\
                 zone \"broken.example\" {{ type primary; file \"broken\"; }};\n\
                 zone \"broken.net\" {{ type primary; file \"broken\"; }}; }};\n"
            )
        };
        let config = format!(
            "options {{ directory \"{shown}\"; listen-on {{ {RESOLVER}; {OLD_RESOLVER}; {}; {}; }}; listen-on-v6 {{ none; }};\n\
             pid-file none; session-keyfile \"{shown}/session.key\"; dnssec-validation no; }};\ncontrols {{}};\n\
             key \"home\" {{ algorithm hmac-sha256; secret \"{SECRET}\"; }};\n{}{}{}",
            ZONE_SERVERS[0],
            ZONE_SERVERS[1],
            view(
                "first",
                &format!("{RESOLVER}; {};", ZONE_SERVERS[0]),
                "allow-update { key \"home\"; };",
            ),
            view("second", &format!("{};", ZONE_SERVERS[1]), ""),
            view("old", &format!("{OLD_RESOLVER};"), ""),
        );
        let file = at.join("named.conf");
        fs::write(&file, config).unwrap();
        let log = at.join("named.log");
        let child = self
            .command(
                "net",
                &["/usr/sbin/named", "-g", "-c", file.to_str().unwrap()],
            )
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        self.children.0.push(child);
        let log = || fs::read_to_string(&log).unwrap();
        let is_ready = || log().contains("all zones loaded");
        wait_within(Duration::from_secs(20), is_ready, || {
            format!("BIND: {}", log())
        });
        true
    }

    /// A program in one of the namespaces.
    pub(crate) fn command(&self, place: &str, words: &[&str]) -> Command {
        let mut command = self.namespaces.command(place, words[0]);
        command.args(&words[1..]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// What a program says that ends by itself.
    pub(crate) fn run(&self, place: &str, words: &[&str]) -> Output {
        let mut command = self.command(place, words);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.output().unwrap()
    }

    /// A program that runs until the network is taken away; its number.
    pub(crate) fn start(&mut self, place: &str, words: &[&str]) -> u32 {
        let log = self
            .dir
            .path()
            .join(format!("{}.log", self.children.0.len()));
        let child = self
            .command(place, words)
            .stderr(fs::File::create(log).unwrap())
            .spawn()
            .unwrap();
        let number = child.id();
        self.children.0.push(child);
        number
    }

    /// Somebody who speaks HTTPS, with a certificate for `box.lan`.
    pub(crate) fn serve_stranger(&mut self, place: &str) {
        let at = |name: &str| self.dir.path().join(name).to_str().unwrap().to_owned();
        let (key, certificate) = (at("key.pem"), at("certificate.pem"));
        let line = format!(
            "openssl req -x509 -newkey rsa:2048 -nodes -keyout {key} -out {certificate} -days 9 -subj /CN=box \
             -addext subjectAltName=DNS:box.lan"
        );
        let made = self.run(place, &line.split(' ').collect::<Vec<_>>());
        assert!(made.status.success(), "{made:?}");
        let line = format!("openssl s_server -accept 443 -cert {certificate} -key {key} -www");
        self.start(place, &line.split(' ').collect::<Vec<_>>());
        wait_until("somebody answers", || {
            let asked = ["curl", "-sk", "-m", "2", "https://127.0.0.1/"];
            self.run(place, &asked).status.success()
        });
    }

    /// A folder of its own.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    fn link(&self, one: &str, address: &str, other: &str, other_address: &str) {
        let ends = [format!("to-{other}"), format!("to-{one}")];
        self.namespaces.link((one, &ends[0]), (other, &ends[1]));
        for (place, address, end) in [(one, address, &ends[0]), (other, other_address, &ends[1])] {
            let add = format!("addr add {address} dev {end}");
            self.namespaces.ip(place, &add);
        }
    }

    fn route(&self, place: &str, gateway: &str) {
        let add = format!("route add default via {gateway}");
        self.namespaces.ip(place, &add);
    }
}
