//! The disk under the site: it loses power, fills up, fails and lies, and nothing that was acknowledged is lost.

mod crash;
mod damage;
pub(crate) mod decay;
mod faults;
mod faults_of_commands;
mod medium;
mod power;
mod shim;
mod written;
