//! What `deny.toml` says of the dependencies, checked without `cargo deny` and without the network.

use std::{collections::BTreeSet, fs, iter::Peekable, path::Path, process::Command, vec::IntoIter};

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The licences that `deny.toml` allows.
fn allowed() -> BTreeSet<String> {
    let rules: toml::Table = read("deny.toml").parse().unwrap();
    let names = rules["licenses"]["allow"].as_array().unwrap();
    names
        .iter()
        .map(|name| name.as_str().unwrap().to_owned())
        .collect()
}

/// Whether an SPDX expression (SPDX 2.3, annex D; `/` is Cargo's old OR) can be met with what is allowed.
fn is_met(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let words: Vec<String> = spaced.split_whitespace().map(str::to_owned).collect();
    let mut words = words.into_iter().peekable();
    let met = any_of(&mut words, allowed);
    assert!(words.next().is_none(), "{expression:?} is not understood");
    met
}

type Words = Peekable<IntoIter<String>>;

fn any_of(words: &mut Words, allowed: &BTreeSet<String>) -> bool {
    let mut met = all_of(words, allowed);
    while words.next_if_eq("OR").is_some() {
        met |= all_of(words, allowed);
    }
    met
}

fn all_of(words: &mut Words, allowed: &BTreeSet<String>) -> bool {
    let mut met = one(words, allowed);
    while words.next_if_eq("AND").is_some() {
        met &= one(words, allowed);
    }
    met
}

fn one(words: &mut Words, allowed: &BTreeSet<String>) -> bool {
    let Some(word) = words.next() else {
        return false;
    };
    if word == "(" {
        let met = any_of(words, allowed);
        return words.next().is_some_and(|end| end == ")") && met;
    }
    let mut name = word;
    if words.next_if_eq("WITH").is_some() {
        name = format!("{name} WITH {}", words.next().unwrap_or_default());
    }
    allowed.contains(&name)
}

#[test]
fn licences_are_understood_with_their_ands_and_ors() {
    let allowed = ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"]
        .map(str::to_owned)
        .into();
    for (expression, expected) in [
        ("MIT", true),
        ("GPL-3.0-only", false),
        ("GPL-3.0-only OR MIT", true),
        ("GPL-3.0-only/MIT", true),
        ("MIT AND GPL-3.0-only", false),
        ("ISC AND (GPL-3.0-only OR MIT)", true),
        ("(ISC AND GPL-3.0-only) OR AGPL-3.0-only", false),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("Apache-2.0", false),
        ("", false),
    ] {
        assert_eq!(is_met(expression, &allowed), expected, "{expression}");
    }
}

#[test]
fn every_dependency_has_a_licence_that_is_allowed() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--prefix", "none"])
        .args(["--format", "{p}|{l}", "--edges", "normal,build,dev"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let tree = String::from_utf8(output.stdout).unwrap();
    assert!(tree.lines().count() > 100, "{tree}");
    let allowed = allowed();
    for line in tree.lines().filter(|line| !line.is_empty()) {
        let (package, licence) = line.split_once('|').unwrap();
        let licence = licence.trim_end_matches(" (*)");
        assert!(
            is_met(licence, &allowed),
            "{package} has the licence {licence:?}, which deny.toml does not allow"
        );
    }
    let unwanted: Vec<_> = allowed.iter().filter(|name| name.contains("GPL")).collect();
    assert!(unwanted.is_empty(), "{unwanted:?}");
}

#[test]
fn every_dependency_comes_from_the_one_registry_with_a_checksum_and_none_is_denied() {
    let lock: toml::Table = read("Cargo.lock").parse().unwrap();
    let rules: toml::Table = read("deny.toml").parse().unwrap();
    let denied: Vec<&str> = rules["bans"]["deny"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| rule["crate"].as_str().unwrap())
        .collect();
    for package in lock["package"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        if name == env!("CARGO_PKG_NAME") || name == "webstead-benches" {
            continue; // our own
        }
        let source = package.get("source").and_then(toml::Value::as_str);
        assert!(
            source.is_some_and(|source| source.starts_with("registry+")),
            "{name}"
        );
        assert!(package.get("checksum").is_some(), "{name} has no checksum");
        assert!(!denied.contains(&name), "{name} is denied by deny.toml");
    }
}
