//! Places for backups, and what is found in them.

use std::{cell::Cell, fs, os::unix::fs::MetadataExt as _};

use super::{
    tests::{NEVER, Place, everything, noise, quiet},
    *,
};
use crate::{
    base::{Error, Id, Result},
    db::{Change, DataFolder, Database},
};

#[test]
fn a_first_file_that_is_damaged_or_gone_is_made_anew_from_the_backups() {
    for place in [Place::new(), Place::sealed()] {
        place.back_up();
        let first = place.store().join("webstead-backups.json");
        let whole = fs::read(&first).unwrap();
        for broken in [Some("{\"format\": 1, \"repos"), Some(""), None] {
            match broken {
                Some(text) => fs::write(&first, text).unwrap(),
                None => fs::remove_file(&first).unwrap(),
            }
            // Reading it changes nothing there.
            assert!(place.trial().is_empty());
            assert_ne!(fs::read(&first).ok(), Some(whole.clone()));
            place.back_up();
            assert_eq!(fs::read(&first).unwrap(), whole);
            assert!(place.trial().is_empty());
        }
        // Where no backup says it either, somebody has to know.
        fs::write(&first, "{").unwrap();
        for file in fs::read_dir(place.store().join("backups")).unwrap() {
            fs::write(file.unwrap().path(), "{").unwrap();
        }
        let keys = Keys::of_machine(place.folder.root());
        let error = place.target().find(&keys).err().unwrap().to_string();
        assert!(error.contains("a copy of that folder"), "{error}");
        fs::remove_dir_all(place.store().join("backups")).unwrap();
        let error = place.target().find(&keys).err().unwrap().to_string();
        assert!(error.contains("remove it to begin anew"), "{error}");
    }
}

#[test]
fn what_root_makes_by_hand_belongs_to_whom_the_site_belongs() {
    const OWNER: u32 = 12_345;
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can give files away");
        assert!(
            std::env::var_os("WEBSTEAD_REQUIRE_TOOLS").is_none(),
            "root is required"
        );
        return;
    }
    let place = Place::new();
    std::os::unix::fs::chown(place.folder.root(), Some(OWNER), Some(OWNER)).unwrap();
    place.back_up();
    place.add_tag("another");
    place.back_up();
    assert!(place.trial().is_empty());
    let mut looked_at = 0;
    let mut all = vec![place.store()];
    while let Some(path) = all.pop() {
        let found = fs::symlink_metadata(&path).unwrap();
        assert_eq!(found.uid(), OWNER, "{}", path.display());
        if found.is_dir() {
            let entries = fs::read_dir(&path).unwrap();
            all.extend(entries.map(|entry| entry.unwrap().path()));
        }
        looked_at += 1;
    }
    assert!(looked_at > 10);
}

#[test]
fn the_log_of_the_database_does_not_grow_while_files_are_copied() {
    let place = Place::new();
    for _ in 0..3 {
        place.add_media(&noise(10_000));
    }
    let database = Database::open(&place.folder.database()).unwrap();
    let saves = Cell::new(0);
    let progress = |doing: &str, _: usize, _: usize| {
        if doing != "pictures, files" || saves.get() > 0 {
            return;
        }
        for n in 0..40 {
            let mut change = Change::new();
            let sql = "INSERT INTO tags (id, slug, name) VALUES (?1, ?2, ?3)";
            let text = format!("{n} {}", "x".repeat(400_000));
            let slug = format!("large-{n}");
            change.push(sql, vec![Id::new().into(), slug.into(), text.into()]);
            database.apply_blocking(change).unwrap();
            saves.set(saves.get() + 1);
        }
    };
    make(&place.source(), &place.repository(), &progress, &NEVER).unwrap();
    assert_eq!(saves.get(), 40);
    let log = place.folder.database().with_extension("db-wal");
    let bytes = fs::metadata(log).unwrap().len();
    assert!(
        bytes < 10_000_000,
        "16 MB were saved, and the log has {bytes}"
    );
    database.close();
    assert!(place.trial().is_empty(), "of the moment before");
}

#[test]
fn settings_that_cannot_work_are_told_with_a_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    fs::create_dir(&data).unwrap();
    let problems = |text: &str| {
        let settings: Settings = toml::from_str(text).unwrap();
        settings.problems(&data).join("\n")
    };
    for (text, word) in [
        ("to = \"backups\"".to_owned(), "whole path"),
        (
            format!("to = \"{}/x/y\"", data.display()),
            "inside of the data folder",
        ),
        (
            "keep_days = 0\nkeep_weeks = 0\nkeep_months = 0".to_owned(),
            "leave them out",
        ),
    ] {
        assert!(
            problems(&text).contains(word),
            "{text}: {}",
            problems(&text)
        );
    }
    for sound in [
        "",
        "to = \"../beside\"",
        "to = \"/mnt/stick/backups\"\nkeep_days = 0",
        "to = \"s3://my-bucket/x\"",
        "to = \"sftp://ada@nas.example/~/x\"",
    ] {
        assert_eq!(problems(sound), "", "{sound}");
    }
}

#[test]
fn a_place_that_the_settings_name_is_not_begun_anew_where_its_disk_is_gone() {
    let place = Place::new();
    let (source, target) = (place.source(), place.target());
    let round = |takes_new_place| Round {
        takes_over: takes_new_place,
        source: &source,
        target: &target,
        takes_new_place,
        tries: false,
        keys: Keys::of_machine(place.folder.root()),
        encryption: Encryption::default(),
        rule: None,
    };
    round(false).go(&quiet, &NEVER).unwrap();
    let before = everything(&place.store());
    let away = place.dir.path().join("away");
    fs::rename(place.store(), &away).unwrap();
    round(false).go(&quiet, &NEVER).unwrap_err();
    assert!(!place.store().exists());
    fs::rename(&away, place.store()).unwrap();
    assert_eq!(everything(&place.store()), before);
    round(false).go(&quiet, &NEVER).unwrap();
    // Who names it means it.
    fs::rename(place.store(), &away).unwrap();
    round(true).go(&quiet, &NEVER).unwrap();
}

#[test]
fn a_round_is_remembered_whether_it_went_well_or_not() {
    let place = Place::new();
    let (source, target) = (place.source(), place.target());
    let round = Round {
        takes_over: true,
        source: &source,
        target: &target,
        takes_new_place: false,
        tries: true,
        keys: Keys::of_machine(place.folder.root()),
        encryption: Encryption::default(),
        rule: Some(Rule {
            hours: 0,
            days: 1,
            weeks: 1,
            months: 1,
        }),
    };
    round.go(&quiet, &NEVER).unwrap();
    let record = || State::load(place.folder.root()).of(&target.to_string());
    assert!(record().last_proven.is_some() && record().failed.is_none());
    fs::remove_dir_all(place.store()).unwrap();
    round.go(&quiet, &NEVER).unwrap_err();
    assert!(record().failed.unwrap().1.contains("is the disk there"));
    assert!(
        !place.store().exists(),
        "nothing was made where the disk should be"
    );
}

/// A round for a site, as the server makes it by itself, or as a person says so.
fn round_of(folder: &DataFolder, target: &Target, takes_over: bool) -> Result<Outcome> {
    let source = Source {
        folder: folder.clone(),
        settings: folder.root().join("webstead.toml"),
        with_secrets: false,
        database: None,
        keeps_changes: false,
    };
    let round = Round {
        source: &source,
        target,
        takes_new_place: false,
        takes_over,
        tries: false,
        keys: Keys::of_machine(folder.root()),
        encryption: Encryption::default(),
        rule: None,
    };
    round.go(&quiet, &NEVER)
}

#[test]
fn a_copy_beside_a_site_goes_on_with_its_backups_only_when_a_person_says_so() {
    let place = Place::new();
    add_account(&place);
    let target = place.target();
    round_of(&place.folder, &target, false).unwrap();
    let [copy, machine] = ["copy", "machine"].map(|name| place.dir.path().join(name));
    for (folder, is_copy) in [(&copy, true), (&machine, false)] {
        let to = To { folder, is_copy };
        let latest = Wanted::Backup(Which::Latest);
        restore(&place.repository(), latest, to, &quiet, &NEVER).unwrap();
    }
    let (copy, machine) = (DataFolder::at(&copy), DataFolder::at(&machine));
    let before = everything(&place.store());
    let error = round_of(&copy, &target, false).unwrap_err().to_string();
    assert!(error.contains("restored beside another one"), "{error}");
    let mut after = everything(&place.store());
    after.retain(|name, _| before.contains_key(name));
    assert_eq!(after, before);
    assert!(State::load(copy.root()).of(&target.to_string()).asks);
    // What is restored on another machine, as itself, goes on; and so does a copy in a place of its own.
    round_of(&machine, &target, false).unwrap();
    let own: Target = place
        .dir
        .path()
        .join("own")
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    round_of(&copy, &own, false).unwrap();
    round_of(&copy, &target, false).unwrap_err();
    round_of(&copy, &target, true).unwrap();
    assert!(!State::load(copy.root()).of(&target.to_string()).asks);
    round_of(&copy, &target, false).unwrap();
}

#[test]
fn one_place_is_one_place_however_it_is_written() {
    let place = Place::new();
    let dir = place.dir.path();
    let write = |path: &str| -> Target { dir.join(path).to_str().unwrap().parse().unwrap() };
    fs::create_dir(dir.join("x")).unwrap();
    std::os::unix::fs::symlink(dir.join("b"), dir.join("link")).unwrap();
    std::os::unix::fs::symlink(dir, dir.join("x/up")).unwrap();
    let state = || State::load(place.folder.root());
    let name = dir.canonicalize().unwrap().join("b").display().to_string();
    for (number, way) in ["b", "b/", "./b", "x/../b", "link", "x/up/b", "b"]
        .into_iter()
        .enumerate()
    {
        // Also before there is anything at its end.
        assert_eq!(write(way).name(), name, "{way}");
        let made = round_of(&place.folder, &write(way), false).unwrap().made;
        assert_eq!(made.number, number as u64 + 1);
        let state = state();
        let places: Vec<&String> = state.places.keys().collect();
        assert_eq!(places, [&name], "{way}");
        assert!(state.of(&write(way).to_string()).last_made.is_some());
    }
}

/// A round that a person asks for by naming the place.
fn by_hand(place: &Place, target: &Target) -> Result<Outcome> {
    let source = place.source();
    let round = Round {
        source: &source,
        target,
        takes_new_place: true,
        takes_over: false,
        tries: false,
        keys: Keys::of_machine(place.folder.root()),
        encryption: Encryption::default(),
        rule: None,
    };
    round.go(&quiet, &NEVER)
}

#[test]
fn a_place_that_never_worked_is_remembered_only_while_it_is_set() {
    let place = Place::new();
    let file = place.dir.path().join("a-file");
    fs::write(&file, "something else").unwrap();
    let no_folder: Target = file.to_str().unwrap().parse().unwrap();
    let places = || State::load(place.folder.root()).places;
    let by_hand = |target| by_hand(&place, target);
    let refused = by_hand(&no_folder).unwrap_err().to_string();
    assert!(refused.contains("is not a folder"), "{refused}");
    assert!(places().is_empty(), "{:?}", places());
    // What is set is told on the owner's page, until another one is.
    round_of(&place.folder, &no_folder, false).unwrap_err();
    assert!(places().values().all(|record| record.failed.is_some()));
    by_hand(&no_folder).unwrap_err();
    assert_eq!(places().len(), 1);
    by_hand(&place.target()).unwrap();
    assert_eq!(places().len(), 2);
    round_of(&place.folder, &place.target(), false).unwrap();
    assert_eq!(places().len(), 1);
}

#[test]
fn nothing_is_restored_into_a_place_of_backups() {
    let place = Place::new();
    place.back_up();
    let (dir, store) = (place.dir.path(), place.store());
    std::os::unix::fs::symlink(&store, dir.join("link")).unwrap();
    let before = everything(&store);
    for first_is_lost in [false, true] {
        if first_is_lost {
            fs::rename(store.join("webstead-backups.json"), dir.join("lost")).unwrap();
        }
        for inside in [
            "backups",
            "backups/copy",
            "backups/objects/a/b",
            "link/copy",
        ] {
            let folder = dir.join(inside);
            let to = To {
                folder: &folder,
                is_copy: true,
            };
            let latest = Wanted::Backup(Which::Latest);
            let error = restore(&place.repository(), latest, to, &quiet, &NEVER).unwrap_err();
            let said = error.to_string();
            assert!(said.contains("has backups"), "{inside}: {said}");
            preview(&place.repository(), latest, &folder, &quiet, &NEVER).unwrap_err();
        }
    }
    fs::rename(dir.join("lost"), store.join("webstead-backups.json")).unwrap();
    assert_eq!(everything(&store), before);
}

#[test]
fn of_two_sites_without_an_account_the_second_takes_no_place_of_the_first_unasked() {
    let (first, second) = (Place::new(), Place::new());
    let target = first.target();
    round_of(&first.folder, &target, false).unwrap();
    let error = round_of(&second.folder, &target, false)
        .unwrap_err()
        .to_string();
    assert!(error.contains("without any account"), "{error}");
    round_of(&first.folder, &target, false).unwrap();
}

#[test]
fn a_folder_that_was_a_link_before_is_no_place_that_was_used() {
    let (place, other) = (Place::new(), Place::new());
    round_of(&other.folder, &other.target(), false).unwrap();
    let link = place.dir.path().join("link");
    fs::create_dir(place.store()).unwrap();
    std::os::unix::fs::symlink(place.store(), &link).unwrap();
    let target: Target = link.to_str().unwrap().parse().unwrap();
    round_of(&place.folder, &target, false).unwrap();
    fs::remove_file(&link).unwrap();
    fs::rename(other.store(), &link).unwrap();
    let before = everything(&link);
    let error = by_hand(&place, &target).unwrap_err().to_string();
    assert!(error.contains("without any account"), "{error}");
    let mut after = everything(&link);
    after.retain(|name, _| before.contains_key(name));
    assert_eq!(after, before);
}

fn add_account(place: &Place) {
    let mut change = Change::new();
    let sql = "INSERT INTO users (id, name, display_name, password_hash, role, created_at) \
               VALUES (?1, 'ada', 'Ada', 'x', 'owner', 0)";
    change.push(sql, vec![Id::new().into()]);
    let database = Database::open(&place.folder.database()).unwrap();
    database.apply_blocking(change).unwrap();
    database.close();
}

#[test]
fn nothing_is_restored_into_a_site_by_whatever_name() {
    let place = Place::new();
    place.back_up();
    let (dir, data) = (place.dir.path(), place.folder.root());
    fs::create_dir(data.join("room")).unwrap();
    std::os::unix::fs::symlink(data, dir.join("link")).unwrap();
    std::os::unix::fs::symlink(data.join("room"), dir.join("another")).unwrap();
    let before = everything(data);
    for inside in [
        "data/copy",
        "data/room",
        "data/room/deep/copy",
        "data/../data/copy",
        "data/room/../copy",
        "nothing/../data/copy",
        "link",
        "link/copy",
        "link/room",
        "another/copy",
    ] {
        let folder = dir.join(inside);
        let is_copy = true;
        let to = To {
            folder: &folder,
            is_copy,
        };
        let latest = Wanted::Backup(Which::Latest);
        let error = restore(&place.repository(), latest, to, &quiet, &NEVER).unwrap_err();
        assert!(matches!(error, Error::Invalid(_)), "{inside}: {error}");
        if inside != "link" {
            assert!(
                error.to_string().contains("is inside of the site"),
                "{inside}: {error}"
            );
            let error = preview(&place.repository(), latest, &folder, &quiet, &NEVER);
            assert!(error.is_err(), "{inside}");
        }
        assert_eq!(everything(data), before, "{inside}");
    }
    for beside in ["copy", "data/../copy-2", "new/deep/copy"] {
        let folder = dir.join(beside);
        let to = To {
            folder: &folder,
            is_copy: true,
        };
        let latest = Wanted::Backup(Which::Latest);
        restore(&place.repository(), latest, to, &quiet, &NEVER).unwrap();
        assert!(folder.join("site.db").exists(), "{beside}");
    }
}
