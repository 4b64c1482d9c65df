//! What is kept for somebody stays, whatever others do.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
};

use super::{
    tests::{NEVER, Place, at, everything, noise, quiet},
    *,
};
use crate::{
    base::{Error, Id},
    db::{Change, Database, Trouble, open_to_look},
};

fn change(place: &Place, change: Change) {
    let database = Database::open(&place.folder.database()).unwrap();
    database.apply_blocking(change).unwrap();
    database.close();
}

fn set_up(place: &Place) {
    let mut account = Change::new();
    let sql = "INSERT INTO users (id, name, display_name, password_hash, role, created_at) \
               VALUES (?1, 'owner', 'Owner', '', 'owner', 0)";
    account.push(sql, vec![Id::new().into()]);
    change(place, account);
}

#[test]
fn a_place_with_backups_of_one_site_takes_none_of_another() {
    let (one, other) = (Place::new(), Place::new());
    set_up(&one);
    set_up(&other);
    one.back_up();
    let before = everything(&one.store());
    let refused = make(&other.source(), &one.repository(), &quiet, &NEVER).unwrap_err();
    assert!(refused.to_string().contains("another site"), "{refused}");
    assert_eq!(everything(&one.store()), before);
    assert_eq!(one.back_up().number, 2);
}

#[test]
fn damaged_data_are_not_backed_up() {
    let place = Place::new();
    place.back_up();
    fs::write(place.folder.root().join("damaged.txt"), "page 7").unwrap();
    let refused = make(&place.source(), &place.repository(), &quiet, &NEVER).unwrap_err();
    assert!(refused.to_string().contains("page 7"), "{refused}");
}

#[test]
fn a_page_that_is_not_what_was_written_is_not_backed_up_by_who_serves_either() {
    let place = Place::new();
    set_up(&place);
    place.back_up();
    let (file, before) = (place.folder.database(), everything(&place.store()));
    let database = Database::open(&file).unwrap();
    let source = Source {
        database: Some(database.clone()),
        ..place.source()
    };
    // As media decay: nobody has written to it, and SQLite sees nothing in the middle of a text.
    let open = File::options().read(true).write(true).open(&file).unwrap();
    let changed = open.metadata().unwrap().modified().unwrap();
    let bytes = fs::read(&file).unwrap();
    let words = b"some text that is in it";
    let at = bytes.windows(words.len()).position(|text| text == words);
    open.write_all_at(b"S", at.unwrap() as u64).unwrap();
    open.set_modified(changed).unwrap();
    let refused = make(&source, &place.repository(), &quiet, &NEVER).unwrap_err();
    let said = refused.to_string();
    assert!(said.contains("not what was written"), "{said}");
    assert_eq!(everything(&place.store()), before);
    // It is told as a check tells it, and nothing is saved on top of it.
    assert!(matches!(
        database.health().troubles()[..],
        [Trouble::Damaged(_)]
    ));
    database.close();
    fs::remove_file(place.folder.root().join("damaged.txt")).unwrap();
    let by_hand = make(&place.source(), &place.repository(), &quiet, &NEVER).unwrap_err();
    assert_eq!(by_hand.to_string(), said);
}

#[test]
fn damage_over_which_sqlite_stumbles_is_told_as_damage_by_a_backup_by_hand_before_anything_is_written()
 {
    let place = Place::new();
    set_up(&place);
    place.back_up();
    let (file, before) = (place.folder.database(), everything(&place.store()));
    let (bytes, page_bytes, root) = {
        let connection = open_to_look(&file).unwrap();
        let number = |sql: &str| -> u64 {
            let number = connection.query_row(sql, [], |row| row.get::<_, u32>(0));
            number.unwrap().into()
        };
        let root = number("SELECT rootpage FROM sqlite_schema WHERE name = 'users'");
        (fs::read(&file).unwrap(), number("PRAGMA page_size"), root)
    };
    // The byte that says what kind of page it is: of the first one, and of the one with the accounts.
    for at in [100, (root - 1) * page_bytes] {
        let open = File::options().write(true).open(&file).unwrap();
        let changed = open.metadata().unwrap().modified().unwrap();
        let byte = bytes[usize::try_from(at).unwrap()];
        open.write_all_at(&[byte ^ 1], at).unwrap();
        open.set_modified(changed).unwrap();
        let damaged = everything(place.folder.root());
        let refused = make(&place.source(), &place.repository(), &quiet, &NEVER).unwrap_err();
        assert!(matches!(refused, Error::Damaged(_)), "{at}: {refused}");
        assert_eq!(everything(&place.store()), before);
        assert_eq!(everything(place.folder.root()), damaged);
        open.write_all_at(&[byte], at).unwrap();
        open.set_modified(changed).unwrap();
    }
    assert_eq!(place.back_up().number, 2);
}

#[test]
fn what_an_older_backup_names_stays_even_if_it_was_taken_for_damaged() {
    let place = Place::new();
    let hash = place.add_media(&noise(50_000));
    let objects = || everything(&place.store().join("objects"));
    place.back_up();
    let sound = objects();
    // The site has the picture no more, and its object cannot be read as it was for once.
    let mut gone = Change::new();
    gone.push(
        "DELETE FROM media WHERE hash = ?1",
        vec![hash.as_str().into()],
    );
    change(&place, gone);
    let media = everything(&place.folder.root().join("media"));
    for name in media.keys().filter(|name| name.ends_with(&hash[2..])) {
        fs::remove_file(place.folder.root().join("media").join(name)).unwrap();
    }
    let (name, content) = sound.iter().max_by_key(|(_, bytes)| bytes.len()).unwrap();
    let file = place.store().join("objects").join(name);
    fs::write(&file, vec![0; content.len()]).unwrap();
    assert!(!place.trial().is_empty());
    place.back_up();
    assert!(file.exists(), "{name} was removed");
    fs::write(&file, content).unwrap();
    let first = try_out(
        &place.repository(),
        Which::Number(1),
        place.dir.path(),
        &quiet,
        &NEVER,
    );
    assert_eq!(first.unwrap().problems, Vec::<String>::new());
}

#[test]
fn what_the_machine_remembers_of_its_backups_stays_where_a_site_is_restored() {
    let place = Place::new();
    place.back_up();
    let root = place.folder.root().to_path_buf();
    State::update(&root, |state| {
        let (machine, key) = ("nas.example:22".to_owned(), "SHA256:x".to_owned());
        state.host_keys.insert(machine, key);
    })
    .unwrap();
    let before = State::load(&root);
    let wanted = Wanted::Backup(Which::Latest);
    let restored = restore(&place.repository(), wanted, at(&root), &quiet, &NEVER).unwrap();
    assert!(restored.set_aside.is_some());
    assert_eq!(State::load(&root), before);
}
