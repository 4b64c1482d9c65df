//! Backups that prove themselves: what they consist of, making, trying, keeping and restoring them.
//!
//! A repository has *objects*, each under the hash of its content and so never twice: blocks of the database,
//! files, and lists of both. A *manifest*, written last and at once, makes a backup of them. What no manifest
//! names does not exist, so a backup can be interrupted at any moment. ARCHITECTURE.md has the form in full.

mod ahead;
mod destination;
mod exchange;
mod folder;
mod forget;
mod gather;
pub mod keys;
mod list;
mod lock;
mod make;
mod manifest;
mod moment;
mod object;
mod owned;
mod preview;
mod prune;
mod rebuild;
mod remote;
mod repository;
mod restore;
mod round;
pub mod s3;
pub mod schedule;
mod seal;
mod settings;
pub mod sftp;
mod source;
mod state;
mod store;
mod target;
mod trial;
mod uploads;
mod walk;
mod writer;

#[cfg(test)]
mod gap_tests;
#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod interrupted_tests;
#[cfg(test)]
mod place_tests;
#[cfg(test)]
mod precious_tests;
#[cfg(test)]
mod room_tests;
#[cfg(test)]
mod tests;

pub use exchange::finish_exchange;
pub use forget::{Unwanted, find_unwanted, forget};
pub use keys::{Encryption, Keys, Recipient};
pub use list::{Listed, Trust, Which, list};
pub use make::{Made, Progress, make};
pub use moment::{Moment, reach};
pub use preview::{Changes, Preview, Replay, preview};
pub use prune::{Pruned, Rule, prune};
pub use repository::Repository;
pub use restore::{Restored, To, Wanted, restore};
pub use round::{Outcome, Round};
pub use settings::Settings;
pub use source::Source;
pub use state::{Record, State, Untried};
pub use target::{Network, Target};
pub use trial::{Trial, sweep_trials, try_out};
