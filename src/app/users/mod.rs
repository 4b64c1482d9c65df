//! People: set-up, signing in, the account and its sessions.

pub mod views;
