//! The disk under the site: it loses power, fills up, fails and lies, and nothing that was acknowledged is lost.

mod crash;
pub(crate) mod damage;
mod faults;
mod faults_of_commands;
mod medium;
mod power;
mod shim;
mod written;
