//! Backups on another machine, against sshd of OpenSSH.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    backup::{killed, page, site_with_posts},
    site::{OWNER, PASSWORD, Site},
    sshd::{DISK_MIB, Machine, WORD, place_behind, ran, text},
    stores::{all_are_busy, back_up_again, done, refused},
    tools::free_port,
};

/// A line to a machine that can be cut.
struct Line {
    port: u16,
    /// Bytes that it carries to the machine before it is cut, for all that begin from now on.
    bears: Arc<AtomicUsize>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Line {
    fn to(machine: &Machine) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let line = Self {
            port: listener.local_addr().unwrap().port(),
            bears: Arc::new(AtomicUsize::new(usize::MAX)),
            open: Arc::default(),
        };
        let (to, bears, open) = (
            machine.port(),
            Arc::clone(&line.bears),
            Arc::clone(&line.open),
        );
        std::thread::spawn(move || {
            for near in listener.incoming() {
                let (Ok(near), Ok(far)) = (near, TcpStream::connect(("127.0.0.1", to))) else {
                    continue;
                };
                let mut all = open.lock().unwrap();
                all.push(near.try_clone().unwrap());
                all.push(far.try_clone().unwrap());
                let (back, forth) = (far.try_clone().unwrap(), near.try_clone().unwrap());
                std::thread::spawn(move || carry(back, forth, usize::MAX));
                let bears = bears.load(Ordering::Relaxed);
                std::thread::spawn(move || carry(near, far, bears));
            }
        });
        line
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, mut bears: usize) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if read > bears || to.write_all(&buffer[..read]).is_err() {
            break;
        }
        bears -= read;
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

#[test]
fn a_new_machine_with_one_backup_from_another_machine_is_the_same_site() {
    let Some(machine) = Machine::start() else {
        return;
    };
    let (site, client, dir) = site_with_posts(4);
    let place = machine.place("/~/sites/home");
    machine.inside(&format!(
        "install -d -o ada {}",
        text(&machine.path("home/sites"))
    ));
    let key = machine.host_key("ed25519");
    // First it is not known, then we are not.
    let told = refused(site.data(), &["backup", &place], "");
    assert!(told.contains(&key) && told.contains("--host-key"), "{told}");
    let told = refused(site.data(), &["backup", &place, "--host-key", &key], "");
    let line = done(site.data(), &["backup", "ssh-key"], "");
    assert!(
        told.contains("authorized_keys") && told.contains(line.trim()),
        "{told}"
    );
    machine.allow(line.trim());
    let told = done(site.data(), &["backup", &place], "");
    assert!(
        told.contains(&format!("Backup 1 is in {place}")) && told.contains("is sound"),
        "{told}"
    );
    assert!(!told.contains("same disk"), "{told}");
    fs::write(
        site.data().join("webstead.toml"),
        format!("[backup]\nto = \"{place}\"\nkeep_hours = 0\n"),
    )
    .unwrap();
    back_up_again(&site, &client);
    let told = done(site.data(), &["restore", "1", "--dry-run"], "");
    assert!(told.contains("Since then"), "{told}");
    let told = done(site.data(), &["backup", "prune"], "");
    assert!(told.contains("Removed: 1. Kept: 2."), "{told}");
    let all = machine.inside(&format!("find {}", text(&machine.path("home/sites/home"))));
    assert!(
        !all.contains("/locks/") && !all.contains("/.meantime/"),
        "{all}"
    );
    // A new machine has the program, and its owner knows the password and what the key looks like.
    let new = dir.path().join("new");
    let from = ["restore", "latest", "--from", &place, "--host-key", &key];
    let told = refused(&new, &from, "another password\n");
    assert!(
        told.contains("does not let ada in") && told.contains("password"),
        "{told}"
    );
    let told = done(&new, &from, &format!("{WORD}\n"));
    assert!(told.contains("5 posts"), "{told}");
    let restored = Site::start_on(&new);
    for n in 0..4 {
        let path = format!("/post-{n}");
        assert_eq!(page(&site, &path), page(&restored, &path));
    }
    assert_eq!(restored.text(&restored.client(), "/since-then").0, 200);
    // The new one knows the machine, and goes on with the backups there once it is let in.
    let line = done(&new, &["backup", "ssh-key"], "");
    machine.allow(line.trim());
    let told = done(&new, &["backup"], "");
    assert!(
        told.contains("Backup 3") && told.contains("is sound"),
        "{told}"
    );
    // A copy beside it knows the machine, too.
    let copy = dir.path().join("copy");
    done(
        &new,
        &["restore", "latest", "--to", copy.to_str().unwrap()],
        "",
    );
    let remembered = fs::read_to_string(copy.join("backups.json")).unwrap();
    assert!(remembered.contains(&key), "{remembered}");
}

#[test]
fn a_cell_is_enough_with_a_key_of_ones_own_a_password_or_a_passphrase_on_top() {
    let Some(machine) = Machine::start() else {
        return;
    };
    let (site, _, dir) = site_with_posts(1);
    let own = dir.path().join("own");
    ran(
        "ssh-keygen",
        &["-q", "-N", "", "-t", "ecdsa", "-f", text(&own)],
    );
    machine.allow(&fs::read_to_string(own.with_extension("pub")).unwrap());
    let place = machine.place("/own/site").replace("ada@", "cell@");
    // The key of the host that the owner wrote down is another one of its keys.
    let key = machine.host_key("ecdsa");
    let word = "a long passphrase\n";
    let by_hand = [
        "backup",
        &place,
        "--host-key",
        &key,
        "--ssh-key",
        text(&own),
    ];
    let told = done(
        site.data(),
        &[&by_hand[..], &["--passphrase"]].concat(),
        word,
    );
    assert!(told.contains("is sound"), "{told}");
    machine.allow("");
    // A password is for a place, and goes to that alone.
    let told = refused(site.data(), &["secret", "set", "sftp"], WORD);
    assert!(told.contains("--for sftp://"), "{told}");
    let set = ["secret", "set", "sftp", "--for"];
    let other = place.replace("127.0.0.1", "localhost");
    done(site.data(), &[&set[..], &[&other]].concat(), WORD);
    let told = refused(site.data(), &["backup", &place], "");
    assert!(told.contains("does not let cell in"), "{told}");
    done(site.data(), &[&set[..], &[&place]].concat(), WORD);
    let told = done(site.data(), &["backup", &place], "");
    assert!(
        told.contains("Backup 2") && told.contains("is sound"),
        "{told}"
    );
    let new = dir.path().join("new");
    let from = ["restore", "latest", "--from", &place, "--host-key", &key];
    let told = refused(&new, &from, &format!("{WORD}\nanother passphrase\n"));
    assert!(told.contains("not the passphrase"), "{told}");
    let told = done(&new, &from, &format!("{WORD}\n{word}"));
    assert!(told.contains("1 post or page"), "{told}");
}

#[test]
fn what_another_machine_refuses_is_told_with_its_remedy_and_on_the_owners_page() {
    let Some(mut machine) = Machine::start() else {
        return;
    };
    let (site, _, dir) = site_with_posts(1);
    machine.let_in(&site, &machine.place("/~/x"));
    done(site.data(), &["backup"], "");
    let home = text(&machine.path("home")).to_owned();
    let with = |more: &[&str], word: &str| {
        let told = refused(site.data(), &[&["backup"], more].concat(), "");
        assert!(
            told.contains(word) && told.contains("127.0.0.1"),
            "{word}: {told}"
        );
    };
    with(
        &["list", "--from", &machine.place("/~/y")],
        "there are no backups in sftp://ada@",
    );
    with(&[&machine.place("/~/not/there")], "has no folder not/there");
    with(
        &[&machine.place("/root/x")],
        "does not let ada read in /root/x",
    );
    machine.inside(&format!(
        "install -d -o root {home}/roots && chmod 755 {home}/roots"
    ));
    with(&[&machine.place("/~/roots")], "does not let ada write");
    with(
        &[&machine.place("/~/x").replace("ada@", "eve@")],
        "does not let eve in",
    );
    let nobody = place_behind(free_port(), "/~/x");
    let begun = Instant::now();
    with(&["list", "--from", &nobody], "cannot be reached");
    assert!(
        begun.elapsed() > Duration::from_secs(10),
        "it is tried again"
    );
    let sealed = dir.path().join("sealed");
    ran(
        "ssh-keygen",
        &["-q", "-N", "12345", "-t", "ed25519", "-f", text(&sealed)],
    );
    let told = refused(site.data(), &["backup", "--ssh-key", text(&sealed)], "");
    assert!(told.contains("has a passphrase"), "{told}");
    // A disk that is full, and then not any more.
    machine.inside(&format!(
        "head -c {DISK_MIB}M /dev/urandom > {home}/fill || true"
    ));
    fs::create_dir_all(site.data().join("public")).unwrap();
    let mut noise = vec![0; 1_000_000];
    getrandom::fill(&mut noise).unwrap();
    fs::write(site.data().join("public/noise.bin"), noise).unwrap();
    with(&[], "is full");
    machine.inside(&format!("rm {home}/fill"));
    let told = done(site.data(), &["backup", "verify"], "");
    assert!(told.contains("is sound"), "what was there stays: {told}");
    done(site.data(), &["backup"], "");
    // Somebody else has its address, or it was set up anew.
    machine.set_up_anew();
    with(&[], "shows another key");
    let site = site.restart();
    let client = site.sign_in(OWNER, PASSWORD);
    let (_, html) = site.text(&client, "/admin/backups");
    assert!(html.contains("shows another key"), "{html}");
    let settings = machine.settings(&machine.place("/~/x"));
    fs::write(site.data().join("webstead.toml"), settings).unwrap();
    let told = refused(site.data(), &["backup"], "");
    assert!(told.contains("were they removed?"), "{told}");
    let told = done(site.data(), &["backup", &machine.place("/~/x")], "");
    assert!(
        told.contains("Backup 1") && told.contains("is sound"),
        "{told}"
    );
}

#[test]
fn a_line_that_is_cut_or_a_process_that_is_killed_leaves_what_was_there() {
    let Some(machine) = Machine::start() else {
        return;
    };
    let (site, _, _dir) = site_with_posts(40);
    let line = Line::to(&machine);
    machine.let_in(&site, &place_behind(line.port, "/~/x"));
    let told = done(site.data(), &["backup"], "");
    assert!(told.contains("is sound"), "{told}");
    let noise = |name: &str, bytes: usize| {
        let mut noise = vec![0; bytes];
        getrandom::fill(&mut noise).unwrap();
        fs::create_dir_all(site.data().join("public")).unwrap();
        fs::write(site.data().join("public").join(name), noise).unwrap();
    };
    // The line is cut every 700 kB, and each time it is gone on with.
    noise("cut.bin", 1_500_000);
    line.bears.store(700_000, Ordering::Relaxed);
    for open in line.open.lock().unwrap().drain(..) {
        let _ = open.shutdown(Shutdown::Both);
    }
    // Nothing larger than the line bears goes over it at once: one that never does is given up.
    let told = refused(site.data(), &["backup"], "");
    assert!(told.contains("lost") || told.contains("SSH"), "{told}");
    line.bears.store(1_900_000, Ordering::Relaxed);
    let told = done(site.data(), &["backup"], "");
    assert!(told.contains("is sound"), "{told}");
    line.bears.store(usize::MAX, Ordering::Relaxed);
    for n in 0..4 {
        noise(&format!("{n}.bin"), 1_500_000);
        killed(
            site.data(),
            &["backup"],
            Duration::from_millis(150 + 150 * n),
        );
        let told = done(site.data(), &["backup", "verify"], "");
        assert!(told.contains("is sound"), "{told}");
    }
    // The lock of a process that was killed holds nobody up; that of another machine does, until it is old.
    let told = done(site.data(), &["backup", "--without-verify"], "");
    assert!(told.contains("is in sftp://"), "{told}");
    let locks = text(&machine.path("home/x/locks")).to_owned();
    machine.inside(&format!("echo another machine 1 > {locks}/change-other"));
    all_are_busy(site.data());
    machine.inside(&format!("touch -d '11 minutes ago' {locks}/change-other"));
    done(site.data(), &["backup"], "");
    let left = machine.inside(&format!("find {locks} {locks}/../.meantime -type f"));
    assert_eq!(left, "");
}
