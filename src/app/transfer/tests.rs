//! What an import makes of good folders and of bad ones.

use std::{fs, path::PathBuf};

use tempfile::TempDir;

use super::{export::export, plan::Plan, report::Report};
use crate::{
    base::{Id, Timestamp},
    db::{Change, DataFolder, Database, MediaStore},
};

pub(super) fn quiet(_: &str, _: usize, _: usize) {}

/// A site and a folder to import, both gone at the end of the test.
pub(super) struct Scene {
    pub(super) dir: TempDir,
    pub(super) database: Database,
    pub(super) store: MediaStore,
}

impl Scene {
    pub(super) fn new(files: &[(&str, &str)]) -> Self {
        let dir = TempDir::new().unwrap();
        let data = DataFolder::open_or_create(&dir.path().join("data")).unwrap();
        let scene = Self {
            database: Database::open(&data.database()).unwrap(),
            store: MediaStore::new(&data),
            dir,
        };
        fs::create_dir(scene.folder()).unwrap();
        for (name, text) in files {
            scene.write(name, text.as_bytes());
        }
        scene
    }

    pub(super) fn folder(&self) -> PathBuf {
        self.dir.path().join("in")
    }

    pub(super) fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.folder().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub(super) fn import(&self) -> Report {
        let plan = Plan::read(&self.database, &self.folder(), false, &quiet).unwrap();
        plan.apply(&self.database, &self.store, &quiet).unwrap()
    }

    pub(super) fn rows(&self, sql: &str) -> Vec<String> {
        self.database
            .read_blocking(|connection| {
                let mut statement = connection.prepare(sql)?;
                let rows = statement.query_map([], |row| row.get(0))?;
                Ok(rows.collect::<Result<_, _>>()?)
            })
            .unwrap()
    }
}

pub(super) fn whats(remarks: &[super::report::Remark]) -> String {
    let lines: Vec<String> = remarks
        .iter()
        .map(|remark| {
            format!(
                "{}:{}: {}",
                remark.file,
                remark.line.unwrap_or(0),
                remark.what
            )
        })
        .collect();
    lines.join("\n")
}

#[test]
fn a_file_that_cannot_come_in_is_named_with_its_reason_and_the_others_come_in() {
    let huge = "a".repeat(1_000_000);
    let table: [(&str, &[u8], &str); 6] = [
        ("broken.md", b"+++\ntitle = \n+++\n", "broken.md:2"),
        ("open.md", b"+++\ntitle = 'x'\n", "open.md"),
        ("junk.md", &[0x89, b'P', 0xff, 0xfe, 0x80], "not UTF-8"),
        ("nul.md", b"one\ntwo\0three", "nul.md:2: it holds NUL"),
        ("huge.md", huge.as_bytes(), "split it into parts"),
        (
            "sub/_index.md",
            b"+++\ntitle = 'Section'\n+++\n",
            "settings of a section",
        ),
    ];
    let scene = Scene::new(&[(
        "good.md",
        "+++\ntitle = 'Good'\ndate = 2020-01-01\n+++\nYes.",
    )]);
    for (name, bytes, _) in &table {
        scene.write(name, bytes);
    }
    let report = scene.import();
    let told = whats(&report.left_out);
    for (name, _, expected) in table {
        assert!(
            told.contains(expected),
            "{name}: no {expected:?} in:\n{told}"
        );
    }
    assert_eq!(report.left_out.len(), 6, "{told}");
    assert_eq!(scene.rows("SELECT title FROM posts"), ["Good"]);
}

#[test]
fn a_file_of_fifty_megabytes_is_refused_without_being_read() {
    let scene = Scene::new(&[]);
    scene.write("big.md", b"");
    fs::File::options()
        .write(true)
        .open(scene.folder().join("big.md"))
        .unwrap()
        .set_len(50 << 20)
        .unwrap();
    let report = scene.import();
    assert!(
        whats(&report.left_out).contains("split it into parts"),
        "{report}"
    );
}

#[test]
fn symlinks_that_leave_the_folder_or_go_in_circles_are_not_followed() {
    let scene = Scene::new(&[("a.md", "# A")]);
    fs::write(scene.dir.path().join("secret.md"), "secret").unwrap();
    let link =
        |to: &str, name: &str| std::os::unix::fs::symlink(to, scene.folder().join(name)).unwrap();
    link("../secret.md", "out.md");
    link("/etc", "etc");
    link("loop.md", "loop.md");
    link(".", "again");
    link("nowhere.md", "nowhere.md");
    let report = scene.import();
    let told = whats(&report.left_out);
    for expected in [
        "out.md:0: this symlink leads out",
        "etc:0: this symlink leads out",
        "loop.md:0",
        "again/:0",
        "nowhere.md:0",
    ] {
        assert!(told.contains(expected), "{expected} is not in:\n{told}");
    }
    assert_eq!(scene.rows("SELECT title FROM posts"), ["A"]);
}

#[test]
fn of_two_files_with_one_address_the_first_comes_in_and_both_are_named() {
    let scene = Scene::new(&[
        ("a.md", "+++\ntitle = 'A'\npath = '/same'\n+++\n"),
        ("b.md", "+++\ntitle = 'B'\npath = '/same/'\n+++\n"),
        (
            "c.md",
            "+++\ntitle = 'C'\naliases = ['/same', '/old-c']\n+++\n",
        ),
    ]);
    let report = scene.import();
    assert!(
        whats(&report.left_out).contains("b.md:0: a.md has the same address, /same"),
        "{report}"
    );
    assert!(
        whats(&report.not_understood).contains("/same was not used: a.md has it"),
        "{report}"
    );
    assert_eq!(
        scene.rows("SELECT title FROM posts ORDER BY title"),
        ["A", "C"]
    );
    assert_eq!(
        scene.rows("SELECT path FROM addresses WHERE is_current = 0"),
        ["/old-c"]
    );
}

#[test]
fn front_matter_of_every_generator_is_understood() {
    let scene = Scene::new(&[
        (
            "zola.md",
            "+++\ntitle = 'Zola'\ndate = 1600-02-03\n[taxonomies]\ntags = ['One', 'two']\n+++\nx",
        ),
        (
            "_posts/2014-12-12-jekyll.md",
            "---\ntitle: Jekyll\ntags: one, three\ncategories: News\nauthor: Ada\n---\nx",
        ),
        (
            "hugo.md",
            "{\"title\": \"Hugo\", \"date\": \"9999-12-01T10:00:00Z\", \"draft\": true, \"authors\": [\"A\", \"B\"]}\nx",
        ),
        ("سلام 🦀.md", "no front matter"),
    ]);
    let report = scene.import();
    assert!(report.left_out.is_empty(), "{report}");
    let posts = scene.rows("SELECT title || ' ' || coalesce(published_at, 'draft') || ' ' || kind FROM posts ORDER BY title");
    assert_eq!(
        posts[..3],
        [
            "Hugo draft post".to_owned(),
            "Jekyll 1418342400 post".to_owned(),
            "Zola -11673244800 post".to_owned(),
        ]
    );
    let paths = scene.rows("SELECT path FROM addresses ORDER BY path");
    for path in [
        "/news/2014/12/12/jekyll",
        "/news/2014/12/12/jekyll.html",
        "/zola",
        "/hugo",
        "/سلام",
    ] {
        assert!(
            paths.iter().any(|known| known == path),
            "{path} is not in {paths:?}"
        );
    }
    assert_eq!(
        scene.rows("SELECT slug FROM tags ORDER BY slug"),
        ["news", "one", "three", "two"]
    );
}

#[test]
fn pictures_and_links_between_files_lead_to_their_addresses_and_the_rest_stays() {
    let scene = Scene::new(&[
        (
            "content/a/index.md",
            "+++\ntitle = 'A'\n+++\n![p](p.png \"t\") [b](@/b.md#x) [rel](../b.md) <img src=\"p.png\"> [gone](gone.md) `p.png`\n",
        ),
        (
            "content/b.md",
            "+++\ntitle = 'B'\n+++\n[root](/s.txt) {{< ref \"a/index.md\" >}} {{ shortcode() }}\n",
        ),
        ("content/a/p.png", "not really a picture"),
        ("static/s.txt", "text"),
    ]);
    let report = scene.import();
    let texts = scene.rows("SELECT markdown FROM posts ORDER BY title");
    let hash = &crate::db::hash_of(b"not really a picture")[..32];
    let root = &crate::db::hash_of(b"text")[..32];
    assert_eq!(
        texts[0],
        format!(
            "![p](/media/{hash}/p.png \"t\") [b](/b#x) [rel](/b) <img src=\"/media/{hash}/p.png\"> [gone](gone.md) `p.png`\n"
        )
    );
    assert_eq!(
        texts[1],
        format!("[root](/media/{root}/s.txt) /a {{{{ shortcode() }}}}\n")
    );
    let told = whats(&report.not_understood);
    assert!(
        told.contains("a/index.md:4: a link leads to nothing that is here: gone.md"),
        "{told}"
    );
    assert!(
        told.contains("b.md:4: a template's call is shown as it is: {{ shortcode() }}"),
        "{told}"
    );
}

#[test]
fn a_second_import_makes_nothing_twice_and_takes_what_changed_unless_it_was_edited_here() {
    let scene = Scene::new(&[
        ("a.md", "+++\ntitle = 'A'\ndate = 2020-01-01\n+++\none"),
        ("b.md", "+++\ntitle = 'B'\ndate = 2020-01-02\n+++\none"),
        ("p.png", "picture"),
    ]);
    assert_eq!(scene.import().new, 2);
    let again = scene.import();
    assert_eq!(
        (again.new, again.updated, again.unchanged, again.media_new),
        (0, 0, 2, 0)
    );

    let mut edit = Change::new();
    edit.push(
        "UPDATE posts SET markdown = 'here', revision = revision + 1 WHERE title = ?1",
        vec!["B".into()],
    );
    scene.database.apply_blocking(edit).unwrap();
    scene.write(
        "a.md",
        b"+++\ntitle = 'A'\ndate = 2020-01-01\npath = '/new-a'\n+++\ntwo",
    );
    scene.write("b.md", b"+++\ntitle = 'B'\ndate = 2020-01-02\n+++\ntwo");
    let third = scene.import();
    assert_eq!((third.new, third.updated), (0, 1), "{third}");
    assert!(
        whats(&third.left_out).contains("b.md:0: it was changed in the folder, and"),
        "{third}"
    );
    assert_eq!(
        scene.rows("SELECT markdown FROM posts ORDER BY title"),
        ["two", "here"]
    );
    assert_eq!(
        scene.rows("SELECT path FROM addresses WHERE is_current = 0"),
        ["/a"]
    );
}

#[test]
fn what_a_file_has_too_much_or_odd_is_dropped_and_told_and_the_post_comes_in() {
    let long_title = format!("+++\ntitle = \"{}\"\n+++\n", "x".repeat(10_000));
    let scene = Scene::new(&[
        ("long.md", &long_title),
        (
            "tags.md",
            "---\ntitle: Tags\ndate: 2020-01-01\ntags: [C, C++, \"C#\", 🎉]\n---\n",
        ),
        ("_drafts/d.md", "---\ntitle: Draft\n---\nx"),
        (
            "_posts/2020-01-01-p.md",
            "---\ntitle: Pattern\npermalink: /x/:title.html\n---\nx",
        ),
        (
            "yes.md",
            "---\ntitle: Agreed\ndraft: \"yes\"\ndate: 2020-01-01\n---\nx",
        ),
        ("_config.yml", "secret: token"),
        ("Gemfile", "source 'x'"),
        (".hidden.md", "x"),
    ]);
    let report = scene.import();
    assert!(report.left_out.is_empty(), "{report}");
    assert_eq!(
        report.media_new, 0,
        "a generator's settings are no public file"
    );
    let told = whats(&report.changed);
    assert!(
        told.contains("long.md:0: its title was too long") && told.contains("🎉"),
        "{told}"
    );
    let told = whats(&report.not_understood);
    assert!(
        told.contains("/x/:title.html")
            && told.contains("_config.yml")
            && told.contains(".hidden.md"),
        "{told}"
    );
    assert_eq!(
        scene.rows("SELECT slug FROM tags ORDER BY slug"),
        ["c", "c-plus-plus", "c-sharp"]
    );
    let drafts = scene.rows("SELECT title FROM posts WHERE published_at IS NULL ORDER BY title");
    assert_eq!(drafts, ["Agreed", "Draft"]);
}

#[test]
fn the_data_folder_of_a_site_is_never_imported() {
    let scene = Scene::new(&[("a.md", "# A")]);
    scene.write("webstead-data/site.db", b"");
    scene.write("webstead-data/tls/authority-key.pem", b"private");
    scene.write("keys/tls/authority-key.pem", b"private");
    let report = scene.import();
    assert_eq!(report.media_new, 0, "{report}");
    assert_eq!(
        whats(&report.left_out)
            .matches("is the data folder of a site")
            .count(),
        2,
        "{report}"
    );
}

#[test]
fn a_post_of_the_site_is_never_overwritten_by_a_file_with_its_address() {
    let scene = Scene::new(&[("a.md", "+++\ntitle = 'A'\ndate = 2020-01-01\n+++\none")]);
    scene.import();
    fs::rename(scene.folder().join("a.md"), scene.folder().join("other.md")).unwrap();
    scene.write(
        "other.md",
        b"+++\ntitle = 'Other'\npath = '/a'\n+++\ntheirs",
    );
    let report = scene.import();
    assert!(
        whats(&report.left_out).contains("has its address, /a"),
        "{report}"
    );
    assert_eq!(scene.rows("SELECT title FROM posts"), ["A"]);
}

#[test]
fn an_import_that_was_cut_off_shows_nothing_and_its_rest_is_swept_later() {
    let scene = Scene::new(&[("a.md", "# A")]);
    let long_ago = Id::first_at((Timestamp::now().0 - 100_000) * 1000);
    let mut cut_off = Change::new();
    cut_off.push(
        "INSERT INTO staged_rows (id, batch_id, into_table, row) VALUES (?1, ?1, 'posts', '{}')",
        vec![long_ago.into()],
    );
    scene.database.apply_blocking(cut_off).unwrap();
    assert!(scene.rows("SELECT title FROM posts").is_empty());
    scene.import();
    assert_eq!(scene.rows("SELECT title FROM posts"), ["A"]);
    assert!(scene.rows("SELECT into_table FROM staged_rows").is_empty());
}

#[test]
fn an_export_is_refused_where_something_is_and_leaves_nothing_half() {
    let scene = Scene::new(&[("a.md", "# A")]);
    scene.import();
    let error = export(&scene.database, &scene.store, &scene.folder(), &quiet)
        .unwrap_err()
        .to_string();
    assert!(error.contains("is not empty"), "{error}");
    assert_eq!(fs::read_dir(scene.folder()).unwrap().count(), 1);
}
