//! What is served at this moment: what the pages of the hosts need to know of the server.

use std::pin::Pin;

use crate::base::Result;

/// An answer that takes a moment.
pub type Soon<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// A host that is being served.
#[derive(Clone, Debug)]
pub struct LiveHost {
    /// The name that visitors ask for.
    pub name: String,
    /// Whether it is set in `webstead.toml`.
    pub is_in_file: bool,
    /// Whether it is a folder, and not another program.
    pub is_folder: bool,
    /// The folder, or where the programs listen.
    pub serves: Vec<String>,
    /// What is wrong with it, and what to do.
    pub problems: Vec<String>,
}

/// What is wrong with a host that is to be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Whether it is its name, and not what is served.
    pub is_in_name: bool,
    /// What, and what to write instead.
    pub text: String,
}

/// The hosts of a running server.
pub trait LiveHosts: Send + Sync {
    /// Every host, by name. Folders are looked at and programs are tried, for at most a second.
    fn list(&self) -> Soon<'_, Vec<LiveHost>>;

    /// The name as requests have it, if a host with these keys of `webstead.toml` could be served under it.
    ///
    /// # Errors
    /// What is wrong with one of them.
    fn check(&self, name: &str, keys: &str) -> std::result::Result<String, Mistake>;

    /// Serves what is stored from the next request on. No connection notices.
    ///
    /// # Errors
    /// What kept it; everything is served as before then.
    fn take_over(&self) -> Soon<'_, Result<()>>;
}
