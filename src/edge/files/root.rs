//! The folder that is served, held open.

use std::{
    fs::File,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use super::{
    beneath::{self, Patience},
    forbidden,
};

/// How long it is held: another folder that takes its name is seen after that.
const HELD: Duration = Duration::from_secs(1);

/// A folder by its path, which is looked up once a second and not for every request once it is there.
#[derive(Debug)]
pub(super) struct Root {
    path: PathBuf,
    /// The data folder, if this must not lead to what is secret there.
    data: Option<PathBuf>,
    held: RwLock<Option<Held>>,
}

#[derive(Debug)]
struct Held {
    since: Instant,
    folder: Arc<File>,
}

impl Root {
    /// The folder at a path; it need not be there.
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            data: None,
            held: RwLock::new(None),
        }
    }

    /// The folder of a host, which is never opened while it leads to what is secret in the data folder.
    pub(super) fn of_host(path: PathBuf, data: &Path) -> Self {
        Self {
            data: Some(forbidden::real(data)),
            ..Self::new(path)
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder as it was a second ago at most; `None` if there is none.
    ///
    /// # Errors
    /// As [`beneath::open_root`], and [`ErrorKind::PermissionDenied`] for what must not be served.
    pub(super) fn open(&self, patience: Patience) -> io::Result<Option<Arc<File>>> {
        let now = Instant::now();
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = &*held
            && now.duration_since(held.since) < HELD
        {
            return Ok(Some(Arc::clone(&held.folder)));
        }
        drop(held);
        let folder = match beneath::open_root(&self.path, patience) {
            Ok(folder) => Arc::new(folder),
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        let data = self.data.as_deref();
        if data.is_some_and(|data| forbidden::has_secrets(&folder, data)) {
            let why = "the folder leads to the data folder of the site now";
            return Err(io::Error::new(ErrorKind::PermissionDenied, why));
        }
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        *held = Some(Held {
            since: now,
            folder: Arc::clone(&folder),
        });
        Ok(Some(folder))
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, thread, time::Duration};

    use super::{HELD, Patience, Root};

    #[test]
    fn a_folder_that_becomes_a_link_to_secrets_is_served_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let (data, path) = (dir.path().join("data"), dir.path().join("served"));
        fs::create_dir_all(data.join("tls")).unwrap();
        fs::create_dir_all(data.join("public")).unwrap();
        fs::create_dir(&path).unwrap();
        for (to, is_served) in [
            (None, true),
            (Some(data.clone()), false),
            (Some(data.join("tls")), false),
            (Some(data.join("public")), true),
        ] {
            let root = Root::of_host(path.clone(), &data);
            if let Some(to) = &to {
                let _ = fs::remove_dir(&path).or_else(|_| fs::remove_file(&path));
                std::os::unix::fs::symlink(to, &path).unwrap();
            }
            assert_eq!(root.open(Patience::Any).is_ok(), is_served, "{to:?}");
        }
    }

    #[test]
    fn a_folder_that_comes_goes_or_is_replaced_is_seen_within_a_second() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("served");
        let root = Root::new(path.clone());
        let file_is_there = || {
            thread::sleep(HELD + Duration::from_millis(50));
            root.open(Patience::Any).unwrap().map(|folder| {
                use std::os::fd::AsFd as _;
                super::beneath::open(folder.as_fd(), "file".as_ref(), Patience::Any).is_ok()
            })
        };
        assert_eq!(file_is_there(), None);
        fs::create_dir(&path).unwrap();
        assert_eq!(file_is_there(), Some(false));
        fs::rename(&path, dir.path().join("old")).unwrap();
        fs::create_dir(&path).unwrap();
        fs::write(path.join("file"), "").unwrap();
        assert_eq!(file_is_there(), Some(true));
        fs::remove_dir_all(&path).unwrap();
        assert_eq!(file_is_there(), None);
    }
}
