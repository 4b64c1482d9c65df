//! What the owner is told of the disk: the room, and what was written to it, by file and day.

use std::{fs, path::Path, time::Duration};

use reqwest::blocking::Client;

use crate::{
    site::{OWNER, PASSWORD, Site, command},
    tools::SmallDisk,
    waiting::{until, wait_within},
};

/// What the page says of a file, in bytes.
fn written(site: &Site, client: &Client, file: &str) -> f64 {
    let page = site.text(client, "/admin/disk").1;
    let end = format!(" <code>{file}</code>");
    let mut sum = 0.0;
    for before in page.split(&end).take(page.matches(&end).count()) {
        let told = before.rsplit(['>', '·']).next().unwrap().trim();
        let (number, unit) = told.split_once(' ').unwrap();
        let unit = match unit {
            "bytes" => 1.0,
            "kB" => 1e3,
            "MB" => 1e6,
            _ => panic!("{told}"),
        };
        sum += number.parse::<f64>().unwrap() * unit;
    }
    sum
}

/// Waits until the page says so much of a file.
fn wait_for(site: &Site, client: &Client, file: &str, bytes: f64) {
    let said = || written(site, client, file);
    let is_so = || (said() - bytes).abs() < bytes / 50.0;
    wait_within(Duration::from_secs(20), is_so, || {
        format!("{file}: {}", said())
    });
}

fn import(data: &Path, folder: &Path, bytes: usize) {
    fs::create_dir(folder).unwrap();
    let mut picture = vec![0; bytes];
    getrandom::fill(&mut picture).unwrap();
    fs::write(folder.join("picture.png"), picture).unwrap();
    let title = folder.file_name().unwrap().display();
    let post = format!("---\ntitle: {title}\ndate: 2024-01-01\n---\n![x](picture.png)\n");
    fs::write(folder.join(format!("{title}.md")), post).unwrap();
    let import = command(data).arg("import").arg(folder).output().unwrap();
    assert!(import.status.success(), "{import:?}");
}

#[test]
fn the_owner_sees_what_was_written_also_by_an_import_and_before_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("site");
    let site = Site::start_on(&data);
    let client = site.set_up();
    // A text that does not become small.
    let mut noise = vec![0; 60_000];
    getrandom::fill(&mut noise).unwrap();
    let words = data_encoding::BASE64.encode(&noise);
    let before = written(&site, &client, "site.db-wal");
    site.publish(&client, &[("title", "Long"), ("markdown", &words)]);
    let saved = written(&site, &client, "site.db-wal") - before;
    assert!(saved > 60_000.0 && saved < 600_000.0, "{saved}");
    import(&data, &dir.path().join("beside"), 300_000);
    wait_for(&site, &client, "media/", 300e3);
    let log = written(&site, &client, "site.db-wal");
    let mut site = site.restart();
    let client = site.sign_in(OWNER, PASSWORD);
    wait_for(&site, &client, "media/", 300e3);
    assert!(written(&site, &client, "site.db-wal") >= log * 0.95);
    // The log was written back when it stopped.
    until(&site, "it is counted", || {
        written(&site, &client, "site.db") > 60_000.0
    });
    site.stop();
    import(&data, &dir.path().join("without"), 700_000);
    let site = site.restart_stopped();
    let client = site.sign_in(OWNER, PASSWORD);
    wait_for(&site, &client, "media/", 1e6);
}

#[test]
fn the_owner_is_told_that_the_disk_is_nearly_full() {
    let dir = tempfile::tempdir().unwrap();
    let mount = dir.path().join("small");
    let Some(_small) = SmallDisk::at(mount.clone(), "64m") else {
        return;
    };
    let site = Site::start_on(&mount.join("data"));
    let client = site.set_up();
    assert!(!site.text(&client, "/admin/disk").1.contains("nearly full"));
    fs::write(mount.join("other"), vec![1; 62 << 20]).unwrap();
    for _ in 0..150 {
        let page = site.text(&client, "/admin/disk").1;
        if page.contains("nearly full: 1 MB are left") || page.contains("nearly full: 0 MB") {
            // On every page of the owner.
            assert!(site.text(&client, "/admin/posts").1.contains("nearly full"));
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("{}", site.text(&client, "/admin/disk").1);
}
