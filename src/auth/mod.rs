//! Who somebody is and what they may do: accounts, passwords, sessions, guards.

pub mod csrf;
pub mod guards;
pub mod password;
pub mod sessions;
pub mod setup;
pub mod throttle;
pub mod unsaved;
pub mod users;
