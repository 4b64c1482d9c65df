//! Certificates of the machine's own: a local authority and what it signs.

mod authority;
mod clock;
mod constraints;
mod files;
mod leaf;
mod renewal;

pub use authority::LocalAuthority;
pub use leaf::local_certificate;
pub use renewal::Renewal;
