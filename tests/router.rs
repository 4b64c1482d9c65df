//! The router at home: a real one (miniupnpd, with the kernel's own NAT) in a network namespace of its own, this
//! machine's side in a second one, and a visitor in a third.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use crate::{
    miniupnpd::{self, DAEMON, Sides},
    tools::is_there,
    waiting::{signal, wait_until},
};

pub(crate) const ROUTER: &str = "192.168.77.1";
const OWN: &str = "192.168.77.20";
const NEIGHBOUR: &str = "192.168.77.7";
/// The site, for a browser of this machine.
const SITE: &str = "https://192.168.77.20:8443";

const SIDES: Sides = Sides {
    outside: "ext0",
    inside: "in0",
    network: "192.168.77.0/24",
};

/// Three namespaces with a router in the middle; removed when dropped.
pub(crate) struct Home {
    dir: TempDir,
    pub(crate) name: String,
    pub(crate) daemon: Option<Child>,
}

pub(crate) fn run(line: &str) {
    let output = Command::new("sh").args(["-c", line]).output().unwrap();
    assert!(
        output.status.success(),
        "{line}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

impl Home {
    /// `None`, said aloud, where it cannot be: that needs root and the tools.
    pub(crate) fn build(name: &str, external: &str, settings: &str) -> Option<Self> {
        Some(Self::connect(name, external)?.with_daemon(settings))
    }

    /// The same, with a router that does not listen yet.
    pub(crate) fn connect(name: &str, external: &str) -> Option<Self> {
        let found = [DAEMON, "/usr/sbin/nft", "/usr/bin/curl"];
        let found = found.iter().all(|program| Path::new(program).exists());
        if !is_there(
            "miniupnpd with nftables (and root)",
            found && rustix::process::geteuid().is_root(),
        ) {
            return None;
        }
        let home = Self {
            dir: TempDir::new().unwrap(),
            name: format!("wr{name}{}", std::process::id()),
            daemon: None,
        };
        let n = &home.name;
        run(&format!(
            "set -e; for i in i r o; do ip netns add {n}$i; ip -n {n}$i link set lo up; done
             ip link add in0 netns {n}r type veth peer name in1 netns {n}i
             ip link add ext0 netns {n}r type veth peer name ext1 netns {n}o
             ip -n {n}r addr add {ROUTER}/24 dev in0; ip -n {n}r addr add {external}/24 dev ext0
             ip -n {n}i addr add {OWN}/24 dev in1; ip -n {n}i addr add {NEIGHBOUR}/24 dev in1
             ip -n {n}o addr add 11.22.33.1/24 dev ext1
             ip -n {n}r link set in0 up; ip -n {n}r link set ext0 up
             ip -n {n}i link set in1 up; ip -n {n}o link set ext1 up
             ip -n {n}i route add default via {ROUTER}
             ip netns exec {n}r sysctl -qw net.ipv4.ip_forward=1"
        ));
        Some(home)
    }

    /// Starts the router's daemon on an empty table.
    pub(crate) fn with_daemon(mut self, settings: &str) -> Self {
        let (n, at) = (&self.name, self.dir.path());
        let listens = miniupnpd::write(at, &SIDES, settings);
        let path = at.display();
        run(&format!("ip netns exec {n}r nft -f {path}/table"));
        let log = fs::File::create(at.join("router.log")).unwrap();
        let daemon = Command::new("ip")
            .args(["netns", "exec", &format!("{n}r"), DAEMON, "-d", "-f"])
            .arg(at.join("conf"))
            .arg("-P")
            .arg(at.join("pid"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.daemon = Some(daemon);
        let log = || fs::read_to_string(self.dir.path().join("router.log")).unwrap();
        wait_until("the router listens", || log().contains(listens));
        self
    }

    pub(crate) fn data(&self) -> std::path::PathBuf {
        self.dir.path().join("data")
    }

    /// The program on this machine's side of the router.
    pub(crate) fn webstead(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command
            .args([
                "netns",
                "exec",
                &format!("{}i", self.name),
                env!("CARGO_BIN_EXE_webstead"),
                "--data",
            ])
            .arg(self.data())
            .args(arguments)
            .env_remove("STATE_DIRECTORY");
        command
    }

    pub(crate) fn says(&self, arguments: &[&str]) -> String {
        let output = self.webstead(arguments).output().unwrap();
        let both = [output.stdout, output.stderr].concat();
        String::from_utf8(both).unwrap()
    }

    pub(crate) fn set(&self, is_open: bool) {
        fs::create_dir_all(self.data()).unwrap();
        fs::write(
            self.data().join("webstead.toml"),
            format!("[router]\nopen_ports = {is_open}\n"),
        )
        .unwrap();
    }

    pub(crate) fn serve(&self) -> Server {
        self.serve_at("0.0.0.0:8443", "0.0.0.0:8080")
    }

    pub(crate) fn serve_at(&self, https: &str, http: &str) -> Server {
        let log = fs::File::options()
            .append(true)
            .create(true)
            .open(self.dir.path().join("log"));
        let mut command = self.webstead(&["serve", "--https", https, "--http", http]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.unwrap());
        let server = Server(command.spawn().unwrap());
        let answers = self.says(&["status", "--wait"]);
        assert!(answers.contains("It answers"), "{answers}: {}", self.log());
        server
    }

    /// The neighbour asks for a port itself, with NAT-PMP.
    pub(crate) fn neighbour_takes(&self, port: u16) {
        run(&format!(
            "ip netns exec {}i python3 -c 'import socket,struct\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\n\
             s.bind((\"{NEIGHBOUR}\",0)); s.settimeout(5)\n\
             s.sendto(struct.pack(\"!BBHHHI\",0,2,0,{port},{port},3600),(\"{ROUTER}\",5351)); s.recv(99)'",
            self.name
        ));
    }

    /// The provider gives the router another address.
    pub(crate) fn moves(&self, from: &str, to: &str) {
        let n = &self.name;
        run(&format!(
            "ip -n {n}r addr add {to}/24 dev ext0 && ip -n {n}r addr del {from}/24 dev ext0; \
             ip -n {n}r addr replace {to}/24 dev ext0"
        ));
    }

    /// Makes the owner's account, who is signed in at the browser then.
    pub(crate) fn set_up(&self, password: &str) {
        self.set_up_at(SITE, password);
    }

    pub(crate) fn set_up_at(&self, site: &str, password: &str) {
        let told = self.says(&["status"]);
        let token = told
            .split("/setup?token=")
            .nth(1)
            .expect("a link to set up");
        let form = [
            ("token", token.split_whitespace().next().unwrap()),
            ("site_title", "Test"),
            ("display_name", "Ada"),
            ("name", "ada"),
            ("password", password),
        ];
        let made = self.browse_at(site, "/setup", Some(&form));
        assert!(made.contains("303"), "{made}");
    }

    /// The owner at a browser of this machine: a page, or a form that is sent.
    pub(crate) fn browse(&self, path: &str, form: Option<&[(&str, &str)]>) -> String {
        self.browse_at(SITE, path, form)
    }

    pub(crate) fn browse_at(
        &self,
        site: &str,
        path: &str,
        form: Option<&[(&str, &str)]>,
    ) -> String {
        let url = format!("{site}{path}");
        let jar = self.dir.path().join("jar");
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &format!("{}i", self.name), "curl", "-sSki"]);
        command.args(["-m", "60", "-H", "Sec-Fetch-Site: same-origin"]);
        command.arg("-b").arg(&jar).arg("-c").arg(&jar);
        if let Some(form) = form {
            command.args(["-X", "POST", "--data", ""]);
            for (field, value) in form {
                command.args(["--data-urlencode", &format!("{field}={value}")]);
            }
        }
        let output = command.arg(&url).output().unwrap();
        assert!(output.status.success(), "{path}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// What the kernel of the router passes on.
    pub(crate) fn passes_on(&self) -> String {
        self.chain("prerouting_miniupnpd")
    }

    /// The rules of the router's kernel in a chain.
    pub(crate) fn chain(&self, chain: &str) -> String {
        let output = Command::new("ip")
            .args([
                "netns",
                "exec",
                &format!("{}r", self.name),
                "nft",
                "list",
                "chain",
                "inet",
                "filter",
            ])
            .arg(chain)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// The status that a visitor from outside gets.
    pub(crate) fn visit(&self, url: &str) -> String {
        self.ask_from_outside(&["-w", "%{http_code}", url])
    }

    /// Where a visitor from outside is led to who asks there for a host over plain HTTP.
    pub(crate) fn led_to(&self, address: &str, host: &str) -> String {
        let host = format!("Host: {host}");
        let url = format!("http://{address}/a");
        self.ask_from_outside(&["-w", "%{redirect_url}", "-H", &host, &url])
    }

    fn ask_from_outside(&self, what: &[&str]) -> String {
        let outside = format!("{}o", self.name);
        let output = Command::new("ip")
            .args(["netns", "exec", &outside, "curl", "-sk", "-m", "5"])
            .args(["-o", "/dev/null"])
            .args(what)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// The router is switched off, as far as machines can ask it.
    pub(crate) fn falls_silent(&mut self) {
        let mut daemon = self.daemon.take().unwrap();
        daemon.kill().unwrap();
        daemon.wait().unwrap();
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        for end in ["i", "r", "o"] {
            let name = format!("{}{end}", self.name);
            let _ = Command::new("ip").args(["netns", "del", &name]).status();
        }
    }
}

/// A running site; asked to stop when dropped.
pub(crate) struct Server(pub(crate) Child);

impl Server {
    pub(crate) fn signal(&self, name: &str) {
        signal(self.0.id(), name);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal("TERM");
        let _ = self.0.wait();
    }
}

#[test]
fn ports_are_opened_with_consent_only_stay_over_a_restart_and_are_closed_when_it_goes() {
    let Some(home) = Home::build("a", "11.22.33.44", "") else {
        return;
    };
    home.set(false);
    let seen = {
        let _site = home.serve();
        home.says(&["router"])
    };
    for words in [
        "The router is 192.168.77.1, and this machine is 192.168.77.20",
        "speaks UPnP.",
        "speaks PCP.",
        "speaks NAT-PMP.",
        "knows it as 11.22.33.44",
        "port 443 is closed",
        "open_ports = true",
    ] {
        assert!(seen.contains(words), "{words} is missing: {seen}");
    }
    assert!(!home.passes_on().contains("dnat"), "nobody has consented");

    home.set(true);
    let site = home.serve();
    wait_until("both ports lead here", || {
        let rules = home.passes_on();
        rules.contains("192.168.77.20:8443") && rules.contains("192.168.77.20:8080")
    });
    assert_eq!(home.visit("https://11.22.33.44/"), "200", "{}", home.log());
    assert_eq!(home.visit("http://11.22.33.44/").chars().next(), Some('3'));
    wait_until("it is written down", || {
        home.says(&["router"])
            .contains("port 80 to port 8080 (UPnP")
    });
    let seen = home.says(&["router"]);
    assert!(
        seen.contains("port 443 leads to this machine, port 8443, for 60 min"),
        "{seen}"
    );
    let refused = home.says(&["router", "close"]);
    assert!(refused.contains("would open them again"), "{refused}");

    // A restart leaves them; a reload without consent closes them.
    drop(site);
    assert!(home.passes_on().contains("192.168.77.20:8443"));
    let site = home.serve();
    home.set(false);
    site.signal("HUP");
    wait_until("both are closed", || !home.passes_on().contains("dnat"));
    wait_until("it is forgotten", || {
        !home.data().join("router.json").exists()
    });
    drop(site);

    // Without a server, the command closes.
    home.set(true);
    let site = home.serve();
    wait_until("they are open again", || {
        home.log().matches("passes its port 80").count() == 2
    });
    drop(site);
    let closed = home.says(&["router", "close"]);
    assert!(closed.contains("does not pass visitors on"), "{closed}");
    assert!(!home.passes_on().contains("dnat"));
    assert!(home.says(&["router", "close"]).contains("was not asked"));
}

#[test]
fn a_router_without_upnp_is_asked_with_pcp_and_with_nat_pmp_if_that_worked_before() {
    let Some(home) = Home::build("b", "11.22.33.44", "enable_upnp=no") else {
        return;
    };
    for protocol in ["Pcp", "NatPmp"] {
        home.set(true);
        if protocol == "NatPmp" {
            let before = format!(
                "{{\"external\":443,\"internal\":1,\"own\":\"{OWN}\",\"router\":\"{ROUTER}\",\"protocol\":\"NatPmp\",\
                 \"until\":1,\"nonce\":[0,0,0,0,0,0,0,0,0,0,0,0]}}"
            );
            fs::write(
                home.data().join("router.json"),
                format!("{{\"mapped\":[{before}]}}"),
            )
            .unwrap();
        }
        let site = home.serve();
        wait_until("both ports lead here", || {
            let rules = home.passes_on();
            rules.contains("192.168.77.20:8443") && rules.contains("192.168.77.20:8080")
        });
        wait_until("it is written down", || {
            let kept = fs::read_to_string(home.data().join("router.json")).unwrap_or_default();
            kept.contains(protocol) && kept.contains("8080")
        });
        assert_eq!(home.visit("https://11.22.33.44/"), "200", "{}", home.log());
        home.set(false);
        site.signal("HUP");
        wait_until("both are closed", || !home.passes_on().contains("dnat"));
    }
}

#[test]
fn a_port_of_another_machine_is_never_taken() {
    for settings in ["", "enable_upnp=no"] {
        let Some(home) = Home::build("c", "11.22.33.44", settings) else {
            return;
        };
        home.neighbour_takes(443);
        home.set(true);
        let _site = home.serve();
        wait_until("port 80 leads here", || {
            home.passes_on().contains("192.168.77.20:8080")
        });
        wait_until("it is told", || home.log().contains("port 443"));
        assert!(
            home.passes_on().contains("192.168.77.7:443"),
            "it was taken"
        );
        assert!(!home.passes_on().contains("192.168.77.20:8443"));
        let words = if settings.is_empty() {
            "another machine (192.168.77.7"
        } else {
            "somebody else has"
        };
        wait_until("the words are there", || {
            home.says(&["router"]).contains(words)
        });
    }
}

#[test]
fn a_machine_without_a_router_that_answers_is_told_so() {
    let Some(mut home) = Home::build("d", "11.22.33.44", "") else {
        return;
    };
    home.falls_silent();
    home.set(false);
    {
        let _site = home.serve();
    }
    let seen = home.says(&["router"]);
    for words in [
        "does not speak UPnP",
        "does not speak PCP",
        "does not tell its address",
    ] {
        assert!(seen.contains(words), "{words} is missing: {seen}");
    }
    run(&format!("ip -n {}i route del default", home.name));
    let seen = home.says(&["router"]);
    assert!(seen.contains("No router"), "{seen}");
}
