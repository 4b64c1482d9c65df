//! Certificates: which one a connection is shown, a local authority and what it signs, and those of others.

mod authority;
mod chain;
pub(super) mod clock;
mod constraints;
mod decayed;
pub(super) mod files;
mod leaf;
mod own_files;
mod renewal;
mod shared;
mod shown;
mod trust;

pub use authority::LocalAuthority;
pub use chain::Chain;
pub(super) use chain::{Said, covers};
pub use decayed::look_at_local;
pub use leaf::local_certificate;
pub use own_files::{FILES_REMEDY, FilesState, OwnFiles, Watched};
pub use renewal::Renewal;
pub use shared::AuthorityCertificate;
pub use shown::{Kind, Shown};
pub use trust::Trust;
pub(super) use trust::is_signed_by;
