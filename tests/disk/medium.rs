//! Backups and the disks under them: a stick that gives back something else than was written, while the machine still has
//! the right bytes in its memory; and memory that is no disk.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    backup::{run, site_with_posts, text},
    site::command,
    tools::is_possible,
};

/// A disk in a file, until dropped.
struct Stick(PathBuf);

impl Stick {
    fn of(file: &Path, folder: &Path) -> Option<Self> {
        File::create(file).unwrap().set_len(24 << 20).unwrap();
        fs::create_dir(folder).unwrap();
        let does = |command: &mut Command| command.output().is_ok_and(|out| out.status.success());
        let mut format = Command::new("mkfs.ext4");
        let mut mount = Command::new("mount");
        let is_there = does(format.args(["-q", "-F"]).arg(file))
            && does(mount.args(["-o", "loop"]).arg(file).arg(folder));
        is_possible("a disk in a file", is_there).then(|| Self(folder.to_owned()))
    }
}

impl Drop for Stick {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// The largest file below a folder.
fn largest(folder: &Path) -> (u64, PathBuf) {
    let entries = fs::read_dir(folder).unwrap();
    let found = entries.map(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return largest(&path);
        }
        (fs::metadata(&path).unwrap().len(), path)
    });
    found.max().unwrap_or_default()
}

#[test]
fn a_trial_reads_what_the_stick_has_and_not_what_the_memory_still_has_of_it() {
    let (site, _, dir) = site_with_posts(1);
    let (image, mount) = (dir.path().join("stick.img"), dir.path().join("stick"));
    let Some(_stick) = Stick::of(&image, &mount) else {
        return;
    };
    let store = mount.join("backups");
    let to = store.to_str().unwrap();
    let made = run(site.data(), &["backup", to]);
    assert!(made.status.success(), "{}", text(&made));
    // A bit flips on the stick, below everything that knows of files.
    let object = largest(&store.join("objects")).1;
    let content = fs::read(&object).unwrap();
    let stick = fs::read(&image).unwrap();
    // A file begins with a block.
    let blocks = stick.chunks_exact(1024).enumerate();
    let of_it = blocks.filter(|(_, block)| block[..64] == content[..64]);
    let at = of_it
        .map(|(number, _)| number as u64 * 1024 + 40)
        .next()
        .unwrap();
    let file = File::options().write(true).open(&image).unwrap();
    file.write_all_at(&[content[40] ^ 1], at).unwrap();
    assert_eq!(fs::read(&object).unwrap(), content, "the memory has it");
    let tried = run(site.data(), &["backup", "verify", "--from", to]);
    assert!(!tried.status.success(), "{}", text(&tried));
    assert!(text(&tried).contains("is not sound"), "{}", text(&tried));
}

#[test]
fn what_a_restore_would_change_is_found_out_on_the_disk_of_the_site_and_not_in_memory() {
    let (site, _, dir) = site_with_posts(1);
    let store = dir.path().join("backups");
    let store = store.to_str().unwrap();
    let made = run(site.data(), &["backup", store]);
    assert!(made.status.success(), "{}", text(&made));
    let would = command(site.data())
        .args(["restore", "latest", "--dry-run", "--from", store])
        // On many machines temporary files are in memory.
        .env("TMPDIR", dir.path().join("no-room-here"))
        .output()
        .unwrap();
    assert!(would.status.success(), "{}", text(&would));
    let left = fs::read_dir(site.data()).unwrap();
    let left = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(!left.into_iter().any(|name| name.starts_with(".tried-")));
}
