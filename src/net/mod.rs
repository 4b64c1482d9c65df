//! The wire: sockets, TLS, certificates, the redirect to HTTPS.

pub mod accept;
pub mod acme;
pub mod address;
pub mod admission;
pub mod certificates;
pub mod challenges;
pub mod connector;
pub mod dns;
pub mod doctor;
mod flow;
pub mod front_door;
pub mod handshakes;
mod http2;
mod inherited;
mod interfaces;
mod last_addresses;
pub mod leads;
pub mod leaving;
pub mod listen;
pub mod mdns;
pub mod names;
pub mod ports;
pub mod probe;
mod proxy_protocol;
pub mod redirect;
mod retry_after;
pub mod router;
pub mod ssh;
mod stream;
pub mod tls;
pub mod trust;
mod typed;
mod unreached;
pub mod web_client;

pub use flow::Flow;
pub use stream::Peer;
