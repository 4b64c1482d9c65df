//! Backups that come from elsewhere.

use std::fs;

use super::{
    folder::FolderStore,
    manifest::{self, FileEntry, Manifest},
    object,
    repository::Repository,
    tests::{Place, everything},
    *,
};

/// A backup whose manifest says something else.
fn forged(place: &Place, change: impl FnOnce(&Repository, &mut Manifest)) {
    let repository = place.repository();
    let mut kept = repository.contents().unwrap().kept.pop().unwrap();
    change(&repository, &mut kept.manifest);
    kept.manifest.number += 1;
    repository.publish(&kept.manifest).unwrap();
}

fn put(repository: &Repository, content: &[u8]) -> object::Reference {
    let (reference, bytes) = object::pack(content, object::digest_of(content, None), None).unwrap();
    repository.store.put(&reference.file(), &bytes).unwrap();
    reference
}

fn entry(repository: &Repository, path: &str, content: &[u8]) -> FileEntry {
    FileEntry {
        path: path.into(),
        bytes: content.len() as u64,
        changed: (0, 0),
        parts: vec![put(repository, content)],
    }
}

#[test]
fn a_repository_from_elsewhere_cannot_write_where_it_should_not_nor_without_end() {
    let place = Place::new();
    place.back_up();
    let with_files = |files: &dyn Fn(&Repository) -> Vec<FileEntry>| {
        forged(&place, |repository, manifest| {
            let files = files(repository);
            manifest.files = vec![put(repository, &manifest::write_files(&files).unwrap())];
            (manifest.file_count, manifest.file_bytes) = (files.len() as u64, 4);
        });
        let before = everything(place.dir.path());
        let error = place.restore(Which::Latest).unwrap_err().to_string();
        assert_eq!(everything(place.dir.path()), before, "{error}");
        assert!(!place.trial().is_empty(), "{error}");
        error
    };
    for path in [
        "../evil",
        "/tmp/evil",
        "public/../../evil",
        "site.db",
        "media/evil",
    ] {
        let error = with_files(&|repository| vec![entry(repository, path, b"evil")]);
        assert!(error.contains("not a file of a data folder"), "{error}");
    }
    let twice = with_files(&|r| vec![entry(r, "public/x", b"ev"), entry(r, "public/x", b"il")]);
    assert!(twice.contains("twice"), "{twice}");
    let larger = with_files(&|r| vec![entry(r, "public/x", b"more than four bytes")]);
    assert!(larger.contains("larger than it says"), "{larger}");
    let bomb = with_files(&|r| {
        let mut bomb = entry(r, "public/x", b"");
        bomb.parts = vec![put(r, &vec![0; object::MAX_BYTES]); 1000];
        bomb.bytes = 1000 * object::MAX_BYTES as u64;
        vec![bomb]
    });
    assert!(bomb.contains("larger than it says"), "{bomb}");
    forged(&place, |_, manifest| manifest.database.bytes = 1 << 43);
    assert!(place.repository().contents().unwrap().unreadable.len() == 1);
    // Files without content cost a name each, and are no more than the manifest says and the disk has names for.
    let empty = |path: &str| FileEntry {
        path: path.into(),
        bytes: 0,
        changed: (0, 0),
        parts: Vec::new(),
    };
    forged(&place, |repository, manifest| {
        let files = ["public/a", "public/b", "public/c"].map(empty);
        manifest.files = vec![put(repository, &manifest::write_files(&files).unwrap())];
        (manifest.file_count, manifest.file_bytes) = (1, 0);
    });
    let error = place.restore(Which::Latest).unwrap_err().to_string();
    assert!(error.contains("more files than it says"), "{error}");
    assert!(!place.trial().is_empty());
    forged(&place, |_, manifest| manifest.file_count = u64::MAX / 2);
    let error = place.restore(Which::Latest).unwrap_err().to_string();
    assert!(error.contains("no room"), "{error}");
    forged(&place, |_, manifest| manifest.file_bytes = u64::MAX / 2);
    let error = place.restore(Which::Latest).unwrap_err().to_string();
    assert!(error.contains("no room"), "{error}");
}

#[test]
fn a_place_cannot_make_plain_backups_of_encrypted_ones() {
    let place = Place::sealed();
    place.back_up();
    let first = place.store().join("webstead-backups.json");
    let text = fs::read_to_string(&first).unwrap();
    assert!(text.contains("\"sealed\": true"));
    fs::write(&first, text.replace("true", "false")).unwrap();
    let before = everything(&place.store());
    let keys = Keys::of_machine(place.folder.root());
    let refused = || place.target().find(&keys).err().unwrap().to_string();
    assert!(refused().contains("somebody has changed them"));
    // Nor with a plain backup in their place, and no first file at all.
    let id = text.split('"').nth_back(3).unwrap();
    assert_eq!(id.len(), 16, "{text}");
    assert_eq!(everything(&place.store()), before);
    let plain = Place::new();
    plain.back_up();
    let mut manifest = plain
        .repository()
        .contents()
        .unwrap()
        .kept
        .remove(0)
        .manifest;
    manifest.repository = id.to_owned();
    for file in ["webstead-backups.json", "key-passphrase.age"] {
        fs::remove_file(place.store().join(file)).unwrap();
    }
    fs::remove_dir_all(place.store().join("backups")).unwrap();
    let forged = Repository {
        store: Box::new(FolderStore::new(&place.store())),
        id: id.to_owned(),
        key: None,
        is_without_format: true,
    };
    forged.publish(&manifest).unwrap();
    assert!(refused().contains("somebody has changed them"));
}
