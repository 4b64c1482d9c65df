//! The plan of the house, checked: who may import whom.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Modules from the top to the bottom. A module imports only from lines below its own.
const LAYERS: [&[&str]; 8] = [
    &["main"],
    &["cli"],
    &["install"],
    &["server"],
    &["config"],
    &["net", "edge", "app", "backup"],
    &["jobs", "auth", "text", "mail", "assets"],
    &["db", "base"],
];

/// Siblings that may be imported, and why.
const SIBLINGS: [(&str, &str, &str); 2] = [
    (
        "edge",
        "net",
        "the edge knows what the wire says of a connection, and where plain HTTP is sent",
    ),
    ("db", "base", "everything may use base"),
];

/// Features that read another feature's data or speak its types, and why. What is not here is an error.
const FEATURES: [(&str, &[&str], &str); 12] = [
    ("archive", &["posts"], "lists posts by year"),
    (
        "editor",
        &["media", "posts", "tags"],
        "edits posts and offers media and tags",
    ),
    (
        "errors",
        &["users"],
        "shows the sign-in form to who must sign in",
    ),
    (
        "feeds",
        &["archive", "posts"],
        "lists posts, in parts by year",
    ),
    ("home", &["posts"], "lists posts"),
    ("lists", &["posts"], "a post as an entry of a list"),
    ("settings", &["posts"], "the menu is the published pages"),
    ("tags", &["posts"], "lists posts by tag"),
    (
        "transfer",
        &["media", "posts", "settings"],
        "brings in and writes out everything",
    ),
    (
        "users",
        &["editor", "settings"],
        "set-up names the site; signing in gives back what was being written",
    ),
    (
        "visit",
        &["backups", "settings"],
        "every page needs the site, and warns its owner",
    ),
    (
        "gallery_test",
        &[
            "archive", "backups", "disk", "doctor", "editor", "errors", "help", "home", "hosts",
            "names", "posts", "settings", "tags", "traffic", "users",
        ],
        "renders every page",
    ),
];

/// Everybody's in `app`: the frame of a page, the visit, what lists share, sentences with code in them.
const SHARED: [&str; 4] = ["layout", "visit", "lists", "prose"];

/// Every `.rs` file below a folder.
pub(crate) fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// File below `src/` and its text without comments.
fn sources() -> Vec<(String, String)> {
    rust_files(&src())
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let code: Vec<&str> = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .collect();
            (
                path.strip_prefix(src()).unwrap().display().to_string(),
                code.join("\n"),
            )
        })
        .collect()
}

/// The names that follow `prefix` in a text: `crate::{a::b, c}` gives a and c.
fn names_after(text: &str, prefix: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, _) in text.match_indices(prefix) {
        let rest = &text[at + prefix.len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let (mut depth, mut start) = (0, 0);
            for (i, c) in group.char_indices() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => {
                        names.insert(first_name(&group[start..i]));
                        break;
                    }
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        names.insert(first_name(&group[start..i]));
                        start = i + 1;
                    }
                    _ => {}
                }
            }
        } else {
            names.insert(first_name(rest));
        }
    }
    names.remove("");
    names
}

fn first_name(text: &str) -> String {
    text.trim_start()
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

fn top_of(file: &str) -> String {
    first_name(file.split('/').next().unwrap())
}

#[test]
fn imports_go_down() {
    let layer = |name: &str| LAYERS.iter().position(|names| names.contains(&name));
    for (file, text) in sources() {
        let own = top_of(&file);
        let Some(own_layer) = layer(&own) else {
            assert_eq!(own, "lib", "{file} is in no layer");
            continue;
        };
        for name in names_after(&text, "crate::") {
            let Some(other) = layer(&name) else { continue };
            let is_allowed_sibling = SIBLINGS
                .iter()
                .any(|(from, to, _)| *from == own && *to == name);
            assert!(
                other > own_layer || name == own || is_allowed_sibling,
                "src/{file} imports {name}, which is not below {own}"
            );
        }
    }
}

#[test]
fn features_know_only_those_features_that_the_plan_names() {
    for (file, text) in sources() {
        let Some(rest) = file.strip_prefix("app/") else {
            continue;
        };
        let own = top_of(rest);
        if own == "mod" {
            continue;
        }
        let allowed = FEATURES
            .iter()
            .find(|(name, _, _)| *name == own)
            .map_or(&[][..], |(_, names, _)| names);
        let mut imported = BTreeSet::new();
        for after in names_after(&text, "crate::app::") {
            imported.insert(after);
        }
        // Inside of `use crate::{ app::{…} }`, and `use super::…` of the files that lie beside the features.
        imported.extend(names_after(&text, "    app::"));
        if !rest.contains('/') {
            imported.extend(names_after(&text, "use super::"));
        }
        for name in imported {
            let is_fine =
                name == own || SHARED.contains(&name.as_str()) || allowed.contains(&name.as_str());
            assert!(
                is_fine,
                "src/{file} imports the feature {name}; the plan does not name that"
            );
        }
    }
}

#[test]
fn there_is_no_circle_of_features() {
    fn visit<'a>(name: &'a str, path: &mut Vec<&'a str>) {
        assert!(!path.contains(&name), "a circle: {path:?} → {name}");
        path.push(name);
        if let Some((_, names, _)) = FEATURES.iter().find(|(known, _, _)| *known == name) {
            for next in *names {
                visit(next, path);
            }
        }
        path.pop();
    }
    for (name, _, _) in FEATURES {
        visit(name, &mut Vec::new());
    }
}

#[test]
fn files_are_small_and_only_the_database_opens_connections() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["src", "tests", "benches"].map(|folder| rust_files(&project.join(folder)));
    for path in folders.into_iter().flatten() {
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().count();
        assert!(
            lines <= 500,
            "{} has {lines} lines; 500 are the most",
            path.display()
        );
        assert!(
            text.starts_with("//!"),
            "{} does not say what it is",
            path.display()
        );
        // Tests may look at what they have made.
        let program = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let opens =
            program.contains("Connection::open") || program.contains("SqliteConnectionManager::");
        let is_test = path.ends_with("tests.rs");
        assert!(
            !opens || is_test || !path.starts_with(src()) || path == src().join("db/door.rs"),
            "{} opens a connection beside the one door",
            path.display()
        );
    }
}

#[test]
fn every_file_that_the_map_names_is_there() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["src", "tests", "benches"].map(|folder| rust_files(&project.join(folder)));
    let files: Vec<PathBuf> = folders.into_iter().flatten().collect();
    for page in ["ARCHITECTURE.md", "CONTRIBUTING.md", "README.md"] {
        let text = fs::read_to_string(project.join(page)).unwrap();
        let named = text
            .lines()
            .flat_map(|line| line.split('`').skip(1).step_by(2));
        let is_placeholder = |name: &str| name.contains('<') || name.contains("/N_");
        for name in named.filter(|name| !is_placeholder(name)) {
            let is_path = [
                "src/",
                "tests/",
                "benches/",
                "cross/",
                "assets/",
                "templates/",
                ".ci/",
            ]
            .iter()
            .any(|folder| name.starts_with(folder) && !name.contains(char::is_whitespace));
            let is_there = if is_path {
                project.join(name).exists()
            } else {
                let is_code = Path::new(name).extension().is_some_and(|end| end == "rs");
                !is_code || files.iter().any(|file| file.ends_with(name))
            };
            assert!(is_there, "{page} names {name}, which is not there");
        }
    }
}
