//! Certificates of the machine's own: a local authority and what it signs.

mod authority;
mod clock;
mod constraints;
mod files;
mod leaf;

pub use authority::LocalAuthority;
pub use leaf::local_certificate;
