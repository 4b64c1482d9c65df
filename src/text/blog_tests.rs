//! Tests over a real blog, if it is there: 390 posts of nine years by many hands.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{front_matter, markdown};

/// Settings that the blog uses.
const KNOWN_KEYS: &[&str] = &[
    "aliases",
    "authors",
    "date",
    "description",
    "draft",
    "extra",
    "path",
    "slug",
    "template",
    "title",
    "sort_by",
    "page_template",
    "render",
    "paginate_by",
    "updated",
    "taxonomies",
    "generate_feeds",
    "in_search_index",
    "insert_anchor_links",
    "transparent",
    "weight",
];

/// Where the blog is: `WEBSTEAD_BLOG_DIR`, else beside the repository.
fn folder() -> PathBuf {
    std::env::var_os("WEBSTEAD_BLOG_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/rust-blog/content"),
        PathBuf::from,
    )
}

/// All Markdown files below a folder.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a readable folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "md") {
            found.push(path);
        }
    }
}

#[test]
fn every_file_of_a_real_blog_is_read_and_rendered() {
    let folder = folder();
    if !folder.is_dir() {
        eprintln!(
            "SKIPPED: there is no blog in {}; set WEBSTEAD_BLOG_DIR to one",
            folder.display()
        );
        return;
    }
    let mut paths = Vec::new();
    files(&folder, &mut paths);
    paths.sort();
    assert!(!paths.is_empty(), "no Markdown in {}", folder.display());
    let mut times: Vec<(Duration, &Path)> = Vec::new();
    let mut removed = std::collections::BTreeMap::<String, usize>::new();
    let mut coloured = 0;
    for path in &paths {
        let name = path.display();
        let source = fs::read_to_string(path).expect("text in UTF-8");
        let started = Instant::now();
        let file =
            front_matter::parse(&source).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        let rendered = markdown::render(&file.body, &markdown::Options::default());
        times.push((started.elapsed(), path));
        assert!(!file.values.is_empty(), "{name} has no settings");
        for entry in &file.values {
            assert!(
                KNOWN_KEYS.contains(&entry.key.as_str()),
                "{name}:{}: {}",
                entry.line,
                entry.key
            );
            let line = source.lines().nth(entry.line - 1).unwrap_or_default();
            assert!(
                line.contains(entry.key.as_str()),
                "{name}:{}: {line}",
                entry.line
            );
        }
        let rest: Vec<&str> = source.lines().skip(file.body_line - 1).collect();
        assert_eq!(
            rest.join("\n"),
            file.body.lines().collect::<Vec<_>>().join("\n"),
            "{name}"
        );
        // Code that is written as raw HTML has the class too, but is not coloured.
        let fences = file
            .body
            .lines()
            .filter(|line| line.trim_start().starts_with("```rust"));
        let blocks = rendered
            .html
            .split("<code class=\"language-rust\">")
            .skip(1);
        let in_colour = blocks.filter(|block| {
            let code = block.split("</code>").next().unwrap_or_default();
            code.contains("<span class=\"hl-")
        });
        let (fences, in_colour) = (fences.count(), in_colour.count());
        assert!(
            in_colour >= fences,
            "{name}: {in_colour} of {fences} blocks of Rust have colours"
        );
        coloured += in_colour;
        assert!(!rendered.html.contains("<script"), "{name}");
        for what in rendered.removed {
            *removed.entry(what.what).or_default() += 1;
        }
    }
    assert!(coloured > 0, "no Rust in a blog about it?");
    times.sort();
    let (slowest, path) = times[times.len() - 1];
    eprintln!(
        "{} files, {coloured} blocks of Rust; median {:?}, slowest {slowest:?} ({})\nremoved: {removed:#?}",
        times.len(),
        times[times.len() / 2].0,
        path.display()
    );
}
