//! Odd and hostile folders that once cost a post, a link, or the whole import.

use std::time::Duration;

use super::{
    export::export,
    plan::Plan,
    report::Remark,
    round_trip_tests::assert_round_trip,
    tests::{Scene, quiet, whats},
};

fn has(remarks: &[Remark], expected: &str) -> bool {
    whats(remarks).contains(expected)
}

#[test]
fn of_two_files_with_one_id_the_first_keeps_it_and_the_second_is_a_post_of_its_own() {
    let file = |title: &str| {
        format!("+++\ntitle = '{title}'\ndate = 2020-01-01\n[extra.webstead]\nid = 77\n+++\n")
    };
    let (first, copy) = (file("First"), file("Copy"));
    let scene = Scene::new(&[("a.md", &first), ("b.md", &copy)]);
    let report = scene.import();
    assert_eq!(
        scene.rows("SELECT title FROM posts ORDER BY title"),
        ["Copy", "First"]
    );
    assert_eq!(
        scene.rows("SELECT title FROM posts WHERE id = 77"),
        ["First"]
    );
    assert!(
        has(&report.changed, "b.md:0: a.md has the same id"),
        "{report}"
    );
    let again = scene.import();
    assert_eq!(
        (again.new, again.updated, again.unchanged),
        (0, 0, 2),
        "{again}"
    );
}

#[test]
fn a_file_name_that_another_post_came_from_does_not_stop_an_import() {
    let scene = Scene::new(&[
        ("a.md", "+++\ntitle = 'P'\npath = '/p'\n+++\none"),
        ("q.md", "+++\ntitle = 'Q'\npath = '/a'\n+++\none"),
    ]);
    scene.import();
    // The export writes Q to a.md, from which P came.
    let out = scene.dir.path().join("out");
    export(&scene.database, &scene.store, &out, &quiet).unwrap();
    let text = std::fs::read_to_string(out.join("a.md")).unwrap();
    assert!(text.contains("'Q'") || text.contains("\"Q\""), "{text}");
    std::fs::write(out.join("a.md"), text.replace("one", "two")).unwrap();
    let plan = Plan::read(&scene.database, &out, false, &quiet).unwrap();
    let report = plan.apply(&scene.database, &scene.store, &quiet).unwrap();
    assert_eq!((report.new, report.updated), (0, 1), "{report}");
    assert_eq!(
        scene.rows("SELECT title || markdown FROM posts ORDER BY title"),
        ["Pone", "Qtwo"]
    );
}

#[test]
fn a_text_that_grows_on_its_way_in_comes_in_whole() {
    // A control character is six bytes of JSON, and a change holds a million.
    let body = "\u{1b}[0m é🦀\n".repeat(20_000);
    let text = format!("+++\ntitle = 'Log'\ndate = 2020-01-01\n+++\n{body}");
    let escapes = format!(
        "+++\ntitle = 'Escapes'\ndate = 2020-01-01\n+++\n{}",
        "\u{1}".repeat(500_000)
    );
    let scene = Scene::new(&[("log.md", &text), ("escapes.md", &escapes)]);
    let report = scene.import();
    assert_eq!((report.new, report.left_out.len()), (2, 0), "{report}");
    assert!(scene.rows("SELECT markdown FROM posts WHERE title = 'Log'") == [body]);
    assert_eq!(
        scene.rows("SELECT '' || length(markdown) FROM posts WHERE title = 'Escapes'"),
        ["500000"]
    );
    assert!(scene.rows("SELECT into_table FROM staged_rows").is_empty());
}

#[test]
fn what_a_round_trip_could_lose_it_keeps() {
    let long = format!("content/a/{}.png", "é".repeat(120));
    let linked = format!(
        "+++\ntitle = 'Long'\ndate = 2020-01-01\n+++\n![l]({}.png)\n",
        "é".repeat(120)
    );
    let scene = Scene::new(&[
        // The same picture by two names.
        (
            "content/a/index.md",
            "+++\ntitle = 'A'\ndate = 2020-01-01\n+++\n![p](p.png)\n",
        ),
        ("content/a/p.png", "same"),
        (
            "content/b/index.md",
            "+++\ntitle = 'B'\ndate = 2020-01-01\n+++\n![q](q.png)\n",
        ),
        ("content/b/q.png", "same"),
        // A Markdown file to download.
        ("static/readme.md", "# Not a post"),
        (
            "content/c.md",
            "+++\ntitle = 'C'\ndate = 2020-01-01\n+++\n[r](/readme.md)\n",
        ),
        // A draft that says when it is to appear.
        (
            "content/d.md",
            "+++\ntitle = 'D'\ndate = 2031-02-03\nupdated = 2020-01-01\ndraft = true\n+++\n",
        ),
        (&long, "a long name"),
        ("content/a/long.md", &linked),
    ]);
    let report = assert_round_trip(&scene.folder());
    assert!(!has(&report.changed, "d.md"), "{report}");
    let report = scene.import();
    assert!(report.left_out.is_empty(), "{report}");
    let out = scene.dir.path().join("out");
    export(&scene.database, &scene.store, &out, &quiet).unwrap();
    let text = std::fs::read_to_string(out.join("d.md")).unwrap();
    assert!(text.contains("2031-02-03T00:00:00Z"), "{text}");
}

#[test]
fn a_post_without_a_date_stays_as_it_is_when_only_its_file_gets_another_time() {
    let scene = Scene::new(&[("about.md", "+++\ntitle = 'About'\n+++\nx")]);
    scene.import();
    let file = std::fs::File::options()
        .write(true)
        .open(scene.folder().join("about.md"))
        .unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000))
        .unwrap();
    let again = scene.import();
    assert_eq!((again.updated, again.unchanged), (0, 1), "{again}");
}

#[test]
fn a_post_that_an_import_replaces_is_named() {
    let scene = Scene::new(&[("a.md", "+++\ntitle = 'A'\n+++\none")]);
    scene.import();
    scene.write("a.md", b"+++\ntitle = 'Another'\n+++\ntwo");
    let report = scene.import();
    assert!(
        has(&report.changed, "a.md:0: its post was replaced"),
        "{report}"
    );
}

#[test]
fn a_link_is_found_however_it_is_written_or_is_named() {
    let scene = Scene::new(&[
        (
            "a.md",
            "+++\ntitle = 'A'\n+++\n![1](my\\_p.png) <img src=plain.png alt=x>\n\n<img\nsrc=\"plain.png\"\n/>\n\n[2](a&amp;b.png)\n",
        ),
        ("my_p.png", "1"),
        ("plain.png", "2"),
        ("a&b.png", "3"),
        (
            "b.md",
            "+++\ntitle = 'B'\n+++\nx\n\n{{< figure\n  src=\"plain.png\"\n>}}\n",
        ),
    ]);
    let report = scene.import();
    let text = scene
        .rows("SELECT markdown FROM posts WHERE title = 'A'")
        .remove(0);
    let href = |bytes: &str, name: &str| {
        format!(
            "/media/{}/{name}",
            &crate::db::hash_of(bytes.as_bytes())[..32]
        )
    };
    let (one, two, three) = (
        href("1", "my_p.png"),
        href("2", "plain.png"),
        href("3", "a&b.png"),
    );
    assert_eq!(
        text,
        format!("![1]({one}) <img src={two} alt=x>\n\n<img\nsrc=\"{two}\"\n/>\n\n[2]({three})\n"),
        "{report}"
    );
    assert!(
        has(
            &report.not_understood,
            "b.md:6: a template's call is shown as it is: {{< figure"
        ),
        "{report}"
    );
}

#[test]
fn a_report_stays_readable_whatever_a_file_holds() {
    let text = format!(
        "+++\ntitle = 'A'\n{} = 1\n+++\n[x]({}.md)\n",
        "k".repeat(9000),
        "y".repeat(9000)
    );
    let report = Scene::new(&[("a.md", &text)]).import();
    assert_eq!(report.not_understood.len(), 2, "{report}");
    assert!(
        report
            .not_understood
            .iter()
            .all(|remark| remark.what.chars().count() <= 300)
    );
}

#[test]
fn hostile_texts_are_read_to_their_end() {
    for (unit, links, calls) in [
        ("{{}} ", 0, 80_000),
        ("{{ ", 0, 0),
        ("{{a}} {%b%} `c` ", 0, 50_000),
        ("[](a) ", 66_667, 0),
        ("<b src=\"\n", 0, 0),
        ("![", 0, 0),
        ("[\\](](a\\_b) ", 33_334, 0),
    ] {
        let text = format!("# T\n\n{}", unit.repeat(400_000_usize.div_ceil(unit.len())));
        let found = super::links::find(&text);
        let found_calls = super::calls::find_calls(&text, &found.code);
        assert_eq!(
            (found.links.len(), found_calls.len()),
            (links, calls),
            "{unit}"
        );
        let report = Scene::new(&[("a.md", &text)]).import();
        assert_eq!(report.new, 1, "{unit}: {report}");
    }
}

#[test]
fn a_file_of_another_folder_replaces_nothing_unless_it_is_told_to() {
    let scene = Scene::new(&[("about.md", "+++\ntitle = 'About'\n+++\nfirst")]);
    scene.import();
    let other = scene.dir.path().join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("about.md"), "+++\ntitle = 'About'\n+++\nsecond").unwrap();
    let import = |is_replacing| {
        let plan = Plan::read(&scene.database, &other, is_replacing, &quiet).unwrap();
        plan.apply(&scene.database, &scene.store, &quiet).unwrap()
    };
    let report = import(false);
    assert!(
        has(
            &report.left_out,
            "about.md:0: the site's post “About”, which came from"
        ),
        "{report}"
    );
    assert_eq!(scene.rows("SELECT markdown FROM posts"), ["first"]);
    let report = import(true);
    assert!(
        has(&report.changed, "about.md:0: its post was replaced"),
        "{report}"
    );
    assert_eq!(scene.rows("SELECT markdown FROM posts"), ["second"]);
    // A copy that says the same takes nothing away.
    let copy = scene.dir.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    std::fs::copy(other.join("about.md"), copy.join("about.md")).unwrap();
    let plan = Plan::read(&scene.database, &copy, false, &quiet).unwrap();
    plan.apply(&scene.database, &scene.store, &quiet).unwrap();
    // Now it is of the other folder.
    assert_eq!(import(false).unchanged, 1);
    assert_eq!(scene.import().left_out.len(), 1);
}

#[test]
fn a_folder_that_was_moved_is_known_again() {
    let scene = Scene::new(&[("a.md", "+++\ntitle = 'A'\ndate = 2020-01-01\n+++\none")]);
    scene.import();
    let moved = scene.dir.path().join("moved");
    std::fs::rename(scene.folder(), &moved).unwrap();
    let import = || {
        let plan = Plan::read(&scene.database, &moved, false, &quiet).unwrap();
        plan.apply(&scene.database, &scene.store, &quiet).unwrap()
    };
    assert_eq!(import().unchanged, 1);
    std::fs::write(
        moved.join("a.md"),
        "+++\ntitle = 'A'\ndate = 2020-01-01\n+++\ntwo",
    )
    .unwrap();
    let report = import();
    assert_eq!((report.updated, report.left_out.len()), (1, 0), "{report}");
}

#[test]
fn an_export_that_was_edited_comes_back_unless_the_site_was_edited_too() {
    let scene = Scene::new(&[("a.md", "+++\ntitle = 'A'\ndate = 2020-01-01\n+++\none")]);
    scene.import();
    let edit = |markdown: &str| {
        let mut edit = crate::db::Change::new();
        edit.push(
            "UPDATE posts SET markdown = ?1, import_key = NULL, import_revision = NULL, \
             import_digest = NULL, revision = revision + 1",
            vec![markdown.into()],
        );
        scene.database.apply_blocking(edit).unwrap();
    };
    edit("written here");
    let out = scene.dir.path().join("out");
    export(&scene.database, &scene.store, &out, &quiet).unwrap();
    let import = || {
        let plan = Plan::read(&scene.database, &out, false, &quiet).unwrap();
        plan.apply(&scene.database, &scene.store, &quiet).unwrap()
    };
    let change = |from: &str, to: &str| {
        let text = std::fs::read_to_string(out.join("a.md")).unwrap();
        std::fs::write(out.join("a.md"), text.replace(from, to)).unwrap();
    };
    change("written here", "and edited there");
    assert_eq!(import().updated, 1);
    change("edited", "edited again");
    assert_eq!(import().updated, 1);
    edit("edited here");
    change("again", "once more");
    let report = import();
    assert!(
        has(
            &report.left_out,
            "a.md:0: it was changed in the folder, and"
        ),
        "{report}"
    );
    assert_eq!(scene.rows("SELECT markdown FROM posts"), ["edited here"]);
}

#[test]
fn one_post_is_never_taken_for_two_files() {
    let scene = Scene::new(&[("a.md", "+++\ntitle = 'A'\ndate = 2020-01-01\n+++\none")]);
    scene.import();
    let id = scene.rows("SELECT '' || id FROM posts").remove(0);
    let text = format!(
        "+++\ntitle = 'A'\ndate = 2020-01-01\npath = '/b'\n[extra.webstead]\nid = {id}\nrevision = 1\n+++\none"
    );
    scene.write("b.md", text.as_bytes());
    let report = scene.import();
    assert_eq!(
        scene.rows("SELECT '' || count(*) FROM posts"),
        ["1"],
        "{report}"
    );
    assert_eq!((report.updated, report.left_out.len()), (1, 1), "{report}");
}

#[test]
fn a_damaged_file_of_the_site_is_put_right_by_importing_it_again() {
    let scene = Scene::new(&[("p.png", "a picture"), ("q.png", "another")]);
    scene.import();
    let path = |bytes: &str| scene.store.path(&crate::db::hash_of(bytes.as_bytes()));
    std::fs::write(path("a picture"), "a pictura").unwrap();
    std::fs::remove_file(path("another")).unwrap();
    assert_eq!(scene.import().media_mended, 2);
    for bytes in ["a picture", "another"] {
        assert_eq!(std::fs::read_to_string(path(bytes)).unwrap(), bytes);
    }
    assert_eq!(scene.import().media_mended, 0);
}
