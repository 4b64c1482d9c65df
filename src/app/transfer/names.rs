//! Names of files that every file system takes and that an import reads again.

use std::collections::HashSet;

/// Bytes of one part of a path that every file system takes, with room for `-2` and `.md`.
const MAX_NAME_BYTES: usize = 200;
/// Bytes of what counts as a name's ending.
const MAX_ENDING_BYTES: usize = 16;

/// A name that every file system takes and that the import reads as a file of content.
///
/// The same again for a name that it has given.
pub(super) fn safe_name(name: &str) -> String {
    let safe: String = name
        .chars()
        .map(|c| {
            if c.is_control() || "/\\:*?\"<>|".contains(c) {
                '-'
            } else {
                c
            }
        })
        .collect();
    // A leading dot hides a file; these names mean something else to an import.
    let is_special = safe.is_empty()
        || safe.starts_with(['.', '_'])
        || [
            "index",
            "index.md",
            "node_modules",
            "public",
            "static",
            "content",
        ]
        .contains(&safe.as_str());
    shortened(if is_special {
        format!("x-{safe}")
    } else {
        safe
    })
}

/// Without the end of its stem if it is too long; the ending says what kind of file it is.
fn shortened(name: String) -> String {
    if name.len() <= MAX_NAME_BYTES {
        return name;
    }
    let ending = match name.rfind('.') {
        Some(at) if name.len() - at <= MAX_ENDING_BYTES => &name[at..],
        _ => "",
    };
    let mut end = MAX_NAME_BYTES - ending.len();
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{ending}", &name[..end])
}

/// Whether an import takes a file of this name for a post.
pub(super) fn is_markdown(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, end)| {
        end.eq_ignore_ascii_case("md") || end.eq_ignore_ascii_case("markdown")
    })
}

/// `name`, or with `-2`, `-3` … before its ending if it is taken.
pub(super) fn free_name(taken: &mut HashSet<String>, name: &str) -> String {
    let (stem, end) = match name.rsplit_once('.') {
        Some((stem, end)) if !stem.is_empty() && !end.contains('/') => (stem, format!(".{end}")),
        _ => (name, String::new()),
    };
    first_free(taken, name, |number| format!("{stem}-{number}{end}"))
}

/// `name`, or in a folder `2`, `3` … if it is taken: the name itself stays what it is.
pub(super) fn free_place(taken: &mut HashSet<String>, name: &str) -> String {
    first_free(taken, name, |number| format!("{number}/{name}"))
}

/// Names are compared in lower case: some file systems do not tell the cases apart.
fn first_free(
    taken: &mut HashSet<String>,
    name: &str,
    another: impl Fn(usize) -> String,
) -> String {
    let mut free = name.to_owned();
    let mut number = 2;
    while !taken.insert(free.to_lowercase()) {
        free = another(number);
        number += 1;
    }
    free
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_safe_name_stays_as_it_is_and_every_other_becomes_one() {
        let long = format!("{}.png", "é".repeat(120));
        for (name, safe) in [
            ("a b-ü.PNG", "a b-ü.PNG".to_owned()),
            ("a:b/c\n.png", "a-b-c-.png".into()),
            ("index.md", "x-index.md".into()),
            (".hidden", "x-.hidden".into()),
            ("", "x-".into()),
            (&long, format!("{}.png", "é".repeat(98))),
            (&"x".repeat(300), "x".repeat(200)),
            (
                &format!("_{}.md", "y".repeat(199)),
                format!("x-_{}.md", "y".repeat(194)),
            ),
        ] {
            assert_eq!(safe_name(name), safe);
            assert_eq!(safe_name(&safe), safe);
        }
    }

    #[test]
    fn a_taken_name_gets_a_number_or_a_folder() {
        let mut taken = HashSet::new();
        let given: Vec<_> = ["a.md", "A.md", "b/c.d/e", "b/c.d/e"]
            .map(|name| free_name(&mut taken, name))
            .into();
        assert_eq!(given, ["a.md", "A-2.md", "b/c.d/e", "b/c.d/e-2"]);
        assert_eq!(free_place(&mut taken, "a.MD"), "2/a.MD");
    }
}
