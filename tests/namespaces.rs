//! Network namespaces of Linux, of which tests make their networks; only root may.

use std::{
    fs,
    os::fd::AsFd as _,
    panic::resume_unwind,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::tools::is_there;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// The namespaces of one test, each a place with a name; all are gone when this is dropped.
pub(crate) struct Namespaces {
    id: String,
    places: Vec<String>,
}

impl Namespaces {
    /// None yet; `None`, said aloud, where they cannot be made: that needs root, `ip` and these tools.
    pub(crate) fn new(tools: &[&str]) -> Option<Self> {
        let runs = |tool: &&str| {
            let mut command = Command::new(tool);
            command
                .arg("-V")
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            command.status().is_ok()
        };
        let may = rustix::process::geteuid().is_root() && runs(&"ip") && tools.iter().all(runs);
        let all = [&["ip"], tools].concat().join(" and ");
        if !is_there(&format!("{all}, with the rights of root,"), may) {
            return None;
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Some(Self {
            id: format!("w{}x{number}", std::process::id()),
            places: Vec::new(),
        })
    }

    /// Makes one, with its loopback.
    pub(crate) fn make(&mut self, place: &str) {
        ip(&format!("netns add {}", self.name(place)));
        self.places.push(place.to_owned());
        self.ip(place, "link set lo up");
    }

    /// What the system calls a place.
    pub(crate) fn name(&self, place: &str) -> String {
        format!("{}-{place}", self.id)
    }

    /// Sets something with ip(8) in a place.
    pub(crate) fn ip(&self, place: &str, command: &str) {
        ip(&format!("-n {} {command}", self.name(place)));
    }

    /// A cable from one place to another: at each end what the interface is called there.
    pub(crate) fn link(&self, one: (&str, &str), other: (&str, &str)) {
        let peer = format!("peer name {} netns {}", other.1, self.name(other.0));
        self.ip(one.0, &format!("link add {} type veth {peer}", one.1));
        self.ip(one.0, &format!("link set {} up", one.1));
        self.ip(other.0, &format!("link set {} up", other.1));
    }

    /// A program in a place.
    pub(crate) fn command(&self, place: &str, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(place), program]);
        command
    }

    /// Does something in a place: what it opens and starts is there for good.
    pub(crate) fn inside<T: Send>(&self, place: &str, work: impl FnOnce() -> T + Send) -> T {
        let network = fs::File::open(Path::new("/run/netns").join(self.name(place))).unwrap();
        thread::scope(|scope| {
            let there = scope.spawn(move || {
                move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))
                    .unwrap();
                work()
            });
            there.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }

    /// Puts a file of this name in the place of that in `/etc`, for what is started there from now on.
    pub(crate) fn etc(&self, place: &str, file: &str, text: &str) {
        // ip-netns(8): mounted over /etc for what runs there.
        let folder = self.folder_in_etc(place);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(file), text).unwrap();
    }

    fn folder_in_etc(&self, place: &str) -> PathBuf {
        Path::new("/etc/netns").join(self.name(place))
    }
}

/// Does something in a network of its own that has nothing but its loopback; not at all, said aloud, where there can be
/// none.
pub(crate) fn alone(work: impl FnOnce() + Send) {
    if let Some(mut namespaces) = Namespaces::new(&[]) {
        namespaces.make("alone");
        namespaces.inside("alone", work);
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for place in &self.places {
            let name = self.name(place);
            let _ = Command::new("ip").args(["netns", "del", &name]).status();
            let _ = fs::remove_dir_all(self.folder_in_etc(place));
        }
        let _ = fs::remove_dir("/etc/netns");
    }
}

fn ip(command: &str) {
    let output = Command::new("ip")
        .args(command.split(' '))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "ip {command}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
