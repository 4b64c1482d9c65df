//! sshd of OpenSSH, with users, passwords and a disk of its own, in a namespace that nobody else sees.

use std::{
    fmt::Write as _,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;

use crate::{
    site::Site,
    stores::done,
    tools::{free_port, is_there},
    waiting::wait_for_port,
};

/// What the user `ada` types there.
pub(crate) const WORD: &str = "a password of ada";
/// Bytes of her disk.
pub(crate) const DISK_MIB: u32 = 24;

/// A machine with a user `ada` and a disk for what she keeps; `cell` sees nothing but the folder of cells. Ended, by its
/// process id, when dropped.
pub(crate) struct Machine {
    child: Child,
    port: u16,
    dir: TempDir,
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Machine {
    /// Starts one; `None` if it is not installed, or if we are not root.
    pub(crate) fn start() -> Option<Self> {
        let is_possible = ["/usr/sbin/sshd", "/usr/bin/ssh-keygen", "/usr/bin/unshare"]
            .iter()
            .all(|tool| Path::new(tool).is_file())
            && rustix::process::geteuid().is_root();
        if !is_there(
            "sshd (openssh-server), and the rights of root,",
            is_possible,
        ) {
            return None;
        }
        let dir = TempDir::new().unwrap();
        // Who is let in has to get at what is theirs.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut machine = Self {
            // Takes its place below.
            child: Command::new("true").spawn().unwrap(),
            port: free_port(),
            dir,
        };
        machine.child.wait().unwrap();
        machine.new_host_keys();
        for file in ["authorized_keys", "cells/place"] {
            fs::create_dir_all(machine.path(file).parent().unwrap()).unwrap();
            fs::write(machine.path(file), "").unwrap();
        }
        fs::create_dir(machine.path("home")).unwrap();
        fs::create_dir(machine.path("cells/own")).unwrap();
        fs::create_dir_all("/run/sshd").unwrap();
        machine.write_users();
        machine.write_settings();
        machine.run();
        Some(machine)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The machine is set up anew.
    pub(crate) fn new_host_keys(&self) {
        for kind in ["ed25519", "ecdsa"] {
            let file = self.path(kind);
            let _ = fs::remove_file(&file);
            ran(
                "ssh-keygen",
                &["-q", "-N", "", "-t", kind, "-f", text(&file)],
            );
        }
    }

    pub(crate) fn host_key(&self, kind: &str) -> String {
        let file = self.path(&format!("{kind}.pub"));
        let told = ran("ssh-keygen", &["-lf", text(&file)]);
        let mut words = told.split_whitespace();
        words
            .find(|word| word.starts_with("SHA256:"))
            .unwrap()
            .to_owned()
    }

    fn write_users(&self) {
        let hash = ran("openssl", &["passwd", "-6", WORD]);
        let (home, cells) = (self.path("home"), self.path("cells"));
        let users = [("ada", 4242, home), ("cell", 4243, cells)];
        let root =
            "root:x:0:0:root:/root:/bin/sh\nsshd:x:4200:65534::/run/sshd:/usr/sbin/nologin\n";
        let (mut passwd, mut shadow) =
            (root.to_owned(), "root:*:::::::\nsshd:!:::::::\n".to_owned());
        for (name, id, home) in users {
            let home = home.display();
            let _ = writeln!(passwd, "{name}:x:{id}:{id}::{home}:/bin/sh");
            let _ = writeln!(shadow, "{name}:{}:19000::::::", hash.trim());
        }
        fs::write(self.path("passwd"), passwd).unwrap();
        fs::write(self.path("shadow"), shadow).unwrap();
    }

    fn write_settings(&self) {
        let all = self.dir.path().display();
        let settings = format!(
            "Port {}\nListenAddress 127.0.0.1\nHostKey {all}/ed25519\nHostKey {all}/ecdsa\nPidFile none\nUsePAM no\n\
             StrictModes no\nAuthorizedKeysFile {all}/authorized_keys\nPasswordAuthentication yes\n\
             KbdInteractiveAuthentication no\nUseDNS no\nMaxStartups 100\nSubsystem sftp internal-sftp\n",
            self.port
        );
        let of_cell = "Match User cell\nChrootDirectory /mnt\nForceCommand internal-sftp\n";
        let file = self.path("sshd_config");
        // Later versions keep out for a while who was refused; older ones do not know that.
        let newer = "PerSourcePenalties no\n";
        fs::write(&file, format!("{settings}{newer}{of_cell}")).unwrap();
        let mut checked = Command::new("/usr/sbin/sshd");
        let checked = checked
            .args(["-t", "-f", text(&file)])
            .stderr(Stdio::null());
        if !checked.status().unwrap().success() {
            fs::write(&file, format!("{settings}{of_cell}")).unwrap();
        }
    }

    /// Starts it, with users and a disk that nobody else sees.
    fn run(&mut self) {
        let all = self.dir.path().display();
        let script = format!(
            "mount --bind {all}/passwd /etc/passwd && mount --bind {all}/shadow /etc/shadow && mount --bind {all}/cells /mnt && \
             mount -t tmpfs -o size={DISK_MIB}m,mode=700,uid=4242,gid=4242 none {all}/home && \
             chown 4243 {all}/cells/own && exec /usr/sbin/sshd -D -e -f {all}/sshd_config"
        );
        self.child = Command::new("unshare")
            .args(["--mount", "sh", "-c", &script])
            .stdout(Stdio::null())
            .stderr(fs::File::create(self.path("log")).unwrap())
            .spawn()
            .unwrap();
        wait_for_port(self.port, Duration::from_secs(30), || {
            fs::read_to_string(self.path("log")).unwrap()
        });
    }

    /// It is not there for a moment, and then with other keys.
    pub(crate) fn set_up_anew(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.new_host_keys();
        self.run();
    }

    /// Lets in whoever has this key.
    pub(crate) fn allow(&self, line: &str) {
        fs::write(self.path("authorized_keys"), format!("{line}\n")).unwrap();
    }

    pub(crate) fn place(&self, folder: &str) -> String {
        place_behind(self.port, folder)
    }

    /// `[backup]` for a place on it, whose key is known.
    pub(crate) fn settings(&self, to: &str) -> String {
        let key = self.host_key("ed25519");
        format!(
            "[backup]\nto = \"{to}\"\nevery = \"6 hours\"\n\n[backup.sftp]\nhost_key = \"{key}\"\n"
        )
    }

    /// Lets a site make its backups there.
    pub(crate) fn let_in(&self, site: &Site, to: &str) {
        fs::write(site.data().join("webstead.toml"), self.settings(to)).unwrap();
        let line = done(site.data(), &["backup", "ssh-key"], "");
        self.allow(line.trim());
    }

    /// Runs something where the disks of the machine are.
    pub(crate) fn inside(&self, script: &str) -> String {
        let id = self.child.id().to_string();
        ran("nsenter", &["--mount", "--target", &id, "sh", "-c", script])
    }
}

/// A folder of ada's, on the machine that is reached by this port.
pub(crate) fn place_behind(port: u16, folder: &str) -> String {
    format!("sftp://ada@127.0.0.1:{port}{folder}")
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

pub(crate) fn ran(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}
