//! One address for one page: a slash at the end or doubled at the start is redirected away.

/// Where an untidy path should go; `None` if it is tidy.
///
/// The result always starts with exactly one slash, so that it cannot name another host.
pub(super) fn tidy_location(path: &str, query: Option<&str>) -> Option<String> {
    // Browsers take a backslash for a slash (WHATWG URL section 4.4).
    let inner = path.trim_matches(['/', '\\']);
    let is_tidy = path == "/" || (path.len() == inner.len() + 1 && path.starts_with('/'));
    if is_tidy {
        return None;
    }
    Some(match query {
        Some(query) => format!("/{inner}?{query}"),
        None => format!("/{inner}"),
    })
}

#[cfg(test)]
mod tests {
    use super::tidy_location;

    #[test]
    fn untidy_paths_are_redirected_within_the_site() {
        let table = [
            ("/", None, None),
            ("/a", None, None),
            ("/a/b", Some("c=/"), None),
            ("/a/", None, Some("/a")),
            ("/a//", Some("q=1"), Some("/a?q=1")),
            ("//evil.example/", None, Some("/evil.example")),
            ("//evil.example", None, Some("/evil.example")),
            ("///", None, Some("/")),
            ("/\\evil.example/", None, Some("/evil.example")),
            ("/\\/evil.example", None, Some("/evil.example")),
        ];
        for (path, query, expected) in table {
            assert_eq!(tidy_location(path, query).as_deref(), expected, "{path}");
        }
    }
}
