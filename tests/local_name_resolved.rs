//! `https://NAME.local` beside systemd-resolved, which many Linux systems have for names: at the visitor's, and on the
//! machine of the site, where it wants the same port of mDNS.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::Stdio,
};

use crate::{
    local_name::Machine,
    networks::{Network, Running, UNTIL_WE_END},
    tools::{is_there, node_modules},
    waiting::wait_until,
};

/// Who may do what on its bus: everybody everything.
const BUS: &str = "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\" \
    \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\"><busconfig><type>system</type>\
    <listen>unix:path=/run/dbus/system_bus_socket</listen><auth>EXTERNAL</auth><policy context=\"default\">\
    <allow user=\"*\"/><allow own=\"*\"/><allow send_destination=\"*\"/><allow send_type=\"method_call\"/>\
    <allow send_type=\"method_return\"/><allow send_type=\"signal\"/><allow send_type=\"error\"/>\
    <allow receive_type=\"method_call\"/><allow receive_type=\"method_return\"/><allow receive_type=\"signal\"/>\
    <allow receive_type=\"error\"/></policy></busconfig>";

/// Where Debian's packages of it are unpacked: installed, they would take over this system's names.
fn unpacked() -> Option<PathBuf> {
    let folder = std::env::var_os("WEBSTEAD_RESOLVED")
        .map_or_else(|| node_modules().with_file_name("resolved"), PathBuf::from);
    let found = folder.join("lib/systemd/systemd-resolved").exists()
        && Path::new("/usr/bin/dbus-daemon").exists();
    is_there("systemd-resolved, unpacked, with dbus-daemon", found).then_some(folder)
}

/// It, and the bus that it wants; both are ended when this is dropped, or when the test is killed. (The kernel cannot
/// be asked for that: the bus gives its rights away, and the request with them.)
struct Resolved {
    _daemon: Running,
    bus: Running,
}

/// Starts it on a machine, with mDNS switched on.
fn start(network: &Network, machine: usize, unpacked: &Path) -> Resolved {
    let user = "systemd-resolve:x:991:991::/:/usr/sbin/nologin\n";
    let users = fs::read_to_string("/etc/passwd").unwrap();
    network.etc(machine, "passwd", &format!("{users}{user}"));
    let groups = fs::read_to_string("/etc/group").unwrap();
    network.etc(
        machine,
        "group",
        &format!("{groups}systemd-resolve:x:991:\n"),
    );
    let names = "passwd: files\ngroup: files\nhosts: files resolve [!UNAVAIL=return] dns\n";
    network.etc(machine, "nsswitch.conf", names);
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().display().to_string();
    fs::write(dir.path().join("bus"), BUS).unwrap();
    let settings = "[Resolve]\nMulticastDNS=yes\nLLMNR=no\n";
    fs::write(dir.path().join("resolved.conf"), settings).unwrap();
    let script = format!(
        "set -e; mount -t tmpfs none /run; mkdir -p /run/dbus /run/systemd/resolve
         chown systemd-resolve: /run/systemd/resolve
         mount -t tmpfs none /etc/systemd; cp {at}/resolved.conf /etc/systemd/
         dbus-daemon --config-file={at}/bus --nofork --print-address &
         {UNTIL_WE_END}"
    );
    let mut command = network.command(machine, "unshare");
    command.args(["--mount", "sh", "-c", &script]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let output = child.stdout.take().unwrap();
    let bus = Running::with(child, dir);
    // It says where it listens; from then on, who comes beside it is on that machine.
    let mut first = String::new();
    BufReader::new(output).read_line(&mut first).unwrap();
    assert!(first.starts_with("unix:"), "{first}");
    let daemon = unpacked.join("lib/systemd/systemd-resolved");
    let mut command = bus.beside("sh");
    command.args(["-c", &format!("{} & {UNTIL_WE_END}", daemon.display())]);
    command.stdin(Stdio::piped());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let resolved = Resolved {
        _daemon: Running::of(command.spawn().unwrap()),
        bus,
    };
    let control = unpacked.join("usr/bin/resolvectl");
    wait_until("it does mDNS", || {
        let mut command = resolved.bus.beside(control.to_str().unwrap());
        command.args(["mdns", "eth0", "yes"]).stderr(Stdio::null());
        command.status().unwrap().success()
    });
    resolved
}

/// What the system of a machine says of a name.
fn addresses(resolved: &Resolved, unpacked: &Path, name: &str) -> String {
    let output = resolved
        .bus
        .beside("getent")
        .args(["ahosts", name])
        .env("LD_LIBRARY_PATH", unpacked.join("usr/lib").join(triplet()))
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn triplet() -> String {
    format!("{}-linux-gnu", std::env::consts::ARCH)
}

#[test]
fn a_system_with_systemd_resolved_finds_the_site_and_one_beside_the_site_takes_nothing_away() {
    let Some(network) = Network::new(2) else {
        return;
    };
    let Some(unpacked) = unpacked() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let visitor = start(&network, 2, &unpacked);
    let control = unpacked.join("usr/bin/resolvectl");
    let finds = || {
        // What it has heard before is no answer.
        let mut forget = visitor.bus.beside(control.to_str().unwrap());
        assert!(forget.arg("flush-caches").status().unwrap().success());
        addresses(&visitor, &unpacked, "pi.local").contains("192.168.77.1")
    };
    {
        let _site = Machine::start(&network, 1, dir.path());
        wait_until("the visitor finds the site", finds);

        // It comes later, and has the port too. (What its own machine says, it does not listen to.)
        let _beside = start(&network, 1, &unpacked);
        wait_until("the visitor finds the site", finds);
    }
    // It was there before the site.
    let _beside = start(&network, 1, &unpacked);
    let _site = Machine::start(&network, 1, dir.path());
    wait_until("the visitor finds the site", finds);
}
