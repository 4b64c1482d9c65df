//! Damage that somebody could fail to hear of: of the newest backup, of a site that runs, and where nothing is compared.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use crate::{
    backup::{done, run, site_with_posts, text},
    disk::decay::flip,
    waiting::found_within,
};

#[test]
fn that_the_newest_backup_cannot_be_read_is_said_by_every_command_and_the_older_one_is_taken_by_its_number_alone()
 {
    let (site, client, dir) = site_with_posts(1);
    let store = dir.path().join("backups").display().to_string();
    done(run(site.data(), &["backup", &store]));
    site.publish(&client, &[("title", "Since then"), ("markdown", "x")]);
    done(run(site.data(), &["backup", &store]));
    let files = fs::read_dir(dir.path().join("backups/backups")).unwrap();
    let mut files: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    flip(&files[1], 100, 2);
    let name = files[1].file_name().unwrap().to_str().unwrap();
    let new = dir.path().join("new").display().to_string();
    let from = ["--from", &store];
    for command in [
        &["restore", "latest", "--to", &new][..],
        &["restore", "latest", "--to", &new, "--dry-run"],
        &["backup", "list"],
        &["backup", "verify"],
        &["backup", "verify", "2"],
        &["backup", "verify", "--all"],
        &["backup", "prune", "--dry-run"],
    ] {
        let output = run(site.data(), &[command, &from].concat());
        let said = text(&output);
        assert_eq!(output.status.code(), Some(1), "{command:?}: {said}");
        assert!(said.contains(name), "{command:?}: {said}");
    }
    assert!(!Path::new(&new).exists());
    done(run(
        site.data(),
        &["restore", "1", "--to", &new, "--from", &store],
    ));
    let said = done(run(site.data(), &["backup", &store]));
    assert!(said.contains("Backup 3 "), "{said}");
}

#[test]
fn a_site_that_runs_hears_of_damage_that_a_command_has_found_and_saves_nothing_on_top_of_it() {
    for command in [&["check"][..], &["backup"]] {
        let (site, client, dir) = site_with_posts(30);
        let site = site.restart();
        drop(client);
        let client = site.sign_in(crate::site::OWNER, crate::site::PASSWORD);
        let database = site.data().join("site.db");
        flip(&database, fs::metadata(&database).unwrap().len() / 2, 2);
        let store = dir.path().join("backups").display().to_string();
        let place = if command == ["backup"] {
            &store[..]
        } else {
            "--without-media"
        };
        let output = run(site.data(), &[command, &[place]].concat());
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        let form = [("title", "New"), ("markdown", "x"), ("action", "publish")];
        let post = site.post(&client, "/admin/posts").form(&form);
        let answer = post.send().unwrap();
        assert_eq!(answer.status(), 422, "{command:?}: {}", text(&output));
        assert!(answer.text().unwrap().contains("webstead repair"));
        assert!(site.data().join("damaged.txt").exists());
        let said = text(&run(site.data(), &["status"]));
        assert!(said.contains("damaged"), "{said}");
        found_within(std::time::Duration::from_secs(5), || {
            let page = site.text(&client, "/admin/disk").1;
            if page.contains("webstead repair") {
                return Ok(());
            }
            Err(page)
        });
    }
}

#[test]
fn where_no_page_could_be_compared_check_does_not_say_that_all_is_well() {
    let (mut site, _client, _dir) = site_with_posts(1);
    site.stop();
    let database = File::options()
        .write(true)
        .open(site.data().join("site.db"))
        .unwrap();
    let said = done(run(site.data(), &["check"]));
    assert!(said.contains("All is well"), "{said}");
    let changed = database.metadata().unwrap().modified().unwrap();
    database
        .set_modified(changed + std::time::Duration::from_secs(1))
        .unwrap();
    let said = done(run(site.data(), &["check"]));
    assert!(
        said.contains("could not be compared") && !said.contains("All is well"),
        "{said}"
    );
}
