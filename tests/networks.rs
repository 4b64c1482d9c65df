//! Networks of one's own, with several machines: Linux's network namespaces, which only root may make.

use std::{
    fs::File,
    net::{IpAddr, Ipv4Addr},
    os::fd::AsFd as _,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::tools::is_there;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// One network with some machines. All of it is gone when this is dropped.
pub(crate) struct Network {
    name: String,
    machines: usize,
}

impl Network {
    /// A network with this many machines; `None`, said aloud, if that cannot be made here.
    pub(crate) fn new(machines: usize) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: only root may make networks");
            return None;
        }
        let has_ip = Command::new("ip").arg("-V").output().is_ok();
        if !is_there("ip (iproute2)", has_ip) {
            return None;
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let network = Self {
            name: format!("ws{}-{number}", std::process::id()),
            machines,
        };
        let switch = network.namespace(0);
        ip(&["netns", "add", &switch]);
        let bridge = "link add br0 type bridge mcast_snooping 0";
        ip(&[&["-n", &switch], &words(bridge)[..]].concat());
        ip(&["-n", &switch, "link", "set", "br0", "up"]);
        for machine in 1..=machines {
            let (own, port) = (network.namespace(machine), format!("port{machine}"));
            ip(&["netns", "add", &own]);
            ip(&["-n", &own, "link", "set", "lo", "up"]);
            let pair = ["-n", &switch, "link", "add", &port, "type", "veth"];
            ip(&[&pair[..], &["peer", "name", "eth0", "netns", &own]].concat());
            ip(&["-n", &switch, "link", "set", &port, "master", "br0", "up"]);
            let address = format!("{}/24", network.address(machine));
            ip(&["-n", &own, "address", "add", &address, "dev", "eth0"]);
            let address = format!("fd77::{machine}/64");
            ip(&[
                "-n", &own, "address", "add", &address, "dev", "eth0", "nodad",
            ]);
            ip(&["-n", &own, "link", "set", "eth0", "up"]);
        }
        Some(network)
    }

    /// The IPv4 address of a machine; they are counted from 1.
    pub(crate) fn address(&self, machine: usize) -> IpAddr {
        assert!((1..=self.machines).contains(&machine));
        Ipv4Addr::new(192, 168, 77, u8::try_from(machine).unwrap()).into()
    }

    /// Sets something with ip(8) on a machine.
    pub(crate) fn ip(&self, machine: usize, command: &str) {
        ip(&[&["-n", &self.namespace(machine)], &words(command)[..]].concat());
    }

    /// A command that runs on a machine.
    pub(crate) fn command(&self, machine: usize, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace(machine), program]);
        command
    }

    /// Does something on a machine, in a thread of its own.
    pub(crate) fn on<T: Send>(&self, machine: usize, work: impl FnOnce() -> T + Send) -> T {
        let path = format!("/run/netns/{}", self.namespace(machine));
        thread::scope(|scope| {
            let there = scope.spawn(|| {
                let file = File::open(path).unwrap();
                let kind = Some(LinkNameSpaceType::Network);
                move_into_link_name_space(file.as_fd(), kind).unwrap();
                work()
            });
            there.join().unwrap()
        })
    }

    /// Avahi, the responder of most Linux systems, on a machine that it calls so; `None`, said aloud, if it is not
    /// installed.
    pub(crate) fn avahi(&self, machine: usize, name: &str) -> Option<Running> {
        let daemon = "/usr/sbin/avahi-daemon";
        if !is_there("avahi-daemon", std::path::Path::new(daemon).exists()) {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let settings = dir.path().join("avahi.conf");
        let text = format!(
            "[server]\nhost-name={name}\nuse-ipv4=yes\nuse-ipv6=yes\nenable-dbus=no\n\
             [publish]\npublish-hinfo=no\npublish-workstation=no\n"
        );
        std::fs::write(&settings, text).unwrap();
        // It wants /run for itself.
        let script = format!(
            "mount -t tmpfs none /run && exec {daemon} -f {} --no-drop-root --no-chroot --no-rlimits",
            settings.display()
        );
        let mut command = self.command(machine, "unshare");
        command.args(["--mount", "sh", "-c", &script]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Some(Running {
            child: command.spawn().unwrap(),
            _dir: Some(dir),
        })
    }

    fn namespace(&self, machine: usize) -> String {
        format!("{}-{machine}", self.name)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for machine in 0..=self.machines {
            let name = self.namespace(machine);
            let _ = Command::new("ip").args(["netns", "delete", &name]).status();
        }
    }
}

/// A program; it is ended when this is dropped.
pub(crate) struct Running {
    child: Child,
    /// Its settings.
    _dir: Option<tempfile::TempDir>,
}

impl Running {
    /// This child.
    pub(crate) fn of(child: Child) -> Self {
        Self { child, _dir: None }
    }

    /// The number of the process.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(mut self) {
        let process = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "ip {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn words(text: &str) -> Vec<&str> {
    text.split(' ').collect()
}
