//! A site whose disk takes no writes any more, as that of a dying card: what there is of it still gets elsewhere.

use std::{fs, path::Path};

use crate::{
    backup::{copy_folder, done, page, run, site_with_posts, text},
    lifecycle::ReadOnly,
    site::{OWNER, PASSWORD, Site, command},
    sshd::{Machine, WORD},
    stores,
    waiting::until,
};

/// What lies beside the database when its disk becomes read-only.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Left {
    Nothing,
    Log,
    LogAlone,
}

#[test]
fn a_site_on_a_disk_that_is_read_only_is_backed_up_to_another_and_what_can_be_read_of_it_is_saved()
{
    for left in [Left::Nothing, Left::Log, Left::LogAlone] {
        let (mut site, client, dir) = site_with_posts(3);
        let data = site.data().to_owned();
        site.publish(&client, &[("title", "The last one"), ("markdown", "x")]);
        let told = fs::read_to_string(data.join("backups.json")).unwrap_or_default();
        if left == Left::Nothing {
            site.stop();
        } else {
            site.signal("KILL");
            site.wait_for_end();
            assert!(data.join("site.db-wal").exists());
        }
        if left == Left::LogAlone {
            fs::remove_file(data.join("site.db-shm")).unwrap();
        }
        let Some(mount) = ReadOnly::over(&data) else {
            return;
        };
        let store = dir.path().join("backups");
        let store = store.to_str().unwrap();
        for number in 1..=2 {
            let said = done(run(&data, &["backup", store]));
            let wanted = format!("Backup {number} is in");
            assert!(
                said.contains(&wanted) && said.contains("it is sound"),
                "{left:?}: {said}"
            );
            assert!(said.contains("mounted read-only"), "{left:?}: {said}");
            // The folder is on the same disk in truth, and nothing else is complained about.
            assert_eq!(said.matches("warning").count(), 2, "{left:?}: {said}");
            assert!(
                said.contains("same disk") && !said.contains("WARN"),
                "{left:?}: {said}"
            );
        }
        repair_elsewhere(&data, dir.path());
        assert_eq!(
            fs::read_to_string(data.join("backups.json")).unwrap_or_default(),
            told
        );
        let restored = dir.path().join("restored");
        done(run(&restored, &["restore", "latest", "--from", store]));
        let restored = Site::start_on(&restored);
        for path in ["/post-2", "/the-last-one"] {
            assert_eq!(
                restored.text(&restored.client(), path).0,
                200,
                "{left:?}: {path}"
            );
        }
        page(&restored, "/post-0");
        drop(mount);
    }
}

fn repair_elsewhere(data: &Path, dir: &Path) {
    for here in [&["repair"][..], &["repair", "--replace"]] {
        let refused = run(data, here);
        let said = text(&refused);
        assert!(
            !refused.status.success() && said.contains("repair --to FILE"),
            "{said}"
        );
    }
    let file = dir.join("saved.db");
    let said = done(run(data, &["repair", "--to", file.to_str().unwrap()]));
    assert!(
        said.contains("Everything can be read") && said.contains("saved.db"),
        "{said}"
    );
    // What is there is nobody's to write over.
    assert!(
        !run(data, &["repair", "--to", file.to_str().unwrap()])
            .status
            .success()
    );
    let new = dir.join("new");
    fs::create_dir(&new).unwrap();
    for folder in ["media", "tls"] {
        copy_folder(&data.join(folder), &new.join(folder));
    }
    fs::rename(&file, new.join("site.db")).unwrap();
    let names = fs::read_dir(dir).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut left = names.filter(|name| name.contains("saved") || name.contains("salvage"));
    assert_eq!(left.next(), None);
    let site = Site::start_on(&new);
    assert_eq!(site.text(&site.client(), "/the-last-one").0, 200);
    page(&site, "/post-1");
    drop(site);
    fs::remove_dir_all(&new).unwrap();
}

#[test]
fn the_server_of_a_site_on_a_disk_that_is_read_only_backs_it_up_when_the_owner_asks() {
    let (mut site, _, dir) = site_with_posts(2);
    let (data, store) = (site.data().to_owned(), dir.path().join("backups"));
    let settings = format!("[backup]\nto = \"{}\"\n", store.display());
    fs::write(data.join("webstead.toml"), settings).unwrap();
    site.signal("KILL");
    site.wait_for_end();
    fs::remove_file(data.join("site.db-shm")).unwrap();
    let Some(mount) = ReadOnly::over(&data) else {
        return;
    };
    let site = Site::start_on(&data);
    let owner = site.sign_in(OWNER, PASSWORD);
    let asked = site.post(&owner, "/admin/backups").send().unwrap();
    assert_eq!(asked.status(), 303);
    until(&site, "it is proven", || {
        let (_, page) = site.text(&owner, "/admin/backups");
        page.contains("proven</span>")
    });
    // What need not be kept goes in between.
    until(&site, "it is made", || {
        site.log().contains("backup 1 was made and is sound")
    });
    drop(site);
    drop(mount);
}

#[test]
fn a_site_on_a_disk_that_is_read_only_is_backed_up_to_another_machine() {
    let Some(machine) = Machine::start() else {
        return;
    };
    let (mut site, _, _dir) = site_with_posts(1);
    site.stop();
    let Some(mount) = ReadOnly::over(site.data()) else {
        return;
    };
    let (place, key) = (machine.place("/~/site"), machine.host_key("ed25519"));
    let arguments = ["backup", &place, "--host-key", &key];
    // There is no key of the site's, and none can be kept.
    let said = stores::done(site.data(), &arguments, &format!("{WORD}\n"));
    assert!(
        said.contains("Backup 1 is in") && said.contains("it is sound"),
        "{said}"
    );
    drop(mount);
}

#[test]
fn a_page_that_is_not_what_was_written_gets_into_no_backup_made_by_hand() {
    let mut site = Site::start();
    let client = site.set_up();
    for number in 0..40 {
        let text = format!("post {number} ").repeat(300);
        site.publish(&client, &[("title", "A post"), ("markdown", &text)]);
    }
    site.stop();
    let place = tempfile::tempdir().unwrap();
    let back_up = || {
        command(site.data())
            .arg("backup")
            .arg(place.path())
            .output()
            .unwrap()
    };
    assert!(back_up().status.success());
    let path = site.data().join("site.db");
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.len() / 2 + 300;
    bytes[at] ^= 4;
    let before = fs::metadata(&path).unwrap().modified().unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &bytes[at..=at], at as u64).unwrap();
    file.set_modified(before).unwrap();
    let refused = back_up();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && said.contains("webstead repair"),
        "{said}"
    );
}
