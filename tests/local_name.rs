//! `https://NAME.local` on a network of several machines, with a real responder of another make, and with somebody
//! who sends what he likes.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::{Ipv4Addr, SocketAddr, SocketAddrV6, UdpSocket},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use domain::{
    base::{Message, MessageBuilder, Name, Rtype, Ttl, iana::Class},
    rdata::{A, AllRecordData},
};
use reqwest::{Certificate, blocking::Client};

use crate::{
    networks::{Network, Running},
    site::command,
    waiting::wait_until,
};

const GROUP: &str = "224.0.0.251:5353";
const GROUP6: &str = "ff02::fb";
/// Time for everything that is to happen.
const PATIENCE: Duration = Duration::from_secs(45);

/// A site on a machine of a network, which is to be called `pi`.
pub(crate) struct Machine<'a> {
    network: &'a Network,
    number: usize,
    pub(crate) data: PathBuf,
    running: Running,
}

impl<'a> Machine<'a> {
    pub(crate) fn start(network: &'a Network, number: usize, dir: &Path) -> Self {
        let data = dir.join(number.to_string());
        fs::create_dir_all(&data).unwrap();
        fs::write(data.join("webstead.toml"), "[local]\nname = \"pi\"\n").unwrap();
        let site = command(&data);
        let mut inside = network.command(number, site.get_program().to_str().unwrap());
        inside.args(site.get_args()).arg("serve");
        let log = fs::File::create(data.join("log")).unwrap();
        inside
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        let mut child = inside.spawn().unwrap();
        let mut first = String::new();
        let output = child.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut first).unwrap();
        assert!(first.contains("https://pi.local"), "{first}");
        Self {
            network,
            number,
            data,
            running: Running::of(child),
        }
    }

    pub(crate) fn status(&self) -> String {
        let status = command(&self.data);
        let mut inside = self
            .network
            .command(self.number, status.get_program().to_str().unwrap());
        let output = inside
            .args(status.get_args())
            .arg("status")
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// Opens an address of it on another machine, as a browser does that trusts its authority.
    fn open(&self, from: usize, name: &str, address: &str) -> reqwest::Result<(u16, String)> {
        let at = self.network.on(from, || ask(name, Rtype::A));
        let at = SocketAddr::new(at.first().unwrap().parse().unwrap(), 0);
        self.network.on(from, || {
            let pem = fs::read(self.data.join("tls/authority-cert.pem")).unwrap();
            let _ = rustls::crypto::ring::default_provider().install_default();
            let client = Client::builder()
                .tls_certs_only([Certificate::from_pem(&pem).unwrap()])
                .resolve(name, at)
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .unwrap();
            let answer = client.get(address).send()?;
            Ok((answer.status().as_u16(), answer.text()?))
        })
    }

    fn log(&self) -> String {
        fs::read_to_string(self.data.join("log")).unwrap()
    }
}

/// What the machines of the network answer to a question, as a simple resolver asks it (RFC 6762 section 5.1).
fn ask(name: &str, kind: Rtype) -> Vec<String> {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    // A machine without a route has nobody to ask.
    let interface = socket2::SockRef::from(&socket);
    interface.set_multicast_if_v4(&own_address()).unwrap();
    ask_over(&socket, GROUP.parse().unwrap(), name, kind)
}

/// The same over IPv6, as machines ask that have nothing else.
fn ask6(name: &str, kind: Rtype) -> Vec<String> {
    let socket = UdpSocket::bind("[::]:0").unwrap();
    let all = if_addrs::get_if_addrs().unwrap();
    let own = all.iter().find(|one| !one.is_loopback()).unwrap();
    let group = SocketAddrV6::new(GROUP6.parse().unwrap(), 5353, 0, own.index.unwrap());
    ask_over(&socket, group.into(), name, kind)
}

fn ask_over(socket: &UdpSocket, group: SocketAddr, name: &str, kind: Rtype) -> Vec<String> {
    socket
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let mut question = MessageBuilder::new_vec().question();
    let name: Name<Vec<u8>> = name.parse().unwrap();
    question.push((&name, kind)).unwrap();
    socket.send_to(&question.finish(), group).unwrap();
    let mut buffer = [0; 9000];
    let mut found = Vec::new();
    while let Ok((length, _)) = socket.recv_from(&mut buffer) {
        let answer = Message::from_octets(&buffer[..length]).unwrap();
        for record in answer.answer().unwrap().limit_to::<AllRecordData<_, _>>() {
            found.push(match record.unwrap().into_data() {
                AllRecordData::A(a) => a.addr().to_string(),
                AllRecordData::Aaaa(aaaa) => aaaa.addr().to_string(),
                other => other.to_string(),
            });
        }
    }
    found
}

/// The address of the machine that this runs on.
fn own_address() -> Ipv4Addr {
    let found = if_addrs::get_if_addrs().unwrap();
    let mut found = found.iter().filter(|i| !i.is_loopback());
    found
        .find_map(|i| match i.ip() {
            std::net::IpAddr::V4(v4) => Some(v4),
            std::net::IpAddr::V6(_) => None,
        })
        .unwrap()
}

#[test]
fn two_machines_of_one_name_are_found_by_different_ones_and_changes_are_followed() {
    let Some(network) = Network::new(3) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let first = Machine::start(&network, 1, dir.path());
    let asked = |name: &str, kind: Rtype| network.on(3, || ask(name, kind));
    wait_until("it is found", || {
        asked("pi.local", Rtype::A) == ["192.168.77.1"]
    });
    assert_eq!(asked("pi.local", Rtype::AAAA), ["fd77::1"]);
    let list = asked("_https._tcp.local", Rtype::PTR);
    assert!(list[0].contains("pi._https._tcp.local"), "{list:?}");
    assert_eq!(
        first.open(3, "pi.local", "https://pi.local/").unwrap().0,
        200
    );
    // Who does not trust it yet is told how, without HTTPS, and is told nothing else so.
    let (code, page) = first.open(3, "pi.local", "http://pi.local/trust").unwrap();
    assert!(
        code == 200 && page.contains("http://pi.local/trust"),
        "{page}"
    );
    let (code, _) = first.open(3, "pi.local", "http://pi.local/").unwrap();
    assert!((300..400).contains(&code), "{code}");

    let second = Machine::start(&network, 2, dir.path());
    wait_until("another name", || {
        second.status().contains("https://pi-2.local")
    });
    assert!(
        second
            .log()
            .contains("another machine on this network is pi.local")
    );
    assert_eq!(asked("pi-2.local", Rtype::A), ["192.168.77.2"]);
    assert_eq!(asked("pi.local", Rtype::A), ["192.168.77.1"]);
    wait_until("a certificate", || {
        second.open(3, "pi-2.local", "https://pi-2.local/").is_ok()
    });
    // What is another machine's now is not shown as this one's.
    assert!(
        !second.status().contains("https://pi.local"),
        "{}",
        second.status()
    );

    network.ip(2, "address add 192.168.77.99/25 dev eth0");
    network.ip(2, "address delete 192.168.77.2/24 dev eth0");
    wait_until("the new address", || {
        asked("pi-2.local", Rtype::A) == ["192.168.77.99"]
    });
    wait_until("a certificate", || {
        second
            .open(3, "pi-2.local", "https://192.168.77.99/")
            .is_ok()
    });
    assert!(second.status().contains("https://192.168.77.99"));

    // Over IPv6 as well: who has nothing else asks so, and is told another address when there is one.
    let asked6 = |kind: Rtype| network.on(3, || ask6("pi-2.local", kind));
    wait_until("it answers over IPv6", || {
        asked6(Rtype::AAAA) == ["fd77::2"]
    });
    assert_eq!(asked6(Rtype::A), ["192.168.77.99"]);
    network.ip(2, "address add fd77::99/64 dev eth0 nodad");
    network.ip(2, "address delete fd77::2/64 dev eth0");
    wait_until("the new IPv6 address", || {
        asked6(Rtype::AAAA) == ["fd77::99"] && asked("pi-2.local", Rtype::AAAA) == ["fd77::99"]
    });

    let listening = network.on(3, || {
        let socket = UdpSocket::bind("0.0.0.0:5353").unwrap();
        let group = "224.0.0.251".parse().unwrap();
        socket.join_multicast_v4(&group, &own_address()).unwrap();
        socket
    });
    first.running.stop();
    listening.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut buffer = [0; 9000];
    let goodbye = std::iter::repeat_with(|| {
        let (length, _) = listening.recv_from(&mut buffer).unwrap();
        let message = Message::from_octets(&buffer[..length]).unwrap();
        let mut records = message.answer().unwrap().flatten();
        message.header().qr() && records.all(|record| record.ttl() == Ttl::ZERO)
    });
    assert!(goodbye.take(50).any(|is_goodbye| is_goodbye));
    assert!(asked("pi.local", Rtype::A).is_empty());
}

#[test]
fn a_name_that_avahi_announces_for_this_machine_is_left_to_it_and_taken_when_it_goes() {
    let Some(network) = Network::new(2) else {
        return;
    };
    let Some(avahi) = network.avahi(1, "pi") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let asked = |name: &str, kind: Rtype| network.on(2, || ask(name, kind));
    wait_until("Avahi answers", || {
        asked("pi.local", Rtype::A) == ["192.168.77.1"]
    });
    let site = Machine::start(&network, 1, dir.path());
    wait_until("it is left to Avahi", || site.log().contains("left to it"));
    wait_until("the website", || {
        !asked("_https._tcp.local", Rtype::PTR).is_empty()
    });
    // One answer: Avahi's.
    assert_eq!(asked("pi.local", Rtype::A), ["192.168.77.1"]);
    assert_eq!(
        site.open(2, "pi.local", "https://pi.local/").unwrap().0,
        200
    );
    avahi.stop();
    wait_until("it has the name", || {
        asked("pi.local", Rtype::A) == ["192.168.77.1"]
    });

    // And the other way: it comes later, and keeps its name.
    let avahi = network.avahi(1, "pi").unwrap();
    wait_until("it is left to Avahi", || {
        site.log().matches("left to it").count() == 2
    });
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(asked("pi.local", Rtype::A), ["192.168.77.1"]);
    assert!(asked("pi-2.local", Rtype::A).is_empty());
    assert!(site.status().contains("https://pi.local/"));
    drop(avahi);
}

#[test]
fn avahi_on_another_machine_keeps_the_name_that_it_has_and_yields_to_ours() {
    let Some(network) = Network::new(3) else {
        return;
    };
    let Some(_avahi) = network.avahi(2, "pi") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let asked = |name: &str| network.on(3, || ask(name, Rtype::A));
    wait_until("Avahi answers", || asked("pi.local") == ["192.168.77.2"]);
    let site = Machine::start(&network, 1, dir.path());
    wait_until("another name", || asked("pi-2.local") == ["192.168.77.1"]);
    assert!(site.status().contains("https://pi-2.local/"));
    assert_eq!(asked("pi.local"), ["192.168.77.2"]);
    let _third = network.avahi(3, "pi");
    wait_until("Avahi yields", || asked("pi-3.local") == ["192.168.77.3"]);
    assert_eq!(asked("pi-2.local"), ["192.168.77.1"]);
}

/// Something that no honest machine sends, each time something else.
fn hostile(turn: u32) -> Vec<u8> {
    let mut random = vec![0; usize::try_from(turn % 1400).unwrap()];
    getrandom::fill(&mut random).unwrap();
    let pi: Name<Vec<u8>> = "pi.local".parse().unwrap();
    match turn % 6 {
        0 => random,
        // Names that lead to themselves, in every place.
        1 => [
            &[0, 0, 0x84, 0, 0, 9, 0, 9, 0, 9, 0, 9][..],
            &[0xC0, 12].repeat(300),
        ]
        .concat(),
        // A question that promises more than there is.
        2 => [
            &[0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0][..],
            &random,
        ]
        .concat(),
        // A giant one.
        3 => [
            &[0, 0, 0x84, 0, 0, 0, 0xFF, 0xFF, 0, 0, 0, 0][..],
            &vec![0; 8900],
        ]
        .concat(),
        // The name, and every name after it, is another machine's, and for ever.
        4 => {
            let mut message = MessageBuilder::new_vec().answer();
            message.header_mut().set_qr(true);
            for number in 0..100 {
                let name = format!("pi-{number}.local");
                let name = if number < 2 {
                    pi.clone()
                } else {
                    name.parse().unwrap()
                };
                let a = A::new(Ipv4Addr::new(192, 168, 77, 66));
                message
                    .push((&name, Class::IN, Ttl::from_secs(u32::MAX), a))
                    .unwrap();
            }
            message.finish()
        }
        _ => {
            let mut message = MessageBuilder::new_vec().question();
            for _ in 0..200 {
                message.push((&pi, Rtype::ANY)).unwrap();
            }
            message.finish()
        }
    }
}

/// Memory in KiB and the time of the processor in hundredths of a second.
fn costs(process: u32) -> (u64, u64) {
    let read = |file: &str| fs::read_to_string(format!("/proc/{process}/{file}")).unwrap();
    let memory = read("status").lines().find_map(|line| {
        line.strip_prefix("VmRSS:")?
            .split_whitespace()
            .next()?
            .parse()
            .ok()
    });
    let stat = read("stat");
    // proc_pid_stat(5): user and system time.
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .unwrap()
        .1
        .split_whitespace()
        .collect();
    let time = |at: usize| fields[at].parse::<u64>().unwrap();
    (memory.unwrap(), time(11) + time(12))
}

#[test]
fn who_sends_what_he_likes_slows_nothing_down_and_fills_nothing() {
    let Some(network) = Network::new(3) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let site = Machine::start(&network, 1, dir.path());
    let asked = |name: &str| network.on(3, || ask(name, Rtype::A));
    wait_until("it is found", || asked("pi.local") == ["192.168.77.1"]);
    let process = site.running.process();
    let before = costs(process);
    let start = Instant::now();
    let sent = network.on(2, || {
        let (to, from): (SocketAddr, _) = (GROUP.parse().unwrap(), own_address());
        let sockets = ["0.0.0.0:5353", "0.0.0.0:0"].map(|at| UdpSocket::bind(at).unwrap());
        for socket in &sockets {
            socket2::SockRef::from(socket)
                .set_multicast_if_v4(&from)
                .unwrap();
        }
        let mut sent = 0;
        while start.elapsed() < Duration::from_secs(20) {
            for socket in &sockets {
                for _ in 0..20 {
                    let _ = socket.send_to(&hostile(sent), to);
                    sent += 1;
                }
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        sent
    });
    let after = costs(process);
    let (memory, time) = (after.0.saturating_sub(before.0), after.1 - before.1);
    println!(
        "{sent} messages in 20 s: {memory} KiB more memory, {time} hundredths of a second of the processor"
    );
    assert!(sent > 20_000);
    assert!(memory < 8 * 1024, "{memory} KiB");
    assert!(time < 1000, "{time} hundredths of a second of 20 seconds");
    assert!(site.log().lines().count() < 100, "the log fills up");
    // As soon as he is done, it is found again, under some name; and the site was there all the time.
    wait_until("it is found", || {
        let status = site.status();
        let name = status
            .split("https://")
            .nth(1)
            .and_then(|rest| rest.split('/').next());
        name.is_some_and(|name| asked(name) == ["192.168.77.1"])
    });
    assert!(site.status().contains("It answers"));
}
