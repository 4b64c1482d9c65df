//! Paths as people write them, in settings and on the command line.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, de::Error as _};

/// A path that does not begin with `~`. A shell makes a home folder of that before a program sees it; where no shell is, as
/// in a file of settings or behind a quotation mark, it would name a folder that is called `~`. Whose home is meant, a
/// program that runs as a service cannot know.
///
/// # Errors
/// What to write instead.
pub fn whole(path: impl Into<PathBuf>) -> Result<PathBuf, String> {
    let path = path.into();
    let text = path.as_os_str().as_encoded_bytes();
    if !text.starts_with(b"~") {
        return Ok(path);
    }
    let behind = path.components().skip(1).collect::<PathBuf>();
    Err(format!(
        "{:?}: ~ is not made a home folder here; write the whole path, such as {:?}, or {:?} if something is called so",
        path.display().to_string(),
        Path::new("/home/ada").join(behind).display().to_string(),
        Path::new(".").join(&path).display().to_string(),
    ))
}

/// For serde: a path that is [`whole`].
///
/// # Errors
/// As [`whole`], or if it is no text.
pub fn written<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
    whole(String::deserialize(from)?).map_err(D::Error::custom)
}

/// For serde: [`written`], where something is written.
///
/// # Errors
/// As [`written`].
pub fn written_or_none<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PathBuf>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    text.map(whole).transpose().map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::whole;

    #[test]
    fn a_path_that_only_a_shell_understands_is_refused_with_what_to_write() {
        for (path, wholly, so_called) in [
            ("~", "\"/home/ada/\"", "\"./~\""),
            ("~/site", "\"/home/ada/site\"", "\"./~/site\""),
            ("~grace/a/b", "\"/home/ada/a/b\"", "\"./~grace/a/b\""),
        ] {
            let said = whole(path).unwrap_err();
            for word in [path, wholly, so_called] {
                assert!(said.contains(word), "{word}: {said}");
            }
        }
        for path in ["/home/ada/site", "site", "./~/site", "a~", "/~", ""] {
            assert_eq!(whole(path).unwrap(), Path::new(path));
        }
    }
}
