//! The name on one's own network: `https://NAME.local` works before there is a domain (RFC 6762, RFC 6763).
//!
//! Defences:
//! 1. Nothing of what others send is kept, so that nobody fills the memory; of each message only so much is read.
//! 2. A socket is read a limited number of times in a second (`task.rs`); what is more is dropped by the system.
//! 3. Who is not on the network is not answered, so that nobody is flooded with answers of ours.
//! 4. Who always has the name that we take makes us try less and less (`conflicts.rs`).
//!
//! It is our own because of these: ARCHITECTURE.md says what the crate for it does instead.
//!
//! Where another responder of this machine announces the name already, as Avahi does on a Raspberry Pi, it is left to
//! that one, and only the website is announced under it.

mod conflicts;
mod link;
mod message;
mod networks;
mod others;
mod reclaim;
mod records;
mod responder;
mod settings;
mod socket;
mod task;

pub use self::{
    settings::{Label, Settings},
    task::{Announcer, announce, is_possible},
};

/// RFC 6762 section 3.
const PORT: u16 = 5353;
