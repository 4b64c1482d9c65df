//! The disk under the site: it loses power, fills up, fails and lies, and nothing that was acknowledged is lost.

mod crash;
mod power;
mod shim;
