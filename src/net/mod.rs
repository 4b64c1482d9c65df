//! The wire: sockets, TLS, certificates, the redirect to HTTPS.

pub mod address;
pub mod certificates;
mod inherited;
pub mod listen;
pub mod names;
pub mod probe;
pub mod redirect;
pub mod tls;
