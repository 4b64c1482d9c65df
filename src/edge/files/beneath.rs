//! Opens a file below a folder, and never one outside of it.
//!
//! Defences: the kernel resolves the whole path itself and refuses every step that leaves the folder, a
//! symbolic link included (openat2(2), `RESOLVE_BENEATH`), so that nothing can be changed between a look
//! and the opening. Links that stay below are followed. Where the kernel is too old for that (before 5.6)
//! or a sandbox forbids it, no link is followed at all. Pipes and devices are opened without waiting, and
//! then refused.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2},
    io::Errno,
};

/// Whether to wait for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// Only what the kernel has in memory; else [`io::ErrorKind::WouldBlock`].
    None,
    /// As long as it takes.
    Any,
}

/// How often a path is looked up again that changes while it is looked up.
const RETRIES: u32 = 8;

const FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY);

const ROOT_FLAGS: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Opens the folder that is served; it may be a link, because its owner has set it.
///
/// # Errors
/// As open(2).
pub(super) fn open_root(folder: &Path, patience: Patience) -> io::Result<File> {
    let mut resolve = ResolveFlags::empty();
    if patience == Patience::None {
        resolve |= ResolveFlags::CACHED;
    }
    let opened = match openat2(CWD, folder, ROOT_FLAGS, Mode::empty(), resolve) {
        Err(Errno::NOSYS | Errno::PERM) => openat(CWD, folder, ROOT_FLAGS, Mode::empty()),
        outcome => outcome,
    };
    opened.map(File::from).map_err(|e| plain(e, patience))
}

/// Opens a file or folder at a relative path below `root`; an empty path is the folder itself.
///
/// # Errors
/// As open(2): [`io::ErrorKind::NotFound`] also for what lies outside, behind a link or below a file.
pub(super) fn open(root: BorrowedFd<'_>, path: &Path, patience: Patience) -> io::Result<File> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    let mut resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    if patience == Patience::None {
        resolve |= ResolveFlags::CACHED;
    }
    let look = || openat2(root, path, FLAGS, Mode::empty(), resolve);
    let mut outcome = look();
    // Somebody renamed something on the way meanwhile.
    let mut tries = 0;
    while patience == Patience::Any && matches!(outcome, Err(Errno::AGAIN)) && tries < RETRIES {
        tries += 1;
        outcome = look();
    }
    let opened = match outcome {
        Err(Errno::NOSYS | Errno::PERM) => open_without_links(root, path),
        outcome => outcome,
    };
    opened.map(File::from).map_err(|e| plain(e, patience))
}

/// What the kernel says, as the caller needs it.
fn plain(error: Errno, patience: Patience) -> io::Error {
    match error {
        // The last one: a socket.
        Errno::XDEV | Errno::LOOP | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::NXIO => {
            io::ErrorKind::NotFound.into()
        }
        // Before 5.12 the kernel does not know whether it must wait.
        Errno::INVAL if patience == Patience::None => io::ErrorKind::WouldBlock.into(),
        e => e.into(),
    }
}

/// Walks down name by name, through no link.
fn open_without_links(root: BorrowedFd<'_>, path: &Path) -> rustix::io::Result<OwnedFd> {
    let mut names = path.iter().peekable();
    let mut folder: Option<OwnedFd> = None;
    while let Some(name) = names.next() {
        let at = folder.as_ref().map_or(root, AsFd::as_fd);
        let mut flags = FLAGS | OFlags::NOFOLLOW;
        if names.peek().is_some() {
            flags |= OFlags::DIRECTORY;
        }
        folder = Some(openat(at, name, flags, Mode::empty())?);
    }
    folder.ok_or(Errno::NOENT)
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        io::{ErrorKind, Read},
        os::{
            fd::{AsFd, BorrowedFd},
            unix::fs::symlink,
        },
        path::Path,
    };

    use super::{Patience, open, open_without_links};

    #[test]
    fn what_lies_outside_is_not_found_by_any_way() {
        let dir = tempfile::tempdir().unwrap();
        let inside = dir.path().join("inside");
        fs::create_dir_all(inside.join("folder")).unwrap();
        fs::write(dir.path().join("secret"), "secret").unwrap();
        fs::write(inside.join("folder/file"), "open").unwrap();
        symlink("../secret", inside.join("out")).unwrap();
        symlink(dir.path(), inside.join("up")).unwrap();
        symlink("/etc/passwd", inside.join("absolute")).unwrap();
        symlink("folder/file", inside.join("within")).unwrap();
        symlink("round", inside.join("round")).unwrap();
        let root = fs::File::open(&inside).unwrap();
        let look = |path: &str| {
            open(root.as_fd(), Path::new(path), Patience::Any).map(|mut file| {
                let mut text = String::new();
                file.read_to_string(&mut text).unwrap();
                text
            })
        };
        for path in [
            "out",
            "up/secret",
            "absolute",
            "round",
            "../secret",
            "/etc/passwd",
            "folder/../../secret",
            "folder/file/x",
            "missing",
        ] {
            assert_eq!(
                look(path).unwrap_err().kind(),
                ErrorKind::NotFound,
                "{path}"
            );
        }
        assert_eq!(look("folder/file").unwrap(), "open");
        assert_eq!(look("within").unwrap(), "open");
    }

    #[test]
    fn an_old_kernel_follows_no_link_and_finds_files() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("folder")).unwrap();
        fs::write(dir.path().join("folder/file"), "open").unwrap();
        symlink("folder", dir.path().join("link")).unwrap();
        let root = fs::File::open(dir.path()).unwrap();
        let find = |path: &str| {
            let root: BorrowedFd<'_> = root.as_fd();
            open_without_links(root, Path::new(path))
        };
        assert!(find("folder/file").is_ok());
        assert!(find(".").is_ok());
        assert!(find("link").is_err());
        assert!(find("link/file").is_err());
    }

    #[test]
    fn nothing_waits_for_a_pipe() {
        let dir = tempfile::tempdir().unwrap();
        let made = std::process::Command::new("mkfifo")
            .arg(dir.path().join("pipe"))
            .status();
        if !made.is_ok_and(|status| status.success()) {
            return;
        }
        let root = fs::File::open(dir.path()).unwrap();
        let opened = open(root.as_fd(), Path::new("pipe"), Patience::Any).unwrap();
        assert!(!opened.metadata().unwrap().is_file());
    }
}
