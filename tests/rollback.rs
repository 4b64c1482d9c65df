//! Back to the program before an upgrade, and to its database.

use std::{fs, path::Path, process::Command};

use crate::{
    site::Site,
    upgrade::{run, serving},
};

/// Makes an older program of a copy of this one: one that does not know the last step of the schema.
pub(crate) fn make_older(program: &Path) {
    make_one_of(program, |known| known - 1);
}

/// Lets a program be one that knows so many steps.
pub(crate) fn make_one_of(program: &Path, steps: impl Fn(u32) -> u32) {
    let mut bytes = fs::read(program).unwrap();
    let mark = b"webstead knows steps ";
    let at = bytes.windows(mark.len()).position(|part| part == mark);
    let number = at.expect("the mark is in the program") + mark.len();
    let known: u32 = std::str::from_utf8(&bytes[number..number + 3])
        .unwrap()
        .parse()
        .unwrap();
    bytes[number..number + 3].copy_from_slice(format!("{:03}", steps(known)).as_bytes());
    fs::remove_file(program).unwrap();
    fs::write(program, bytes).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(program, mode).unwrap();
}

/// [`make_older`], and begins a database with the pages that older programs made.
pub(crate) fn make_older_with_its_pages(program: &Path) {
    make_older(program);
    let data = program.with_file_name("data");
    fs::create_dir_all(&data).unwrap();
    let database = rusqlite::Connection::open(data.join("site.db")).unwrap();
    database
        .execute_batch("PRAGMA page_size = 4096; PRAGMA application_id = 0x57535444;")
        .unwrap();
}

pub(crate) fn number(database: &Path, sql: &str) -> i64 {
    let database = rusqlite::Connection::open(database).unwrap();
    database.query_row(sql, [], |row| row.get(0)).unwrap()
}

pub(crate) const SCHEMA: &str = "SELECT user_version FROM pragma_user_version";
const POSTS: &str = "SELECT count(*) FROM posts";

/// A site of an older program with a post, upgraded to this one.
fn upgraded() -> (Site, std::path::PathBuf, reqwest::blocking::Client, i64) {
    let (site, program, client) = Site::of_program(make_older_with_its_pages);
    site.publish(&client, &[("title", "Before"), ("markdown", "x")]);
    let old = number(&site.data().join("site.db"), SCHEMA);
    let newer = env!("CARGO_BIN_EXE_webstead");
    let (code, text) = run(&program, &site, &["upgrade", "--unsigned", newer]);
    assert_eq!(code, Some(0), "{text}\n{}", site.log());
    assert!(text.contains(&format!("schema {old} -> ")), "{text}");
    assert!(number(&site.data().join("site.db"), SCHEMA) > old);
    (site, program, client, old)
}

/// Stops the process that serves and the one that stands for it.
fn stop(site: &mut Site) {
    let both = [site.process_id(), serving(site)].map(|process| process.to_string());
    let sent = Command::new("kill").arg("-TERM").args(both).status();
    assert!(sent.is_ok());
    site.wait_for_end();
}

#[test]
fn if_nothing_was_written_since_the_upgrade_program_and_database_go_back_together() {
    let (mut site, program, _, old) = upgraded();
    let (code, text) = run(&program, &site, &["rollback", "--dry-run"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("nothing was written since") && text.contains("Nothing was changed"),
        "{text}"
    );
    let (code, text) = run(&program, &site, &["rollback"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("is running"), "{text}");
    stop(&mut site);
    let (code, text) = run(&program, &site, &["rollback"]);
    assert_eq!(code, Some(0), "{text}");
    let database = site.data().join("site.db");
    assert_eq!(number(&database, SCHEMA), old);
    let (code, text) = run(&program, &site, &["check"]);
    assert_eq!(code, Some(0), "{text}");
    let site = site.restarted_as(&program);
    assert_eq!(site.text(&site.client(), "/before").0, 200);
    assert_eq!(number(&database, SCHEMA), old, "the older program serves");
}

#[test]
fn if_something_was_written_since_nothing_goes_back_before_the_owner_has_chosen() {
    let (mut site, program, client, old) = upgraded();
    site.publish(&client, &[("title", "Since"), ("markdown", "x")]);
    let database = site.data().join("site.db");
    let set_oldest = |schema: i64| {
        let other = rusqlite::Connection::open(&database).unwrap();
        let allow = "UPDATE compatibility SET oldest = ?1";
        assert_eq!(other.execute(allow, [schema]).unwrap(), 1);
    };
    // As if this schema had taken something away.
    set_oldest(old + 1);
    for arguments in [&["rollback"][..], &["rollback", "--dry-run"]] {
        let (code, text) = run(&program, &site, arguments);
        assert_eq!(code, Some(i32::from(arguments.len() == 1)), "{text}");
        for words in [
            "written since",
            "--keep-data",
            "--lose-changes",
            "not possible",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }
    let (code, text) = run(&program, &site, &["rollback", "--keep-data"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("newer Webstead"), "{text}");
    // As if this schema had only added something.
    set_oldest(old);
    let (code, text) = run(&program, &site, &["rollback", "--keep-data"]);
    assert_eq!(code, Some(0), "{text}\n{}", site.log());
    for path in ["/before", "/since"] {
        assert_eq!(site.text(&client, path).0, 200, "{path}");
    }
    // Forward again; and now the owner wants the data of then.
    let (code, text) = run(&program, &site, &["rollback"]);
    assert_eq!(code, Some(0), "{text}\n{}", site.log());
    stop(&mut site);
    let (code, text) = run(&program, &site, &["rollback", "--lose-changes"]);
    assert_eq!(code, Some(0), "{text}");
    let told = text.split("is kept as ").nth(1).expect("where it is kept");
    let aside = Path::new(told.split(". Start").next().unwrap());
    assert_eq!(number(aside, POSTS), 2);
    assert_eq!(
        (number(&database, POSTS), number(&database, SCHEMA)),
        (1, old)
    );
    let site = site.restarted_as(&program);
    assert_eq!(site.text(&site.client(), "/before").0, 200);
    assert_eq!(site.text(&site.client(), "/since").0, 404);
}
