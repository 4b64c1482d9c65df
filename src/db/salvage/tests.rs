//! Repair of databases whose beginning is gone: page 1 says what is where.

use std::{fs, fs::File, os::unix::fs::FileExt, path::Path};

use rusqlite::Connection;

use super::{Salvaged, salvage};
use crate::{
    base::{Id, files::beside},
    db::{Change, DataFolder, Database, Depth, Found, check, wal::log_of},
};

/// A site with posts of all lengths, tags, settings and an account; some were deleted.
fn a_site(file: &Path) {
    let database = Database::open(file).unwrap();
    let apply = |sql: &'static str, values| {
        let mut change = Change::new();
        change.push(sql, values);
        database.apply_blocking(change).unwrap();
    };
    let user = "INSERT INTO users (id, name, display_name, password_hash, role, created_at) \
                VALUES (?1, 'owner', 'The owner', 'hash', 'owner', 1)";
    apply(user, vec![Id::new().into()]);
    for n in 0..60i64 {
        let (post, tag) = (Id::new(), Id::new());
        let post_sql = "INSERT INTO posts (id, kind, title, description, excerpt, words, created_at, updated_at, \
                        revision, extra, renderer, markdown) VALUES (?1, 'post', ?2, '', '', 1, 1, 1, 1, '{}', 1, ?3)";
        let text =
            format!("The words of post {n}. ").repeat(usize::try_from(n * n).unwrap() % 700 + 1);
        apply(
            post_sql,
            vec![post.into(), format!("Post {n}").into(), text.into()],
        );
        let address =
            "INSERT INTO addresses (id, path, post_id, is_current) VALUES (?1, ?2, ?3, 1)";
        apply(
            address,
            vec![Id::new().into(), format!("/post-{n}").into(), post.into()],
        );
        let tag_sql = "INSERT INTO tags (id, slug, name) VALUES (?1, ?2, ?3)";
        apply(
            tag_sql,
            vec![
                tag.into(),
                format!("tag-{n}").into(),
                format!("Tag {n}").into(),
            ],
        );
        let tagged = "INSERT INTO post_tags (id, post_id, tag_id, position) VALUES (?1, ?2, ?3, 0)";
        apply(tagged, vec![Id::new().into(), post.into(), tag.into()]);
        let setting = "INSERT INTO settings (id, name, value) VALUES (?1, ?2, ?3)";
        apply(
            setting,
            vec![
                Id::new().into(),
                format!("setting-{n}").into(),
                "value".repeat(40).into(),
            ],
        );
    }
    for n in [17, 40, 41, 42] {
        apply(
            "DELETE FROM posts WHERE title = ?1",
            vec![format!("Post {n}").into()],
        );
    }
    database.close();
}

/// Everything that is in it.
fn all(file: &Path) -> Vec<String> {
    let database = Connection::open(file).unwrap();
    let sql = "SELECT 'post', id || title || markdown FROM posts UNION ALL \
               SELECT 'address', id || path || post_id FROM addresses UNION ALL \
               SELECT 'tag', id || slug || name FROM tags UNION ALL \
               SELECT 'tagged', id || post_id || tag_id FROM post_tags UNION ALL \
               SELECT 'setting', id || name || value FROM settings UNION ALL \
               SELECT 'user', id || name FROM users ORDER BY 1, 2";
    let mut rows = database.prepare(sql).unwrap();
    let rows = rows.query_map([], |row| {
        Ok(row.get::<_, String>(0)? + &row.get::<_, String>(1)?)
    });
    rows.unwrap().map(Result::unwrap).collect()
}

fn page_bytes(file: &Path) -> usize {
    let said = fs::read(file).unwrap();
    usize::from(u16::from_be_bytes([said[16], said[17]]))
}

fn write_page(file: &Path, number: usize, content: &[u8]) {
    let open = File::options().write(true).open(file).unwrap();
    let changed = open.metadata().unwrap().modified().unwrap();
    open.write_all_at(content, ((number - 1) * content.len()) as u64)
        .unwrap();
    // As media do that decay.
    open.set_modified(changed).unwrap();
}

/// Repairs a file, and says what came of it and what there is then.
fn repaired(file: &Path) -> (Salvaged, Vec<String>) {
    let new = file.with_file_name("repaired.db");
    let _ = fs::remove_file(&new);
    let salvaged = salvage(file, &new).unwrap();
    let there = all(&new);
    (salvaged, there)
}

#[test]
fn all_is_saved_when_the_first_page_is_gone_or_of_another_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("site.db");
    a_site(&file);
    let (before, bytes) = (all(&file), page_bytes(&file));
    let other = dir.path().join("other.db");
    let made = Connection::open(&other).unwrap();
    made.execute_batch(
        "PRAGMA page_size = 2048; CREATE TABLE theirs (a); INSERT INTO theirs VALUES (7)",
    )
    .unwrap();
    drop(made);
    let mut of_another = fs::read(&other).unwrap();
    of_another.resize(bytes, 0);
    let mut random = vec![0; bytes];
    getrandom::fill(&mut random).unwrap();
    for (what, page) in [
        ("zeros", vec![0; bytes]),
        ("random", random),
        ("of another file", of_another),
    ] {
        for has_sums in [true, false] {
            write_page(&file, 1, &page);
            let sums = dir.path().join("site.db-sums2");
            let kept = fs::read(&sums).unwrap();
            if !has_sums {
                fs::remove_file(&sums).unwrap();
            }
            let (salvaged, there) = repaired(&file);
            assert!(there == before, "{what}: {:?}", salvaged.notes);
            let told = salvaged.notes.join("\n");
            assert!(
                told.contains("first page") && !told.contains("lost"),
                "{what}: {told}"
            );
            fs::write(&sums, kept).unwrap();
        }
    }
}

#[test]
fn what_is_only_in_the_log_is_saved_too_when_the_first_page_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("site.db");
    a_site(&file);
    let copy = dir.path().join("copy.db");
    // A log with a change of a page that is not the first, and one with the first page too.
    for is_first_page_in_log in [false, true] {
        let database = Database::open(&file).unwrap();
        let mut change = Change::upkeep();
        let title = if is_first_page_in_log {
            "Pest 5"
        } else {
            "Past 5"
        };
        change.push(
            "UPDATE posts SET title = ?1 WHERE title LIKE 'P_st 5'",
            vec![title.into()],
        );
        if is_first_page_in_log {
            // A new page at the end, or one that is not free any more, is put down on the first.
            let sql = "INSERT INTO settings (id, name, value) VALUES (?1, 'large', ?2)";
            change.push(sql, vec![Id::new().into(), "large ".repeat(20_000).into()]);
        }
        database.apply_blocking(change).unwrap();
        fs::copy(&file, &copy).unwrap();
        fs::copy(log_of(&file), log_of(&copy)).unwrap();
        database.close();
        write_page(&copy, 1, &vec![0; page_bytes(&file)]);
        let (salvaged, there) = repaired(&copy);
        assert!(there == all(&file), "{:?}", salvaged.notes);
        let is_told = salvaged
            .notes
            .iter()
            .any(|note| note.contains("first page"));
        assert_eq!(is_told, !is_first_page_in_log, "{:?}", salvaged.notes);
    }
}

#[test]
fn tables_are_told_apart_when_the_list_of_them_is_gone_too() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("site.db");
    a_site(&file);
    let (before, bytes) = (all(&file), page_bytes(&file));
    let content = fs::read(&file).unwrap();
    for (number, page) in content.chunks(bytes).enumerate() {
        let has = |words: &str| {
            page.windows(words.len())
                .any(|found| found == words.as_bytes())
        };
        if number == 0 || has("sqlite_autoindex_") || has("CREATE TABLE ") {
            write_page(&file, number + 1, &vec![0xa5; bytes]);
        }
    }
    let (salvaged, there) = repaired(&file);
    let told = salvaged.notes.join("\n");
    // Free pages are known as such: what was deleted does not come back.
    assert!(there == before, "{told}");
    assert!(
        told.contains("where the tables") && told.contains("posts"),
        "{told}"
    );
    // Nothing refers to a setting, and it looks like a tag.
    assert!(
        told.contains("taken for settings") && !told.contains("taken for tags"),
        "{told}"
    );
}

#[test]
fn a_table_whose_inner_page_is_damaged_keeps_its_rows() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("site.db");
    a_site(&file);
    let (before, bytes) = (all(&file), page_bytes(&file));
    let content = fs::read(&file).unwrap();
    let inner: Vec<usize> = content
        .chunks(bytes)
        .enumerate()
        .filter(|(number, page)| *number > 0 && page[0] == 5)
        .map(|(number, _)| number + 1)
        .collect();
    assert!(!inner.is_empty());
    for number in inner {
        write_page(&file, number, &vec![0xa5; bytes]);
        let (salvaged, there) = repaired(&file);
        assert!(there == before, "page {number}: {:?}", salvaged.notes);
        write_page(
            &file,
            number,
            &content[(number - 1) * bytes..number * bytes],
        );
    }
}

/// The files of a site whose process was killed after some changes, with the index of the log or without.
fn killed(dir: &Path, name: &str, has_index: bool) -> std::path::PathBuf {
    let live = dir.join("live");
    if !live.exists() {
        fs::create_dir(&live).unwrap();
        a_site(&live.join("site.db"));
    }
    let (live, copy) = (live.join("site.db"), dir.join(name).join("site.db"));
    fs::create_dir(dir.join(name)).unwrap();
    let database = Database::open(&live).unwrap();
    for n in 0..4 {
        let (mut change, id) = (Change::new(), Id::new());
        let sql = "INSERT INTO tags (id, slug, name) VALUES (?1, ?2, ?3)";
        let slug = format!("{name}-{n}");
        change.push(sql, vec![id.into(), slug.into(), "x".repeat(2000).into()]);
        database.apply_blocking(change).unwrap();
    }
    for end in ["", "-wal", "-shm"] {
        if end != "-shm" || has_index {
            fs::copy(beside(&live, end), beside(&copy, end)).unwrap();
        }
    }
    database.close();
    copy
}

#[test]
fn a_check_and_a_repair_say_the_same_of_the_log_however_often_they_are_asked() {
    let dir = tempfile::tempdir().unwrap();
    let look = |file: &Path| -> Found {
        let folder = DataFolder::at(file.parent().unwrap());
        check(&folder, Depth::WithoutMedia, &[].into(), || ())
    };
    let repair = |file: &Path| salvage(file, &file.with_extension("new")).unwrap();
    // Of a change that nobody knows the end of, both say that it is not there, and neither that something is lost.
    for (name, has_index, at_end, is_damage) in [
        ("end-with-index", true, true, true),
        ("end-without", false, true, false),
        ("head-with-index", true, false, true),
        ("head-without", false, false, true),
    ] {
        let file = killed(dir.path(), name, has_index);
        let log = File::options()
            .read(true)
            .write(true)
            .open(log_of(&file))
            .unwrap();
        let at = if at_end {
            log.metadata().unwrap().len() - 3000
        } else {
            18
        };
        let mut byte = [0];
        log.read_exact_at(&mut byte, at).unwrap();
        log.write_all_at(&[byte[0] ^ 8], at).unwrap();
        if is_damage {
            for _ in 0..2 {
                let found = look(&file);
                let first = found.damage().next().unwrap();
                assert!(first.contains("log of the last changes"), "{name}: {first}");
                let salvaged = repair(&file);
                assert!(salvaged.of_log.iter().any(|line| line == first), "{name}");
                assert_eq!(salvaged.is_whole(), !at_end, "{name}: {salvaged:?}");
                fs::remove_file(file.with_extension("new")).unwrap();
            }
        } else {
            let salvaged = repair(&file);
            let found = look(&file);
            assert_eq!(found.damage().next(), None, "{name}");
            assert!(salvaged.is_whole() && !salvaged.of_log.is_empty());
            assert!(found.notes.contains(&salvaged.of_log[0]), "{found:?}");
        }
    }
}

#[test]
fn a_site_that_nobody_is_the_owner_of_any_more_is_known_as_that() {
    let dir = tempfile::tempdir().unwrap();
    let (file, new) = (dir.path().join("site.db"), dir.path().join("new.db"));
    a_site(&file);
    assert!(!salvage(&file, &new).unwrap().has_no_owner);
    fs::remove_file(&new).unwrap();
    let gone = Connection::open(&file).unwrap();
    gone.execute_batch("DELETE FROM users").unwrap();
    gone.close().unwrap();
    assert!(salvage(&file, &new).unwrap().has_no_owner);
}
