//! Files on another machine, over SSH: who it is, who we are there, and what can be asked of it.
//!
//! SFTP is version 3 of its draft, which is what servers speak:
//! <https://datatracker.ietf.org/doc/html/draft-ietf-secsh-filexfer-02>. The `…@openssh.com` are in
//! <https://github.com/openssh/openssh-portable/blob/master/PROTOCOL>, and are used where the server offers them.

mod files;
pub mod keys;
mod session;

use std::{fmt, sync::Arc};

pub use self::{files::Entry, session::Client};

/// Who to go to, and who we are there.
#[derive(Clone)]
pub struct Login {
    /// The host, a name or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Our name there.
    pub user: String,
    /// The host's key: `SHA256:` and its digest in base64. Without it nobody is let be the host.
    pub host_key: Option<String>,
    /// How we prove who we are, in this order.
    pub proofs: Vec<Proof>,
}

/// How we prove who we are.
#[derive(Clone)]
pub enum Proof {
    /// The secret half of a key.
    Key(Arc<keys::PrivateKey>),
    /// A password.
    Password(String),
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nobody answers, or not in time, or the connection was lost; in words.
    Unreachable(String),
    /// The host was never met: the key that it shows.
    UnknownHost(String),
    /// The host shows another key than it should: this one.
    OtherHost(String),
    /// The host does not let us in.
    NotLetIn,
    /// The host lets us in, but has no files for us; in its words.
    NoFiles(String),
    /// There is no such file or folder.
    NotThere,
    /// We may not.
    NoRights,
    /// There is more than was wanted.
    TooLarge,
    /// Something else, in the words of the host.
    Other(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) | Self::NoFiles(why) | Self::Other(why) => f.write_str(why),
            Self::UnknownHost(key) => write!(f, "its key is not known: {key}"),
            Self::OtherHost(key) => write!(f, "it shows another key: {key}"),
            Self::NotLetIn => f.write_str("it does not let us in"),
            Self::NotThere => f.write_str("there is no such file"),
            Self::NoRights => f.write_str("it does not allow that"),
            Self::TooLarge => f.write_str("it is too large"),
        }
    }
}
