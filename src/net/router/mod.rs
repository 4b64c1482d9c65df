//! The router at home: what it is seen to be, and ports that it passes on to this machine with the owner's consent.
//!
//! It is asked over UPnP-IGD, PCP (RFC 6887) and NAT-PMP (RFC 6886), by a client of our own on what the program has
//! anyway. There are crates (igd-next, `crab_nat`), but they lack what keeps other machines' ports from being taken:
//! reading one port's mapping (`GetSpecificPortMappingEntry`) and PCP's `PREFER_FAILURE`; and they would bring a
//! second XML reader and a second source of random numbers.
//!
//! Everybody on the network can answer in the router's place, so only what comes from its own address is believed,
//! nothing that it says leads to another machine, and every answer is limited in size and time.

mod absence;
mod datagram;
mod epoch;
mod firewall;
mod gateway;
mod gateway6;
mod hole;
mod http;
mod igd;
mod keeper;
mod keeper6;
mod kept;
mod nat_pmp;
mod opening;
mod pcp;
mod seen;
mod seen6;
mod settings;
mod soap;
mod ssdp;
mod wanted;
mod xml;

use std::net::Ipv4Addr;

pub use gateway::Gateway;
pub use gateway6::Gateway6;
pub use keeper::{Keeper, close};
pub use kept::{Hole, Kept, Mapped};
pub use seen::{External, Mapping, PortSeen, Protocol, Seen, external_ipv4, look};
pub use seen6::{Lets, Seen6};
pub use settings::Settings;
pub use wanted::Wanted;

/// Where routers answer to PCP and NAT-PMP (RFC 6887 section 19.1).
const PCP_PORT: u16 = 5351;
/// By what a mapping of ours is known on the router's own pages.
const DESCRIPTION: &str = "Webstead";
/// The port that visitors use.
pub const HTTPS: u16 = 443;
/// The one from which they are sent on to it.
pub const HTTP: u16 = 80;

/// A port of the router, and the one of this machine to which it is to lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    /// At the router.
    pub external: u16,
    /// At this machine.
    pub internal: u16,
}

impl Forward {
    /// Those that visitors need, to a site that listens on these ports: 443, then 80.
    pub fn to(https: u16, http: u16) -> [Self; 2] {
        [(HTTPS, https), (HTTP, http)].map(|(external, internal)| Self { external, internal })
    }
}

/// What PCP and NAT-PMP grant.
#[derive(Clone, Copy, Debug)]
struct Granted {
    port: u16,
    lease_s: u32,
    /// The router's address on its other side, where the answer has it.
    outside: Option<Ipv4Addr>,
}

/// Why the router did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Refusal {
    /// It did not answer, or not so that it could be understood.
    #[error("{0}")]
    Silent(String),
    /// It says no, in words.
    #[error("{0}")]
    Says(String),
    /// It says no, with a code of UPnP and its own words.
    #[error("it refuses ({0}{sep}{1})", sep = if .1.is_empty() { "" } else { ", " })]
    Code(u16, String),
    /// Somebody else has that port.
    #[error("somebody else has this port")]
    Taken,
    /// It knows only mappings without an end.
    #[error("it knows only mappings without an end")]
    OnlyPermanent,
}
