//! Folders that must not be served: those with secrets in them.

use std::{
    fs::{self, File},
    os::fd::AsRawFd as _,
    path::{Component, Path, PathBuf},
};

/// Folders that Webstead itself keeps in the data folder: the keys of certificates, and media, drafts' too.
const OUR_OWN: [&str; 2] = ["tls", "media"];

/// What belongs to the machine, and has secrets of its own or is no place for files.
const OF_THE_MACHINE: [&str; 6] = ["/boot", "/dev", "/etc", "/proc", "/root", "/sys"];

/// Why a folder must not be served because of what Webstead keeps; `None` if it may be.
pub(super) fn with_secrets(folder: &Path, data: &Path) -> Option<String> {
    secrets_in(&real(folder), &real(data))
}

/// Whether an open folder must not be served: a link may lead elsewhere since its host was set. `data` is
/// without links.
pub(super) fn has_secrets(folder: &File, data: &Path) -> bool {
    let open = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string());
    fs::read_link(open).is_ok_and(|real| secrets_in(&real, data).is_some())
}

/// What is secret in a folder; both paths are without links.
fn secrets_in(folder: &Path, data: &Path) -> Option<String> {
    if data.starts_with(folder) {
        return Some(format!(
            "{} has the data folder of this site in it, with the keys of its certificates and everybody's \
             password; give the files a folder of their own",
            folder.display()
        ));
    }
    let is_our_own = OUR_OWN.iter().any(|own| folder.starts_with(data.join(own)));
    is_our_own.then(|| {
        format!(
            "{} is Webstead's own; give the files a folder of their own",
            folder.display()
        )
    })
}

/// Why nobody may have a folder served from the browser, where whoever is signed in as the owner asks; `None` if
/// they may.
pub(in crate::edge) fn from_the_browser(folder: &Path, data: &Path) -> Option<String> {
    let (real_folder, real_data) = (real(folder), real(data));
    let shown = folder.display();
    if !folder.is_absolute() {
        return Some(format!(
            "{shown} is not a whole path; it begins with a slash, such as /srv/files"
        ));
    }
    if real_folder.starts_with(&real_data) && !real_folder.starts_with(real_data.join("public")) {
        return Some(format!(
            "{shown} is in the data folder of this site; give the files a folder of their own"
        ));
    }
    if OF_THE_MACHINE.iter().any(|of| real_folder.starts_with(of)) {
        return Some(format!(
            "{shown} belongs to the machine itself; give the files a folder of their own"
        ));
    }
    secrets_in(&real_folder, &real_data)
}

/// The path without symlinks, as far as it exists.
pub(super) fn real(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    for ancestor in path.ancestors() {
        let Ok(mut real) = fs::canonicalize(ancestor) else {
            continue;
        };
        for part in path
            .strip_prefix(ancestor)
            .unwrap_or(Path::new(""))
            .components()
        {
            match part {
                Component::ParentDir => {
                    real.pop();
                }
                Component::Normal(name) => real.push(name),
                _ => {}
            }
        }
        return real;
    }
    path
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink, path::Path};

    use super::{from_the_browser, with_secrets};

    #[test]
    fn folders_with_secrets_are_refused_however_they_are_written() {
        let temporary = tempfile::tempdir().unwrap();
        let place = temporary.path().canonicalize().unwrap();
        let data = place.join("data");
        for folder in [
            "data/tls",
            "data/media",
            "data/public",
            "data/mine",
            "files",
            "database",
        ] {
            fs::create_dir_all(place.join(folder)).unwrap();
        }
        symlink(&data, place.join("link")).unwrap();
        symlink(data.join("tls"), place.join("files/keys")).unwrap();
        for (folder, in_file, in_browser) in [
            ("files", true, true),
            ("database", true, true),
            ("not-there", true, true),
            ("data/public", true, true),
            ("data/public/a", true, true),
            ("data/mine", true, false),
            ("link/mine", true, false),
            ("data", false, false),
            ("data/", false, false),
            ("link", false, false),
            ("data/tls", false, false),
            ("data/media/x", false, false),
            ("data/public/../tls", false, false),
            ("files/keys", false, false),
            ("not-there/../data", false, false),
            (".", false, false),
            ("/", false, false),
            ("/etc", true, false),
            ("/etc/ssl", true, false),
            ("/proc/self", true, false),
            ("/srv/../etc", true, false),
        ] {
            let path = place.join(folder);
            let file = with_secrets(&path, &data);
            assert_eq!(file.is_none(), in_file, "{folder} in the file: {file:?}");
            let browser = from_the_browser(&path, &data);
            assert_eq!(
                browser.is_none(),
                in_browser,
                "{folder} in the browser: {browser:?}"
            );
        }
        assert!(from_the_browser(Path::new("files"), &data).is_some());
        assert!(from_the_browser(Path::new(""), &data).is_some());
    }
}
