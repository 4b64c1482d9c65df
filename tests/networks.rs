//! Networks of one's own, with several machines on one line.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    os::fd::AsFd as _,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::{namespaces::Namespaces, tools::is_there, waiting::wait_until};

/// One network with some machines, which are counted from 1. All of it is gone when this is dropped.
pub(crate) struct Network {
    namespaces: Namespaces,
}

impl Network {
    /// A network with this many machines; `None`, said aloud, if that cannot be made here.
    pub(crate) fn new(machines: usize) -> Option<Self> {
        let mut namespaces = Namespaces::new(&[])?;
        namespaces.make("switch");
        namespaces.ip("switch", "link add br0 type bridge mcast_snooping 0");
        namespaces.ip("switch", "link set br0 up");
        for machine in 1..=machines {
            let (own, port) = (machine.to_string(), format!("port{machine}"));
            namespaces.make(&own);
            namespaces.link(("switch", &port), (&own, "eth0"));
            namespaces.ip("switch", &format!("link set {port} master br0"));
            let v4 = format!("address add 192.168.77.{machine}/24 dev eth0");
            namespaces.ip(&own, &v4);
            let v6 = format!("address add fd77::{machine}/64 dev eth0 nodad");
            namespaces.ip(&own, &v6);
        }
        Some(Self { namespaces })
    }

    /// Sets something with ip(8) on a machine.
    pub(crate) fn ip(&self, machine: usize, command: &str) {
        self.namespaces.ip(&machine.to_string(), command);
    }

    /// A command that runs on a machine.
    pub(crate) fn command(&self, machine: usize, program: &str) -> Command {
        self.namespaces.command(&machine.to_string(), program)
    }

    /// Does something on a machine, in a thread of its own.
    pub(crate) fn on<T: Send>(&self, machine: usize, work: impl FnOnce() -> T + Send) -> T {
        let path = format!("/run/netns/{}", self.namespaces.name(&machine.to_string()));
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
        if !is_there("avahi-daemon", Path::new(daemon).exists()) {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let settings = dir.path().join("avahi.conf");
        let text = format!(
            "[server]\nhost-name={name}\nuse-ipv4=yes\nuse-ipv6=yes\nenable-dbus=no\n\
             [publish]\npublish-hinfo=no\npublish-workstation=no\n"
        );
        fs::write(&settings, text).unwrap();
        // It wants /run for itself.
        let script = format!(
            "mount -t tmpfs none /run && exec {daemon} -f {} --no-drop-root --no-chroot --no-rlimits",
            settings.display()
        );
        let mut command = self.command(machine, "unshare");
        command.args(["--mount", "sh", "-c", &script]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Some(Running::with(command.spawn().unwrap(), dir))
    }

    /// Puts a file of this name in the place of that in `/etc`, for what is started on a machine from now on.
    pub(crate) fn etc(&self, machine: usize, file: &str, text: &str) {
        self.namespaces.etc(&machine.to_string(), file, text);
    }
}

/// What a shell does last, so that the program that it began last ends with this process, however that ends: it waits
/// for the end of its input, which is a pipe.
pub(crate) const UNTIL_WE_END: &str = "read -r _ || :; kill -KILL $!";

/// A program; it is ended when this is dropped. A shell whose input is a pipe is told so by its end.
pub(crate) struct Running {
    child: Child,
    /// Its settings.
    _dir: Option<tempfile::TempDir>,
}

impl Running {
    /// This child, with what it reads as long as it runs.
    pub(crate) fn with(child: Child, dir: tempfile::TempDir) -> Self {
        Self {
            child,
            _dir: Some(dir),
        }
    }

    /// This child.
    pub(crate) fn of(child: Child) -> Self {
        Self { child, _dir: None }
    }

    /// A program on the same machine, with the same view of the files.
    pub(crate) fn beside(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        let process = self.process().to_string();
        command.args(["--target", &process, "--mount", "--net", program]);
        command
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
        if self.child.stdin.take().is_none() {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

#[test]
fn a_program_beside_a_shell_ends_with_the_pipe_and_so_with_a_test_that_panics_or_is_killed() {
    let script = format!("sleep 1000 & echo $!; {UNTIL_WE_END}");
    let mut command = Command::new("sh");
    command.args(["-c", &script]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut running = Running::of(command.spawn().unwrap());
    let mut line = String::new();
    let mut output = BufReader::new(running.child.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    let process = Path::new("/proc").join(line.trim());
    let is_there = || {
        let state = fs::read_to_string(process.join("stat"));
        state.is_ok_and(|state| !state.contains(") Z "))
    };
    assert!(is_there());
    drop(running);
    // It was told to end, and that takes a moment.
    wait_until(&format!("{line} ends"), || !is_there());
}
