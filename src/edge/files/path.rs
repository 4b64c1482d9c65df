//! The path of a request as names of folders and a file, and nothing else.
//!
//! Defences: it is decoded once and then split, so that no encoding hides a slash or a dot; `..`, empty
//! names, NUL and hidden names are refused here, before the disk is asked; what the names lead to is
//! [`beneath`](super::beneath)'s to guard.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt, path::PathBuf};

use percent_encoding::percent_decode;

/// The longest path that is looked for, in bytes (Linux, `PATH_MAX`).
const MAX_BYTES: usize = 4096;
/// The longest name of a file, in bytes (Linux, `NAME_MAX`).
const MAX_NAME_BYTES: usize = 255;
/// The one hidden folder that is served (RFC 8615).
const WELL_KNOWN: &[u8] = b".well-known";

/// Where a request's path leads below the served folder.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Wanted {
    /// Relative, without `.` and `..`; empty for the folder itself.
    pub(super) path: PathBuf,
    /// Whether the path ended with a slash: a folder is wanted.
    pub(super) is_folder: bool,
}

impl Wanted {
    /// Parses the path of an address, such as `/a%20b/c.html`; `None` where no file can be meant.
    pub(super) fn parse(path: &str) -> Option<Self> {
        let inner = path.strip_prefix('/')?;
        let mut names = PathBuf::new();
        if inner.is_empty() {
            return Some(Self {
                path: names,
                is_folder: true,
            });
        }
        let (inner, is_folder) = match inner.strip_suffix('/') {
            Some(folder) => (folder, true),
            None => (inner, false),
        };
        for encoded in inner.split('/') {
            let name: Vec<u8> = percent_decode(encoded.as_bytes()).collect();
            if !is_servable(&name) {
                return None;
            }
            names.push(OsStr::from_bytes(&name));
        }
        (names.as_os_str().len() <= MAX_BYTES).then_some(Self {
            path: names,
            is_folder,
        })
    }

    /// What it takes of memory beside itself, in bytes.
    pub(super) fn length(&self) -> u64 {
        self.path.as_os_str().len() as u64
    }
}

/// Whether a name may be asked for: not `.` or `..`, not hidden, and one that a file can have.
fn is_servable(name: &[u8]) -> bool {
    let is_hidden = name.starts_with(b".") && name != WELL_KNOWN;
    (1..=MAX_NAME_BYTES).contains(&name.len())
        && !is_hidden
        // A backslash is a slash to browsers (WHATWG URL section 4.4) and to who copies files to Windows.
        && !name.iter().any(|byte| matches!(byte, 0 | b'/' | b'\\'))
}

#[cfg(test)]
mod tests {
    use std::path::{Component, Path};

    use proptest::prelude::*;

    use super::Wanted;

    #[test]
    fn paths_lead_to_files_and_folders_below_and_nowhere_else() {
        for (given, expected) in [
            ("/", Some(("", true))),
            ("/a.html", Some(("a.html", false))),
            ("/a/b.css", Some(("a/b.css", false))),
            ("/a/", Some(("a", true))),
            ("/a%20b", Some(("a b", false))),
            ("/%C3%A4", Some(("ä", false))),
            ("/a..b", Some(("a..b", false))),
            ("/.well-known/x", Some((".well-known/x", false))),
            ("/%2Ewell-known/x", Some((".well-known/x", false))),
            ("", None),
            ("a", None),
            ("//", None),
            ("//a", None),
            ("/a//b", None),
            ("/..", None),
            ("/../a", None),
            ("/a/../../b", None),
            ("/%2e%2e/a", None),
            ("/.%2e/a", None),
            ("/a/.", None),
            ("/a%2fb", None),
            ("/..%2fa", None),
            ("/a%5Cb", None),
            ("/a\\..\\b", None),
            ("/a%00.html", None),
            ("/.git/config", None),
            ("/%2egit/config", None),
            ("/a/.htaccess", None),
            ("/.well-known/.x", None),
            ("/.well-knownx", None),
        ] {
            let found = Wanted::parse(given);
            let found = found
                .as_ref()
                .map(|wanted| (wanted.path.to_str().unwrap(), wanted.is_folder));
            assert_eq!(found, expected, "{given}");
        }
        assert_eq!(Wanted::parse(&format!("/{}", "a".repeat(256))), None);
        assert_eq!(Wanted::parse(&"/a".repeat(3000)), None);
    }

    proptest! {
        #[test]
        fn whatever_is_asked_for_stays_below(path in "(/|\\.|%2e|%2f|%00|a|\\\\|%5c|\\PC){0,20}") {
            if let Some(wanted) = Wanted::parse(&path) {
                let are_names = wanted.path.components().all(|c| matches!(c, Component::Normal(_)));
                prop_assert!(are_names && !wanted.path.is_absolute(), "{:?}", wanted.path);
                prop_assert!(Path::new("/srv").join(&wanted.path).starts_with("/srv"));
            }
        }
    }
}
