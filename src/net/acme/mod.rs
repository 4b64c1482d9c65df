//! Certificates of a public authority, obtained and renewed by themselves (ACME, RFC 8555).
//!
//! [`Keeper`] looks after one certificate for each name, so that a name that does not lead here keeps no other
//! from its own. What it has and when it tries again lies on the disk, so a restart asks the authority for
//! nothing.

mod account;
mod attempt;
mod by_hand;
mod choice;
mod deviation;
mod directory;
mod failure;
mod keeper;
mod kept;
mod keys;
mod lasting;
mod memory;
mod names;
mod obtaining;
mod order;
mod persist;
mod provable;
mod reach;
mod report;
mod rollover;
mod schedule;
mod settings;
mod tried;
mod wire;

pub(super) use account::authority_of;
pub use account::check_external_key;
pub use by_hand::{
    NameRecord, Reason, change_account_key, has_certificate, kept_certificates, name_records,
    revoke,
};
pub use failure::{Failure, FailureKind};
pub use keeper::{Keeper, Wanted};
pub use kept::{ask_to_renew, forget, is_asked, is_half_written};
pub use keys::KeyKind;
pub use memory::{Overview, overview};
pub use names::{is_public, may_be_in_dns};
pub use order::Challenge;
pub use persist::Record;
pub use report::Report;
pub use settings::{Authority, CertificateName, Contact, SECRET_NAME, Settings};
