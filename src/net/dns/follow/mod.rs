//! Names that follow the addresses of this machine (dynamic DNS).
//!
//! [`Follower`] finds the addresses ([`Source`]), compares them with what the names have, and changes only what
//! differs. What it has done and when it tries again lies on the disk, which is written only when something of it
//! changes.

mod by_hand;
mod due;
mod follower;
mod found;
mod outside;
mod pause;
mod source;
mod state;

pub use by_hand::{ask_to_update, is_asked};
pub use follower::{Follower, Wanted};
pub use found::Found;
pub use source::Source;
pub use state::{NameState, Report, kept, published_v6};
