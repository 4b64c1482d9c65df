//! An export that is imported into an empty site gives the same site.

use std::{fs, path::PathBuf};

use super::{
    export::export,
    plan::Plan,
    report::Report,
    tests::{Scene, quiet},
};

/// Imports, exports, imports the export into an empty site, and compares everything that a visitor
/// or an editor can see; then exports that and compares the bytes.
pub(super) fn assert_round_trip(folder: &std::path::Path) -> Report {
    let first = Scene::new(&[]);
    let plan = Plan::read(&first.database, folder, false, &quiet).unwrap();
    let report = plan.apply(&first.database, &first.store, &quiet).unwrap();
    let out = first.dir.path().join("out");
    export(&first.database, &first.store, &out, &quiet).unwrap();
    let second = Scene::new(&[]);
    let plan = Plan::read(&second.database, &out, false, &quiet).unwrap();
    let again = plan.apply(&second.database, &second.store, &quiet).unwrap();
    assert!(again.left_out.is_empty(), "{again}");
    for sql in [
        "SELECT json_array(id, kind, title, description, excerpt, words, published_at, draft_at, updated_at, extra, markdown, html) FROM posts ORDER BY id",
        "SELECT json_array(path, post_id, is_current) FROM addresses ORDER BY path",
        "SELECT json_array(post_id, position, name) FROM post_authors ORDER BY post_id, position",
        "SELECT json_array(pt.post_id, pt.position, pt.listed_at, t.slug, t.name) FROM post_tags AS pt JOIN tags AS t ON t.id = pt.tag_id ORDER BY pt.post_id, pt.position",
        "SELECT json_array(hash, name, content_type, size_bytes, width, height) FROM media ORDER BY hash",
        "SELECT json_array(name, value) FROM settings ORDER BY name",
    ] {
        assert_eq!(first.rows(sql), second.rows(sql), "{sql}");
    }
    let out_again = second.dir.path().join("out");
    export(&second.database, &second.store, &out_again, &quiet).unwrap();
    assert_eq!(tree_of(&out), tree_of(&out_again));
    report
}

/// Every file below a folder with the hash of its bytes.
fn tree_of(dir: &std::path::Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut waiting = vec![dir.to_path_buf()];
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                let hash = crate::db::hash_of(&fs::read(&path).unwrap());
                found.push((path.strip_prefix(dir).unwrap().to_path_buf(), hash));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn an_export_that_is_imported_into_an_empty_site_gives_the_same_site() {
    let scene = Scene::new(&[
        (
            "_index.md",
            "+++\ntitle = 'Site'\ndescription = 'Tagline'\n[extra.webstead]\nlanguage = 'de'\ntime_zone = 'UTC'\nposts_per_page = '7'\n+++\n",
        ),
        (
            "a/index.md",
            "+++\ntitle = 'A \"quoted\" 🦀'\ndate = 2020-01-01\nupdated = 2021-01-01\naliases = ['/old', '/older']\nweight = 3\n[taxonomies]\ntags = ['One']\n[extra]\nrelease = true\n+++\n\n![p](p.png) [b](../b.md)\n",
        ),
        ("a/p.png", "picture"),
        ("b.md", "+++\ntitle = 'B'\ndraft = true\n+++\nx\r\ny"),
        (
            "c.md",
            "+++\ntitle = 'Same day, later'\ndate = 2020-01-01\nauthors = ['Ada, Countess', 'Grace']\n+++\n",
        ),
        (
            "index-page.md",
            "+++\ntitle = 'Page'\npath = '/index'\n+++\n",
        ),
        ("lonely.pdf", "nobody links here"),
    ]);
    assert_round_trip(&scene.folder());
}

#[test]
fn the_real_blog_comes_in_whole_and_survives_a_round_trip() {
    let given = std::env::var_os("WEBSTEAD_BLOG_DIR").map(PathBuf::from);
    let blog = given.unwrap_or_else(|| {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data/rust-blog/content")
    });
    if !blog.is_dir() {
        eprintln!("SKIPPED: the real blog is not at {}", blog.display());
        return;
    }
    let report = assert_round_trip(&blog);
    assert_eq!(
        (report.files, report.new, report.media_new),
        (553, 387, 161)
    );
    let left_out: Vec<_> = report
        .left_out
        .iter()
        .map(|remark| remark.file.as_str())
        .collect();
    assert_eq!(left_out, ["releases/_index.md", "releases/latest.md"]);
}
