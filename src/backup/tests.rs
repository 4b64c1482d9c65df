//! Backups, against everything that can go wrong with them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

use super::{object, repository::Repository, restore::UNFINISHED, *};
use crate::{
    base::{Id, Result, scratch::Scratch},
    db::{Change, DataFolder, Database, MediaStore},
};

/// A site with something of everything, and room for backups beside it.
pub(super) struct Place {
    pub(super) dir: tempfile::TempDir,
    pub(super) folder: DataFolder,
    encryption: Encryption,
}

impl Place {
    /// Whose backups are encrypted with a passphrase.
    pub(super) fn sealed() -> Self {
        let passphrase = Some("correct horse".to_owned());
        let to = Vec::new();
        Self {
            encryption: Encryption { to, passphrase },
            ..Self::new()
        }
    }

    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = DataFolder::open_or_create(&dir.path().join("data")).unwrap();
        let this = Self {
            dir,
            folder,
            encryption: Encryption::default(),
        };
        let root = this.folder.root();
        for (path, text) in [
            ("tls/authority-key.pem", "a key"),
            ("tls/public/a.pem", "another"),
            ("public/index.html", "<p>hello"),
            ("public/deep/er/x.txt", ""),
            ("secrets/dns", "a secret"),
            ("webstead.toml", "domain = \"example.org\""),
        ] {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        for n in 0..200 {
            this.add_tag(&format!("first-{n}"));
        }
        this.add_media(b"a picture");
        this
    }

    pub(super) fn add_tag(&self, name: &str) {
        let (mut change, id) = (Change::new(), Id::new());
        let sql = "INSERT INTO tags (id, slug, name) VALUES (?1, ?2, ?3)";
        let text = "some text that is in it ".repeat(100);
        change.push(sql, vec![id.into(), name.into(), text.into()]);
        let database = Database::open(&self.folder.database()).unwrap();
        database.apply_blocking(change).unwrap();
        database.close();
    }

    pub(super) fn add_media(&self, bytes: &[u8]) -> String {
        let hash = MediaStore::new(&self.folder).store(bytes).unwrap();
        let mut change = Change::new();
        let sql = "INSERT INTO media (id, hash, name, content_type, size_bytes, created_at) \
                   VALUES (?1, ?2, 'x.png', 'image/png', ?3, 0)";
        let size = bytes.len() as i64;
        change.push(sql, vec![Id::new().into(), (&hash).into(), size.into()]);
        let database = Database::open(&self.folder.database()).unwrap();
        database.apply_blocking(change).unwrap();
        database.close();
        hash
    }

    pub(super) fn source(&self) -> Source {
        Source {
            folder: self.folder.clone(),
            settings: self.folder.root().join("webstead.toml"),
            with_secrets: false,
            database: None,
            keeps_changes: false,
        }
    }

    pub(super) fn store(&self) -> PathBuf {
        self.dir.path().join("backups")
    }

    pub(super) fn target(&self) -> Target {
        self.store().display().to_string().parse().unwrap()
    }

    pub(super) fn repository(&self) -> Repository {
        let (root, keys) = (self.folder.root(), Keys::of_machine(self.folder.root()));
        let repository = self
            .target()
            .open_or_create(root, None, &keys, &self.encryption);
        repository.unwrap()
    }

    pub(super) fn back_up(&self) -> Made {
        make(&self.source(), &self.repository(), &quiet, &NEVER).unwrap()
    }

    pub(super) fn restore(&self, which: Which) -> Result<PathBuf> {
        let to = self.dir.path().join(format!("restored-{}", Id::new()));
        restore(
            &self.repository(),
            Wanted::Backup(which),
            at(&to),
            &quiet,
            &NEVER,
        )
        .map(|_| to)
    }

    pub(super) fn trial(&self) -> Vec<String> {
        let scratch = self.dir.path();
        let trial = try_out(&self.repository(), Which::Latest, scratch, &quiet, &NEVER);
        trial.unwrap().problems
    }
}

const LATEST: Wanted<'static> = Wanted::Backup(Which::Latest);

/// Where the site itself is to be.
pub(super) fn at(folder: &Path) -> To<'_> {
    To {
        folder,
        is_copy: false,
    }
}

pub(super) static NEVER: AtomicBool = AtomicBool::new(false);

pub(super) fn quiet(_: &str, _: usize, _: usize) {}

pub(super) fn noise(bytes: usize) -> Vec<u8> {
    let mut noise = vec![0; bytes];
    getrandom::fill(&mut noise).unwrap();
    noise
}

/// Every file below a folder, with its content.
pub(super) fn everything(root: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(root: &Path, dir: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(root, &path, found);
            } else {
                let name = path.strip_prefix(root).unwrap().display().to_string();
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(root, root, &mut found);
    found
}

/// What of a site a backup has.
pub(super) fn of_site(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = everything(root);
    let folders = ["media/", "tls/", "public/"];
    files.retain(|name, _| {
        name == "site.db"
            || name == "webstead.toml"
            || folders.iter().any(|folder| name.starts_with(folder))
    });
    files
}

#[test]
fn a_restored_site_is_the_same_to_the_byte_and_the_dates_of_its_files_too() {
    let place = Place::new();
    place.add_media(&noise(object::MAX_BYTES + 1000));
    let made = place.back_up();
    assert_eq!((made.number, made.files), (1, 7));
    assert!(made.warnings.is_empty() && place.trial().is_empty());
    let to = place.restore(Which::Latest).unwrap();
    assert_eq!(of_site(&to), of_site(place.folder.root()));
    assert!(
        !to.join("secrets").exists(),
        "secrets are not spread unasked"
    );
    let date = |root: &Path| {
        fs::metadata(root.join("public/index.html"))
            .unwrap()
            .modified()
            .unwrap()
    };
    assert_eq!(date(&to), date(place.folder.root()));
    let with_secrets = Source {
        with_secrets: true,
        ..place.source()
    };
    make(&with_secrets, &place.repository(), &quiet, &NEVER).unwrap();
    let to = place.restore(Which::Number(2)).unwrap();
    assert_eq!(fs::read(to.join("secrets/dns")).unwrap(), b"a secret");
}

#[test]
fn encrypted_backups_tell_nothing_and_come_back_with_the_passphrase_alone() {
    let place = Place::sealed();
    let picture = noise(70_000);
    let hash = place.add_media(&picture);
    place.back_up();
    assert!(place.trial().is_empty());
    let again = place.back_up();
    assert_eq!(again.new_bytes, 0, "what is there is known by its name");
    for (name, bytes) in everything(&place.store()) {
        let is_in = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
        assert!(
            !name.contains(&hash) && !is_in(&picture[..50]) && !is_in(b"CREATE TABLE"),
            "{name}"
        );
        assert!(
            !is_in(b"public/index.html") && !is_in(hash.as_bytes()),
            "{name}"
        );
    }
    let with_word = |word: &str| {
        let ask = || Ok(word.to_owned());
        let keys = Keys {
            passphrase: Some(&ask),
            ..Keys::default()
        };
        place.target().open(&keys)
    };
    assert!(with_word("wrong horse").is_err() && place.target().open(&Keys::default()).is_err());
    let repository = with_word("correct horse").unwrap();
    let to = place.dir.path().join("restored");
    restore(&repository, LATEST, at(&to), &quiet, &NEVER).unwrap();
    let mut restored = everything(&to);
    let kept = restored
        .keys()
        .filter(|name| name.starts_with("secrets/backup-"))
        .count();
    assert_eq!(kept, 1, "later backups go on");
    // The checksums of its pages are of the new file.
    assert!(restored.remove("site.db-sums2").is_some());
    restored.retain(|name, _| !name.starts_with("secrets/"));
    assert_eq!(restored, of_site(place.folder.root()));
}

#[test]
fn an_unchanged_site_costs_little_and_its_media_are_not_even_opened() {
    let place = Place::new();
    place.back_up();
    let before: usize = everything(&place.store()).values().map(Vec::len).sum();
    let media = place.folder.media();
    let away = place.dir.path().join("away");
    fs::rename(&media, &away).unwrap();
    fs::create_dir(&media).unwrap();
    let made = place.back_up();
    let after: usize = everything(&place.store()).values().map(Vec::len).sum();
    assert!(made.warnings.is_empty() && made.new_bytes == 0, "{made:?}");
    assert!(after - before < 4096, "{}", after - before);
    fs::remove_dir(&media).unwrap();
    fs::rename(&away, &media).unwrap();
    assert_eq!(
        of_site(&place.restore(Which::Latest).unwrap()),
        of_site(place.folder.root())
    );
}

#[test]
fn a_change_costs_what_it_changed_and_each_backup_stays_what_it_was() {
    let place = Place::new();
    place.back_up();
    let first = of_site(place.folder.root());
    place.add_tag("another");
    place.add_media(b"another picture");
    fs::write(place.folder.public().join("index.html"), "<p>bye").unwrap();
    let made = place.back_up();
    assert!(made.new_bytes > 0 && made.new_bytes < 200_000, "{made:?}");
    assert_eq!(of_site(&place.restore(Which::Number(1)).unwrap()), first);
    assert_eq!(
        of_site(&place.restore(Which::Latest).unwrap()),
        of_site(place.folder.root())
    );
}

#[test]
fn what_the_site_has_lost_is_said_and_healed_from_an_earlier_backup() {
    let place = Place::new();
    let hash = place.add_media(b"will be damaged");
    let file = place.folder.media().join(&hash);
    fs::write(&file, b"damaged").unwrap();
    let made = place.back_up();
    assert!(
        made.warnings.len() == 1 && made.warnings[0].contains("damaged"),
        "{made:?}"
    );
    assert!(place.trial().is_empty(), "that is no fault of the backup");
    fs::write(&file, b"will be damaged").unwrap();
    assert!(place.back_up().warnings.is_empty());
    fs::remove_file(&file).unwrap();
    assert!(place.back_up().warnings.is_empty(), "the repository has it");
    let to = place.restore(Which::Latest).unwrap();
    assert_eq!(
        fs::read(to.join("media").join(hash)).unwrap(),
        b"will be damaged"
    );
}

#[test]
fn a_flipped_bit_in_any_file_is_noticed_and_the_next_backup_heals_it() {
    for place in [Place::new(), Place::sealed()] {
        flip_bits_of(&place);
    }
}

fn flip_bits_of(place: &Place) {
    place.back_up();
    assert!(place.trial().is_empty());
    let store = place.store();
    let key = place.repository().key;
    for (name, bytes) in everything(&store) {
        if bytes.is_empty() || name == "READ-ME.txt" || name == "lock" {
            continue;
        }
        for at in [0, bytes.len() / 2, bytes.len() - 1] {
            let mut broken = bytes.clone();
            broken[at] ^= 4;
            fs::write(store.join(&name), &broken).unwrap();
            // Brotli fills its last byte up with bits that say nothing.
            if let Some(reference) = object::Reference::of_file(&name)
                && object::unpack(&reference, broken, object::MAX_BYTES, key.as_ref()).is_ok()
            {
                assert_eq!(at, bytes.len() - 1, "{name}");
                continue;
            }
            let noticed = match place.target().find(&Keys::of_machine(place.folder.root())) {
                Err(_) => true,
                Ok(found) => {
                    let repository = found.unwrap();
                    let trial =
                        try_out(&repository, Which::Latest, place.dir.path(), &quiet, &NEVER);
                    let is_bad = trial.is_ok_and(|trial| !trial.problems.is_empty());
                    let listed = list(&repository).unwrap();
                    is_bad
                        || listed.iter().any(|b| matches!(b.trust, Trust::Bad(_)))
                        // Without its result a backup counts as not tried, until it is.
                        || name.starts_with("tried/")
                        // It is used all the same, and written anew.
                        || repository.is_without_format
                }
            };
            assert!(noticed, "byte {at} of {name}");
            if name.starts_with("objects/") {
                assert!(place.restore(Which::Latest).is_err(), "byte {at} of {name}");
                let made = place.back_up();
                assert!(made.new_bytes > 0, "byte {at} of {name}: {made:?}");
                assert!(
                    place.trial().is_empty(),
                    "byte {at} of {name} is not healed"
                );
            }
            fs::write(store.join(&name), &bytes).unwrap();
        }
    }
}

#[test]
fn only_one_at_a_time_changes_a_repository_and_a_crash_leaves_no_lock() {
    let place = Place::new();
    let repository = place.repository();
    let lock = repository.store.lock(true).unwrap();
    let error = make(&place.source(), &repository, &quiet, &NEVER).unwrap_err();
    assert!(error.to_string().contains("busy"), "{error}");
    drop(lock);
    place.back_up();
}

#[test]
fn restoring_sets_the_old_site_aside_keeps_its_secrets_and_is_refused_while_it_runs() {
    let place = Place::new();
    place.back_up();
    let then = of_site(place.folder.root());
    place.add_tag("since then");
    let now = of_site(place.folder.root());
    let root = place.folder.root();
    let lock = place.folder.lock_for_server().unwrap();
    let error = restore(&place.repository(), LATEST, at(root), &quiet, &NEVER).unwrap_err();
    assert!(error.to_string().contains("running"), "{error}");
    assert_eq!(of_site(root), now);
    drop(lock);
    let changes = preview(&place.repository(), LATEST, root, &quiet, &NEVER).unwrap();
    assert_eq!(changes.changes, Some(Changes::default()), "no post differs");
    let restored = restore(&place.repository(), LATEST, at(root), &quiet, &NEVER).unwrap();
    assert_eq!(of_site(root), then);
    assert_eq!(fs::read(root.join("secrets/dns")).unwrap(), b"a secret");
    assert_eq!(of_site(&restored.set_aside.unwrap()), now);
    let left: Vec<_> = everything(place.dir.path())
        .into_keys()
        .filter(|n| n.contains(UNFINISHED))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    // Not everything that is there is a site.
    let other = place.dir.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("thesis.doc"), "x").unwrap();
    let error = restore(&place.repository(), LATEST, at(&other), &quiet, &NEVER).unwrap_err();
    assert!(error.to_string().contains("not a data folder"), "{error}");
    assert!(other.join("thesis.doc").exists());
}

#[test]
fn no_backup_goes_to_the_wrong_place() {
    let place = Place::new();
    let data = place.folder.root();
    let refusal = |target: Target, known: Option<&str>| {
        let opened = target.open_or_create(data, known, &Keys::default(), &Encryption::default());
        opened.err().unwrap().to_string()
    };
    refusal(
        data.join("backups").display().to_string().parse().unwrap(),
        None,
    );
    fs::create_dir(place.store()).unwrap();
    fs::write(place.store().join("photo.jpg"), "x").unwrap();
    let error = refusal(place.target(), None);
    assert!(error.contains("photo.jpg"), "{error}");
    fs::remove_dir_all(place.store()).unwrap();
    // The disk was there once, and is not now.
    let error = refusal(place.target(), Some("0123456789abcdef"));
    assert!(error.contains("is the disk there"), "{error}");
    assert!(!place.store().exists());
    place.back_up();
    let error = refusal(place.target(), Some("0123456789abcdef"));
    assert!(error.contains("another disk"), "{error}");
    let error = refusal("/mnt/no-disk-is-here/backups".parse().unwrap(), None);
    assert!(error.contains("no disk is mounted"), "{error}");
}

#[test]
fn a_restore_removes_what_interrupted_ones_have_left_and_nothing_that_another_one_is_at_work_in() {
    let place = Place::new();
    place.back_up();
    let left = place.dir.path().join(format!("{UNFINISHED}left"));
    fs::create_dir_all(left.join("media")).unwrap();
    fs::write(left.join("site.db"), "half of it").unwrap();
    let used = Scratch::in_folder(place.dir.path(), UNFINISHED).unwrap();
    let to = place.dir.path().join("new");
    restore(&place.repository(), LATEST, at(&to), &quiet, &NEVER).unwrap();
    assert!(to.join("site.db").exists() && !left.exists());
    assert!(used.path().exists());
    // One that fails leaves nothing either.
    fs::write(place.dir.path().join("file"), "").unwrap();
    let nowhere = place.dir.path().join("file/in/it");
    restore(&place.repository(), LATEST, at(&nowhere), &quiet, &NEVER).unwrap_err();
    drop(used);
    let names = fs::read_dir(place.dir.path()).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name());
    assert_eq!(
        names
            .filter(|name| name.to_string_lossy().starts_with(UNFINISHED))
            .count(),
        0
    );
}
