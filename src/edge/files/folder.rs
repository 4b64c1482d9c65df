//! A folder that is served, and how.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
};

use actix_web::http::header::HeaderValue;
use serde::Deserialize;

use super::{caching::CacheRules, forbidden, hot::Hot, root::Root};
use crate::base::paths;

/// A host's keys in `webstead.toml`, if it has files.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::edge) struct Settings {
    /// The folder; below the data folder if it is not absolute.
    #[serde(deserialize_with = "paths::written")]
    pub(in crate::edge) files: PathBuf,
    /// Whether folders without an `index.html` show what is in them.
    #[serde(default)]
    listing: bool,
    /// Whether the folder's `index.html` is the answer to every address that has no file.
    #[serde(default)]
    single_page: bool,
    /// How long browsers may keep which files.
    #[serde(default)]
    cache: CacheRules,
}

/// A folder that is served.
#[derive(Clone, Debug)]
pub(in crate::edge) struct Folder {
    pub(super) root: Arc<Root>,
    pub(super) hot: Arc<Hot>,
    pub(super) listing: bool,
    pub(super) single_page: bool,
    cache: CacheRules,
    /// Whether it is a host of its own, and not beside the application.
    is_host: bool,
}

impl Folder {
    /// The folder of a host; `data` is where a relative one lies.
    pub(in crate::edge) fn new(settings: &Settings, data: &Path) -> Self {
        Self {
            root: Arc::new(Root::of_host(data.join(&settings.files), data)),
            hot: Arc::new(Hot::new()),
            listing: settings.listing,
            single_page: settings.single_page,
            cache: settings.cache.clone(),
            is_host: true,
        }
    }

    /// A folder whose files are served before the application's pages; it need not be there.
    pub(in crate::edge) fn beside_the_site(root: PathBuf) -> Self {
        Self {
            root: Arc::new(Root::new(root)),
            hot: Arc::new(Hot::new()),
            listing: false,
            single_page: false,
            cache: CacheRules::default(),
            is_host: false,
        }
    }

    /// The path, to be shown.
    pub(in crate::edge) fn shown(&self) -> String {
        self.root.path().display().to_string()
    }

    /// Why it must not be served, if it must not; `data` is the data folder.
    pub(in crate::edge) fn refusal(&self, data: &Path) -> Option<String> {
        forbidden::with_secrets(self.root.path(), data)
    }

    /// What is wrong with it, and what to do.
    pub(in crate::edge) fn problem(&self) -> Option<String> {
        let shown = self.root.path().display();
        match fs::read_dir(self.root.path()) {
            Ok(_) => None,
            Err(e) if e.kind() == ErrorKind::NotFound => Some(format!(
                "the folder {shown} is not there; make it, or write another one"
            )),
            Err(e) if e.kind() == ErrorKind::NotADirectory => {
                Some(format!("{shown} is a file; write the folder that it is in"))
            }
            Err(e) => Some(format!(
                "the folder {shown} cannot be read ({e}); the service runs as a user of its own, which \
                 needs permission to read it"
            )),
        }
    }

    /// What `Cache-Control` is for the file at a path.
    pub(super) fn caching(&self, path: &str) -> HeaderValue {
        self.cache.of(path)
    }

    /// What its pages may do. Those beside the application share its origin, and with it the sessions; those
    /// of a host of its own are their author's.
    pub(super) fn policy(&self) -> Option<&'static str> {
        (!self.is_host).then_some("frame-ancestors 'self'")
    }
}
