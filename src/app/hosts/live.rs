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

/// The hosts of a running server.
pub trait LiveHosts: Send + Sync {
    /// Every host, by name. Folders are looked at and programs are tried, for at most a second.
    fn list(&self) -> Soon<'_, Vec<LiveHost>>;

    /// The name as requests have it, if another host may have it.
    ///
    /// # Errors
    /// What is wrong with it, and what to write.
    fn check_name(&self, name: &str) -> std::result::Result<String, String>;

    /// Whether a host with these keys could be served. Looks where folders and files really are.
    ///
    /// # Errors
    /// What is wrong with them, and what to write.
    fn check_keys(&self, name: &str, keys: &str) -> Soon<'_, std::result::Result<(), String>>;

    /// Serves what is stored from the next request on. No connection notices.
    ///
    /// # Errors
    /// What kept it; everything is served as before then.
    fn take_over(&self) -> Soon<'_, Result<()>>;
}
